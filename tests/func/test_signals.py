# SPDX-License-Identifier: Apache-2.0
"""Signals: HUP, USR1, QUIT, TERM, INT, and what they leave alone."""
import os
import threading
import time

import pytest

from weirtest.client import build_request
from weirtest.server import IS_NGINX
from weirtest.timing import LIMIT, wait_for

ONE, TWO = "location / { return 200 one; }", "location / { return 200 two; }"


def reload(server, text):
    server.write_conf(text)
    server.signal("HUP")


def test_hup_serves_the_new_file(weir):
    server = weir(ONE)
    assert server.get("/").text == "one"
    reload(server, server.compose(TWO))
    wait_for(lambda: server.get("/").text == "two", "the new configuration")


def test_hup_many_times(weir):
    server = weir(ONE)
    for i in range(10):
        reload(server, server.compose(f"location / {{ return 200 r{i}; }}"))
        wait_for(lambda n=i: server.get("/").text == f"r{n}", f"reload {i}")


def test_hup_lets_running_requests_end(weir, origin):
    go = threading.Event()

    def script(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        conn.wait(go)
        conn.send(b"world")
    up = origin([script, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew"])
    server = weir("location / { proxy_buffering off; proxy_pass http://{up}; }", up=up)
    client = server.client()
    client.send(build_request("GET", "/"))
    client.read_head()
    assert client.read_exact(5) == b"hello"
    reload(server, server.compose(TWO))
    wait_for(lambda: server.get("/").text == "two", "the new configuration")
    go.set()
    assert client.read_exact(5) == b"world"


def test_hup_with_a_broken_file_keeps_the_old_one(weir):
    server = weir(ONE, allow=[r"\[emerg\].*no_such"])
    reload(server, server.compose("no_such_directive x;"))
    server.wait_log(r'\[emerg\] .*unknown directive "no_such_directive" in .*nginx\.conf:\d+')
    assert server.get("/").text == "one"
    reload(server, server.compose(TWO))
    wait_for(lambda: server.get("/").text == "two", "the new configuration")


def test_hup_with_an_unusable_port_keeps_the_old_one(weir, origin):
    up = origin()
    server = weir(ONE, allow=[r"\[emerg\].*bind\(\)|still could not bind"])
    reload(server, server.compose(TWO, http="server { listen " + str(up) + "; }"))
    server.wait_log(r"bind\(\) to .* failed")
    assert server.get("/").text == "one"
    server.wait_log("still could not bind|keep|failed")
    assert server.get("/").text == "one"


def test_hup_new_listen_and_dropped_listen(weir):
    server = weir(ONE)
    text = server.compose(http="server { listen 127.0.0.1:{port2}; return 200 second; }")
    reload(server, text)

    def answered():
        try:
            return server.get("/", port="port2").text == "second"
        except (ConnectionRefusedError, AssertionError):
            return False
    wait_for(answered, "the new port")

    def refused():
        try:
            with server.client("port") as client:
                client.send(build_request("GET", "/"))
                return not client.read_some() and False
        except ConnectionRefusedError:
            return True
        except ConnectionResetError:
            return False
    wait_for(refused, "the old port to be closed")


def test_hup_changes_the_logs(weir):
    server = weir("access_log {dir}/a.log t; " + ONE, http="log_format t $uri;")
    server.get("/1")
    assert server.access(1, "a.log") == ["/1"]
    reload(server, server.compose("access_log {dir}/b.log t; " + TWO, http="log_format t 'new $uri';"))
    wait_for(lambda: server.get("/2").text == "two", "the new configuration")
    assert server.access(1, "b.log")[0] == "new /2"


@pytest.mark.weir_only("U14.9: a reload leaves client connections alone; nginx closes idle ones of old workers")
def test_hup_leaves_idle_clients_alone(weir):
    server = weir(ONE)
    client = server.client()
    assert client.get("/").text == "one"
    server.reload(server.compose(TWO))
    assert client.get("/").text == "two"


@pytest.mark.weir_only("issue section 4: a reload happens in the same worker")
def test_hup_keeps_the_worker(weir):
    server = weir("location / { return 200 $pid; }")
    pid = server.get("/").text
    server.reload(server.compose("location / { return 200 new-$pid; }"))
    assert server.get("/").text == "new-" + pid


@pytest.mark.weir_only("U10.5: connections to unchanged peers stay warm over a reload")
def test_hup_keeps_peer_connections(weir, origin):
    up = origin()
    group = "upstream u { server {up}; keepalive 4; }"
    location = "location / { proxy_http_version 1.1; proxy_set_header Connection ''; proxy_pass http://u; }"
    server = weir(location, http=group, up=up)
    server.get("/")
    reload(server, server.compose(location + TWO.replace("/", "/two"), http=group))
    wait_for(lambda: server.get("/two").text == "two", "the new configuration")
    server.get("/")
    # a connection that another thread keeps is shared only once it was idle for a second
    assert up.connections <= int(os.environ.get("WEIR_TEST_WORKERS", "1"))


def test_requests_are_served_during_reloads(weir):
    server = weir(ONE)
    failures = []
    done = threading.Event()

    def load():
        while not done.is_set():
            try:
                if server.get("/", {"Connection": "close"}).text not in ("one", "two"):
                    failures.append("wrong")
            except (AssertionError, OSError) as error:
                failures.append(repr(error))
    thread = threading.Thread(target=load)
    thread.start()
    for i in range(6):
        text = "two" if i % 2 == 0 else "one"
        reload(server, server.compose(TWO if i % 2 == 0 else ONE))
        wait_for(lambda t=text: server.get("/").text == t, "the new configuration")
    done.set()
    thread.join()
    assert not failures, failures[:5]


def test_usr1_reopens_logs(weir):
    server = weir("access_log {dir}/access.log t; " + ONE, http="log_format t $uri;")
    server.get("/1")
    assert server.access(1) == ["/1"]
    os.rename(server.path("access.log"), server.path("old.log"))
    os.rename(server.path("error.log"), server.path("old-error.log"))
    server.signal("USR1")
    wait_for(lambda: os.path.exists(server.path("access.log")) and os.path.exists(server.path("error.log")), "new logs")

    def moved():
        server.get("/2")
        return "/2" in server.read("access.log")
    wait_for(moved, "a line in the new log")
    assert server.read("old.log").startswith("/1\n")


def test_quit_lets_running_requests_end(weir, origin):
    go = threading.Event()

    def script(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        conn.wait(go)
        conn.send(b"world")
    server = weir("location / { proxy_buffering off; proxy_pass http://{up}; }", up=origin(script))
    client = server.client()
    client.send(build_request("GET", "/"))
    client.read_head()
    assert client.read_exact(5) == b"hello"
    server.signal("QUIT")

    def refused():
        try:
            server.client().close()
            return False
        except OSError:  # refused, or reset when the queue was closed
            return True
    wait_for(refused, "the listener to be closed")
    go.set()
    assert client.read_exact(5) == b"world"
    client.wait_closed()
    assert server.wait_exit() == 0


def test_quit_closes_idle_clients(weir):
    server = weir(ONE)
    client = server.client()
    assert client.get("/").text == "one"
    server.signal("QUIT")
    client.wait_closed()
    assert server.wait_exit() == 0


@pytest.mark.weir_only("U14.9: on quit a late request on an idle connection is still served")
def test_quit_serves_a_late_request(weir):
    def attempt():
        """None when the request was late for the second that it has."""
        server = weir(ONE)
        client = server.client()
        assert client.get("/").text == "one"
        began = time.monotonic()
        server.signal("QUIT")

        def refused():
            try:
                server.client().close()
            except OSError:
                return True
            return False
        wait_for(refused, "the listener to be closed")
        try:
            resp = client.get("/")
            assert resp.text == "one" and resp.headers["Connection"] == "close"
            client.expect_eof()
        except (AssertionError, OSError):
            if time.monotonic() - began < 0.9:
                raise
            return None
        assert server.wait_exit() == 0
        return True
    wait_for(attempt, "a request that is in time", limit=3 * LIMIT)


@pytest.mark.weir_only("U14.9: the grace begins when the client has the response")
def test_quit_waits_for_a_slow_reader(weir):
    """The response is in the kernel when QUIT comes, but the client takes three times the grace to read it."""
    server = weir(http="server { listen 127.0.0.1:{port} sndbuf=1m; root {dir}; location = /next { return 200 next; } }",
                  files={"big": b"x" * 300000})
    client = server.client(rcvbuf=8192)
    client.send(build_request("GET", "/big"))
    assert b"Content-Length: 300000\r\n" in client.read_head()
    server.signal("QUIT")
    server.wait_log("gracefully shutting down")
    for i in range(10):
        assert client.read_exact(30000) == b"x" * 30000
        if i < 9:
            time.sleep(0.33)             # its slowness is the subject
    resp = client.get("/next")
    assert resp.text == "next" and resp.headers["Connection"] == "close"
    client.expect_eof()
    assert server.wait_exit() == 0


@pytest.mark.parametrize("name", ["TERM", "INT"])
def test_fast_stop_does_not_wait_for_requests(weir, origin, name):
    up = origin(lambda conn: (conn.read_request(), conn.hold()))
    server = weir("location / { proxy_pass http://{up}; }", up=up)
    client = server.client()
    client.send(build_request("GET", "/"))
    up.wait_requests(1)
    server.signal(name)
    assert server.wait_exit() == 0
    client.wait_closed()


def test_second_signal_turns_quit_into_stop(weir, origin):
    # nginx itself complains of its open sockets here; weir is not to.
    up = origin(lambda conn: (conn.read_request(), conn.hold()))
    server = weir("location / { proxy_pass http://{up}; }", up=up, allow=["open socket #",
                                                                          "aborting"] if IS_NGINX else ())
    client = server.client()
    client.send(build_request("GET", "/"))
    up.wait_requests(1)
    server.signal("QUIT")
    server.signal("TERM")
    assert server.wait_exit() == 0


def test_pipe_signal_is_ignored(weir):
    server = weir(ONE)
    server.signal("PIPE")
    assert server.get("/").text == "one"
