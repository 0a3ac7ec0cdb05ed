#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Line coverage from gcov's notes, per folder and per file, and its floors.

  tools/cov.py build/cov

A line counts as run when any program ran it; a test that includes the .c counts as well. The
floors hold for base, io, conf, up and the codecs: 90 % of the lines of each, and 80 % of each of
their files. A group of the list that was not measured is below its floor. Exit status 1 below a
floor, each named on a line of its own at the end.
"""
import glob
import json
import os
import re
import subprocess
import sys

FLOOR = 90.0
FILE_FLOOR = 80.0
FLOOR_FOLDERS = ["src/base", "src/io", "src/conf", "src/up"]
CODECS = ["src/http/h1_parse.c", "src/http/h1_chunk.c", "src/http/h1_write.c", "src/http/hdr.c",
          "src/http/uri.c", "src/net/proxy_head.c"]


def read(build):
    """{file: {line: runs}}"""
    lines = {}
    notes = sorted(glob.glob(os.path.join(build, "**", "*.gcno"), recursive=True))
    for start in range(0, len(notes), 40):
        out = subprocess.run(["gcov", "--json-format", "--stdout"] + notes[start:start + 40],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout
        for doc in out.decode("utf-8", "replace").splitlines():
            if not doc.startswith("{"):
                continue
            for f in json.loads(doc)["files"]:
                name = os.path.normpath(f["file"])
                if not name.startswith("src/") or not re.search(r"\.[ch]$", name):
                    continue
                mine = lines.setdefault(name, {})
                for row in f["lines"]:
                    mine[row["line_number"]] = mine.get(row["line_number"], 0) + row["count"]
    return lines


def percent(rows):
    total = sum(len(r) for r in rows)
    run = sum(1 for r in rows for n in r.values() if n)
    return (100.0 * run / total if total else 100.0), run, total


def group_of(name):
    return os.path.dirname(name).split("/tbl")[0]


def main():
    lines = read(sys.argv[1] if len(sys.argv) > 1 else "build/cov")
    if not lines:
        print("cov: nothing was measured")
        return 1
    low = []
    for name in sorted(lines):
        p, run, total = percent([lines[name]])
        print("  %-36s %6.1f %%  %5d of %5d lines" % (name, p, run, total))
        if p < FILE_FLOOR and (name in CODECS or group_of(name) in FLOOR_FOLDERS):
            low.append((name, p, FILE_FLOOR))
    groups = {name: [] for name in FLOOR_FOLDERS + ["codecs"]}
    for name in lines:
        groups.setdefault(group_of(name), []).append(name)
        if name in CODECS:
            groups["codecs"].append(name)
    for group in sorted(groups):
        has_floor = group == "codecs" or group in FLOOR_FOLDERS
        p = percent([lines[n] for n in groups[group]])[0] if groups[group] else 0.0
        if has_floor and p < FLOOR:
            low.append((group, p, FLOOR))
        print("%-14s %6.1f %%%s" % (group, p, "  floor %g %%" % FLOOR if has_floor else ""))
    for name, p, floor in low:
        print("cov: %s: %.1f %% is BELOW its floor of %g %%" % (name, p, floor))
    print("cov: %.1f %% of %d lines" % (percent(lines.values())[0], percent(lines.values())[2]))
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main())
