# SPDX-License-Identifier: Apache-2.0
"""FastCGI, uwsgi and SCGI alike: what an application is told, what its answers become, and the directives that the three
share with proxy_pass (U12.2). "app_" stands for the protocol's prefix."""
import os
import threading

import pytest

from weirtest.client import build_request
from weirtest.gateway import APPS, FASTCGI
from weirtest.server import IS_NGINX
from weirtest.timing import LIMIT

FMT = "log_format t '$status|$upstream_addr|$upstream_status';"
PARAMS = "app_param REQUEST_METHOD $request_method; app_param REQUEST_URI $request_uri; " \
         "app_param CONTENT_LENGTH $content_length; "

every_app = pytest.mark.parametrize("app", APPS, ids=repr)


def start(weir, app, up, conf="", outside="", http="", **more):
    return weir(app.conf(outside + " location / { app_pass {up}; " + PARAMS + conf + " }"), http=app.conf(http), up=up, **more)


# --- what the application is told ---

@every_app
def test_params_in_order(weir, origin, app):
    up = origin(app.script())
    server = start(weir, app, up, "app_param A first; app_param B ''; app_param C '' if_not_empty; app_param D $arg_x if_not_empty;"
                                  " app_param A second;")
    assert server.get("/p?x=1").text == "ok"
    req = up.requests[0]
    names = [n for n in req.names if n in "ABCD"]
    assert names == ["A", "B", "D", "A"]
    assert req.all("A") == ["first", "second"] and req.params["B"] == "" and req.params["D"] == "1"
    assert req.params["REQUEST_METHOD"] == "GET" and req.params["REQUEST_URI"] == "/p?x=1"


@every_app
def test_param_if_not_empty_is_asked_for_each_request(weir, origin, app):
    up = origin(app.script())
    server = start(weir, app, up, "app_param D $arg_x if_not_empty;")
    for target, want in (("/?x=1", ["1"]), ("/", []), ("/?x=2", ["2"])):
        server.get(target)
        assert up.requests[-1].all("D") == want


@every_app
def test_params_are_inherited_whole_or_not_at_all(weir, origin, app):
    up = origin(app.script())
    server = weir(app.conf("app_param S server; location /a { app_pass {up}; } "
                           "location /b { app_pass {up}; app_param L location; " + PARAMS + "}"),
                  http=app.conf("app_param H http; app_param CONTENT_LENGTH $content_length;"), up=up)
    server.get("/a")
    server.get("/b")
    first, second = up.requests
    assert first.params.get("S") == "server" and "H" not in first.params and "L" not in first.params
    assert second.params.get("L") == "location" and "S" not in second.params


@every_app
def test_client_fields_become_http(weir, origin, app):
    up = origin(app.script())
    server = start(weir, app, up, "app_param HTTP_OWN mine; app_param HTTP_EMPTY '';")
    server.get("/", [("X-One-Two", "a b"), ("own", "theirs"), ("Empty", "no"), ("Accept", "*/*"), ("Cookie", "a=1")])
    params = up.requests[0].params
    assert params["HTTP_X_ONE_TWO"] == "a b"
    assert params["HTTP_ACCEPT"] == "*/*" and params["HTTP_COOKIE"] == "a=1"
    assert up.requests[0].all("HTTP_OWN") == ["mine"] and up.requests[0].all("HTTP_EMPTY") == []
    assert params["HTTP_HOST"] == "localhost"


@every_app
def test_body_and_its_fields(weir, origin, app):
    up = origin(app.script())
    server = start(weir, app, up)
    server.request("POST", "/", [("Content-Type", "text/x")], b"hello")
    req = up.requests[0]
    assert req.body == b"hello" and req.params["CONTENT_LENGTH"] == "5"
    assert req.params["HTTP_CONTENT_LENGTH"] == "5" and req.params["HTTP_CONTENT_TYPE"] == "text/x"


@pytest.mark.weir_only("nginx 1.22 sends a repeated field more than once; programs take the last one")
@every_app
def test_repeated_fields_are_joined(weir, origin, app):
    up = origin(app.script())
    server = start(weir, app, up)
    server.get("/", [("X-A", "1"), ("Cookie", "a=1"), ("x-a", "2"), ("X-AB", "z"), ("Cookie", "b=2"), ("X-a", "3")])
    req = up.requests[0]
    assert req.all("HTTP_X_A") == ["1, 2, 3"] and req.all("HTTP_COOKIE") == ["a=1; b=2"] and req.all("HTTP_X_AB") == ["z"]


@pytest.mark.weir_only("a field named Proxy would be HTTP_PROXY, which programs take for a setting (httpoxy)")
@every_app
def test_proxy_field_is_not_told(weir, origin, app):
    up = origin(app.script())
    server = weir(app.conf("location / { app_pass {up}; " + PARAMS + "} location /own { app_pass {up}; " + PARAMS +
                           " app_param HTTP_PROXY mine; }"), up=up)
    server.get("/", [("Proxy", "http://evil/")])
    server.get("/own", [("Proxy", "http://evil/")])
    assert "HTTP_PROXY" not in up.requests[0].params and up.requests[1].params["HTTP_PROXY"] == "mine"


@pytest.mark.weir_only("nginx 1.22 tells the field as it came; since 1.29 HTTP_HOST is $host$is_request_port$request_port")
@every_app
def test_host_is_the_one_that_was_chosen(weir, origin, app):
    up = origin(app.script())
    server = start(weir, app, up)
    for data, want in ((b"GET / HTTP/1.1\r\nHost: EXAMPLE.com:81\r\n\r\n", "example.com:81"),
                       (b"GET http://target.example/ HTTP/1.1\r\nHost: other.example\r\n\r\n", "target.example")):
        server.raw(data)
        assert up.requests[-1].all("HTTP_HOST") == [want]


@every_app
def test_many_fields(weir, origin, app):
    up = origin(app.script())
    server = start(weir, app, up, outside="large_client_header_buffers 8 32k;")
    fields = [(f"X-F{i}", "v" * (i % 50)) for i in range(90)] + [("X-Long", "l" * 9000), ("X-Long2", "m" * 20000)]
    server.get("/", fields)
    params = up.requests[0].params
    for name, value in fields:
        assert params["HTTP_" + name.upper().replace("-", "_")] == value


@every_app
def test_pass_request_headers_off(weir, origin, app):
    up = origin(app.script())
    server = start(weir, app, up, "app_pass_request_headers off;")
    server.get("/", [("X-A", "1")])
    assert not [n for n in up.requests[0].names if n.startswith("HTTP_")]


@every_app
def test_pass_request_body_off(weir, origin, app):
    if IS_NGINX and app.name == "scgi":
        pytest.skip("it tells the length of a body that it does not send")
    up = origin(app.script())
    server = weir(app.conf("location / { app_pass {up}; app_pass_request_body off; " +
                           ("app_param CONTENT_LENGTH ''; " if app.name != "scgi" else "") + "}"), up=up)
    assert server.request("POST", "/", body=b"hello").text == "ok"
    assert up.requests[0].body == b""


@every_app
def test_large_body(weir, origin, app):
    body = os.urandom(300000)
    up = origin(app.script())
    server = start(weir, app, up, outside="client_max_body_size 1m; client_body_buffer_size 16k;")
    assert server.request("POST", "/", body=body).text == "ok"
    assert up.requests[0].body == body


@every_app
def test_chunked_body_is_gathered(weir, origin, app):
    up = origin(app.script())
    server = start(weir, app, up, "" if app is FASTCGI else "app_request_buffering off;")
    with server.client() as c:
        c.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n")
        assert c.read_response("POST").text == "ok"
    assert up.requests[0].body == b"abcdefg" and up.requests[0].params["CONTENT_LENGTH"] == "7"


# --- what its answers become ---

@every_app
def test_status_field(weir, origin, app):
    up = origin([app.script(b"no", b"Status: 404 Not There\r\nX-A: b\r\n"), app.script(b"", b"Status: 201 Made\r\n"),
                 app.script(b"x", b"Location: http://other.example/\r\n"), app.script(b"x", b"Location: /rel\r\n"),
                 app.script(b"x", b"X-A: b\n".replace(b"\n", b"\r\n"))])
    server = start(weir, app, up)
    res = server.get("/")
    assert (res.status, res.reason, res.body, res.headers["X-A"]) == (404, "Not There", b"no", "b")
    if app.name != "uwsgi" or not IS_NGINX:  # documented for all three, not so there
        assert "Status" not in res.headers
    assert (server.get("/").status, server.get("/").status) == (201, 302)
    res = server.get("/")
    assert (res.status, res.headers["Location"]) == (302, "/rel")
    assert server.get("/").status == 200


@pytest.mark.parametrize("app", [a for a in APPS if a is not FASTCGI], ids=repr)
def test_status_line(weir, origin, app):
    up = origin(app.script(b"gone", b"HTTP/1.0 410 Went Away\r\nX-A: b\r\n"))
    res = start(weir, app, up).get("/")
    assert (res.status, res.reason, res.text, res.headers["X-A"]) == (410, "Went Away", "gone", "b")


@every_app
def test_content_length(weir, origin, app):
    up = origin([app.script(b"12345", b"Content-Length: 5\r\n"), app.script(b"12345", b"X: y\r\n")])
    server = start(weir, app, up)
    first, second = server.get("/"), server.get("/")
    assert first.headers["Content-Length"] == "5" and first.body == second.body == b"12345"
    assert "Content-Length" not in second.headers


@every_app
def test_content_length_and_more(weir, origin, app):  # U6.7: bytes beyond are dropped
    up = origin(app.script(b"12345", b"Content-Length: 3\r\n"))
    server = start(weir, app, up)
    assert server.get("/").body == b"123"


@every_app
def test_content_length_and_less(weir, origin, app):  # U6.5: cut, not ended
    up = origin(app.script(b"12", b"Content-Length: 3\r\n"))
    server = start(weir, app, up)
    with server.client() as c:
        c.send(build_request("GET", "/"))
        data = c.read_to_end()
    assert data.endswith(b"\r\n\r\n12")
    server.wait_log("upstream prematurely closed")


@every_app
def test_bodyless(weir, origin, app):
    up = origin([app.script(b"body", b"X-A: b\r\n"), app.script(b"", b"Status: 304 Not Modified\r\nETag: \"x\"\r\n"), app.script()])
    server = start(weir, app, up)
    with server.client() as c:
        head = c.request("HEAD", "/")
        assert head.status == 200 and head.headers["X-A"] == "b"
        assert c.get("/").status == 304
        assert c.get("/").text == "ok"
    assert [r.params["REQUEST_METHOD"] for r in up.requests] == ["HEAD", "GET", "GET"]


@every_app
def test_fields_of_the_answer(weir, origin, app):
    head = b"Server: own\r\nDate: Mon, 01 Jan 2001 00:00:00 GMT\r\nX-Powered-By: p\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n" \
           b"X-Accel-Expires: 1\r\nX-Accel-Charset: x\r\nX-Other: o\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"
    up = origin(app.script(b"ok", head))
    res = start(weir, app, up).get("/")
    assert res.headers["Server"] == "own" and res.headers["Date"] == "Mon, 01 Jan 2001 00:00:00 GMT"
    assert res.headers.all("Set-Cookie") == ["a=1", "b=2"] and res.headers["X-Powered-By"] == "p"
    assert "X-Accel-Expires" not in res.headers and "X-Accel-Charset" not in res.headers and res.text == "ok"


@every_app
def test_our_server_and_date_where_it_sends_none(weir, origin, app):
    res = start(weir, app, origin(app.script())).get("/")
    assert "Server" in res.headers and "Date" in res.headers


@every_app
def test_hide_pass_ignore(weir, origin, app):
    head = b"X-Powered-By: p\r\nX-Accel-Expires: 9\r\nStatus: 200 OK\r\nX-Accel-Redirect: /other\r\n"
    up = origin(app.script(b"ok", head))
    server = start(weir, app, up, "app_hide_header X-Powered-By; app_pass_header X-Accel-Expires; app_pass_header Status;"
                                  " app_ignore_headers X-Accel-Redirect;")
    res = server.get("/")
    assert "X-Powered-By" not in res.headers and res.headers["X-Accel-Expires"] == "9" and res.headers["Status"] == "200 OK"
    assert res.text == "ok"


@every_app
def test_accel_redirect(weir, origin, app):
    up = origin(app.script(b"never", b"X-Accel-Redirect: /other?q\r\nSet-Cookie: a=1\r\n"))
    server = start(weir, app, up, outside="location /other { internal; return 200 \"$uri $args\"; }")
    res = server.get("/")
    assert res.text == "/other q" and res.headers["Set-Cookie"] == "a=1"


@every_app
def test_intercept_errors(weir, origin, app):
    up = origin(app.script(b"theirs", b"Status: 404 Not Found\r\n"))
    server = weir(app.conf("error_page 404 /e; location /e { return 200 ours; } location / { app_pass {up}; app_intercept_errors on; "
                           "} location /pass { app_pass {up}; }"), up=up)
    assert server.get("/").text == "ours" and server.get("/pass").text == "theirs"


@every_app
def test_force_ranges(weir, origin, app):
    up = origin(app.script(b"0123456789", b"Content-Length: 10\r\n"))
    res = start(weir, app, up, "app_force_ranges on;").get("/", [("Range", "bytes=2-4")])
    assert (res.status, res.text) == (206, "234")


@pytest.mark.parametrize("mode", ["app_buffering on; app_buffers 2 4k; app_buffer_size 4k; app_busy_buffers_size 4k;",
                                  "app_buffering off; app_buffer_size 8k;",
                                  "app_buffers 2 4k; app_buffer_size 4k; app_busy_buffers_size 4k; app_max_temp_file_size 0;",
                                  "app_buffers 2 4k; app_buffer_size 4k; app_busy_buffers_size 4k; app_temp_path {dir}/t 1 2;"
                                  " app_temp_file_write_size 8k; app_max_temp_file_size 1m;"])
@every_app
def test_large_answers(weir, origin, app, mode):
    body = os.urandom(400000)
    up = origin(app.script(body))
    server = start(weir, app, up, mode)
    with server.client(rcvbuf=4096) as c:
        assert c.get("/").body == body


@every_app
def test_too_big_head(weir, origin, app):
    up = origin(app.script(b"ok", b"X-Big: " + b"x" * 5000 + b"\r\n"))
    server = start(weir, app, up, "app_buffer_size 4k; app_buffers 4 4k; app_busy_buffers_size 8k;")
    assert server.get("/").status == 502
    server.wait_log("upstream sent too big header while reading response header from upstream")


@pytest.mark.parametrize("head, words", [
    (b"no colon\r\n", "upstream sent invalid header"),
    (b"X : blank\r\n", "upstream sent invalid header"),
    (b"X: a\r\n folded\r\n", "upstream sent invalid header"),
    (b"X: a\0b\r\n", "upstream sent invalid header"),
    (b"Status: abc\r\n", "upstream sent invalid status \"abc\""),
])
@every_app
def test_invalid_heads(weir, origin, app, head, words):
    server = start(weir, app, origin(app.script(b"ok", head)))
    assert server.get("/").status == 502
    server.wait_log(words + ".* while reading response header from upstream, .*upstream: \"" + app.name + "://127")


@pytest.mark.weir_only("nginx passes an answer whose length it cannot read as if it had none")
@pytest.mark.parametrize("head", [b"Content-Length: x\r\n", b"Content-Length: 2\r\nContent-Length: 3\r\n", b"Status: 100 Continue\r\n",
                                  b"Content-Length: -1\r\n"])
@every_app
def test_invalid_lengths(weir, origin, app, head):
    assert start(weir, app, origin(app.script(b"ok", head))).get("/").status == 502


@every_app
def test_head_in_pieces(weir, origin, app):
    data = app.answer(b"ok", b"Status: 203 Piece\r\nX-A: b\r\n")

    def script(conn):
        app.read(conn)
        for i in range(len(data)):
            try:
                conn.send(data[i:i + 1])
            except ConnectionError:
                assert i >= len(data) - 16  # a last record says nothing more: it need not be awaited
    res = start(weir, app, origin(script)).get("/")
    assert (res.status, res.reason, res.text, res.headers["X-A"]) == (203, "Piece", "ok", "b")


# --- peers ---

def group(*servers, more=""):
    return "upstream g { zone g 64k; " + " ".join(f"server {s};" for s in servers) + more + " }"


def two(weir, app, bad, up, conf="", **more):
    return weir(app.conf("access_log {dir}/access.log t; location / { app_pass g; " + PARAMS + conf + "}"),
                http=FMT + group("{bad}", "{up}"), bad=bad, up=up, **more)


def read_and(app, end):
    def script(conn):
        app.read(conn)
        end(conn)
    return script


@pytest.mark.parametrize("conf, how, status", [
    ("", lambda app: read_and(app, lambda c: None), "502"),
    ("", lambda app: read_and(app, lambda c: c.reset()), "502"),
    ("app_next_upstream invalid_header;", lambda app: app.script(b"", b"no field\r\n"), "502"),
    ("app_next_upstream http_500;", lambda app: app.script(b"", b"Status: 500 Bad\r\n"), "500"),
    ("app_next_upstream http_503;", lambda app: app.script(b"", b"Status: 503 Bad\r\n"), "503"),
    ("app_next_upstream http_404;", lambda app: app.script(b"", b"Status: 404 Bad\r\n"), "404"),
    ("app_next_upstream http_403;", lambda app: app.script(b"", b"Status: 403 Bad\r\n"), "403"),
    ("app_next_upstream http_429;", lambda app: app.script(b"", b"Status: 429 Bad\r\n"), "429"),
    ("app_next_upstream timeout; app_read_timeout 100ms;", lambda app: read_and(app, lambda c: c.hold()), "504"),
])
@every_app
def test_next_upstream(weir, origin, app, conf, how, status):
    bad, up = origin(how(app)), origin(app.script())
    server = two(weir, app, bad, up, conf)
    assert server.get("/").text == "ok"
    assert server.access(1) == [f"200|{bad}, {up}|{status}, 200"]


@pytest.mark.parametrize("conf, status", [("app_next_upstream off;", 502), ("app_next_upstream_tries 1;", 502),
                                          ("app_next_upstream http_500;", 502)])
@every_app
def test_no_next_upstream(weir, origin, app, conf, status):
    bad, up = origin(read_and(app, lambda c: c.reset())), origin(app.script())
    server = two(weir, app, bad, up, conf)
    assert server.get("/").status == status
    assert up.connections == 0


@every_app
def test_post_is_not_repeated(weir, origin, app):  # U3.4
    bad, up = origin(read_and(app, lambda c: c.reset())), origin(app.script())
    server = two(weir, app, bad, up)
    assert server.request("POST", "/", body=b"abc").status == 502
    assert up.connections == 0
    again = two(weir, app, origin(read_and(app, lambda c: c.reset())), up, "app_next_upstream error non_idempotent;")
    assert again.request("POST", "/", body=b"abc").text == "ok"
    assert up.requests[0].body == b"abc"


@every_app
def test_next_upstream_timeout(weir, origin, app):
    bad, up = origin(read_and(app, lambda c: c.hold())), origin(app.script())
    server = two(weir, app, bad, up, "app_read_timeout 300ms; app_next_upstream_timeout 100ms;")
    assert server.get("/").status == 504 and up.connections == 0


@every_app
def test_connect_and_read_timeouts(weir, origin, app):
    up = origin(read_and(app, lambda c: c.hold()))
    server = start(weir, app, up, "app_connect_timeout 2s; app_send_timeout 2s; app_read_timeout 100ms;")
    assert server.get("/").status == 504
    server.wait_log("upstream timed out .* while reading response header from upstream")


@every_app
def test_client_leaves(weir, origin, app):
    gone = threading.Event()

    def script(conn):
        app.read(conn)
        gone.set()
        conn.hold()
    up = origin(script)
    server = start(weir, app, up)
    with server.client() as c:
        c.send(build_request("GET", "/"))
        assert gone.wait(LIMIT)
    up.wait_end(0)


@every_app
def test_ignore_client_abort(weir, origin, app):
    here, left = threading.Event(), threading.Event()

    def script(conn):
        app.read(conn)
        here.set()
        conn.wait(left)
        conn.send(app.answer())
    up = origin(script)
    server = weir(app.conf("access_log {dir}/access.log t; location / { app_pass {up}; app_ignore_client_abort on; }"),
                  http="log_format t '$upstream_status';", up=up)
    with server.client() as c:
        c.send(build_request("GET", "/"))
        assert here.wait(LIMIT)
    left.set()
    assert server.access(1) == ["200"]


@every_app
def test_bind(weir, origin, app):
    seen = []

    def script(conn):
        seen.append(conn.sock.getpeername()[0])
        app.read(conn)
        conn.send(app.answer())
    up = origin(script)
    server = weir(app.conf("location / { app_pass {up}; app_bind 127.0.0.9; } location /off { app_pass {up}; app_bind off; } "
                           "location /var { app_pass {up}; app_bind $arg_a; }"), up=up)
    assert [server.get(t).text for t in ("/", "/off", "/var?a=127.0.0.7")] == ["ok"] * 3
    assert seen == ["127.0.0.9", "127.0.0.1", "127.0.0.7"]


@pytest.mark.weir_only("newer than nginx 1.22")
@every_app
def test_newer_directives(weir, origin, app):
    up = origin(app.script())
    server = start(weir, app, up, "app_allow_upstream $arg_ok; app_bind_dynamic on; app_request_dynamic on; app_socket_rcvbuf 64k;"
                                  " app_socket_sndbuf 64k;")
    assert server.get("/?ok=1").text == "ok" and server.get("/?ok=0").status == 502


@every_app
def test_limit_rate(weir, origin, app):
    body = bytes(60000)
    up = origin(app.script(body))
    server = start(weir, app, up, "app_limit_rate 1m; app_socket_keepalive on;")
    assert server.get("/").body == body


@every_app
def test_unix_socket(weir, origin, app, tmp_path):
    up = origin(app.script(), path=str(tmp_path / "s"))
    server = start(weir, app, up)
    assert server.get("/").text == "ok"


@every_app
def test_pass_with_variables(weir, origin, app, tmp_path):
    one, two_, sock = origin(app.script(b"one")), origin(app.script(b"two")), origin(app.script(b"unix"), path=str(tmp_path / "s"))
    server = weir(app.conf("location /g { set $t g; app_pass $t; } location /a { app_pass $arg_t; } "
                           "location /u { set $t {sock}; app_pass $t; } location /n { set $t 127.0.0.1; app_pass $t; }"),
                  http="upstream g { server {one}; }", one=one, two=two_, sock=sock)
    assert server.get("/g").text == "one"
    assert server.get(f"/a?t={two_}").text == "two"
    assert server.get("/u").text == "unix"
    assert server.get("/n").status == 500
    server.wait_log("no port in upstream \"127.0.0.1\"")


@every_app
def test_redirect_to_the_folder(weir, origin, app):
    server = weir(app.conf("location /app/ { app_pass {up}; }"), up=origin(app.script()))
    res = server.get("/app")
    assert res.status == 301 and res.headers["Location"].endswith("/app/")


@every_app
def test_in_if(weir, origin, app):
    up = origin(app.script(b"app"))
    server = weir(app.conf("location / { app_param L location; app_param CONTENT_LENGTH ''; if ($arg_app) { app_pass {up}; } return 200 static; }"),
                  up=up)
    assert server.get("/").text == "static"
    assert server.get("/?app=1").text in ("app", "static")


# --- the configuration ---

ERRORS = [
    ("location / { app_pass 127.0.0.1; }", 'no port in upstream "127.0.0.1"'),
    ("location / { app_pass unix:; }", 'no path in the unix domain socket in upstream "unix:"'),
    ("location / { app_pass 127.0.0.1:99999; }", 'invalid port in upstream "127.0.0.1:99999"'),
    ("location / { app_pass 127.0.0.1:9/x; }", 'invalid host in upstream "127.0.0.1:9/x"'),
    ("location / { app_pass ''; }", 'no host in upstream ""'),
    ("location / { app_pass 127.0.0.1:1; app_pass 127.0.0.1:1; }", '"app_pass" directive is duplicate'),
    ("location / { app_pass; }", 'invalid number of arguments in "app_pass" directive'),
    ("app_pass 127.0.0.1:1;", '"app_pass" directive is not allowed here'),
    ("location / { app_param A; }", 'invalid number of arguments in "app_param" directive'),
    ("location / { app_param A B C; }", 'invalid parameter "C"'),
    ("location / { app_param A B if_not_empty D; }", 'invalid number of arguments in "app_param" directive'),
    ("location / { if ($host) { app_param A B; } }", '"app_param" directive is not allowed here'),
    ("location / { app_param A $nosuch; }", 'unknown "nosuch" variable'),
    ("location / { app_next_upstream http_502; }", 'invalid value "http_502"'),
    ("location / { app_next_upstream http_504; }", 'invalid value "http_504"'),
    ("location / { app_ignore_headers X-Foo; }", 'invalid value "X-Foo"'),
    ("location / { app_buffers 1 4k; }", 'there must be at least 2 "app_buffers"'),
    ("location / { app_busy_buffers_size 1k; }", '"app_busy_buffers_size" must be equal to or greater than the maximum of the value '
                                                 'of "app_buffer_size" and one of the "app_buffers"'),
    ("location / { app_max_temp_file_size 1k; }", '"app_max_temp_file_size" must be equal to zero to disable temporary files usage'),
    ("location / { app_read_timeout x; }", '"app_read_timeout" directive invalid value'),
    ("location / { app_intercept_errors x; }", 'invalid value "x" in "app_intercept_errors" directive, it must be "on" or "off"'),
    ("location / { app_intercept_errors on; app_intercept_errors on; }", '"app_intercept_errors" directive is duplicate'),
    ("location / { app_temp_path a 1 2 3 4; }", 'invalid number of arguments in "app_temp_path" directive'),
]


@pytest.mark.parametrize("text, words", ERRORS)
@every_app
def test_errors(command, app, text, words):
    run = command(app.conf(text)).command("-t")
    assert run.returncode == 1
    assert app.conf(words) in run.stderr


@pytest.mark.weir_only("nginx would send it over the idle connection")
@every_app
def test_group_below_and_in_another_protocol(weir, origin, app):
    """A connection that one protocol left idle is never used by another."""
    def script(conn):
        if conn.number == 0:
            for _ in conn.requests():
                conn.reply(b"http")
        else:
            app.read(conn)
            conn.send(app.answer(b"app"))
    up = origin(script)
    server = weir(app.conf("location /h { proxy_pass http://g; proxy_http_version 1.1; proxy_set_header Connection ''; } "
                           "location /a { app_pass g; " + PARAMS + "} } upstream g { server {up}; keepalive 4; } server { listen "
                           "127.0.0.1:{port2};"), workers=1, up=up)
    assert server.get("/h").text == "http"
    assert server.get("/a").text == "app"
    assert up.connections == 2
