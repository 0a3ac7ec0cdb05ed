# SPDX-License-Identifier: Apache-2.0
"""Clients that leave, early answers, both directions at once."""
import os
import threading

import pytest

from weirtest.client import build_request
from weirtest.http1 import Closed
from weirtest.timing import LIMIT, SLOW, wait_for

FMT = "log_format t '$status|$upstream_status|$request_completion';"
LOG = "access_log {dir}/access.log t; "
OK = b"HTTP/1.1 200 OK\r\n"


def hold(conn):
    conn.read_request()
    conn.hold()


@pytest.mark.parametrize("how", ["close", "reset"])
def test_client_leaves_before_the_head(weir, origin, how):  # U4.7
    up = origin(hold)
    server = weir(LOG + "location / { proxy_pass http://{up}; }", up=up, http=FMT)
    client = server.client()
    client.send(build_request("GET", "/"))
    up.wait_requests(1)
    getattr(client, how)()
    assert up.wait_end(0) in ("eof", "reset")
    assert server.access(1)[0].startswith("499|")
    if how == "close":
        server.wait_log(r"client prematurely closed connection")


def test_client_leaves_with_pipelined_bytes(weir, origin):  # U4.7
    up = origin(hold)
    server = weir(LOG + "location / { proxy_pass http://{up}; }", up=up, http=FMT)
    client = server.client()
    client.send(build_request("GET", "/1"))
    up.wait_requests(1)
    client.send(build_request("GET", "/2"))
    client.reset()
    assert up.wait_end(0) in ("eof", "reset")
    assert server.access(1)[0].startswith("499|")
    assert len(up.requests) == 1


@pytest.mark.parametrize("buffering", ["on", "off"])
def test_client_leaves_in_the_body(weir, origin, buffering):  # U6.8
    def script(conn):
        conn.read_request()
        conn.send(OK + b"Content-Length: 1000000\r\n\r\n" + b"x" * 1000)
        conn.hold()
    up = origin(script)
    server = weir(LOG + f"location / {{ proxy_buffering {buffering}; proxy_pass http://{{up}}; }}", up=up, http=FMT)
    client = server.client()
    client.send(build_request("GET", "/"))
    if buffering == "off":
        client.read_head()
    else:
        up.wait_requests(1)
    client.reset()
    assert up.wait_end(0) in ("eof", "reset")
    server.access(1)


def test_client_leaves_while_it_sends(weir, origin):
    def script(conn):
        conn.read_request(body=False)
        conn.hold()
    up = origin(script)
    server = weir(LOG + "location / { proxy_http_version 1.1; proxy_request_buffering off; proxy_pass http://{up}; }",
                  up=up, http=FMT)
    client = server.client()
    client.send(build_request("POST", "/", {"Content-Length": "1000"}), b"abc")
    up.wait_requests(1)
    client.close()
    assert up.wait_end(0) in ("eof", "reset")
    assert server.access(1)[0][:3] in ("499", "400")


def test_client_leaves_before_its_body_is_whole(weir, origin):
    up = origin(hold)
    server = weir(LOG + "location / { proxy_pass http://{up}; }", up=up, http=FMT)
    client = server.client()
    client.send(build_request("POST", "/", {"Content-Length": "1000"}), b"abc")
    client.close()
    assert server.access(1)[0][:3] in ("499", "400")
    assert up.connections == 0


def test_client_leaves_during_retries(weir, origin):
    go = threading.Event()

    def fail_late(conn):
        conn.read_request()
        conn.wait(go)
    bad, good = origin(fail_late), origin()
    server = weir(LOG + "location / { proxy_pass http://g; }", http=FMT + "upstream g { zone g 64k; server {bad}; server {good}; }",
                  bad=bad, good=good)
    client = server.client()
    client.send(build_request("GET", "/"))
    bad.wait_requests(1)
    client.reset()
    server.access(1)
    go.set()
    bad.wait_end(0)
    assert not good.requests                        # no further try for a client that is gone


def test_ignore_client_abort(weir, origin):
    go = threading.Event()

    def script(conn):
        conn.read_request()
        conn.wait(go)
        conn.reply(b"late")
        conn.hold()
    up = origin(script)
    server = weir(LOG + "location / { proxy_ignore_client_abort on; proxy_pass http://{up}; } location /x { return 200 x; }", up=up, http=FMT)
    client = server.client()
    client.send(build_request("GET", "/"))
    up.wait_requests(1)
    client.reset()
    for _ in range(5):
        server.get("/x")
    assert 0 not in up.ends
    go.set()
    lines = server.access(6)
    assert any(line.startswith("200|200|") for line in lines)


def test_half_closed_client_is_gone(weir, origin):  # U4.7: a FIN counts
    up = origin(hold)
    server = weir(LOG + "location / { proxy_pass http://{up}; }", up=up, http=FMT)
    client = server.client()
    client.send(build_request("GET", "/"))
    up.wait_requests(1)
    client.half_close()
    up.wait_end(0)
    assert server.access(1)[0].startswith("499|")


# early answers (U4.5)

@pytest.mark.parametrize("status", [b"400 Bad", b"413 Large", b"500 No"])
def test_early_answer_of_an_error(weir, origin, status):
    def script(conn):
        conn.read_request(body=False)
        conn.send(b"HTTP/1.1 " + status + b"\r\nContent-Length: 5\r\n\r\nearly")
        conn.hold()
    server = weir("client_max_body_size 0; lingering_timeout 200ms; location / { proxy_http_version 1.1; proxy_request_buffering off;"
                  "proxy_pass http://{up}; }", up=origin(script))
    client = server.client()
    client.send(build_request("POST", "/", {"Content-Length": "1000000"}))
    resp = client.read_response()
    assert (resp.status, resp.body) == (int(status[:3]), b"early")


@pytest.mark.parametrize("buffering", ["on", "off"])
def test_early_answer_to_a_buffered_body(weir, origin, buffering):
    def script(conn):
        conn.read_request(body=False)
        conn.send(b"HTTP/1.1 403 No\r\nConnection: close\r\nContent-Length: 5\r\n\r\nearly")
        conn.hold()
    server = weir(f"client_max_body_size 0; location / {{ proxy_http_version 1.1; proxy_request_buffering {buffering}; proxy_pass http://{{up}}; }}",
                  up=origin(script))
    client = server.client()
    client.send_lenient(build_request("POST", "/", body=b"x" * 200000))
    resp = client.read_response()
    assert (resp.status, resp.body) == (403, b"early")


def test_both_directions_at_once(weir, origin):  # U4.5
    def script(conn):
        conn.read_request(body=False)
        conn.send(OK + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(5):
            data = conn.read_exact(4)
            conn.send(b"4\r\n" + data + b"\r\n")
        conn.send(b"0\r\n\r\n")
    client = weir("location / { proxy_http_version 1.1; proxy_request_buffering off; proxy_buffering off; proxy_pass http://{up}; }",
                  up=origin(script)).client()
    client.send(build_request("POST", "/", {"Content-Length": "20"}))
    client.read_response_head()
    for i in range(5):
        client.send(b"dat%d" % i)
        assert client.read_chunk() == b"dat%d" % i
    assert client.read_chunk() == b""


def test_answer_before_a_failed_write_is_delivered(weir, origin):  # U4.5
    def script(conn):
        conn.read_request(body=False)
        conn.read_exact(1000)
        conn.send(b"HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\nearly")
        conn.half_close()
        conn.hold()
    server = weir("client_max_body_size 0; location / { proxy_pass http://{up}; }", up=origin(script))
    client = server.client()
    client.send_lenient(build_request("POST", "/", body=b"x" * 3000000))
    resp = client.read_response()
    assert (resp.status, resp.body) == (403, b"early")


def test_bad_chunk_of_the_client_while_sending(weir, origin):  # U4.4
    def script(conn):
        conn.read_request(body=False)
        conn.hold()
    up = origin(script)
    other = origin()
    server = weir(LOG + "lingering_timeout 200ms; location / { proxy_http_version 1.1; proxy_request_buffering off; proxy_pass http://g; }",
                  http=FMT + "upstream g { zone g 64k; server {up}; server {other}; }", up=up, other=other)
    client = server.client()
    client.send(build_request("POST", "/", {"Transfer-Encoding": "chunked"}), b"3\r\nabc\r\n")
    up.wait_requests(1)
    client.send(b"nonsense\r\n")
    rest = client.read_to_end()
    assert rest == b"" or rest.startswith(b"HTTP/1.1 400 ")
    up.wait_end(0)
    assert server.access(1)[0].startswith("400|") and not other.requests


def test_too_large_chunked_while_sending(weir, origin):  # U4.4
    def script(conn):
        conn.read_request(body=False)
        conn.hold()
    up = origin(script)
    server = weir(LOG + "client_max_body_size 10; lingering_timeout 200ms; location / { proxy_http_version 1.1; proxy_request_buffering off;"
                  "proxy_pass http://{up}; }", http=FMT, up=up)
    client = server.client()
    client.send(build_request("POST", "/", {"Transfer-Encoding": "chunked"}), b"3\r\nabc\r\n")
    up.wait_requests(1)
    client.send(b"a\r\n0123456789\r\n")
    try:
        assert client.read_response().status == 413
    except Closed:
        pass
    up.wait_end(0)
    assert server.access(1)[0].startswith("413|")


# counts (U8.3)

def descriptors(server):
    """Open descriptors of all processes of the server."""
    total = 0
    for pid in os.listdir("/proc"):
        if pid.isdigit():
            try:
                with open(f"/proc/{pid}/stat", encoding="latin-1") as file:
                    group = file.read().rsplit(")", 1)[1].split()[2]
                if int(group) == server.process.pid:
                    total += len(os.listdir(f"/proc/{pid}/fd"))
            except (OSError, IndexError):
                continue
    return total


def test_descriptors_end_where_they_started(weir, origin):
    def mixed(conn):
        for req in conn.requests():
            kind = req.target[1:]
            if kind == "reset":
                conn.reset()
                return
            if kind == "cut":
                conn.send(OK + b"Content-Length: 9\r\n\r\nx")
                return
            if kind == "hang":
                conn.hold()
                return
            conn.reply()
    up = origin(mixed)
    server = weir("location / { proxy_http_version 1.1; proxy_set_header Connection ''; "
                  f"proxy_read_timeout {int(500 * SLOW)}ms; proxy_pass http://g; }}",
                  http="upstream g { server {up} max_fails=0; keepalive 2; }", up=up)

    def traffic(count):
        for i in range(count):
            client = server.client()
            kind = ("ok", "reset", "cut", "ok", "gone")[i % 5] if i % 50 else "hang"
            client.send(build_request("GET", "/" + kind, {"Connection": "close"} if kind == "cut" else ()))
            if kind == "gone":
                client.reset()
            else:
                client.read_to_end() if kind == "cut" else client.read_response()
                client.close()
    traffic(20)          # each thread has seen some, and what it opens once is open
    before = descriptors(server)
    traffic(200)
    wait_for(lambda: descriptors(server) <= before + 2, f"descriptors to fall to {before}", limit=LIMIT)
