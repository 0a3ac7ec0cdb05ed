# SPDX-License-Identifier: Apache-2.0
"""Constant traffic of every kind while the server is reloaded, upgraded, or its worker is killed: keep-alive clients (that
also send just when it happens), slow downloads, event streams, WebSockets, and a listener that comes and goes. Every
byte that a client receives is compared with what it must be."""
import os
import signal
import socket
import time
import warnings

import pytest

from weirtest.load import MemoryWatch, are_level, descriptors, processes_of, resident, settle
from weirtest.timing import LIMIT, wait_for
from weirtest.traffic import Traffic, compose_version, write_version

MB = 1 << 20
GROWTH = 16 * MB


def usual(slow):
    """Users of each kind. A sanitizer makes the server several times slower."""
    if slow:
        return {"keep": 12, "visit": 2, "down": 4, "events": 4, "socket": 12, "rate": 100000, "pause": 60, "frame": 500}
    return {"keep": 64, "visit": 4, "down": 20, "events": 20, "socket": 100, "rate": 300000, "pause": 30}


def serve(bench, slow, **more):
    """Traffic (its peers are up) and a server of version 1 before it."""
    server = bench.server(start=False)
    server.names["peer1"] = server.names["peer2"] = ""
    traffic = Traffic(files=server.dir, **{**usual(slow), **more})
    return server, traffic


def begin(server, traffic):
    server.names["peer1"], server.names["peer2"] = traffic.peers
    server.start(compose_version(server, 1))


@pytest.fixture
def slow():
    """Whether the program under test carries a sanitizer; asked of a server that does nothing."""
    from weirtest.server import BINARY
    with open(BINARY, "rb") as file:
        data = file.read()
    return any(name in data for name in (b"__asan_init", b"__tsan_init", b"__msan_init"))


def reload_many(server, traffic, count, every):
    """One reload after the other, each at its time or when the one before is served; ends with an odd version."""
    began = time.monotonic()
    for i in range(count):
        write_version(server, i + 2)
        traffic.tell("hup", server.process.pid)
        server.wait_log(r"configuration \d+ is being served", i + 2)
        if i % 2 == 0:                   # an even version has no second listener
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", server.names["port2"]), LIMIT)
        left = began + (i + 1) * every - time.monotonic()
        if left > 0:
            time.sleep(left)             # the pace of the reloads is the subject
    return time.monotonic() - began


@pytest.mark.weir_only("nginx closes idle connections at a reload, and its old workers pile up")
def test_reload_under_traffic(bench, slow):
    count, every = (10, 0.5) if slow else (50, 0.4)
    server, traffic = serve(bench, slow, long=20)
    with traffic:
        begin(server, traffic)
        pids = processes_of(server)
        assert len(pids) == 2, "a supervisor and a worker"
        fresh = settle(lambda: descriptors(pids))
        traffic.start(server)
        time.sleep(1.0)                  # the pools of memory fill
        with MemoryWatch(pids) as watch:
            took = reload_many(server, traffic, count, every)
            assert processes_of(server) == pids, "not the one worker process that it was"
        after = resident(pids)
        if count % 2:                    # back to the listeners of version 1
            write_version(server, count + 2)
            traffic.tell("hup", server.process.pid)
        report = traffic.stop()
    print(f"{count} reloads in {took:.1f} s; {report}")
    traffic.check(report)
    assert report["idle_closed"] == 0, "idle connections were closed"
    assert report["generation"] >= count, "the reloads did not take place"
    assert report["visits"] > 0, "nobody came to the other listener"
    text = f"{watch.start / MB:.1f} MB, peak {watch.peak / MB:.1f} MB, at the end {after / MB:.1f} MB"
    print(text)
    if slow:
        warnings.warn(f"not checked, a sanitizer is in the program: {text}", stacklevel=2)
    else:
        assert watch.peak - watch.start < GROWTH, text
    write_version(server, 1)
    server.signal("HUP")
    # The peers are gone, and so is all that was idle.
    try:
        wait_for(lambda: are_level(fresh, descriptors(pids)), "descriptors to come back", 2 * LIMIT)
    except AssertionError:
        raise AssertionError(f"descriptors: {dict(fresh)} before, {dict(descriptors(pids))} after") from None


def worker_of(pid):
    """The one child of a supervisor, or None."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        children = [int(word) for word in file.read().split()]
    return children[0] if len(children) == 1 else None


def test_killed_worker_under_traffic(bench, slow):
    """Only what was in flight is lost. Later connections wait in the queue of the listener for the next worker."""
    server, traffic = serve(bench, slow, long=6)
    server.allowed = [r"worker process \d+", r"a new worker starts in"]
    with traffic:
        begin(server, traffic)
        supervisor = server.process.pid
        traffic.start(server)
        lost = dict.fromkeys(usual(slow).keys() & {"keep", "visit", "down", "events", "socket"}, 0)
        for _ in range(2):
            worker = worker_of(supervisor)
            before = traffic.report()
            traffic.tell("kill", worker)
            killed = traffic.wait("killed")
            wait_for(lambda: worker_of(supervisor) not in (None, worker), "the next worker", 2 * LIMIT)

            def flows():
                now = traffic.report()
                return all(now[name] > before[name] + 100 for name in ("requests", "events", "frames"))
            wait_for(flows, "the traffic to flow again", 2 * LIMIT)
            for kind in lost:
                lost[kind] += killed[kind]
        report = traffic.stop()
    print(report, lost)
    traffic.check(report)
    for kind, most in lost.items():
        assert report["lost_" + kind] <= most, f"{kind}: {report['lost_' + kind]} lost, {most} in flight at the kills"
    assert report["lost_socket"] > 0 and report["lost_events"] > 0, "nothing was killed"
    assert server.process.pid == supervisor and len(processes_of(server)) == 2


@pytest.mark.weir_only("nginx takes USR2 only as a daemon, and cuts WebSockets' idle neighbours")
def test_upgrade_under_traffic(bench, slow):
    """The new binary serves what is new; what lasts goes on in the old worker, which ends when it does."""
    server, traffic = serve(bench, slow, long=6)
    with traffic:
        begin(server, traffic)
        old = server.process.pid
        old_worker = worker_of(old)
        traffic.start(server)
        server.signal("USR2")

        def new_pid():
            text = server.read("server.pid").strip()
            return int(text) if text and int(text) != old else None
        new = wait_for(new_pid, "the new pid file")
        try:
            server.wait_log(rf"\b{new}#\d+: configuration 1 is being served")
            time.sleep(0.5)              # both serve
            server.signal("QUIT")
            before = traffic.report()
            wait_for(lambda: traffic.report()["requests"] > before["requests"] + 200, "requests to the new one")
            time.sleep(2.0)              # longer than an idle connection of the old one is kept
            assert is_alive(old_worker), "the old worker left its streams"
            now = traffic.report()
            wait_for(lambda: all(traffic.report()[name] > now[name] for name in ("events", "frames")), "the streams")
            report = traffic.stop()
            # Keep-alive connections of the old worker end orderly; all else is as if nothing had happened.
            closes, report["closes"] = report["closes"], 0
            print(report, closes)
            traffic.check(report)
            assert server.wait_exit() == 0
            assert not is_alive(old_worker)
            assert worker_of(new) is not None
        finally:
            if is_alive(new):
                os.kill(new, signal.SIGQUIT)
            wait_for(lambda: not is_alive(new), "the new supervisor to end")


@pytest.mark.weir_only("nginx closes idle connections at a reload")
def test_second_workers_under_traffic(bench, slow):
    """Reloads that a running worker cannot take on: a second one takes over, the first goes when its streams have ended."""
    server, traffic = serve(bench, slow, long=4)
    with traffic:
        begin(server, traffic)
        worker = worker_of(server.process.pid)
        traffic.start(server)
        for i in range(3):
            text = compose_version(server, i + 2)
            server.write_conf(text.replace("daemon off;", f"daemon off; worker_priority {i + 1};"))
            traffic.tell("hup", server.process.pid)
            server.wait_log(r'"worker_priority" has changed in', i + 1)
            before = traffic.report()["requests"]
            server.wait_log("gracefully shutting down", i + 1)
            wait_for(lambda n=before: traffic.report()["requests"] > n + 500, "traffic on the next worker")
        assert is_alive(worker), "the first worker left its streams"
        report = traffic.stop()
        report["closes"] = 0             # connections of a worker that ends are closed orderly
        print(report)
        traffic.check(report)
        assert report["generation"] == 4
        wait_for(lambda: len(processes_of(server)) == 2, "the older workers to end")
        assert worker_of(server.process.pid) != worker


def is_alive(pid):
    """Not so when it is a zombie of a parent that does not care."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
