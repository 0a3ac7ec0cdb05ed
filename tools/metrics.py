#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sizes: functions, nesting, complexity, parameters, files, include cycles. Fails over the limits.

A table-shaped decoder may carry `/* long: reason */` in the comment above it or in its body; it
then has other limits for length and complexity. A callback whose parameters a library demands may
carry `/* wide: whose */`, and has as many as it must. A mark that is not needed is a finding.
Length counts the lines from the head of the function to its closing brace. Complexity is one plus
each if, for, while, case (a run of cases counts once), ?:, && and ||.
"""
import argparse
import os
import re
import sys

import csrc

LENGTH, LENGTH_LONG = 80, 150
COMPLEXITY, COMPLEXITY_LONG = 15, 30
NESTING = 4
PARAMS = 6
FILE_LINES = 1200
LONG = re.compile(r"\blong:[ \t]*([^*\n]*)")
WIDE = re.compile(r"\bwide:[ \t]*([^*\n]*)")


class Metric:
    """The numbers of one function."""

    def __init__(self, src, func, since):
        self.path = src.path
        self.name = func.name
        self.line = src.line(func.start)
        self.length = src.line(func.close) - self.line + 1
        body = src.plain[func.open:func.close + 1]
        self.complexity = complexity(body)
        self.nesting = nesting(body)
        self.params = params(func.params)
        self.long = self.wide = None
        for offset, text in src.comments:
            if since <= offset < func.close:
                m = LONG.search(text)
                if m:
                    self.long = m.group(1).strip()
                m = WIDE.search(text)
                if m:
                    self.wide = m.group(1).strip()


def complexity(body):
    n = 1
    n += len(re.findall(r"\b(?:if|for|while|WR_\w*FOREACH\w*)\s*\(", body))
    n += len(re.findall(r"&&|\|\||\?", body))
    # case A: case B: is one way through.
    n += len(re.findall(r"(?:\bcase\b[^:;{}]+:\s*)+", body))
    return n


def nesting(body):
    """The deepest chain of statements inside statements; initialisers do not count."""
    stack = []
    deepest = 0
    for i, c in enumerate(body):
        if c == "{":
            stack.append(opens_block(body, i))
            deepest = max(deepest, sum(stack) - 1)
        elif c == "}" and stack:
            stack.pop()
    return deepest


def opens_block(body, at):
    before = body[:at].rstrip()
    if not before:
        return 1
    if before[-1] == ")":
        open_ = csrc.match_back(body, len(before) - 1)
        word = re.search(r"(\w+)\s*$", body[:open_])
        return 1 if word and csrc.is_control(word.group(1)) else 0
    if before[-1] in ";{}:":
        return 1
    return 1 if re.search(r"\b(?:else|do)$", before) else 0


def params(text):
    text = text.strip()
    if text in ("", "void"):
        return 0
    depth = 0
    n = 1
    for c in text:
        if c in "([{":
            depth += 1
        elif c in ")]}":
            depth -= 1
        elif c == "," and depth == 0:
            n += 1
    return n


def find_cycles(graph):
    """Groups of files that include each other (Tarjan, without recursion on the graph's depth)."""
    index, low, on, stack, groups = {}, {}, set(), [], []
    for root in sorted(graph):
        if root in index:
            continue
        work = [(root, iter(graph[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on.add(root)
        while work:
            node, it = work[-1]
            step = next(it, None)
            if step is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    group = []
                    while True:
                        top = stack.pop()
                        on.discard(top)
                        group.append(top)
                        if top == node:
                            break
                    if len(group) > 1 or node in graph[node]:
                        groups.append(sorted(group))
            elif step not in index:
                index[step] = low[step] = len(index)
                stack.append(step)
                on.add(step)
                work.append((step, iter(graph[step])))
            elif step in on:
                low[node] = min(low[node], index[step])
    return groups


def check_function(m):
    """What is wrong with one function."""
    found = []
    max_length, max_complexity = LENGTH, COMPLEXITY
    if m.long is not None:
        max_length, max_complexity = LENGTH_LONG, COMPLEXITY_LONG
        if not m.long:
            found.append("`long:` without a reason")
        if m.length <= LENGTH and m.complexity <= COMPLEXITY:
            found.append("`long:` is not needed here")
    if m.wide is not None:
        if not m.wide:
            found.append("`wide:` without a reason")
        if m.params <= PARAMS:
            found.append("`wide:` is not needed here")
    max_params = PARAMS if m.wide is None else m.params
    for what, value, most in (("lines", m.length, max_length),
                              ("complexity", m.complexity, max_complexity),
                              ("nesting", m.nesting, NESTING), ("parameters", m.params, max_params)):
        if value > most:
            found.append("%s %d > %d" % (what, value, most))
    return found


def print_table(metrics, files):
    by_folder = {}
    for path, lines in files.items():
        folder = "/".join(path.split("/")[:2]) if path.startswith("src/") else path.split("/")[0]
        row = by_folder.setdefault(folder, {"files": 0, "lines": 0, "m": []})
        row["files"] += 1
        row["lines"] += lines
    for m in metrics:
        folder = "/".join(m.path.split("/")[:2]) if m.path.startswith("src/") else m.path.split("/")[0]
        by_folder[folder]["m"].append(m)
    print("%-14s %5s %7s %6s | %6s %6s | %7s %7s" %
          ("folder", "files", "lines", "funcs", "median", "max", "complex", "nesting"))
    for folder in sorted(by_folder):
        row = by_folder[folder]
        ms = row["m"]
        lengths = sorted(m.length for m in ms) or [0]
        print("%-14s %5d %7d %6d | %6d %6d | %7d %7d" %
              (folder, row["files"], row["lines"], len(ms), lengths[len(lengths) // 2], lengths[-1],
               max([m.complexity for m in ms] or [0]), max([m.nesting for m in ms] or [0])))
    for what, key in (("longest", "length"), ("most complex", "complexity"), ("deepest", "nesting")):
        worst = sorted(metrics, key=lambda m: -getattr(m, key))[:5]
        print("%-13s %s" % (what + ":", ", ".join("%s %d" % (m.name, getattr(m, key)) for m in worst)))
    top = sorted(files.items(), key=lambda f: -f[1])[:5]
    print("%-13s %s" % ("largest:", ", ".join("%s %d" % f for f in top)))


def run(root):
    metrics, files, graph, found = [], {}, {}, []
    paths = csrc.find_files(root, ["src", "tests"])
    for path in paths:
        src = csrc.Source(root, path)
        files[path] = src.lines
        if src.lines > FILE_LINES:
            found.append("%s:1: lines %d > %d" % (path, src.lines, FILE_LINES))
        since = 0
        for func in src.functions():
            m = Metric(src, func, since)
            since = func.close
            metrics.append(m)
            found += ["%s:%d: %s: %s" % (path, m.line, m.name, w) for w in check_function(m)]
        if path.startswith("src/"):
            graph[path[4:]] = [t for _, kind, t in src.includes() if kind == '"']
    for name in graph:
        graph[name] = [t for t in graph[name] if t in graph]
    for group in find_cycles(graph):
        found.append("src/%s:1: include cycle: %s" % (group[0], " ".join(group)))
    print_table(metrics, files)
    for line in found:
        print(line)
    print("metrics: %d functions in %d files, %d findings" % (len(metrics), len(files), len(found)))
    return 1 if found else 0


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("--root", default=os.path.join(os.path.dirname(__file__), ".."))
    return run(os.path.normpath(ap.parse_args().root))


if __name__ == "__main__":
    sys.exit(main())
