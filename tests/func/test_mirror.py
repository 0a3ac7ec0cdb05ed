# SPDX-License-Identifier: Apache-2.0
"""mirror, mirror_request_body: copies of requests in the background (U13)."""
import threading

import pytest

from weirtest.timing import wait_for


def start(weir, conf, **names):
    return weir("location / { " + conf + """ proxy_pass http://{app}; }
        location = /copy { internal; proxy_pass http://{copy}$request_uri; }
        location = /copy2 { internal; proxy_pass http://{copy}/two; }
        location = /plain { return 200 x; }""", **names)


@pytest.mark.parametrize("method, body", [("GET", None), ("POST", b"hello"), ("PUT", b"x" * 300000), ("DELETE", None)],
                         ids=["get", "post", "put", "delete"])
def test_both_get_it(weir, origin, method, body):
    app, copy = origin(), origin()
    server = start(weir, "mirror /copy;", app=app, copy=copy)
    resp = server.request(method, "/a/b?c=d", {"X-Mine": "m"}, body)
    assert (resp.status, resp.text) == (200, "ok")
    for peer in (app, copy):
        req = peer.wait_requests(1)[0]
        assert (req.method, req.target, req.body) == (method, "/a/b?c=d", body or b"")
        assert req.headers["X-Mine"] == "m"


def test_several(weir, origin):
    app, copy = origin(), origin()
    server = start(weir, "mirror /copy; mirror /copy2; mirror /copy2;", app=app, copy=copy)
    assert server.request("POST", "/x", {}, b"hello").status == 200
    reqs = copy.wait_requests(3)
    assert sorted(r.target for r in reqs) == ["/two", "/two", "/x"]
    assert {r.body for r in reqs} == {b"hello"}


def test_without_body(weir, origin):
    app, copy = origin(), origin()
    server = weir("""location / { mirror /copy; mirror_request_body off; proxy_request_buffering off; proxy_pass http://{app}; }
        location = /copy { proxy_pass http://{copy}; proxy_pass_request_body off; proxy_set_header Content-Length ""; }""",
                  app=app, copy=copy)
    assert server.request("POST", "/x", {}, b"hello").status == 200
    assert app.wait_requests(1)[0].body == b"hello"
    req = copy.wait_requests(1)[0]
    assert req.method == "POST" and req.body == b""


@pytest.mark.weir_only("nginx sends the length of a body that it does not send, unless told otherwise")
def test_without_body_there_is_no_length(weir, origin):
    app, copy = origin(), origin()
    server = start(weir, "mirror /copy; mirror_request_body off;", app=app, copy=copy)
    assert server.request("POST", "/x", {}, b"hello").status == 200
    req = copy.wait_requests(1)[0]
    assert req.body == b"" and "Content-Length" not in req.headers


def test_chunked_body_with_streaming_asked(weir, origin):
    app, copy = origin(), origin()
    server = start(weir, "mirror /copy; proxy_http_version 1.1; proxy_request_buffering off;", app=app, copy=copy)
    client = server.client()
    client.send(b"POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", b"6\r\n world\r\n0\r\n\r\n")
    assert client.read_response().status == 200
    assert app.wait_requests(1)[0].body == b"hello world"
    assert copy.wait_requests(1)[0].body == b"hello world"


def test_inheritance(weir, origin):
    app, copy = origin(), origin()
    server = weir("""mirror /copy;
        location / { proxy_pass http://{app}; location /off/ { mirror off; proxy_pass http://{app}; } }
        location = /copy { internal; proxy_pass http://{copy}$request_uri; }""", app=app, copy=copy)
    assert server.get("/off/").status == 200 and server.get("/on").status == 200
    assert [r.target for r in copy.wait_requests(1)] == ["/on"]


@pytest.mark.parametrize("status", ["500", "404", "301"])
def test_its_answer_does_not_matter(weir, origin, status):
    app, copy = origin(), origin(lambda c: [c.reply(b"bad", status + " Bad") for _ in c.requests()])
    server = start(weir, "mirror /copy;", app=app, copy=copy)
    client = server.client()
    for n in range(3):
        assert client.get("/x").text == "ok"
    copy.wait_requests(3)


def test_no_peer_for_it(weir, origin):
    app = origin()
    server = weir("""location / { mirror /copy; proxy_pass http://{app}; }
        location = /copy { proxy_pass http://127.0.0.1:{port_closed}; }""", app=app)
    assert server.get("/x").text == "ok"
    server.wait_log(r'connect\(\) failed.*subrequest: "/copy"')


@pytest.mark.weir_only("nginx holds the next request of the connection until the mirror has answered")
def test_slow_mirror_keeps_nobody_waiting(weir, origin):
    gate = threading.Event()

    def slow(conn):
        conn.read_request()
        conn.wait(gate)
        conn.reply()
    app, copy = origin(), origin(slow)
    server = start(weir, "mirror /copy;", app=app, copy=copy)
    client = server.client()
    for n in range(5):
        assert client.get(f"/{n}").text == "ok"
        assert client.get("/plain").text == "x"
    copy.wait_connections(5)
    client.close()
    gate.set()
    for n in range(5):
        copy.wait_end(n)
    assert not copy.errors


def test_big_answer_is_cut(weir, origin):
    def big(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        try:
            for _ in range(1000):
                conn.send(b"x" * 100000)
        except OSError:
            pass
        else:
            raise AssertionError("it was read whole")
    app, copy = origin(), origin(big)
    server = start(weir, "mirror /copy;", app=app, copy=copy)
    assert server.get("/x").text == "ok"
    copy.wait_end(0)


def test_client_that_leaves_ends_it(weir, origin):  # U13: cancel of the parent ends all
    hold = threading.Event()

    def app_script(conn):
        conn.read_request()
        conn.wait(hold)
    app, copy = origin(app_script), origin(lambda c: (c.read_request(), c.hold()))
    server = start(weir, "mirror /copy;", app=app, copy=copy)
    client = server.client()
    client.send(b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n")
    app.wait_requests(1)
    copy.wait_requests(1)
    client.close()
    copy.wait_end(0)
    hold.set()


def test_reload_in_the_middle(weir, origin):
    """The old generation lives until the mirror has its answer."""
    gate = threading.Event()

    def slow(conn):
        conn.read_request()
        conn.wait(gate)
        conn.reply()
    app, copy = origin(), origin([slow, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"])
    server = start(weir, "mirror /copy;", app=app, copy=copy)
    assert server.get("/1").text == "ok"
    copy.wait_requests(1)
    server.signal("HUP")
    wait_for(lambda: server.get("/2").text == "ok" and len(copy.requests) >= 2, "the new generation")
    gate.set()
    copy.wait_end(0)
    assert not copy.errors


def test_logged_when_asked(weir, origin):
    app, copy = origin(), origin()
    server = weir("""location / { mirror /copy; access_log {dir}/main.log t; proxy_pass http://{app}; }
        location = /copy { internal; log_subrequest on; access_log {dir}/copy.log t; proxy_pass http://{copy}; }""",
                  http="log_format t '$status $uri \"$request\" $request_uri';", app=app, copy=copy)
    assert server.get("/x?y").status == 200
    assert server.access(1, "main.log") == ['200 /x "GET /x?y HTTP/1.1" /x?y']
    assert server.access(1, "copy.log") == ['200 /copy "GET /x?y HTTP/1.1" /x?y']


def test_quit_waits_for_it(weir, origin):
    gate = threading.Event()

    def slow(conn):
        conn.read_request()
        conn.wait(gate)
        conn.reply()
    app, copy = origin(), origin(slow)
    server = start(weir, "mirror /copy;", app=app, copy=copy)
    assert server.get("/1").text == "ok"
    copy.wait_requests(1)
    server.close_clients()
    server.signal("QUIT")
    gate.set()
    copy.wait_end(0)
    server.wait_exit()
    assert not copy.errors


@pytest.mark.weir_only("nginx keeps the connections of clients instead")
def test_only_so_many_at_a_time(weir, origin):
    """As many as worker_connections on a thread; what is more is left out, the client has its answer."""
    gate = threading.Event()

    def slow(conn):
        conn.read_request()
        conn.wait(gate)
        conn.reply()
    app, copy = origin(), origin(slow)
    server = weir("""location / { mirror /copy; return 200 never; }
        location /x { mirror /copy; proxy_pass http://{app}; }
        location = /copy { internal; proxy_pass http://{copy}; }""", app=app, copy=copy, workers=1, connections=20)
    with server.client() as client:
        for _ in range(30):
            assert client.get("/x").text == "ok"
    server.wait_log(r"worker_connections \(20\) subrequests are in the background, \"/copy\" is left out", 10)
    gate.set()
    assert server.get("/x").text == "ok"


@pytest.mark.weir_only("nginx gives a mirror up when the client closes behind its response")
def test_large_body_with_streaming_asked(weir, origin):
    """It lies in a file; the mirror reads it slowly, the request itself at once."""
    gate = threading.Event()
    body = bytes(range(256)) * 8000

    def slow(conn):
        conn.wait(gate)
        conn.read_request()
        conn.reply()
    app, copy = origin(), origin(slow)
    server = start(weir, "mirror /copy; client_max_body_size 10m; proxy_request_buffering off;", app=app, copy=copy)
    assert server.request("POST", "/x", {}, body).status == 200
    assert app.wait_requests(1)[0].body == body
    gate.set()
    assert copy.wait_requests(1)[0].body == body
