# SPDX-License-Identifier: Apache-2.0
"""`ssl_conf_command Options KTLS`, `proxy_ssl_conf_command Options KTLS`: the kernel encrypts what is sent, where it can; elsewhere
nothing changes.

Whether it does is seen by the calls: a file over TLS goes by sendfile, a big body of a peer by splice, and never so without
it. What only such a kernel can show is skipped elsewhere; tools/ktls-vm.sh is a way to one:

    make && WEIR_TEST_SLOW=12 tools/ktls-vm.sh python3 -m pytest tests/func/test_ktls.py -rs"""
import os
import re
import socket
import ssl

import pytest

from weirtest.client import build_request
from weirtest.load import CallCount, is_sanitized, processes_of, skip_loudly, wait_disconnected
from weirtest.tls import OPENSSL, Pki, client_context, kernel_count, server_context
from weirtest.timing import LIMIT

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
DATA = os.urandom(3 << 20)
SMALL = b"0123456789" * 60
KTLS = "ssl_conf_command Options KTLS;"
PROXY = "proxy_http_version 1.1; proxy_set_header Connection ''; proxy_max_temp_file_size 0; proxy_pass http://{up}; "
# version, ciphers of 1.2 (those of 1.3 are the server's to choose)
KINDS = {"1.3-aes256": (V13, "TLS_AES_256_GCM_SHA384"), "1.3-aes128": (V13, "TLS_AES_128_GCM_SHA256"),
         "1.3-chacha20": (V13, "TLS_CHACHA20_POLY1305_SHA256"), "1.2-aes128": (V12, "ECDHE-ECDSA-AES128-GCM-SHA256"),
         "1.2-aes256": (V12, "ECDHE-ECDSA-AES256-GCM-SHA384"), "1.2-chacha20": (V12, "ECDHE-ECDSA-CHACHA20-POLY1305"),
         "1.2-cbc": (V12, "ECDHE-ECDSA-AES128-SHA")}

pytestmark = pytest.mark.skipif(OPENSSL is None, reason="the program openssl is not here")
calls_are_ours = pytest.mark.weir_only("the system calls are ours")


def why_not():
    """Why this kernel does not encrypt for us; None: it does."""
    if kernel_count() is None:
        return "this kernel has no TLS, or its module is not loaded (modprobe tls)"
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        try:
            client.setsockopt(socket.IPPROTO_TCP, getattr(socket, "TCP_ULP", 31), b"tls")
        except OSError as error:
            return f"this kernel gives no TLS to a socket: {error}"
    return None


WHY_NOT = why_not()
needs_kernel = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))


@pytest.fixture(scope="module", name="pki")
def fixture_pki(tmp_path_factory):
    return Pki(str(tmp_path_factory.mktemp("ktls")))


@pytest.fixture(scope="module", name="pair")
def fixture_pair(pki):
    return pki.issue("server", "localhost", names=["DNS:localhost", "DNS:other"])


def body(conn):
    for req in conn.requests():
        if req.target.startswith("/chunked"):
            conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for at in range(0, len(DATA), 100_000):
                piece = DATA[at:at + 100_000]
                conn.send(b"%x\r\n%s\r\n" % (len(piece), piece))
            conn.send(b"0\r\n\r\n")
        elif req.body:
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(str(len(req.body))), str(len(req.body)).encode())
        else:
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(DATA), DATA)


def serve(weir, pair, text="", up=None, http="", **more):
    proxied = f"location /p {{ {PROXY} }} location /chunked {{ {PROXY} }}" if up else ""
    return weir(http=http + f"server {{ listen 127.0.0.1:{{port}} ssl; server_name localhost; ssl_certificate {pair.cert}; "
                f"ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate_key {pair.key}; root {{dir}}; client_max_body_size 0; {KTLS} {text} {proxied} }}",
                files={"big": DATA, "small": SMALL}, up=up, **more)


def connect(server, version=V13, ciphers=None, name="localhost", strict=False, **more):
    return server.client(tls=client_context(low=version, high=version, ciphers=ciphers, strict_end=strict), name=name, **more)


def words_of(kind):
    """Of the server's block, and arguments of connect."""
    version, cipher = KINDS[kind]
    if version == V13:
        return f"ssl_conf_command Ciphersuites {cipher};", {"version": version}
    return "ssl_ciphers ALL;", {"version": version, "ciphers": cipher}


# ---- anywhere ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_is_sent_is_received(weir, origin, pair, kind):
    text, how = words_of(kind)
    server = serve(weir, pair, text, up=origin(body))
    client = connect(server, **how)
    for _ in range(2):
        for target, want in (("/small", SMALL), ("/big", DATA), ("/p", DATA), ("/chunked", DATA)):
            assert client.get(target).body == want, target
    assert client.request("POST", "/p", body=DATA).body == str(len(DATA)).encode()
    assert client.get("/big", {"Range": "bytes=100000-299999"}).body == DATA[100000:300000]
    assert client.get("/none").status == 404


@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
def test_a_session_is_resumed(weir, pair, version):
    server = serve(weir, pair)
    context = client_context(low=version, high=version)
    first = server.client(tls=context, name="localhost")
    assert first.get("/big").body == DATA
    again = server.client(tls=context, name="localhost", session=first.sock.session)
    assert again.sock.session_reused
    assert again.get("/big").body == DATA


@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
@pytest.mark.parametrize("target", ["/small", "/big", "/p"])
def test_the_end_is_announced(weir, origin, pair, version, target):
    """close_notify comes behind the body, RFC 8446 6.1."""
    server = serve(weir, pair, up=origin(body))
    client = connect(server, version, strict=True)
    client.sock.suppress_ragged_eofs = False
    client.send(build_request("GET", target, {"Connection": "close"}))
    assert client.read_response().body == {"/small": SMALL}.get(target, DATA)
    client.sock.settimeout(LIMIT)
    assert client.sock.recv(1) == b""


def test_slow_and_gone_clients(weir, origin, pair):
    def patient(conn):
        try:
            body(conn)
        except OSError:
            pass                                            # the client is gone, so we were left

    server = serve(weir, pair, up=origin(patient))
    for target in ("/big", "/p"):
        gone = connect(server, rcvbuf=4096)
        gone.send(build_request("GET", target))
        assert gone.read_response_head().status == 200
        gone.reset()
        slow = connect(server, rcvbuf=4096)
        slow.send(build_request("GET", target))
        assert slow.read_response().body == DATA
    assert connect(server).get("/small").body == SMALL


def test_in_pieces_by_rate(weir, pair):
    server = serve(weir, pair, "limit_rate_after 100k; limit_rate 8m;")
    assert connect(server).get("/big").body == DATA


def test_what_filters_changed(weir, origin, pair):
    server = serve(weir, pair, "gzip on; gzip_types *; location /f { sub_filter_types *; sub_filter zzzz yyyy; alias {dir}/big; }")
    client = connect(server)
    resp = client.get("/f")
    assert resp.body == re.sub(rb"(?i)zzzz", b"yyyy", DATA, count=1)  # chance may have put one there
    assert client.get("/small", {"Accept-Encoding": "gzip"}).headers["Content-Encoding"] == "gzip"


def test_a_tunnel(weir, origin, pair):
    def echo(conn):
        conn.read_request(body=False)
        conn.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
        while data := conn.read_some():
            conn.send(data)
        conn.half_close()

    server = serve(weir, pair, "location /t { proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; "
                   "proxy_set_header Connection upgrade; proxy_pass http://{up}; }", up=origin(echo))
    client = connect(server)
    client.send(build_request("GET", "/t", {"Connection": "Upgrade", "Upgrade": "echo"}))
    assert client.read_response_head(interim=True).status == 101
    # In turns: a TLS client of two threads would need a lock of its own.
    for start in range(0, 500_000, 50_000):
        sent, got = DATA[start:start + 50_000], b""
        client.send(sent)
        while len(got) < len(sent):
            piece = client.read_some()
            assert piece
            got += piece
        assert got == sent


@pytest.mark.weir_only("a line of our log")
def test_it_goes_on_over_a_reload(weir, pair):
    server = serve(weir, pair)
    client = connect(server, rcvbuf=4096)
    client.send(build_request("GET", "/big"))
    assert client.read_response_head().status == 200
    server.signal("HUP")
    server.wait_log("configuration 2 is being served")
    assert client.read_exact(len(DATA)) == DATA


# ---- with such a kernel --------------------------------------------------------------------------------------------

def calls_of(server, client, target, want=DATA):
    if is_sanitized(server):
        skip_loudly("a sanitizer in the program makes calls of its own")
    with CallCount(processes_of(server)) as count:
        assert client.get(target).body == want
    return count.calls


@needs_kernel
@calls_are_ours
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_files_and_bodies_stay_in_the_kernel(weir, origin, pair, kind):
    text, how = words_of(kind)
    server = serve(weir, pair, text, up=origin(body), workers=1)
    client = connect(server, **how)
    before = kernel_count()
    assert connect(server, **how).get("/small").body == SMALL
    if kind == "1.2-cbc":                                   # of ciphers that the kernel has not
        assert "sendfile" not in calls_of(server, client, "/big")
        return
    assert kernel_count() > before
    assert calls_of(server, client, "/big").get("sendfile", 0) >= 1
    assert calls_of(server, client, "/p").get("splice", 0) >= 4


@needs_kernel
@calls_are_ours
def test_the_name_decides(weir, pair):
    server = weir(http=f"ssl_certificate {pair.cert}; ssl_certificate_key {pair.key}; root {{dir}};"
                  "server { listen 127.0.0.1:{port} ssl; server_name localhost; ssl_conf_command Options -KTLS; } "
                  "server { listen 127.0.0.1:{port} ssl; server_name other; " + KTLS + " }", files={"big": DATA}, workers=1)
    for name, is_kernel in (("localhost", False), ("other", True)):
        client = connect(server, name=name)
        assert client.get("/big", {"Host": name}).body == DATA
        if is_sanitized(server):
            skip_loudly("a sanitizer in the program makes calls of its own")
        with CallCount(processes_of(server)) as count:
            assert client.get("/big", {"Host": name}).body == DATA
        assert ("sendfile" in count.calls) == is_kernel, count.calls


# ---- towards peers -------------------------------------------------------------------------------------------------

def mirror(conn):
    """Answers with what came, or its length; /big with DATA."""
    for req in conn.requests():
        if req.method == "GET":
            conn.reply(DATA if req.target == "/big" else SMALL)
        else:
            conn.reply(req.body if req.target.startswith("/echo") else str(len(req.body)).encode())


def serve_peer(weir, origin, pair, kind=None, script=mirror, **more):
    """A peer that speaks TLS, and a plain server before it. Each connection to it is in the kernel where that can be had."""
    version, cipher = KINDS[kind] if kind else (V13, None)
    context = server_context(pair, low=version, high=version, ciphers=cipher if version == V12 else None)
    words = f"proxy_ssl_protocols {'TLSv1.2' if version == V12 else 'TLSv1.3'}; proxy_ssl_conf_command Options KTLS;"
    if kind and version == V13:
        words += f"proxy_ssl_conf_command Ciphersuites {cipher};"
    up = origin(script, tls=context)
    proxy = PROXY.replace("http://{up}", "https://g")
    return up, weir(f"{words} client_max_body_size 0; location / {{ {proxy} }} location /echo/s {{ proxy_request_buffering off; {proxy} }}",
                    http="upstream g { server {up}; keepalive 4; }", up=up, **more)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_peers_are_sent_is_received(weir, origin, pair, kind):
    if kind == "1.2-cbc":
        pytest.skip("an old cipher, which the peer's library may refuse")
    up, server = serve_peer(weir, origin, pair, kind=kind)
    client = server.client()
    for _ in range(2):
        assert client.get("/").body == SMALL
        assert client.get("/big").body == DATA
        for target in ("/echo", "/echo/s"):
            for body_sent in (b"x", SMALL, DATA):
                assert client.request("POST", target, body=body_sent).body == body_sent, target
        assert client.request("POST", "/echo", {"Transfer-Encoding": "chunked"},
                              body=b"5\r\nhello\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(SMALL), SMALL)).body == b"hello" + SMALL
    assert up.connections == 1


@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
def test_a_session_with_a_peer_is_resumed(weir, origin, pair, version):
    reused = []

    def script(conn):
        reused.append(conn.sock.session_reused)
        conn.read_request()
        conn.reply(b"ok", headers=[("Connection", "close")])

    up, server = serve_peer(weir, origin, pair, kind="1.2-aes128" if version == V12 else None, script=script)
    for _ in range(3):
        assert server.get("/").body == b"ok"
    assert reused == [False, True, True]


def test_a_peer_that_ends_between_requests(weir, origin, pair):
    """Its close_notify and its end are seen; the next request takes a new connection."""
    def script(conn):
        conn.read_request()
        conn.reply()

    up, server = serve_peer(weir, origin, pair, script=script)
    for _ in range(3):
        assert server.request("POST", "/", body=b"once").body == b"ok"
        wait_disconnected(up.port)


@needs_kernel
@calls_are_ours
@pytest.mark.parametrize("kind", ["1.3-aes256", "1.2-aes128", "1.2-chacha20"])
def test_uploads_stay_in_the_kernel(weir, origin, pair, kind):
    up, server = serve_peer(weir, origin, pair, kind=kind, workers=1)
    client = server.client()
    before = kernel_count()
    assert client.get("/").body == SMALL
    assert kernel_count() == before + 1
    if is_sanitized(server):
        skip_loudly("a sanitizer in the program makes calls of its own")
    for target, call in (("/len", "sendfile"), ("/echo/s", "splice")):
        with CallCount(processes_of(server)) as count:
            got = client.request("POST", target, body=DATA).body
        assert got == (DATA if target == "/echo/s" else str(len(DATA)).encode())
        assert count.calls.get(call, 0) >= 1, count.calls
    assert kernel_count() == before + 1


@needs_kernel
@calls_are_ours
def test_a_peer_is_not_asked_for_it(weir, origin, pair):
    up = origin(mirror, tls=server_context(pair))
    server = weir("client_max_body_size 0; proxy_ssl_conf_command MinProtocol TLSv1.2; location / { proxy_pass https://{up}; }", up=up)
    before = kernel_count()
    assert server.request("POST", "/echo", body=DATA).body == DATA
    assert kernel_count() == before


@needs_kernel
@calls_are_ours
@pytest.mark.parametrize("method, again", [("PUT", True), ("POST", False)])
def test_what_was_read_is_not_sent_twice(weir, origin, pair, method, again):
    """U2.6: the peer reads the request on a connection that was used before and ends it without an answer."""
    def script(conn):
        for number, _ in enumerate(conn.requests()):
            if number == 1:
                return
            conn.reply()

    up = origin(script, tls=server_context(pair))
    server = weir(f"proxy_ssl_conf_command Options KTLS; location / {{ {PROXY.replace('http://', 'https://')} }}", up=up, workers=1)
    assert server.get("/").body == b"ok"
    answer = server.request(method, "/", body=b"once")
    assert answer.status == (200 if again else 502)
    assert [req.method for req in up.requests] == ["GET", method] + [method] * again
