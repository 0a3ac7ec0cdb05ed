# SPDX-License-Identifier: Apache-2.0
"""auth_request, auth_request_set: who may come in, what is kept of the answer, what happens when there is none (U13)."""
import threading

import pytest


def script(conn):
    """The status is the first part of the path: /403/..."""
    for req in conn.requests():
        parts = req.target.split("/")
        status = parts[1] if parts[1].isdigit() else "200"
        conn.reply(b"body of " + req.target.encode(), f"{status} X",
                   [("X-User", "u" + status), ("WWW-Authenticate", 'Basic realm="r"'), ("X-Path", req.target)])


SERVER = """
    access_log {dir}/access.log t;
    root {dir}/h;
    location /code/ { auth_request /auth; auth_request_set $user $upstream_http_x_user;
        add_header X-User $user always; add_header X-Args $args always; return 200 "in"; }
    location /file/ { auth_request /auth; auth_request_set $user $upstream_http_x_user; auth_request_set $st $upstream_status;
        add_header X-User $user always; add_header X-Status $st always; }
    location /nested/ { auth_request /auth; location /nested/off/ { auth_request off; } location /nested/on/ { } }
    location /proxy/ { auth_request /auth; auth_request_set $user $upstream_http_x_user; proxy_set_header X-User $user;
        proxy_pass http://{app}; }
    location /page/ { auth_request /auth; error_page 401 = /login; error_page 403 /denied; }
    location = /login { internal; return 200 "login"; }
    location = /denied { internal; return 200 "denied $request_uri"; }
    location /any/ { satisfy any; deny all; auth_request /auth; }
    location /all/ { deny all; auth_request /auth; }
    location /anyok/ { satisfy any; allow all; auth_request /auth; }
    location /missing/ { auth_request /none; }
    location /static/ { auth_request /ok; }
    location = /ok { internal; return 204; }
    location /ret444/ { auth_request /silent; }
    location = /silent { internal; return 444; }
    location /redirected/ { auth_request /hop; }
    location = /hop { internal; return 302 /x; }
    location /rewritten/ { auth_request /re/a; }
    location /re/ { internal; rewrite ^/re/(.*) /ok last; }
    location = /auth { internal; proxy_pass http://{auth}/$code/x; proxy_pass_request_body off;
        proxy_set_header Content-Length ""; proxy_set_header X-Original-URI $request_uri;
        proxy_set_header X-Line $request; proxy_set_header X-Method $request_method; }
"""
FILES = {f"h/{name}/f": f"file {name}".encode() for name in
         ("file", "nested/off", "nested/on", "page", "any", "all", "anyok", "missing", "static", "ret444", "redirected", "rewritten")}
FMT = "log_format t '$status $uri'; map $request_uri $code { default 200; '~s=(?<c>[0-9]+)' $c; }"


@pytest.fixture(scope="module")
def peers(weir_shared):
    return {"auth": weir_shared.origin(script), "app": weir_shared.origin()}


@pytest.fixture(scope="module")
def server(weir_shared, peers):
    return weir_shared.server(SERVER, http=FMT, files=FILES, **peers)


@pytest.mark.parametrize("target, status, text", [
    ("/file/f?s=200", 200, "file file"),
    ("/file/f?s=204", 200, "file file"),
    ("/file/f?s=299", 200, "file file"),
    ("/file/f?s=401", 401, None),
    ("/file/f?s=403", 403, None),
    ("/file/f?s=404", 500, None),
    ("/file/f?s=302", 500, None),
    ("/file/f?s=500", 500, None),
    ("/file/f?s=503", 500, None),
    ("/nested/on/f?s=403", 403, None),
    ("/nested/off/f?s=403", 200, "file nested/off"),
    ("/page/f?s=401", 200, "login"),
    ("/page/f?s=403", 403, "denied /page/f?s=403"),
    ("/any/f?s=200", 200, "file any"),
    ("/any/f?s=403", 403, None),
    ("/any/f?s=401", 401, None),
    ("/all/f?s=200", 403, None),
    ("/anyok/f?s=403", 200, "file anyok"),
    ("/missing/f", 500, None),
    ("/static/f", 200, "file static"),
    ("/redirected/f", 500, None),
    ("/rewritten/f", 200, "file rewritten"),
    ("/auth", 404, None),
])
def test_answers(server, target, status, text):
    resp = server.get(target)
    assert resp.status == status
    if text is not None:
        assert resp.text == text


@pytest.mark.weir_only("nginx closes the client's connection, too; documented is an error for all but 2xx, 401, 403")
def test_silent_answer_is_none(server):
    assert server.get("/ret444/f").status == 500
    server.wait_log("auth request unexpected status: 444")


def test_a_return_is_before_access(server):
    assert server.get("/code/?s=403").text == "in"


@pytest.mark.parametrize("code", [200, 401, 403, 500])
def test_variables_are_kept_whatever_the_status(server, code):
    resp = server.get(f"/file/f?s={code}")
    assert resp.headers.get("X-User") == f"u{code}"
    assert resp.headers.get("X-Status") == str(code)


def test_challenge_is_passed(server):
    resp = server.get("/file/f?s=401")
    assert resp.status == 401 and resp.headers.all("WWW-Authenticate") == ['Basic realm="r"']
    assert "WWW-Authenticate" not in server.get("/file/f?s=403").headers
    assert "WWW-Authenticate" not in server.get("/file/f?s=200").headers


def test_what_the_asked_one_sees(server, peers):
    before = len(peers["auth"].requests)
    resp = server.request("POST", "/file/f?s=403", {"X-Mine": "m", "Cookie": "c=1"}, b"hello")
    assert resp.status == 403
    req = peers["auth"].wait_requests(before + 1)[before]
    assert (req.method, req.target, req.body) == ("GET", "/403/x", b"")
    assert req.headers["X-Mine"] == "m" and req.headers["Cookie"] == "c=1"
    assert req.headers["X-Original-URI"] == "/file/f?s=403"
    assert req.headers["X-Line"] == "POST /file/f?s=403 HTTP/1.1"
    assert "Content-Length" not in req.headers and "Transfer-Encoding" not in req.headers


@pytest.mark.weir_only("nginx sends the length of a body that it does not send, unless told otherwise")
def test_no_length_of_a_body_that_is_not_sent(weir, origin):
    auth, app = origin(), origin()
    server = weir("location / { auth_request /auth; proxy_pass http://{app}; } location = /auth { proxy_pass http://{auth}; }",
                  auth=auth, app=app)
    assert server.request("POST", "/a", {}, b"hello").status == 200
    assert "Content-Length" not in auth.requests[0].headers and auth.requests[0].body == b""
    assert app.requests[0].body == b"hello"


def test_body_goes_to_the_location(server, peers):
    before = len(peers["app"].requests)
    assert server.request("POST", "/proxy/f?s=200", {}, b"hello" * 1000).status == 200
    req = peers["app"].wait_requests(before + 1)[before]
    assert req.method == "POST" and req.body == b"hello" * 1000 and req.headers["X-User"] == "u200"


def test_connection_goes_on(server):
    client = server.client()
    for code, status in ((200, 200), (401, 401), (403, 403), (200, 200)):
        assert client.get(f"/file/f?s={code}").status == status


def test_log(weir, origin):
    auth = origin()
    server = weir("""location / { auth_request /auth; root {dir}/h; access_log {dir}/main.log t; }
        location = /auth { proxy_pass http://{auth}; access_log {dir}/auth.log t; log_subrequest on; }
        location /quiet/ { auth_request /auth2; root {dir}/h; }
        location = /auth2 { proxy_pass http://{auth}; access_log {dir}/auth2.log t; }""",
                  http="log_format t '$status $uri \"$request\" $upstream_status';", files={"h/f": b"f", "h/quiet/f": b"f"},
                  auth=auth)
    assert server.get("/f").status == 200
    assert server.access(1, "main.log") == ['200 /f "GET /f HTTP/1.1" -']
    assert server.access(1, "auth.log") == ['200 /auth "GET /f HTTP/1.1" 200']
    assert server.get("/quiet/f").status == 200
    assert server.read("auth2.log") == ""


def test_refused_peer(weir):
    server = weir("""location / { auth_request /auth; root {dir}; }
        location = /auth { proxy_pass http://127.0.0.1:{port_closed}; }""")
    assert server.get("/f").status == 500
    server.wait_log(r'connect\(\) failed .*request: "GET /f HTTP/1.1", subrequest: "/auth"')
    server.wait_log("auth request unexpected status: 502")


def test_retry_within_the_subrequest(weir, origin):  # U13: the whole mechanism
    good = origin()
    server = weir("""location / { auth_request /auth; root {dir}/h; }
        location = /auth { proxy_pass http://g; }""",
                  http="upstream g { zone g 64k; server 127.0.0.1:{port_closed}; server {good}; }", good=good, files={"h/f": b"f"})
    for _ in range(3):
        assert server.get("/f").status == 200


def test_client_leaves_while_it_is_asked(weir, origin):  # U13: cancel of the parent ends all
    auth = origin([lambda c: (c.read_request(), c.hold()), b"HTTP/1.1 204 No\r\n\r\n"])
    server = weir("location / { auth_request /auth; root {dir}/h; } location = /auth { proxy_pass http://{auth}; }",
                  auth=auth, files={"h/f": b"f"})
    client = server.client()
    client.send(b"GET /f HTTP/1.1\r\nHost: h\r\n\r\n")
    auth.wait_requests(1)
    client.close()
    assert auth.wait_end(0) in ("eof", "reset", "closed")
    assert server.get("/f").status == 200


def test_long_body_is_not_waited_for(weir, origin):
    """The head decides; the rest is dropped."""
    gate = threading.Event()

    def slow(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 1000)
        conn.wait(gate)
        conn.send_lenient(b"x" * 99000)
    auth = origin(slow)
    server = weir("location / { auth_request /auth; root {dir}/h; } location = /auth { proxy_pass http://{auth}; }",
                  auth=auth, files={"h/f": b"f"})
    assert server.get("/f").text == "f"
    gate.set()


@pytest.mark.parametrize("line, message", [
    ("auth_request;", 'invalid number of arguments in "auth_request" directive'),
    ("auth_request a b;", 'invalid number of arguments in "auth_request" directive'),
    ("auth_request /x; auth_request off;", '"auth_request" directive is duplicate'),
    ("auth_request_set x y;", 'invalid variable name "x"'),
    ("auth_request_set $x;", 'invalid number of arguments in "auth_request_set" directive'),
    ("auth_request_set $uri y;", 'the duplicate "uri" variable'),
    ("auth_request_set $x $yy;", 'unknown "yy" variable'),
    ("if ($args) { auth_request /x; }", '"auth_request" directive is not allowed here'),
    ("if ($args) { auth_request_set $x /x; }", '"auth_request_set" directive is not allowed here'),
    ("mirror;", 'invalid number of arguments in "mirror" directive'),
    ("mirror off; mirror /x;", '"mirror" directive is duplicate'),
    ("mirror /x; mirror off;", '"mirror" directive is duplicate'),
    ("if ($args) { mirror /x; }", '"mirror" directive is not allowed here'),
    ("mirror_request_body x;", 'invalid value "x" in "mirror_request_body" directive, it must be "on" or "off"'),
    ("if ($args) { mirror_request_body on; }", '"mirror_request_body" directive is not allowed here'),
])
def test_errors(command, line, message):
    server = command("location / { " + line + " }")
    done = server.command("-t")
    assert done.returncode != 0 and message in done.stderr
