# SPDX-License-Identifier: Apache-2.0
"""metrics.py counts right and fails over each limit."""
import metrics
import pytest


def function(lines, head="static void f(int a)", mark=""):
    return "%s%s\n{\n%s}\n" % (mark, head, "".join("    %s\n" % x for x in lines))


def test_good_tree_passes(tree):
    status, out = tree.check("metrics.py")
    assert status == 0
    assert "metrics: 1 functions in 3 files, 0 findings" in out


LONG = ["f(%d);" % n for n in range(78)]
COMPLEX = ["if (a == %d) { f(1); }" % n for n in range(15)]


@pytest.mark.parametrize("body,word", [
    (function(LONG), "lines 81 > 80"),
    (function(COMPLEX), "complexity 16 > 15"),
    (function(["if (a) { for (;;) { while (a) { switch (a) { case 1: if (a) { f(1); } } } } }"]),
     "nesting 5 > 4"),
    (function([], "static void f(int a, int b, int c, int d, int e, int f, int g)"),
     "parameters 7 > 6"),
    (function(LONG + LONG, mark="/* long: a table */\n"), "lines 159 > 150"),
    (function(["f(1);"], mark="/* long: a table */\n"), "not needed"),
    (function(LONG, mark="/* long: */\n"), "without a reason"),
    (function(["f(1);"], mark="/* wide: a library's */\n"), "not needed"),
    (function([], "static void f(int a, int b, int c, int d, int e, int f, int g)", mark="/* wide: */\n"), "without a reason"),
    ("int x;\n" * 1200, "lines 1205 > 1200"),
])
def test_over_the_limit_fails(tree, body, word):
    tree.c_file("src/base/x.c", body)
    status, out = tree.check("metrics.py")
    assert status == 1
    assert word in out


@pytest.mark.parametrize("body", [
    function(LONG[:-1]),
    function(COMPLEX[:-1]),
    function(LONG, mark="/* long: a table */\n"),
    function([], "static void f(int a, int b, int c, int d, int e, int f, int g)", mark="/* wide: a library's */\n"),
    function(LONG[:40]) + function(LONG[:40], "static int (*g(int a))(void)"),
    "static const struct x t[] = {\n%s};\n" % ("    {1, 2},\n" * 200),
])
def test_at_the_limit_passes(tree, body):
    tree.c_file("src/base/x.c", body)
    assert tree.check("metrics.py")[0] == 0


def test_include_cycle_fails(tree):
    tree.write("src/base/a.h", '#include "base/b.h"\n')
    tree.write("src/base/b.h", '#include "base/c.h"\n')
    tree.write("src/base/c.h", "\n")
    assert tree.check("metrics.py")[0] == 0
    tree.write("src/base/c.h", '#include "base/a.h"\n')
    status, out = tree.check("metrics.py")
    assert status == 1
    assert "include cycle: base/a.h base/b.h base/c.h" in out


def test_complexity():
    assert metrics.complexity("{ }") == 1
    assert metrics.complexity("{ if (a && b || c) { } else if (d) { } }") == 5
    assert metrics.complexity("{ switch (a) { case 1: case 2: f(); break; case 3: g(); } }") == 3
    assert metrics.complexity("{ WR_LIST_FOREACH(a, b) { x = y ? 1 : 2; } }") == 3


def test_nesting():
    assert metrics.nesting("{ int a[] = {1, {2}}; f((struct x){1}); }") == 0
    assert metrics.nesting("{ if (a) { do { f(); } while (b); } else { g(); } }") == 2


def test_params():
    assert metrics.params("void") == 0
    assert metrics.params("int a, int (*f)(int, int), char b[2]") == 3
