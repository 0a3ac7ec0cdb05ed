# SPDX-License-Identifier: Apache-2.0
"""The documents that are made from the tables are what the program prints now."""
import os
import subprocess

import pytest

from weirtest import server as server_module
from weirtest.timing import LIMIT

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@pytest.mark.weir_only("the tables are weir's")
def test_directives_document_is_current():
    printed = subprocess.run([server_module.BINARY, "--directives"], capture_output=True, text=True, timeout=LIMIT, check=True).stdout
    with open(os.path.join(ROOT, "docs", "directives.md"), encoding="utf-8") as f:
        assert f.read() == printed, "run: build/weir --directives > docs/directives.md"
