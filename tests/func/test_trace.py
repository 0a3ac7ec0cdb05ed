# SPDX-License-Identifier: Apache-2.0
"""weir trace: the flight recorder of live requests, by connection and by client."""
import re
import threading

import pytest

from weirtest.client import build_request
from weirtest.timing import wait_for

pytestmark = pytest.mark.weir_only("nginx has no such command")


@pytest.fixture
def waiting(weir, origin):
    """(server, how many requests wait for their peer) -> clients; they are let go at the end."""
    go = threading.Event()
    clients = []

    def script(conn):
        conn.read_request()
        conn.wait(go)
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    def make(targets, **more):
        up = origin([script] * len(targets))
        server = weir("location / { proxy_pass http://{up}; }", up=up, **more)
        for target in targets:
            client = server.client()
            client.send(build_request("GET", target, host="app.example"))
            clients.append(client)
        wait_for(lambda: len(up.requests) == len(targets), "the requests at the peer")
        return server, up
    yield make
    go.set()
    for client in clients:
        assert client.read_response().text == "ok"


def trace(server, *args):
    result = server.command("trace", *args)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_by_client(waiting):
    server, up = waiting(["/one?a=1", "/two"])
    text = trace(server, "--client", "127.0.0.1")
    assert len(re.findall(r"^request \d+ on connection \*\d+: GET /", text, re.M)) == 2
    assert "GET /one?a=1 HTTP/1.1\n" in text and "GET /two HTTP/1.1\n" in text
    assert "client 127.0.0.1, host app.example, configuration 1, state CONTENT, for " in text
    assert re.search(rf"peer http://127\.0\.0\.1:{up.port}/two, connection \*\d+", text)
    for moves in (r"h1 server +IDLE -> HEAD", r"req +PHASES -> CONTENT", r"up +PICK -> TRY",
                  r"attempt +CONNECT -> ACTIVE", r"h1 client +READY -> BUSY"):
        assert len(re.findall(r"^ +\+\d+ ms +" + moves, text, re.M)) == 2, text


def test_blocks_of_clients(waiting):
    server, _ = waiting(["/"])
    assert trace(server, "--client", "127.0.0.0/8").count("request ") == 1
    assert trace(server, "--client=all").count("request ") == 1
    result = server.command("trace", "--client", "10.0.0.0/8")
    assert (result.returncode, result.stdout) == (1, "") and "no live request matches" in result.stderr


def test_by_connection_and_by_request(waiting):
    server, _ = waiting(["/one", "/two"])
    text = trace(server, "--client", "127.0.0.1")
    request, connection = re.search(r"request (\d+) on connection \*(\d+): GET /two", text).groups()
    for args in ((connection,), ("*" + connection,), ("--request", request)):
        text = trace(server, *args)
        assert "GET /two" in text and "GET /one" not in text
    assert server.command("trace", "999999").returncode == 1


def test_number_is_that_of_the_connection_variable(weir, origin):
    """$connection, which the logs call *N, finds the request; one that is being answered is in state RELAY."""
    go = threading.Event()

    def script(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234")
        conn.wait(go)
        conn.send(b"56789")
    up = origin(script)
    server = weir("location / { proxy_set_header X-No $connection; proxy_buffering off; proxy_pass http://{up}; }", up=up)
    client = server.client()
    client.send(build_request("GET", "/a"))
    client.read_head()
    text = trace(server, up.requests[0].headers.get("x-no"))
    assert "GET /a HTTP/1.1" in text and re.search(r"up +TRY -> RELAY", text) and "state RESPOND" in text
    go.set()
    assert client.read_exact(10) == b"0123456789"


def test_over_threads(waiting):
    server, _ = waiting([f"/{i}" for i in range(8)], workers=3)
    text = trace(server, "--client", "127.0.0.1")
    assert sorted(re.findall(r"GET /(\d) ", text)) == [str(i) for i in range(8)]


def test_what_the_client_wrote_is_harmless(waiting):
    server, _ = waiting(["/" + "a" * 2000])
    text = trace(server, "--client", "127.0.0.1")
    assert re.search(r"GET /a{299}\.\.\. HTTP/1\.1", text)


def test_bad_questions(command):
    server = command("location / { return 200; }")
    for args, text in ((("x17",), "is no number"), (("--client", "300.1.1.1"), "is no address"),
                       (("--client", "1.1.1.1\nreload"), "is no address"), ((), "weir trace needs"),
                       (("--request", "*1"), "is no number"),
                       (("1", "2"), "takes one"), (("1", "--client", "::1"), "takes one")):
        result = server.command("trace", *args, conf=False)
        assert result.returncode == 1 and text in result.stderr, result.stderr
