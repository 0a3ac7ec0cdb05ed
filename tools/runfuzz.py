#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs fuzz targets (libFuzzer programs) for a short time each, and counts.

  runfuzz.py --seconds 30 --jobs 2 --work build/fuzz/work build/fuzz/tests/fuzz/fuzz_uri ...

What a run finds goes to <work>/<target>/; the corpus in tests/fuzz/corpus/<target>/ is read only.
The last line is `fuzz: N passed, N failed`.
"""
import argparse
import concurrent.futures
import os
import re
import signal
import subprocess
import sys


def run(prog, seconds, work):
    name = os.path.basename(prog)
    short = name[len("fuzz_"):]
    if not os.access(prog, os.X_OK):
        return name, False, "could not be built", ""
    new = os.path.join(work, short, "corpus")
    bad = os.path.join(work, short, "found")
    os.makedirs(new, exist_ok=True)
    os.makedirs(bad, exist_ok=True)
    cmd = [os.path.abspath(prog), "-max_total_time=%d" % seconds, "-timeout=10",
           "-rss_limit_mb=1024", "-print_final_stats=1", "-artifact_prefix=%s/" % bad, new]
    seeds = os.path.join("tests", "fuzz", "corpus", short)
    if os.path.isdir(seeds):
        cmd.append(seeds)
    child = subprocess.Popen(cmd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, start_new_session=True)
    try:
        out, _ = child.communicate(timeout=seconds + 60)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        out, _ = child.communicate()
        return name, False, "did not end", out.decode("utf-8", "replace")
    text = out.decode("utf-8", "replace")
    units = re.search(r"stat::number_of_executed_units:\s*(\d+)", text)
    if child.returncode != 0:
        return name, False, "exit status %d, see %s" % (child.returncode, bad), text
    if not units or int(units.group(1)) == 0:
        return name, False, "executed nothing", text
    return name, True, "%s runs" % units.group(1), text


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--seconds", type=int, default=30)
    ap.add_argument("--jobs", type=int, default=2)
    ap.add_argument("--work", default="build/fuzz/work")
    ap.add_argument("progs", nargs="*")
    args = ap.parse_args()
    if not args.progs:
        print("fuzz: no targets")
        return 0
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(max(1, args.jobs)) as pool:
        jobs = [pool.submit(run, p, args.seconds, args.work) for p in args.progs]
        for job in concurrent.futures.as_completed(jobs):
            name, ok, why, text = job.result()
            print("  %-4s %-28s %s" % ("ok" if ok else "FAIL", name, why))
            if not ok:
                for line in text.splitlines()[-60:]:
                    print("       | " + line)
            sys.stdout.flush()
            passed += ok
            failed += not ok
    print("fuzz: %d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
