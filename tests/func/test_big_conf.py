# SPDX-License-Identifier: Apache-2.0
"""10,000 servers, 5 MB: time to check and to reload, what running requests notice, memory of a server.

The limits here are for slow machines and sanitizers; the true figures are printed (pytest -s) and stand in
docs/performance.md."""
import os
import threading
import time

import pytest

from weirtest import bigconf
from weirtest.client import build_request
from weirtest.server import BINARY, IS_NGINX, SLOW
from weirtest.timing import wait_for

SERVERS = 10000
LIMIT_S = 5 * SLOW
pytestmark = pytest.mark.skipif(IS_NGINX, reason="bounds of weir")


def text_of(made, servers=SERVERS, mark="one"):
    port = made.expand("{port}")
    return made.compose(http="keepalive_requests 10000000;\n" + bigconf.sites(servers, port, mark), workers=2)


def children_rss_kb(pid):
    """Of the process and of those that it started."""
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/status", encoding="ascii") as file:
                lines = dict(line.split(":", 1) for line in file)
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(name) == pid or int(lines["PPid"]) == pid:
            found[int(name)] = int(lines.get("VmRSS", "0").split()[0])
    return found


def test_check_takes_little(command, capsys):
    made = command()
    size = len(made.write_conf(text_of(made)))
    assert 5_000_000 < size < 8_000_000
    begin = time.monotonic()
    result = made.command("-t")
    took = time.monotonic() - begin
    assert result.returncode == 0, result.stderr[-2000:]
    with capsys.disabled():
        print(f"\n{os.path.basename(BINARY)} -t: {size / 1e6:.1f} MB, {SERVERS} servers in {took:.3f} s")
    assert took < LIMIT_S


@pytest.mark.parametrize("name, one", [
    ("addresses", lambda i: f"server {{ listen 127.{i // 250}.{i % 250}.1:18080; }}\n"),
    ("wildcards", lambda i: f"server {{ listen 18080; server_name *.s{i}.example a{i}.*; }}\n"),
    ("regexes", lambda i: f"server {{ listen 18080; server_name ~^s{i}\\.; }}\n"),
    ("groups", lambda i: f"upstream u{i} {{ server 127.0.0.1:{1 + i}; }} server {{ listen 18080; server_name s{i}; "
                         f"location / {{ proxy_pass http://u{i}; }} }}\n"),
    ("implicit groups", lambda i: f"server {{ listen 18080; server_name s{i}; location / {{ "
                                  f"proxy_pass http://127.0.0.1:{1 + i}; }} }}\n"),
])
def test_no_shape_is_quadratic(command, name, one):
    """Four times as much takes about four times as long; sixteen times would be a walk over all for each."""
    made = command()
    took = []
    for cnt in (5000, 20000):
        made.write_conf(made.compose(http="".join(one(i) for i in range(cnt))))
        best = None
        for _ in range(2):
            before = os.times()
            result = made.command("-t", "-q")
            after = os.times()
            assert result.returncode == 0, result.stderr[-2000:]
            cpu = after.children_user - before.children_user + after.children_system - before.children_system
            best = cpu if best is None else min(best, cpu)
        took.append(max(best, 0.02))
    assert took[1] < 10 * took[0] + 0.2, f"{name}: {took}"


def test_reload_is_not_noticed(command, capsys):
    """Requests go on while a generation of 10,000 servers is made; the last server has the new text soon."""
    made = command(allow=[r"loop was held up"])
    made.start(text_of(made), wait=False)
    last = [("Host", f"site{SERVERS - 1}.example.com")]

    def answer():
        try:
            return made.get("/health", last).text
        except ConnectionError:
            return None
    wait_for(lambda: answer() == f"site{SERVERS - 1} one", "the first configuration")
    memory = children_rss_kb(made.process.pid)
    failed = []
    stop, phase, times = threading.Event(), ["quiet"], {"quiet": [], "reload": []}

    def ask():
        try:
            ask_on()
        except Exception as error:  # for the test's own thread
            failed.append(error)

    def ask_on():
        with made.client() as client:
            while not stop.is_set():
                begin = time.monotonic()
                client.send(build_request("GET", "/health", [("Host", "site1.example.com")]))
                assert client.read_response().status == 200
                times[phase[0]].append(time.monotonic() - begin)
                time.sleep(0.001)
    asker = threading.Thread(target=ask)
    asker.start()
    took = []
    try:
        for mark in ("two", "three", "four"):
            made.write_conf(text_of(made, mark=mark))
            phase[0] = "reload"
            begin = time.monotonic()
            made.signal("HUP")
            wait_for(lambda m=mark: answer() == f"site{SERVERS - 1} {m}", "the new configuration")
            took.append(time.monotonic() - begin)
            phase[0] = "quiet"
    finally:
        stop.set()
        asker.join()
    after = children_rss_kb(made.process.pid)
    p99 = {k: sorted(v)[int(len(v) * 0.99)] * 1000 for k, v in times.items() if v}
    with capsys.disabled():
        print(f"\nreload: {', '.join(f'{t:.3f}' for t in took)} s; p99 of running requests {p99} ms; "
              f"kB before {sorted(memory.values())}, after {sorted(after.values())}; "
              f"a server {max(memory.values()) / SERVERS:.1f} kB")
    assert max(took) < LIMIT_S
    assert not failed, failed
    assert p99["reload"] < 200 * SLOW
    assert set(memory) == set(after), "the same processes"
