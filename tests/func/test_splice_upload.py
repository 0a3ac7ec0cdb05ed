# SPDX-License-Identifier: Apache-2.0
"""Big request bodies that nobody looks at stay in the kernel (splice): the bytes, the calls, the ends, and who sees nothing of it."""
import hashlib
import os
import threading

import pytest

from weirtest.client import build_request
from weirtest.load import CallCount, is_sanitized, processes_of, skip_loudly
from weirtest.timing import wait_for
from weirtest.tls import client_context, server_context

PIECE = os.urandom(1 << 20)
DATA = PIECE * 6
OFF = "proxy_request_buffering off; client_max_body_size 200m; proxy_http_version 1.1; proxy_set_header Connection ''; "


def head(size, *headers):
    return build_request("POST", "/", [("Content-Length", str(size)), *headers])


def take(conn):
    """Answers each request with what came of it."""
    while conn.buffer or conn._fill(60):
        req = conn.read_request(body=False)
        left, made = int(req.headers["Content-Length"]), hashlib.sha256()
        while left:
            data = conn.take(min(left, len(conn.buffer))) if conn.buffer else conn.read_some()
            made.update(data)
            left -= len(data)
        conn.reply(made.hexdigest().encode())


def serve(weir, origin, script=take, text="", **more):
    return weir("location / { " + OFF + text + "proxy_pass http://g; }", up=origin(script), workers=1,
                http=more.pop("http", "") + "upstream g { server {up}; keepalive 2; }", **more)


def digest(data):
    return hashlib.sha256(data).hexdigest()


def calls_of(server, **more):
    if is_sanitized(server):
        skip_loudly("a sanitizer in the program makes calls of its own")
    client = server.client(**more)
    with CallCount(processes_of(server)) as count:
        client.send(head(len(DATA)), DATA)
        assert client.read_response("POST").text == digest(DATA)
    return count.calls


@pytest.mark.weir_only("nginx copies bodies")
def test_a_big_upload_is_spliced(weir, origin):  # U4.4
    calls = calls_of(serve(weir, origin))
    # 6 MB in pieces of at most 1 MB, in and out.
    assert calls.get("splice", 0) >= 10, calls


@pytest.mark.weir_only("nginx copies bodies")
def test_sendfile_off_means_copies(weir, origin):
    assert "splice" not in calls_of(serve(weir, origin, text="sendfile off; "))


@pytest.mark.weir_only("nginx copies bodies")
@pytest.mark.parametrize("side", ["client", "peer"])
def test_tls_on_either_side_means_copies(weir, origin, pki, side):
    if side == "client":
        server = weir(http="upstream g { server {up}; keepalive 2; } server { listen 127.0.0.1:{port} ssl; "
                      f"ssl_certificate {pki.server.cert}; ssl_certificate_key {pki.server.key}; location / {{ {OFF} "
                      "proxy_pass http://g; } }", up=origin(take), workers=1, scheme="https")
        more = {"tls": client_context(pki.ca), "name": "localhost"}
    else:
        server = weir("location / { " + OFF + "proxy_ssl_conf_command Options -KTLS; proxy_pass https://g; }", workers=1,
                      up=origin(take, tls=server_context(pki.server)), http="upstream g { server {up}; keepalive 2; }")
        more = {}
    assert "splice" not in calls_of(server, **more)


@pytest.mark.parametrize("text", ["", "client_body_buffer_size 8k; "])
def test_100_mb(weir, origin, text):
    server = serve(weir, origin, text=text)
    made = hashlib.sha256()
    client = server.client()
    client.send(head(100 * len(PIECE)))
    for number in range(100):
        piece = number.to_bytes(4, "big") + PIECE[4:]
        made.update(piece)
        client.send(piece)
    assert client.read_response("POST").text == made.hexdigest()
    client.send(head(5), b"after")       # both connections live on
    assert client.read_response("POST").text == digest(b"after")


def test_uploads_one_after_another(weir, origin):  # U10.1
    up = origin(take)
    server = weir("access_log {dir}/l l; location / { " + OFF + "proxy_pass http://g; }", up=up, workers=1,
                  http="upstream g { server {up}; keepalive 2; } log_format l '$request_length';")
    client = server.client()
    want = []
    for size in (3 << 20, 10, 70000, 3 << 20):
        request = head(size)
        client.send(request, DATA[:size])
        assert client.read_response("POST").text == digest(DATA[:size])
        want.append(len(request) + size)
    assert up.connections == 1
    wait_for(lambda: [int(n) for n in server.read("l").split()] == want, "the lengths in the log")


@pytest.mark.parametrize("how", ["fin", "reset"])
def test_truncated_by_the_client(weir, origin, how):  # U4.4
    """The peer sees the end, no other peer is asked, and the connection is not used again."""
    got = []

    def script(conn):
        conn.read_request(body=False)
        count = 0
        while conn.buffer or conn._fill(60):
            count += len(conn.buffer)
            conn.buffer.clear()
        got.append(count)

    up = origin([script, take])
    server = weir("location / { " + OFF + "proxy_pass http://g; }", up=up, workers=1,
                  http="upstream g { server {up}; server {up} backup; keepalive 2; }")
    client = server.client()
    client.send(head(len(DATA)), DATA[:4 << 20])
    if how == "fin":
        client.half_close()
    else:
        client.reset()
    wait_for(lambda: got, "the end at the peer")
    assert 0 < got[0] <= 4 << 20
    other = server.client()
    other.send(head(5), b"other")
    assert other.read_response("POST").text == digest(b"other")
    assert up.connections == 2


def test_early_answer(weir, origin):  # U4.5
    """It comes through while the body is on its way; the peer does not read the rest."""
    def script(conn):
        conn.read_request(body=False)
        conn.read_exact(1 << 20)
        conn.send(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
        conn.hold()

    server = serve(weir, origin, script)
    client = server.client()
    client.send(head(100 * len(PIECE)), DATA)
    resp = client.read_response("POST")
    assert (resp.status, resp.text) == (403, "no")


def test_the_peer_ends_in_the_middle(weir, origin):  # U4.4
    """Bytes are gone: no other try."""
    def script(conn):
        conn.read_request(body=False)
        conn.read_exact(1 << 20)
        conn.reset()

    up = origin(script)
    server = weir("location / { " + OFF + "proxy_next_upstream error timeout non_idempotent; proxy_pass http://g; }", up=up,
                  workers=1, http="upstream g { server {up}; server {up} backup; }")
    client = server.client()
    client.send(head(100 * len(PIECE)))
    client.send_lenient(DATA)
    resp = client.read_response("POST")
    assert resp.status == 502 and up.connections == 1


def test_a_slow_peer_holds_the_client_back(weir, origin):
    """What waits on the way is bounded; all of it arrives when the peer reads on."""
    go = threading.Event()

    def script(conn):
        conn.read_request(body=False)
        conn.wait(go)
        made = hashlib.sha256()
        left = 64 << 20
        while left:
            data = conn.take(len(conn.buffer)) if conn.buffer else conn.read_some()
            made.update(data)
            left -= len(data)
        conn.reply(made.hexdigest().encode())

    server = serve(weir, origin, script)
    client = server.client()
    client.send(head(64 << 20))
    sent = [0]

    def send():
        for _ in range(64):
            client.sock.sendall(PIECE)
            sent[0] += 1

    thread = threading.Thread(target=send)
    client.sock.settimeout(60)
    thread.start()
    before = -1
    while before != sent[0]:
        before = sent[0]
        thread.join(0.3)
    assert thread.is_alive() and sent[0] < 40, sent
    go.set()
    thread.join(60)
    assert client.read_response("POST").text == digest(PIECE * 64)


def test_too_large_is_refused(weir, origin):
    up = origin(take)
    server = serve(weir, lambda script: up, text="")
    client = server.client()
    client.send(head(201 << 20))
    assert client.read_response("POST").status == 413 and up.connections == 0


def test_silent_client(weir, origin):
    """client_body_timeout runs while bytes of the client are awaited: both connections end."""
    ended = []
    server = serve(weir, origin, lambda conn: (conn.read_request(body=False), ended.append(conn.hold())), text="client_body_timeout 300ms; ")
    client = server.client()
    client.send(head(len(DATA)), DATA[:2 << 20])
    client.wait_closed()
    wait_for(lambda: ended, "the end at the peer")
