# SPDX-License-Identifier: Apache-2.0
"""U14: hostile ends. What a variable holds never ends a line on a wire or in a log; bounds hold."""
import os
import shutil
import threading
import time

import pytest

from weirtest.client import build_request
from weirtest.timing import LIMIT, wait_for

OK = b"HTTP/1.1 200 OK\r\n"
U141 = pytest.mark.weir_only("U14.1: nginx 1.22 writes decoded CR, LF and NUL raw")
EVILS = ["%0d%0aX-Evil:%201", "%0aX-Evil:%201", "%0dX-Evil:%201", "%0d%0a%0d%0aGET%20/evil%20HTTP/1.1"]


@U141
@pytest.mark.parametrize("evil", EVILS)
@pytest.mark.parametrize("conf", ["proxy_set_header X-Uri $uri; proxy_pass http://{up}/fixed;",
                                  "proxy_set_header Host $uri; proxy_pass http://{up};",
                                  "proxy_pass http://{up}$uri;", "proxy_method $uri; proxy_pass http://{up};"])
def test_decoded_uri_never_ends_a_line_to_the_peer(weir, origin, conf, evil):  # U14.1
    up = origin()
    server = weir("location / { " + conf + " } location = /x { return 200 x; }", up=up)
    assert server.get("/a" + evil).status == 400
    assert not up.requests
    assert server.get("/x").text == "x"


@U141
@pytest.mark.parametrize("evil", EVILS)
def test_capture_never_ends_a_line_to_the_peer(weir, origin, evil):
    up = origin()
    server = weir('location ~ (?s)^/c/(?<tail>.*)$ { proxy_set_header X-Tail $tail; proxy_pass http://{up}/f$1; }',
                  up=up)
    assert server.get("/c/a" + evil).status == 400
    assert not up.requests


@U141
@pytest.mark.parametrize("evil", EVILS)
def test_redirect_never_splits(weir, evil):
    server = weir("location / { return 302 http://other.example$uri; } location = /x { return 200 x; }")
    client = server.client()
    client.send(build_request("GET", "/a" + evil) + build_request("GET", "/x"))
    resp = client.read_response()
    assert resp.status == 400 and "X-Evil" not in resp.headers and "Location" not in resp.headers


def test_encoded_uri_passes_unchanged(weir, origin):
    # Without decoding nothing is wrong: the client's bytes pass as they came.
    up = origin()
    assert weir("location / { proxy_pass http://{up}; }", up=up).get("/a%0d%0ab").text == "ok"
    assert up.requests[0].target == "/a%0d%0ab"


def test_replaced_uri_is_encoded_again(weir, origin):
    up = origin()
    assert weir("location /a/ { proxy_pass http://{up}/b/; }", up=up).get("/a/x%0d%0ay%20z%3f").text == "ok"
    assert up.requests[0].target == "/b/x%0D%0Ay%20z%3F"


@pytest.mark.weir_only("U14.1: no raw line end in a log line; nginx writes a decoded name raw into its error log")
def test_error_log_is_not_forged(weir):
    server = weir("root {dir}/none;")
    server.get("/a%0aforged%20line")
    server.get("/last")
    server.wait_log("none/last")
    assert not [line for line in server.log().splitlines() if line.startswith("forged")]


@pytest.mark.parametrize("field", [b"Location: http://x/\rX-Evil: 1", b"Set-Cookie: a=\rb", b"X-A: b\rc",
                                   b"Content-Type: a\rb"])
def test_cr_of_a_peer_never_passes(weir, origin, field):  # U14.1
    up = origin(lambda c: (c.read_request(), c.send(OK + field + b"\r\nContent-Length: 0\r\n\r\n")))
    assert weir("location / { proxy_pass http://{up}; }", up=up).get("/").status == 502


# U14.2

@pytest.mark.weir_only("U14.2: interim responses are bounded")
def test_endless_interim_responses(weir, origin):
    def script(conn):
        conn.read_request()
        try:
            for _ in range(20000):
                conn.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        except OSError:
            pass
    assert weir("location / { proxy_pass http://{up}; }", up=origin(script)).get("/").status == 502


@pytest.mark.weir_only("U14.2: chunk extensions of a peer are bounded; nginx reads them without end")
def test_endless_chunk_extension(weir, origin):
    def script(conn):
        conn.read_request()
        conn.send(OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n1;")
        try:
            while True:
                conn.send(b"e" * 10000)
        except OSError:
            pass
    client = weir("location / { proxy_http_version 1.1; proxy_buffering off; proxy_pass http://{up}; }",
                  up=origin(script)).client()
    client.send(build_request("GET", "/"))
    assert b"\r\n0\r\n" not in client.read_to_end()


@pytest.mark.weir_only("U14.2: trailers of a peer are bounded; nginx reads them without end")
def test_endless_trailers(weir, origin):
    def script(conn):
        conn.read_request()
        conn.send(OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n")
        try:
            while True:
                conn.send(b"T: v\r\n" * 1000)
        except OSError:
            pass
    client = weir("location / { proxy_http_version 1.1; proxy_buffering off; proxy_pass http://{up}; }",
                  up=origin(script)).client()
    client.send(build_request("GET", "/"))
    client.read_to_end()


# U14.4

@pytest.mark.weir_only("U14.4, U5.2: nginx 1.22 relays what has no status line as HTTP/0.9")
@pytest.mark.parametrize("data", [b"<html>raw</html>", b"\x00\x01\x02\x03", b"220 smtp ready\r\n",
                                  b"\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", b"H" * 100000])
def test_no_status_line_is_never_relayed(weir, origin, data):
    up = origin(lambda c: (c.read_request(), c.send_lenient(data)))
    resp = weir("location / { proxy_pass http://{up}; }", up=up).get("/")
    assert resp.status == 502 and b"raw" not in resp.body


# U14.5

@pytest.mark.weir_only("U14.5: without a temporary file the peer is held back and the response goes on; nginx cuts it")
def test_no_temporary_file_possible(weir, origin):
    data = os.urandom(1 << 16) * 64
    up = origin(lambda c: (c.read_request(), c.send(OK + b"Content-Length: %d\r\n\r\n" % len(data)), c.send(data)))
    server = weir("location / { proxy_buffers 4 8k; proxy_busy_buffers_size 8k; proxy_pass http://{up}; } location /x { return 200 x; }",
                  up=up, allow=[r"\[crit\].*proxy", r"\[alert\].*proxy", r"\[crit\].*temporary file"])
    shutil.rmtree(server.path("proxy"))
    server.write("proxy", b"a file where a folder should be")
    client = server.client(rcvbuf=4096)
    client.send(build_request("GET", "/"))
    client.read_head()
    for _ in range(20):
        server.get("/x")
    got = client.read_exact(len(data))
    assert got == data


# U14.6

@pytest.mark.weir_only("U14.6: when connections are used up, idle ones go first and running requests are served; nginx 1.22 may drop any")
def test_connections_used_up(weir):
    server = weir("location / { return 200 x; }", connections=32, allow=[r"worker_connections are not enough"])
    idle = [server.client() for _ in range(60)]
    for client in idle[:25]:
        client.send(build_request("GET", "/"))
        assert client.read_response().text == "x"
    for _ in range(20):
        assert server.get("/", {"Connection": "close"}).text == "x"


def test_connections_come_back(weir):
    server = weir("location / { return 200 x; }", connections=32, allow=[r"worker_connections are not enough"])
    idle = [server.client() for _ in range(60)]
    for client in idle:
        client.close()

    def served():
        try:
            return server.get("/").text == "x"
        except (AssertionError, OSError):
            return False
    wait_for(served, "a request to be served again")


# U14.7: slow ones, bounded by the directives

def test_slow_reader_is_bounded(weir, origin):
    def script(conn):
        conn.read_request()
        conn.send(OK + b"Content-Length: %d\r\n\r\n" % (256 << 20))
        try:
            for _ in range(16):  # more than the buffers of the kernel may take
                conn.send(b"x" * (16 << 20))
        except OSError:
            cut.set()
    cut = threading.Event()
    server = weir("send_timeout 300ms; location / { proxy_max_temp_file_size 0; proxy_pass http://{up}; }",
                  up=origin(script))
    client = server.client(rcvbuf=4096)
    client.send(build_request("GET", "/"))
    assert cut.wait(LIMIT)
    server.wait_log(r"client timed out \(110: Connection timed out\) while sending to client")


def test_slow_sender_has_no_peer_connection(weir, origin):
    up = origin()
    server = weir("client_body_timeout 300ms; location / { proxy_pass http://{up}; }", up=up)
    clients = []
    for _ in range(20):
        client = server.client()
        client.send(build_request("POST", "/", {"Content-Length": "100"}), b"a")
        clients.append(client)
    for client in clients:
        rest = client.read_to_end()
        assert rest == b"" or rest.startswith(b"HTTP/1.1 408 ")
    assert up.connections == 0


def test_slow_peer_head_is_bounded(weir, origin):
    """A byte now and then resets the read timeout; the head is bounded by its buffer, the client by its own will."""
    stop = threading.Event()

    def script(conn):
        conn.read_request()
        conn.send(OK)
        for _ in range(200):
            if stop.is_set():
                break
            try:
                conn.send(b"X: " + b"y" * 100 + b"\r\n")
            except OSError:
                return
    up = origin(script)
    assert weir("location / { proxy_pass http://{up}; }", up=up).get("/").status == 502
    stop.set()


def test_many_slow_ones_disturb_nobody(weir, origin):
    server = weir("client_header_timeout 600s; location / { return 200 x; }")
    slow = [server.client() for _ in range(100)]
    for client in slow:
        client.send(b"GET / HT")
    start = time.monotonic()
    for _ in range(50):
        assert server.get("/").text == "x"
    assert time.monotonic() - start < LIMIT
    for client in slow:
        client.send(b"TP/1.1\r\nHost: x\r\n\r\n")
        assert client.read_response().text == "x"
