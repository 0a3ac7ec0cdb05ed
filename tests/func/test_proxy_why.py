# SPDX-License-Identifier: Apache-2.0
"""$upstream_why, and the same words in the error log: who was chosen by what, who was passed over, how each try ended."""
import re
import threading

import pytest

from weirtest.server import reserve_port
from weirtest.timing import wait_for

pytestmark = pytest.mark.weir_only("$upstream_why is weir's own")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LOG = "log_format w '$status|$upstream_why'; "


def start(weir, group, location="", http="", **names):
    return weir("access_log {dir}/access.log w; location / { proxy_pass http://g; " + location + " }", workers=1,
                http=LOG + http + " upstream g { " + group + " }", **names)


@pytest.fixture
def dead():
    """An address that refuses."""
    sock, port = reserve_port()
    yield f"127.0.0.1:{port}"
    sock.close()


def end_line(server, text):
    """The one line of the error log with this text."""
    wait_for(lambda: text in server.log(), f"a line with {text!r}")
    lines = [line for line in server.log().splitlines() if text in line]
    assert len(lines) == 1, lines
    return lines[0]


def test_new_and_idle(weir, origin):  # U7.5
    up = origin(OK)
    server = start(weir, "server {up};", up=up)
    client = server.client()
    client.get("/")
    client.get("/")
    first, second = server.access(2)
    assert first == f"200|only {up} new 200"
    assert re.fullmatch(rf"200\|only {re.escape(str(up))} idle:[0-9]+\.[0-9]{{3}} 200", second)


def test_next_peer_and_who_was_passed_over(weir, origin, dead):  # U2.2 U7.1
    up = origin(OK)
    server = start(weir, "server {dead} fail_timeout=1h; server {up}; server 127.0.0.1:1 down; server 127.0.0.1:2 backup;",
                   up=up, dead=dead)
    client = server.client()
    client.get("/")
    client.get("/")
    first, second = server.access(2)
    skipped = "-127.0.0.1:1:down"
    assert first == (f"200|round_robin {dead} new connect_error:111 >next {skipped}, "
                     f"round_robin {up} new 200 {skipped}")
    assert re.fullmatch(rf"200\|round_robin {up} idle:[0-9]+\.[0-9]{{3}} 200 -{dead}:failed {skipped}", second)


def test_backup(weir, origin, dead):  # U2.4
    up = origin(OK)
    server = start(weir, "server {dead}; server {up} backup;", up=up, dead=dead)
    server.get("/")
    assert server.access(1)[0].endswith(f">next, round_robin+backup {up} new 200")


def test_full(weir, origin):  # U2.3
    go = threading.Event()

    def script(conn):
        conn.read_request()
        conn.wait(go)
        conn.send(OK)
    up = origin(script)
    server = start(weir, "server {up} max_conns=1;", up=up)
    busy = server.client()
    busy.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    up.wait_requests(1)
    assert server.get("/").status == 502
    assert end_line(server, "no live upstreams").endswith(f', why: "none g -{up}:full"')
    go.set()
    busy.read_response()
    assert server.access(2)[0] == f"502|none g -{up}:full"


def test_a_timeout_names_its_directive(weir, origin):  # U4.6 U7.4; tests/sim/test_up.c has peers that answer no connect
    up = origin(lambda conn: (conn.read_request(), conn.hold()))
    server = start(weir, "server {up};", "proxy_read_timeout 200ms;", up=up)
    assert server.get("/").status == 504
    words = f"only {up} new read_timeout=200ms >stop:tries"
    assert server.access(1) == [f"504|{words}"]
    assert end_line(server, "upstream timed out").endswith(f', why: "{words}"')


def test_why_there_is_no_next_peer(weir, origin):  # U7.1 U7.2 U7.4
    def script(conn):
        conn.read_request()
    one, two = origin(script), origin(script)
    server = start(weir, "server {one} max_fails=0; server {two} max_fails=0;", one=one, two=two)
    server.client().request("POST", "/", body=b"x")
    server.get("/")
    assert server.access(2)[0] == f"502|round_robin {one} new closed >stop:method"
    assert server.access(2)[1] == f"502|round_robin {two} new closed >next, round_robin {one} new closed >stop:tries"


@pytest.mark.parametrize("conf, words", [
    ("proxy_next_upstream timeout;", "new closed >stop:policy"),
    ("proxy_next_upstream_tries 1;", "new closed >stop:tries")])
def test_limits(weir, origin, conf, words):  # U7.1 U2.5
    up = origin(lambda conn: conn.read_request())
    server = start(weir, "server {up} max_fails=0; server 127.0.0.1:1 max_fails=0;", conf, up=up)
    server.get("/")
    assert server.access(1) == [f"502|round_robin {up} {words}"]


@pytest.mark.parametrize("answer, words", [
    (b"nonsense\r\n\r\n", "bad_header >stop:policy"),
    (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 5000, "big_header >stop:policy"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok", "200/truncated"),
    (b"HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno", "503")])
def test_how_answers_end(weir, origin, answer, words):  # U5.1 U5.2 U6.5
    def script(conn):
        conn.read_request()
        conn.send(answer)
    up = origin(script)
    server = start(weir, "server {up};", "proxy_buffer_size 4k;", up=up)
    client = server.client()
    client.send(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    client.read_to_end()
    assert server.access(1)[0].split("|")[1] == f"only {up} new {words}"


def test_status_of_the_next_peer(weir, origin):  # U7.4
    one, two = origin(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"), origin(OK)
    server = start(weir, "server {one}; server {two};", "proxy_next_upstream http_503;", one=one, two=two)
    server.get("/")
    assert server.access(1) == [f"200|round_robin {one} new 503 >next, round_robin {two} new 200"]


def test_stale_connection(weir, origin):  # U2.6
    def script(conn):
        conn.read_request()
        conn.send(OK)
        if conn.number == 0:
            conn.read_request()
    up = origin(script)
    server = start(weir, "server {up};", up=up)
    client = server.client()
    client.get("/")
    assert client.get("/").text == "ok"
    assert re.fullmatch(rf"200\|only {up} idle:[0-9.]+ stale >same, same {up} new 200", server.access(2)[1])
    assert "[error]" not in server.log()


def test_client_that_leaves(weir, origin):  # U4.7
    up = origin(lambda conn: (conn.read_request(), conn.hold()))
    server = start(weir, "server {up};", up=up)
    client = server.client()
    client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    up.wait_requests(1)
    client.close()
    assert server.access(1) == [f"499|only {up} new canceled"]


def test_error_log_carries_it_unasked(weir, origin, dead):  # U3.3 U7.4
    server = weir("location / { proxy_pass http://g; }", workers=1, dead=dead,
                  http="upstream g { server {dead}; server 127.0.0.1:1 down; }")
    assert server.get("/").status == 502
    line = end_line(server, "connect() failed")
    assert line.endswith(f', host: "localhost", why: "round_robin {dead} new connect_error:111 >stop:tries -127.0.0.1:1:down"')


def test_lines_of_tries_that_went_on_do_not(weir, origin, dead):
    up = origin(OK)
    server = weir("location / { proxy_pass http://g; }", workers=1, dead=dead, up=up,
                  http="upstream g { server {dead}; server {up} backup; }")
    assert server.get("/").text == "ok"
    assert "why:" not in end_line(server, "connect() failed")


def test_many_peers_are_cut(weir, origin):
    up = origin(OK)
    downs = "".join(f"server 127.0.0.1:{i + 1} down; " for i in range(40))
    server = start(weir, "server {up}; " + downs, up=up)
    server.get("/")
    value = server.access(1)[0]
    assert value.count(":down") == 16 and value.endswith(" -24_more")


def test_redirects_and_none(weir, origin):  # U5.9 U7.5
    up = origin(b"HTTP/1.1 200 OK\r\nX-Accel-Redirect: /b\r\nContent-Length: 0\r\n\r\n")
    two = origin(OK)
    server = weir("access_log {dir}/access.log w; location / { proxy_pass http://{up}; } location /b { proxy_pass http://{two}; }"
                  " location /n { return 204; }", workers=1, up=up, two=two, http=LOG)
    server.get("/")
    server.get("/n")
    assert server.access(2) == [f"200|only {up} new 200 : only {two} new 200", "204|-"]
