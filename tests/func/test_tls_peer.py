# SPDX-License-Identifier: Apache-2.0
"""TLS towards peers (U3.4, U10.4): proxy_pass https:// and the proxy_ssl_* directives."""
import os
import socket
import ssl
import threading

import pytest

from test_status import group
from weirtest.client import build_request
from weirtest.server import IS_NGINX
from weirtest.timing import LIMIT, wait_for
from weirtest.tls import Pki, client_context, openssl, server_context

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
BOTH = pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
KEEP = "proxy_http_version 1.1; proxy_set_header Connection ''; "
if IS_NGINX:
    KEEP += "proxy_ssl_protocols TLSv1.2 TLSv1.3; "      # the default of later ones


@pytest.fixture
def peer(origin, pki):
    """A peer that speaks TLS."""
    def make(script=OK, pair=None, path=None, **more):
        return origin(script, tls=server_context(pair or pki.server, **more), path=path)
    return make


def start(weir, up, conf="", group="keepalive 8;", **more):
    """One group of one peer."""
    return weir("location / { " + KEEP + conf + " proxy_pass https://g; }", up=up,
                http=more.pop("http", "") + "upstream g { server {up}; " + group + " }", **more)


def good(weir, up, pki, conf="", **more):
    return start(weir, up, f"proxy_ssl_verify on; proxy_ssl_trusted_certificate {pki.ca}; proxy_ssl_name localhost; " + conf,
                 **more)


def error_of(server, pattern):
    line = server.wait_log(pattern)[0]
    assert "[error]" in line, line
    return line


# ---- requests ------------------------------------------------------------------------------------------------------

@BOTH
def test_request(weir, peer, version):  # U3.4
    up = peer(low=version, high=version)
    client = start(weir, up).client()
    for _ in range(3):
        assert client.get("/a?b").text == "ok"
    assert [r.target for r in up.requests] == ["/a?b"] * 3
    assert up.connections == 1                       # kept: session tickets are no answer


def test_nothing_goes_in_plain_text(weir, origin):
    """A peer that speaks no TLS gets no request, and its answer is none."""
    def script(conn):
        data = conn.read_some()
        assert data[:1] == b"\x16" and b"GET" not in data and b"secret" not in data
        conn.send(OK)
        conn.hold()
    server = start(weir, origin(script))
    assert server.get("/secret").status == 502
    line = error_of(server, "SSL_do_handshake")
    assert ("SSL_do_handshake() failed (SSL: error:0A00010B:SSL routines::wrong version number) "
            "while SSL handshaking to upstream, client: 127.0.0.1, server: ") in line
    assert 'upstream: "https://' in line


def test_answer_before_the_handshake_is_none(weir, origin):
    def script(conn):
        conn.send(OK)
        conn.hold()
    assert start(weir, origin(script)).get("/").status == 502


@pytest.mark.parametrize("buffering", ["on", "off"])
@BOTH
def test_bodies(weir, peer, buffering, version):
    def script(conn):
        for req in conn.requests():
            conn.reply(req.body)
    up = peer(script, low=version, high=version)
    server = start(weir, up, f"client_max_body_size 100m; proxy_buffering {buffering}; proxy_request_buffering {buffering};")
    client = server.client()
    for size in (0, 1, 16384, 100_000, 5_000_000):
        data = os.urandom(size)
        assert client.request("POST", "/", body=data).body == data
    assert up.connections == 1


def test_body_of_a_temporary_file(weir, peer):
    def script(conn):
        for req in conn.requests():
            conn.reply(req.body[::-1])
    data = os.urandom(3_000_000)
    server = start(weir, peer(script), "client_body_buffer_size 8k; client_max_body_size 100m;")
    assert server.request("POST", "/", body=data).body == data[::-1]


def test_tls_on_both_sides(weir, peer, pki):
    def script(conn):
        for req in conn.requests():
            conn.reply(req.body)
    server = weir(http="upstream g { server {up}; keepalive 4; } server { listen 127.0.0.1:{port} ssl; "
                  f"ssl_certificate {pki.server.cert}; ssl_certificate_key {pki.server.key}; client_max_body_size 100m; "
                  "location / { " + KEEP + " proxy_pass https://g; } }", up=peer(script))
    client = server.client(tls=client_context(pki.ca), name="localhost")
    data = os.urandom(2_000_000)
    for _ in range(2):
        assert client.request("POST", "/", body=data).body == data


def test_stream_without_delay(weir, peer):
    steps = [threading.Event() for _ in range(4)]

    def script(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for step in steps:
            conn.send(b"3\r\nabc\r\n")
            conn.wait(step)
        conn.send(b"0\r\n\r\n")
    client = start(weir, peer(script), "proxy_buffering off;").client()
    client.send(build_request("GET", "/"))
    client.read_head()
    for step in steps:
        assert client.read_chunk() == b"abc"
        step.set()
    assert client.read_chunk() == b""


def test_upgrade(weir, peer):
    def script(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
        while data := conn.read_some():
            conn.send(data.upper())
    server = weir("location / { proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "
                  "upgrade; proxy_pass https://{up}; }", up=peer(script))
    client = server.client()
    client.send(build_request("GET", "/", {"Connection": "Upgrade", "Upgrade": "x"}))
    assert client.read_head().startswith(b"HTTP/1.1 101")
    for i in range(10):
        client.send(b"words %d" % i)
        client.expect(b"WORDS %d" % i)


def test_unix_socket(weir, peer, tmp_path):
    up = peer(path=str(tmp_path / "s"))
    server = weir("location / { proxy_pass https://unix:" + str(tmp_path / "s") + ":/x; }")
    assert server.get("/").text == "ok" and up.requests[0].target == "/x"


def test_body_that_ends_with_the_connection(weir, peer):
    def script(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        conn.sock.unwrap()
    assert start(weir, peer(script)).get("/").text == "all of it"


def test_reset_behind_the_request(weir, peer):
    def script(conn):
        conn.read_request()
        conn.reset()
    server = start(weir, peer(script))
    assert server.get("/").status == 502
    server.wait_log(r"(recv\(\) failed|prematurely closed|SSL_read\(\) failed).*while reading response header from upstream")


def test_default_port_and_variables(weir, peer, pki):
    up = peer()
    server = weir("location / { proxy_pass https://{up}/x; } "
                  "location /v { set $target https://{up}; proxy_pass $target; }"
                  if IS_NGINX else "location / { proxy_pass https://{up}/x; } location /v { proxy_pass $arg_t; }", up=up)
    assert server.get("/").text == "ok"
    assert server.get(f"/v?t=https://{up}").text == "ok"


def test_variables_of_the_target(weir, peer):
    """$proxy_host leaves 443 out, as it does 80."""
    server = weir('access_log {dir}/access.log t; proxy_connect_timeout 200ms; location /a { proxy_pass https://127.0.0.1:443/; } '
                  'location /b { proxy_pass https://127.0.0.1:80/; }', http="log_format t '$proxy_host|$proxy_port';\n")
    client = server.client()
    client.get("/a")
    client.get("/b")
    assert server.access(2) == ["127.0.0.1|443", "127.0.0.1:80|80"]


@pytest.mark.weir_only("U10.4: nginx 1.22 keeps a group's connections whatever they were made for")
def test_two_schemes_for_one_group(weir, pki, origin):
    """A plain connection is never taken for one with TLS, nor the other way round."""
    def script(conn):
        first = conn.sock.recv(1, socket.MSG_PEEK)
        if first == b"\x16":
            conn.sock = server_context(pki.server).wrap_socket(conn.sock, server_side=True)
        for _ in conn.requests():
            conn.reply(b"tls" if first == b"\x16" else b"plain")
    up = origin(script)
    server = weir("location /tls { " + KEEP + "proxy_pass https://g; } location /plain { " + KEEP + "proxy_pass http://g; }",
                  http="upstream g { server {up}; keepalive 4; }", up=up, workers=1)
    for _ in range(3):
        assert server.get("/tls").text == "tls"
        assert server.get("/plain").text == "plain"
    assert up.connections == 2


# ---- who the peer is -----------------------------------------------------------------------------------------------

@BOTH
def test_verified(weir, peer, pki, version):
    up = peer(low=version, high=version)
    server = good(weir, up, pki)
    for _ in range(2):
        assert server.get("/").text == "ok"


def test_not_verified_by_default(weir, peer, pki):
    assert start(weir, peer(pair=pki.stranger)).get("/").text == "ok"


@BOTH
def test_stranger(weir, peer, pki, version):
    up = peer(pair=pki.stranger, low=version, high=version)
    server = good(weir, up, pki)
    assert server.get("/").status == 502
    line = error_of(server, "verify error")
    assert ("upstream SSL certificate verify error: (20:unable to get local issuer certificate) "
            "while SSL handshaking to upstream, client: ") in line or "(21:unable to verify the first certificate)" in line
    assert not up.requests


@BOTH
def test_wrong_name(weir, peer, pki, version):
    up = peer(pair=pki.other, low=version, high=version)
    server = good(weir, up, pki)
    assert server.get("/").status == 502
    assert 'upstream SSL certificate does not match "localhost" while SSL handshaking to upstream' in \
        error_of(server, "does not match")
    assert not up.requests


def test_expired(weir, peer, pki):
    server = good(weir, peer(pair=pki.issue("old", "localhost", days=-1)), pki)
    assert server.get("/").status == 502
    assert "(10:certificate has expired)" in error_of(server, "verify error")


def test_self_signed(weir, peer, pki):
    pair = pki.issue_self("self", "localhost")
    server = good(weir, peer(pair=pair), pki)
    assert server.get("/").status == 502
    assert "(18:self" in error_of(server, "verify error")


def test_revoked(weir, peer, tmp_path):
    own = Pki(tmp_path / "own", "Own CA")
    fine, bad = own.issue("fine", "localhost"), own.issue("bad", "localhost")
    crl = own.crl(bad)
    for pair, status in ((fine, 200), (bad, 502)):
        server = good(weir, peer(pair=pair), own, f"proxy_ssl_crl {crl};")
        assert server.get("/").status == status
    assert "(23:certificate revoked)" in error_of(server, "verify error")


def test_depth(weir, peer, pki, tmp_path):
    middle = Pki(tmp_path / "middle", "Middle CA", parent=pki)
    pair = middle.issue("leaf", "localhost", chain=[middle.ca])
    for depth, status in ((0, 502), (1, 200)):
        assert good(weir, peer(pair=pair), pki, f"proxy_ssl_verify_depth {depth};").get("/").status == status


@pytest.mark.weir_only("nginx 1.22 compares an address with names only, which have none")
def test_address_of_the_certificate(weir, peer, pki):
    pair = pki.issue("ip", "some", names=["some"], lines=[])
    with_ip = pki.issue("ip2", "some", names=["some,IP:127.0.0.1"])
    for one, status in ((pair, 502), (with_ip, 200)):
        up = peer(pair=one)
        server = weir(f"location / {{ proxy_ssl_verify on; proxy_ssl_trusted_certificate {pki.ca}; "
                      "proxy_pass https://{up}; }", up=up)
        assert server.get("/").status == status


def test_next_peer_after_a_failed_handshake(weir, origin, peer, pki):
    """U3.4, U7: it never falls back to plain text; the next one is asked, and the failure counts."""
    bad, fine = peer(pair=pki.stranger), peer()
    server = weir(f"location / {{ {KEEP} proxy_ssl_verify on; proxy_ssl_trusted_certificate {pki.ca}; proxy_ssl_name localhost; "
                  "proxy_pass https://g; add_header X $upstream_addr; }" if IS_NGINX else
                  f"location / {{ {KEEP} proxy_ssl_verify on; proxy_ssl_trusted_certificate {pki.ca}; "
                  "proxy_ssl_name localhost; proxy_pass https://g; }",
                  http="upstream g { server {bad}; server {fine}; }", bad=bad, fine=fine, workers=1)
    for _ in range(6):
        assert server.get("/").text == "ok"
    assert bad.connections == 1 and not bad.requests      # max_fails=1
    server.wait_log("upstream server temporarily disabled while SSL handshaking to upstream")


def test_handshake_timeout(weir, origin):
    up = origin(lambda conn: conn.hold())
    server = start(weir, up, "proxy_connect_timeout 300ms;")
    assert server.get("/").status == 504
    assert "upstream timed out (110: Connection timed out) while SSL handshaking to upstream" in error_of(server, "timed out")


@pytest.mark.parametrize("how", ["reset", "close"])
def test_peer_that_leaves_in_the_handshake(weir, origin, how):
    def script(conn):
        conn.read_some()
        getattr(conn, how)()
    server = start(weir, origin(script))
    assert server.get("/").status == 502
    assert "while SSL handshaking to upstream" in error_of(server, "peer closed connection in SSL handshake")


def test_hello_cut_at_every_byte(weir, pki, origin):
    """The peer's part of the handshake stops after n bytes: never an answer, never a hang."""
    flight = []

    def record(conn):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = server_context(pki.server, high=V12).wrap_bio(incoming, outgoing, server_side=True)
        incoming.write(conn.read_some())
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        data = outgoing.read()
        flight.append(len(data))
        conn.send(data[:cut[0]])
        if cut[0] % 2:
            conn.reset()
        else:
            conn.close()
    cut = [0]
    server = start(weir, origin(record), group="", conf="proxy_ssl_protocols TLSv1.2;" if not IS_NGINX else "")
    while cut[0] < (flight or [1])[0]:
        assert server.get("/").status == 502
        cut[0] += 23


# ---- names ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("conf, name", [
    ("", None), ("proxy_ssl_server_name on;", "g"),
    ("proxy_ssl_server_name on; proxy_ssl_name localhost;", "localhost"),
    ("proxy_ssl_server_name on; proxy_ssl_name localhost:8443;", "localhost"),
    ("proxy_ssl_server_name on; proxy_ssl_name $http_x;", "some.example"),
    ("proxy_ssl_server_name on; proxy_ssl_name 127.0.0.1;", None),
    ("proxy_ssl_server_name on; proxy_ssl_name [::1]:443;", None)])
def test_name_that_is_asked_for(weir, peer, conf, name):
    up = peer()
    assert start(weir, up, conf).get("/", {"X": "some.example"}).text == "ok"
    assert up.names == [name]


@pytest.mark.weir_only("U10.4: nginx 1.22 keeps a group's connections whatever they were made for")
@pytest.mark.parametrize("proto", [V12, V13])
def test_names_share_no_connection(weir, pki, peer, proto):  # U10.4
    """A connection that was verified for one name serves no request for another, which a client may choose."""
    up = peer(low=proto, high=proto)
    server = weir(f"location / {{ {KEEP} proxy_ssl_server_name on; proxy_ssl_verify on; proxy_ssl_trusted_certificate {pki.ca}; "
                  "proxy_ssl_name $http_x; proxy_pass https://g; }",
                  http="upstream g { server {up} max_fails=0; keepalive 8; }", up=up, workers=1)
    for _ in range(2):
        for name, status in (("localhost", 200), ("a.example", 200), ("evil.test", 502), ("b.example", 200),
                             ("localhos", 502), ("", 502)):
            assert server.get("/", {"X": name} if name else ()).status == status, name
    good_names = [n for n in up.names if n in ("localhost", "a.example", "b.example")]
    assert sorted(good_names) == ["a.example", "b.example", "localhost"]      # each was kept and used again


@pytest.mark.weir_only("U10.4: nginx 1.22 keeps a group's connections whatever they were made for")
def test_verifying_location_takes_no_unverified_connection(weir, pki, peer):  # U10.4
    up = peer(pair=pki.stranger)
    server = weir(f"location /lax {{ {KEEP} proxy_pass https://g; }} location /strict {{ {KEEP} proxy_ssl_verify on; "
                  f"proxy_ssl_trusted_certificate {pki.ca}; proxy_ssl_name localhost; proxy_pass https://g; }}",
                  http="upstream g { server {up} max_fails=0; keepalive 8; }", up=up, workers=1)
    for _ in range(3):
        assert server.get("/lax").text == "ok"
        assert server.get("/strict").status == 502


@BOTH
def test_session_of_a_lax_location_helps_no_strict_one(weir, pki, peer, version):  # U10.4
    """The same without kept connections: a resumed session brings no trust along."""
    up = peer(pair=pki.stranger, low=version, high=version)
    more = "proxy_http_version 1.1; proxy_set_header Connection close; "
    if IS_NGINX:
        more += "proxy_ssl_protocols TLSv1.2 TLSv1.3; "
    server = weir(f"location /lax {{ {more} proxy_pass https://g; }} location /strict {{ {more} proxy_ssl_verify on; "
                  f"proxy_ssl_trusted_certificate {pki.ca}; proxy_ssl_name localhost; proxy_pass https://g; }}",
                  http="upstream g { server {up} max_fails=0; }", up=up, workers=1)
    for _ in range(3):
        assert server.get("/lax").text == "ok"
        assert server.get("/strict").status == 502


# ---- our certificate -----------------------------------------------------------------------------------------------

@BOTH
def test_our_certificate(weir, pki, peer, version):
    seen = []

    def script(conn):
        for _ in conn.requests():
            seen.append(dict(item[0] for item in conn.sock.getpeercert()["subject"])["commonName"])
            conn.send(OK)
    up = peer(script, ca=pki.ca, low=version, high=version)
    server = start(weir, up, f"proxy_ssl_certificate {pki.client.cert}; proxy_ssl_certificate_key {pki.client.key};")
    assert server.get("/").text == "ok" and seen == ["client"]


@BOTH
def test_peer_that_wants_a_certificate(weir, pki, peer, version):
    up = peer(ca=pki.ca, low=version, high=version)
    server = start(weir, up)
    assert server.get("/").status == 502
    if version == V12:
        assert "SSL_do_handshake() failed (SSL: error:" in error_of(server, "SSL_do_handshake")
    else:
        server.wait_log(r"(SSL_read\(\) failed \(SSL: error:.*alert certificate required.*\) while reading response header from "
                        r"upstream|(connect|recv)\(\) failed \(104)")      # its reset may be here first


def test_our_key_with_a_password(weir, pki, peer, tmp_path):
    key = tmp_path / "locked.key"
    openssl("pkcs8", "-topk8", "-in", pki.client.key, "-out", str(key), "-passout", "pass:word")
    (tmp_path / "passwords").write_text("other\nword\n", encoding="ascii")
    server = start(weir, peer(ca=pki.ca), f"proxy_ssl_certificate {pki.client.cert}; proxy_ssl_certificate_key {key}; "
                   f"proxy_ssl_password_file {tmp_path}/passwords;")
    assert server.get("/").text == "ok"


@pytest.mark.weir_only("U10.4: nginx 1.22 keeps a group's connections whatever they were made for")
def test_locations_with_other_certificates_share_nothing(weir, pki, peer):  # U10.4
    """The peer knows us by our certificate: a request of one location never travels as another's."""
    one, two = pki.issue("one", "one"), pki.issue("two", "two")

    def script(conn):
        for _ in conn.requests():
            conn.reply(dict(item[0] for item in conn.sock.getpeercert()["subject"])["commonName"].encode())
    up = peer(script, ca=pki.ca)
    server = weir("".join(f"location /{name} {{ {KEEP} proxy_ssl_certificate {pair.cert}; proxy_ssl_certificate_key {pair.key}; "
                          "proxy_pass https://g; } " for name, pair in (("one", one), ("two", two))),
                  http="upstream g { server {up}; keepalive 8; }", up=up, workers=1)
    for _ in range(3):
        assert server.get("/one").text == "one"
        assert server.get("/two").text == "two"


# ---- parameters ----------------------------------------------------------------------------------------------------

def test_protocols(weir, peer):
    versions = []

    def script(conn):
        for _ in conn.requests():
            versions.append(conn.sock.version())
            conn.send(OK)
    for conf, version in (("TLSv1.2", "TLSv1.2"), ("TLSv1.3", "TLSv1.3")):
        server = weir("location / { proxy_ssl_protocols " + conf + "; proxy_pass https://{up}; }", up=peer(script))
        assert server.get("/").text == "ok" and versions.pop() == version
    server = weir("location / { proxy_ssl_protocols TLSv1.3; proxy_pass https://{up}; }", up=peer(script, high=V12))
    assert server.get("/").status == 502
    assert "alert protocol version" in error_of(server, "SSL_do_handshake")


def test_ciphers_and_commands(weir, peer):
    ciphers = []

    def script(conn):
        for _ in conn.requests():
            ciphers.append(conn.sock.cipher()[0])
            conn.send(OK)
    for conf, cipher in (("proxy_ssl_protocols TLSv1.2; proxy_ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256;",
                          "ECDHE-ECDSA-AES128-GCM-SHA256"),
                         ("proxy_ssl_protocols TLSv1.3; proxy_ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;",
                          "TLS_AES_128_GCM_SHA256")):
        server = weir("location / { " + conf + " proxy_pass https://{up}; }", up=peer(script))
        assert server.get("/").text == "ok" and ciphers.pop() == cipher


# ---- coming back ---------------------------------------------------------------------------------------------------

def reuse(conn_list):
    def script(conn):
        conn.read_request()
        conn_list.append(conn.sock.session_reused)
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        conn.hold()
    return script


@BOTH
@pytest.mark.parametrize("conf, reused", [("", True), ("proxy_ssl_session_reuse off;", False)])
def test_sessions(weir, peer, pki, conf, reused, version):
    seen = []
    up = peer(reuse(seen), low=version, high=version)
    server = good(weir, up, pki, conf, workers=1)
    for _ in range(4):
        assert server.get("/").text == "ok"
    assert seen == [False] + [reused] * 3


@pytest.mark.weir_only("nginx forgets the sessions of its peers at a reload")
@BOTH
def test_sessions_over_a_reload(weir, peer, pki, version):
    seen = []
    server = good(weir, peer(reuse(seen), low=version, high=version), pki)
    assert server.get("/").text == "ok"
    server.signal("HUP")
    server.wait_log("configuration 2 is being served")
    assert server.get("/").text == "ok"
    assert seen == [False, True]


@pytest.mark.weir_only("U2.8: threads share idle connections; nginx has a pool for each process")
@BOTH
def test_connection_is_shared_by_threads(weir, peer, pki, version):  # U2.8, U10.3
    """Not used for a second, it is anybody's; it goes on where it was."""
    up = peer(low=version, high=version)
    server = good(weir, up, pki, workers=3)
    assert server.get("/").text == "ok"
    for _ in range(2):
        clients = [server.client() for _ in range(4)]
        for client in clients:           # one after the other, on threads that the kernel chooses
            wait_for(lambda: group(server, "g")["shelf"] == 1, "the connection to be anybody's")
            assert client.get("/").text == "ok"
        assert up.connections == 1


@pytest.mark.weir_only("sessions belong to what a location demands; nginx has one for each peer")
@BOTH
def test_sessions_of_other_rules_are_not_used(weir, peer, pki, version):
    seen = []
    up = peer(reuse(seen), low=version, high=version)
    server = weir("location /a { proxy_pass https://g; } location /b { proxy_ssl_server_name on; proxy_pass https://g; }",
                  http="upstream g { server {up}; }", up=up, workers=1)
    for target in ("/a", "/b", "/a", "/b"):
        assert server.get(target).text == "ok"
    assert seen == [False, False, True, True]


@pytest.mark.weir_only("U10.1: idle connections outlive a reload; nginx starts new workers")
def test_connection_is_kept_over_a_reload(weir, peer, pki):  # U10.4
    up = peer()
    server = good(weir, up, pki, workers=1)
    assert server.get("/").text == "ok"
    server.signal("HUP")
    server.wait_log("configuration 2 is being served")
    assert server.get("/").text == "ok"
    assert up.connections == 1


@pytest.mark.weir_only("U10.4: nginx 1.22 keeps a group's connections whatever they were made for")
def test_other_trust_after_a_reload_takes_no_old_connection(weir, peer, pki, tmp_path):  # U10.4
    """The same names of files, other contents: what was verified by the old ones is not used."""
    trust = tmp_path / "ca.crt"

    def install(path):
        with open(path, "rb") as file:
            trust.write_bytes(file.read())
    install(pki.ca)
    up = peer()
    server = start(weir, up, f"proxy_ssl_verify on; proxy_ssl_trusted_certificate {trust}; proxy_ssl_name localhost;")
    assert server.get("/").text == "ok"
    install(pki.foreign.ca)
    server.reload()
    for _ in range(4):
        assert server.get("/").status == 502
    install(pki.ca)
    server.reload()
    assert server.get("/").status == 200


# ---- ends ----------------------------------------------------------------------------------------------------------

def test_goodbye_behind_a_finished_exchange(weir, peer):  # U3.4
    ended = []

    def script(conn):
        conn.sock.suppress_ragged_eofs = False
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        ended.append(conn.sock.recv(10))         # b'' is a close_notify; without one it raises
    server = start(weir, peer(script, strict_end=True))
    assert server.get("/").text == "ok"
    wait_for(lambda: ended == [b""], "close_notify")


def test_no_goodbye_behind_a_failed_one(weir, peer):  # U3.4
    ended = []

    def script(conn):
        conn.sock.suppress_ragged_eofs = False
        conn.read_request()
        try:
            ended.append(conn.sock.recv(10))
        except (ssl.SSLError, ConnectionError) as error:
            ended.append(type(error).__name__)
    server = start(weir, peer(script, strict_end=True), "proxy_read_timeout 200ms;")
    assert server.get("/").status == 504
    wait_for(lambda: ended, "the end")
    if not IS_NGINX:
        assert ended[0] != b""


def test_idle_connection_that_the_peer_ends(weir, peer):
    """close_notify and FIN on an idle connection: it is dropped, the next request gets a new one."""
    def script(conn):
        conn.read_request()
        conn.send(OK)
        conn.sock.unwrap()
    up = peer(script)
    server = start(weir, up)
    for number in range(3):
        assert server.get("/").text == "ok"
        up.wait_end(number)


def test_idle_connection_that_speaks(weir, peer):  # U10.2
    spoke = threading.Event()

    def script(conn):
        conn.read_request()
        conn.send(OK)
        if conn.number == 0:
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
            spoke.set()
        conn.hold()
    up = peer(script)
    server = start(weir, up)
    assert server.get("/").text == "ok"
    assert spoke.wait(LIMIT)
    up.wait_end(0)
    assert server.get("/").text == "ok"


# ---- errors of the configuration -----------------------------------------------------------------------------------

HEAD = "events {} http { server { listen 127.0.0.1:1; location / { proxy_pass https://127.0.0.1:1; "
ERRORS = [
    ("verify without trust", "proxy_ssl_verify on; }}}", "no proxy_ssl_trusted_certificate for proxy_ssl_verify"),
    ("no key", "proxy_ssl_certificate {cert}; }}}", 'no "proxy_ssl_certificate_key" is defined for certificate "{cert}"'),
    ("no file", "proxy_ssl_certificate /nowhere/c; proxy_ssl_certificate_key {key}; }}}",
     'cannot load certificate "/nowhere/c": BIO_new_file() failed'),
    ("wrong key", "proxy_ssl_certificate {cert}; proxy_ssl_certificate_key {key2}; }}}",
     'SSL_CTX_use_PrivateKey("{key2}") failed'),
    ("trust", "proxy_ssl_verify on; proxy_ssl_trusted_certificate /nowhere/ca; }}}",
     'SSL_CTX_load_verify_locations("/nowhere/ca") failed'),
    ("ciphers", "proxy_ssl_ciphers nonsense; }}}", 'SSL_CTX_set_cipher_list("nonsense") failed'),
    ("command", "proxy_ssl_conf_command Nonsense x; }}}", 'SSL_CONF_cmd("Nonsense", "x") failed'),
    ("flag", "proxy_ssl_verify maybe; }}}", 'invalid value "maybe" in "proxy_ssl_verify" directive'),
    ("protocol", "proxy_ssl_protocols x; }}}", 'invalid value "x"'),
]


@pytest.mark.parametrize("row", ERRORS, ids=[row[0] for row in ERRORS])
def test_error(command, pki, row):
    _, text, message = row
    names = {"cert": pki.client.cert, "key": pki.client.key, "key2": pki.other.key}
    for name, value in names.items():
        text = text.replace("{" + name + "}", value)
        message = message.replace("{" + name + "}", value)
    done = command(text=HEAD + "\n" + text).command("-t", "-q")
    assert done.returncode == 1 and message in done.stderr, done.stderr
