# SPDX-License-Identifier: Apache-2.0
"""A small tree in a temporary folder for the tools to look at."""
import importlib.util
import os
import subprocess
import sys

import pytest

TOOLS = os.path.normpath(os.path.join(os.path.dirname(__file__), ".."))
sys.path.insert(0, TOOLS)

TABLE = """
| folder | may include |
| --- | --- |
| base | (nothing of ours; `chunk` lives here) |
| event | base |
| io | base, `event/task.h` |
| net | base, event (`event/poll.h` is the only way) |
| conf | base |
| http | base, event, net, conf |
| up | base, http without `*_int.h` |
| lb | base, `up/{lb,peer}.h` |
| proto | base, `http/{h1_*,msg}.h` |
| main | everything |
"""

GOOD_H = """/* SPDX-License-Identifier: Apache-2.0 */
/*
 * add.h: adds numbers.
 */
#ifndef WR_BASE_ADD_H
#define WR_BASE_ADD_H

#include "base/status.h"

/* The sum. */
enum wr_status wr_add_two(int a, int b, int *ret_sum) WR_MUST_CHECK;

#endif
"""

GOOD_C = """/* SPDX-License-Identifier: Apache-2.0 */
/*
 * add.c: adds numbers.
 */
#include "base/add.h"

#include <stddef.h>

#include "base/status.h"

enum wr_status wr_add_two(int a, int b, int *ret_sum)
{
    if (a > 0 && b > 0) {
        *ret_sum = a + b;
    } else {
        *ret_sum = 0;
    }
    return WR_OK;
}
"""

STATUS_H = """/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status.h: outcomes.
 */
#ifndef WR_BASE_STATUS_H
#define WR_BASE_STATUS_H

enum wr_status { WR_OK };

#endif
"""


class Tree:
    """Files in a temporary folder."""

    def __init__(self, root):
        self.root = str(root)
        self.write("docs/architecture.md", TABLE)
        self.write("src/base/add.h", GOOD_H)
        self.write("src/base/add.c", GOOD_C)
        self.write("src/base/status.h", STATUS_H)

    def write(self, path, text):
        full = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as f:
            f.write(text if isinstance(text, bytes) else text.encode())

    def c_file(self, path, body, includes=""):
        """A .c file with the usual head."""
        self.write(path, "/* SPDX-License-Identifier: Apache-2.0 */\n/*\n * A file.\n */\n%s\n%s"
                   % (includes, body))

    def run(self, tool, *args):
        """(exit status, output) of a tool over this tree."""
        r = subprocess.run([sys.executable, os.path.join(TOOLS, tool), *args], cwd=self.root,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        return r.returncode, r.stdout.decode()

    def check(self, tool):
        return self.run(tool, "--root", self.root)


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


@pytest.fixture
def fsm_dot():
    spec = importlib.util.spec_from_file_location("fsm_dot", os.path.join(TOOLS, "fsm-dot.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
