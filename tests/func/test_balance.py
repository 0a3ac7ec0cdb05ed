# SPDX-License-Identifier: Apache-2.0
"""Choosing a peer: weights, failures, backup, down, max_conns."""
import threading

import pytest

from weirtest.client import build_request
from weirtest.timing import wait_for

GROUP = "location / { proxy_pass http://g; } access_log {dir}/access.log t;"
FMT = "log_format t '$status $upstream_addr';"


def peers(origin, names):
    """One peer a letter; each answers its letter."""
    return {n: origin(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + n.encode()) for n in names}


def start(weir, servers, up, conf=GROUP, more="", **names):
    # One worker: the cursor is one per worker (nginx) or thread (U2.8).
    return weir(conf, workers=1, http=FMT + "upstream g { " + " ".join(f"server {s};" for s in servers) + more + " }",
                **up, **names)


def sequence(server, count):
    client = server.client()
    return "".join(client.get("/").text for _ in range(count))


def test_smooth_weights(weir, origin):  # U2.1
    server = start(weir, ["{a} weight=5", "{b}", "{c}"], peers(origin, "abc"))
    assert sequence(server, 21) == "aabacaa" * 3


@pytest.mark.parametrize("weights,expect", [((1, 1, 1), "abcabc"), ((2, 1), "abaaba"), ((3, 2, 1), "abacba"),
                                            ((1, 2), "babbab"),
                                            ((4, 2), "abaaba")])
def test_other_weights(weir, origin, weights, expect):
    names = "abc"[:len(weights)]
    server = start(weir, [f"{{{n}}} weight={w}" for n, w in zip(names, weights)], peers(origin, names))
    assert sequence(server, len(expect)) == expect


@pytest.mark.parametrize("zone", ["", " zone z 64k;"])
def test_equal_shares(weir, origin, zone):  # U2.8
    server = start(weir, ["{a}", "{b}", "{c}", "{d}"], peers(origin, "abcd"), more=zone)
    got = sequence(server, 40)
    assert {n: got.count(n) for n in "abcd"} == dict.fromkeys("abcd", 10)


def test_down_gets_nothing(weir, origin):
    server = start(weir, ["{a} down", "{b}", "{c}"], peers(origin, "abc"))
    assert sequence(server, 6) == "bcbcbc"


def test_backup_waits(weir, origin):  # U2.4
    server = start(weir, ["{a}", "{b} backup"], peers(origin, "ab"))
    assert sequence(server, 5) == "aaaaa"


def test_backup_takes_over(weir, origin):
    server = start(weir, ["127.0.0.1:{port_x}", "{b} backup", "{c} backup"], peers(origin, "bc"))
    assert sequence(server, 4) == "bcbc"
    assert server.access(4)[0].endswith(f"127.0.0.1:{server.names['port_x']}, {server.names['b']}")


def test_all_down_but_backup(weir, origin):
    server = start(weir, ["{a} down", "{b} backup"], peers(origin, "ab"))
    assert sequence(server, 3) == "bbb"


def test_all_down(weir, origin):
    server = start(weir, ["{a} down", "{b} down"], peers(origin, "ab"))
    assert server.get("/").status == 502
    server.wait_log("no live upstreams while connecting to upstream")
    assert server.access(1) == ["502 g"]


def failing(conn):
    conn.read_request()


def test_max_fails_takes_a_peer_out(weir, origin):  # U2.2
    up = peers(origin, "b")
    bad = origin(failing)
    server = start(weir, ["{bad} max_fails=2 fail_timeout=1h", "{b}"], up, bad=bad)
    assert sequence(server, 10) == "b" * 10
    assert len(bad.requests) == 2
    server.wait_log(r"\[warn\].* upstream server temporarily disabled while reading response header from upstream")


def test_max_fails_zero_never_does(weir, origin):
    bad = origin(failing)
    server = start(weir, ["{bad} max_fails=0", "{b}"], peers(origin, "b"), bad=bad)
    assert sequence(server, 10) == "b" * 10
    assert len(bad.requests) >= 4


def test_fail_timeout_brings_it_back(weir, origin):
    flaky = origin([failing, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"])
    server = start(weir, ["{flaky} fail_timeout=1s", "{b}"], peers(origin, "b"), flaky=flaky)
    assert server.get("/").text == "b"
    assert sequence(server, 3) == "bbb"
    wait_for(lambda: server.get("/").text == "a", "the peer to come back")
    assert "a" in sequence(server, 4)


def test_only_peer_is_exempt(weir, origin):  # U2.2
    flaky = origin([failing, failing, failing, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"])
    server = start(weir, ["{flaky} fail_timeout=1h"], {}, flaky=flaky)
    assert [server.get("/").status for _ in range(4)] == [502, 502, 502, 200]


def test_named_status_counts(weir, origin):
    bad = origin(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
    server = start(weir, ["{bad} fail_timeout=1h", "{b}"], peers(origin, "b"), bad=bad,
                   conf="proxy_next_upstream http_503;" + GROUP)
    assert sequence(server, 6) == "b" * 6 and len(bad.requests) == 1


@pytest.mark.parametrize("code", [403, 404])
def test_403_and_404_never_count(weir, origin, code):
    bad = origin(f"HTTP/1.1 {code} No\r\nContent-Length: 0\r\n\r\n".encode())
    server = start(weir, ["{bad} fail_timeout=1h", "{b}"], peers(origin, "b"), bad=bad,
                   conf=f"proxy_next_upstream http_{code};" + GROUP)
    assert sequence(server, 6) == "b" * 6 and len(bad.requests) == 3


def test_max_conns(weir, origin):  # U2.3
    go = threading.Event()

    def slow(conn):
        conn.read_request()
        conn.wait(go)
        conn.reply(b"s")
    up = {"s": origin(slow), **peers(origin, "b")}
    server = start(weir, ["{s} max_conns=1", "{b}"], up)
    held = server.client()
    held.send(build_request("GET", "/"))
    up["s"].wait_requests(1)
    assert sequence(server, 5) == "bbbbb"
    go.set()
    assert held.read_response().text == "s"


def test_max_conns_of_all_is_502(weir, origin):
    go = threading.Event()

    def slow(conn):
        conn.read_request()
        conn.wait(go)
        conn.reply(b"s")
    up = origin(slow)
    server = start(weir, ["{s} max_conns=1"], {"s": up})
    held = server.client()
    held.send(build_request("GET", "/"))
    up.wait_requests(1)
    assert server.get("/").status == 502
    go.set()
    assert held.read_response().text == "s"
    assert server.get("/").text == "s"             # the slot is free again


def test_slots_are_given_back_after_failures(weir, origin):  # U8.3
    def mixed(conn):
        for number, _ in enumerate(conn.requests()):
            if conn.number % 3 == 0:
                conn.reset()
                return
            if conn.number % 3 == 1:
                return
            conn.reply(b"m")
            if number:
                return
    up = origin(mixed)
    server = start(weir, ["{s} max_conns=2"], {"s": up}, conf="proxy_read_timeout 1s;" + GROUP)
    for _ in range(30):
        server.get("/")
    wait_for(lambda: server.get("/").text == "m", "a free slot")


def test_implicit_groups_are_shared_by_name(weir, origin):  # U1.4
    up = peers(origin, "a")
    server = weir("location /x { proxy_pass http://{a}; } location /y { proxy_pass http://{a}/z; }", **up)
    assert server.get("/x").text + server.get("/y").text == "aa"


def test_group_used_above_its_definition(weir, origin):  # U1.4
    up = peers(origin, "a")
    server = weir(http="server { listen 127.0.0.1:{port}; location / { proxy_pass http://late; } } upstream late { server {a}; }", **up)
    assert server.get("/").text == "a"


def test_group_by_variable(weir, origin):  # U1.5
    up = peers(origin, "ab")
    server = weir("location / { proxy_pass http://$arg_g; }",
                  http="upstream one { server {a}; } upstream two { server {b}; }", **up)
    assert server.get("/?g=one").text + server.get("/?g=TWO").text + server.get(f"/?g={up['a']}").text == "aba"


def test_name_by_variable_without_resolver(weir):
    server = weir("location / { proxy_pass http://$arg_g; }")
    assert server.get("/?g=unknown.example").status == 502
    server.wait_log("no resolver defined to resolve unknown.example")


def test_bad_scheme_by_variable(weir):
    server = weir("location / { proxy_pass $arg_u; }")
    assert server.get("/?u=ftp://x").status == 500
    server.wait_log('invalid URL prefix in "ftp://x"')


def test_several_addresses_of_localhost(weir, origin):  # U1.1
    up = origin(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na")
    server = weir("location / { proxy_pass http://g; }", http="upstream g { server localhost:{uport}; }", uport=up.port)
    assert sequence(server, 4) == "aaaa"
