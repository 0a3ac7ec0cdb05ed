# SPDX-License-Identifier: Apache-2.0
"""weir proxy --to URL: a proxy from one command line; weir --directives."""
import os
import re
import signal
import socket
import subprocess

import pytest

from weirtest.client import Client, build_request
from weirtest.server import BINARY, reserve_port
from weirtest.timing import LIMIT, wait_for

pytestmark = pytest.mark.weir_only("a command of our own (issue section 6)")


@pytest.fixture
def run_proxy():
    started = []

    def run(*targets):
        holder, port = reserve_port()
        args = [BINARY, "proxy", "--listen", f"127.0.0.1:{port}"]
        for target in targets:
            args += ["--to", str(target)]
        process = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   start_new_session=True)
        started.append((process, holder))

        def up():
            assert process.poll() is None, process.stdout.read().decode()
            try:
                Client(("127.0.0.1", port)).close()
                return True
            except ConnectionRefusedError:
                return False
        wait_for(up, "weir proxy to listen")
        return process, port
    yield run
    for process, holder in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        holder.close()


def test_passes_with_forwarded_fields(run_proxy, origin):
    up = origin()
    _, port = run_proxy(f"http://{up}")
    client = Client(("127.0.0.1", port))
    assert client.get("/a%20b?c", {"Host": "front.example"}).text == "ok"
    head = up.requests[0].headers
    assert up.requests[0].target == "/a%20b?c"
    assert (head["X-Forwarded-For"], head["X-Forwarded-Proto"], head["X-Forwarded-Host"]) == ("127.0.0.1", "http",
                                                                                              "front.example")


def test_balances(run_proxy, origin):
    a, b = (origin(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + n) for n in (b"a", b"b"))
    _, port = run_proxy(f"http://{a}", f"http://{b}")
    client = Client(("127.0.0.1", port))
    assert sorted(client.get("/").text for _ in range(8)) == list("aaaabbbb")


def test_websocket_and_event_stream(run_proxy, origin):
    def script(conn):
        req = conn.read_request()
        if "Upgrade" in req.headers:
            conn.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
            conn.send(conn.read_some())
            return
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        conn.hold()
    _, port = run_proxy(f"http://{origin(script)}")
    client = Client(("127.0.0.1", port))
    client.send(build_request("GET", "/ws", {"Connection": "Upgrade", "Upgrade": "echo"}))
    assert client.read_response_head(interim=True).status == 101
    client.send(b"hello")
    client.expect(b"hello")
    client = Client(("127.0.0.1", port))
    client.send(build_request("GET", "/events"))
    client.read_response_head()
    assert client.read_chunk() == b"data: 1\n\n"


def test_ends_by_signal_with_a_log(run_proxy, origin):
    process, port = run_proxy(f"http://{origin()}")
    Client(("127.0.0.1", port)).get("/seen-in-the-log")
    while True:                      # written after the answer; TERM ends all at once
        line = process.stdout.readline().decode()
        assert line, "the log ended without the request"
        if "/seen-in-the-log" in line:
            break
    process.send_signal(signal.SIGTERM)
    assert process.wait(LIMIT) == 0


@pytest.mark.parametrize("args", [(), ("--to",), ("--to", "nonsense"), ("--to", "ftp://x"),
                                  ("--to", "http://127.0.0.1:1", "--foo")])
def test_bad_arguments(args):
    result = subprocess.run([BINARY, "proxy", *args], capture_output=True, text=True, timeout=LIMIT, check=False)
    assert result.returncode == 1 and result.stderr


def test_refused_peer_is_502(run_proxy):
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    _, port = run_proxy(f"http://127.0.0.1:{holder.getsockname()[1]}")
    assert Client(("127.0.0.1", port)).get("/").status == 502
    holder.close()


def test_directives():
    result = subprocess.run([BINARY, "--directives"], capture_output=True, text=True, timeout=LIMIT, check=False)
    assert result.returncode == 0
    for name in ("proxy_pass", "listen", "server_name", "upstream", "error_page", "access_log"):
        assert re.search(rf"\b{name}\b", result.stdout), name
