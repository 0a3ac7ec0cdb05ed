#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws the state machines of the source, from their tables.

  tools/fsm-dot.py [--mermaid] [--list] [--name UP] FILE...

A table is a macro `#define WR_<NAME>_STATES(X)` with one row a state:

    X(WR_UP, PICK, pick, NONE, B(QUEUE) | B(TRY))

prefix, state, step function, deadline, legal successors. A state without successors is an end.
A successor that is no state of the table is an error. Output: dot, or mermaid for documents.
"""
import argparse
import re
import sys

import csrc


class FsmError(Exception):
    """A table that cannot be read."""


class Machine:
    """One table: rows are (state, deadline, [successors])."""

    def __init__(self, name, rows):
        self.name = name
        self.rows = rows


def read_row(name, text):
    args = [""]
    depth = 0
    for c in text:
        if c == "," and depth == 0:
            args.append("")
            continue
        depth += {"(": 1, ")": -1}.get(c, 0)
        args[-1] += c
    args = [a.strip() for a in args]
    if len(args) != 5:
        raise FsmError("%s: a row has %d columns, not 5: X(%s)" % (name, len(args), text.strip()))
    rest = re.sub(r"\bB\(\s*\w+\s*\)|[|\s()]", "", args[4])
    if rest not in ("", "0", "0u", "NONE"):
        raise FsmError("%s: successors of %s are not B(A) | B(B): %s" % (name, args[1], args[4]))
    return args[1], args[3], re.findall(r"\bB\(\s*(\w+)\s*\)", args[4])


def read_machines(text):
    """All machines of a source text."""
    code, _ = csrc.blank(text)
    found = []
    for m in re.finditer(r"^[ \t]*#[ \t]*define[ \t]+WR_(\w+)_STATES\(X\)((?:.*\\\n)*.*)", code, re.M):
        name, body = m.group(1), m.group(2).replace("\\\n", " ")
        rows = []
        at = 0
        while True:
            row = re.compile(r"\bX\s*\(").search(body, at)
            if not row:
                break
            end = csrc.match(body, row.end() - 1)
            rows.append(read_row(name, body[row.end():end]))
            at = end
        if not rows:
            raise FsmError("%s: no rows" % name)
        states = [r[0] for r in rows]
        for state, _, moves in rows:
            for to in moves:
                if to not in states:
                    raise FsmError("%s: %s may go to %s, which is no state" % (name, state, to))
        for state in states:
            if states.count(state) > 1:
                raise FsmError("%s: %s is there twice" % (name, state))
        found.append(Machine(name, rows))
    return found


def to_dot(machine):
    out = ["digraph %s {" % machine.name.lower(), "    rankdir=LR;", "    node [shape=box];"]
    for state, deadline, moves in machine.rows:
        label = state if deadline == "NONE" else "%s\\n%s" % (state, deadline.lower())
        more = "" if moves else ", peripheries=2"
        out.append("    %s [label=\"%s\"%s];" % (state, label, more))
    for state, _, moves in machine.rows:
        out += ["    %s -> %s;" % (state, to) for to in moves]
    return "\n".join(out + ["}"])


def to_mermaid(machine):
    out = ["stateDiagram-v2", "    [*] --> %s" % machine.rows[0][0]]
    for state, deadline, moves in machine.rows:
        if deadline != "NONE":
            out.append("    %s : %s (%s)" % (state, state, deadline.lower()))
        out += ["    %s --> %s" % (state, to) for to in moves or ["[*]"]]
    return "\n".join(out)


def main(argv):
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("--mermaid", action="store_true")
    ap.add_argument("--list", action="store_true")
    ap.add_argument("--name")
    ap.add_argument("files", nargs="+")
    args = ap.parse_args(argv)
    machines = []
    try:
        for path in args.files:
            with open(path, encoding="utf-8") as f:
                machines += read_machines(f.read())
    except (OSError, FsmError) as e:
        print("fsm-dot: %s" % e, file=sys.stderr)
        return 1
    if args.name:
        machines = [m for m in machines if m.name == args.name.upper()]
    if not machines:
        print("fsm-dot: no table of states found", file=sys.stderr)
        return 1
    for m in machines:
        if args.list:
            print("%s %d states" % (m.name, len(m.rows)))
        else:
            print(to_mermaid(m) if args.mermaid else to_dot(m))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
