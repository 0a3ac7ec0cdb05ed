# SPDX-License-Identifier: Apache-2.0
"""Relay of response bodies: buffering on and off, temporary files, slow clients, event streams."""
import os
import threading
import time

import pytest

from weirtest.client import build_request
from weirtest.server import IS_NGINX
from weirtest.timing import LIMIT, wait_for

OK = b"HTTP/1.1 200 OK\r\n"
H11 = "proxy_http_version 1.1; "
BIG = os.urandom(1 << 16) * 64          # 4 MiB


def big_answer(conn):
    conn.read_request()
    conn.send(OK + b"Content-Length: %d\r\n\r\n" % len(BIG))
    conn.send(BIG)
    conn.origin.sent_all.set()


def make_big(origin):
    up = origin(big_answer)
    up.sent_all = threading.Event()
    return up


def test_peer_is_released_whatever_the_client_does(weir, origin):  # U6.3
    up = make_big(origin)
    server = weir("location / { proxy_buffers 4 8k; proxy_busy_buffers_size 8k; proxy_pass http://{up}; }", up=up)
    client = server.client(rcvbuf=4096)
    client.send(build_request("GET", "/"))
    assert up.sent_all.wait(LIMIT)               # the client has not read a byte
    assert up.wait_end(0)
    server.wait_log(r"\[warn\].* an upstream response is buffered to a temporary file " + server.path("proxy"))
    resp = client.read_response()
    assert resp.body == BIG


def test_temporary_files_of_responses_go_away(weir, origin):
    up = make_big(origin)
    server = weir("location / { proxy_buffers 4 8k; proxy_busy_buffers_size 8k; proxy_pass http://{up}; }", up=up)
    client = server.client(rcvbuf=4096)
    client.send(build_request("GET", "/"))
    assert up.sent_all.wait(LIMIT)
    client.read_response()
    wait_for(lambda: not [f for _, _, files in os.walk(server.path("proxy")) for f in files],
             "temporary files to be removed")


def test_no_temporary_file_means_back_pressure(weir, origin):  # U6.3
    up = make_big(origin)
    server = weir("location / { proxy_max_temp_file_size 0; proxy_buffers 4 8k; proxy_busy_buffers_size 8k; proxy_pass http://{up}; }"
                  "location /x { return 200 x; }", up=up)
    client = server.client(rcvbuf=4096)
    client.send(build_request("GET", "/"))
    client.read_head()
    for _ in range(20):
        assert server.get("/x").text == "x"
    got = client.read_exact(len(BIG))
    assert got == BIG and "temporary file" not in server.log()


def test_limited_temporary_file(weir, origin):
    up = make_big(origin)
    server = weir("location / { proxy_max_temp_file_size 128k; proxy_temp_file_write_size 16k; proxy_buffers 4 8k; proxy_busy_buffers_size 8k;"
                  "proxy_pass http://{up}; }", up=up)
    client = server.client(rcvbuf=4096)
    client.send(build_request("GET", "/"))
    server.wait_log("buffered to a temporary file")
    assert client.read_response().body == BIG


@pytest.mark.parametrize("buffering", ["on", "off"])
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_big_body(weir, origin, buffering, framing):
    def script(conn):
        conn.read_request()
        if framing == "length":
            conn.send(OK + b"Content-Length: %d\r\n\r\n" % len(BIG), BIG)
        elif framing == "close":
            conn.send(OK + b"\r\n", BIG)
        else:
            conn.send(OK + b"Transfer-Encoding: chunked\r\n\r\n")
            for at in range(0, len(BIG), 70001):
                part = BIG[at:at + 70001]
                conn.send(b"%x\r\n" % len(part) + part + b"\r\n")
            conn.send(b"0\r\n\r\n")
    server = weir(f"location / {{ {H11} proxy_buffering {buffering}; proxy_pass http://{{up}}; }}", up=origin(script))
    assert server.get("/").body == BIG


@pytest.mark.parametrize("sizes", ["proxy_buffer_size 1k; proxy_buffers 2 1k; proxy_busy_buffers_size 1k;",
                                   "proxy_buffer_size 8k; proxy_buffers 64 512; proxy_busy_buffers_size 8k;",
                                   "proxy_buffer_size 512; proxy_buffers 3 4k; proxy_busy_buffers_size 4k;",
                                   "proxy_buffers 16 64k; proxy_busy_buffers_size 128k;"])
def test_odd_buffer_sizes(weir, origin, sizes):
    up = make_big(origin)
    assert weir("location / { " + sizes + " proxy_pass http://{up}; }", up=up).get("/").body == BIG


@pytest.mark.parametrize("how", ["proxy_buffering off", "X-Accel-Buffering: no"])
def test_event_stream_byte_for_byte(weir, origin, how):  # U6.2
    got = threading.Semaphore(0)

    def script(conn):
        conn.read_request()
        accel = "X-Accel-Buffering: no\r\n" if "Accel" in how else ""
        conn.send(OK + b"Content-Type: text/event-stream\r\n" + accel.encode() + b"\r\n")
        for i in range(20):
            conn.send(b"%c" % (97 + i))
            assert got.acquire(timeout=LIMIT)     # the next byte leaves when the client has this one
    server = weir("location / { " + H11 + ("proxy_buffering off; " if "off" in how else "") +
                  "proxy_pass http://{up}; }", up=origin(script))
    client = server.client()
    client.send(build_request("GET", "/"))
    resp = client.read_response_head()
    assert resp.headers["Transfer-Encoding"] == "chunked"
    assert resp.headers.get("X-Accel-Buffering") == (None if "off" in how or IS_NGINX else "no")
    for i in range(20):
        assert client.read_chunk() == b"%c" % (97 + i)
        got.release()
    assert client.read_chunk() == b""


def test_accel_buffering_yes_switches_on(weir, origin):
    def script(conn):
        conn.read_request()
        conn.send(OK + b"X-Accel-Buffering: yes\r\nContent-Length: %d\r\n\r\n" % len(BIG), BIG)
        conn.origin.sent_all.set()
    up = origin(script)
    up.sent_all = threading.Event()
    server = weir("location / { proxy_buffering off; proxy_buffers 4 8k; proxy_busy_buffers_size 8k; proxy_pass http://{up}; }", up=up)
    client = server.client(rcvbuf=4096)
    client.send(build_request("GET", "/"))
    assert up.sent_all.wait(LIMIT)
    assert client.read_response().body == BIG


def test_accel_buffering_is_ignored_when_told(weir, origin):
    def script(conn):
        conn.read_request()
        conn.send(OK + b"X-Accel-Buffering: no\r\nContent-Length: %d\r\n\r\n" % len(BIG), BIG)
        conn.origin.sent_all.set()
    up = origin(script)
    up.sent_all = threading.Event()
    server = weir("location / { proxy_ignore_headers X-Accel-Buffering; proxy_buffers 4 8k; proxy_busy_buffers_size 8k; proxy_pass http://{up}; }",
                  up=up)
    client = server.client(rcvbuf=4096)
    client.send(build_request("GET", "/"))
    assert up.sent_all.wait(LIMIT)
    assert client.read_response().body == BIG


def test_unbuffered_holds_the_peer_back(weir, origin):  # U6.2
    up = make_big(origin)
    server = weir("location / { proxy_buffering off; proxy_pass http://{up}; } location /x { return 200 x; }", up=up)
    client = server.client(rcvbuf=4096)
    client.send(build_request("GET", "/"))
    client.read_head()
    for _ in range(20):
        server.get("/x")
    got = client.read_exact(len(BIG))
    assert got == BIG and "temporary file" not in server.log()


def test_buffered_gives_the_client_what_is_there(weir, origin):  # U6.3: a partly filled buffer goes out
    seen = threading.Event()

    def script(conn):
        conn.read_request()
        conn.send(OK + b"Content-Length: 12\r\n\r\npart")
        conn.wait(seen)
        conn.send(b"the rest")
    client = weir("location / { proxy_pass http://{up}; }", up=origin(script)).client()
    client.send(build_request("GET", "/"))
    threading.Timer(0.3, seen.set).start()        # buffered output may wait for more; it must end whole in any case
    resp = client.read_response()
    assert resp.body == b"partthe rest"


def test_proxy_limit_rate(weir, origin):  # U6.6
    data = b"r" * 120000
    up = origin(lambda c: (c.read_request(), c.send(OK + b"Content-Length: %d\r\n\r\n" % len(data) + data)))
    server = weir("location / { proxy_limit_rate 60k; proxy_pass http://{up}; }", up=up)
    start = time.monotonic()
    assert server.get("/").body == data
    assert time.monotonic() - start > 0.5


def test_x_accel_limit_rate(weir, origin):
    data = b"r" * 170000
    up = origin(lambda c: (c.read_request(),
                           c.send(OK + b"X-Accel-Limit-Rate: 80000\r\nContent-Length: %d\r\n\r\n" % len(data) + data)))
    server = weir("location / { proxy_pass http://{up}; }", up=up)
    start = time.monotonic()
    assert server.get("/").body == data
    assert time.monotonic() - start > 0.5


def test_x_accel_redirect(weir, origin):  # U5.6, U5.9
    up = origin(OK + b"X-Accel-Redirect: /internal/f?x=1\r\nContent-Type: own/type\r\nSet-Cookie: a=1\r\nX-Other: o\r\nContent-Length: 4\r\n\r\nbody")
    server = weir("location / { proxy_pass http://{up}; } location /internal/ { internal; root {dir}; }", up=up,
                  files={"internal/f": b"file"})
    resp = server.get("/")
    assert (resp.status, resp.body, resp.headers["Content-Type"], resp.headers["Set-Cookie"]) == (200, b"file",
                                                                                                  "own/type", "a=1")
    assert "X-Other" not in resp.headers and "X-Accel-Redirect" not in resp.headers
    assert server.get("/internal/f").status == 404


def test_x_accel_redirect_method_and_args(weir, origin):
    up = origin(OK + b"X-Accel-Redirect: /in?x=1\r\nContent-Length: 0\r\n\r\n")
    server = weir('location / { proxy_pass http://{up}; } location /in { internal; return 200 "$request_method $uri $args"; }', up=up)
    assert server.request("POST", "/p?q=2", body=b"abc").text == "GET /in x=1"


def test_x_accel_redirect_named(weir, origin):
    up = origin(OK + b"X-Accel-Redirect: @n\r\nContent-Length: 0\r\n\r\n")
    server = weir('location / { proxy_pass http://{up}; } location @n { return 200 "$request_method $uri"; }', up=up)
    assert server.request("POST", "/p", body=b"abc").text == "POST /p"


def test_x_accel_redirect_unsafe(weir, origin):
    up = origin(OK + b"X-Accel-Redirect: /../etc/passwd\r\nContent-Length: 0\r\n\r\n")
    assert weir("location / { proxy_pass http://{up}; }", up=up).get("/").status == 404


def test_slow_client_does_not_slow_others(weir, origin):
    up = origin([big_answer, OK + b"Content-Length: 2\r\n\r\nok"])
    up.sent_all = threading.Event()
    server = weir("location / { proxy_buffering off; proxy_pass http://{up}; }", up=up)
    slow = server.client(rcvbuf=4096)
    slow.send(build_request("GET", "/"))
    slow.read_head()
    for _ in range(30):
        assert server.get("/").text == "ok"
