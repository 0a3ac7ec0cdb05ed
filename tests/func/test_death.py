# SPDX-License-Identifier: Apache-2.0
"""A worker that dies, a supervisor that dies: what goes on, and what the log says."""
import ctypes
import os
import re
import signal
import threading
import time

import pytest

from weirtest.client import build_request
from weirtest.load import skip_loudly
from weirtest.server import BINARY
from weirtest.timing import LIMIT, SLOW, wait_for

pytestmark = pytest.mark.weir_only("nginx starts a new worker at once, always, and tells less")

DEATH = [r"worker process \d+", r"signal \d+ \(SIG", r"a new worker starts in", r"pcre2_match\(\) failed"]
PID = "location / { return 200 '$pid'; }"


def worker_of(server):
    """The one worker, or None."""
    pid = server.process.pid
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        children = [int(word) for word in file.read().split()]
    return children[0] if len(children) == 1 else None


def is_alive(pid):
    """Not so when it is a zombie of a parent that does not care."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def kill_worker(server, how="KILL"):
    """Ends the worker that serves; returns its number when the supervisor has noticed."""
    worker = wait_for(lambda: worker_of(server), "a worker")
    wait_for(lambda: server.get("/").text == str(worker), "the worker to serve")
    os.kill(worker, getattr(signal, "SIG" + how))
    server.wait_log(rf"worker process {worker} exited on signal")
    return worker


def is_sanitized():
    with open(BINARY, "rb") as file:
        return re.search(rb"__[atm]san_init", file.read()) is not None


@pytest.mark.parametrize("how", ["KILL", "SEGV", "ABRT", "BUS"])
def test_next_worker_serves(weir, how):
    if is_sanitized() and how in ("SEGV", "BUS"):
        skip_loudly("a sanitizer has handlers of its own, and exits")
    server = weir(PID, allow=DEATH + [r"Sanitizer"] * is_sanitized(), workers=2)
    server.wait_log("configuration 1 is being served")  # a start that fails is no death
    first = worker_of(server)
    idle = server.client()
    assert idle.get("/").text == str(first)
    assert kill_worker(server, how) == first
    idle.wait_closed()
    second = int(server.get("/").text)
    assert second != first
    if not is_sanitized() and how != "KILL":
        name = server.wait_log(rf"{first}#\d+: signal {getattr(signal, 'SIG' + how)} \(SIG{how}\)")[0]
        assert f"sent by process {os.getpid()}" in name
    # Both threads are told, and what the one that served did last.
    # (It may not have come to rest when the client had the answer.)
    server.wait_log(rf'worker process {first}: thread [01] (waited, before: |ran task "[^"]+", )connection \*\d+')
    lines = server.wait_log(rf"worker process {first}: thread", 2)
    assert len(lines) == 2


class Stuck:
    """A server with a request that does not come out of its task: regexes that backtrack, over and over, for minutes."""

    HTTP = 'map $request_uri $slow { volatile; "~^/stuck/(x+x+)+[yz]" 1; default ""; }\n' + "".join(
        'map $pid $%s { volatile; default "%s"; }\n' % (name, f"${of}" * 40)
        for name, of in (("many", "slow"), ("more", "many"), ("most", "more")))
    CONF = """location / { return 200 '$pid'; }
        location /stuck/ { error_log {dir}/stuck.log notice; rewrite_log on; rewrite ^/never /x; set $a $most; return 200 x; }"""

    def __init__(self, server):
        self.server = server
        server.start(server.compose(self.CONF, http=self.HTTP, workers=1))
        self.worker = worker_of(server)
        client = server.client()
        client.send(build_request("GET", "/stuck/" + "x" * 60))
        wait_for(lambda: "does not match" in server.read("stuck.log"), "the line before it hangs")

    def thread(self):
        """The one that serves."""
        for tid in os.listdir(f"/proc/{self.worker}/task"):
            with open(f"/proc/{self.worker}/task/{tid}/comm", encoding="ascii") as file:
                if file.read().strip() == "weir worker":
                    return int(tid)
        return self.worker  # alone, it is the first thread


REQUEST = r'connection \*\d+, request \d+, client: 127\.0\.0\.1, request: "GET /stuck/x{60} HTTP/1\.1"'


def test_killed_worker_could_say_nothing(command):
    """The supervisor reads its flight recorders: task, request, state names."""
    server = command(allow=DEATH)
    stuck = Stuck(server)
    os.kill(stuck.worker, signal.SIGKILL)
    line = server.wait_log(rf'worker process {stuck.worker}: thread 0 ran task "req", {REQUEST}; moves: ')[0]
    assert re.search(r"h1 server \d+: HEAD -> BUSY, .*req \d+: START -> PHASES", line), line
    wait_for(lambda: worker_of(server) not in (None, stuck.worker), "the next worker")
    assert server.get("/").text == str(worker_of(server))


@pytest.mark.skipif(is_sanitized(), reason="a sanitizer has its own handlers")
def test_faulty_worker_says_it_itself(command):
    server = command(allow=DEATH)
    stuck = Stuck(server)
    assert ctypes.CDLL(None).tgkill(stuck.worker, stuck.thread(), signal.SIGSEGV) == 0
    server.wait_log(rf"\[alert\] {stuck.worker}#0: signal 11 \(SIGSEGV\) sent by process {os.getpid()}")
    server.wait_log(rf"^running task: req, {REQUEST}$")
    server.wait_log(r"^recorder: \d+ req \d+: START -> PHASES$")
    line = server.wait_log(rf'worker process {stuck.worker}: thread 0 ran task "req", {REQUEST}')[0]
    assert "moves" not in line
    server.wait_log(rf"worker process {stuck.worker} exited on signal 11")
    assert int(server.get("/").text) != stuck.worker


def ask(server, address):
    client = server.client(address)
    client.send(build_request("GET", "/"))
    return client


def test_connections_wait_and_nothing_is_read(weir):
    """There is no worker for a second: TCP and unix clients connect and send, and the next one answers them. The file
    is broken meanwhile, and what it includes is gone."""
    server = weir(text="""daemon off; worker_processes 2; user root; pid {dir}/server.pid; error_log {dir}/error.log info;
events { } http { access_log off; include {dir}/part.conf; }""" if os.geteuid() == 0 else
                  """daemon off; worker_processes 2; pid {dir}/server.pid; error_log {dir}/error.log info;
events { } http { access_log off; include {dir}/part.conf; }""", wait=False, start=False, allow=DEATH,
                  files={"part.conf": "server { listen 127.0.0.1:{port}; listen unix:{dir}/sock; "
                                      "location / { return 200 '$pid'; } location /p { return 200 part; } }"})
    server.start(open(server.conf, encoding="utf-8").read())
    server.wait_log("configuration 1 is being served")
    kill_worker(server)
    wait_for(lambda: worker_of(server), "a worker")
    began = time.monotonic()
    kill_worker(server)
    server.wait_log("a new worker starts in 1000 ms")
    server.write_conf("no_such_directive;")
    os.unlink(server.path("part.conf"))
    waiting = [ask(server, address) for address in ("port", server.path("sock")) * 3]
    assert worker_of(server) is None or time.monotonic() - began > 0.9
    seen = {int(client.read_response("GET").text) for client in waiting}
    assert seen == {worker_of(server)}
    assert server.get("/p").text == "part"
    assert "no_such" not in server.log()


def test_waits_grow_and_hup_ends_them(weir):
    server = weir(PID, allow=DEATH)
    server.wait_log("configuration 1 is being served")
    kill_worker(server)
    died = []
    for seconds in (1, 2, 4):
        died.append(time.monotonic())
        kill_worker(server)
        server.wait_log(rf"a new worker starts in {seconds}000 ms")
        if seconds < 4:
            wait_for(lambda: worker_of(server), "the next worker")
            assert seconds - 0.1 < time.monotonic() - died[-1] < seconds + LIMIT / 2
    server.write_conf(server.compose("location / { return 200 new; }"))
    server.signal("HUP")
    wait_for(lambda: server.get("/").text == "new", "the new configuration")
    if SLOW == 1:
        assert time.monotonic() - died[-1] < 3.9
    # The wait is over for good: no second worker comes when its time is.
    wait_for(lambda: time.monotonic() - died[-1] > 4.2, "the end of the wait that was")
    assert worker_of(server) is not None
    assert len(server.wait_log("start worker process")) == 5


def test_end_while_there_is_no_worker(weir):
    server = weir(PID, allow=DEATH)
    server.wait_log("configuration 1 is being served")
    kill_worker(server)
    kill_worker(server)
    server.wait_log("a new worker starts in 1000 ms")
    server.signal("QUIT")
    assert server.wait_exit() == 0


def test_dead_supervisor(weir, origin):
    """The worker drains: a response ends whole, nothing new is accepted. A new start works at once."""
    go = threading.Event()

    def script(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        conn.wait(go)
        conn.send(b"world")
    text = """location / { return 200 '$pid'; }
              location /slow { proxy_buffering off; proxy_pass http://{up}; }"""
    server = weir(text, http="server { listen unix:{dir}/sock; return 200 '$pid'; }", up=origin(script), allow=[
        r"the supervisor is gone"])
    worker = worker_of(server)
    slow = server.client()
    slow.send(build_request("GET", "/slow"))
    slow.read_head()
    assert slow.read_exact(5) == b"hello"
    server.process.kill()
    server.exit_code = server.process.wait()
    server.wait_log("the supervisor is gone, the worker ends when its requests have")

    def is_refused():
        try:
            server.client().close()
            return False
        except ConnectionRefusedError:
            return True
    wait_for(is_refused, "the listening socket to close")
    assert is_alive(worker)
    # Beside the old worker, on its ports.
    server.start(server.read("nginx.conf"))
    assert server.get("/").text == str(worker_of(server)) != str(worker)
    assert server.get("/", port=server.path("sock")).text == str(worker_of(server))
    go.set()
    assert slow.read_exact(5) == b"world"
    wait_for(lambda: not is_alive(worker), "the old worker to end")
    server.exit_code = None
