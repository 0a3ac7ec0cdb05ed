# SPDX-License-Identifier: Apache-2.0
"""add_header, add_trailer, their inheritance, expires: fields on the wire, what -t says."""
import email.utils
import re
import time

import pytest

FILES = {"h/a.txt": b"hello " * 100, "h/empty": b""}

SERVER = """
    root {dir}/h;
    add_header X-Outer outer;
    location /plain { alias {dir}/h; }
    location /own { add_header X-Own $arg_v; add_header X-Type $sent_http_content_type; add_header X-Empty ""; alias {dir}/h; }
    location /status { add_header X-Some s; add_header X-Always a always; return 404; }
    location /204 { add_header X-Some s; return 204; }
    location /308 { add_header X-Some s; return 308 /x; }
    location /500 { add_header X-Some s; return 500; }
    location /nested { add_header X-In in; location /nested/deep { return 200 x; }
                       location /nested/if { if ($arg_a) { add_header X-If if; return 200 y; } return 200 x; } }
    location /clear { add_header Last-Modified ""; add_header ETag ""; alias {dir}/h; }
    location /set { add_header Last-Modified "Mon, 28 Sep 1970 06:00:00 GMT"; add_header ETag '"abc"'; alias {dir}/h; }
    location /several { add_header Link c; add_header Vary Y; add_header Set-Cookie c; add_header Cache-Control public; proxy_pass http://{up}; }
    location /expires/ { expires $arg_e; proxy_pass http://{up}; }
    location /modified/ { expires modified $arg_e; alias {dir}/h/; }
    location /over { expires 1h; add_header Cache-Control no-transform; proxy_pass http://{up}; }
    location /e404 { expires 1h; return 404; }
    location /e302 { expires 1h; return 302 /x; }
    location /inherited { expires 2h; location /inherited/deep { add_header X-D d; return 200 x; } }
    location /fixed/1h { expires 1h; return 200 x; }
    location /fixed/minus { expires -1; return 200 x; }
    location /fixed/zero { expires 0; return 200 x; }
    location /fixed/epoch { expires epoch; return 200 x; }
    location /fixed/max { expires max; return 200 x; }
    location /fixed/off { expires off; return 200 x; }
    location /fixed/long { expires 1y2M3w4d5h6m7s; return 200 x; }
    location /trailer { add_trailer X-T $status; add_trailer X-E ""; add_trailer X-Sent $body_bytes_sent; alias {dir}/h; }
    location /trailer/404 { add_trailer X-T t; add_trailer X-A a always; return 404; }
    location /trailer/204 { add_trailer X-T t always; return 204; }
    location /trailer/none { add_trailer X-T t; return 500; }
    location /trailer/up { add_trailer X-Up $upstream_http_link; proxy_pass http://{up}; }
"""

PEER = (b"HTTP/1.1 200 OK\r\nLink: a\r\nLink: b\r\nVary: X\r\nSet-Cookie: a\r\nCache-Control: private, foo\r\nCache-Control: bar\r\n"
        b"Expires: Thu, 01 Jan 1970 00:00:01 GMT\r\nContent-Length: 2\r\n\r\nok")


@pytest.fixture(scope="module")
def server(weir_shared):
    return weir_shared.server(SERVER, up=weir_shared.origin(PEER), files=FILES)


def fields(resp, name):
    return resp.headers.all(name)


@pytest.mark.parametrize("target, expect", [
    ("/plain/a.txt", {"X-Outer": ["outer"]}),
    ("/own/a.txt?v=1", {"X-Own": ["1"], "X-Type": ["text/plain"], "X-Outer": [], "X-Empty": []}),
    ("/own/a.txt", {"X-Own": []}),
    ("/status", {"X-Some": [], "X-Always": ["a"]}),
    ("/204", {"X-Some": ["s"]}),
    ("/308", {"X-Some": ["s"]}),
    ("/500", {"X-Some": []}),
    ("/nested/deep", {"X-In": ["in"], "X-Outer": []}),
    ("/nested/if", {"X-In": ["in"]}),
    ("/nested/if?a=1", {"X-In": [], "X-If": ["if"]}),
    ("/clear/a.txt", {"Last-Modified": [], "ETag": []}),
    ("/set/a.txt", {"Last-Modified": ["Mon, 28 Sep 1970 06:00:00 GMT"], "ETag": ['"abc"']}),
    ("/several", {"Link": ["a", "b", "c"], "Vary": ["X", "Y"], "Set-Cookie": ["a", "c"],
                  "Cache-Control": ["private, foo", "bar", "public"]}),
    ("/over", {"Cache-Control": ["max-age=3600", "no-transform"]}),
    ("/e404", {"Expires": [], "Cache-Control": []}),
    ("/e302", {"Cache-Control": ["max-age=3600"]}),
    ("/inherited/deep", {"Cache-Control": ["max-age=7200"], "X-D": ["d"]}),
    ("/fixed/1h", {"Cache-Control": ["max-age=3600"]}),
    ("/fixed/minus", {"Cache-Control": ["no-cache"]}),
    ("/fixed/zero", {"Cache-Control": ["max-age=0"]}),
    ("/fixed/epoch", {"Cache-Control": ["no-cache"], "Expires": ["Thu, 01 Jan 1970 00:00:01 GMT"]}),
    ("/fixed/max", {"Cache-Control": ["max-age=315360000"], "Expires": ["Thu, 31 Dec 2037 23:55:55 GMT"]}),
    ("/fixed/off", {"Cache-Control": [], "Expires": []}),
    ("/fixed/long", {"Cache-Control": [f"max-age={365 * 86400 + 60 * 86400 + 21 * 86400 + 4 * 86400 + 5 * 3600 + 6 * 60 + 7}"]}),
    ("/expires/?e=1h30m", {"Cache-Control": ["max-age=5400"]}),
    ("/expires/?e=epoch", {"Expires": ["Thu, 01 Jan 1970 00:00:01 GMT"], "Cache-Control": ["no-cache"]}),
    ("/expires/?e=max", {"Cache-Control": ["max-age=315360000"]}),
    ("/expires/?e=-5", {"Cache-Control": ["no-cache"]}),
    ("/expires/?e=off", {"Cache-Control": ["private, foo", "bar"], "Expires": ["Thu, 01 Jan 1970 00:00:01 GMT"]}),
    ("/expires/?e=nonsense", {"Cache-Control": ["private, foo", "bar"]}),
    ("/expires/", {"Cache-Control": ["private, foo", "bar"]}),
])
def test_fields(server, target, expect):
    resp = server.get(target)
    assert {name: fields(resp, name) for name in expect} == expect


def test_expires_is_a_time_from_now(server):
    at = email.utils.parsedate_to_datetime(server.get("/fixed/1h").headers["Expires"]).timestamp()
    assert abs(at - time.time() - 3600) < 30


def test_expires_modified_counts_from_the_file(server):
    now = int(time.time())
    resp = server.get("/modified/a.txt?e=2h")
    at = email.utils.parsedate_to_datetime(resp.headers["Expires"]).timestamp()
    assert at == email.utils.parsedate_to_datetime(resp.headers["Last-Modified"]).timestamp() + 7200
    age = int(re.fullmatch(r"max-age=(\d+)", resp.headers["Cache-Control"])[1])
    assert at - time.time() - 1 <= age <= at - now + 1  # weir's clock is up to a tick behind


@pytest.mark.parametrize("day", ["@0h", "@13h30m", "@23h59m59s"])
def test_expires_at_a_time_of_day(server, day):
    resp = server.get("/expires/?e=" + day)
    age = int(resp.headers["Cache-Control"].removeprefix("max-age="))
    assert 0 <= age <= 86400
    at = time.localtime(email.utils.parsedate_to_datetime(resp.headers["Expires"]).timestamp())
    want = [int(n) for n in re.findall(r"\d+", day)] + [0, 0]
    assert [at.tm_hour, at.tm_min, at.tm_sec] == want[:3]


def test_304_has_the_fields_and_a_cleared_tag_has_no_304(server):
    tag = server.get("/plain/a.txt").headers["ETag"]
    resp = server.get("/plain/a.txt", {"If-None-Match": tag})
    assert resp.status == 304 and resp.headers["X-Outer"] == "outer"


# trailers

@pytest.mark.parametrize("target, status, expect", [
    ("/trailer/a.txt", 200, {"X-T": ["200"]}),
    ("/trailer/empty", 200, {"X-T": ["200"]}),
    ("/trailer/404", 404, {"X-T": [], "X-A": ["a"]}),
    ("/trailer/up", 200, {"X-Up": ["a"]}),
])
def test_trailers(server, target, status, expect):
    resp = server.get(target)
    assert resp.status == status and resp.headers["Transfer-Encoding"] == "chunked" and "Content-Length" not in resp.headers
    assert {name: resp.trailers.all(name) for name in expect} == expect
    assert "X-E" not in resp.trailers
    if target == "/trailer/a.txt":
        assert resp.body == FILES["h/a.txt"]


@pytest.mark.parametrize("target, status", [("/trailer/204", 204), ("/trailer/none", 500)])
def test_no_place_for_trailers(server, target, status):
    resp = server.get(target)
    assert resp.status == status and "Transfer-Encoding" not in resp.headers


def test_http_10_and_head_have_no_trailers(server):
    resp = server.raw(b"GET /trailer/a.txt HTTP/1.0\r\n\r\n")
    assert resp.headers["Content-Length"] == "600" and resp.body == FILES["h/a.txt"]
    assert server.request("HEAD", "/trailer/a.txt").headers["Content-Length"] == "600"


def test_range_with_trailers(server):
    resp = server.get("/trailer/a.txt", {"Range": "bytes=0-4"})
    assert resp.status == 206 and resp.body == b"hello" and resp.trailers["X-T"] == "206"


@pytest.mark.weir_only("nginx 1.22 does not pass trailers of a peer on")
def test_trailers_of_the_peer_stay(weir, origin):
    up = origin(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Peer: p\r\n\r\n")
    server = weir("location / { add_trailer X-T $sent_trailer_x_peer; proxy_http_version 1.1; proxy_pass_trailers on; proxy_pass http://{up}; }", up=up)
    resp = server.get("/")
    assert resp.trailers["X-Peer"] == "p" and resp.trailers["X-T"] == "p" and resp.body == b"ok"


def test_truncated_peer_gets_no_trailers(weir, origin):
    up = origin(lambda c: (c.read_request(), c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this"), c.close()))
    server = weir("location / { add_trailer X-T t; proxy_http_version 1.1; proxy_pass http://{up}; }", up=up)
    client = server.client()
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    rest = client.read_to_end()
    assert b"only this" in rest and b"X-T" not in rest and not rest.endswith(b"0\r\n\r\n")


# inheritance

@pytest.mark.weir_only("add_header_inherit is of nginx 1.29.3")
@pytest.mark.parametrize("target, expect", [
    ("/on", "a"), ("/on/own", "b"), ("/merge", "a"), ("/merge/own", "b a"), ("/merge/own/deep", "c b a"), ("/merge/own/on", "d"),
    ("/off", ""), ("/off/own", "b"), ("/off/own/deep", ""), ("/off/merge", "b"),
])
def test_inherit(weir, target, expect):
    server = weir("""add_header X a; add_trailer T a;
        location /on { return 200 x; } location /on/own { add_header X b; add_trailer T b; return 200 x; }
        location /merge { add_header_inherit merge; add_trailer_inherit merge; return 200 x;
            location /merge/own { add_header X b; add_trailer T b; return 200 x;
                location /merge/own/deep { add_header X c; add_trailer T c; return 200 x; }
                location /merge/own/on { add_header_inherit on; add_trailer_inherit on; add_header X d; add_trailer T d; return 200 x; } } }
        location /off { add_header_inherit off; add_trailer_inherit off; return 200 x;
            location /off/own { add_header X b; add_trailer T b; return 200 x; location /off/own/deep { return 200 x; } }
            location /off/merge { add_header_inherit merge; add_header X b; add_trailer_inherit merge; add_trailer T b; return 200 x; } }""")
    resp = server.get(target)
    assert " ".join(resp.headers.all("X")) == expect
    assert " ".join(resp.trailers.all("T") if resp.trailers else []) == expect


# what is not let through

@pytest.mark.weir_only("nginx sends what was given: fields that end the message, lines that end the field")
def test_fields_that_would_break_the_message(weir):
    server = weir("""location / { add_header Content-Length 1; add_header Transfer-Encoding chunked; add_header Connection close;
            add_header "a b" c; add_header X-Good g; return 200 four; }
        location /uri { add_header X-Uri $uri; add_trailer X-T $uri; add_header X-Good g; return 200 x; }
        location /type { add_header Content-Type text/x; return 200 x; }""", allow=["field is left out"])
    with server.client() as client:
        resp = client.get("/")
        assert resp.body == b"four" and fields(resp, "Content-Length") == ["4"] and "Transfer-Encoding" not in resp.headers
        assert fields(resp, "Connection") == ["keep-alive"] and resp.headers["X-Good"] == "g"
        resp = client.get("/uri%0d%0aX-Bad:%20b")
        assert "X-Uri" not in resp.headers and "X-Bad" not in resp.headers and resp.headers["X-Good"] == "g"
        assert "X-T" not in resp.trailers
        assert fields(client.get("/type"), "Content-Type") == ["text/x"]
    server.wait_log('the value of "add_header X-Uri" has CR, LF or NUL')
    assert '"Content-Length" cannot be added to a response, "add_header" is ignored' in server.output() + server.log()


@pytest.mark.parametrize("text, words", [
    ("add_header a;", 'invalid number of arguments in "add_header" directive'),
    ("add_header a b always c;", 'invalid number of arguments in "add_header" directive'),
    ("add_header a b c;", 'invalid parameter "c"'),
    ("add_header a $nope;", 'unknown "nope" variable'),
    ("add_trailer a;", 'invalid number of arguments in "add_trailer" directive'),
    ("add_trailer a b c;", 'invalid parameter "c"'),
    ("expires;", 'invalid number of arguments in "expires" directive'),
    ("expires a b c;", 'invalid number of arguments in "expires" directive'),
    ("expires foo;", '"expires" directive invalid value'),
    ("expires modified;", '"expires" directive invalid value'),
    ("expires modified max;", '"expires" directive invalid value'),
    ("expires foo 1h;", '"expires" directive invalid value'),
    ("expires -;", '"expires" directive invalid value'),
    ("expires @;", '"expires" directive invalid value'),
    ("expires @-1h;", '"expires" directive invalid value'),
    ("expires @25h;", '"expires" directive daily time value must be less than 24 hours'),
    ("expires modified @1h;", '"expires" directive daily time cannot be used with "modified" parameter'),
    ("expires 1h; expires 2h;", '"expires" directive is duplicate'),
    ("if ($host) { add_header a b; }", '"add_header" directive is not allowed here'),
    ("if ($host) { expires 1h; }", '"expires" directive is not allowed here'),
])
def test_words(command, text, words):
    made = command(text="events {} http { server { listen 127.0.0.1:{port}; " + text + " } }")
    run = made.command("-t")
    assert run.returncode == 1 and words in run.stderr
