# SPDX-License-Identifier: Apache-2.0
"""Responses that do not just pass: event streams under proxy_buffering auto, proxy_limit_rate, trailers, early hints;
and the local side of connections: proxy_bind, socket buffers."""
import os
import socket
import struct
import threading
import time

import pytest

from weirtest.client import build_request
from weirtest.http1 import Closed

OK = b"HTTP/1.1 200 OK\r\n"
GOOD = OK + b"Content-Length: 2\r\n\r\nok"
BIG = os.urandom(1 << 16) * 64          # 4 MiB
PASS = "location / { proxy_http_version 1.1; proxy_pass http://{up}; }"
AUTO = pytest.mark.weir_only("proxy_buffering auto is weir's own")


# proxy_buffering auto (U6.2)

@AUTO
@pytest.mark.parametrize("how, kind, is_stream", [
    ("auto", "text/event-stream", True), ("auto", "Text/Event-Stream; charset=utf-8", True), ("auto", "application/grpc", True),
    ("auto", "application/grpc+proto", True), ("auto", "application/grpc-web-text", True), ("auto", "application/connect+json", True),
    ("auto", "application/grpcx", False), ("auto", "text/event-streams", False), ("auto", "text/plain", False),
    ("on", "text/event-stream", False)])
def test_auto_does_not_buffer_streams(weir, origin, how, kind, is_stream):
    def script(conn):
        conn.read_request()
        conn.send(OK + f"Content-Type: {kind}\r\nContent-Length: {len(BIG)}\r\n\r\n".encode() + BIG)
    server = weir(f"proxy_buffering {how}; proxy_buffers 4 8k; " + PASS + " location /x { return 200 x; }", up=origin(script))
    client = server.client(rcvbuf=4096)
    client.send(build_request("GET", "/"))
    head = client.read_response_head()
    assert head.headers.get("X-Accel-Buffering") == ("no" if is_stream else None)
    if is_stream:
        for _ in range(20):
            server.get("/x")
    else:
        server.wait_log("buffered to a temporary file")
    assert client.read_exact(len(BIG)) == BIG
    assert ("temporary file" in server.log()) == (not is_stream)


@AUTO
def test_auto_is_the_default_and_a_peer_may_say_otherwise(weir, origin):
    data = b"d" * 300000

    def script(conn):
        for req in conn.requests():
            conn.send(OK + b"Content-Type: text/event-stream\r\nX-Accel-Buffering: " + req.target[1:].encode() +
                      b"\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
    server = weir(PASS + "location /ignored { proxy_ignore_headers X-Accel-Buffering; proxy_pass http://{up}/no; }", up=origin(script))
    assert server.get("/no").headers["X-Accel-Buffering"] == "no"
    assert "X-Accel-Buffering" not in server.get("/yes").headers
    assert "X-Accel-Buffering" not in server.get("/ignored").headers


# proxy_limit_rate (U6.6)

def test_limit_rate_holds_the_peer_back(weir, origin):  # U6.6
    data = b"r" * 150000
    up = origin(lambda c: [c.send(OK + b"Content-Length: %d\r\n\r\n" % len(data) + data) for _ in c.requests()])
    server = weir("location / { proxy_limit_rate 100k; proxy_pass http://{up}; }"
                  "location /off { proxy_buffering off; proxy_limit_rate 1; proxy_pass http://{up}; }", up=up)
    start = time.monotonic()
    assert server.get("/").body == data
    assert time.monotonic() - start > 0.8
    assert server.get("/off").body == data             # "only if buffering is on"


@pytest.mark.weir_only("nginx 1.22 takes no variables here (since 1.27.0)")
def test_limit_rate_with_a_variable(weir, origin):  # U6.6
    data = b"r" * 60000
    up = origin(lambda c: [c.send(OK + b"Content-Length: %d\r\n\r\n" % len(data) + data) for _ in c.requests()])
    server = weir("location / { proxy_limit_rate $arg_r; proxy_pass http://{up}; }", up=up)
    start = time.monotonic()
    assert server.get("/?r=60k").body == data and time.monotonic() - start > 0.5
    for target in ("/?r=0", "/?r=x", "/"):
        assert server.get(target).body == data


def test_limit_rate_does_not_time_out(weir, origin):  # U6.6: the read timeout does not run while a limit stops us
    data = b"r" * 100000
    up = origin(lambda c: (c.read_request(), c.send(OK + b"Content-Length: %d\r\n\r\n" % len(data) + data), c.hold()))
    server = weir("location / { proxy_limit_rate 50k; proxy_read_timeout 700ms; proxy_pass http://{up}; }", up=up)
    assert server.get("/").body == data


@pytest.mark.parametrize("size", [1000, 60000])
def test_limited_and_truncated(weir, origin, size):  # U6.5: all that came goes first, then the client is cut
    up = origin(lambda c: (c.read_request(), c.send(OK + b"Content-Length: 100000\r\n\r\n" + b"x" * size)))
    server = weir("location / { proxy_limit_rate 50k; proxy_pass http://{up}; }", up=up)
    client = server.client()
    client.send(build_request("GET", "/"))
    client.read_head()
    assert client.read_to_end() == b"x" * size
    server.wait_log("upstream prematurely closed connection while reading upstream")


def test_limited_and_the_client_leaves(weir, origin):  # U6.8
    up = origin(lambda c: (c.read_request(), c.send_lenient(OK + b"Content-Length: 1000000\r\n\r\n" + b"x" * 1000000)))
    server = weir("location / { proxy_limit_rate 10k; proxy_pass http://{up}; } location /x { return 200 x; }", up=up)
    client = server.client()
    client.send(build_request("GET", "/"))
    client.read_head()
    client.reset()
    up.ends or server.get("/x")
    assert up.wait_end(0)


def test_limited_head_request(weir, origin):
    up = origin(lambda c: [c.send(OK + b"Content-Length: 1000\r\n\r\n") for _ in c.requests()])
    server = weir("location / { proxy_limit_rate 10; proxy_pass http://{up}; }", up=up)
    assert server.request("HEAD", "/").headers["Content-Length"] == "1000"


# proxy_pass_trailers (U5.7)

TRAILED = OK + b"Trailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\nX-T: v\r\nX-Hide: h\r\nX-U: w\r\n\r\n"
TRAILERS = pytest.mark.weir_only("proxy_pass_trailers is newer than nginx 1.22")


@TRAILERS
@pytest.mark.parametrize("more", ["", "proxy_buffering off;", "proxy_limit_rate 1m;", "limit_rate 1m;",
                                  "proxy_buffers 2 4k; proxy_max_temp_file_size 0;"])
def test_trailers(weir, origin, more):  # U5.7
    body = b"b" * 100000
    up = origin(TRAILED % (len(body), body))
    server = weir("access_log {dir}/access.log t; location / { proxy_pass_trailers on; proxy_hide_header X-Hide;" + more +
                  "proxy_pass http://{up}; }", http="log_format t '$sent_trailer_x_u $upstream_trailer_x_t';", up=up)
    client = server.client()
    for _ in range(2):
        resp = client.get("/")
        assert resp.body == body and resp.headers["Trailer"] == "X-T"
        assert resp.trailers.items == [("X-T", "v"), ("X-U", "w")]
    assert server.access(2)[0] == "w v"


@TRAILERS
def test_no_trailers_where_they_cannot_be(weir, origin):
    up = origin([TRAILED % (2, b"ok"), GOOD, TRAILED % (2, b"ok")])
    server = weir("location / { proxy_pass_trailers on; proxy_pass http://{up}; }", up=up)
    assert server.get("/", version="1.0").text == "ok"
    assert up.connections == 1


@TRAILERS
def test_truncated_trailers_cut_the_client(weir, origin):  # U6.5
    up = origin(lambda c: (c.read_request(), c.send((TRAILED % (2, b"ok"))[:-6])))
    server = weir("location / { proxy_pass_trailers on; proxy_pass http://{up}; }", up=up)
    with pytest.raises(Closed):
        server.client().get("/")
    server.wait_log("upstream prematurely closed connection")


# early_hints (U5.4)

HINT = b"HTTP/1.1 103 Early Hints\r\nLink: </%d>; rel=preload\r\nX-Hide: h\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n"
HINTS = pytest.mark.weir_only("early_hints is newer than nginx 1.22")


@HINTS
@pytest.mark.parametrize("conf, passed", [("early_hints 1;", True), ("early_hints $arg_none 0 yes;", True), ("", False),
                                          ("early_hints $arg_none 0 '';", False)])
def test_hints(weir, origin, conf, passed):  # U5.4
    go = threading.Event()

    def script(conn):
        for _ in conn.requests():
            conn.send(HINT % 1 + b"HTTP/1.1 102 Processing\r\n\r\n" + HINT % 2)
            conn.wait(go)
            conn.send(HINT % 3 + GOOD)
    server = weir("location / { proxy_hide_header X-Hide; " + conf + " proxy_pass http://{up}; }", up=origin(script))
    client = server.client()
    client.send(build_request("GET", "/"))
    for number in (1, 2):
        if passed:                                  # they come before the peer goes on
            hint = client.read_response_head(interim=True)
            assert (hint.status, hint.headers.items) == (103, [("Link", f"</{number}>; rel=preload")])
    go.set()
    if passed:
        assert client.read_response_head(interim=True).headers["Link"].startswith("</3>")
    assert client.read_response().body == b"ok"


@HINTS
def test_no_hints_for_old_clients(weir, origin):
    up = origin(lambda c: [c.send(HINT % 1 + GOOD) for _ in c.requests()])
    assert weir("location / { early_hints 1; proxy_pass http://{up}; }", up=up).get("/", version="1.0").text == "ok"


@HINTS
def test_hints_before_a_failure_do_not_hinder_the_next_peer(weir, origin):
    bad = origin(lambda c: (c.read_request(), c.send(HINT % 1)))
    server = weir("location / { early_hints 1; proxy_pass http://g; }", bad=bad, up=origin(GOOD),
                  http="upstream g { server {bad}; server {up} backup; }")
    client = server.client()
    client.send(build_request("GET", "/"))
    assert client.read_response_head(interim=True).status == 103
    assert client.read_response().body == b"ok"


# proxy_bind (U3.2, U7.4)

def test_bind_with_a_port(weir, origin):  # U3.2
    seen = []

    def script(conn):
        seen.append(conn.sock.getpeername())
        conn.read_request()
        conn.reply()
    with socket.socket() as free:
        free.bind(("127.0.0.7", 0))
        port = free.getsockname()[1]
    server = weir(f"location / {{ proxy_bind 127.0.0.7:{port}; proxy_pass http://{{up}}; }}", up=origin(script))
    assert server.get("/").text == "ok" and seen == [("127.0.0.7", port)]


def test_bind_that_fails_is_our_fault(weir, origin):  # U7.4: 500, no other peer, nobody charged
    up = origin(GOOD)
    server = weir("location / { proxy_bind $arg_a; proxy_pass http://g; }", up=up, other=origin(GOOD), allow=[r"bind\("],
                  http="upstream g { zone g 64k; server {up}; server {other}; }")
    assert server.get("/?a=192.0.2.1").status == 500
    server.wait_log(r"\[crit\] .*bind\(192\.0\.2\.1\) failed \(99: Cannot assign requested address\) while connecting to upstream, "
                    r"client: .*, upstream: \"http://127\.0\.0\.1:")
    assert not up.connections
    assert server.get("/?a=").text == "ok"
    assert "temporarily disabled" not in server.log()


def test_bind_that_is_no_address(weir, origin):
    server = weir("location / { proxy_bind $arg_a; proxy_pass http://{up}; }", up=origin(GOOD))
    assert server.get("/?a=nonsense").text == "ok"
    server.wait_log(r'\[error\] .*invalid local address "nonsense"')


@pytest.mark.weir_only("proxy_bind_dynamic is of nginx's commercial version")
@pytest.mark.parametrize("how, address", [("on", "127.0.0.7"), ("off", "127.0.0.1")])
def test_bind_for_each_try(weir, origin, how, address):
    seen = []

    def script(conn):
        seen.append(conn.sock.getpeername()[0])
        conn.read_request()
        conn.reply(status="200 OK" if len(seen) > 1 else "500 Own", headers=[("X-N", "7")])
    server = weir("location / { proxy_bind_dynamic " + how + "; proxy_bind 127.0.0.$upstream_http_x_n; proxy_next_upstream http_500;"
                  "proxy_pass http://g; }", up=origin(script), other=origin(script), http="upstream g { zone g 64k; server {up}; server {other}; }")
    assert server.get("/").text == "ok" and seen == ["127.0.0.1", address]


@pytest.mark.weir_only("these variables are newer than nginx 1.22")
def test_last_peer(weir, origin):  # U7.5
    up = origin(GOOD)
    server = weir("location / { access_log {dir}/access.log t; proxy_set_header X-To '$upstream_last_addr $upstream_last_server_name';"
                  "proxy_pass http://g; } location /none { access_log {dir}/access.log t; return 200; }", up=up,
                  http="log_format t '$upstream_last_addr $upstream_last_server_name';"
                  "upstream g { server 127.0.0.1:{port_closed}; server localhost:{up_port} backup; }", up_port=up.port)
    with server.client() as client:
        assert client.get("/").text == "ok"
        client.get("/none")
    assert up.requests[0].headers["X-To"] == f"{up} localhost:{up.port}"
    assert server.access(2) == [f"{up} localhost:{up.port}", "- -"]


@pytest.mark.weir_only("proxy_socket_rcvbuf is newer than nginx 1.22")
def test_socket_buffers(weir, origin):  # U3.2
    windows = {}

    def script(conn):
        for req in conn.requests():
            info = conn.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 240)
            windows[req.target] = struct.unpack_from("I", info, 228)[0] if len(info) >= 232 else None    # tcpi_snd_wnd
            conn.reply()
    server = weir("location /small { proxy_socket_rcvbuf 8k; proxy_socket_sndbuf 8k; proxy_pass http://{up}; }"
                  "location / { proxy_pass http://{up}; }", up=origin(script))
    assert server.get("/small").text == "ok"
    if windows["/small"] is None:
        pytest.skip("the kernel does not tell the window")
    assert windows["/small"] <= 16384


def test_nothing_waits_for_ever(weir, origin):
    """A stage's pipe whose client takes nothing: send_timeout ends it, the peer is let go."""
    up = origin(lambda c: (c.read_request(), c.send_lenient(OK + b"Content-Length: %d\r\n\r\n" % len(BIG), BIG)))
    server = weir("send_timeout 300ms; location / { proxy_limit_rate 100m; proxy_max_temp_file_size 0; proxy_pass http://{up}; }", up=up)
    client = server.client(rcvbuf=4096)
    client.send(build_request("GET", "/"))
    server.wait_log("client timed out")
    up.wait_end(0)                                  # its send was cut, as it must be
