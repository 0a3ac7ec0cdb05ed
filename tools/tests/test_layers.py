# SPDX-License-Identifier: Apache-2.0
"""layers.py passes a good tree and fails on each kind of wrong edge."""
import layers
import pytest

HEAD = "/* SPDX-License-Identifier: Apache-2.0 */\n"


def test_good_tree_passes(tree):
    tree.write("src/http/msg.h", HEAD + '#include "base/add.h"\n')
    tree.write("src/up/lb.h", HEAD + '#include "http/msg.h"\n')
    tree.write("src/lb/rr.c", HEAD + '#include "up/lb.h"\n')
    tree.write("src/main/main.c", HEAD + '#include "up/lb.h"\n')
    assert tree.check("layers.py") == (0, "layers: 7 files, 0 findings\n")


@pytest.mark.parametrize("path,line,rule", [
    ("src/base/x.c", '#include "http/msg.h"', "layer"),
    ("src/http/x.c", '#include "up/lb.h"', "layer"),
    ("src/lb/x.c", '#include "up/conf.h"', "layer"),
    ("src/lb/x.c", '#include "proto/fcgi.h"', "layer"),
    ("src/http/x.c", '#include "main/boot.h"', "layer"),
    ("src/io/x.c", '#include "event/loop.h"', "layer"),
    ("src/up/x.c", '#include "http/http_int.h"', "private"),
    ("src/up/x.c", '#include "gone/away.h"', "path"),
    ("src/up/x.c", '#include "conf.h"', "path"),
    ("src/http/h1_parse.c", '#include "event/loop.h"', "layer"),
    ("src/http/h1_parse.c", '#include "http/far.h"', "layer"),
    ("src/nowhere/x.c", "", "layer"),
    ("src/http/x.c", "#include <sys/epoll.h>", "syscall"),
    ("src/conf/x.c", "#include <fcntl.h>", "syscall"),
    ("src/up/x.c", "#include <openssl/ssl.h>", "library"),
    ("src/up/x.c", "static void f(int d)\n{\n    (void)recv(d, 0, 0, 0);\n}", "syscall"),
    ("src/main/x.c", "static void f(int d)\n{\n    (void)send(d, 0, 0, 0);\n}", "syscall"),
    ("src/http/x.c", "static void f(int d)\n{\n    (void)close(d);\n}", "syscall"),
])
def test_wrong_edge_fails(tree, path, line, rule):
    for name in ("http/msg.h", "http/http_int.h", "up/lb.h", "up/conf.h", "proto/fcgi.h",
                 "main/boot.h", "event/loop.h"):
        tree.write("src/" + name, HEAD)
    tree.write("src/http/far.h", HEAD + '#include "event/loop.h"\n')
    assert tree.check("layers.py")[0] == 0
    tree.write(path, HEAD + line + "\n")
    status, out = tree.check("layers.py")
    assert status == 1
    assert "%s:" % path in out and "[%s]" % rule in out


def test_members_and_comments_are_no_calls(tree):
    tree.write("src/http/x.c", HEAD + "/* recv(fd) */\n"
               "static void f(struct o *o)\n{\n    o->ops->recv(o);\n    o->v.close(o);\n}\n")
    assert tree.check("layers.py")[0] == 0


def test_allocators_map_memory(tree):
    text = HEAD + "static void f(void *p)\n{\n    (void)munmap(p, 4096);\n}\n"
    tree.write("src/base/arena.c", text)
    assert tree.check("layers.py")[0] == 0
    tree.write("src/base/map.c", text)
    assert tree.check("layers.py")[0] == 1


def test_allow_needs_a_reason_and_a_use(tree):
    bad = "static void f(int d)\n{\n    (void)close(d); /* allow(syscall): %s */\n}\n"
    tree.write("src/http/x.c", HEAD + bad % "a descriptor from the bundle")
    assert tree.check("layers.py")[0] == 0
    tree.write("src/http/x.c", HEAD + bad % "")
    assert tree.check("layers.py")[0] == 1
    tree.write("src/http/x.c", HEAD + "/* allow(syscall): nothing here */\n")
    status, out = tree.check("layers.py")
    assert status == 1 and "suppresses nothing" in out


def test_no_table_fails(tree):
    tree.write("docs/architecture.md", "no table here\n")
    assert tree.check("layers.py")[0] == 1


def test_unknown_word_in_the_table():
    with pytest.raises(layers.TableError):
        layers.read_cell("base, cellar")


def test_cells():
    assert layers.read_cell("everything") is None
    assert layers.read_cell("(nothing)") == (set(), [])
    assert layers.read_cell("base, http without `*_int.h`, `up/{a,b_*}.h`") == (
        {"base", "http"}, ["up/a.h", "up/b_*.h"])
