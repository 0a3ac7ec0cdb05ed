# SPDX-License-Identifier: Apache-2.0
"""sticky cookie, sticky route, sticky learn (U2.7)."""
import hashlib
import threading
import time

import pytest

from test_balance import failing, hold, peers
from weirtest.client import build_request
from weirtest.timing import wait_for

pytestmark = pytest.mark.weir_only("commercial in nginx")

FMT = "log_format t '$status $upstream_addr';"
GROUP = "location / { proxy_pass http://g; } access_log {dir}/access.log t;"


def start(weir, servers, up, sticky, conf=GROUP, **more):
    return weir(conf, http=FMT + "upstream g { " + " ".join(f"server {s};" for s in servers) + f" {sticky} }}", **up, **more)


def digest(peer):
    return hashlib.md5(str(peer).encode()).hexdigest()


def cookies(response):
    return response.headers.all("Set-Cookie")


def ask(server, cookie=None, target="/"):
    return server.get(target, headers=[("Cookie", cookie)] if cookie else [])


# --- cookie ---


def test_cookie_is_set_and_kept(weir, origin):
    up = peers(origin, "abc")
    server = start(weir, ["{a}", "{b}", "{c}"], up, "sticky cookie srv_id;", workers=1)
    for _ in range(3):
        first = ask(server)
        assert cookies(first) == [f"srv_id={digest(up[first.text])}"]
        again = [ask(server, f"x=1; {cookies(first)[0]}; y=2") for _ in range(5)]
        assert {r.text for r in again} == {first.text}
        assert all(cookies(r) == [] for r in again)


def test_cookie_reaches_every_peer(weir, origin):
    up = peers(origin, "abc")
    server = start(weir, ["{a}", "{b}", "{c}"], up, "sticky cookie srv_id;")
    assert "".join(ask(server, f"srv_id={digest(up[n])}").text for n in "cabbac") == "cabbac"


def test_cookie_of_a_route(weir, origin):
    server = start(weir, ["{a} route=one", "{b} route=two"], peers(origin, "ab"), "sticky cookie id;")
    assert ask(server, "id=two").text + ask(server, "id=one").text + ask(server, "id=two").text == "bab"
    assert cookies(ask(server)) in (["id=one"], ["id=two"])


@pytest.mark.parametrize("params,expect", [
    ("", "id=r"), ("path=/", "id=r; path=/"), ("domain=.example.com path=/x", "id=r; domain=.example.com; path=/x"),
    ("domain=$arg_d", "id=r; domain=d.example"), ("httponly secure", "id=r; httponly; secure"), ("samesite=lax", "id=r; samesite=lax"),
    ("samesite=$arg_s", "id=r; samesite=none"), ("expires=max", "id=r; expires=Thu, 31 Dec 2037 23:55:55 GMT"),
    ("domain=$arg_missing", "id=r")])
def test_attributes(weir, origin, params, expect):
    server = start(weir, ["{a} route=r", "{b} route=r"], peers(origin, "ab"), f"sticky cookie id {params};")
    assert cookies(ask(server, target="/?d=d.example&s=none")) == [expect]


def test_expires_is_a_date(weir, origin):
    import calendar
    import time
    server = start(weir, ["{a} route=r"], peers(origin, "a"), "sticky cookie id expires=1h;")
    value = cookies(ask(server))[0]
    assert value.startswith("id=r; expires=") and value.endswith(" GMT")
    at = calendar.timegm(time.strptime(value.split("expires=")[1], "%a, %d %b %Y %H:%M:%S GMT"))
    assert 3500 < at - time.time() <= 3601


def test_attribute_cannot_end_the_line(weir, origin):  # U14.1
    server = start(weir, ["{a}"], peers(origin, "a"), "sticky cookie id domain=$uri;")
    response = server.raw(b"GET /%0d%0aX-Evil:%201 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert response.status == 400 and "X-Evil" not in response.headers
    server.wait_log('a value of "sticky cookie" would end the header line')


def test_unknown_cookie_counts_as_none(weir, origin):
    up = peers(origin, "ab")
    server = start(weir, ["{a}", "{b}"], up, "sticky cookie id;", workers=1)
    got = [ask(server, "id=nonsense") for _ in range(4)]
    assert "".join(r.text for r in got) == "abab"
    assert all(cookies(r) == [f"id={digest(up[r.text])}"] for r in got)


def test_bound_peer_that_fails_is_left(weir, origin):
    """The client gets the cookie of the peer that answered; other clients are not disturbed."""
    bad = origin(failing)
    up = peers(origin, "b")
    server = start(weir, ["{bad} max_fails=0", "{b}"], up, "sticky cookie id;", bad=bad)
    got = ask(server, f"id={digest(bad)}")
    assert got.text == "b" and cookies(got) == [f"id={digest(up['b'])}"]
    assert len(bad.requests) == 1


@pytest.mark.parametrize("params", ["down", "max_conns=1"])
def test_bound_peer_that_cannot_be_had(weir, origin, params):
    go = threading.Event()
    up = {"s": hold(origin, go, b"s"), **peers(origin, "b")}
    server = start(weir, [f"{{s}} {params}", "{b}"], up, "sticky cookie id;")
    cookie = f"id={digest(up['s'])}"
    held = server.client()
    if params != "down":
        held.send(build_request("GET", "/", headers=[("Cookie", cookie)]))
        up["s"].wait_requests(1)
    assert [ask(server, cookie).text for _ in range(3)] == ["b"] * 3
    go.set()


def test_draining_peer_keeps_its_own(weir, origin):  # U1.2
    up = peers(origin, "abc")
    server = start(weir, ["{a} drain", "{b}", "{c}"], up, "sticky cookie id;", workers=1)
    assert "a" not in [ask(server).text for _ in range(6)]
    assert [ask(server, f"id={digest(up['a'])}").text for _ in range(3)] == ["a"] * 3


def test_backup_may_be_bound(weir, origin):
    up = peers(origin, "ab")
    server = start(weir, ["{a}", "{b} backup"], up, "sticky cookie id;")
    assert ask(server, f"id={digest(up['b'])}").text == "b"
    assert ask(server).text == "a"


def test_bound_requests_count_as_turns(weir, origin):
    """The method evens out what sessions bring: new clients go to the others."""
    up = peers(origin, "ab")
    server = start(weir, ["{a}", "{b}"], up, "sticky cookie id;", workers=1)
    for _ in range(10):
        assert ask(server, f"id={digest(up['a'])}").text == "a"
    assert [ask(server).text for _ in range(8)].count("b") == 8


@pytest.mark.parametrize("method", ["least_conn;", "hash $request_uri;", "hash $request_uri consistent;", "ip_hash;",
                                    "random;", "random two;", "least_time header;", "zone z 64k;"])
def test_with_every_method(weir, origin, method):
    up = peers(origin, "abc")
    server = start(weir, ["{a}", "{b}", "{c}"], up, method + " sticky cookie id;")
    assert "".join(ask(server, f"id={digest(up[n])}").text for n in "cabbac") == "cabbac"


def test_cookie_beside_those_of_the_peer(weir, origin):
    up = origin(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n")
    server = start(weir, ["{s} route=r"], {"s": up}, "sticky cookie id;")
    assert cookies(ask(server)) == ["a=1", "b=2", "id=r"]


def test_cookie_over_x_accel_redirect(weir, origin):
    up = origin(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Accel-Redirect: /local\r\n\r\n")
    server = start(weir, ["{s} route=r"], {"s": up}, "sticky cookie id;",
                   conf=GROUP + "location = /local { internal; return 200 here; }")
    got = ask(server)
    assert got.text == "here" and cookies(got) == ["id=r"]


def test_cookie_over_a_reload(weir, origin):
    up = peers(origin, "abc")
    server = start(weir, ["{a}", "{b}", "{c}"], up, "sticky cookie id;")
    first = ask(server)
    server.signal("HUP")
    server.wait_log("configuration 2 is being served")
    assert {ask(server, cookies(first)[0]).text for _ in range(4)} == {first.text}


# --- route ---


ROUTE = "sticky route $cookie_r $arg_r;"


def test_route(weir, origin):
    up = peers(origin, "abc")
    server = start(weir, ["{a} route=one", "{b} route=two", "{c}"], up, ROUTE)
    assert ask(server, "r=one").text + ask(server, "r=two").text + ask(server, target="/?r=two").text == "abb"
    assert ask(server, "r=one", "/?r=two").text == "a"              # the first that is not empty
    assert ask(server, f"r={digest(up['c'])}").text == "c"          # a server without route=
    assert cookies(ask(server)) == []


def test_route_that_is_unknown_or_gone(weir, origin):
    server = start(weir, ["{a} route=one down", "{b} route=two"], peers(origin, "ab"), ROUTE)
    assert ask(server, "r=one").text + ask(server, "r=x").text + ask(server).text == "bbb"


def test_route_of_several_servers(weir, origin):
    up = peers(origin, "abc")
    server = start(weir, ["{a} route=x down", "{b} route=x", "{c} route=y"], up, ROUTE)
    assert [ask(server, "r=x").text for _ in range(3)] == ["b"] * 3


# --- learn ---


def session_peer(origin, name):
    """Gives a session to who has none: its name and a number."""
    count = []

    def serve(conn):
        for request in conn.requests():
            extra = []
            if "Cookie" not in request.headers:
                count.append(1)
                extra = [("Set-Cookie", f"sid={name}{len(count)}; path=/")]
            conn.reply(name.encode(), headers=extra)
    return origin(serve)


LEARN = "sticky learn create=$upstream_cookie_sid lookup=$cookie_sid zone=s:1m{};"


@pytest.mark.parametrize("params", ["", " header", " timeout=1h", " sync"])
@pytest.mark.parametrize("workers", [1, 3])
def test_learn(weir, origin, params, workers):
    up = {n: session_peer(origin, n) for n in "abc"}
    server = start(weir, ["{a}", "{b}", "{c}"], up, LEARN.format(params), workers=workers)
    for _ in range(6):
        first = ask(server)
        cookie = cookies(first)[0].split(";")[0]
        assert cookie.startswith("sid=" + first.text)
        wait_for(lambda: [ask(server, cookie).text for _ in range(3)] == [first.text] * 3, "the session to be known")
        assert [ask(server, cookie).text for _ in range(5)] == [first.text] * 5


def test_learned_sessions_end(weir, origin):
    up = {n: session_peer(origin, n) for n in "ab"}
    server = start(weir, ["{a}", "{b}"], up, LEARN.format(" header timeout=1s"), workers=1)
    began = time.monotonic()
    first = ask(server)
    cookie = cookies(first)[0].split(";")[0]
    for _ in range(4):
        same = ask(server, cookie).text == first.text
        assert same or time.monotonic() - began > 0.9
        began = time.monotonic() if same else began
    time.sleep(1.2)  # the subject
    assert first.text not in [ask(server, cookie).text for _ in range(4)]  # the turns of the other


def test_learned_sessions_outlive_a_reload(weir, origin):
    up = {n: session_peer(origin, n) for n in "abc"}
    server = start(weir, ["{a}", "{b}", "{c}"], up, LEARN.format(" header"))
    pairs = [(r.text, cookies(r)[0].split(";")[0]) for r in (ask(server) for _ in range(3))]
    server.signal("HUP")
    server.wait_log("configuration 2 is being served")
    for name, cookie in pairs:
        assert [ask(server, cookie).text for _ in range(3)] == [name] * 3


def test_session_moves_with_its_peer(weir, origin):
    """The peer of a session fails: another serves it, and keeps it from then on if it hands out the name again."""
    def again(conn):
        for request in conn.requests():
            conn.reply(b"b", headers=[("Set-Cookie", "sid=a1")])
    flaky = origin([lambda conn: (conn.read_request(), conn.reply(b"a", headers=[("Set-Cookie", "sid=a1"), ("Connection", "close")])),
                    failing, failing])
    server = start(weir, ["{flaky} max_fails=0", "{b}", "{c} backup"], {"b": origin(again), **peers(origin, "c")},
                   LEARN.format(" header"), workers=1, flaky=flaky)
    assert ask(server).text == "a"
    assert ask(server, "sid=a1").text == "b"
    assert [ask(server, "sid=a1").text for _ in range(4)] == ["b"] * 4


# --- errors ---


@pytest.mark.parametrize("line,error", [
    ("sticky;", "invalid number of arguments"), ("sticky cookie;", "invalid number of arguments"),
    ("sticky route;", "invalid number of arguments"), ("sticky x y;", 'invalid parameter "x"'),
    ("sticky cookie id;sticky cookie id;", "duplicate"), ("sticky cookie id foo;", 'invalid parameter "foo"'),
    ("sticky cookie id expires=x;", 'invalid parameter "expires=x"'), ("sticky cookie id samesite=x;", 'invalid parameter "samesite=x"'),
    ('sticky cookie "a b";', 'invalid parameter "a b"'), ("sticky route foo;", 'invalid parameter "foo"'),
    ("sticky learn create=$a lookup=$arg_b zone=x:1m;", 'unknown "a" variable'),
    ("sticky learn create=$arg_a;", '"sticky learn" must have "lookup" parameter'),
    ("sticky learn create=$arg_a lookup=$arg_b;", '"sticky learn" must have "zone" parameter'),
    ("sticky learn lookup=$arg_b zone=x:1m;", '"sticky learn" must have "create" parameter'),
    ("sticky learn create=$arg_a lookup=$arg_b zone=x;", 'invalid parameter "zone=x"'),
    ("sticky learn create=$arg_a lookup=$arg_b zone=x:y;", 'invalid parameter "zone=x:y"'),
    ("sticky learn create=$arg_a lookup=$arg_b zone=x:1k;", 'zone "x:1k" is too small'),
    ("server 127.0.0.1:2 route=;", 'invalid parameter "route="')])
def test_errors(command, line, error):
    done = command(text="events {} http { upstream g { server 127.0.0.1:1; " + line + " } }").command("-t")
    assert done.returncode == 1 and error in done.stderr
