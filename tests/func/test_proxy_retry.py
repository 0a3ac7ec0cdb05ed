# SPDX-License-Identifier: Apache-2.0
"""The next peer: conditions, limits, what is never retried, and what the logs say of every try."""
import itertools
import re
import socket
import threading
import time

import pytest

from weirtest.client import build_request
from weirtest.timing import SLOW, wait_for

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"
ANSWER = b"HTTP/1.1 200 OK\r\nX-Own: own\r\nSet-Cookie: a=1; Path=/\r\nContent-Length: 4\r\n\r\ngood"
FMT = "log_format t '$status|$upstream_addr|$upstream_status';"


def group(*servers, more=""):
    """With a zone, so that the order is exact also over several threads (U2.1)."""
    return "upstream g { zone g 64k; " + " ".join(f"server {s};" for s in servers) + more + " }"


def start(weir, servers, conf="", more="", **names):
    return weir("access_log {dir}/access.log t; location / { proxy_http_version 1.1; proxy_set_header Connection ''; " +
                conf +
                " proxy_pass http://g; } location /x { return 200 x; }", http=FMT + group(*servers, more=more), **names)


def bad_close(conn):
    conn.read_request()


def bad_reset(conn):
    conn.read_request()
    conn.reset()


def bad_silent(conn):
    conn.read_request()
    conn.hold()


def bad_half_head(conn):
    conn.read_request()
    conn.send(b"HTTP/1.1 200 OK\r\nA: b\r\n")


def bad_status(code):
    def script(conn):
        for _ in conn.requests():
            conn.reply(b"bad", f"{code} Bad")
    return script


@pytest.mark.parametrize("code", [500, 404])
def test_words_of_several_lines_add_up(weir, origin, code):  # U3.3: as in nginx, which takes the directive more than once
    bad, up = origin(bad_status(code)), origin(OK)
    server = start(weir, ["{bad}", "{up}"], "proxy_next_upstream http_500; proxy_next_upstream http_404;", bad=bad, up=up)
    assert server.get("/a").text == "good"
    assert server.access(1) == [f"200|{bad}, {up}|{code}, 200"]


def test_refused_goes_to_the_next(weir, origin):  # U3.3
    up = origin(OK)
    server = start(weir, ["127.0.0.1:{port_closed}", "{up}"], up=up)
    assert server.get("/a", {"Host": "h"}).text == "good"
    assert server.access(1) == [f"200|127.0.0.1:{server.names['port_closed']}, {up}|502, 200"]
    server.wait_log(re.escape("[error]") +
                    r" .*connect\(\) failed \(111: Connection refused\) while connecting to upstream, client: "
                    r'127\.0\.0\.1, server: , request: "GET /a HTTP/1\.1", upstream: "http://127\.0\.0\.1:\d+/a", host: "h"')


@pytest.mark.parametrize("script", [bad_close, bad_reset, bad_half_head])
def test_broken_answer_goes_to_the_next(weir, origin, script):  # U7.1
    bad, good = origin(script), origin(OK)
    server = start(weir, ["{bad}", "{good}"], bad=bad, good=good)
    assert server.get("/").text == "good"
    assert server.access(1) == [f"200|{bad}, {good}|502, 200"]
    assert len(bad.requests) == 1


def test_timeout_goes_to_the_next(weir, origin):
    bad, good = origin(bad_silent), origin(OK)
    server = start(weir, ["{bad}", "{good}"], f"proxy_read_timeout {int(1000 * SLOW)}ms;", bad=bad, good=good)
    assert server.get("/").text == "good"
    assert server.access(1) == [f"200|{bad}, {good}|504, 200"]
    server.wait_log(r"upstream timed out \(110: Connection timed out\) while reading response header from upstream")


def test_timeout_alone_is_504(weir, origin):  # U7.4
    bad = origin(bad_silent)
    server = start(weir, ["{bad}"], "proxy_read_timeout 200ms;", bad=bad)
    assert server.get("/").status == 504
    assert server.access(1) == [f"504|{bad}|504"]
    assert bad.wait_end(0) in ("eof", "reset")


def test_read_timeout_is_between_reads(weir, origin):
    def slow(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
        for i in range(6):
            time.sleep(0.2 * SLOW)      # below the limit each, above it together
            conn.send(b"%d" % i)
    server = start(weir, ["{up}"], f"proxy_read_timeout {int(1000 * SLOW)}ms;", up=origin(slow))
    assert server.get("/").text == "012345"


@pytest.mark.weir_only("U6.5: what came before a timeout is delivered first; nginx drops it")
def test_read_timeout_in_the_body_cuts(weir, origin):  # U8.2
    def stall(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
        conn.hold()
    server = start(weir, ["{up}"], "proxy_read_timeout 200ms;", up=origin(stall))
    client = server.client()
    client.send(build_request("GET", "/"))
    client.read_head()
    assert client.read_to_end() == b"abc"
    server.wait_log(r"upstream timed out \(110: Connection timed out\) while reading upstream")


def test_connect_timeout(weir, origin):
    # A listener whose queue is full does not answer: the kernel drops the SYN.
    full = socket.socket()
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    fillers = []
    for _ in range(8):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(full.getsockname())
        fillers.append(filler)
    good = origin(OK)
    server = start(weir, ["127.0.0.1:{full}", "{good}"], "proxy_connect_timeout 200ms;", full=full.getsockname()[1],
                   good=good)
    assert server.get("/").text == "good"
    assert server.access(1)[0].endswith("|504, 200")
    server.wait_log("upstream timed out .* while connecting to upstream")
    for sock in fillers + [full]:
        sock.close()


@pytest.mark.parametrize("code", [500, 502, 503, 504, 403, 404, 429])
def test_status_goes_to_the_next_when_named(weir, origin, code):
    bad, good = origin(bad_status(code)), origin(OK)
    server = start(weir, ["{bad}", "{good}"], f"proxy_next_upstream http_{code};", bad=bad, good=good)
    assert server.get("/").text == "good"
    assert server.access(1) == [f"200|{bad}, {good}|{code}, 200"]


def test_status_passes_when_not_named(weir, origin):
    bad = origin(bad_status(503))
    server = start(weir, ["{bad}", "{bad}"], bad=bad)
    resp = server.get("/")
    assert (resp.status, resp.text, len(bad.requests)) == (503, "bad", 1)


def test_last_status_passes_with_its_body(weir, origin):  # U7.4
    a, b = origin(bad_status(503)), origin(bad_status(503))
    server = start(weir, ["{a}", "{b}"], "proxy_next_upstream http_503;", a=a, b=b)
    resp = server.get("/")
    assert (resp.status, resp.text) == (503, "bad")
    assert server.access(1) == [f"503|{a}, {b}|503, 503"]


def test_invalid_header_is_not_retried_by_default(weir, origin):
    bad, good = origin(lambda c: (c.read_request(), c.send(b"HTTP/1.1 200 OK\r\nA\0: b\r\n\r\n"))), origin(OK)
    server = start(weir, ["{bad}", "{good}"], bad=bad, good=good)
    assert server.get("/").status == 502 and not good.requests


def test_invalid_header_is_retried_when_named(weir, origin):
    bad, good = origin(lambda c: (c.read_request(), c.send(b"HTTP/1.1 200 OK\r\nA\0: b\r\n\r\n"))), origin(OK)
    server = start(weir, ["{bad}", "{good}"], "proxy_next_upstream invalid_header;", bad=bad, good=good)
    assert server.get("/").text == "good"


def test_off(weir, origin):
    bad, good = origin(bad_close), origin(OK)
    server = start(weir, ["{bad}", "{good}"], "proxy_next_upstream off;", bad=bad, good=good)
    assert server.get("/").status == 502 and not good.requests


@pytest.mark.parametrize("method", ["POST", "LOCK", "PATCH"])
def test_non_idempotent_is_not_sent_twice(weir, origin, method):  # U7.2
    bad, good = origin(bad_close), origin(OK)
    server = start(weir, ["{bad}", "{good}"], bad=bad, good=good)
    assert server.request(method, "/", body=b"x").status == 502 and not good.requests


@pytest.mark.parametrize("method", ["PUT", "DELETE", "GET", "HEAD", "OPTIONS"])
def test_idempotent_is_sent_again_with_its_body(weir, origin, method):  # U4.3, U7.3
    bad, good = origin(bad_close), origin(OK if method != "HEAD" else b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
    server = start(weir, ["{bad}", "{good}"], "client_body_buffer_size 8k;", bad=bad, good=good)
    body = b"y" * 50000 if method in ("PUT", "DELETE") else None
    assert server.request(method, "/", body=body).status == 200
    assert good.requests[0].body == (body or b"") == bad.requests[0].body
    assert good.requests[0].headers.items == bad.requests[0].headers.items


def test_post_moves_on_when_nothing_was_sent(weir, origin):
    good = origin(OK)
    server = start(weir, ["127.0.0.1:{port_closed}", "{good}"], good=good)
    assert server.request("POST", "/", body=b"abc").text == "good" and good.requests[0].body == b"abc"


def test_non_idempotent_word(weir, origin):
    bad, good = origin(bad_close), origin(OK)
    server = start(weir, ["{bad}", "{good}"], "proxy_next_upstream error non_idempotent;", bad=bad, good=good)
    assert server.request("POST", "/", body=b"abc").text == "good" and good.requests[0].body == b"abc"


def test_unbuffered_body_is_not_sent_twice(weir, origin):  # U4.4
    def script(conn):
        conn.read_request(body=False)
        conn.expect(b"abc")
    bad, good = origin(script), origin(OK)
    server = start(weir, ["{bad}", "{good}"], "proxy_request_buffering off;", bad=bad, good=good)
    client = server.client()
    client.send(build_request("PUT", "/", {"Content-Length": "6"}))
    bad.wait_requests(1)
    client.send(b"abc")
    assert client.read_response().status == 502 and not good.requests


def test_nothing_is_retried_after_the_head(weir, origin):  # U7.2
    def broken(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
    bad, good = origin(broken), origin(OK)
    server = start(weir, ["{bad}", "{good}"], bad=bad, good=good)
    client = server.client()
    client.send(build_request("GET", "/"))
    client.read_head()
    assert client.read_to_end() == b"abc" and not good.requests


def test_all_fail(weir, origin):
    a, b, c = origin(bad_close), origin(bad_close), origin(bad_close)
    server = start(weir, ["{a}", "{b}", "{c}"], a=a, b=b, c=c)
    assert server.get("/").status == 502
    assert server.access(1) == [f"502|{a}, {b}, {c}|502, 502, 502"]
    assert [len(x.requests) for x in (a, b, c)] == [1, 1, 1]           # U2.4: none twice


def test_no_live_upstreams(weir, origin):  # U2.4
    a, b = origin(bad_close), origin(bad_close)
    server = start(weir, ["{a}", "{b}"], a=a, b=b)
    with server.client() as client:
        assert [client.get("/").status for _ in range(2)] == [502, 502]
    assert server.access(2)[1] == "502|g|502"
    server.wait_log(r'no live upstreams while connecting to upstream, client: .*upstream: "http://g/"')
    assert len(a.requests) == 1 == len(b.requests)


def test_tries(weir, origin):  # U2.5
    peers = {n: origin(bad_close) for n in "abcd"}
    server = start(weir, ["{a}", "{b}", "{c}", "{d}"], "proxy_next_upstream_tries 2;", **peers)
    assert server.get("/").status == 502
    assert server.access(1)[0].count(", ") == 2


def test_next_upstream_timeout(weir, origin):
    a, b = origin(bad_silent), origin(OK)
    server = start(weir, ["{a}", "{b}"], "proxy_read_timeout 400ms; proxy_next_upstream_timeout 100ms;", a=a, b=b)
    assert server.get("/").status == 504 and not b.requests


def test_tries_do_not_cut_a_running_attempt(weir, origin):
    def slow(conn):
        conn.read_request()
        time.sleep(0.3)
        conn.send(OK)
    server = start(weir, ["{a}"], "proxy_next_upstream_timeout 50ms;", a=origin(slow))
    assert server.get("/").text == "good"


def test_send_timeout(weir, origin):  # U4.6
    def deaf(conn):
        conn.read_request(body=False)
        conn.wait(conn.origin.done)
    bad = origin(deaf)
    bad.done = threading.Event()
    server = start(weir, ["{bad}"], "proxy_send_timeout 200ms; client_max_body_size 0;", bad=bad)
    assert server.request("POST", "/", body=b"x" * (24 << 20)).status == 504
    bad.done.set()
    server.wait_log("upstream timed out .* while sending request to upstream")


# what the log says

def test_upstream_variables(weir, origin):  # U7.5
    bad, good = origin(bad_close), origin(ANSWER)
    server = weir("access_log {dir}/access.log t; location / { proxy_pass http://g; }", bad=bad, good=good,
                  http=group("{bad}", "{good}") +
                  "log_format t '$upstream_addr|$upstream_status|$upstream_connect_time|$upstream_header_time|$upstream_response_time|"
                  "$upstream_bytes_sent|$upstream_bytes_received|$upstream_response_length|$upstream_http_x_own|$upstream_cookie_a|"
                  "$upstream_http_none';")
    server.get("/")
    addr, status, connect, header, response, sent, received, length, own, cookie, none = server.access(1)[0].split("|")
    assert (addr, status) == (f"{bad}, {good}", "502, 200")
    number = r"\d+\.\d{3}"
    assert re.fullmatch(f"{number}, {number}", connect) and re.fullmatch(f"-, {number}", header)
    assert re.fullmatch(f"{number}, {number}", response)
    assert sent == ", ".join([str(len(good.requests[0].raw_head))] * 2)
    assert received == f"0, {len(ANSWER)}"
    assert (length, own, cookie, none) == ("0, 4", "own", "1", "-")


def test_upstream_bytes_received_counts_the_head(weir, origin):
    server = weir("access_log {dir}/access.log t; location / { proxy_pass http://{up}; }", up=origin(OK),
                  http="log_format t '$upstream_bytes_received $upstream_response_length';")
    server.get("/")
    assert server.access(1) == [f"{len(OK)} 4"]


def test_two_upstreams_by_error_page(weir, origin):  # U7.5
    a, b = origin(bad_status(503)), origin(OK)
    server = weir("access_log {dir}/access.log t; proxy_intercept_errors on; location / { error_page 503 = /second; proxy_pass http://{a}; }"
                  "location /second { proxy_pass http://{b}; }", a=a, b=b, http=FMT)
    assert server.get("/").text == "good"
    assert server.access(1) == [f"200|{a} : {b}|503 : 200"]


def test_times_of_a_slow_answer(weir, origin):
    def slow(conn):
        conn.read_request()
        time.sleep(0.15)
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        time.sleep(0.15)
        conn.send(b"ok")
    server = weir("access_log {dir}/access.log t; location / { proxy_pass http://{up}; }", up=origin(slow),
                  http="log_format t '$upstream_connect_time $upstream_header_time $upstream_response_time';")
    count = itertools.count(1)

    def attempt():
        server.get("/")
        number = next(count)
        connect, header, response = map(float, server.access(number)[number - 1].split())
        assert 0.1 <= header < response and response >= 0.28
        return connect < 0.1
    wait_for(attempt, "a connection that is there at once")
