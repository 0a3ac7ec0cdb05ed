# SPDX-License-Identifier: Apache-2.0
"""Another binary takes over (USR2, WINCH, QUIT, HUP), and a second worker for what a running one cannot take on."""
import os
import re
import shutil
import signal
import threading

import pytest

from weirtest.client import build_request
from weirtest.server import BINARY
from weirtest.timing import wait_for

pytestmark = pytest.mark.weir_only("nginx takes USR2 only as a daemon")

PID = "location / { return 200 '$pid one'; }"


def pid_in(server, name="server.pid"):
    try:
        return int(server.read(name))
    except (FileNotFoundError, ValueError):
        return 0


def is_alive(pid):
    """Not so when it is a zombie of a parent that does not care."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Upgraded:
    """Sends USR2, waits until the new supervisor serves; ends it with the test."""

    def __init__(self, server):
        self.server = server
        self.old = pid_in(server)
        os.kill(self.old, signal.SIGUSR2)
        wait_for(lambda: pid_in(server) not in (0, self.old), "the new pid file")
        self.new = pid_in(server)
        wait_for(lambda: self.serves(), "the new worker")

    def serves(self):
        return re.search(rf"\b{self.new}#\d+: (configuration 1 is being served|start worker process)",
                         self.server.log()) is not None

    def end(self):
        if is_alive(self.new):
            os.kill(self.new, signal.SIGQUIT)
        wait_for(lambda: not is_alive(self.new), "the new supervisor to end")


@pytest.fixture
def upgrade():
    made = []

    def do(server):
        made.append(Upgraded(server))
        return made[-1]
    yield do
    for one in made:
        one.end()


def workers_seen(server, tries=20):
    return {server.get("/").text.split()[0] for _ in range(tries)}


def test_upgrade(weir, upgrade):
    server = weir(PID)
    first = workers_seen(server)
    up = upgrade(server)
    assert pid_in(server, "server.pid.oldbin") == up.old
    server.signal("QUIT")
    assert server.wait_exit() == 0
    assert not os.path.exists(server.path("server.pid.oldbin"))
    assert workers_seen(server).isdisjoint(first)
    assert pid_in(server) == up.new


def test_upgrade_lets_running_requests_end(weir, origin, upgrade):
    go = threading.Event()

    def script(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        conn.wait(go)
        conn.send(b"world")
    server = weir("location / { proxy_buffering off; proxy_pass http://{up}; } location /pid { return 200 $pid; }",
                  up=origin(script))
    client = server.client()
    client.send(build_request("GET", "/"))
    client.read_head()
    assert client.read_exact(5) == b"hello"
    upgrade(server)
    server.signal("QUIT")
    assert server.get("/pid").status == 200
    go.set()
    assert client.read_exact(5) == b"world"
    assert server.wait_exit() == 0


def test_winch_and_back(weir, upgrade):
    server = weir(PID)
    first = workers_seen(server)
    up = upgrade(server)
    os.kill(up.old, signal.SIGWINCH)
    wait_for(lambda: not any(is_alive(int(pid)) for pid in first), "the old worker to end")
    second = workers_seen(server)
    assert second.isdisjoint(first)
    os.kill(up.old, signal.SIGHUP)
    os.kill(up.new, signal.SIGQUIT)
    wait_for(lambda: not is_alive(up.new), "the new supervisor to end")
    wait_for(lambda: pid_in(server) == up.old, "the pid file to come back")
    assert not os.path.exists(server.path("server.pid.oldbin"))
    third = workers_seen(server)
    assert third.isdisjoint(first | second)


@pytest.mark.weir_only("the old workers come back when the new binary dies; nginx waits for a signal")
def test_old_one_comes_back_when_the_new_one_dies(weir, upgrade):
    server = weir(PID, allow=[r"\[alert\].*new binary process \d+ exited", r"supervisor (is gone|does not listen)"])
    up = upgrade(server)
    os.kill(up.old, signal.SIGWINCH)
    server.wait_log("gracefully shutting down")
    os.kill(up.new, signal.SIGKILL)
    wait_for(lambda: pid_in(server) == up.old, "the pid file to come back")
    server.wait_log("exited on signal 9")
    assert server.get("/").text.endswith("one")


def test_upgrade_to_a_binary_that_does_not_start(weir):
    """A broken file: the new one ends, the old one did not notice."""
    server = weir(PID, allow=[r"\[emerg\].*no_such", r"\[alert\].*new binary process \d+ exited"])
    first = workers_seen(server)
    server.write_conf(server.compose("no_such_directive x;"))
    old = pid_in(server)
    server.signal("USR2")
    server.wait_log(r"new binary process \d+ exited with code 1")
    assert pid_in(server) == old and not os.path.exists(server.path("server.pid.oldbin"))
    assert workers_seen(server) == first


@pytest.mark.weir_only("the program starts a copy that can be taken away")
def test_upgrade_to_a_binary_that_is_not_there(weir, tmp_path):
    copy = str(tmp_path / "weir")
    shutil.copy(BINARY, copy)
    server = weir(PID, allow=[r"\[emerg\].*execve", r"\[alert\].*new binary process \d+ exited"], binary=copy)
    first = workers_seen(server)
    os.unlink(copy)
    server.signal("USR2")
    server.wait_log(r"execve\(\) \".*weir\" failed")
    server.wait_log(r"new binary process \d+ exited with code 2")
    assert workers_seen(server) == first
    server.signal("HUP")
    server.wait_log("configuration 2 is being served")


@pytest.mark.weir_only("a reload in the same worker; nginx's new workers leave the old binary's alone")
@pytest.mark.parametrize("main", ["", "env WT_NEW=1;"], ids=["same worker", "second worker"])
def test_the_new_binary_gives_up_an_address(weir, upgrade, main):
    """It is the old one's still: when the upgrade is taken back it is served."""
    more = "server { listen 127.0.0.1:{port2}; location / { return 200 '$pid'; } }"
    server = weir(PID, http=more)
    first = server.get("/", port="port2").text
    up = upgrade(server)
    server.write_conf(server.compose(PID, main=main))
    assert server.command("-s", "reload").returncode == 0
    os.kill(up.new, signal.SIGQUIT)
    wait_for(lambda: not is_alive(up.new), "the new supervisor to end")
    wait_for(lambda: pid_in(server) == up.old, "the pid file to come back")
    assert server.get("/", port="port2").text == first


@pytest.mark.weir_only("nginx ignores USR2 as long as the process that started it lives")
def test_second_upgrade_while_old_streams_live(weir, origin, upgrade):
    go = threading.Event()

    def script(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        conn.wait(go)
        conn.send(b"world")
    server = weir("location / { proxy_buffering off; proxy_pass http://{up}; } location /pid { return 200 $pid; }",
                  up=origin(script), allow=[r"\[alert\].*USR2 is ignored"])
    client = server.client()
    client.send(build_request("GET", "/"))
    client.read_head()
    assert client.read_exact(5) == b"hello"
    first = upgrade(server)
    os.kill(first.new, signal.SIGUSR2)
    server.wait_log("USR2 is ignored: another weir has")
    os.kill(first.old, signal.SIGQUIT)
    wait_for(lambda: not os.path.exists(server.path("server.pid.oldbin")), "the name to be free")
    second = upgrade(server)
    assert second.old == first.new and pid_in(server, "server.pid.oldbin") == first.new
    os.kill(first.new, signal.SIGQUIT)
    wait_for(lambda: not is_alive(first.new), "the second supervisor to end")
    assert is_alive(first.old)
    assert server.get("/pid").status == 200
    go.set()
    assert client.read_exact(5) == b"world"
    assert server.wait_exit() == 0


def test_upgrade_keeps_unix_sockets(weir, upgrade):
    server = weir(http="server { listen unix:{dir}/s.sock; return 200 '$pid'; }")
    upgrade(server)
    server.signal("QUIT")
    assert server.wait_exit() == 0
    with server.client(server.path("s.sock")) as client:
        assert client.get("/").status == 200


@pytest.mark.weir_only("a second worker takes over; nginx starts new workers for every reload")
@pytest.mark.parametrize("before, after, name", [
    ({"workers": 1}, {"workers": 3}, "worker_processes"),
    ({"workers": 3}, {"workers": 1}, "worker_processes"),
    ({}, {"main": "env WT_NEW=1;"}, "env"),
    ({}, {"main": "worker_priority 5;"}, "worker_priority"),
    ({"main": "worker_cpu_affinity auto;"}, {}, "worker_cpu_affinity"),
    ({}, {"main": "working_directory {dir};"}, "working_directory"),
])
def test_second_worker(weir, origin, before, after, name):
    go = threading.Event()

    def script(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        conn.wait(go)
        conn.send(b"world")
    locations = PID + "location /x { proxy_buffering off; proxy_pass http://{up}; }"
    server = weir(locations, up=origin(script), **before)
    first = server.get("/").text.split()[0]
    client = server.client()
    client.send(build_request("GET", "/x"))
    client.read_head()
    assert client.read_exact(5) == b"hello"
    server.write_conf(server.compose(locations, **after))
    server.signal("HUP")
    server.wait_log(rf'\[notice\].*"{name}" has changed in .*nginx\.conf:\d+.*: a second worker takes over')
    server.wait_log("gracefully shutting down")
    # Its threads close their listeners after it said so.
    wait_for(lambda: first not in {pid.split()[0] for pid in workers_seen(server)}, "the first worker to take no more")
    assert is_alive(int(first))
    go.set()
    assert client.read_exact(5) == b"world"
    wait_for(lambda: not is_alive(int(first)), "the first worker to end")


@pytest.mark.weir_only("a second worker takes over; nginx starts new workers for every reload")
def test_second_worker_that_cannot_start(weir):
    """The folder is missing: the first worker goes on, and a good file is taken later."""
    server = weir(PID, allow=[r"\[(alert|emerg)\].*(chdir|worker)"])
    first = workers_seen(server)
    server.write_conf(server.compose(PID, main="working_directory {dir}/missing;"))
    server.signal("HUP")
    server.wait_log(r"worker process \d+ exited with code 2")
    assert workers_seen(server) == first
    server.write_conf(server.compose("location / { return 200 '$pid two'; }"))
    server.signal("HUP")
    wait_for(lambda: server.get("/").text.endswith("two"), "the good file")
    assert {pid.split()[0] for pid in workers_seen(server)} == first


@pytest.mark.weir_only("weir's own process titles")
def test_process_titles(weir):
    server = weir(PID)
    worker = server.get("/").text.split()[0]
    with open(f"/proc/{server.process.pid}/cmdline", "rb") as file:
        assert file.read().startswith(b"weir: master process " + BINARY.encode() + b" -p ")
    with open(f"/proc/{worker}/cmdline", "rb") as file:
        assert file.read().rstrip(b"\0") == b"weir: worker process"


def test_at_most_16_generations(weir, origin):
    """Each reload is pinned by a response that runs: the oldest gives way, and only that one."""
    go = threading.Event()

    def script(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        conn.wait(go)
        try:
            conn.send(b"world")
        except OSError:
            pass  # of those that were ended
    stream = "location /s { proxy_buffering off; proxy_pass http://{up}; }"
    server = weir(stream + "location / { return 200 r0; }", up=origin(script))
    clients = []
    for i in range(1, 19):
        client = server.client()
        client.send(build_request("GET", "/s"))
        client.read_head()
        assert client.read_exact(5) == b"hello"
        clients.append(client)
        server.write_conf(server.compose(stream + f"location / {{ return 200 r{i}; }}"))
        server.signal("HUP")
        wait_for(lambda n=i: server.get("/").text == f"r{n}", f"reload {i}")
    # generations 1 to 18 have a request each, 19 is the new one
    for i, client in enumerate(clients[:3]):
        assert client.read_to_end() == b""
        server.wait_log(rf"\[warn\].*16 configurations are still in use: requests of the oldest one, {i + 1}, end now")
    go.set()
    for client in clients[3:]:
        assert client.read_exact(5) == b"world"
