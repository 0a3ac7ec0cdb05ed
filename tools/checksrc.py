#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The rules of docs/conventions.md that a script can see in one file.

  licence   the first line; a file comment behind it (3 to 20 lines in src/)
  text      US-ASCII, LF, no tabs, no trailing blanks, a newline at the end, 100 columns, no // comments
  banned    calls that we do not use, outside the files that own them (OWNERS)
  braces    a body of if, else, for, while, do, switch without braces
  include   own header first, then system, then ours, each block apart and alphabetical
  guard     WR_<DIR>_<FILE>_H
  check     a prototype that returns enum wr_status without WR_MUST_CHECK
  default   `default:` in a switch over WR_ constants
  typedef   a typedef of anything but a function type named ..._fn
  goto      a label other than fail: or out:, or a jump backward
  note      TODO, FIXME; XXX without an issue number; a silenced warning without a reason

A breach is allowed by /* allow(rule): reason */ on its line or the line above; an allow that
suppresses nothing is a finding itself, and so is one of a rule that no tool has.
"""
import argparse
import fnmatch
import os
import re
import sys

import csrc
import layers

RULES = ["licence", "text", "banned", "braces", "include", "guard", "check", "default", "typedef",
         "goto", "note", "allow"]

LICENCE = "/* SPDX-License-Identifier: Apache-2.0 */"

BANNED = """
    strcpy strcat strncpy strncat sprintf vsprintf gets strtok strtol strtoul strtoll strtoull atoi
    atol atoll sscanf alloca system popen signal sleep usleep select gethostbyname getaddrinfo
    localtime gmtime ctime rand srand strerror assert abort exit malloc calloc realloc free strdup
    strndup printf fprintf vprintf vfprintf puts setjmp longjmp
""".split()
# Tests may use what libraries and peers ask of them, but these never.
BANNED_IN_TESTS = "strcpy strcat sprintf vsprintf gets strtok alloca system popen sleep usleep".split()

ALLOCATORS = ["src/base/mem.c", "src/base/arena.c", "src/base/slab.c", "src/base/chunk.c"]
OWNERS = {
    "malloc": ALLOCATORS, "calloc": ALLOCATORS, "realloc": ALLOCATORS, "free": ALLOCATORS,
    "abort": ["src/base/assert.c", "src/base/mem.c"],
    "exit": ["src/main/*"],
    "printf": ["src/main/*"], "fprintf": ["src/main/*"], "vfprintf": ["src/main/*"],
    "puts": ["src/main/*"],
    "getaddrinfo": ["src/main/hosts.c"],
}


def is_table(path):
    """X-macro tables: one comment, no guard, included in the middle of things."""
    return "/tbl/" in path


def check_text(report, src):
    path = src.path
    if b"\r" in src.raw:
        report.add(path, 1, "text", "CR in the file")
    if src.raw and not src.raw.endswith(b"\n"):
        report.add(path, src.lines + 1, "text", "no newline at the end")
    for n, line in enumerate(src.text.split("\n"), 1):
        if not line.isascii():
            report.add(path, n, "text", "not US-ASCII")
        if "\t" in line:
            report.add(path, n, "text", "tab")
        if line != line.rstrip():
            report.add(path, n, "text", "trailing blanks")
        # Strings are not broken, so that they can be found.
        if len(line) > 100 and '"' not in line:
            report.add(path, n, "text", "%d columns" % len(line))
    for offset, text in src.comments:
        if text.startswith("//"):
            report.add(path, src.line(offset), "text", "// comment")


def check_licence(report, src):
    lines = src.text.split("\n")
    if lines[0] != LICENCE:
        report.add(src.path, 1, "licence", "the first line is not %s" % LICENCE)
        return
    if is_table(src.path) or not src.path.startswith("src/"):
        return
    rest = [c for c in src.comments if src.line(c[0]) == 2]
    if not rest:
        report.add(src.path, 2, "licence", "no file comment")
        return
    size = rest[0][1].count("\n") + 1
    if size < 3 or size > 22:
        # Behind the comment, where an allow() can stand.
        report.add(src.path, 2 + size, "licence", "a file comment of %d lines (3 to 20)" % size)


def check_banned(report, src):
    names = BANNED if src.path.startswith("src/") else BANNED_IN_TESTS
    for m in re.finditer(r"(?<![\w.])(?<!->)(%s)\s*\(" % "|".join(names), src.code):
        owners = OWNERS.get(m.group(1), [])
        if not any(fnmatch.fnmatchcase(src.path, o) for o in owners):
            report.add(src.path, src.line(m.start()), "banned", "%s()" % m.group(1))


def check_braces(report, src):
    code = src.plain
    for m in re.finditer(r"\b(if|for|while|switch|else|do|WR_\w*FOREACH\w*)\b", code):
        word = m.group(1)
        end = m.end()
        if word in ("else", "do"):
            rest = code[end:].lstrip()
            good = rest.startswith("{") or (word == "else" and re.match(r"if\b", rest))
        else:
            blank = len(code[end:]) - len(code[end:].lstrip())
            if not code[end + blank:].startswith("("):
                continue
            rest = code[csrc.match(code, end + blank) + 1:].lstrip()
            good = rest.startswith("{")
            if word == "while" and rest.startswith(";"):
                good = code[:m.start()].rstrip().endswith("}")
        if not good:
            report.add(src.path, src.line(m.start()), "braces", "%s without braces" % word)


def include_block(src):
    """The includes up to the first line of code: [(line, kind, name)]."""
    first_code = len(src.code)
    m = re.search(r"\S", src.plain)
    if m:
        first_code = m.start()
    last = src.line(first_code) if m else src.lines + 1
    return [i for i in src.includes() if i[0] < last]


def check_includes(report, src):
    if not src.path.startswith("src/") or is_table(src.path):
        return
    found = include_block(src)
    name = src.path[len("src/"):]
    folder = name.split("/")[0]
    own = name[:-2] + ".h"
    has_own = name.endswith(".c") and os.path.exists(os.path.join(src.root, "src", own))
    first = found[0][2] if found else ""
    if has_own and first == name[:-2] + "_int.h":
        own = first
    elif not has_own and name.endswith(".c") and first.startswith(folder + "/") and (
            len(found) == 1 or found[1][0] > found[0][0] + 1):
        # Files that share a header of another name: it stands in the place of the own one.
        own = first
        has_own = True
    # Blocks: runs of includes on adjacent lines.
    blocks = []
    for item in found:
        if blocks and blocks[-1][-1][0] == item[0] - 1:
            blocks[-1].append(item)
        else:
            blocks.append([item])
    if has_own:
        if not found or found[0][2] != own:
            report.add(src.path, found[0][0] if found else 1, "include",
                       "\"%s\" does not come first" % own)
        elif len(blocks[0]) > 1:
            report.add(src.path, blocks[0][1][0], "include", "no blank line behind the own header")
    seen_ours = False
    for block in blocks:
        if len({kind for _, kind, _ in block}) > 1:
            report.add(src.path, block[0][0], "include", "system headers and ours in one block")
        names = [n for _, _, n in block]
        if names != sorted(names) and own not in names:
            report.add(src.path, block[0][0], "include", "not alphabetical")
        if block[0][1] == "<" and seen_ours:
            report.add(src.path, block[0][0], "include", "system headers behind ours")
        if block[0][1] == '"' and not (has_own and block[0][2] == own):
            seen_ours = True


def check_guard(report, src):
    path = src.path
    if not path.endswith(".h") or is_table(path) or not path.startswith("src/"):
        return
    want = "WR_" + re.sub(r"\W", "_", path[len("src/"):-2]).upper() + "_H"
    m = re.search(r"^\s*#\s*ifndef\s+(\w+)\s*\n\s*#\s*define\s+(\w+)\s*$", src.code, re.M)
    if not m or m.group(1) != want or m.group(2) != want:
        report.add(path, 1, "guard", "the guard is not %s" % want)


def top_level(code):
    """Pieces of code at brace depth 0, as (offset, text up to its ; or {)."""
    depth = 0
    start = 0
    for i, c in enumerate(code):
        if c == "{":
            if depth == 0:
                yield start, code[start:i]
            depth += 1
        elif c == "}":
            depth -= 1
            if depth == 0:
                start = i + 1
        elif c == ";" and depth == 0:
            yield start, code[start:i]
            start = i + 1


def check_must_check(report, src):
    if not src.path.endswith(".h") or not src.path.startswith("src/"):
        return
    for start, text in top_level(src.plain):
        m = re.search(r"\benum\s+wr_status\s+(\w+)\s*\(", text)
        if m and "typedef" not in text[:m.start()] and "WR_MUST_CHECK" not in text:
            report.add(src.path, src.line(start + m.start()), "check", "%s() lacks WR_MUST_CHECK"
                       % m.group(1))


def check_typedef(report, src):
    # base/sync.h names the atomic types, which cannot be spelled elsewhere.
    if not src.path.startswith("src/") or src.path == "src/base/sync.h":
        return
    for m in re.finditer(r"\btypedef\b[^;{]*[;{]", src.plain):
        if m.group(0).startswith("typedef WR_VEC("):
            continue
        if not re.search(r"\w+_fn\s*\)?\s*\(", m.group(0)):
            report.add(src.path, src.line(m.start()), "typedef", "only function types ..._fn")


def check_default(report, src):
    code = src.plain
    for m in re.finditer(r"\bswitch\s*\(", code):
        close = csrc.match(code, m.end() - 1)
        open_ = code.find("{", close)
        if open_ < 0:
            continue
        body = code[open_ + 1:csrc.match(code, open_)]
        # A switch inside has its own turn.
        body = re.sub(r"\bswitch\b[^{]*\{[^{}]*\}", "", body)
        labels = re.findall(r"\bcase\s+([^:]+?)\s*:", body)
        if labels and all(re.fullmatch(r"WR_\w+", x) for x in labels) and re.search(r"\bdefault\s*:", body):
            at = re.search(r"\bdefault\s*:", code[open_:]).start() + open_
            report.add(src.path, src.line(at), "default", "default: in a switch over our enum")


def check_goto(report, src):
    code = src.plain
    for func in src.functions():
        body = code[func.open:func.close]
        for m in re.finditer(r"\bgoto\s+(\w+)\s*;", body):
            line = src.line(func.open + m.start())
            if m.group(1) not in ("fail", "out"):
                report.add(src.path, line, "goto", "goto %s: labels are fail and out" % m.group(1))
            elif not re.search(r"(?<!\?)\b%s\s*:" % m.group(1), body[m.end():]):
                report.add(src.path, line, "goto", "goto %s goes backward" % m.group(1))


def check_notes(report, src):
    known = set(RULES + layers.RULES)
    for offset, text in src.comments:
        line = src.line(offset)
        if re.search(r"\b(TODO|FIXME)\b", text):
            report.add(src.path, line, "note", "TODO or FIXME: open an issue and write XXX(issue)")
        if re.search(r"\bXXX\b(?!\(#?\d+\):)", text):
            report.add(src.path, line, "note", "XXX without an issue number")
        if re.search(r"\bNOLINT", text) and not re.search(r"NOLINT\w*\([\w.,* -]+\):\s*\S", text):
            report.add(src.path, line, "note", "NOLINT without a check and a reason")
        if "cppcheck-suppress" in text and not re.search(r"cppcheck-suppress\s+\S+\s*;?\s+\w+\s+\w+", text):
            report.add(src.path, line, "note", "cppcheck-suppress without a reason")
        for m in csrc.ALLOW.finditer(text):
            if m.group(1) not in known:
                report.add(src.path, line, "allow", "there is no rule \"%s\"" % m.group(1))
    for m in re.finditer(r"#\s*pragma\s+(GCC|clang)\s+diagnostic\s+ignored", src.code):
        line = src.line(m.start())
        if not any(src.line(o + len(t) - 1) in (line, line - 1) for o, t in src.comments):
            report.add(src.path, line, "note", "a silenced warning without a reason beside it")


def check_file(report, src):
    for check in (check_text, check_licence, check_banned, check_braces, check_includes, check_guard,
                  check_must_check, check_typedef, check_default, check_goto, check_notes):
        check(report, src)


def check_script(report, root, path):
    """Scripts and build files: licence line and plain text."""
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as f:
        text = f.read()
    head = text.split("\n")[:2]
    if not any("SPDX-License-Identifier: Apache-2.0" in line for line in head):
        report.add(path, 1, "licence", "no licence line among the first two")
    for n, line in enumerate(text.split("\n"), 1):
        if not line.isascii():
            report.add(path, n, "text", "not US-ASCII")
        if line != line.rstrip():
            report.add(path, n, "text", "trailing blanks")


def run(root):
    report = csrc.Report(RULES)
    paths = csrc.find_files(root, ["src", "tests"])
    for path in paths:
        src = csrc.Source(root, path)
        src.root = root
        report.begin(src)
        check_file(report, src)
    scripts = csrc.find_files(root, ["tools", "tests"], (".py", ".sh"))
    scripts += [p for p in ("Makefile", ".ci/run") if os.path.exists(os.path.join(root, p))]
    for path in scripts:
        check_script(report, root, path)
    return report.finish("checksrc", len(paths) + len(scripts))


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("--root", default=os.path.join(os.path.dirname(__file__), ".."))
    return run(os.path.normpath(ap.parse_args().root))


if __name__ == "__main__":
    sys.exit(main())
