# SPDX-License-Identifier: Apache-2.0
"""The runner counts what programs say, and does not take silence for success."""
import os

import pytest
import runtests

OK = "[==========] 3 test(s) run.\n[  PASSED  ] 3 test(s).\n"
BAD = "[  PASSED  ] 2 test(s).\n[  FAILED  ] 1 test(s), listed below:\n[  FAILED  ] x\n"


@pytest.mark.parametrize("text,status,want", [
    (OK, 0, (3, 0)),
    (OK + OK, 0, (6, 0)),
    (BAD, 1, (2, 1)),
    (OK, 1, (3, 1)),
    (OK, -11, (3, 1)),
    ("", 0, (0, 1)),
    ("[  PASSED  ] 0 test(s).\n", 0, (0, 1)),
    ("[  PASSED  ] 0 test(s).\n[  SKIPPED ] 2 test(s), listed below:\n", 0, (0, 0)),
])
def test_count(text, status, want):
    assert runtests.count(text, status)[:2] == want


def script(tree, name, body):
    tree.write(name, "#!/bin/sh\n" + body)
    os.chmod(os.path.join(tree.root, name), 0o755)


def test_sums_and_fails(tree):
    script(tree, "good", "echo '[  PASSED  ] 4 test(s).'\n")
    script(tree, "slow", "exec sleep 60\n")
    script(tree, "dead", "kill -SEGV $$\n")
    status, out = tree.run("runtests.py", "--name", "unit", "./good")
    assert status == 0 and out.endswith("unit: 4 passed, 0 failed\n")
    status, out = tree.run("runtests.py", "--name", "unit", "--timeout", "1", "./good", "./slow",
                           "./dead", "./missing")
    assert status == 1 and out.endswith("unit: 4 passed, 3 failed\n")
    assert "took longer" in out and "SIGSEGV" in out and "could not be built" in out
