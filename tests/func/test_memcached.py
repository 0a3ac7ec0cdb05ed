# SPDX-License-Identifier: Apache-2.0
"""memcached_pass: the key, the value as an answer, what is no value, the next server (U12.2)."""
import contextlib

import pytest

from weirtest import gateway as g
from weirtest.client import build_request
from weirtest.timing import SLOW

FMT = "log_format t '$status|$upstream_addr|$upstream_status';"


def store(values, flags=0):
    """A server with these values; other keys are not there."""
    def script(conn):
        while conn.buffer or conn._fill():
            req = g.read_get(conn)
            conn.send(g.value(req, values[req.key], flags) if req.key in values else b"END\r\n")
    return script


def start(weir, up, conf="", key="$uri", **more):
    return weir("default_type x/y; types { text/css css; } location / { set $memcached_key " + key + "; memcached_pass {up}; " + conf +
                " }", up=up, **more)


def test_value(weir, origin):
    server = start(weir, origin(store({"/a.css": b"body", "/b": b"", "/c": b"x" * 300000})))
    res = server.get("/a.css")
    assert (res.status, res.reason, res.text) == (200, "OK", "body")
    assert (res.headers["Content-Type"], res.headers["Content-Length"]) == ("text/css", "4")
    assert "Content-Encoding" not in res.headers
    assert server.get("/b").body == b"" and server.get("/c").body == b"x" * 300000
    assert server.get("/b").headers["Content-Type"] == "x/y"


@pytest.mark.parametrize("target, key", [("/a?x=1", "/a?x=1"), ("/a%20b", "/a%20b"), ("/a%0Bb", "/a%0Bb"), ("/a%25", "/a%25"),
                                         ("/%C3%A9+:;", "/\xc3\xa9+:;")])
def test_key(weir, origin, target, key):
    up = origin(store({}))
    server = start(weir, up, key="$uri$is_args$args")
    assert server.get(target).status == 404
    assert up.requests[0].key == key


@pytest.mark.parametrize("conf, flags, want", [("", 2, False), ("memcached_gzip_flag 2;", 2, True), ("memcached_gzip_flag 2;", 3, True),
                                               ("memcached_gzip_flag 2;", 1, False), ("memcached_gzip_flag 0;", 1, False)])
def test_gzip_flag(weir, origin, conf, flags, want):
    server = start(weir, origin(store({"/a": b"zzz"}, flags)), conf)
    res = server.get("/a")
    assert (res.headers.get("Content-Encoding") == "gzip") == want and res.body == b"zzz"


def test_not_found(weir, origin):
    server = start(weir, origin(store({})))
    res = server.get("/a")
    assert res.status == 404 and b"<h1>404 Not Found</h1>" in res.body
    server.wait_log(r'\[info\] .*key: "/a" was not found by memcached while reading response header from upstream')


def test_not_found_goes_to_error_page(weir, origin):
    server = weir("location / { set $memcached_key $uri; memcached_pass {up}; error_page 404 502 = @app; } "
                  'location @app { return 200 "made $uri"; }', up=origin(store({"/a": b"kept"})))
    assert server.get("/a").text == "kept" and server.get("/b").text == "made /b"


def test_ranges(weir, origin):
    res = start(weir, origin(store({"/a": b"0123456789"}))).get("/a", [("Range", "bytes=2-4")])
    assert (res.status, res.text) == (206, "234")


def test_head_and_other_methods(weir, origin):
    up = origin(store({"/a": b"12345"}))
    server = start(weir, up)
    res = server.request("HEAD", "/a")
    assert res.status == 200 and res.headers["Content-Length"] == "5"
    assert server.request("POST", "/a", body=b"x").status == 405 and len(up.requests) == 1


def test_a_body_that_nobody_wants(weir, origin):
    server = start(weir, origin(store({"/a": b"12345"})))
    with server.client() as c:
        c.send(build_request("GET", "/a", body=b"hello"))
        assert c.read_response().text == "12345"
        assert c.get("/a").text == "12345"


def test_no_key(weir, origin):
    server = weir("location / { memcached_pass {up}; } location /x { set $memcached_key x; }", up=origin(store({})))
    assert server.get("/").status == 500
    server.wait_log(r'\[error\] .*the "\$memcached_key" variable is not set')


@pytest.mark.parametrize("answer, words", [
    (b"ERROR\r\n", 'memcached sent invalid response: "ERROR"'),
    (b"SERVER_ERROR out of memory\r\n", 'memcached sent invalid response: "SERVER_ERROR out of memory"'),
    (b"END\n", "memcached sent invalid response"),
    (b"VALUE /b 0 5\r\nhello\r\nEND\r\n", 'memcached sent invalid key in response "VALUE /b 0 5" for key "/a"'),
    (b"VALUE /ab 0 5\r\nhello\r\nEND\r\n", "memcached sent invalid"),
    (b"VALUE /a 0 x\r\nhello\r\nEND\r\n", 'memcached sent invalid length in response "VALUE /a 0 x" for key "/a"'),
    (b"VALUE /a 0 5 77\r\nhello\r\nEND\r\n", "memcached sent invalid length"),
    (b"VALUE /a 0 -5\r\nhello\r\nEND\r\n", "memcached sent invalid length"),
    (b"", "upstream prematurely closed connection"),
])
def test_bad_answers(weir, origin, answer, words):
    server = start(weir, origin(lambda c: (g.read_get(c), c.send(answer))))
    assert server.get("/a").status == 502
    server.wait_log(words + '.* while reading response header from upstream, .*upstream: "memcached://127')


def test_bad_trailer(weir, origin):
    up = origin([lambda c: (g.read_get(c), c.send(b"VALUE /a 0 5\r\nhelloXXEND\r\n"), c.hold()), store({"/a": b"good"})])
    server = start(weir, up)
    assert server.get("/a").text == "hello"
    server.wait_log("memcached sent invalid trailer")
    assert server.get("/a").text == "good"


def test_cut_value(weir, origin):
    server = start(weir, origin(lambda c: (g.read_get(c), c.send(b"VALUE /a 0 9\r\nhello"))))
    with server.client() as c:
        c.send(build_request("GET", "/a"))
        assert c.read_to_end().endswith(b"\r\n\r\nhello")
    server.wait_log("upstream prematurely closed connection while (reading upstream|sending to client)")


def test_answer_in_pieces(weir, origin):
    data = b"VALUE /a 0 5\r\nhello\r\nEND\r\n"

    def script(conn):
        g.read_get(conn)
        # A value that is whole needs no END when the connection is not kept: it may be closed before that.
        with contextlib.suppress(ConnectionError):
            for i in range(len(data)):
                conn.send(data[i:i + 1])
    up = origin(script)
    server = start(weir, up, workers=1)
    assert server.get("/a").text == "hello"


def test_keepalive(weir, origin):
    up = origin(store({"/a": b"1", "/c": b""}))
    server = weir("location / { set $memcached_key $uri; memcached_pass g; }", http="upstream g { server {up}; keepalive 2; }", up=up,
                  workers=1)
    assert [server.get(t).status for t in ("/a", "/b", "/c", "/a")] == [200, 404, 200, 200]
    assert up.connections == 1


@pytest.mark.parametrize("word, script, status", [
    ("not_found", store({}), "404"),
    ("invalid_response", lambda c: (g.read_get(c), c.send(b"ERROR\r\n")), "502"),
    ("error", lambda c: g.read_get(c), "502"),
    ("timeout", lambda c: (g.read_get(c), c.hold()), "504"),
])
def test_next_upstream(weir, origin, word, script, status):
    bad, up = origin(script), origin(store({"/a": b"good"}))
    server = weir("access_log {dir}/access.log t; location / { set $memcached_key $uri; memcached_pass g; "
                  f"memcached_read_timeout {int(1000 * SLOW)}ms;"
                  f" memcached_next_upstream {word}; }} location /off {{ set $memcached_key /a; memcached_pass {{bad}}; "
                  f"memcached_next_upstream off; memcached_read_timeout {int(1000 * SLOW)}ms; }}",
                  http=FMT + "upstream g { zone g 64k; server {bad}; server {up}; }", bad=bad, up=up)
    assert server.get("/a").text == "good"
    assert server.access(1) == [f"200|{bad}, {up}|{status}, 200"]
    assert server.get("/off").status == int(status)


def test_other_settings(weir, origin):
    seen = []

    def script(conn):
        seen.append(conn.sock.getpeername()[0])
        store({"/a": b"x"})(conn)
    up = origin(script)
    server = start(weir, up, "memcached_bind 127.0.0.9; memcached_buffer_size 8k; memcached_connect_timeout 2s; memcached_send_timeout 2s;"
                             " memcached_next_upstream_tries 2; memcached_next_upstream_timeout 1s; memcached_socket_keepalive on;")
    assert server.get("/a").text == "x" and seen == ["127.0.0.9"]


@pytest.mark.weir_only("newer than nginx 1.22")
def test_newer_settings(weir, origin):
    up = origin(store({"/a": b"x"}))
    server = start(weir, up, "memcached_allow_upstream $arg_ok; memcached_bind_dynamic on;")
    assert server.get("/a?ok=1").text == "x" and server.get("/a").status == 502


ERRORS = [
    ("location / { memcached_pass 127.0.0.1:1; }", 'unknown "memcached_key" variable'),
    ("set $memcached_key 1; location / { memcached_pass 127.0.0.1; }", 'no port in upstream "127.0.0.1"'),
    ("memcached_pass 127.0.0.1:1;", '"memcached_pass" directive is not allowed here'),
    ("memcached_next_upstream http_404;", 'invalid value "http_404"'),
    ("memcached_next_upstream invalid_header;", 'invalid value "invalid_header"'),
    ("memcached_gzip_flag x;", '"memcached_gzip_flag" directive invalid number'),
    ("memcached_gzip_flag 1; memcached_gzip_flag 1;", '"memcached_gzip_flag" directive is duplicate'),
    ("memcached_gzip_flag;", 'invalid number of arguments in "memcached_gzip_flag" directive'),
    ("memcached_buffers 4 4k;", 'unknown directive "memcached_buffers"'),
    ("memcached_hide_header X;", 'unknown directive "memcached_hide_header"'),
    ("memcached_read_timeout x;", '"memcached_read_timeout" directive invalid value'),
]


@pytest.mark.parametrize("text, words", ERRORS)
def test_errors(command, text, words):
    run = command(text).command("-t")
    assert run.returncode == 1 and words in run.stderr


def test_inheritance(weir, origin):
    up = origin(store({"/a": b"z", "/b": b"z"}, 1))
    server = weir("memcached_gzip_flag 1; set $memcached_key $uri; location /a { memcached_pass {up}; } "
                  "location /b { memcached_pass {up}; memcached_gzip_flag 2; }", http="memcached_gzip_flag 4;", up=up)
    assert server.get("/a").headers.get("Content-Encoding") == "gzip" and "Content-Encoding" not in server.get("/b").headers
