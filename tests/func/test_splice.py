# SPDX-License-Identifier: Apache-2.0
"""Big bodies that nobody looks at stay in the kernel (splice): the bytes, the calls, the ends, and who sees nothing of it."""
import os
import threading

import pytest

from weirtest.client import build_request
from weirtest.load import CallCount, is_sanitized, processes_of, skip_loudly
from weirtest.timing import wait_for

DATA = os.urandom(6 << 20)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(DATA)
PROXY = "proxy_http_version 1.1; proxy_set_header Connection ''; proxy_max_temp_file_size 0; proxy_pass http://{up}; "

pytestmark = pytest.mark.weir_only("nginx copies bodies")


def whole(conn):
    for _ in conn.requests():
        conn.send(HEAD, DATA)


def serve(weir, origin, script=whole, text="", **more):
    up = origin(script)
    return weir(text + "location / { " + PROXY + "} location /off { sendfile off; " + PROXY + "}", up=up, workers=1, **more)


def calls_of(server, path):
    if is_sanitized(server):
        skip_loudly("a sanitizer in the program makes calls of its own")
    with CallCount(processes_of(server)) as count:
        assert server.get(path).body == DATA
    return count.calls


def test_a_big_body_is_spliced(weir, origin):  # U6.1
    calls = calls_of(serve(weir, origin), "/")
    # 6 MB in pieces of at most 1 MB, in and out.
    assert calls.get("splice", 0) >= 10, calls


def test_sendfile_off_means_copies(weir, origin):
    assert "splice" not in calls_of(serve(weir, origin), "/off")


def descriptors(server):
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in processes_of(server))


def test_pipes_are_closed_when_nobody_needs_them(weir, origin):
    server = serve(weir, origin)
    client = server.client()
    assert client.get("/off").body == DATA
    before = descriptors(server)
    assert client.get("/").body == DATA
    assert descriptors(server) > before
    wait_for(lambda: descriptors(server) <= before, "the end of the kernel pipes")


@pytest.mark.parametrize("path", ["/", "/off"])
def test_truncated_is_never_whole(weir, origin, path):  # U6.5
    def cut(conn):
        conn.read_request()
        conn.send(HEAD, DATA[:3 << 20])

    server = serve(weir, origin, cut)
    client = server.client()
    client.send(build_request("GET", path))
    body = read_all(client).partition(b"\r\n\r\n")[2]
    assert body == DATA[:len(body)] and len(body) == 3 << 20
    server.wait_log(r"\[error\] .*upstream prematurely closed connection while reading upstream")


def read_all(client):
    got = b""
    while True:
        data = client.sock.recv(1 << 20)
        if not data:
            return got
        got += data


def test_the_connection_lives_on(weir, origin):  # U10.1
    """The next answer comes whole on both connections, a small one and an error between the big ones."""
    def script(conn):
        for number, _ in enumerate(conn.requests()):
            if number == 1:
                conn.reply(b"small")
            else:
                conn.send(HEAD, DATA)

    up = origin(script)
    server = weir("location / { " + PROXY.replace("{up}", "g") + "}", up=up, workers=1,
                  http="upstream g { server {up}; keepalive 1; }")
    client = server.client()
    assert client.get("/1").body == DATA
    assert client.get("/2").body == b"small"
    assert client.get("/3").body == DATA
    assert up.connections == 1


def test_slow_client_and_temporary_file(weir, origin):  # U6.3
    """First into the pipe, then to the file, then straight on again: in order."""
    up = origin(whole)
    server = weir("location / { proxy_http_version 1.1; proxy_pass http://{up}; }", up=up, workers=1)
    client = server.client(rcvbuf=16384)
    client.send(build_request("GET", "/"))
    server.wait_log("an upstream response is buffered to a temporary file")
    assert client.read_response("GET").body == DATA


def test_client_leaves_in_the_middle(weir, origin):  # U8.1
    gone = threading.Event()

    def script(conn):
        conn.read_request()
        try:
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
            while True:
                conn.send(DATA)
        except OSError:
            gone.set()

    server = serve(weir, origin, script)
    client = server.client()
    client.send(build_request("GET", "/"))
    for _ in range(4):
        assert client.sock.recv(1 << 20)
    client.reset()
    wait_for(gone.is_set, "the end of the peer's connection")


def test_range_of_a_big_body(weir, origin):
    """A filter sees every byte: nothing is spliced past it."""
    server = serve(weir, origin, text="proxy_force_ranges on; ")
    resp = server.get("/", {"Range": "bytes=1000000-4999999"})
    assert resp.status == 206 and resp.body == DATA[1000000:5000000]


def test_chunked_for_the_client(weir, origin):
    """A body that ends with the peer's connection."""
    def script(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", DATA)

    resp = serve(weir, origin, script).get("/")
    assert resp.framing == "chunked" and resp.body == DATA


def test_limit_rate(weir, origin):
    """Pieces as small as the rate says, from the pipe as well."""
    server = serve(weir, origin, text="limit_rate 30m; limit_rate_after 1m; ")
    assert server.get("/").body == DATA
