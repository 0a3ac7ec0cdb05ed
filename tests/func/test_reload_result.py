# SPDX-License-Identifier: Apache-2.0
"""-s reload waits for the result: silent and 0 when the new configuration is served, else what was wrong and 1."""
import os
import re
import signal
import subprocess
import threading
import time

import pytest

from weirtest.server import BINARY
from weirtest.timing import LIMIT, wait_for

pytestmark = pytest.mark.weir_only("nginx sends a signal and knows no result")

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
    server = weir("location / { return 200 $pid; }", workers=1)
    before = server.get("/").text
    assert_silent(reload(server, server.compose("location / { return 200 $pid; }", workers=2)))
    assert server.get("/").text != before


def test_a_worker_that_cannot_start(weir):
    if os.geteuid() != 0:
        pytest.skip("needs root: the worker cannot enter its folder")
    server = weir(ONE, allow=[r"working_directory|chdir|exited with code|sending the configuration to the worker failed"])
    result = reload(server, server.compose(TWO, main="working_directory {dir}/nowhere;"))
    assert result.returncode == 1 and result.stderr
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


def test_without_a_socket_it_signals(weir):
    server = weir(ONE)
    os.unlink(server.path("server.sock"))
    assert_silent(reload(server, server.compose(TWO)))
    wait_for(lambda: server.get("/").text == "two", "the new configuration")


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


def test_winched_old_binary_comes_back(weir):
    server = weir(ONE)
    os.kill(server.process.pid, signal.SIGWINCH)
    server.wait_log("exited with code 0")
    assert "workers ended" in server.command("status").stdout
    assert_silent(reload(server))
    wait_for(lambda: server.get("/").text == "one", "a worker")
