# SPDX-License-Identifier: Apache-2.0
"""What is rewritten in a peer's head: Location and Refresh (proxy_redirect), Set-Cookie (proxy_cookie_*). U5.7.

One server a table; each row is a location, the peer's field comes along as an argument of the request."""
from urllib.parse import quote, unquote

import pytest

OFF = "absolute_redirect off; "


def rows(weir, origin, table):
    """(server, peer): location /N/ has the directives of row N; the peer sends the fields that X-Send names."""
    def script(conn):
        for req in conn.requests():
            fields = [line.split(": ", 1) for line in unquote(req.headers["X-Send"]).split("\n")]
            conn.reply(status="302 Found", headers=fields)
    up = origin(script)
    conf = "".join(f"location /{i}/ {{ {row[0]} proxy_pass http://{{up}}; }} " for i, row in enumerate(table))
    return weir(OFF + conf, up=up)


def ask(server, number, *fields, args=""):
    return server.get(f"/{number}/{args}", {"X-Send": quote("\n".join(fields)), "Host": "h"}).headers


# proxy_redirect

REDIRECTS = [
    ("proxy_redirect ~foo bar;", [("http://foo/a/b", "bar"), ("http://Foo/foo/a", "bar"), ("http://Foo/a", None)]),
    ("proxy_redirect ~*^http://FOO(/.*)$ https://z$1;", [("http://foo/a/b", "https://z/a/b"), ("HTTP://foo/a", "https://z/a"),
                                                        ("http://foo:81/x", None)]),
    ("proxy_redirect ~^http://foo/ /n/;", [("http://foo/a/b", "/n/"), ("http://Foo/a", None)]),
    ("proxy_redirect http://foo/ /;", [("http://foo/a/b", "/a/b"), ("http://Foo/a", None), ("http://foo:81/x", None)]),
    ("proxy_redirect $scheme://foo/ http://$host/;", [("http://foo/a/b", "http://h/a/b")]),
    ("proxy_redirect http://foo/a/ /one/; proxy_redirect http://foo/ /two/;", [("http://foo/a/b", "/one/b"),
                                                                              ("http://foo/b", "/two/b")]),
    ("proxy_redirect / /p/;", [("/a/b", "/p/a/b"), ("http://foo/", None)]),
    ("proxy_redirect ~^(?<sch>http)://(?<h>[^/]+)/ /$sch-$h/;", [("http://foo:81/x", "/http-foo:81/")]),
    ("proxy_redirect http://foo '';", [("http://foo/a/b", "/a/b")]),
    ("proxy_redirect off;", [("http://foo/a/b", None)]),
    ("proxy_redirect ~^http://([a-z]+)/(.*) http://$2.$1/$arg_x;", [("http://foo/a", "http://a.foo/1")]),
]


def test_redirect_rules(weir, origin):  # U5.7
    server = rows(weir, origin, REDIRECTS)
    for number, (conf, cases) in enumerate(REDIRECTS):
        for sent, want in cases:
            head = ask(server, number, f"Location: {sent}", f"Refresh: 3; url={sent}", args="?x=1")
            assert (head["Location"], head["Refresh"]) == (want or sent, f"3; url={want or sent}"), (conf, sent)


def test_redirect_default_among_rules(weir, origin):  # U5.7: rules in their order, `default` where it stands
    up = origin(lambda c: [c.reply(status="302 Found", headers=[("Location", f"http://{c.origin}/y{req.target[2:]}")])
                           for req in c.requests()])
    server = weir(OFF + "location /x/ { proxy_pass http://{up}/y/; proxy_redirect http://{up}/y/a/ /A/; proxy_redirect default;"
                  "proxy_redirect http://{up}/ /never/; }", up=up)
    assert server.get("/x/a/b").headers["Location"] == "/A/b"
    assert server.get("/x/c").headers["Location"] == "/x/c"


def test_redirect_is_inherited_and_replaced_whole(weir, origin):
    up = origin(b"HTTP/1.1 302 Found\r\nLocation: http://foo/a\r\nContent-Length: 0\r\n\r\n")
    server = weir(OFF + "proxy_redirect http://foo/ /server/; location / { proxy_pass http://{up}; }"
                  "location /own { proxy_redirect http://foo/a /own; proxy_pass http://{up}; }"
                  "location /off { proxy_redirect off; proxy_pass http://{up}; }", up=up)
    assert server.get("/").headers["Location"] == "/server/a"
    assert server.get("/own").headers["Location"] == "/own"
    assert server.get("/off").headers["Location"] == "http://foo/a"


# Set-Cookie

ALL = ["a=1; Domain=peer.example; Path=/x/y", "a=1;domain=.Peer.Example;path=/x/y;Secure", "b=2; PATH=/X/y; Domain=other",
       "A=3; path = /x/y ; domain", "c", "c=1; SameSite=None; httponly; secure; Max-Age=5", 'd="xy"; Path=/x/',
       "one=1; Domain=xpeer.examplex; Path=/y/x/z; expires=Thu, 01 Jan", "=v; Path=/x/", "e=1;; ;Path=/x/"]
A1, A2 = "a=1; Domain=%s; Path=/x/y", "a=1; domain=%s; path=/x/y; Secure"
P1, P2 = "a=1; Domain=peer.example; Path=%s", "a=1; domain=.Peer.Example; path=%s; Secure"
COOKIES = [
    ("proxy_cookie_domain peer.example front.example;", {0: A1 % "front.example", 1: A2 % ".front.example"}),
    ("proxy_cookie_domain .peer.example .front.example;", {0: A1 % "front.example", 1: A2 % ".front.example"}),
    ("proxy_cookie_domain ~peer front;", {0: A1 % "front", 1: A2 % "front",
                                          7: "one=1; Domain=front; Path=/y/x/z; expires=Thu, 01 Jan"}),
    ("proxy_cookie_domain ~^PEER.(e.*)$ f.$1;", {0: A1 % "f.example"}),
    ("proxy_cookie_domain $arg_d $host;", {0: A1 % "h", 1: A2 % ".h"}),
    ("proxy_cookie_domain peer.example a; proxy_cookie_domain peer.example b; proxy_cookie_domain other o;",
     {0: A1 % "a", 1: A2 % ".a", 2: "b=2; PATH=/X/y; Domain=o"}),
    ("proxy_cookie_domain off;", {}),
    ("proxy_cookie_path /x/ /;", {0: P1 % "/y", 1: P2 % "/y", 3: "A=3; path=/y; domain", 6: 'd="xy"; Path=/', 8: "=v; Path=/",
                                  9: "e=1; ; ; Path=/"}),
    ("proxy_cookie_path /X/ /;", {2: "b=2; PATH=/y; Domain=other"}),
    ("proxy_cookie_path ~*^/X/(.*) /n/$1;", {0: P1 % "/n/y", 1: P2 % "/n/y", 2: "b=2; PATH=/n/y; Domain=other",
                                             3: "A=3; path=/n/y; domain", 6: 'd="xy"; Path=/n/', 8: "=v; Path=/n/",
                                             9: "e=1; ; ; Path=/n/"}),
    ("proxy_cookie_path ~/y/x /N;", {7: "one=1; Domain=xpeer.examplex; Path=/N; expires=Thu, 01 Jan"}),
    ("proxy_cookie_path /x/y '/; Secure';", {0: P1 % "/; Secure", 1: P2 % "/; Secure", 3: "A=3; path=/; Secure; domain"}),
    ("proxy_cookie_flags a secure httponly samesite=lax;",
     {0: P1 % "/x/y" + "; Secure; HttpOnly; SameSite=Lax", 1: P2 % "/x/y" + "; HttpOnly; SameSite=Lax",
      3: "A=3; path=/x/y; domain; Secure; HttpOnly; SameSite=Lax"}),
    ("proxy_cookie_flags c nosamesite nohttponly; proxy_cookie_flags ~. secure;", {
        0: P1 % "/x/y" + "; Secure", 1: P2 % "/x/y", 2: "b=2; PATH=/X/y; Domain=other; Secure",
        3: "A=3; path=/x/y; domain; Secure", 5: "c=1; secure; Max-Age=5", 6: 'd="xy"; Path=/x/; Secure',
        7: "one=1; Domain=xpeer.examplex; Path=/y/x/z; expires=Thu, 01 Jan; Secure", 9: "e=1; ; ; Path=/x/; Secure"}),
    ("proxy_cookie_flags c samesite=strict nosecure;", {5: "c=1; SameSite=Strict; httponly; Max-Age=5"}),
    ("proxy_cookie_flags $arg_c $arg_f;", {2: "b=2; PATH=/X/y; Domain=other; HttpOnly"}),
    ("proxy_cookie_flags ~^O secure; proxy_cookie_path /y /p; proxy_cookie_domain xpeer.examplex z;",
     {7: "one=1; Domain=z; Path=/p/x/z; expires=Thu, 01 Jan; Secure"}),
    ("proxy_cookie_flags off; proxy_cookie_path off;", {}),
]


def test_cookie_rules(weir, origin):  # U5.7
    server = rows(weir, origin, COOKIES)
    for number, (conf, changed) in enumerate(COOKIES):
        got = ask(server, number, *[f"Set-Cookie: {x}" for x in ALL], args="?d=peer.example&c=b&f=httponly").all("Set-Cookie")
        assert got == [changed.get(i, x) for i, x in enumerate(ALL)], conf


def test_unknown_flag_from_a_variable(weir, origin):
    up = origin(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nContent-Length: 0\r\n\r\n")
    server = weir("location / { proxy_cookie_flags a $arg_f secure; proxy_pass http://{up}; }", up=up)
    assert server.get("/?f=").headers["Set-Cookie"] == "a=1; Secure"
    assert server.get("/?f=HTTPONLY").headers["Set-Cookie"] == "a=1; Secure; HttpOnly"


@pytest.mark.weir_only("U14.1; nginx sends such a line on")
@pytest.mark.parametrize("conf, field", [
    ("proxy_cookie_path ~^/ $uri;", "Set-Cookie: a=1; Path=/"), ("proxy_cookie_domain ~. $uri;", "Set-Cookie: a=1; Domain=d"),
    ("proxy_redirect ~^/ $uri;", "Location: /"), ("proxy_redirect ~^/ $uri;", "Refresh: 0; url=/")])
def test_a_variable_cannot_end_the_line(weir, origin, conf, field):  # U14.1
    up = origin(b"HTTP/1.1 302 Found\r\n" + field.encode() + b"\r\nContent-Length: 0\r\n\r\n")
    server = weir("location / { " + conf + " proxy_pass http://{up}; }", up=up)
    resp = server.get("/a%0d%0aX-Evil:%20x")
    assert resp.status in (400, 502) and "X-Evil" not in resp.headers and "Set-Cookie" not in resp.headers
    server.wait_log(r"\[error\] .*, request: ")
    assert server.get("/fine").status == 302


ERRORS = [
    ("proxy_redirect ~( x;", 'pcre2_compile() failed: missing closing parenthesis in "(" in'),
    ("proxy_redirect a;", 'invalid parameter "a" in'), ("proxy_redirect off; proxy_redirect / /;", '"proxy_redirect" directive is duplicate in'),
    ("proxy_redirect / /; proxy_redirect off;", '"proxy_redirect" directive is duplicate in'),
    ("proxy_cookie_domain a;", 'invalid parameter "a" in'),
    ("proxy_cookie_domain a b; proxy_cookie_domain off;", '"proxy_cookie_domain" directive is duplicate in'),
    ("proxy_cookie_path a b; proxy_cookie_path off;", '"proxy_cookie_path" directive is duplicate in'),
    ("proxy_cookie_path a $nope;", 'unknown "nope" variable'), ("proxy_cookie_flags a x;", 'invalid parameter "x" in'),
    ("proxy_cookie_flags a samesite=x;", 'invalid parameter "samesite=x" in'),
    ("proxy_cookie_flags off; proxy_cookie_flags a secure;", '"proxy_cookie_flags" directive is duplicate in'),
    ("proxy_cookie_flags a b c d e;", 'invalid number of arguments in "proxy_cookie_flags" directive in'),
]


@pytest.mark.parametrize("conf, words", ERRORS)
def test_rewrite_errors(command, conf, words):
    server = command("location / { proxy_pass http://127.0.0.1:1; " + conf + " }")
    result = server.command("-t")
    assert result.returncode == 1 and words in result.stderr, result.stderr
