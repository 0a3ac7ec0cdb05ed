# SPDX-License-Identifier: Apache-2.0
"""checksrc.py passes a good tree and fails on each rule."""
import pytest


def test_good_tree_passes(tree):
    assert tree.check("checksrc.py") == (0, "checksrc: 3 files, 0 findings\n")


def in_function(text):
    return "static void f(int a)\n{\n    %s\n}\n" % text


@pytest.mark.parametrize("body,rule", [
    (in_function("free(p);"), "banned"),
    (in_function("(void)atoi(s);"), "banned"),
    (in_function("usleep(1);"), "banned"),
    (in_function("n = strtol (s, 0, 10);"), "banned"),
    (in_function("if (a)\n        f(1);"), "braces"),
    (in_function("for (;;)\n        f(1);"), "braces"),
    (in_function("if (a) {\n    } else\n        f(1);"), "braces"),
    (in_function("WR_LIST_FOREACH(a, b)\n        f(1);"), "braces"),
    (in_function("while (a)\n        ;"), "braces"),
    (in_function("f(1);\tf(2);"), "text"),
    (in_function("f(1); "), "text"),
    (in_function("f(1); // no"), "text"),
    (in_function("f(1); /* caf\u00e9 */"), "text"),
    (in_function("f(1); /* %s */" % ("x" * 100)), "text"),
    (in_function("goto again;\nagain:\n    f(1);"), "goto"),
    (in_function("out:\n    goto out;"), "goto"),
    (in_function("switch (a) {\n    case WR_OK:\n        break;\n    default:\n        break;\n    }"),
     "default"),
    (in_function("f(1); /* TODO: more */"), "note"),
    (in_function("f(1); /* XXX: more */"), "note"),
    (in_function("f(1); /* NOLINT */"), "note"),
    (in_function("f(1); /* allow(banned): never used */"), "banned"),
    (in_function("free(p); /* allow(banned) */"), "banned"),
    (in_function("f(1); /* allow(everything): no such rule */"), "allow"),
    ("typedef struct x x_t;\n", "typedef"),
    ('#pragma GCC diagnostic ignored "-Wall"\n', "note"),
])
def test_bad_code_fails(tree, body, rule):
    tree.c_file("src/base/x.c", body)
    status, out = tree.check("checksrc.py")
    assert status == 1
    assert "src/base/x.c:" in out and "[%s]" % rule in out


@pytest.mark.parametrize("body", [
    in_function("wr_mem_free(p);\n    o->free(p);\n    o.exit(1);"),
    in_function('f("free(p); else"); /* free(p) */'),
    in_function("do {\n        f(1);\n    } while (a);"),
    in_function("if (a) {\n        goto out;\n    }\nout:\n    f(1);"),
    in_function("switch (a) {\n    case 'x':\n        break;\n    default:\n        break;\n    }"),
    in_function("f(1); /* XXX(#12): more */"),
    in_function("free(p); /* allow(banned): the library gave it to us */"),
    "typedef int wr_x_fn(void *data);\ntypedef void (*wr_y_fn)(void);\n",
])
def test_good_code_passes(tree, body):
    tree.c_file("src/base/x.c", body)
    assert tree.check("checksrc.py")[0] == 0


def test_owner_files_are_exempt(tree):
    tree.c_file("src/base/mem.c", in_function("free(p);"))
    assert tree.check("checksrc.py")[0] == 0


@pytest.mark.parametrize("text,rule", [
    ("/* a file */\n", "licence"),
    ("/* SPDX-License-Identifier: Apache-2.0 */\nint x;\n", "licence"),
    (b"/* SPDX-License-Identifier: Apache-2.0 */\r\n", "text"),
    ("/* SPDX-License-Identifier: Apache-2.0 */\n/*\n * A.\n */\nint x;", "text"),
])
def test_bad_file_fails(tree, text, rule):
    tree.write("src/base/x.c", text)
    status, out = tree.check("checksrc.py")
    assert status == 1 and "[%s]" % rule in out


@pytest.mark.parametrize("old,new,rule", [
    ("WR_BASE_ADD_H", "BASE_ADD_H", "guard"),
    (" WR_MUST_CHECK;", ";", "check"),
])
def test_bad_header_fails(tree, old, new, rule):
    from conftest import GOOD_H
    tree.write("src/base/add.h", GOOD_H.replace(old, new))
    status, out = tree.check("checksrc.py")
    assert status == 1 and "[%s]" % rule in out


@pytest.mark.parametrize("includes", [
    '#include <stddef.h>\n\n#include "base/add.h"\n',
    '#include "base/add.h"\n#include <stddef.h>\n',
    '#include "base/add.h"\n\n#include <string.h>\n#include <stddef.h>\n',
    '#include "base/add.h"\n\n#include "base/status.h"\n\n#include <stddef.h>\n',
])
def test_bad_includes_fail(tree, includes):
    tree.c_file("src/base/add.c", "int x;\n", includes)
    status, out = tree.check("checksrc.py")
    assert status == 1 and "[include]" in out


def test_scripts_need_a_licence(tree):
    tree.write("tools/x.py", "print(1)\n")
    status, out = tree.check("checksrc.py")
    assert status == 1 and "tools/x.py:1" in out


def test_tests_may_not_sleep(tree):
    tree.c_file("tests/unit/base/test_x.c", in_function("sleep(1);"))
    status, out = tree.check("checksrc.py")
    assert status == 1 and "sleep()" in out
