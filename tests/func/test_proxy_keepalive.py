# SPDX-License-Identifier: Apache-2.0
"""Idle connections to peers: reuse, limits, what is never kept, stale ones."""
import threading

import pytest

from weirtest.client import build_request
from weirtest.timing import LIMIT, wait_for

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LOCATION = "location / { proxy_http_version 1.1; proxy_set_header Connection ''; proxy_pass http://g; } "


def start(weir, up, more="keepalive 4;", conf=LOCATION, **names):
    return weir("access_log {dir}/access.log t; " + conf, workers=1, up=up, **names,
                http="log_format t '$status|$upstream_addr|$upstream_status'; upstream g { server {up}; " + more + " }")


def ask(server, count, target="/"):
    client = server.client()
    return [client.get(target).text for _ in range(count)]


def test_reuse(weir, origin):  # U10.1
    up = origin(OK)
    assert ask(start(weir, up), 10) == ["ok"] * 10
    assert up.connections == 1


def test_reuse_over_clients(weir, origin):
    up = origin(OK)
    server = start(weir, up)
    for _ in range(5):
        assert server.get("/", {"Connection": "close"}).text == "ok"
    assert up.connections == 1


@pytest.mark.weir_only("U10.1: on by default with N = 32; nginx 1.22 has no pool without keepalive")
def test_on_by_default(weir, origin):
    up = origin(OK)
    assert ask(start(weir, up, more=""), 5) == ["ok"] * 5
    assert up.connections == 1


@pytest.mark.weir_only("U10.1: on by default, implicit groups included")
def test_on_by_default_in_implicit_groups(weir, origin):
    up = origin(OK)
    assert ask(weir("location / { proxy_pass http://{up}; }", up=up), 5) == ["ok"] * 5
    assert up.connections == 1


@pytest.mark.parametrize("answer", [
    OK, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
                                    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\n\r\n",
    pytest.param(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
                 marks=pytest.mark.weir_only("U10.2: 1.0 with keep-alive is kept; nginx 1.22 keeps 1.1 only")),
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"])
@pytest.mark.parametrize("buffering", ["on", "off"])
def test_kept(weir, origin, answer, buffering):  # U10.2
    up = origin(answer)
    ask(start(weir, up, conf=f"proxy_buffering {buffering}; " + LOCATION), 3)
    assert up.connections == 1


@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
                                    b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 2\r\n\r\nok"])
def test_not_kept(weir, origin, answer):  # U10.2
    up = origin(answer)
    assert ask(start(weir, up), 3) == ["ok"] * 3
    assert up.connections == 3
    for number in range(3):
        up.wait_end(number)


def test_head_is_kept(weir, origin):
    up = origin(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")
    client = start(weir, up).client()
    for _ in range(3):
        assert client.request("HEAD", "/").status == 200
    assert up.connections == 1


def test_limit_of_idle_connections(weir, origin):
    go = threading.Event()

    def script(conn):
        for _ in conn.requests():
            conn.wait(go)
            conn.send(OK)
    up = origin(script)
    server = start(weir, up, more="keepalive 2;")
    clients = [server.client() for _ in range(5)]
    for client in clients:
        client.send(build_request("GET", "/"))
    up.wait_requests(5)
    go.set()
    for client in clients:
        assert client.read_response().text == "ok"
    wait_for(lambda: len(up.ends) == 3, "three of five connections to be closed")


def test_keepalive_requests(weir, origin):
    up = origin(OK)
    ask(start(weir, up, more="keepalive 4; keepalive_requests 2;"), 6)
    assert up.connections == 3


def test_keepalive_timeout(weir, origin):
    up = origin(OK)
    server = start(weir, up, more="keepalive 4; keepalive_timeout 150ms;")
    ask(server, 1)
    assert up.wait_end(0) == "eof"
    ask(server, 1)
    assert up.connections == 2


def test_idle_connection_closed_by_the_peer_is_dropped(weir, origin):
    ended = threading.Event()

    def script(conn):
        conn.read_request()
        conn.send(OK)
        conn.half_close()
        conn.hold()
        ended.set()
    up = origin(script)
    server = start(weir, up)
    for _ in range(3):
        ended.clear()
        assert ask(server, 1) == ["ok"]
        assert ended.wait(LIMIT)
    assert up.connections == 3
    assert server.access(3) == [f"200|{up}|200"] * 3


def test_idle_connection_that_speaks_is_dropped(weir, origin):  # U10.2
    first = threading.Event()

    def script(conn):
        conn.read_request()
        conn.send(OK)
        if conn.number == 0:
            conn.wait(first)
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        conn.hold()
    up = origin(script)
    server = start(weir, up)
    assert ask(server, 1) == ["ok"]
    first.set()
    up.wait_end(0)
    assert ask(server, 1) == ["ok"]


def test_stale_connection_is_tried_anew(weir, origin):  # U2.6
    # The peer takes the second request of a connection and closes without a byte: a new connection gets it.
    def script(conn):
        conn.read_request()
        conn.send(OK)
        if conn.number == 0:
            conn.read_request()
            return
        for _ in conn.requests():
            conn.send(OK)
    up = origin(script)
    server = start(weir, up)
    assert ask(server, 2) == ["ok", "ok"]
    assert up.connections == 2 and len(up.requests) == 3


def test_stale_connection_by_reset(weir, origin):
    def script(conn):
        conn.read_request()
        conn.send(OK)
        if conn.number == 0:
            conn.read_request()
            conn.reset()
            return
        for _ in conn.requests():
            conn.send(OK)
    up = origin(script)
    assert ask(start(weir, up), 2) == ["ok", "ok"]
    assert up.connections == 2


@pytest.mark.weir_only("U2.6: the retry may go to the same peer, which is not charged; nginx goes to the next and charges")
def test_stale_connection_does_not_charge_the_peer(weir, origin):  # U2.6
    def script(conn):
        conn.read_request()
        conn.send(OK)
        if conn.number == 0:
            conn.read_request()
            return
        for _ in conn.requests():
            conn.send(OK)
    up, other = origin(script), origin(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother")
    server = weir(LOCATION, workers=1, up=up, other=other,
                  http="upstream g { server {up} fail_timeout=1h; server {other} backup; keepalive 4; }")
    assert ask(server, 4) == ["ok"] * 4
    assert not other.requests


def test_no_reuse_over_peers(weir, origin):  # U10.4
    up = {n: origin(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + n.encode()) for n in "ab"}
    server = weir(LOCATION, workers=1, http="upstream g { server {a}; server {b}; keepalive 4; }", **up)
    assert "".join(ask(server, 8)) == "abababab"
    assert [up[n].connections for n in "ab"] == [1, 1]


def test_broken_client_does_not_poison_the_pool(weir, origin):
    go = threading.Event()

    def script(conn):
        for _ in conn.requests():
            if conn.number == 0:
                conn.wait(go)
            conn.send(OK)
    up = origin(script)
    server = start(weir, up)
    client = server.client()
    client.send(build_request("GET", "/"))
    up.wait_requests(1)
    client.reset()
    go.set()
    assert ask(server, 3) == ["ok"] * 3


def test_post_bodies_over_one_connection(weir, origin):
    up = origin(OK)
    client = start(weir, up).client()
    for size in (0, 1, 5000, 20000):
        assert client.request("POST", "/", body=b"z" * size).text == "ok"
    assert up.connections == 1 and [len(r.body) for r in up.requests] == [0, 1, 5000, 20000]


def test_early_answer_is_not_kept(weir, origin):  # U4.5
    def script(conn):
        conn.read_request(body=False)
        conn.send(b"HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno")
        conn.hold()
    up = origin([script, OK])
    server = start(weir, up, conf="proxy_request_buffering off; lingering_timeout 200ms;" + LOCATION)
    client = server.client()
    client.send(build_request("POST", "/", {"Content-Length": "100000"}))
    assert client.read_response().status == 413
    up.wait_end(0)
    assert ask(server, 1) == ["ok"] and up.connections == 2


@pytest.mark.weir_only("`ntlm` is of nginx's commercial version")
class TestNtlm:
    """A peer that knows the user of a connection: NTLM authenticates connections, not requests."""
    HTTP = ("log_format w '$upstream_why'; upstream g { server {one}; server {two}; ntlm; } ")
    CONF = ("access_log {dir}/access.log w; location / { proxy_http_version 1.1; proxy_set_header Connection ''; "
            "proxy_pass http://g; }")

    @staticmethod
    def script(conn):
        user = "nobody"
        for req in conn.requests():
            sent = req.headers.get("Authorization") or ""
            if sent.startswith(("NTLM hello", "Negotiate hello")):
                conn.reply(b"", status="401 Who", headers=[("WWW-Authenticate", "NTLM challenge")])
                continue
            if sent.startswith(("NTLM ", "Negotiate ")):
                user = sent.split()[1]
            conn.reply(user.encode())

    def log_in(self, client, user, scheme="NTLM"):
        assert client.get("/", {"Authorization": f"{scheme} hello"}).status == 401
        assert client.get("/", {"Authorization": f"{scheme} {user}"}).text == user

    @pytest.mark.parametrize("scheme", ["NTLM", "Negotiate"])
    def test_each_client_keeps_its_user(self, weir, origin, scheme):
        server = weir(self.CONF, http=self.HTTP, one=origin(self.script), two=origin(self.script))
        clients = [server.client() for _ in range(4)]
        for number, client in enumerate(clients):
            self.log_in(client, f"user{number}", scheme)
        for _ in range(3):
            for number, client in enumerate(clients):
                assert client.get("/").text == f"user{number}"
        lines = server.access(20)
        assert sum(line.startswith("bound 127.0.0.1:") for line in lines) >= 12, lines

    def test_nobody_gets_the_connection_of_a_user(self, weir, origin):
        server = weir(self.CONF, http=self.HTTP, one=origin(self.script), two=origin(self.script))
        client = server.client()
        self.log_in(client, "me")
        for _ in range(6):
            assert server.get("/").text == "nobody"
        assert client.get("/").text == "me"
        client.close()
        for _ in range(6):
            assert server.get("/").text == "nobody"

    def test_basic_is_of_a_request(self, weir, origin):
        up = origin(self.script)
        server = weir(self.CONF, http=self.HTTP, one=up, two=up, workers=1)
        for _ in range(4):
            assert server.get("/", {"Authorization": "Basic x"}).text == "nobody"
        assert up.connections <= 2

    def test_a_connection_that_ends_ends_the_log_in(self, weir, origin):
        def script(conn):
            for req in conn.requests():
                conn.reply((req.headers.get("Authorization") or "nobody").encode())
                if "Authorization" in req.headers:
                    return
        server = weir(self.CONF, http=self.HTTP, one=origin(script), two=origin(script), workers=1)
        client = server.client()
        assert client.get("/", {"Authorization": "NTLM me"}).text == "NTLM me"
        assert client.get("/").text == "nobody"
