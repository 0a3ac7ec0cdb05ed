# SPDX-License-Identifier: Apache-2.0
"""cov.py sums programs, knows its floors and fails below them."""
import cov
import pytest


def rows(run, total):
    return {n: int(n < run) for n in range(total)}


GOOD = {"src/base/a.c": rows(9, 10), "src/io/a.c": rows(9, 10), "src/conf/a.c": rows(10, 10),
        "src/up/a.c": rows(95, 100), "src/http/hdr.c": rows(9, 10), "src/main/a.c": rows(0, 10)}


def check(monkeypatch, capsys, **changed):
    lines = dict(GOOD)
    lines.update({k.replace("__", "/") + ".c": v for k, v in changed.items()})
    monkeypatch.setattr(cov, "read", lambda build: {k: v for k, v in lines.items() if v})
    monkeypatch.setattr(cov.sys, "argv", ["cov.py"])
    status = cov.main()
    return status, capsys.readouterr().out


def test_at_the_floors_passes(monkeypatch, capsys):
    status, out = check(monkeypatch, capsys)
    assert status == 0
    assert "BELOW" not in out
    assert "src/main/a.c" in out    # has no floor


@pytest.mark.parametrize("name,rows_now,word", [
    ("src__base__a", rows(89, 100), "src/base: 89.0 % is BELOW its floor of 90 %"),
    ("src__up__a", rows(0, 10), "src/up: 0.0 % is BELOW its floor of 90 %"),
    ("src__http__hdr", rows(8, 10), "codecs: 80.0 % is BELOW its floor of 90 %"),
    ("src__up__b", rows(3, 4), "src/up/b.c: 75.0 % is BELOW its floor of 80 %"),
    ("src__io__a", None, "src/io: 0.0 % is BELOW its floor of 90 %"),
])
def test_below_a_floor_fails(monkeypatch, capsys, name, rows_now, word):
    status, out = check(monkeypatch, capsys, **{name: rows_now})
    assert status == 1
    assert "cov: " + word in out
    assert out.count("BELOW") == (2 if rows_now and not sum(rows_now.values()) else 1)


def test_nothing_measured_fails(tree):
    status, out = tree.run("cov.py", tree.root)
    assert status == 1
    assert "nothing was measured" in out


def test_counts_of_programs_are_added(tree):
    """Two programs with the same header: a line is run when one of them ran it."""
    tree.write("src/up/f.h", "static int f(int a)\n{\n    if (a) {\n        return 1;\n    }\n    return 2;\n}\n")
    for n in (0, 1):
        tree.write("t%d.c" % n, '#include "src/up/f.h"\nint main(void)\n{\n    return f(%d) == 0;\n}\n' % n)
        build = "gcc --coverage -o %s t%d.c && ./%s" % ("t%d" % n, n, "t%d" % n)
        if cov.subprocess.run(build, shell=True, cwd=tree.root, check=False).returncode != 0:
            pytest.skip("no gcc")
    status, out = tree.run("cov.py", ".")
    assert "src/up/f.h                            100.0 %" in out
    assert status == 1    # of the other folders nothing was measured
