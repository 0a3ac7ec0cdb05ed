# SPDX-License-Identifier: Apache-2.0
"""Subrequests and the rest of the server: limits, variables, rewrite, error pages, redirects of peers (U13)."""
import pytest

from weirtest.timing import wait_for


def include(*uris, more=""):
    return " ".join(f'<!--# include virtual="{u}" {more} -->' for u in uris).encode()


def test_limits_count_the_client(weir):
    """limit_conn 1: a page's own parts are not turned away; limit_req counts the page once."""
    server = weir("""ssi on; default_type text/html; root {dir}/h; limit_conn c 1; limit_req zone=r burst=1 nodelay;
        location /part { return 200 "[$uri]"; }
        location /asks { auth_request /auth; root {dir}/h; }
        location = /auth { return 204; }""",
                  http="limit_conn_zone $http_x_c zone=c:1m; limit_req_zone $binary_remote_addr zone=r:1m rate=1r/m;",
                  files={"h/p": include(*[f"/part{i}" for i in range(5)]), "h/asks": b"asked"})
    # A key for each: a request counts until after its answer is out.
    assert server.get("/p", {"X-C": "1"}).text == " ".join(f"[/part{i}]" for i in range(5))
    assert server.get("/asks", {"X-C": "2"}).text == "asked"
    assert server.get("/p", {"X-C": "3"}).status == 503


def test_limits_of_a_parts_location(weir):
    server = weir("""ssi on; default_type text/html; root {dir}/h;
        location /part { limit_req zone=r; limit_req_status 429; try_files /part.txt =404; }""",
                  http="limit_req_zone $binary_remote_addr zone=r:1m rate=1r/m;",
                  files={"h/p": include("/part"), "h/part.txt": b"[part]"})
    assert server.get("/p").text == "[part]"
    assert "429" in server.get("/p").text


@pytest.mark.weir_only("nginx shares what map gave the first that asked")
def test_variables(weir):
    """Those of `set` are one for all, map has its own value in each; $request is the client's."""
    server = weir("""ssi on; default_type text/html; root {dir}/h; set $mark main;
        location /tell { return 200 "[$uri|$args|$mapped|$mark|$request|$request_uri|$request_method|$http_x_h|$remote_addr]"; }
        location /mark { set $mark child; return 200 "($mark)"; }""",
                  http="map $uri $mapped { default other; /tell told; /p page; }",
                  files={"h/p": b'<!--# echo var="mapped" --> ' + include("/tell?a=b") + b' <!--# echo var="mapped" -->',
                         "h/q": include("/mark", more='wait="yes"') + b'<!--# echo var="mark" -->'})
    resp = server.get("/p?q", {"X-H": "hv"})
    assert resp.text == "page [/tell|a=b|told|main|GET /p?q HTTP/1.1|/p?q|GET|hv|127.0.0.1] page"
    assert server.get("/q").text == "(child)child"


def test_parts_are_gets(weir, origin):
    part = origin()
    page = b'<!--# include virtual="/part" -->'
    server = weir("""ssi on; location /part { proxy_pass http://{part}; proxy_pass_request_body off;
        proxy_set_header Content-Length ""; } location /page { proxy_pass http://{page}; }""", part=part,
                  page=origin(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s" % (len(page), page)))
    assert server.request("POST", "/page", {"X-Y": "z"}, b"hello").text == "ok"
    req = part.requests[0]
    assert (req.method, req.target, req.body, req.headers["X-Y"]) == ("GET", "/part", b"", "z")


def test_rewrite_error_page_and_index(weir):
    server = weir("""ssi on; default_type text/html; root {dir}/h; error_page 404 /gone.html; error_page 403 @refused;
        location /re/ { rewrite ^/re/(.*)$ /files/$1 last; }
        location /tf/ { try_files /none /files/a; }
        location /deny/ { return 403; }
        location @refused { return 200 "refused $uri"; }
        location /in/ { internal; root {dir}/h; }""",
                  files={"h/files/a": b"A", "h/dir/index.html": b"index", "h/gone.html": b"gone", "h/in/x": b"inner",
                         "h/p": include("/re/a", "/tf/q", "/dir/", "/none", "/deny/", "/in/x")})
    assert server.get("/p").text == "A A index gone refused /deny/ inner"
    assert server.get("/in/x").text == "gone"


def test_accel_redirect(weir, origin):
    """X-Accel-Redirect: to a path, to a named location, also of a part; the method and URI are kept for a named one."""
    def script(conn):
        for req in conn.requests():
            to = req.target.rsplit("=", 1)[-1]
            conn.reply(b"not this", headers=[("X-Accel-Redirect", to), ("Content-Type", "text/html")])
    up = origin(script)
    server = weir("""ssi on; default_type text/html; root {dir}/h;
        location /up { proxy_pass http://{up}; }
        location /in/ { internal; return 200 "in $uri [$args]"; }
        location @named { return 200 "named $request_method $uri [$args]"; }
        location /none { internal; }""",
                  files={"h/p": include("/up?to=@named", "/up?to=/in/x")}, up=up)
    assert server.get("/up?to=/in/y").text == "in /in/y []"
    assert server.request("PUT", "/up?to=@named", {}, b"body").text == "named PUT /up [to=@named]"
    assert server.get("/up?to=@other").status == 500
    server.wait_log('could not find named location "@other"')
    assert server.get("/p").text == "named GET /up [to=@named] in /in/x []"


def test_access_is_asked_once(weir):
    """A part's own rules are not asked, as documented for nginx: who may see the page may see its parts."""
    server = weir("""ssi on; default_type text/html; root {dir}/h; location /part { deny all; root {dir}/h; }""",
                  files={"h/p": include("/part"), "h/part": b"[part]"})
    assert server.get("/p").text == "[part]"
    assert server.get("/part").status == 403


def test_mirror_of_a_page_with_parts(weir, origin):
    copy = origin()
    server = weir("""ssi on; default_type text/html; root {dir}/h; mirror /copy;
        location = /copy { internal; proxy_pass http://{copy}; }
        location = /part { root {dir}/h; }""", files={"h/p": include("/part", "/part"), "h/part": b"part"}, copy=copy)
    assert server.get("/p").text == "part part"
    assert server.get("/part").text == "part"
    copy.wait_requests(2)
    assert len(copy.requests) == 2


def test_status_shows_the_client(weir):
    """A request that waits for its subrequests is one request."""
    server = weir("""ssi on; default_type text/html; root {dir}/h;
        location /part { return 200 "$connections_active"; }""", files={"h/p": include("/part")})
    wait_for(lambda: server.get("/p").text == "1", "the connection that saw that it listens to be over")


def test_gzip_of_the_whole(weir):
    import gzip
    server = weir("""ssi on; default_type text/html; root {dir}/h; gzip on; gzip_min_length 1;""",
                  files={"h/p": b"[" + include("/a", "/a") + b"]", "h/a": b"a" * 1000})
    resp = server.get("/p", {"Accept-Encoding": "gzip"})
    assert resp.headers.get("Content-Encoding") == "gzip"
    assert gzip.decompress(resp.body) == b"[" + b"a" * 1000 + b" " + b"a" * 1000 + b"]"
    assert server.get("/p").body == b"[" + b"a" * 1000 + b" " + b"a" * 1000 + b"]"


@pytest.mark.weir_only("$request_id: nginx has one where a text of the configuration asked for it before")
def test_one_request_id(weir, origin):
    auth, app, copy = origin(), origin(), origin()
    server = weir("""proxy_set_header X-Id $request_id; add_header X-Id $request_id;
        location / { auth_request /auth; mirror /copy; proxy_pass http://{app}; }
        location = /auth { proxy_pass http://{auth}; } location = /copy { proxy_pass http://{copy}; }""",
                  auth=auth, app=app, copy=copy)
    resp = server.get("/x")
    copy.wait_requests(1)
    assert {p.requests[0].headers["X-Id"] for p in (auth, app, copy)} == {resp.headers["X-Id"]}
