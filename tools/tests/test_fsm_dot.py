# SPDX-License-Identifier: Apache-2.0
"""fsm-dot.py draws a table and refuses a wrong one."""
import pytest

GOOD = """
/* A machine. */
#define WR_UP_STATES(X)                                    \\
    X(WR_UP, START, start, NONE, B(PICK) | B(FAIL))        \\
    /* waits for a slot */                                 \\
    X(WR_UP, PICK, pick, QUEUE_TIMEOUT, B(START)           \\
                                        | B(FAIL))         \\
    X(WR_UP, FAIL, fail, NONE, 0)

int x;
"""


def test_reads_the_table(fsm_dot):
    (m,) = fsm_dot.read_machines(GOOD)
    assert m.name == "UP"
    assert m.rows == [("START", "NONE", ["PICK", "FAIL"]),
                      ("PICK", "QUEUE_TIMEOUT", ["START", "FAIL"]), ("FAIL", "NONE", [])]


def test_draws(fsm_dot, tree):
    (m,) = fsm_dot.read_machines(GOOD)
    assert "    START -> PICK;" in fsm_dot.to_dot(m)
    assert "    PICK --> FAIL" in fsm_dot.to_mermaid(m)
    assert "    FAIL --> [*]" in fsm_dot.to_mermaid(m)
    tree.write("src/up/up.h", GOOD)
    assert tree.run("fsm-dot.py", "--mermaid", "src/up/up.h")[0] == 0


@pytest.mark.parametrize("old,new,word", [
    ("B(PICK) | B(FAIL))  ", "B(PICK) | B(LOST))  ", "LOST, which is no state"),
    ("B(PICK) | B(FAIL))  ", "B(PICK) | MAYBE)  ", "successors of START"),
    ("X(WR_UP, FAIL, fail, NONE, 0)", "X(WR_UP, FAIL, fail, 0)", "4 columns"),
    ("X(WR_UP, FAIL, fail, NONE, 0)", "X(WR_UP, FAIL, fail, NONE, 0) X(WR_UP, FAIL, f, NONE, 0)",
     "is there twice"),
    ("WR_UP_STATES", "WR_UP_THINGS", "no table of states"),
])
def test_wrong_table_fails(tree, old, new, word):
    assert old in GOOD
    tree.write("src/up/up.h", GOOD.replace(old, new))
    status, out = tree.run("fsm-dot.py", "src/up/up.h")
    assert status == 1
    assert word in out
