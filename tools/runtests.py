#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs test programs (cmocka), several at once, and counts.

  runtests.py --name unit --jobs 2 --timeout 120 build/tests/unit/base/test_str ...

One line a program; the whole output only of those that failed. A program that is missing, that
crashes, that runs too long or that runs no test is a failure. The last line is
`<name>: N passed, N failed`; the exit status is 1 when anything failed.
"""
import argparse
import concurrent.futures
import os
import re
import signal
import subprocess
import sys
import time

PASSED = re.compile(r"^\[  PASSED  \] (\d+) test\(s\)", re.M)
FAILED = re.compile(r"^\[  FAILED  \] (\d+) test\(s\)", re.M)
SKIPPED = re.compile(r"^\[  SKIPPED \] (\d+) test\(s\)", re.M)


def count(text, status):
    """(passed, failed, why) of one program's output and exit status."""
    passed = sum(int(n) for n in PASSED.findall(text))
    failed = sum(int(n) for n in FAILED.findall(text))
    skipped = sum(int(n) for n in SKIPPED.findall(text))
    if status != 0 and failed == 0:
        word = "exit status %d" % status
        if status < 0:
            word = "signal %s" % signal.Signals(-status).name
        return passed, 1, word
    if passed + failed + skipped == 0:
        return 0, 1, "ran no test"
    return passed, failed, ""


RUNNING = set()


def stop(*_):
    """Asked to end: takes the running programs along."""
    for pid in list(RUNNING):
        try:
            os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    os._exit(1)


def run(prog, timeout):
    """Runs one program in a process group of its own, so that its children end with it."""
    start = time.monotonic()
    if not os.access(prog, os.X_OK):
        return prog, 0, 1, "could not be built", "", 0.0
    child = subprocess.Popen([os.path.abspath(prog)], stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             start_new_session=True)
    RUNNING.add(child.pid)
    try:
        out, _ = child.communicate(timeout=timeout)
        text = out.decode("utf-8", "replace")
        passed, failed, why = count(text, child.returncode)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        out, _ = child.communicate()
        text = out.decode("utf-8", "replace")
        passed, failed, why = 0, 1, "took longer than %d s" % timeout
    RUNNING.discard(child.pid)
    return prog, passed, failed, why, text, time.monotonic() - start


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--name", default="tests")
    ap.add_argument("--jobs", type=int, default=2)
    ap.add_argument("--timeout", type=int, default=120)
    ap.add_argument("progs", nargs="*")
    args = ap.parse_args()
    if not args.progs:
        print("%s: no test programs" % args.name)
        return 0
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(max(1, args.jobs)) as pool:
        jobs = [pool.submit(run, p, args.timeout) for p in args.progs]
        for job in concurrent.futures.as_completed(jobs):
            prog, ok, bad, why, text, took = job.result()
            passed += ok
            failed += bad
            short = re.sub(r"^(.*/)?tests/", "", prog)
            if bad == 0:
                print("  ok   %-40s %4d passed  %5.2f s" % (short, ok, took))
            else:
                print("  FAIL %-40s %4d passed, %d failed %s" % (short, ok, bad, why))
                for line in text.splitlines():
                    print("       | " + line)
            sys.stdout.flush()
    print("%s: %d passed, %d failed" % (args.name, passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
