# SPDX-License-Identifier: Apache-2.0
"""What the service manager is told (systemd, Type=notify): the test is the manager at NOTIFY_SOCKET."""
import os
import re
import signal
import socket
import time

import pytest

from weirtest.timing import LIMIT, wait_for

pytestmark = pytest.mark.weir_only("nginx does not talk to the service manager")

ONE, TWO = "location / { return 200 one; }", "location / { return 200 two; }"


class Manager:
    """Receives the datagrams."""

    def __init__(self, address):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(address)
        self.sock.settimeout(LIMIT)

    def take(self):
        """The next message as a dictionary."""
        try:
            text = self.sock.recv(4096).decode()
        except TimeoutError:
            raise AssertionError("the manager was not told") from None
        return dict(line.split("=", 1) for line in text.split("\n"))

    def take_until(self, name):
        """Messages up to and with the one that has this name; the last one is returned."""
        while True:
            message = self.take()
            if name in message:
                return message

    def is_silent(self):
        self.sock.setblocking(False)
        try:
            return not self.sock.recv(4096)
        except BlockingIOError:
            return True
        finally:
            self.sock.settimeout(LIMIT)


@pytest.fixture(params=["path", "abstract"])
def address(request, tmp_path):
    if request.param == "path":
        return str(tmp_path / "notify")
    return f"\0weir-func-notify-{os.getpid()}-{time.monotonic_ns()}"


@pytest.fixture
def manager(address, monkeypatch):
    made = Manager(address)
    monkeypatch.setenv("NOTIFY_SOCKET", address.replace("\0", "@"))
    yield made
    made.sock.close()


def monotonic_us():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def worker_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        children = file.read().split()
    assert len(children) == 1
    return int(children[0])


def test_ready_when_it_serves(weir, manager):
    """Who waits for READY may connect at once, and the pid file is there."""
    server = weir(ONE, wait=False)
    told = manager.take()
    assert told["READY"] == "1"
    assert told["MAINPID"] == str(server.process.pid)
    assert server.read("server.pid").strip() == told["MAINPID"]
    assert told["STATUS"]
    assert server.get("/").text == "one"
    assert manager.is_silent()


def test_a_bad_file_is_never_ready(command, manager):
    server = command("no_such_directive;")
    assert server.command("-g", "error_log stderr;").returncode == 1
    assert manager.is_silent()


def test_reload(weir, manager):
    server = weir(ONE)
    manager.take_until("READY")
    before = monotonic_us()
    server.write_conf(server.compose(TWO))
    server.signal("HUP")
    told = manager.take()
    assert told["RELOADING"] == "1"
    assert before <= int(told["MONOTONIC_USEC"]) <= monotonic_us()
    told = manager.take_until("READY")
    assert told["MAINPID"] == str(server.process.pid)
    # Only now the reload is over, so there is nothing to wait for.
    assert server.get("/").text == "two"


def test_a_reload_that_fails_ends_too(weir, manager):
    server = weir(ONE, allow=[r"\[emerg\].*no_such"])
    first = manager.take_until("READY")
    server.write_conf(server.compose("no_such_directive x;"))
    server.signal("HUP")
    assert manager.take()["RELOADING"] == "1"
    assert manager.take_until("READY") == first
    assert server.get("/").text == "one"


def test_a_reload_with_an_unusable_port_ends_too(weir, origin, manager):
    up = origin()
    server = weir(ONE, allow=[r"\[emerg\].*bind\(\)|still could not bind"])
    first = manager.take_until("READY")
    server.write_conf(server.compose(TWO, http="server { listen " + str(up) + "; }"))
    server.signal("HUP")
    assert manager.take()["RELOADING"] == "1"
    assert manager.take_until("READY") == first
    assert server.get("/").text == "one"


@pytest.mark.parametrize("how", ["QUIT", "TERM", "INT"])
def test_stopping(weir, manager, how):
    server = weir(ONE)
    manager.take_until("READY")
    server.stop(how)
    assert manager.take()["STOPPING"] == "1"


def test_worker_does_not_know_the_manager(weir, manager):
    server = weir(ONE, main="env NOTIFY_SOCKET;")
    manager.take_until("READY")
    with open(f"/proc/{worker_of(server.process.pid)}/environ", "rb") as file:
        assert b"NOTIFY_SOCKET" not in file.read()


def test_in_the_background(command, manager):
    """The process that was started ends; MAINPID names the one that stays."""
    server = command(ONE)
    server.write_conf(server.compose(ONE).replace("daemon off;", "daemon on;"))
    assert server.command("-e", server.log_path).returncode == 0
    told = manager.take()
    assert told["READY"] == "1"
    pid = int(told["MAINPID"])
    assert int(server.read("server.pid")) == pid
    os.kill(pid, signal.SIGQUIT)
    assert manager.take()["STOPPING"] == "1"
    wait_for(lambda: not os.path.exists(f"/proc/{pid}") or not server.read("server.pid"), "the end")


def replace_supervisor(server, manager):
    """An upgrade by USR2; returns the process of the new supervisor, which was announced."""
    server.signal("USR2")
    new = int(manager.take_until("READY")["MAINPID"])
    assert new != server.process.pid
    assert int(server.read("server.pid")) == new
    return new


def test_an_upgrade_changes_the_main_process(weir, manager):
    server = weir(ONE)
    manager.take_until("READY")
    new = replace_supervisor(server, manager)
    server.signal("QUIT")
    assert manager.take() == {"MAINPID": str(new)}
    server.wait_exit()
    server.get("/")
    os.kill(new, signal.SIGQUIT)
    assert manager.take()["STOPPING"] == "1"
    wait_for(lambda: not server.read("server.pid"), "the end of the new one")


@pytest.mark.parametrize("how", [signal.SIGQUIT, signal.SIGKILL])
def test_an_upgrade_that_is_taken_back(weir, manager, how):
    """The service does not end when the new supervisor does, and the old one is the main process again."""
    server = weir(ONE, allow=[r"\[alert\].*(new binary|worker) process \d+ exited",
                                r"\[alert\].*the supervisor is gone"])
    manager.take_until("READY")
    new = replace_supervisor(server, manager)
    os.kill(new, how)
    old = {"MAINPID": str(server.process.pid)}
    assert manager.take() == old
    if how == signal.SIGQUIT:
        assert manager.take() == old  # the new one said it first
    server.wait_log("this one goes on")
    assert server.get("/").text == "one"
    server.stop()
    assert manager.take()["STOPPING"] == "1"


def test_a_manager_that_is_gone(weir, tmp_path, monkeypatch):
    """A line in the log, nothing worse."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    server = weir(ONE)
    assert server.get("/").text == "one"
    assert re.search(r"\[warn\].*telling the service manager failed", server.wait_log("service manager")[0])
