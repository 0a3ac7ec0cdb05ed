#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The long run: `make soak`. 10 GB each way with buffering off and on, 1,000,000 mixed requests with 1,000 reloads,
a page in headless Chromium; memory and descriptors must end where they started. SOAK_SCALE multiplies the amounts."""
import argparse
import os
import shutil
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "func")]

import browser  # noqa: E402
import idle  # noqa: E402
from weirtest.load import MemoryWatch, are_level, descriptors, processes_of, resident, settle  # noqa: E402
from weirtest.server import BINARY, Server  # noqa: E402
from weirtest.timing import wait_for  # noqa: E402
from weirtest.traffic import Traffic, compose_version, write_version  # noqa: E402

MB = 1 << 20
GB = 1 << 30
GROWTH = 16 * MB
USERS = {"keep": 64, "visit": 4, "down": 20, "events": 20, "socket": 100, "rough": 1, "pause": 10, "rate": 200000,
         "long": 20, "stuck": 30000}
EVERY = 0.4                              # s between two reloads, so that few generations live at a time
BODIES = """
    server {{
        listen 127.0.0.1:{{port}};
        client_max_body_size 0;
        location / {{
            proxy_http_version 1.1;
            proxy_request_buffering {way};
            proxy_buffering {way};
            proxy_pass http://{{peer1}};
        }}
    }}
"""


def say(text):
    print(text, flush=True)


def assert_level(name, before, after):
    assert after - before < GROWTH, f"{name}: resident memory {before / MB:.1f} MB -> {after / MB:.1f} MB"


class Run:
    """A server and its traffic; checks the server's end."""

    def __init__(self, **options):
        self.server = Server()
        self.server.allowed = []
        self.traffic = Traffic(files=self.server.dir, **options)

    def __enter__(self):
        self.traffic.__enter__()
        self.server.names["peer1"], self.server.names["peer2"] = self.traffic.peers
        return self

    def begin(self, text):
        self.server.start(text)
        self.pids = processes_of(self.server)

    def __exit__(self, kind, error, trace):
        try:
            self.traffic.__exit__(kind, error, trace)
            if error is None:
                self.server.stop()
                self.server.check_log()
            else:
                say(self.server.log()[-3000:])
        finally:
            self.server.kill()
            self.server.remove()


def run_bodies(way, size):
    """Two bodies each way: one large with a length, one small in chunks before it, so that pools are filled."""
    lines = []
    with Run(once=1, stuck=60000) as run:
        server, traffic = run.server, run.traffic
        run.begin(server.compose(http=BODIES.format(way=way)))
        traffic.tell("start", server.port, 1)
        parts = 1
        if way == "on":                  # the whole body goes to a file
            parts = 1 + size * 12 // 10 // max(1, shutil.disk_usage(server.dir).free)
        before = None
        for direction in ("up", "down"):
            transfer(traffic, direction, min(size, 64 * MB), "chunked")
            before = resident(run.pids) if before is None else before
            with MemoryWatch(run.pids) as watch:
                seconds = sum(transfer(traffic, direction, size // parts, "length") for _ in range(parts))
            mb = size // parts * parts / MB
            lines.append(f"buffering {way}, {direction}: {mb:.0f} MB in {parts} bodies, {mb / max(seconds, 0.001):.0f} MB/s, "
                         f"memory {before / MB:.1f} MB, peak {watch.peak / MB:.1f} MB")
            assert_level(lines[-1], before, watch.peak)
        traffic.check(traffic.stop())
        assert processes_of(server) == run.pids, "a process was replaced"
    return lines


def transfer(traffic, direction, size, framing):
    traffic.tell("transfer", direction, 77, size, framing)
    try:
        said = traffic.wait("transfer", 3600)
    except AssertionError as error:
        raise AssertionError(f"{direction} of {size} bytes: {error}") from None
    assert not traffic.faults, traffic.told()
    return said["seconds"]


def run_mixed(requests, reloads):
    with Run(**USERS) as run:
        server, traffic = run.server, run.traffic
        run.begin(compose_version(server, 1))
        fresh = settle(lambda: descriptors(run.pids))
        traffic.start(server)
        time.sleep(3)                    # pools of memory fill
        before = measure(run)
        traffic.tell("until", traffic.report()["requests"] + requests)
        began = time.monotonic()
        with MemoryWatch(run.pids) as watch:
            for i in range(reloads):
                write_version(server, i + 2)
                traffic.tell("hup", server.process.pid)
                wait_log_line(server, i + 2)
                if i % 100 == 99:
                    say(f"    {i + 1} reloads, {resident(run.pids) / MB:.1f} MB")
                assert not traffic.faults, traffic.told()
                time.sleep(max(0, began + (i + 1) * EVERY - time.monotonic()))
            wait_reached(traffic)
        took = time.monotonic() - began
        after = measure(run)
        report = traffic.stop()
        traffic.check(report)
        assert report["generation"] >= reloads, "the reloads did not take place"
        assert processes_of(server) == run.pids, "a process was replaced"
        line = (f"{report['requests']} mixed requests and {reloads} reloads in {took:.0f} s: {report['cancelled']} cancelled, "
                f"{report['downloads']} downloads, {report['events']} events, {report['frames']} echoes, "
                f"{report['visits']} visits; p50 {report['p50_us']} us, p99 {report['p99_us']} us; "
                f"memory {before / MB:.1f} MB -> {after / MB:.1f} MB, peak {watch.peak / MB:.1f} MB")
        assert_level(line, before, after)
        traffic.process.kill()           # the peers end too, and with them what is idle
        write_version(server, 1)
        server.signal("HUP")
        try:
            wait_for(lambda: are_level(fresh, descriptors(run.pids)), "descriptors to come back", 30)
        except AssertionError:
            raise AssertionError(f"descriptors: {dict(fresh)} before, {dict(descriptors(run.pids))} after") from None
        now = descriptors(run.pids)
    return [line, f"descriptors {sum(fresh.values())} -> {sum(now.values())}"]


def run_idle(gets):
    lines, faults = idle.run_alone(gets, gets // 2, 700)
    assert not faults, "; ".join(faults)
    return lines


def measure(run):
    """Resident memory while keep-alive clients wait and streams go on."""
    run.traffic.hold()
    time.sleep(1)
    size = resident(run.pids)
    run.traffic.tell("go")
    return size


def wait_log_line(server, count):
    """The log is long: only its end is read."""
    def served():
        with open(server.log_path, "rb") as file:
            file.seek(max(0, os.path.getsize(server.log_path) - (4 << 20)))
            return f"configuration {count} is being served".encode() in file.read()
    wait_for(served, f"reload {count}", 30)


def wait_reached(traffic):
    said = traffic.said.get(timeout=7200)
    assert said["what"] == "reached", f"{said}; {traffic.told()}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--only", choices=["bodies", "mixed", "idle", "browser"])
    args = parser.parse_args()
    size = max(MB, int(10 * GB * args.scale))
    parts = [
        ("bodies", lambda: run_bodies("off", size)),
        ("bodies", lambda: run_bodies("on", size)),
        ("mixed", lambda: run_mixed(max(1000, int(1000000 * args.scale)), max(5, int(1000 * args.scale)))),
        ("idle", lambda: run_idle(max(500, int(100000 * args.scale)))),
        ("browser", lambda: [browser.run(BINARY) or "skipped, so nothing is proved: there is no Chromium here"]),
    ]
    lines, failed = [], 0
    for name, run in parts:
        if args.only and name != args.only:
            continue
        say(f"soak: {name} ...")
        try:
            made = run()
        except (AssertionError, OSError) as error:
            traceback.print_exc()
            made = [f"FAILED: {str(error).splitlines()[0] if str(error) else error!r}"]
            failed += 1
        lines += [f"{name:8} {line}" for line in made]
    say(f"\nsoak at scale {args.scale:g}:")
    for line in lines:
        say("  " + line)
    say(f"soak: {'failed' if failed else 'passed'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
