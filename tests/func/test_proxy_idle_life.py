# SPDX-License-Identifier: Apache-2.0
"""How long peers keep idle connections: what they say, what is seen of them, and requests that meet the end."""
import os
import sys
import threading
import time

import pytest

from weirtest.server import ROOT
from weirtest.timing import LIMIT, wait_for

sys.path.insert(0, os.path.join(ROOT, "tests", "soak"))
import idle  # noqa: E402

HTTP = "upstream g { server {up}; keepalive 4; }"
LOCATION = "location / { proxy_http_version 1.1; proxy_set_header Connection ''; proxy_pass http://g; }"


def start(weir, up):
    return weir(LOCATION, http=HTTP, workers=1, up=up)


@pytest.mark.weir_only("U10: `Keep-Alive: timeout=N` of a peer is heeded; nginx 1.22 does not look at it")
def test_what_the_peer_says(weir, origin):  # U10.1 U10.2
    up = origin(b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=2, max=100\r\nContent-Length: 2\r\n\r\nok")
    client = start(weir, up).client()

    def attempt():
        """None when a busy machine held us up between the requests, or up the end."""
        before, began = up.connections, time.monotonic()
        for _ in range(3):
            assert client.get("/").text == "ok"
        last = time.monotonic()
        if last - began > 1:
            up.wait_end(up.connections - 1)
            return None
        assert up.connections == before + 1
        assert up.wait_end(before) == "eof"
        took = time.monotonic() - last
        # A quarter of it before the peer's own end; keepalive_timeout is 60 s.
        assert took > 1
        return took < 2 or None
    wait_for(attempt, "the end before the peer's own", limit=3 * LIMIT)
    before = up.connections
    assert client.get("/").text == "ok"
    assert up.connections == before + 1


@pytest.mark.weir_only("U10: as above")
def test_a_peer_that_says_never(weir, origin):
    up = origin(b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=0\r\nContent-Length: 2\r\n\r\nok")
    client = start(weir, up).client()
    assert [client.get("/").text for _ in range(3)] == ["ok"] * 3
    assert up.connections == 3


@pytest.mark.weir_only("U10: what is seen of a peer is learned; nginx 1.22 learns nothing")
def test_what_is_seen_of_the_peer(weir, origin):  # U10.2
    ends = []

    def script(conn):
        conn.read_request()
        conn.reply()
        began = time.monotonic()
        conn.sock.settimeout(0.4)
        try:
            conn.sock.recv(1)
        except TimeoutError:
            ends.append("peer")
            return
        ends.append(time.monotonic() - began)
    up = origin(script)
    server = start(weir, up)
    for number in range(4):
        assert server.get("/").text == "ok"
        up.wait_end(number)
        wait_for(lambda n=number: len(ends) > n, "the end of the connection")
    assert ends[:3] == ["peer"] * 3
    # The fourth, unless a busy machine held up the one or the other.
    while ends[-1] == "peer" and len(ends) < 15:
        assert server.get("/").text == "ok"
        number = len(ends)
        up.wait_end(number)
        wait_for(lambda n=number: len(ends) > n, "the end of the connection")
    assert ends[-1] != "peer" and ends[-1] > 0.2, ends


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_post_that_may_have_been_read_is_not_sent_again(weir, origin, how):  # U2.6 U7.2
    def script(conn):
        conn.read_request()
        conn.reply()
        if conn.number == 0:
            conn.read_request()
            if how == "reset":
                conn.reset()
            return
        conn.hold()
    up = origin(script)
    client = start(weir, up).client()
    assert client.get("/").text == "ok"
    assert client.request("POST", "/", body=b"once").status == 502
    assert [r.method for r in up.requests] == ["GET", "POST"]


def test_a_post_that_cannot_have_been_read(weir, origin):  # U2.6
    """The connection is closed before the POST comes: whatever the server had seen of that, it arrives once."""
    closed = threading.Event()

    def script(conn):
        conn.read_request()
        conn.reply()
        if conn.number == 0:
            conn.close()
            closed.set()
            return
        conn.hold()
    up = origin(script)
    client = start(weir, up).client()
    assert client.get("/").text == "ok"
    assert closed.wait(LIMIT)
    assert client.request("POST", "/", body=b"once").text == "ok"
    assert [(r.method, r.conn) for r in up.requests] == [("GET", 0), ("POST", 1)]


@pytest.mark.weir_only("U2.6: POSTs, too")
def test_random_intervals(command):  # U2.6 U10.2, in small; tests/soak/idle.py has the full scale
    lines, faults = idle.play(command(), 200, 100, rate=100)
    assert not faults, lines + faults
