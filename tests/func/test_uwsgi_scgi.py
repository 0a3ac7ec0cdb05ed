# SPDX-License-Identifier: Apache-2.0
"""What uwsgi and SCGI have of their own: their packets, modifiers, TLS (U12.2). What they share: test_apps.py."""
import os

import pytest

from weirtest import gateway as g
from weirtest.tls import server_context


def raw(kept, answer=b"X: y\r\n\r\nok"):
    """Keeps the bytes of a request that come at once."""
    def script(conn):
        conn._fill()
        kept.append(bytes(conn.buffer))
        conn.send(answer)
    return script


def test_uwsgi_packet(weir, origin):
    kept = []
    server = weir("location / { uwsgi_pass {up}; uwsgi_param A b; uwsgi_param EMPTY ''; uwsgi_modifier1 5; uwsgi_modifier2 6; "
                  "uwsgi_pass_request_headers off; }", up=origin(raw(kept)))
    assert server.get("/").text == "ok"
    assert kept == [b"\x05\x0f\x00\x06" b"\x01\x00A\x01\x00b" b"\x05\x00EMPTY\x00\x00"]


def test_uwsgi_modifiers_are_inherited(weir, origin):
    up = origin(g.UWSGI.script())
    server = weir("uwsgi_modifier1 7; location /a { uwsgi_pass {up}; } location /b { uwsgi_pass {up}; uwsgi_modifier1 255; }",
                  http="uwsgi_modifier1 1; uwsgi_modifier2 9;", up=up)
    server.get("/a")
    server.get("/b")
    assert [(r.modifier1, r.modifier2) for r in up.requests] == [(7, 9), (255, 9)]


@pytest.mark.parametrize("prefix", ["", "uwsgi://", "UWSGI://"])
def test_uwsgi_prefix(weir, origin, prefix):
    up = origin(g.UWSGI.script())
    server = weir("location / { uwsgi_pass " + prefix + "{up}; } location /v { set $t " + prefix + "{up}; uwsgi_pass $t; }", up=up)
    assert server.get("/").text == "ok" and server.get("/v").text == "ok"


def test_uwsgi_too_big(weir, origin):
    up = origin([g.UWSGI.script(), lambda conn: conn.hold()])
    server = weir("large_client_header_buffers 8 40k; location / { uwsgi_pass {up}; }", up=up,
                  allow=["uwsgi request is too", "the request could not be passed to the peer"])
    assert server.get("/", [("A", "x" * 30000), ("B", "x" * 30000)]).text == "ok"
    assert server.get("/", [("A", "x" * 30000), ("B", "x" * 30000), ("C", "x" * 30000)]).status == 500
    server.wait_log(r"\] .*uwsgi request is too big: ")
    assert up.connections <= 2


def test_suwsgi(weir, origin, pki):
    up = origin([g.UWSGI.script(), lambda conn: conn.hold()], tls=server_context(pki.server))
    server = weir("location / { uwsgi_pass suwsgi://{up}; uwsgi_ssl_verify on; uwsgi_ssl_trusted_certificate {ca}; "
                  "uwsgi_ssl_name localhost; uwsgi_ssl_server_name on; uwsgi_ssl_protocols TLSv1.2 TLSv1.3; uwsgi_ssl_verify_depth 2; "
                  "uwsgi_ssl_session_reuse off; uwsgi_ssl_ciphers DEFAULT; uwsgi_ssl_conf_command Options NoRenegotiation; } "
                  "location /wrong { uwsgi_pass suwsgi://{up}; uwsgi_ssl_verify on; uwsgi_ssl_trusted_certificate {ca}; "
                  "uwsgi_ssl_name other.example; }", up=up, ca=pki.ca)
    assert server.get("/").text == "ok"
    assert up.names == ["localhost"]
    assert server.get("/wrong").status == 502
    server.wait_log('upstream: "suwsgi://127')


@pytest.mark.parametrize("conf", ["client_body_buffer_size 16k;", "uwsgi_request_buffering off;"])
def test_suwsgi_body(weir, origin, pki, conf):
    body = os.urandom(300000)
    up = origin(g.UWSGI.script(), tls=server_context(pki.server))
    server = weir("location / { uwsgi_pass suwsgi://{up}; uwsgi_param CONTENT_LENGTH $content_length; " + conf + " }", up=up)
    assert server.request("POST", "/", body=body).text == "ok"
    assert up.requests[0].body == body


def test_suwsgi_client_certificate(weir, origin, pki):
    up = origin(g.UWSGI.script(), tls=server_context(pki.server, ca=pki.ca))
    server = weir("location / { uwsgi_pass suwsgi://{up}; uwsgi_ssl_certificate {cert}; uwsgi_ssl_certificate_key {key}; }", up=up,
                  cert=pki.client.cert, key=pki.client.key)
    assert server.get("/").text == "ok"


def test_scgi_netstring(weir, origin):
    kept = []
    server = weir("location / { scgi_pass {up}; scgi_param SCGI 1; scgi_param EMPTY ''; scgi_pass_request_headers off; }",
                  up=origin(raw(kept)))
    assert server.request("POST", "/", body=b"hello").text == "ok"
    assert kept[0].startswith(b"31:CONTENT_LENGTH\x005\x00SCGI\x001\x00EMPTY\x00\x00,")


@pytest.mark.weir_only("nginx sends the NUL, which ends the value early")
def test_scgi_nul(weir, origin):  # U14.1
    up = origin(g.SCGI.script())
    server = weir('location ~ "^/(.*)$" { set $v $1; scgi_pass {up}; scgi_param V "a$arg_x"; scgi_param P $uri; }', up=up)
    assert server.get("/ok").text == "ok"
    assert server.get("/a%00b").status == 400


ERRORS = [
    ("uwsgi_modifier1 256;", "value must be "),
    ("uwsgi_modifier1 -1;", '"uwsgi_modifier1" directive invalid number'),
    ("uwsgi_modifier2 x;", '"uwsgi_modifier2" directive invalid number'),
    ("uwsgi_modifier1 1; uwsgi_modifier1 1;", '"uwsgi_modifier1" directive is duplicate'),
    ("uwsgi_modifier1;", 'invalid number of arguments in "uwsgi_modifier1" directive'),
    ("location / { uwsgi_pass suwsgi://127.0.0.1:1; uwsgi_ssl_verify on; }", "no uwsgi_ssl_trusted_certificate for uwsgi_ssl_verify"),
    ("location / { uwsgi_pass suwsgi://127.0.0.1:1; uwsgi_ssl_certificate /nosuch; uwsgi_ssl_certificate_key /nosuch; }", "/nosuch"),
    ("uwsgi_send_lowat 1;", 'unknown directive "uwsgi_send_lowat"'),
    ("scgi_send_lowat 1;", 'unknown directive "scgi_send_lowat"'),
]


@pytest.mark.parametrize("text, words", ERRORS)
def test_errors(command, text, words):
    run = command(text).command("-t")
    assert run.returncode == 1 and words in run.stderr
