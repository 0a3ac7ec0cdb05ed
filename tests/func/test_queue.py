# SPDX-License-Identifier: Apache-2.0
"""queue: requests that wait for a peer that has room (U2.3)."""
import threading
import time

import pytest

from test_balance import FMT, failing, hold, peers
from test_resolve import addrs, ns, start as start_moving  # noqa: F401 (fixtures)
from test_status import group, table
from weirtest.client import build_request
from weirtest.timing import LIMIT, SLOW, wait_for

pytestmark = pytest.mark.weir_only("commercial in nginx")

LOG = "log_format q '$request_uri $status $upstream_addr $upstream_queue_time';"
LETTER = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"
GROUP = "location / { proxy_pass http://g; } access_log {dir}/access.log q;"


def start(weir, servers, up, queue, conf=GROUP, **more):
    http = FMT + LOG + "upstream g { " + " ".join(f"server {s};" for s in servers) + f" {queue} }}"
    return weir(conf, http=http, **up, **more)


def ask(server, target="/"):
    """A request on a connection of its own whose answer is not awaited."""
    client = server.client()
    client.send(build_request("GET", target))
    return client


def fields(server, count):
    return {line.split()[0]: line.split()[1:] for line in server.access(count)}


def test_waits_for_a_free_slot(weir, origin):
    go = threading.Event()
    up = hold(origin, go, b"s")
    server = start(weir, ["{s} max_conns=1"], {"s": up}, "queue 10;")
    first = ask(server, "/1")
    up.wait_requests(1)
    rest = [ask(server, f"/{n}") for n in range(2, 6)]
    wait_for(lambda: group(server, "g")["waiting"] == 4, "four to wait")
    time.sleep(0.2)  # the subject: they wait
    assert len(up.requests) == 1
    go.set()
    for client in [first, *rest]:
        assert client.read_response().text == "s"
    lines = fields(server, 5)
    assert float(lines["/1"][2]) == 0
    assert any(float(lines[f"/{n}"][2]) >= 0.1 for n in range(2, 6))
    assert all(lines[f"/{n}"][1] == str(up) for n in range(2, 6))


def test_first_come_first_served(weir, origin):
    go = threading.Event()
    up = hold(origin, go, b"s")
    server = start(weir, ["{s} max_conns=1"], {"s": up}, "queue 10;", workers=1)
    clients = [ask(server, "/0")]
    up.wait_requests(1)
    for n in range(1, 5):
        clients.append(ask(server, f"/{n}"))
        wait_for(lambda n=n: group(server, "g")["waiting"] == n, "it to wait")
    go.set()
    for client in clients:
        client.read_response()
    assert [r.target for r in up.requests] == [f"/{n}" for n in range(5)]


def test_full_queue_is_502_at_once(weir, origin):
    go = threading.Event()
    up = hold(origin, go, b"s")
    server = start(weir, ["{s} max_conns=1"], {"s": up}, "queue 2;", workers=1)
    held = [ask(server)]
    up.wait_requests(1)
    held += [ask(server), ask(server)]
    wait_for(lambda: group(server, "g")["waiting"] == 2, "two to wait")
    assert server.get("/full").status == 502
    server.wait_log("no live upstreams and the queue is full while connecting to upstream")
    go.set()
    assert [c.read_response().text for c in held] == ["s"] * 3
    assert server.get("/").text == "s"


def test_status_shows_who_waits(weir, origin):
    go = threading.Event()
    up = hold(origin, go, b"s")
    server = start(weir, ["{s} max_conns=1", "{a} drain"], {"s": up, **peers(origin, "a")}, "queue 10;")
    clients = [ask(server)]
    up.wait_requests(1)
    clients += [ask(server), ask(server)]
    wait_for(lambda: group(server, "g")["waiting"] == 2, "two to wait")
    assert [p["state"] for p in group(server, "g")["peers"]] == ["up", "drains"]
    assert "shared, in the queue: 2\n" in table(server)
    go.set()
    for client in clients:
        client.read_response()
    assert group(server, "g")["waiting"] == 0 and "queue" not in table(server)


def test_time_ends_the_wait(weir, origin):
    go = threading.Event()
    up = hold(origin, go, b"s")
    server = start(weir, ["{s} max_conns=1"], {"s": up}, f"queue 10 timeout={int(500 * SLOW)}ms;")
    held = ask(server, "/held")
    up.wait_requests(1)
    began = time.monotonic()
    assert server.get("/late").status == 502
    assert time.monotonic() - began >= 0.48 * SLOW
    server.wait_log("no live upstreams within the time of the queue while connecting to upstream")
    go.set()
    assert held.read_response().text == "s"
    late = fields(server, 2)["/late"]
    assert late[:2] == ["502", "g"] and 0.48 * SLOW <= float(late[2]) < LIMIT
    assert server.get("/").text == "s"  # nothing was left in the queue


def test_client_that_leaves_frees_its_place(weir, origin):  # U4.7
    go = threading.Event()
    up = hold(origin, go, b"s")
    server = start(weir, ["{s} max_conns=1"], {"s": up}, "queue 1;", workers=1)
    held = ask(server, "/held")
    up.wait_requests(1)
    gone = ask(server, "/gone")
    wait_for(lambda: group(server, "g")["waiting"] == 1, "it to wait")
    assert server.get("/full").status == 502
    gone.close()
    server.wait_log("client closed connection|client prematurely closed connection")
    wait_for(lambda: group(server, "g")["waiting"] == 0, "its place to be free")
    last = ask(server, "/last")
    wait_for(lambda: group(server, "g")["waiting"] == 1, "the next to wait")
    assert server.get("/full").status == 502
    go.set()
    assert held.read_response().text == "s"
    assert last.read_response().text == "s"
    assert [r.target for r in up.requests] == ["/held", "/last"]


def test_a_peer_that_is_out_is_waited_for(weir, origin):  # U2.2
    flaky = origin([failing, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"])
    other = origin([failing, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb"])
    server = start(weir, ["{flaky} fail_timeout=1s", "{other} fail_timeout=1h"], {}, "queue 100;",
                   flaky=flaky, other=other)
    assert server.get("/").status == 502     # both fail, both are out; it tried both and does not wait
    clients = [ask(server) for _ in range(20)]
    got = [c.read_response() for c in clients]
    assert {r.status for r in got} == {200}
    assert {r.text for r in got} == {"a"}    # the first probes it, all the others follow
    assert len(other.requests) == 1


def test_a_peer_that_goes_out_is_probed_by_who_waits(weir, origin):  # U2.2
    """It is full when the wait begins, and out later; nobody else comes who could bring it back."""
    go = threading.Event()

    def fails(conn):
        conn.read_request()
        conn.wait(go)

    up = origin([fails, LETTER + b"a"])
    server = start(weir, ["{s} max_conns=1 fail_timeout=1s", "{b} down"], {"s": up, **peers(origin, "b")},
                   "queue 10 timeout=100s;")
    first = ask(server, "/first")
    up.wait_requests(1)
    waits = ask(server, "/waits")
    wait_for(lambda: group(server, "g")["waiting"] == 1, "one to wait")
    go.set()
    assert first.read_response().status == 502
    assert waits.read_response().text == "a"
    assert float(fields(server, 2)["/waits"][2]) < 50


def test_tried_peers_are_not_waited_for(weir):  # U2.4
    server = start(weir, ["127.0.0.1:{port_x} fail_timeout=1h", "127.0.0.1:{port_y} fail_timeout=1h"], {}, "queue 10;")
    assert server.get("/").status == 502
    assert server.access(1)[0].endswith(" 0.000, 0.000")


def test_nobody_to_wait_for(weir, origin):
    server = start(weir, ["{a} down", "{b} drain"], peers(origin, "ab"), "queue 10;")
    assert server.get("/").status == 502
    server.wait_log("no live upstreams while connecting to upstream")


def test_second_try_may_wait(weir, origin):
    """The first peer fails, the second is full: the request waits for the second."""
    go = threading.Event()
    bad = origin(failing)
    up = hold(origin, go, b"s")
    server = start(weir, ["{bad}", "{s} max_conns=1 backup"], {"s": up, "bad": bad}, "queue 10;")
    first = ask(server)      # bad fails, goes to s, held
    up.wait_requests(1)
    second = ask(server)     # bad is out, s is full
    go.set()
    assert first.read_response().text == "s"
    assert second.read_response().text == "s"


def test_stale_connection_keeps_the_slot(weir, origin):  # U2.6
    """The request that met it goes to the same peer again, before the one that waits."""
    go = threading.Event()

    def stale(conn):
        conn.read_request()
        conn.reply(b"1")
        conn.read_request()
        conn.wait(go)

    def good(conn):
        for request in conn.requests():
            conn.reply(request.target.encode())
    up = origin([stale, good, good])
    server = start(weir, ["{s} max_conns=1"], {"s": up}, "queue 10;", workers=1)
    assert server.get("/").text == "1"
    first = ask(server, "/first")
    up.wait_requests(2)
    second = ask(server, "/second")
    wait_for(lambda: group(server, "g")["waiting"] == 1, "it to wait")
    go.set()
    assert first.read_response().text == "/first"
    assert second.read_response().text == "/second"
    assert [r.target for r in up.requests] == ["/", "/first", "/first", "/second"]


def test_backups_are_waited_for_too(weir, origin):
    go = threading.Event()
    up = {n: hold(origin, go, n.encode()) for n in "ab"}
    server = start(weir, ["{a} max_conns=1", "{b} max_conns=1 backup"], up, "queue 10;")
    clients = [ask(server) for _ in range(8)]
    wait_for(lambda: len(up["a"].requests) == len(up["b"].requests) == 1, "both peers to be full")
    go.set()
    assert {c.read_response().text for c in clients} <= {"a", "b"}
    assert len(up["a"].requests) + len(up["b"].requests) == 8


@pytest.mark.parametrize("method", ["", "least_conn;", "hash $request_uri;", "hash $request_uri consistent;", "ip_hash;",
                                    "random;", "random two;", "least_time header;", "zone z 64k;"])
def test_with_every_method(weir, origin, method):
    """Two peers with one slot each, 40 requests at once, three threads: all are answered, no peer gets two at a time."""
    busy, worst = {}, []
    lock = threading.Lock()

    def one_at_a_time(name):
        def serve(conn):
            for _ in conn.requests():
                with lock:
                    busy[name] = busy.get(name, 0) + 1
                    worst.append(busy[name])
                time.sleep(0.002)  # so that they meet
                with lock:
                    busy[name] -= 1
                conn.reply(name.encode())
        return origin(serve)
    up = {n: one_at_a_time(n) for n in "ab"}
    server = start(weir, ["{a} max_conns=1", "{b} max_conns=1"], up, method + " queue 100;", workers=3)
    clients = [ask(server, f"/{n}") for n in range(40)]
    assert all(c.read_response().text in "ab" for c in clients)
    assert max(worst) == 1
    assert len(up["a"].requests) + len(up["b"].requests) == 40


def test_waits_over_a_reload(weir, origin):
    go = threading.Event()
    up = hold(origin, go, b"s")
    server = start(weir, ["{s} max_conns=1"], {"s": up}, "queue 10;")
    held = ask(server, "/held")
    up.wait_requests(1)
    waiting = ask(server, "/old")
    server.signal("HUP")
    server.wait_log("signal.*HUP|reconfigur|reload")
    newer = ask(server, "/new")
    go.set()
    assert [c.read_response().text for c in (held, waiting, newer)] == ["s"] * 3


@pytest.mark.parametrize("line,error", [("queue 0;", 'invalid parameter "0"'), ("queue x;", 'invalid parameter "x"'),
                                        ("queue 5 time=3s;", 'invalid parameter "time=3s"'),
                                        ("queue 5 timeout=x;", 'invalid parameter "timeout=x"'),
                                        ("queue;", "invalid number of arguments"), ("queue 1; queue 2;", "duplicate")])
def test_errors(command, line, error):
    done = command(text="events {} http { upstream g { server 127.0.0.1:1; " + line + " } }").command("-t")
    assert done.returncode == 1 and error in done.stderr


def test_peers_that_come_later_are_seen(start_moving, ns):  # noqa: F811  U1.6
    """Requests that queue for a full peer go to one that an answer of the name server adds, in the order in which they came."""
    go = threading.Event()
    ns.set("app.test", a=addrs(1))
    server = start_moving("server app.test:{up_port} resolve max_conns=1; queue 10;",
                          ups=[lambda c: (c.read_request(), go.wait(3 * LIMIT), c.send(LETTER + b"a")), LETTER + b"b"], workers=1)
    held = ask(server, "/held")
    server.peers[0].wait_requests(1)
    rest = []
    for n in range(4):
        rest.append(ask(server, f"/{n}"))
        wait_for(lambda n=n: group(server, "u")["waiting"] == n + 1, "it to wait")
    ns.set("app.test", a=addrs(1, 2))
    assert [client.read_response().text for client in rest] == ["b"] * 4
    assert [r.target for r in server.peers[1].requests] == ["/0", "/1", "/2", "/3"]
    assert group(server, "u")["waiting"] == 0
    go.set()
    assert held.read_response().text == "a"


def test_the_peer_that_is_waited_for_goes(start_moving, ns):  # noqa: F811  U1.6
    """The request in flight keeps its peer, the one that waits for it goes to the one that takes its place."""
    go = threading.Event()
    ns.set("app.test", a=addrs(1))
    server = start_moving("server app.test:{up_port} resolve max_conns=1; queue 10;",
                          ups=[lambda c: (c.read_request(), go.wait(3 * LIMIT), c.send(LETTER + b"a")), LETTER + b"b", LETTER + b"c"])
    held = ask(server, "/held")
    server.peers[0].wait_requests(1)
    waits = ask(server, "/waits")
    wait_for(lambda: group(server, "u")["waiting"] == 1, "it to wait")
    ns.set("app.test", a=addrs(3))
    assert waits.read_response().text == "c"
    go.set()
    assert held.read_response().text == "a"
    assert server.get("/").text == "c"
