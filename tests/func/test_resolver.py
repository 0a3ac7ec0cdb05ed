# SPDX-License-Identifier: Apache-2.0
"""Names at run time: `resolver`, proxy_pass with variables (U1.5, U1.6)."""
import random
import threading

import pytest

from weirtest import dns
from weirtest.dns import NameServer
from weirtest.server import IS_NGINX
from weirtest.timing import wait_for
from weirtest.tls import server_context

CONF = """resolver {ns} valid={valid} {more}; resolver_timeout {timeout};
location / { proxy_pass http://$arg_h:{up_port}; } access_log {dir}/access.log t;"""
FMT = "log_format t '$status $upstream_addr $upstream_status $proxy_host';"


@pytest.fixture
def ns():
    made = NameServer()
    yield made
    made.stop()


def letter(name):
    return b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + name.encode()


def pair(origin, scripts=None):
    """Two peers with one port at 127.0.0.1 and 127.0.0.2."""
    one, two = scripts or (letter("a"), letter("b"))
    while True:
        first = origin(one)
        try:
            return first, origin(two, host="127.0.0.2", port=first.port)
        except OSError:
            continue


@pytest.fixture
def start(weir, origin, ns):
    def make(conf=CONF, up=None, valid="0", timeout="5s", more="", http="", **names):
        up = up or origin(letter("a"))
        return weir(conf, http=FMT + http, ns=ns, up_port=up.port, valid=valid, timeout=timeout, more=more, **names)
    return make


def test_name(start, ns):
    ns.set("app.test", a=["127.0.0.1"])
    server = start()
    got = server.get("/?h=app.test")
    assert (got.status, got.text) == (200, "a")
    assert server.access(1)[0] == f"200 127.0.0.1:{server.names['up_port']} 200 app.test:{server.names['up_port']}"


def test_names_have_no_case(start, ns):
    ns.set("app.test", a=["127.0.0.1"])
    server = start()
    assert [server.get(f"/?h={n}").status for n in ("app.test", "App.TEST")] == [200, 200]
    assert ns.count("app.test", "A") == 1


@pytest.mark.parametrize("entry", [
    dict(a=["127.0.0.1"], cname="x.y.test"),
    # c-ares 1.34 takes what it cannot read for a broken server's, and asks again: the next answer is clean
    dict(a=["127.0.0.1"], before=[dns.garbage], spoilt=1),
    dict(a=["127.0.0.1"], before=[dns.wrong_id]),
    dict(a=["127.0.0.1"], before=[dns.other_question]),
    dict(a=["127.0.0.1"], before=[lambda q, a: a[:20], lambda q, a: b""], spoilt=1),
    dict(a=["127.0.0.1"], cut=True),
    dict(a=["127.0.0.1"] * 100, cut=True),
    dict(a=["127.0.0.1"], delay=0.3),
], ids=["alias", "garbage", "wrong id", "other question", "short", "cut", "large", "slow"])
def test_answers(start, ns, entry):
    ns.set("app.test", **entry)
    server = start(timeout="9s")
    assert server.get("/?h=app.test").status == 200
    if entry.get("cut"):
        assert ns.count("app.test", "A", "tcp") == 1


def test_tcp_ends(start, ns):
    """Cut over UDP, and no answer over TCP: it ends, in time; others are not disturbed."""
    ns.set("app.test", a=["127.0.0.1"], cut=True, tcp_ends=True)
    ns.set("b.test", a=["127.0.0.1"])
    server = start(timeout="1s")
    assert server.get("/?h=app.test").status == 502
    server.wait_log(r"app\.test could not be resolved")
    assert ns.count("app.test", "A", "tcp") >= 1
    assert server.get("/?h=b.test").status == 200


@pytest.mark.parametrize("mute", ["AAAA", "A"])
@pytest.mark.weir_only("nginx waits for both until resolver_timeout")
def test_server_mute_to_one_family(start, ns, origin, mute):
    ns.set("app.test", a=["127.0.0.1"], aaaa=["::1"], mute=(mute,))
    up = pair(origin) if mute == "AAAA" else [origin(letter("a"), host="::1")]
    server = start(up=up[0], timeout="20s")
    assert server.get("/?h=app.test").status == 200


def test_lost(start, ns):
    ns.set("app.test", a=["127.0.0.1"], lost=2)
    server = start(timeout="30s")
    assert server.get("/?h=app.test").status == 200
    assert ns.count("app.test", "A") >= 2


@pytest.mark.parametrize("entry,reason", [
    pytest.param(dict(rcode=1), "1: Format error", marks=pytest.mark.weir_only("nginx waits for another answer")),
    (dict(rcode=2), "2: Server failure"), (dict(rcode=3), "3: Host not found"),
    (dict(rcode=5), "5: Operation refused"), (dict(), "3: Host not found"),
], ids=["format", "server", "nxdomain", "refused", "empty"])
def test_failures(start, ns, entry, reason):
    ns.set("app.test", **entry)
    server = start()
    assert server.get("/?h=app.test").status == 502
    server.wait_log(rf"\[error\].*app\.test could not be resolved \({reason}\)")
    assert server.access(1)[0].split()[:3] == ["502", "-", "-"]


@pytest.mark.weir_only("a server that fails is not the only one")
def test_next_name_server(start, ns):
    """One does not listen, one fails, one knows."""
    bad, good = NameServer(), NameServer()
    try:
        for server in (ns, bad):
            server.set("a.test", rcode=2)
            server.set("b.test", rcode=5)
        good.set("a.test", a=["127.0.0.1"])
        good.set("b.test", a=["127.0.0.1"])
        server = start(more=f"{bad} {good}")
        assert [server.get(f"/?h={n}.test").status for n in "ab"] == [200, 200]
    finally:
        bad.stop()
        good.stop()


def test_name_server_that_is_not_there(weir, origin, ns):
    ns.set("app.test", a=["127.0.0.1"])
    up = origin(letter("a"))
    server = weir(CONF.replace("{ns}", "127.0.0.1:{port_dead} {ns}"), http=FMT, ns=ns, up_port=up.port, valid="0",
                  timeout="9s", more="")
    assert server.get("/?h=app.test").status == 200


def test_timeout(start, ns):
    ns.set("app.test", a=["127.0.0.1"], lost=100)
    server = start(timeout="300ms")
    assert server.get("/?h=app.test").status == 502
    server.wait_log(r"app\.test could not be resolved \(110: Operation timed out\)")


def test_no_resolver(weir):
    server = weir("location / { proxy_pass http://$arg_h; }")
    assert server.get("/?h=app.test").status == 502
    server.wait_log("no resolver defined to resolve app.test")


def test_one_query_for_all(start, ns):
    ns.set("app.test", a=["127.0.0.1"])
    ns.hold()
    server = start(timeout="30s")
    got = []
    threads = [threading.Thread(target=lambda: got.append(server.get("/?h=app.test").status)) for _ in range(8)]
    for thread in threads:
        thread.start()
    wait_for(lambda: ns.count("app.test", "A") >= 1, "a question")
    ns.release()
    for thread in threads:
        thread.join()
    assert got == [200] * 8
    assert ns.count("app.test", "A") == 1


def test_ttl_ends(start, ns):
    ns.set("app.test", a=["127.0.0.1"], ttl=1)
    server = start()
    assert server.get("/?h=app.test").status == 200
    assert server.get("/?h=app.test").status == 200

    def again():
        assert server.get("/?h=app.test").status == 200
        return ns.count("app.test", "A") >= 2
    wait_for(again, "a second question")


def test_valid_wins(start, ns):
    ns.set("app.test", a=["127.0.0.1"], ttl=0)
    server = start(valid="1h")
    assert [server.get("/?h=app.test").status for _ in range(3)] == [200] * 3
    assert ns.count("app.test", "A") == 1


def test_next_address(start, ns, origin):  # U1.5: tried like a group's
    def refuses(conn):
        conn.read_request()
        conn.reset()
    up = pair(origin, (refuses, letter("b")))
    ns.set("app.test", a=["127.0.0.1", "127.0.0.2"])
    server = start(up=up[0], conf=CONF, http="proxy_next_upstream error;")
    assert [server.get("/?h=app.test").text for _ in range(6)] == ["b"] * 6


def test_addresses_share(start, ns, origin):
    up = pair(origin)
    ns.set("app.test", a=["127.0.0.1", "127.0.0.2"])
    server = start(up=up[0])
    client = server.client()
    assert {client.get("/?h=app.test").text for _ in range(40)} == {"a", "b"}


@pytest.mark.weir_only("nginx keeps none to peers out of variables")
def test_connections_are_kept(start, ns, origin):  # U10
    up = origin(letter("a"))
    ns.set("app.test", a=["127.0.0.1"])
    ns.set("b.test", a=["127.0.0.1"])
    server = start(up=up, workers=1)
    client = server.client()
    assert [client.get(f"/?h={n}.test").status for n in ("app", "app", "b")] == [200] * 3
    assert up.connections == 1


def test_https(weir, origin, pki, ns):
    """A name out of a variable, TLS to it: its name is what the peer is asked for."""
    up = origin(letter("a"), tls=server_context(pki.server))
    ns.set("localhost", a=["127.0.0.1"])
    server = weir("resolver {ns}; location / { proxy_ssl_server_name on; proxy_ssl_verify on; "
                  f"proxy_ssl_trusted_certificate {pki.ca}; proxy_pass https://$arg_h:{up.port}; }}", ns=ns)
    assert server.get("/?h=localhost").status == 200
    assert up.names == ["localhost"]


def test_ipv6_off(start, ns):
    ns.set("app.test", a=["127.0.0.1"])
    server = start(more="ipv6=off")
    assert server.get("/?h=app.test").status == 200
    assert ns.count("app.test", "AAAA") == 0 and ns.count("app.test", "A") == 1


@pytest.mark.weir_only("ipv4= came with 1.23.1")
def test_ipv4_off(start, ns):
    ns.set("app.test", a=["127.0.0.1"])
    server = start(more="ipv4=off")
    assert server.get("/?h=app.test").status == 502
    assert ns.count("app.test", "A") == 0 and ns.count("app.test", "AAAA") == 1


def test_client_leaves(start, ns):
    ns.set("app.test", a=["127.0.0.1"])
    ns.hold()
    server = start(timeout="30s")
    client = server.client()
    client.send(b"GET /?h=app.test HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_for(lambda: ns.count("app.test", "A") >= 1, "a question")
    client.close()
    assert server.access(1)[0].startswith("499 ")
    ns.release()
    assert server.get("/?h=app.test").status == 200


def test_silent_name_server(start, ns):
    """One of two never answers: each name comes, and after the first the other one is asked first."""
    good = NameServer()
    try:
        ns.hold()
        names = [f"n{i}.test" for i in range(8)]
        for name in names:
            good.set(name, a=["127.0.0.1"])
        server = start(more=str(good), timeout="30s")
        assert [server.get(f"/?h={n}").status for n in names] == [200] * 8
        if not IS_NGINX:
            assert len(ns.queries) < 16  # of 8 names, A and AAAA; it is 2 where all is quick
    finally:
        good.stop()


def test_ids_and_ports_are_random(start, ns):
    for i in range(24):
        ns.set(f"n{i}.test", a=["127.0.0.1"])
    server = start(more="ipv6=off")
    for i in range(24):
        assert server.get(f"/?h=n{i}.test").status == 200
    ids = [number for _, number in ns.marks]
    assert len(set(ids)) >= 20  # of 65,536: two equal ones are rare
    steps = [(b - a) % 65536 for a, b in zip(ids, ids[1:])]
    assert len(set(steps)) >= 20
    if not IS_NGINX:
        assert len({port for port, _ in ns.marks}) >= 12


def test_many_names_over_threads(start, ns):
    """Threads with requests for the same and for different names."""
    for i in range(40):
        ns.set(f"n{i}.test", a=["127.0.0.1"])
    server = start(workers=3, valid="1h")
    bad = []

    def ask(no):
        client = server.client()
        for i in range(40):
            got = client.get(f"/?h=n{(i * 7 + no) % 40}.test")
            if (got.status, got.text) != (200, "a"):
                bad.append(got)
    threads = [threading.Thread(target=ask, args=(no,)) for no in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not bad
    if not IS_NGINX:
        assert [n for i in range(40) if (n := ns.count(f"n{i}.test", "A")) != 1] == []


def test_body(start, ns, origin):
    """A body is read, and kept, while the name is looked up."""
    up = origin(letter("a"))
    ns.set("app.test", a=["127.0.0.1"], delay=0.2)
    server = start(up=up)
    got = server.request("POST", "/?h=app.test", body=b"x" * 100000)
    assert got.status == 200
    assert up.requests[0].body == b"x" * 100000


@pytest.mark.parametrize("name,reason", [
    ("a..test", "1: Format error"), ("x" * 64 + ".test", "1: Format error"), ("a.test" * 50, "1: Format error"),
], ids=["empty label", "long label", "long"])
@pytest.mark.weir_only("nginx has other words")
def test_names_that_cannot_be(start, ns, name, reason):
    server = start()
    assert server.get(f"/?h={name}").status == 502
    server.wait_log(rf"could not be resolved \({reason}\)")
    assert ns.queries == []


def test_negative_is_kept(start, ns):
    ns.set("gone.test", rcode=3, soa=60)
    server = start()
    assert [server.get("/?h=gone.test").status for _ in range(3)] == [502] * 3
    if not IS_NGINX:
        assert ns.count("gone.test", "A") == 1


@pytest.mark.weir_only("nginx's workers begin anew")
def test_reload_keeps_names(start, ns):
    ns.set("app.test", a=["127.0.0.1"])
    server = start(valid="1h")
    assert server.get("/?h=app.test").status == 200
    ns.set("app.test", rcode=3)
    for count in (1, 2):
        server.signal("HUP")
        server.wait_log("reconfigur|configuration .* is in force", count)
        assert server.get("/?h=app.test").status == 200
    assert ns.count("app.test", "A") == 1


@pytest.mark.weir_only("words of its own")
def test_reload_while_asking(start, ns):
    """The request that waits belongs to the old configuration, which has the resolver."""
    ns.set("app.test", a=["127.0.0.1"])
    ns.hold()
    server = start(timeout="30s")
    client = server.client()
    client.send(b"GET /?h=app.test HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_for(lambda: ns.count("app.test", "A") >= 1, "a question")
    server.write_conf(server.compose("location / { return 204; }"))
    server.signal("HUP")
    wait_for(lambda: server.get("/").status == 204, "the new configuration")
    ns.release()
    assert client.read_response().status == 200


@pytest.mark.parametrize("how", ["QUIT", "TERM"])
def test_end_while_asking(start, ns, how):
    ns.hold()
    server = start(timeout="1s" if how == "QUIT" else "30s", workers=2)
    clients = [server.client() for _ in range(4)]
    for i, client in enumerate(clients):
        client.send(f"GET /?h=n{i}.test HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    wait_for(lambda: all(ns.count(f"n{i}.test", "A") for i in range(4)), "questions")
    server.signal(how)
    if how == "QUIT":
        assert [c.read_response().status for c in clients] == [502] * 4
    assert server.wait_exit() == 0


@pytest.mark.parametrize("args,words", [
    ("valid=10s", "no name servers defined"),
    ("127.0.0.1 valid=x", "invalid parameter: valid=x"),
    ("127.0.0.1 valid=10ms", "invalid parameter: valid=10ms"),
    ("127.0.0.1 ipv6=maybe", "invalid parameter: ipv6=maybe"),
    ("127.0.0.1:0", 'invalid port in resolver "127.0.0.1:0"'),
    ("no-such-host.invalid", 'host not found in resolver "no-such-host.invalid"'),
    pytest.param("127.0.0.1 ipv4=off ipv6=off", '"ipv4" and "ipv6" cannot both be "off"',
                 marks=pytest.mark.weir_only("ipv4= came with 1.23.1")),
    pytest.param("127.0.0.1 " * 17, "too many name servers, the most are 16", marks=pytest.mark.weir_only("a bound of ours")),
])
def test_errors(command, args, words):
    server = command(f"resolver {args};")
    got = server.command("-t")
    assert got.returncode == 1 and words in got.stderr


@pytest.mark.parametrize("args", [
    "[::1]:53", "127.0.0.1:5353 127.0.0.2 valid=1h ipv6=off", "localhost",
    pytest.param("127.0.0.1 status_zone=z", marks=pytest.mark.weir_only("nginx's commercial version")),
    pytest.param("system", marks=pytest.mark.weir_only("ours")),
    pytest.param("system 127.0.0.1 ipv4=off", marks=pytest.mark.weir_only("ours")),
])
def test_accepted(command, args):
    got = command(f"resolver {args}; resolver_timeout 3s;").command("-t")
    assert got.returncode == 0, got.stderr


@pytest.mark.weir_only("ours")
def test_system_is_served(weir):
    """The worker, which may not read the file, is told what the supervisor read."""
    server = weir("resolver system; location / { return 204; }")
    assert server.get("/").status == 204


def test_clients_leave_at_any_time(start, ns):
    """Clients that give up before, while and after a name comes; the moments are the subject."""
    for i in range(6):
        ns.set(f"n{i}.test", a=["127.0.0.1"], ttl=0, delay=0.002 * i)
    server = start(workers=2, timeout="20ms" if not IS_NGINX else "1s")
    moments = random.Random(7)

    def hurry(no):
        for i in range(25):
            client = server.client()
            client.send(f"GET /?h=n{(i + no) % 6}.test HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            threading.Event().wait(moments.random() * 0.02)
            client.close()
    threads = [threading.Thread(target=hurry, args=(no,)) for no in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ns.set("n0.test", a=["127.0.0.1"])
    wait_for(lambda: server.get("/?h=n0.test").status == 200, "an answer")
