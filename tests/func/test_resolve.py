# SPDX-License-Identifier: Apache-2.0
"""Groups whose peers come and go: `server NAME resolve`, `service=` (U1.6). Debian's nginx has this in its commercial
version only."""
import collections
import json
import threading

import pytest

from weirtest.dns import NameServer
from weirtest.timing import LIMIT, wait_for

pytestmark = pytest.mark.weir_only("nginx 1.22 has `resolve` in its commercial version only")

GROUP = "upstream u { zone u 64k; %s }"
SERVER = "location / { proxy_pass http://u; } access_log {dir}/access.log t;"
HTTP = "log_format t '$status $upstream_addr $upstream_status'; resolver {ns} valid={valid} {more}; " \
       "resolver_timeout {timeout}; proxy_next_upstream error timeout;\n"


@pytest.fixture
def ns():
    made = NameServer()
    yield made
    made.stop()


def letter(name):
    return b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + name.encode()


def row(origin, scripts):
    """Peers with one port at 127.0.0.1, 127.0.0.2 ..."""
    while True:
        made = [origin(scripts[0])]
        try:
            for i, script in enumerate(scripts[1:]):
                made.append(origin(script, host=f"127.0.0.{i + 2}", port=made[0].port))
            return made
        except OSError:
            continue


@pytest.fixture
def start(weir, origin, ns):
    def make(servers="server app.test:{up_port} resolve;", ups="ab", valid="1s", timeout="20s", more="", http="", **names):
        peers = row(origin, [letter(u) if isinstance(u, str) else u for u in ups])
        server = weir(SERVER, http=HTTP + GROUP % servers + http, ns=ns, up_port=peers[0].port, valid=valid, timeout=timeout,
                      more=more, **names)
        server.peers = peers
        return server
    return make


def texts(server, count=12):
    client = server.client()
    return collections.Counter(client.get("/").text for _ in range(count))


def addrs(*last):
    return [f"127.0.0.{n}" for n in last]


def test_peers_follow_the_name(start, ns):
    ns.set("app.test", a=addrs(1))
    server = start()
    assert set(texts(server)) == {"a"}
    ns.set("app.test", a=addrs(1, 2))
    wait_for(lambda: set(texts(server)) == {"a", "b"}, "both peers")
    ns.set("app.test", a=addrs(2))
    wait_for(lambda: set(texts(server)) == {"b"}, "the second peer only")


def test_ttl(start, ns):
    """Without valid= the name is asked for again when its TTL is over, and not before."""
    ns.set("app.test", a=addrs(1), ttl=1)
    ns.set("rare.test", a=addrs(1), ttl=3600)
    server = start("server app.test:{up_port} resolve; server rare.test:{up_port} resolve backup;", valid="0")
    wait_for(lambda: ns.count("app.test", "A") >= 3, "three questions")
    assert ns.count("rare.test", "A") <= 2  # one; a slow machine may repeat it
    assert set(texts(server)) == {"a"}


def test_unknown_at_start(start, ns):
    server = start()
    assert server.get("/").status == 502
    server.wait_log(r"\[error\].*app\.test could not be resolved \(3: Host not found\)$")
    server.wait_log("no live upstreams while connecting to upstream")
    assert server.access(1)[0] == "502 u 502"
    ns.set("app.test", a=addrs(1))
    wait_for(lambda: server.get("/").status == 200, "the name")
    server.wait_log("app.test is resolved again")


def test_other_servers_serve(start, ns):
    server = start("server app.test:{up_port} resolve; server 127.0.0.2:{up_port};")
    assert set(texts(server)) == {"b"}
    ns.set("app.test", a=addrs(1))
    wait_for(lambda: set(texts(server)) == {"a", "b"}, "both")


@pytest.mark.parametrize("entry,reason", [
    (dict(rcode=3), "3: Host not found"), (dict(), "3: Host not found"), (dict(rcode=2), "2: Server failure"),
], ids=["nxdomain", "empty", "failure"])
def test_last_good_stay(start, ns, entry, reason):
    ns.set("app.test", a=addrs(1, 2))
    server = start()
    assert set(texts(server)) == {"a", "b"}
    ns.set("app.test", **entry)
    server.wait_log(rf"app\.test could not be resolved \({reason}\), its last addresses stay: 2 of them")
    before = ns.count("app.test", "A")
    wait_for(lambda: ns.count("app.test", "A") >= before + 2, "more questions")
    assert set(texts(server)) == {"a", "b"}
    assert server.log().count("could not be resolved") == 1  # told once
    ns.set("app.test", a=addrs(2))
    server.wait_log("app.test is resolved again")
    wait_for(lambda: set(texts(server)) == {"b"}, "the new answer")


def test_turned_answers_change_nothing(start, ns):
    ns.set("app.test", a=addrs(1, 2))
    server = start()
    assert set(texts(server)) == {"a", "b"}
    ns.set("app.test", a=addrs(2, 1))
    before = ns.count("app.test", "A")
    wait_for(lambda: ns.count("app.test", "A") >= before + 2, "questions")
    assert server.log().count("app.test is resolved, addresses: 2") <= 1  # the first answer may come before the log is open


def test_first_requests_wait(start, ns):
    ns.set("app.test", a=addrs(1))
    ns.hold()
    server = start(workers=2)
    clients = [server.client() for _ in range(6)]
    for client in clients:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    clients.pop().close()
    wait_for(lambda: ns.count("app.test", "A") >= 1, "a question")
    wait_for(lambda: "499" in server.read("access.log"), "the client that left")
    ns.release()
    assert [c.read_response().status for c in clients] == [200] * 5


def test_first_requests_wait_so_long(start, ns):
    ns.hold()
    server = start(timeout="300ms")
    assert server.get("/").status == 502
    server.wait_log("no live upstreams")


@pytest.mark.parametrize("how", ["QUIT", "TERM"])
def test_end_while_they_wait(start, ns, how):
    ns.hold()
    server = start(timeout="1s", workers=2)
    clients = [server.client() for _ in range(4)]
    for client in clients:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_for(lambda: ns.count("app.test", "A") >= 1, "a question")
    server.signal(how)
    assert server.wait_exit() == 0


def test_reload_keeps_addresses(start, ns):
    ns.set("app.test", a=addrs(1))
    server = start()
    assert set(texts(server)) == {"a"}
    ns.set("app.test", rcode=2)
    server.wait_log("its last addresses stay")
    for count in (1, 2):
        server.signal("HUP")
        server.wait_log("reconfigur|configuration .* is in force", count)
        assert [server.get("/").status for _ in range(5)] == [200] * 5
    ns.set("app.test", a=addrs(2))
    wait_for(lambda: set(texts(server)) == {"b"}, "the new answer")


def test_reload_under_traffic(start, ns):
    """Names move and configurations change while three threads serve."""
    ns.set("app.test", a=addrs(1, 2))
    server = start(workers=3, valid="1s")
    bad, over = [], threading.Event()

    def ask():
        while not over.is_set():
            got = server.get("/")
            if got.status != 200 or got.text not in "ab":
                bad.append((got.status, got.text))
    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for i in range(6):
            ns.set("app.test", a=addrs(1 + i % 2))
            server.signal("HUP")
            server.wait_log("reconfigur|configuration .* is in force", i + 1)
            before = ns.count("app.test", "A")
            wait_for(lambda b=before: ns.count("app.test", "A") > b, "a question")
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert not bad


def test_state_stays(start, ns):
    """A peer that is out stays out when others come."""
    def refuses(conn):
        conn.read_request()
        conn.reset()
    ns.set("app.test", a=addrs(1, 2))
    server = start("server app.test:{up_port} resolve max_fails=1 fail_timeout=1h;", ups=[refuses, "b", "c"])
    assert set(texts(server)) == {"b"}
    assert len(server.peers[0].requests) == 1
    ns.set("app.test", a=addrs(1, 2, 3))
    wait_for(lambda: set(texts(server)) == {"b", "c"}, "the third")
    assert len(server.peers[0].requests) == 1


def test_running_request_keeps_its_peer(start, ns):
    def slow(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na")
        gate.wait(3 * LIMIT)
        conn.send(b"z")
    gate = threading.Event()
    ns.set("app.test", a=addrs(1))
    server = start(ups=[[slow, letter("a")], "b"])
    client = server.client()
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    server.peers[0].wait_requests(1)
    ns.set("app.test", a=addrs(2))
    wait_for(lambda: set(texts(server)) == {"b"}, "the second")
    gate.set()
    assert client.read_response().text == "az"
    line = f"200 127.0.0.1:{server.names['up_port']} 200"
    wait_for(lambda: sum(line in found for found in server.access(1)) >= 1, "its line")


def test_idle_connection_is_kept(start, ns):
    ns.set("app.test", a=addrs(1))
    server = start(workers=1)
    assert texts(server, 3) == {"a": 3}
    ns.set("app.test", a=addrs(1, 2))
    wait_for(lambda: set(texts(server)) == {"a", "b"}, "both")
    assert [peer.connections for peer in server.peers] == [1, 1]


def test_status(start, ns):
    """weir status shows the peers of the moment."""
    def peers():
        result = server.command("status", "--json")
        assert result.returncode == 0, result.stderr
        found = next(w["report"] for w in json.loads(result.stdout)["workers"] if w["role"] == "serves")
        group = next(g for g in found["groups"] if g["name"] == "u")
        return [(p["server"].split(":")[0], p["address"].split(":")[0]) for p in group["peers"]]
    server = start("server 127.0.0.3:{up_port}; server app.test:{up_port} resolve;")
    assert peers() == [("127.0.0.3", "127.0.0.3")]
    ns.set("app.test", a=addrs(1, 2))
    wait_for(lambda: peers() == [("127.0.0.3", "127.0.0.3"), ("app.test", "127.0.0.1"), ("app.test", "127.0.0.2")], "three")


# --- services

def srv(ns, name, *records, **more):
    ns.set(name, srv=records, **more)


def test_service(start, ns):
    """Priorities are primaries and backups, weights are weights."""
    ns.set("x.test", a=addrs(1))
    ns.set("y.test", a=addrs(2))
    ns.set("z.test", a=addrs(3))
    server = start("server app.test service=http resolve;", ups="abc")
    port = server.peers[0].port
    srv(ns, "_http._tcp.app.test", (10, 3, port, "x.test"), (10, 1, port, "y.test"), (20, 9, port, "z.test"))
    wait_for(lambda: server.get("/").status == 200, "the service")
    assert texts(server, 40) == {"a": 30, "b": 10}
    srv(ns, "_http._tcp.app.test", (20, 9, port, "z.test"))
    wait_for(lambda: set(texts(server)) == {"c"}, "the other one")


@pytest.mark.parametrize("service,name", [
    ("http", "_http._tcp.app.test"), ("_web._tcp", "_web._tcp.app.test"), ("one.two", "one.two.app.test"),
])
def test_service_names(start, ns, service, name):
    ns.set("x.test", a=addrs(1))
    server = start(f"server app.test service={service} resolve;")
    srv(ns, name, (1, 1, server.peers[0].port, "x.test"))
    wait_for(lambda: server.get("/").status == 200, "the service")
    assert ns.count(name, "SRV") >= 1


def test_service_backup(start, ns):
    """When the first priority is dead the next one serves."""
    ns.set("x.test", a=addrs(1))
    ns.set("y.test", a=addrs(2))
    server = start("server app.test service=http resolve;", ups="ab")
    port = server.peers[0].port
    srv(ns, "_http._tcp.app.test", (1, 1, 1, "x.test"), (2, 1, port, "y.test"))  # nobody listens at port 1
    wait_for(lambda: server.get("/").status == 200, "the service")
    assert set(texts(server)) == {"b"}


def test_service_weight_of_the_line(start, ns):
    ns.set("x.test", a=addrs(1))
    ns.set("y.test", a=addrs(2))
    server = start("server app.test service=http resolve weight=2;")
    port = server.peers[0].port
    srv(ns, "_http._tcp.app.test", (1, 30, port, "x.test"), (1, 0, port, "y.test"))
    wait_for(lambda: server.get("/").status == 200, "the service")
    assert texts(server, 20) == {"a": 10, "b": 10}


def test_service_host_fails(start, ns):
    """One host of two cannot be resolved any more: it keeps its addresses; another is gone from the service: it goes."""
    ns.set("x.test", a=addrs(1))
    ns.set("y.test", a=addrs(2))
    server = start("server app.test service=http resolve;")
    port = server.peers[0].port
    srv(ns, "_http._tcp.app.test", (1, 1, port, "x.test"), (1, 1, port, "y.test"))
    wait_for(lambda: server.get("/").status == 200, "the service")
    assert set(texts(server)) == {"a", "b"}
    ns.set("x.test", rcode=2)
    server.wait_log(r"x\.test of _http\._tcp\.app\.test could not be resolved \(2: Server failure\)")
    assert set(texts(server)) == {"a", "b"}
    srv(ns, "_http._tcp.app.test", (1, 1, port, "y.test"))
    wait_for(lambda: set(texts(server)) == {"b"}, "one host")
    srv(ns, "_http._tcp.app.test", (0, 0, 0, "."))
    server.wait_log(r"_http\._tcp\.app\.test could not be resolved \(3: Host not found\), its last addresses stay: 1 of them")
    assert set(texts(server)) == {"b"}


def test_thousands_of_names(start, ns):
    """More than are looked up at a time: all have their turn, and nobody is told of a failure."""
    for i in range(1200):
        ns.set(f"n{i}.test", a=addrs(1))
    server = start("".join(f"server n{i}.test:{{up_port}} resolve;\n" for i in range(1200)), valid="1h", more="ipv6=off")
    wait_for(lambda: sum(1 for i in range(1200) if ns.count(f"n{i}.test", "A")) == 1200, "all names")
    assert set(texts(server)) == {"a"}
    assert "could not be resolved" not in server.log()


# --- configuration

@pytest.mark.parametrize("group,words", [
    ("server app.test resolve;", 'resolving names at run time requires upstream "u" in shared memory'),
    ("zone u 64k; server app.test resolve;", 'no resolver defined to resolve names at run time in upstream "u"'),
    ("zone u 64k; resolver 127.0.0.1; server app.test service=http;", 'parameter "service" needs "resolve"'),
    ("zone u 64k; resolver 127.0.0.1; server app.test:80 service=http resolve;", "needs a name without a port"),
    ("zone u 64k; resolver 127.0.0.1; server 127.0.0.1 service=http resolve;", "needs a name without a port"),
    ("zone u 64k; resolver 127.0.0.1; server app.test service= resolve;", 'invalid parameter "service="'),
    ("zone u 64k; resolver 127.0.0.1; server app.test resolve backup;", 'no servers in upstream "u"'),
    ("zone u 64k; resolver 127.0.0.1; resolver_timeout x; server app.test resolve;", "resolver_timeout"),
])
def test_errors(command, group, words):
    got = command("location / { proxy_pass http://u; }", http="upstream u { " + group + " }").command("-t")
    assert got.returncode == 1 and words in got.stderr, got.stderr


@pytest.mark.parametrize("group", [
    "zone u 64k; resolver 127.0.0.1 valid=5s; resolver_timeout 3s; server app.test resolve;",
    "server 127.0.0.1 resolve;",  # means nothing to an address
    "zone u 64k; server app.test resolve; server b.test resolve backup; server 127.0.0.1; resolver 127.0.0.1;",
])
def test_accepted(command, group):
    got = command("location / { proxy_pass http://u; }", http="upstream u { " + group + " }").command("-t")
    assert got.returncode == 0, got.stderr


def test_resolver_of_the_group(start, ns, weir, origin):
    other = NameServer()
    try:
        other.set("app.test", a=addrs(2))
        ns.set("app.test", a=addrs(1))
        server = start(f"resolver {other} valid=1s; server app.test:{{up_port}} resolve;")
        assert set(texts(server)) == {"b"}
    finally:
        other.stop()


def test_by_variable(start, ns, weir, origin):
    """The group is found by a name out of a variable, too."""
    ns.set("app.test", a=addrs(1))
    up = origin(letter("a"))
    server = weir("location / { proxy_pass http://$arg_g; }", http=HTTP + GROUP % f"server app.test:{up.port} resolve;", ns=ns,
                  valid="1s", timeout="20s", more="")
    assert server.get("/?g=u").status == 200
