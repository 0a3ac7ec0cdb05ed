# SPDX-License-Identifier: Apache-2.0
"""Choosing a peer: weights, failures, backup, down, max_conns."""
import bisect
import struct
import threading
import time
import zlib

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
    began = time.monotonic()
    assert server.get("/").text == "b"
    texts = sequence(server, 3)
    assert texts == "bbb" or time.monotonic() - began > 0.9
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


@pytest.mark.weir_only("idle connections to addresses out of variables")
def test_address_by_variable_keeps_connections(weir, origin):
    """At most two idle connections to each of them (U1.5, U10)."""
    up = {n: origin(lambda conn: [conn.reply(b"x") for _ in conn.requests()]) for n in "ab"}
    server = weir("location / { proxy_pass http://$arg_g; }", workers=1)
    for _ in range(5):
        assert server.get(f"/?g={up['a']}").text == server.get(f"/?g={up['b']}").text == "x"
    assert up["a"].connections == up["b"].connections == 1


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


# --- methods (U2.7) ---


def crc(key, start=0):
    return zlib.crc32(key, start)


def ask(server, keys):
    client = server.client()
    return "".join(client.get(f"/?k={k}").text for k in keys)


KEYS = [f"key{i}" for i in range(200)]


def memcached(key, weights):
    """Cache::Memcached: upper half of the CRC, modulo the sum of weights; peers in the order in which they are asked."""
    table = [i for i, w in enumerate(weights) for _ in range(w)]
    order, h = [], 0
    for number in range(20):
        h += (crc((str(number) if number else "").encode() + key.encode()) >> 16) & 0x7fff
        if table[h % len(table)] not in order:
            order.append(table[h % len(table)])
    return order


def ketama(servers, weights):
    """Cache::Memcached::Fast with ketama_points 160: sorted points of all servers."""
    points = []
    for i, (name, weight) in enumerate(zip(servers, weights)):
        host, _, port = name.rpartition(":")
        point = 0
        for _ in range(160 * weight):
            point = crc(struct.pack("<I", point), crc(f"{host}\0{port}".encode()))
            points.append((point, i))
    return sorted(points, key=lambda p: p[0])


def on_ring(points, key):
    at = bisect.bisect_left([p[0] for p in points], crc(key.encode()))
    order = []
    for i in range(len(points)):
        peer = points[(at + i) % len(points)][1]
        if peer not in order:
            order.append(peer)
    return order


WEIGHTS = [(1, 1, 1, 1), (1, 5, 2, 3)]


def weighted(names, weights, params=""):
    return [f"{{{n}}} weight={w}{params}" for n, w in zip(names, weights)]


@pytest.mark.parametrize("weights", WEIGHTS)
def test_hash(weir, origin, weights):
    server = start(weir, weighted("abcd", weights), peers(origin, "abcd"), more=" hash $arg_k;")
    assert ask(server, KEYS) == "".join("abcd"[memcached(k, weights)[0]] for k in KEYS)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_hash_consistent(weir, origin, weights):
    up = peers(origin, "abcd")
    points = ketama([str(up[n]) for n in "abcd"], weights)
    server = start(weir, weighted("abcd", weights), up, more=" hash $arg_k consistent;")
    assert ask(server, KEYS) == "".join("abcd"[on_ring(points, k)[0]] for k in KEYS)


@pytest.mark.parametrize("how", ["", " consistent"])
def test_hash_of_a_peer_that_is_down(weir, origin, how):
    """The keys of the others stay where they are."""
    up = peers(origin, "acd")
    servers = ["{a}", "127.0.0.1:{port_x} down", "{c}", "{d}"]
    server = start(weir, servers, up, more=f" hash $arg_k{how};")
    names = [str(up["a"]), f"127.0.0.1:{server.names['port_x']}", str(up["c"]), str(up["d"])]
    points = ketama(names, (1, 1, 1, 1))
    got = ask(server, KEYS)
    for key, peer in zip(KEYS, got):
        order = [p for p in (on_ring(points, key) if how else memcached(key, (1, 1, 1, 1))) if p != 1]
        if order:
            assert peer == "axcd"[order[0]], key


@pytest.mark.parametrize("how", ["", " consistent"])
def test_hash_without_a_key_goes_in_turn(weir, origin, how):
    server = start(weir, ["{a}", "{b}", "{c}"], peers(origin, "abc"), more=f" hash $arg_k{how};")
    assert sequence(server, 6) == "abcabc"


@pytest.mark.parametrize("how", ["", " consistent"])
def test_hash_goes_on_when_the_peer_fails(weir, origin, how):
    up = peers(origin, "abc")
    server = start(weir, ["127.0.0.1:{port_x} max_fails=0", "{a}", "{b}", "{c}"], up, more=f" hash $arg_k{how};")
    assert set(ask(server, KEYS)) == set("abc")
    lines = server.access(len(KEYS))
    assert any("," in line for line in lines)
    for line in lines:
        tried = line.split(" ", 1)[1].split(", ")
        assert len(tried) == len(set(tried))


def test_ip_hash_keeps_a_client(weir, origin):
    server = start(weir, ["{a}", "{b}", "{c}"], peers(origin, "abc"), more=" ip_hash;")
    got = sequence(server, 10) + "".join(server.get("/").text for _ in range(5))
    assert len(set(got)) == 1


def test_ip_hash_goes_on_when_the_peer_is_down(weir, origin):
    server = start(weir, ["{a}", "127.0.0.1:{port_x} max_fails=0", "127.0.0.1:{port_y} max_fails=0"], peers(origin, "a"),
                   more=" ip_hash;")
    assert sequence(server, 3) == "aaa"


@pytest.mark.parametrize("weights,expect", [((5, 1, 1), "aabacaa"), ((1, 1, 1), "abcabc"), ((2, 1), "abaaba")])
def test_least_conn_of_idle_peers_goes_in_turn(weir, origin, weights, expect):
    names = "abc"[:len(weights)]
    server = start(weir, weighted(names, weights), peers(origin, names), more=" least_conn;")
    assert sequence(server, 2 * len(expect)) == 2 * expect


def hold(origin, go, name):
    def slow(conn):
        for _ in conn.requests():
            conn.wait(go)
            conn.reply(name)
    return origin(slow)


@pytest.mark.parametrize("method", ["least_conn", "random two least_conn", "random two"])
def test_busy_peers_get_less(weir, origin, method):
    go = threading.Event()
    up = {"s": hold(origin, go, b"s"), **peers(origin, "b")}
    server = start(weir, ["{s}", "{b}"], up, more=f" {method};")
    held = []
    while not held or not up["s"].requests:
        held.append(server.client())
        held[-1].send(build_request("GET", "/"))
        wait_for(lambda: len(up["s"].requests) + len(up["b"].requests) == len(held), "the request at a peer")
    assert sequence(server, 6) == "bbbbbb"
    go.set()
    assert held[-1].read_response().text == "s"


def test_least_conn_counts_by_weight(weir, origin):
    go = threading.Event()
    up = {n: hold(origin, go, n.encode()) for n in "ab"}
    server = start(weir, ["{a} weight=3", "{b}"], up, more=" least_conn;")
    held = []
    for count in range(8):
        held.append(server.client())
        held[-1].send(build_request("GET", "/"))
        wait_for(lambda: len(up["a"].requests) + len(up["b"].requests) == count + 1, "the request at a peer")
    assert len(up["a"].requests) == 6
    go.set()
    for client in held:
        client.read_response()


def test_least_conn_has_backups(weir, origin):
    server = start(weir, ["127.0.0.1:{port_x}", "{b} backup", "{c} backup"], peers(origin, "bc"), more=" least_conn;")
    assert sequence(server, 4) == "bcbc"


@pytest.mark.parametrize("method", ["random", "random two"])
def test_random_reaches_all(weir, origin, method):
    server = start(weir, ["{a}", "{b}", "{c}", "127.0.0.1:{port_x} down"], peers(origin, "abc"), more=f" {method};")
    got = sequence(server, 120)
    assert all(got.count(n) >= 10 for n in "abc")


@pytest.mark.weir_only("commercial in nginx")
@pytest.mark.parametrize("method", ["least_time header", "least_time last_byte", "least_time last_byte inflight",
                                    "random two least_time=header"])
def test_least_time_prefers_the_fast(weir, origin, method):
    def slow(conn):
        for _ in conn.requests():
            time.sleep(0.3)  # the subject
            conn.reply(b"s")
    up = {"s": origin(slow), **peers(origin, "b")}
    server = start(weir, ["{s}", "{b}"], up, more=f" {method};")
    wait_for(lambda: server.get("/").text == "s" or up["s"].requests, "the slow one to be known")
    assert sequence(server, 10).count("b") >= 9


@pytest.mark.parametrize("method", ["hash $arg_k", "hash $arg_k consistent", "ip_hash", "random", "least_conn"])
def test_all_down_with_any_method(weir, origin, method):
    server = start(weir, ["{a} down", "{b} down"], peers(origin, "ab"), more=f" {method};")
    assert server.get("/?k=a").status == 502
    server.wait_log("no live upstreams while connecting to upstream")


@pytest.mark.parametrize("method", ["hash $arg_k", "hash $arg_k consistent", "ip_hash", "random", "random two", "least_conn"])
def test_no_peer_is_tried_twice_by_any_method(weir, method):  # U2.4
    server = weir(GROUP, http=FMT + "upstream g { " + method +
                  "; server 127.0.0.1:{port_w}; server 127.0.0.1:{port_x}; server 127.0.0.1:{port_y} max_fails=0; }")
    assert server.get("/?k=a").status == 502
    tried = server.access(1)[0].split(" ", 1)[1].split(", ")
    assert len(tried) == 3 and len(set(tried)) == 3


@pytest.mark.weir_only("commercial in nginx")
@pytest.mark.parametrize("method", ["", " least_conn;", " random;"])
def test_drain_gets_nothing_new(weir, origin, method):  # U1.2
    server = start(weir, ["{a} drain", "{b}", "{c}"], peers(origin, "abc"), more=method)
    assert "a" not in sequence(server, 20)


@pytest.mark.weir_only("commercial in nginx")
def test_slow_start_comes_back_slowly(weir, origin):  # U1.2
    flaky = origin([failing, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"])
    server = start(weir, ["{flaky} fail_timeout=1s slow_start=1000s", "{b}"], peers(origin, "b"), flaky=flaky)
    assert server.get("/").text == "b"
    wait_for(lambda: server.get("/").text == "a", "the peer to come back")
    assert sequence(server, 60).count("a") <= 5
