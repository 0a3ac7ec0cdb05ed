# SPDX-License-Identifier: Apache-2.0
"""weir status: what it tells, to whom, and what it says when nobody answers."""
import ctypes
import json
import os
import re
import signal
import socket
import stat
import subprocess
import threading
import time

import pytest

from weirtest.client import build_request
from weirtest.server import BINARY
from weirtest.timing import LIMIT, wait_for

pytestmark = pytest.mark.weir_only("nginx has no such command")

ONE = "location / { return 200 $pid; }"


def status(server, *args):
    """The document of `weir status --json`."""
    result = server.command("status", "--json", *args)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def table(server, *args):
    result = server.command("status", *args)
    assert result.returncode == 0, result.stderr
    return result.stdout


def report(server):
    """Of the worker that serves."""
    return next(w["report"] for w in status(server)["workers"] if w["role"] == "serves")


def group(server, name):
    return next(g for g in report(server)["groups"] if g["name"] == name)


def ask(path, line, limit=LIMIT):
    """The raw protocol."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(limit)
        sock.connect(path)
        sock.sendall(line)
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
        return answer


def pid_of(server):
    return int(server.read("server.pid"))


def worker_of(server):
    return int(server.get("/").text)


# --- what it tells

def test_head(weir):
    server = weir(ONE)
    doc = status(server)
    assert re.fullmatch(r"\d+\.\d+\.\d+", doc["version"])
    assert doc["pid"] == pid_of(server)
    assert doc["state"] == "serves" and doc["configuration"] == 1
    assert doc["file"] == server.conf and doc["pid_file"] == server.path("server.pid")
    assert doc["listen"] == [f"127.0.0.1:{server.port}"]
    assert "last_reload" not in doc
    assert [(w["pid"], w["role"]) for w in doc["workers"]] == [(worker_of(server), "serves")]
    text = table(server)
    assert f"process {doc['pid']}, up " in text and f"worker process {doc['workers'][0]['pid']}" in text
    assert f"configuration 1 of {server.conf}" in text


def test_threads_count_connections_and_requests(weir, origin):
    go = threading.Event()

    def script(conn):
        conn.read_request()
        conn.wait(go)
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    up = origin([script] * 2)
    server = weir("location / { proxy_pass http://{up}; }", up=up, workers=3)
    idle = [server.client() for _ in range(3)]
    busy = [server.client() for _ in range(2)]
    for client in busy:
        client.send(build_request("GET", "/"))

    def total(key):
        return sum(t[key] for t in report(server)["threads"])
    wait_for(lambda: (total("connections"), total("requests")) == (5, 2), "five connections, two requests")
    threads = report(server)["threads"]
    assert [t["number"] for t in threads] == [0, 1, 2]
    assert all(t["state"] == "serves" and 0 <= t["load"] <= 1 and t["descriptors"] > 0 for t in threads)
    assert group(server, f"127.0.0.1:{up.port}")["peers"][0]["active"] == 2
    go.set()
    for client in busy:
        assert client.read_response().text == "ok"
    wait_for(lambda: total("requests") == 0, "the requests to be over")
    counters = report(server)["counters"]
    assert counters["req_started"] >= 2 and counters["req_ended"] == counters["req_started"]
    assert len(idle) == 3


def test_load_of_a_busy_thread(weir):
    server = weir(ONE, workers=1)
    wait_for(lambda: report(server)["threads"][0]["load"] < 0.5, "a load that the start is not part of")
    until = time.monotonic() + 2
    while time.monotonic() < until:
        server.get("/")
    assert report(server)["threads"][0]["load"] > 0.01
    pools = report(server)["pools"]
    assert pools["resident_bytes"] > 100000 and pools["objects_bytes"] > 0


def test_configurations_and_what_holds_them(weir, origin):
    go = threading.Event()

    def script(conn):
        conn.read_request()
        conn.wait(go)
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    up = origin(script)
    server = weir("location / { proxy_pass http://{up}; }", up=up)
    client = server.client()
    client.send(build_request("GET", "/"))
    wait_for(lambda: sum(t["requests"] for t in report(server)["threads"]) == 1, "the request")
    assert server.command("-s", "reload").returncode == 0

    def live():
        return [(c["number"], c["served"], c["requests"]) for c in report(server)["configurations"]]
    assert live() == [(1, False, 1), (2, True, 0)]
    assert re.search(r"^  1 +\S+ s +1 ", table(server), re.M)
    doc = status(server)
    assert doc["configuration"] == 2 and doc["last_reload"]["ok"]
    go.set()
    assert client.read_response().text == "ok"
    wait_for(lambda: live() == [(2, True, 0)], "the old configuration to go")


def test_zones(weir):
    server = weir("location = /a { limit_req zone=z; root {dir}; } location = /b { limit_conn c 1; root {dir}; }", files={"a": b"a", "b": b"b"},
                  http="limit_req_zone $arg_k zone=z:32k rate=1r/m; limit_conn_zone $arg_k zone=c:1m;")
    for i in range(1000):
        server.get(f"/a?k={i}")
    server.get("/b?k=1")
    zones = {zone["name"]: zone for zone in report(server)["zones"]}
    assert zones["z"]["kind"] == "limit_req" and zones["z"]["bytes"] == 32768 and zones["c"]["kind"] == "limit_conn"
    assert 600 < zones["z"]["keys"] <= zones["z"]["room"] and zones["z"]["keys"] + zones["z"]["forgotten"] == 1000
    wait_for(lambda: {zone["name"]: zone for zone in report(server)["zones"]}["c"]["keys"] == 0, "the request's end")
    assert "zone z: limit_req, 32.0 KB, keys: " in server.command("status").stdout


def test_groups_and_peers(weir, origin):
    good, bad = origin(), origin()
    bad.stop()
    server = weir("location / { proxy_pass http://app; }", good=good, bad=bad, http="""
        upstream app { server {good} weight=3 max_conns=7; server {bad} max_fails=1 fail_timeout=100s;
                       server 127.0.0.1:1 down; server 127.0.0.1:2 backup; keepalive 4; }""",
                  allow=["no live upstreams"], workers=1)
    for _ in range(8):
        assert server.get("/").status == 200
    app = group(server, "app")
    assert app["method"] == "round_robin" and not app["implicit"]
    assert app["idle"] + app["shelf"] >= 1
    first, second, third, fourth = app["peers"]
    assert first["state"] == "up" and first["weight"] == 3 and first["max_conns"] == 7 and first["requests"] == 8
    assert second["state"] == "out" and second["fails"] == 1 and 0 < second["out_for_ms"] <= 100000
    assert third["state"] == "down" and fourth["backup"] and fourth["state"] == "up"
    text = table(server)
    assert re.search(rf"127\.0\.0\.1:{bad.port} .* out, next try in 1 min", text)
    assert re.search(r"127\.0\.0\.1:1 .* down$", text, re.M) and re.search(r"up, backup$", text, re.M)


def test_ten_thousand_peers(weir):
    lines = "".join(f"server 127.{i >> 16}.{i >> 8 & 255}.{i & 255 | 1}:{1000 + i};" for i in range(10000))
    server = weir(ONE, http="upstream many { " + lines + " }\nserver { listen 127.0.0.1:{port2}; "
                                                           "location / { proxy_pass http://many; } }")
    assert len(group(server, "many")["peers"]) == 10000
    assert table(server).count("\n") > 10000


def test_names_of_any_bytes_are_valid_json(weir):
    server = weir(ONE, http='upstream "a\\"b" { server 127.0.0.1:1; }\n'
                            "server { listen 127.0.0.1:{port2}; location / { proxy_pass 'http://a\"b'; } }")
    assert [g["name"] for g in report(server)["groups"]] == ['a"b']


def test_one_process(weir):
    server = weir(ONE, main="master_process off;")
    doc = status(server)
    assert doc["workers"][0]["pid"] == doc["pid"] and doc["workers"][0]["report"]["threads"]


def test_a_worker_that_drains_is_shown(weir, origin):
    go = threading.Event()

    def script(conn):
        conn.read_request()
        conn.wait(go)
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    up = origin(script)
    server = weir("location / { return 200 $pid; } location /up { proxy_pass http://{up}; }", up=up, workers=1)
    old = worker_of(server)
    client = server.client()
    client.send(build_request("GET", "/up"))
    wait_for(lambda: sum(t["requests"] for t in report(server)["threads"]) == 1, "the request")
    server.write_conf(server.compose(ONE, workers=2))
    assert server.command("-s", "reload").returncode == 0
    roles = {w["role"]: w["pid"] for w in status(server)["workers"]}
    assert roles["leaves"] == old != roles["serves"]
    wait_for(lambda: worker_of(server) == roles["serves"], "the old worker to take no more")
    assert "ends when its requests have" in table(server)
    go.set()
    assert client.read_response().text == "ok"
    wait_for(lambda: len(status(server)["workers"]) == 1, "the old worker to end")


# --- the socket

def test_socket_is_private_and_goes_away(weir):
    server = weir(ONE)
    mode = os.lstat(server.path("server.sock")).st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600
    assert [n for n in os.listdir(server.dir) if "sock" in n] == ["server.sock"]
    server.stop()
    assert not os.path.exists(server.path("server.sock"))


def test_a_stale_socket_is_replaced(bench):
    server = bench.server(ONE, start=False)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(server.path("server.sock"))
    server.start(server.compose(ONE))
    assert status(server)["pid"] == pid_of(server)


def test_what_is_not_ours_is_left_alone(weir):
    server = weir(ONE, files={"server.sock": b"precious"})
    server.wait_log(r"\[warn\] .*server\.sock\" is there and not ours")
    assert server.read("server.sock") == "precious"
    assert server.command("status").returncode == 1
    assert server.command("-s", "reload").returncode == 0  # by signal
    server.wait_log("configuration 2 is being served")
    server.stop()
    assert server.read("server.sock") == "precious"


def test_a_listening_address_has_the_name(weir):
    server = weir(ONE, http="server { listen unix:{dir}/server.sock; return 200 http; }")
    server.wait_log(r"\[warn\] .*server\.sock\" is there and not ours")
    assert server.get("/", port=server.path("server.sock")).text == "http"


def test_follows_the_pid_file(weir):
    server = weir(ONE)
    server.write_conf(server.compose(ONE).replace("server.pid", "other"))
    assert server.command("-s", "reload", conf=False).returncode == 1  # another weir, if any
    os.kill(server.process.pid, signal.SIGHUP)
    wait_for(lambda: os.path.exists(server.path("other.sock")), "the new socket")
    assert status(server)["pid_file"] == server.path("other")
    wait_for(lambda: not os.path.exists(server.path("server.sock")), "the old one to go")


def test_a_long_path(weir):
    folder = "d" * 60 + "/" + "e" * 60
    server = weir(text=None, start=False)
    os.makedirs(server.path(folder))
    server.start(server.compose(ONE).replace("/server.pid", f"/{folder}/server.pid"))
    assert status(server)["state"] == "serves"


def test_raw_protocol(weir):
    server = weir(ONE)
    path = server.path("server.sock")
    assert ask(path, b"status\n").startswith(b"ok\n{")
    assert ask(path, b"nonsense\n").startswith(b"failed\n")
    assert ask(path, b"x" * 3000).startswith(b"failed\n")
    assert ask(path, b"status extra\n").startswith(b"failed\n")
    with socket.socket(socket.AF_UNIX) as sock:  # byte by byte
        sock.settimeout(LIMIT)
        sock.connect(path)
        for byte in b"status\n":
            sock.sendall(bytes([byte]))
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(3) == b"ok\n"


def test_silent_clients_give_way(weir):
    server = weir(ONE)
    held = [socket.socket(socket.AF_UNIX) for _ in range(12)]
    for sock in held:
        sock.connect(server.path("server.sock"))
    assert status(server)["state"] == "serves"  # when their time is over
    for sock in held:
        sock.close()


def test_clients_that_leave_early(weir):
    server = weir(ONE)
    for line in (b"", b"sta", b"status\n", b"trace client 127.0.0.1\n", b"reload\n"):
        for _ in range(6):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(server.path("server.sock"))
                sock.sendall(line)
    assert status(server)["state"] in ("serves", "reloads")


def test_only_root_and_the_own_user(weir):
    if os.geteuid() != 0:
        pytest.skip("needs root to become somebody else")
    server = weir(ONE)
    nobody = {"user": 65534, "group": 65534, "extra_groups": []}
    argv = [BINARY, "status", "--socket", server.path("server.sock")]

    def run():
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=LIMIT, cwd="/", **nobody)
    try:
        subprocess.run([BINARY, "-v"], capture_output=True, check=True, timeout=LIMIT, cwd="/", **nobody)
    except (PermissionError, subprocess.CalledProcessError):
        pytest.skip("another user cannot run the program from where it is")
    result = run()
    assert result.returncode == 1 and "only root and the user" in result.stderr
    os.chmod(server.path("server.sock"), 0o666)
    result = run()
    assert result.returncode == 1 and "only root and the user" in result.stderr


def test_daemon_without_root(bench):
    """Its socket is its user's; root may ask, too, nobody else."""
    if os.geteuid() != 0:
        pytest.skip("needs root to become somebody else")
    server = bench.server(ONE, start=False)
    os.chmod(server.dir, 0o755)
    os.chown(server.dir, 65534, 65534)
    server.write_conf(server.compose(ONE, main="user nobody;").replace("daemon off;", ""))

    def run(uid, *args):
        return subprocess.run([BINARY, "-p", server.dir, "-c", server.conf, "-e", server.log_path, *args],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=LIMIT,
                              cwd="/", user=uid, group=uid, extra_groups=[])
    try:
        started = run(65534)
    except PermissionError:
        pytest.skip("another user cannot run the program from where it is")
    assert started.returncode == 0, started.stderr
    wait_for(lambda: pid_of_or_none(server) and os.path.exists(server.path("server.sock")), "its pid file and its socket")
    pid = pid_of(server)
    try:
        found = os.lstat(server.path("server.sock"))
        assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o600, 65534)
        for uid in (65534, 0):
            assert json.loads(run(uid, "status", "--json").stdout)["pid"] == pid
            assert (run(uid, "-s", "reload").returncode, run(uid, "trace", "1").returncode) == (0, 1)
        for args in (["status"], ["trace", "1"], ["-s", "reload"]):
            result = run(1234, *args)
            assert result.returncode == 1 and re.search(r"only root and the user|not permitted", result.stderr)
        assert status(server)["configuration"] == 3
    finally:
        os.kill(pid, signal.SIGTERM)
    for name in ("server.pid", "server.sock"):
        wait_for(lambda n=name: not os.path.exists(server.path(n)), "the daemon to end")


# --- nobody answers

def test_nothing_runs(command):
    server = command(ONE)
    result = server.command("status")
    assert result.returncode == 1 and result.stdout == ""
    assert f'no weir answers: connect() "{server.path("server.sock")}" failed (2:' in result.stderr


def test_a_killed_one_left_its_socket(weir):
    server = weir(ONE, allow=["the supervisor is gone"])
    server.wait_log("configuration 1 is being served")
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()
    server.exit_code = 0
    result = server.command("status")
    assert result.returncode == 1 and "(111: Connection refused)" in result.stderr
    wait_for(lambda: b"" == subprocess.run(["pgrep", "-s", str(server.process.pid)], capture_output=True,
                                          check=False).stdout, "the worker to end")
    server.start(server.compose(ONE))
    assert status(server)["pid"] == pid_of(server)


def test_configuration_that_is_not_there(command):
    server = command(ONE)
    result = server.command("status", "-c", server.path("none.conf"), conf=False)
    assert result.returncode == 1 and "none.conf" in result.stderr


def test_options():
    for args, text in ((("status", "--what"), "invalid option"), (("status", "-t"), "invalid option"),
                       (("status", "x"), "invalid option"), (("status", "--socket"), "requires a value")):
        result = subprocess.run([BINARY, *args], capture_output=True, text=True, check=False, timeout=LIMIT)
        assert result.returncode == 1 and text in result.stderr


def test_a_stopped_supervisor(weir):
    server = weir(ONE)
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        runs = [subprocess.Popen([BINARY, "-p", server.dir, *args, "-c", server.conf], stderr=subprocess.PIPE, text=True)
                for args in (["status"], ["trace", "1"], ["-s", "reload"])]
        for run in runs:
            text = run.communicate(timeout=60)[1]
            assert run.returncode == 1 and "its supervisor is stopped or stuck" in text
        assert 9 < time.monotonic() - began < 40
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    assert status(server)["state"] in ("serves", "reloads")


def test_a_stopped_worker(weir):
    server = weir(ONE)
    worker = worker_of(server)
    os.kill(worker, signal.SIGSTOP)
    try:
        for _ in range(6):  # more than are sent to one that is silent
            doc = status(server)
            assert doc["workers"][0]["silent"] == "it does not answer"
            if _ == 0:  # the later ones are not even asked
                assert doc["workers"][0]["load"] == 0
                assert "it does not answer, load 0.0 %" in table(server)
    finally:
        os.kill(worker, signal.SIGCONT)
    wait_for(lambda: "report" in status(server)["workers"][0], "the worker to answer again")


def test_a_stuck_thread(weir):
    """One of three is held: the others answer, and it is told of as silent."""
    server = weir(ONE, workers=3)
    worker = worker_of(server)
    libc = ctypes.CDLL(None, use_errno=True)
    held = next(int(t) for t in os.listdir(f"/proc/{worker}/task") if is_of_traffic(worker, t))
    if libc.ptrace(0x4206, held, None, None) == -1:  # PTRACE_SEIZE
        pytest.skip("may not hold a thread of the worker")
    try:
        libc.ptrace(0x4207, held, None, None)  # PTRACE_INTERRUPT
        os.waitpid(held, 0x40000000)  # __WALL
        threads = report(server)["threads"]
        assert sorted(t["state"] for t in threads) == ["serves", "serves", "silent"]
        silent = next(t for t in threads if t["state"] == "silent")
        assert silent["load"] == 0 and "connections" not in silent
        assert re.search(r"does not answer", table(server))
        result = server.command("trace", "--client", "all")
        assert result.returncode == 1 and "does not answer: its requests are not shown" in result.stderr
    finally:
        libc.ptrace(17, held, None, None)  # PTRACE_DETACH
    wait_for(lambda: all(t["state"] == "serves" for t in report(server)["threads"]), "the thread to answer again")


def is_of_traffic(worker, tid):
    with open(f"/proc/{worker}/task/{tid}/comm", encoding="ascii") as file:
        return file.read() == "weir worker\n"


def test_an_answer_that_cannot_be_written(weir):
    server = weir(ONE)
    for args in (["status"], ["status", "--json"]):
        with open("/dev/full", "w", encoding="ascii") as full:
            result = subprocess.run([BINARY, "-c", server.conf, *args], stdout=full, stderr=subprocess.PIPE,
                                    text=True, check=False, timeout=LIMIT)
        assert result.returncode == 1 and "No space left" in result.stderr


def test_a_worker_that_dies_is_told_at_once(weir):
    server = weir(ONE, allow=[r"exited on signal 9", r"worker process \d+: thread", r"a new worker starts", r"out-of-memory"])
    server.wait_log("configuration 1 is being served")
    worker = worker_of(server)
    os.kill(worker, signal.SIGSTOP)
    result = []
    asking = threading.Thread(target=lambda: result.append(status(server)))
    asking.start()
    os.kill(worker, signal.SIGKILL)
    asking.join(LIMIT)
    assert result and ("silent" in result[0]["workers"][0] or result[0]["workers"][0]["pid"] != worker)
    wait_for(lambda: status(server)["workers"][0].get("report"), "the next worker")


# --- another binary

def test_upgrade_keeps_both_in_sight(weir):
    server = weir(ONE, allow=[r"the listening sockets are still|exited with code"])
    old = pid_of(server)
    os.kill(old, signal.SIGUSR2)
    wait_for(lambda: pid_of_or_none(server) not in (None, old), "the new pid file")
    new = pid_of(server)
    aside = server.path("server.pid.oldbin.sock")

    def told_by(pid):
        """What is told at the usual name, as soon as it is that process that tells it."""
        try:
            doc = status(server)
        except AssertionError:
            return None                  # nobody is there for a moment
        return doc if doc["pid"] == pid and doc["state"] == "serves" else None
    wait_for(lambda: told_by(new), "the new one to serve")
    assert status(server)["old_binary_pid"] == old
    doc = status(server, "--socket", aside)
    assert doc["pid"] == old and doc["new_binary_pid"] == new
    os.kill(new, signal.SIGQUIT)
    wait_for(lambda: pid_of_or_none(server) == old, "the old one to take its name back")
    wait_for(lambda: told_by(old), "its socket")
    wait_for(lambda: not os.path.exists(aside), "the other name to go")


def pid_of_or_none(server):
    try:
        return pid_of(server)
    except (FileNotFoundError, ValueError):
        return None
