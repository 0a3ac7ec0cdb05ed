# SPDX-License-Identifier: Apache-2.0
"""Constant traffic of every kind while the server is reloaded, upgraded, or its worker is killed: keep-alive clients (that
also send just when it happens), slow downloads, event streams, WebSockets, and a listener that comes and goes. Every
byte that a client receives is compared with what it must be."""
import time
import warnings

import pytest

from weirtest.load import MemoryWatch, descriptors, is_sanitized, processes_of, resident, settle
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
    assert report["refused"] > 0 and report["visits"] > 0, "the other listener did not come and go"
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
        wait_for(lambda: descriptors(pids) == fresh, "descriptors to come back", 2 * LIMIT)
    except AssertionError:
        raise AssertionError(f"descriptors: {dict(fresh)} before, {dict(descriptors(pids))} after") from None
