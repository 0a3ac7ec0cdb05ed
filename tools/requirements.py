#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every numbered requirement of the upstream mechanism has a functional test that names it.

A test names a requirement (`U5.3`) in a comment on or inside it, in its docstring or in a mark; the docstring of a file
speaks for all its tests. Numbers that no test of tests/func names are findings, but for those that wait for a part that
is not built (WAITING, with the reason); one of these that has a test meanwhile is told, so that the list gets shorter.

    tools/requirements.py [--list] [FOLDER]        --list: each number with its tests
"""
import argparse
import ast
import glob
import os
import re
import sys
import tokenize

# Chapter -> how many numbers it has; 0: it is not numbered inside. U11 is the cache, U12 third parties, U13 subrequests.
CHAPTERS = {1: 6, 2: 8, 3: 4, 4: 8, 5: 10, 6: 9, 7: 5, 8: 3, 9: 0, 10: 5, 14: 9}
WAITING = {
}
NUMBER = re.compile(r"\bU([0-9]{1,2})(?:\.([0-9]{1,2}))?\b(?!\.[0-9])")


def all_numbers():
    return [f"U{c}.{i}" if n else f"U{c}" for c, n in CHAPTERS.items() for i in range(1, max(1, n) + 1)]


def numbers_in(text):
    return [found[0] for found in NUMBER.finditer(text)]


def tests_of(path):
    """(name, first line, last line) of each test function, its marks included; "*" is the file's docstring."""
    with open(path, encoding="utf-8") as file:
        tree = ast.parse(file.read(), path)
    if tree.body and isinstance(tree.body[0], ast.Expr) and isinstance(tree.body[0].value, ast.Constant):
        yield "*", tree.body[0].lineno, tree.body[0].end_lineno
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node.name, min([node.lineno] + [d.lineno for d in node.decorator_list]), node.end_lineno


def words_of(path):
    """(line, text) of comments and strings."""
    with open(path, "rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type in (tokenize.COMMENT, tokenize.STRING):
                yield token.start[0], token.string


def collect(folder):
    """number -> ["file::test", ...]"""
    named = {}
    for path in sorted(glob.glob(os.path.join(folder, "**", "test_*.py"), recursive=True)):
        tests = list(tests_of(path))
        for line, text in words_of(path):
            for name, first, last in tests:
                if first <= line <= last:
                    for number in numbers_in(text):
                        named.setdefault(number, set()).add(f"{os.path.relpath(path, folder)}::{name}")
    return named


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("folder", nargs="?", default="tests/func")
    args = parser.parse_args(argv)
    named = collect(args.folder)
    numbers = all_numbers()
    missing = [n for n in numbers if n not in named and n not in WAITING]
    unknown = sorted(n for n in named if n not in numbers and int(re.match(r"U([0-9]+)", n)[1]) in CHAPTERS and "." in n)
    if args.list:
        for number in numbers:
            print(f"{number}: {len(named.get(number, ()))} {' '.join(sorted(named.get(number, ())))}")
    for number in missing:
        print(f"{number}: no functional test names it")
    for number in unknown:
        print(f"{number}: there is no such requirement: {' '.join(sorted(named[number]))}")
    for number, why in WAITING.items():
        print(f"{number}: {'has a test now, take it out of WAITING' if number in named else 'waits for ' + why}")
    print(f"requirements: {len(numbers)} numbers, {sum(n in named for n in numbers)} with tests, "
          f"{len(missing) + len(unknown)} findings")
    return 1 if missing or unknown else 0


if __name__ == "__main__":
    sys.exit(main())
