# SPDX-License-Identifier: Apache-2.0
"""Names at run time: `resolver`, proxy_pass with variables (U1.5, U1.6)."""
import threading

import pytest

from weirtest import dns
from weirtest.dns import NameServer
from weirtest.timing import wait_for

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
    dict(a=["127.0.0.1"], before=[dns.garbage]),
    dict(a=["127.0.0.1"], before=[dns.wrong_id]),
    dict(a=["127.0.0.1"], before=[dns.other_question]),
    dict(a=["127.0.0.1"], before=[lambda q, a: a[:20], lambda q, a: b""]),
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
        return ns.count("app.test", "A") == 2
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
