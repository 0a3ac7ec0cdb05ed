# SPDX-License-Identifier: Apache-2.0
"""Limits of size and time on what a client sends, and how fields are taken."""
import socket
import time

import pytest

from weirtest.client import build_request
from weirtest.timing import LIMIT, wait_for

ECHO = 'location / { return 200 "$uri|$http_x_a|$http_long"; }'


def padded(target, size):
    """A request whose request line has exactly size bytes with its CRLF."""
    pad = size - len(f"GET {target}? HTTP/1.1\r\n")
    return build_request("GET", target + "?" + "q" * pad)


# sizes

def test_line_fits_the_small_buffer(weir):
    server = weir("client_header_buffer_size 256; large_client_header_buffers 1 1k; " + ECHO)
    assert server.raw(padded("/a", 250)).status == 200


def test_line_goes_to_a_large_buffer(weir):
    server = weir("client_header_buffer_size 256; large_client_header_buffers 2 1k; " + ECHO)
    assert server.raw(padded("/a", 1000)).status == 200


def test_line_above_a_large_buffer(weir):
    server = weir("client_header_buffer_size 256; large_client_header_buffers 4 1k; " + ECHO)
    client = server.client()
    assert client.raw(padded("/a", 1100)).status == 414
    client.wait_closed()


def test_field_above_a_large_buffer(weir):
    server = weir("client_header_buffer_size 256; large_client_header_buffers 4 1k; " + ECHO)
    client = server.client()
    client.send(build_request("GET", "/", {"Long": "v" * 1100}))
    assert client.read_response().status == 400
    client.wait_closed()


def test_field_fits_a_large_buffer(weir):
    server = weir("client_header_buffer_size 256; large_client_header_buffers 4 1k; " + ECHO)
    assert server.get("/", {"Long": "v" * 900}).text.endswith("|" + "v" * 900)


def test_fields_above_all_large_buffers(weir):
    server = weir("client_header_buffer_size 256; large_client_header_buffers 2 1k; " + ECHO)
    client = server.client()
    client.send(build_request("GET", "/", [(f"X-{i}", "v" * 800) for i in range(4)]))
    assert client.read_response().status == 400
    client.wait_closed()


def test_fields_fit_all_large_buffers(weir):
    server = weir("client_header_buffer_size 256; large_client_header_buffers 4 1k; " + ECHO)
    assert server.get("/", [(f"X-{i}", "v" * 800) for i in range(3)]).status == 200


def test_large_buffers_are_given_back(weir):
    # The limit is for each request, not for the life of the connection.
    client = weir("client_header_buffer_size 256; large_client_header_buffers 2 1k; " + ECHO).client()
    for _ in range(20):
        assert client.get("/", {"Long": "v" * 900}).status == 200


def test_pipelined_large_heads(weir):
    client = weir("client_header_buffer_size 256; large_client_header_buffers 2 1k; " + ECHO).client()
    one = build_request("GET", "/p", {"Long": "v" * 600})
    client.send(one * 10)
    for _ in range(10):
        assert client.read_response().text == "/p||" + "v" * 600


@pytest.mark.weir_only("U14.2: lines of a head are bounded; max_headers is newer than nginx 1.22 (Debian may have it)")
def test_max_headers(weir):
    server = weir("max_headers 10; " + ECHO)
    assert server.get("/", [(f"X-{i}", "v") for i in range(8)]).status == 200
    client = server.client()
    client.send(build_request("GET", "/", [(f"X-{i}", "v") for i in range(20)]))
    assert client.read_response().status == 400
    client.wait_closed()


def test_414_page_and_400_page(weir):
    server = weir("large_client_header_buffers 1 1k; client_header_buffer_size 256; " + ECHO)
    client = server.client()
    client.send(padded("/a", 1500))
    assert "414 Request-URI Too Large" in client.read_response().text
    client = server.client()
    client.send(build_request("GET", "/", {"Long": "v" * 1100}))
    assert "<center>Request Header Or Cookie Too Large</center>" in client.read_response().text


def test_client_max_body_size(weir, origin):
    server = weir("client_max_body_size 100; location / { proxy_pass http://{up}; }", up=origin())
    assert server.request("POST", "/", body=b"x" * 100).status == 200
    assert server.request("POST", "/", {"Content-Length": "101"}).status == 413
    client = server.client()
    client.send(build_request("POST", "/", {"Transfer-Encoding": "chunked"}) + b"65\r\n" + b"x" * 101 +
                b"\r\n0\r\n\r\n")
    assert client.read_response().status == 413
    server.wait_log("client intended to send too large body: 101 bytes")


def test_client_max_body_size_zero_is_no_limit(weir, origin):
    server = weir("client_max_body_size 0; location / { proxy_pass http://{up}; }", up=origin())
    assert server.request("POST", "/", body=b"x" * 3000000).status == 200


def test_client_max_body_size_by_location(weir, origin):
    server = weir("location / { proxy_pass http://{up}; } location /s { client_max_body_size 1; proxy_pass http://{up}; }",
                  up=origin())
    assert server.request("POST", "/", body=b"xx").status == 200
    assert server.request("POST", "/s", body=b"xx").status == 413


# lingering close (RFC 9112 9.6): the answer is not lost to a reset while the client still sends

def test_413_is_readable_while_the_body_comes(weir):
    client = weir("client_max_body_size 1k; location / { return 200 x; }").client()
    client.send(build_request("POST", "/", {"Content-Length": "400000"}))
    resp = client.read_response()
    assert resp.status == 413 and resp.headers["Connection"] == "close"
    for _ in range(10):
        client.send(b"x" * 20000)   # would break if the server had reset the connection
    assert client.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


def test_lingering_timeout(weir):
    client = weir("client_max_body_size 1k; lingering_timeout 200ms; location / { return 200 x; }").client()
    client.send(build_request("POST", "/", {"Content-Length": "400000"}))
    assert client.read_response().status == 413
    client.wait_closed()


def test_lingering_time(weir):
    server = weir("client_max_body_size 1k; lingering_time 1s; lingering_timeout 700ms; location / { return 200 x; }")
    client = server.client()
    client.send(build_request("POST", "/", {"Content-Length": "400000"}))
    assert client.read_response().status == 413
    wait_for(lambda: not client.send_lenient(b"x") or time.sleep(0.05), "the end of lingering_time")


@pytest.mark.weir_only("the documentation says that off never waits; nginx waits for lingering_timeout here")
def test_lingering_close_off(weir):
    client = weir("client_max_body_size 1k; lingering_close off; lingering_timeout 30s; location / { return 200 x; }").client()
    client.send(build_request("POST", "/", {"Content-Length": "400000"}))
    assert client.read_response().status == 413
    client.wait_closed()


@pytest.mark.weir_only("the documentation says that off never waits; nginx waits for lingering_timeout here")
def test_lingering_close_off_of_a_location(weir):
    client = weir("client_max_body_size 1k; lingering_timeout 30s; location / { lingering_close off; return 200 x; }").client()
    client.send(build_request("POST", "/", {"Content-Length": "400000"}))
    assert client.read_response().status == 413
    client.wait_closed()


# time

def test_client_header_timeout(weir):
    client = weir("client_header_timeout 200ms; " + ECHO).client()
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\nA: ")
    rest = client.read_to_end()
    assert rest == b"" or rest.startswith(b"HTTP/1.1 408 ")


def test_client_header_timeout_is_for_the_whole_head(weir):  # U14.7, slowloris
    server = weir("client_header_timeout 400ms; " + ECHO)
    start = time.monotonic()
    client = server.client()
    client.send_lenient(b"GET / HTTP/1.1\r\nHost: x\r\n")
    wait_for(lambda: not client.send_lenient(b"A: b\r\n") or time.sleep(0.05), "the header timeout")
    assert time.monotonic() - start >= 0.35


def test_silent_connection_is_closed(weir):
    client = weir("client_header_timeout 200ms; " + ECHO).client()
    rest = client.read_to_end()
    assert rest == b"" or rest.startswith(b"HTTP/1.1 408 ")


def test_client_header_timeout_logged_as_408(weir):
    server = weir("client_header_timeout 200ms; access_log {dir}/access.log t; " + ECHO,
                  http="log_format t '$status $request_uri';")
    client = server.client()
    client.send(b"GET /slow HTTP/1.1\r\nHost: x\r\nA: ")
    client.read_to_end()
    assert server.access(1)[0].startswith("408 ")


def test_client_body_timeout(weir, origin):
    up = origin()
    client = weir("client_body_timeout 200ms; location / { proxy_pass http://{up}; }", up=up).client()
    client.send(build_request("POST", "/", {"Content-Length": "10"}), b"abc")
    rest = client.read_to_end()
    assert rest == b"" or rest.startswith(b"HTTP/1.1 408 ")
    assert up.connections == 0    # U14.7: none before the body is here


def test_client_body_timeout_is_between_reads(weir, origin):
    up = origin()
    server = weir("client_body_timeout 1s; location / { proxy_pass http://{up}; }", up=up)

    def attempt():
        """None when this very process was held up for as long."""
        client, longest = server.client(), 0.0
        start = last = time.monotonic()
        client.send(build_request("POST", "/", {"Content-Length": "8"}))
        for i in range(8):
            client.send_lenient(b"%d" % i)
            now = time.monotonic()
            longest, last = max(longest, now - last), now
            if i < 7:
                time.sleep(0.2)    # below the limit each, above it together
        try:
            status = client.read_response().status
        except (ConnectionError, AssertionError):
            status = None
        if status != 200 and longest > 0.8:
            return None
        assert time.monotonic() - start > 1.3
        return status
    assert wait_for(attempt, "a client that is not held up", limit=3 * LIMIT) == 200
    assert up.requests[-1].body == b"01234567"


def test_client_body_timeout_unbuffered(weir, origin):  # U4.6: 408 while we wait for the client's body
    up = origin(lambda c: (c.read_head(), c.hold()))
    server = weir("""client_body_timeout 200ms; access_log {dir}/access.log t;
        location / { proxy_http_version 1.1; proxy_request_buffering off; proxy_pass http://{up}; }""",
                  http="log_format t '$status';", up=up)
    client = server.client()
    client.send(build_request("POST", "/", {"Content-Length": "10"}), b"abc")
    rest = client.read_to_end()
    assert rest == b"" or rest.startswith(b"HTTP/1.1 408 ")
    up.wait_end(0)
    assert server.access(1) == ["408"]


def test_send_timeout(weir):
    server = weir("send_timeout 300ms; access_log {dir}/access.log t; root {dir};", http="log_format t '$status';",
                  files={"big": b"x" * (32 << 20)})
    client = server.client(rcvbuf=4096)
    client.send(build_request("GET", "/big"))
    server.access(1)               # the end of the request, without the client having read a byte
    assert len(client.read_to_end()) < 32 << 20


def test_reset_timedout_connection(weir):
    server = weir("send_timeout 300ms; reset_timedout_connection on; access_log {dir}/access.log t; root {dir};",
                  http="log_format t '$status';", files={"big": b"x" * (32 << 20)})
    client = server.client(rcvbuf=4096)
    client.send(build_request("GET", "/big"))
    server.access(1)
    client.read_to_end()
    assert client.ended == "reset"


# fields and paths

@pytest.mark.parametrize("target,expect", [("/a//b///c", "/a/b/c"), ("//a", "/a"), ("/a/./b/../c", "/a/c"),
                                           ("/a/b/..", "/a/"),
                                           ("/a%2Fb", "/a/b"), ("/%61", "/a"), ("/a%20b", "/a b"),
                                           ("/a/%2e%2e/b", "/b"),
                                           ("/a?b//c", "/a"), ("/a%3Fb", "/a?b"), ("/a+b", "/a+b"), ("/...", "/...")])
def test_uri_is_normalised(weir_shared_echo, target, expect):
    assert weir_shared_echo.get(target).text == expect + "||"


@pytest.fixture(scope="module")
def weir_shared_echo(weir_shared):
    return weir_shared.server(ECHO)


def test_merge_slashes_off(weir):
    server = weir("merge_slashes off; " + ECHO)
    assert server.get("//a///b").text == "//a///b||"


def test_underscores_in_headers(weir):
    off, on = weir(ECHO), weir("underscores_in_headers on; " + ECHO)
    assert off.get("/", {"X_A": "v"}).text == "/||"
    assert on.get("/", {"X_A": "v"}).text == "/|v|"
    assert off.get("/", {"X-A": "v"}).text == "/|v|"


def test_ignore_invalid_headers_is_on(weir, origin):
    up = origin()
    server = weir("location / { proxy_pass http://{up}; }", up=up)
    assert server.get("/", {"X.A": "v", "X_B": "v", "X-C": "v"}).status == 200
    names = up.requests[0].headers.names()
    assert "x-c" in names and "x.a" not in names and "x_b" not in names
    server.wait_log('client sent invalid header line: "X.A: v"')


def test_ignore_invalid_headers_off(weir, origin):
    up = origin()
    server = weir("ignore_invalid_headers off; location / { proxy_pass http://{up}; }", up=up)
    assert server.get("/", {"X.A": "v"}).status == 200
    assert up.requests[0].headers["X.A"] == "v"


def test_client_that_resets_disturbs_nobody(weir):
    server = weir(ECHO)
    for at in (0, 1, 20):
        client = server.client()
        client.send(build_request("GET", "/")[:at])
        client.reset()
    assert server.get("/x").status == 200


def test_client_that_reads_slowly_gets_all(weir):
    data = bytes(range(256)) * 4096 * 4
    server = weir("root {dir};", files={"f.bin": data})
    client = server.client(rcvbuf=4096)
    client.send(build_request("GET", "/f.bin"))
    resp = client.read_response_head()
    got = bytearray()
    while len(got) < int(resp.headers["Content-Length"]):
        got += client.read_exact(min(4096, len(data) - len(got)))
    assert got == data


def test_limit_rate(weir):
    server = weir("limit_rate 100k; limit_rate_after 10k; root {dir};", files={"f": b"x" * 170000})
    start = time.monotonic()
    assert len(server.get("/f").body) == 170000
    took = time.monotonic() - start
    assert 0.3 < took < LIMIT
