# SPDX-License-Identifier: Apache-2.0
"""-s reload waits for the result: silent and 0 when the new configuration is served, else what was wrong and 1."""
import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from weirtest.server import BINARY
from weirtest.timing import LIMIT, wait_for

pytestmark = pytest.mark.weir_only("nginx sends a signal and knows no result")

WHO = "location / { return 200 $pid; }"
ONE, TWO = "location / { return 200 one; }", "location / { return 200 two; }"


def reload(server, text=None):
    if text is not None:
        server.write_conf(text)
    return server.command("-s", "reload")


def assert_silent(result):
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_success_is_silent_and_served(weir):
    server = weir(ONE)
    for i in range(10):
        assert_silent(reload(server, server.compose(f"location / {{ return 200 r{i}; }}")))
        assert server.get("/").text == f"r{i}"


def test_success_with_a_warning_is_silent(weir):
    server = weir(ONE)
    server.write_conf(server.compose(TWO, http="server { listen 127.0.0.1:{port2}; server_name a; }" * 2))
    assert "[warn]" in server.command("-t").stderr
    assert_silent(reload(server))
    assert server.get("/").text == "two"


def test_a_bad_file(weir):
    server = weir(ONE, allow=[r"\[emerg\].*no_such"])
    result = reload(server, server.compose("no_such_directive x;"))
    assert result.returncode == 1 and result.stdout == ""
    line = f'weir: [emerg] unknown directive "no_such_directive" in {server.conf}:'
    assert re.search(re.escape(line) + r"\d+\n", result.stderr)
    assert "everything stays as it was" in result.stderr
    # The words of a start and of -t, and of the log.
    assert re.search(re.escape(line) + r"\d+\n", server.command("-t").stderr)
    assert re.search(r'\[emerg\] .*unknown directive "no_such_directive" in .*:\d+', server.log())
    assert server.get("/").text == "one"
    assert_silent(reload(server, server.compose(TWO)))
    assert server.get("/").text == "two"


def test_all_errors_at_once(weir):
    server = weir(ONE, allow=[r"\[emerg\].*wrong"])
    result = reload(server, server.compose("wrong_one x;\nlocation / { wrong_two; }"))
    assert result.returncode == 1 and "wrong_one" in result.stderr and "wrong_two" in result.stderr


def test_a_syntax_error_before_the_pid(weir):
    server = weir(ONE, allow=[r"\[emerg\]"])
    text = server.compose(ONE)
    result = reload(server, text.replace("pid ", "{ pid ") if "pid " in text else text)
    assert result.returncode == 1 and result.stderr.startswith("weir: [e")
    assert server.get("/").text == "one"


def test_a_port_in_use(weir, origin):
    up = origin()
    server = weir(ONE, allow=[r"\[emerg\].*bind\(\)|still could not bind"])
    result = reload(server, server.compose(TWO, http="server { listen " + str(up) + "; }"))
    assert result.returncode == 1
    assert re.search(rf"\[emerg\] bind\(\) to {re.escape(str(up))} failed \(98: Address already in use\)", result.stderr)
    assert server.get("/").text == "one"
    assert not any(f":{up.port}" in name for name in server.log().split("listens on")[1:])


def test_a_log_that_cannot_be_opened(weir):
    server = weir(ONE, allow=[r"\[emerg\].*none"])
    result = reload(server, server.compose("access_log {dir}/none/a.log; " + TWO))
    assert result.returncode == 1 and "none/a.log" in result.stderr and "(2: No such file" in result.stderr
    assert server.get("/").text == "one"


def test_an_include_that_is_missing(weir):
    server = weir(ONE, allow=[r"\[emerg\].*missing"])
    result = reload(server, server.compose("include {dir}/missing.conf; " + TWO))
    assert result.returncode == 1 and re.search(r"missing\.conf.* in .*nginx\.conf:\d+", result.stderr)


def test_a_second_worker(weir):
    """When the command is back nothing is served by the first one any more."""
    server = weir(WHO, workers=1)
    seen = {server.get("/").text}
    for i in range(6):
        assert_silent(reload(server, server.compose(WHO, workers=2 - i % 2)))
        now = {server.get("/").text for _ in range(10)}
        assert len(now) == 1 and now.isdisjoint(seen)
        seen |= now


WAYS = pytest.mark.parametrize("change", ["", "env WT_{}=1;"], ids=["same worker", "second worker"])


@WAYS
def test_an_address_leaves(weir, change):
    """When the command is back it takes no connection: not for a moment, and not in the first worker."""
    more = "server {{ listen 127.0.0.1:{{port2}}; listen unix:{{dir}}/s{n}.sock; location / {{ return 200 $pid; }} }}"
    server = weir(WHO, http=more.format(n=0))
    first = server.get("/").text
    for i in range(6):
        port, path = server.names["port2"], server.path(f"s{i}.sock")
        with server.client("port2") as client:
            assert client.get("/").status == 200
        with server.client(path) as client:
            assert client.get("/").status == 200
        assert_silent(reload(server, server.compose(WHO, main=change.format(i))))
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), LIMIT)
        assert not os.path.exists(path)
        assert_silent(reload(server, server.compose(WHO, http=more.format(n=i + 1), main=change.format(i))))
    assert (server.get("/").text == first) == (not change)


@WAYS
def test_who_was_let_in_is_served(weir, change):
    """While an address comes and goes."""
    more = "server { listen 127.0.0.1:{port2}; location / { return 200 ok; } }"
    server = weir(WHO, http=more)
    port = server.names["port2"]
    end, faults, counts = threading.Event(), [], {"answered": 0, "refused": 0}

    def visit():
        """False: there was nobody to be let in by."""
        with socket.socket() as sock:
            sock.settimeout(LIMIT)
            try:
                sock.connect(("127.0.0.1", port))
            except ConnectionRefusedError:
                return False
            sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            data = b""
            while piece := sock.recv(4096):
                data += piece
            assert data.startswith(b"HTTP/1.1 200 ") and data.endswith(b"ok"), data
            return True

    def run():
        while not end.is_set() and not faults:
            try:
                if visit():
                    counts["answered"] += 1
                else:
                    counts["refused"] += 1
                    time.sleep(0.001)    # the machine is not ours alone
            except (OSError, AssertionError) as error:
                faults.append(repr(error))
    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for i in range(10):
            for http in ("", more):
                before = dict(counts)
                assert_silent(reload(server, server.compose(WHO, http=http, main=change.format(f"{i}_{len(http)}"))))
                wait_for(lambda b=before, name="answered" if http else "refused": faults or counts[name] > b[name] + 4,
                         "visits")
    finally:
        end.set()
        for thread in threads:
            thread.join(2 * LIMIT)
    assert not faults


GIVEN_UP = "does not answer: it may still take connections"


class Stopped:
    """A worker that hears nothing, and a reload that has started another one."""

    def __init__(self, server):
        self.server = server
        server.wait_log("configuration 1 is being served")  # it answers a little earlier
        self.first = int(server.get("/").text)
        self.results = []
        self.threads = []
        os.kill(self.first, signal.SIGSTOP)
        self.begin(server.compose(WHO, main="env WT_NEW=1;"))
        wait_for(self.is_second_there, "the second worker")

    def is_second_there(self):
        """It serves; what the first one lets in waits for it."""
        with socket.socket() as sock:
            sock.settimeout(1)
            try:
                sock.connect(("127.0.0.1", self.server.port))
                sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                return sock.recv(4096)
            except TimeoutError:
                return b""

    def begin(self, text):
        self.server.write_conf(text)
        thread = threading.Thread(target=lambda: self.results.append(reload(self.server)))
        thread.start()
        self.threads.append(thread)
        self.server.wait_log("a reload was asked for on the control socket", len(self.threads))

    def assert_waits(self):
        """Unless it took the machine so long to come here that the first worker was given up."""
        is_back = bool(self.results) or "configuration 2 is being served" in self.server.log()
        assert not is_back or GIVEN_UP in self.server.log()

    def join(self):
        for thread in self.threads:
            thread.join(LIMIT)
        assert len(self.results) == len(self.threads)
        for result in self.results:
            assert_silent(result)


def test_the_first_worker_has_not_heard(weir):
    """The reload lasts until it has; one that was asked for meanwhile comes behind it."""
    server = weir(WHO, workers=1)
    one = Stopped(server)
    one.assert_waits()
    one.begin(server.compose(TWO, main="env WT_NEW=1;"))
    one.assert_waits()
    os.kill(one.first, signal.SIGCONT)
    one.join()
    assert server.get("/").text == "two"
    if GIVEN_UP not in server.log():
        lines = [line for line in server.log().splitlines() if re.search("is being served|gracefully", line)]
        assert ["gracefully" in line for line in lines] == [False, True, False, False]
        assert "configuration 3" in lines[-1]


def test_the_first_worker_dies_meanwhile(weir):
    server = weir(WHO, workers=1, allow=[r"exited on signal 9", r"worker process \d+: thread", r"out-of-memory"])
    one = Stopped(server)
    one.assert_waits()
    os.kill(one.first, signal.SIGKILL)
    one.join()
    assert int(server.get("/").text) != one.first


def test_the_first_worker_never_hears(weir):
    """It is not waited for any longer, and the log says which one it is."""
    server = weir(WHO, workers=1)
    one = Stopped(server)
    try:
        one.join()
        server.wait_log(rf"\[warn\].*worker process {one.first} {GIVEN_UP}")
        server.wait_log("configuration 2 is being served")
    finally:
        os.kill(one.first, signal.SIGCONT)
    server.wait_log(f"worker process {one.first} exited with code 0")
    assert_silent(reload(server, server.compose(TWO, main="env WT_NEW=1;")))
    assert server.get("/").text == "two"


def test_streams_of_the_first_worker_do_not_hold_it_up(weir, origin):
    go = threading.Event()

    def script(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        conn.wait(go)
        conn.send(b"world")
    stream = "location /s { proxy_buffering off; proxy_pass http://{up}; } " + WHO
    server = weir(stream, up=origin(script))
    client = server.client()
    client.send(b"GET /s HTTP/1.1\r\nHost: a\r\n\r\n")
    client.read_head()
    assert client.read_exact(5) == b"hello"
    first = server.get("/").text
    assert_silent(reload(server, server.compose(stream, main="env WT_NEW=1;")))
    assert first not in {server.get("/").text for _ in range(10)}
    go.set()
    assert client.read_exact(5) == b"world"


def test_a_worker_that_cannot_start(weir):
    server = weir(ONE, allow=[r"chdir|exited with code|sending the configuration to the worker failed"])
    result = reload(server, server.compose(TWO, main="working_directory {dir}/nowhere;"))
    assert result.returncode == 1
    assert f'chdir("{server.path("nowhere")}") failed (2: No such file or directory)' in result.stderr
    assert server.get("/").text == "one"
    assert_silent(reload(server, server.compose(TWO)))


def test_many_at_once(weir):
    server = weir(ONE)
    server.write_conf(server.compose(TWO))
    results = []
    threads = [threading.Thread(target=lambda: results.append(reload(server))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(4 * LIMIT)
    assert len(results) == 6
    for result in results:
        assert_silent(result)
    assert server.get("/").text == "two"


def test_hup_meanwhile(weir):
    server = weir(ONE)
    for i in range(5):
        server.write_conf(server.compose(f"location / {{ return 200 r{i}; }}"))
        server.signal("HUP")
        assert_silent(reload(server))
        assert server.get("/").text == f"r{i}"


def test_status_remembers_a_failure(weir):
    server = weir(ONE, allow=[r"\[emerg\].*nonsense"])
    assert reload(server, server.compose("nonsense;")).returncode == 1
    text = server.command("status").stdout
    assert "the last reload FAILED" in text and "configuration 1 of" in text


def assert_signalled(server, result):
    """It has no control socket: nobody knows how it went, and that is said."""
    pid = server.read("server.pid").strip()
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr.startswith(f"weir: [warn] process {pid} was told to reload, but has no control socket")
    assert result.stderr.count("\n") == 1


def test_without_a_socket_it_signals(weir):
    server = weir(ONE)
    os.unlink(server.path("server.sock"))
    assert_signalled(server, reload(server, server.compose(TWO)))
    wait_for(lambda: server.get("/").text == "two", "the new configuration")


@pytest.mark.parametrize("way", ["speaks", "closes"])
def test_somebody_else_has_the_sockets_name(weir, way):
    """A listening address, say; nothing of ours answers there, the pid file's owner is signalled."""
    if way == "speaks":
        server = weir(ONE, http="server { listen unix:{dir}/server.sock; return 200; }")
        result = reload(server, server.compose(TWO, http="server { listen unix:{dir}/server.sock; return 200; }"))
        assert "is not the control socket of a weir" in server.command("status").stderr
    else:
        server = weir(ONE)
        os.unlink(server.path("server.sock"))
        with socket.socket(socket.AF_UNIX) as there:
            there.bind(server.path("server.sock"))
            there.listen()
            closer = threading.Thread(target=lambda: there.accept()[0].close())
            closer.start()
            result = reload(server, server.compose(TWO))
            closer.join(LIMIT)
    assert_signalled(server, result)
    wait_for(lambda: server.get("/").text == "two", "the new configuration")


def test_pid_file_of_somebody_else(weir, tmp_path):
    """A number that no weir has locked is nobody to signal, nor to ask, whatever socket is beside it."""
    server = weir(ONE)
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        (tmp_path / "x.pid").write_text(f"{sleeper.pid}\n")
        os.symlink(server.path("server.sock"), tmp_path / "x.sock")
        (tmp_path / "x.conf").write_text(f"pid {tmp_path}/x.pid;\nevents {{ }}\n")
        result = server.command("-c", str(tmp_path / "x.conf"), "-s", "reload", conf=False)
        assert result.returncode == 1 and f'no weir runs with the pid file "{tmp_path}/x.pid"' in result.stderr
        for text in ("", "x", "-1", "0"):
            (tmp_path / "x.pid").write_text(text)
            result = server.command("-c", str(tmp_path / "x.conf"), "-s", "reload", conf=False)
            assert result.returncode == 1 and "x.pid" in result.stderr
        assert sleeper.poll() is None and "was asked for" not in server.log()
    finally:
        sleeper.kill()
        sleeper.wait()


def test_nothing_runs(command):
    server = command(ONE)
    result = reload(server)
    assert result.returncode == 1 and "server.pid" in result.stderr


def test_while_it_ends(weir, origin):
    go = threading.Event()

    def script(conn):
        conn.read_request()
        conn.wait(go)
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    up = origin(script)
    server = weir("location / { proxy_pass http://{up}; }", up=up)
    client = server.client()
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    wait_for(lambda: up.requests, "the request at the peer")
    server.signal("QUIT")
    server.wait_log("gracefully shutting down")
    result = reload(server)
    assert result.returncode == 1 and "weir is ending" in result.stderr
    assert server.command("status").returncode == 0
    go.set()
    assert client.read_response().text == "ok"


def test_one_process(weir):
    server = weir(ONE, main="master_process off;", allow=[r"\[emerg\].*nonsense"])
    assert_silent(reload(server, server.compose(TWO, main="master_process off;")))
    assert server.get("/").text == "two"
    assert reload(server, server.compose("nonsense;", main="master_process off;")).returncode == 1


def test_a_terminal_gets_excerpts(weir):
    server = weir(ONE, allow=[r"\[emerg\].*retrun"])
    server.write_conf(server.compose("location / { retrun 200; }"))
    here, there = os.openpty()
    run = subprocess.Popen([BINARY, "-p", server.dir, "-c", server.conf, "-s", "reload"], stderr=there)
    os.close(there)
    text = b""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        try:
            piece = os.read(here, 4096)
        except OSError:
            break
        if not piece:
            break
        text += piece
    os.close(here)
    assert run.wait(LIMIT) == 1
    assert b"location / { retrun 200; }" in text and b'did you mean "return"' in text


def test_after_winch_the_worker_comes_back(weir):
    """HUP brings back what there was, as with nginx: that is no reload, and not told as one."""
    server = weir(ONE)
    os.kill(server.process.pid, signal.SIGWINCH)
    server.wait_log("exited with code 0")
    assert "workers ended" in server.command("status").stdout
    result = reload(server, server.compose(TWO))
    assert result.returncode == 1 and "comes back with the configuration that it had" in result.stderr
    wait_for(lambda: server.get("/").text == "one", "a worker")
    assert "last_reload" not in server.command("status", "--json").stdout
    assert_silent(reload(server))
    assert server.get("/").text == "two"


def test_behind_one_that_fails(weir):
    """A reload that waits for another one's end is run when that fails, too."""
    server = weir("location / { return 200 $pid; }", allow=[
        r"exited on signal 9", r"worker process \d+: thread", r"a new worker starts", r"out-of-memory"])
    server.wait_log("configuration 1 is being served")
    worker = int(server.get("/").text)
    os.kill(worker, signal.SIGSTOP)
    server.write_conf(server.compose(TWO))
    results = []
    threads = []
    for i in range(2):
        threads.append(threading.Thread(target=lambda: results.append(reload(server))))
        threads[i].start()
        server.wait_log("a reload was asked for on the control socket", i + 1)
    os.kill(worker, signal.SIGKILL)
    for thread in threads:
        thread.join(LIMIT)
    assert sorted(r.returncode for r in results) == [0, 1]
    failed = next(r.stderr for r in results if r.returncode == 1)
    assert f"worker process {worker} exited on signal 9" in failed and "everything stays as it was" in failed
    assert server.get("/").text == "two"
