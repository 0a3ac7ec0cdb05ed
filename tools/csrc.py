#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the checks know of C: files, comments, functions. No parser, only as much as they need.

Everything works on `Source.code`: the text with comments, string and character contents replaced
by blanks, so that offsets and line numbers stay those of the file.
"""
import os
import re

# Floors from low to high.
FOLDERS = ["base", "event", "io", "net", "tls", "conf", "http", "up", "lb", "proto", "cache", "mod",
           "observe", "main"]

ALLOW = re.compile(r"/\*\s*allow\(([\w-]*)\):?\s*(.*?)\s*\*/", re.S)
CONTROL = {"if", "for", "while", "switch"}


def find_files(root, folders, ends=(".c", ".h")):
    """Paths relative to root, sorted."""
    found = []
    for folder in folders:
        for base, _, names in os.walk(os.path.join(root, folder)):
            for name in names:
                if name.endswith(ends):
                    found.append(os.path.relpath(os.path.join(base, name), root))
    return sorted(found)


def blank(text):
    """(code, comments): comments is a list of (offset, text)."""
    out = list(text)
    comments = []
    i = 0
    n = len(text)

    def wipe(a, b):
        for k in range(a, b):
            if out[k] != "\n":
                out[k] = " "

    while i < n:
        c = text[i]
        if text.startswith("/*", i):
            end = text.find("*/", i + 2)
            end = n if end < 0 else end + 2
            comments.append((i, text[i:end]))
            wipe(i, end)
            i = end
        elif text.startswith("//", i):
            end = text.find("\n", i)
            end = n if end < 0 else end
            comments.append((i, text[i:end]))
            wipe(i, end)
            i = end
        elif c in "\"'":
            j = i + 1
            while j < n and text[j] != c and text[j] != "\n":
                j += 2 if text[j] == "\\" else 1
            wipe(i + 1, min(j, n))
            i = j + 1
        else:
            i += 1
    return "".join(out), comments


def blank_directives(code):
    """The code without preprocessor lines and their continuations."""
    out = []
    inside = False
    for line in code.split("\n"):
        here = inside or line.lstrip().startswith("#")
        inside = here and line.rstrip().endswith("\\")
        out.append(" " * len(line) if here else line)
    return "\n".join(out)


class Function:
    """One function definition; offsets into the source, lines from 1."""

    def __init__(self, name, start, open_, close, params):
        self.name = name
        self.start = start
        self.open = open_
        self.close = close
        self.params = params


class Source:
    """One file."""

    def __init__(self, root, path):
        self.path = path
        with open(os.path.join(root, path), "rb") as f:
            self.raw = f.read()
        self.text = self.raw.decode("utf-8", "replace")
        self.code, self.comments = blank(self.text)
        self.plain = blank_directives(self.code)
        self._starts = [0] + [m.end() for m in re.finditer("\n", self.text)]

    @property
    def folder(self):
        parts = self.path.split("/")
        return parts[1] if parts[0] == "src" and len(parts) > 2 else ""

    @property
    def lines(self):
        return self.text.count("\n")

    def line(self, offset):
        lo, hi = 0, len(self._starts)
        while hi - lo > 1:
            mid = (lo + hi) // 2
            if self._starts[mid] <= offset:
                lo = mid
            else:
                hi = mid
        return lo + 1

    def includes(self):
        """(line, '<' or '"', name) of each #include."""
        found = []
        # The names are blank in .code, so a commented-out include is told by the '#' being blank.
        for m in re.finditer(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"]', self.text, re.M):
            at = m.start() + m.group(0).index("#")
            if self.code[at] == "#":
                found.append((self.line(at), m.group(1), m.group(2)))
        return found

    def functions(self):
        """The function definitions, in order."""
        code = self.plain
        found = []
        depth = 0
        last_end = 0  # end of the previous thing at depth 0
        i = 0
        while i < len(code):
            c = code[i]
            if c == "{":
                if depth == 0:
                    func = self._function_at(i, last_end)
                    if func:
                        found.append(func)
                        i = func.close + 1
                        last_end = i
                        continue
                depth += 1
            elif c == "}":
                depth = max(0, depth - 1)
                if depth == 0:
                    last_end = i + 1
            elif c == ";" and depth == 0:
                last_end = i + 1
            i += 1
        return found

    def _function_at(self, at, since):
        """The function whose body opens at `at`, or None for a struct or an initialiser."""
        code = self.plain
        head = code[since:at]
        if "=" in re.sub(r"\([^()]*\)", "", head) or not head.rstrip().endswith(")"):
            return None
        close = since + len(head.rstrip()) - 1
        open_ = match_back(code, close)
        name = re.search(r"(\w+)\s*$", code[since:open_])
        if not name:
            return None
        # An attribute behind the parameters: the list is further left.
        while name and (name.group(1) == "__attribute__" or name.group(1).isupper()):
            before = code[since:since + name.start()].rstrip()
            if not before.endswith(")"):
                return None
            close = since + len(before) - 1
            open_ = match_back(code, close)
            name = re.search(r"(\w+)\s*$", code[since:open_])
        if not name:
            return None
        start = since + len(head) - len(head.lstrip())
        return Function(name.group(1), start, at, match(code, at), code[open_ + 1:close])


def match(code, at):
    """The offset of the bracket that closes the one at `at`; the end of the code without one."""
    pair = {"(": ")", "{": "}", "[": "]"}[code[at]]
    depth = 0
    for i in range(at, len(code)):
        if code[i] == code[at]:
            depth += 1
        elif code[i] == pair:
            depth -= 1
            if depth == 0:
                return i
    return len(code) - 1


def match_back(code, at):
    pair = {")": "(", "}": "{", "]": "["}[code[at]]
    depth = 0
    for i in range(at, -1, -1):
        if code[i] == code[at]:
            depth += 1
        elif code[i] == pair:
            depth -= 1
            if depth == 0:
                return i
    return 0


def is_control(word):
    """Whether word(...) {...} is a statement with a body."""
    return word in CONTROL or re.fullmatch(r"WR_\w*FOREACH\w*", word) is not None


class Report:
    """Collects findings; knows the comments `/* allow(rule): reason */` of the files."""

    def __init__(self, rules):
        self.rules = set(rules)
        self.found = []
        self._allowed = {}

    def begin(self, src):
        """Reads the suppressions of a file. One holds for its own line and the line below."""
        for offset, text in src.comments:
            for m in ALLOW.finditer(text):
                rule, reason = m.group(1), m.group(2)
                line = src.line(offset + len(text) - 1)
                if rule in self.rules:
                    if not reason:
                        self.found.append((src.path, line, rule, "allow(%s) without a reason" % rule))
                    self._allowed[(src.path, line, rule)] = False

    def add(self, path, line, rule, text):
        for at in (line, line - 1):
            if (path, at, rule) in self._allowed:
                self._allowed[(path, at, rule)] = True
                return
        self.found.append((path, line, rule, text))

    def finish(self, name, files):
        """Prints the findings; the exit status."""
        for (path, line, rule), used in self._allowed.items():
            if not used:
                self.found.append((path, line, rule, "allow(%s) suppresses nothing" % rule))
        for path, line, rule, text in sorted(self.found):
            print("%s:%d: %s [%s]" % (path, line, text, rule))
        print("%s: %d files, %d findings" % (name, files, len(self.found)))
        return 1 if self.found else 0
