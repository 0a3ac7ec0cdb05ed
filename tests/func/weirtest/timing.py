# SPDX-License-Identifier: Apache-2.0
"""Time limits. Every wait in the suite waits for a condition and has a limit from here.

WEIR_TEST_SLOW multiplies the limits (sanitizer builds, busy machines)."""
import os
import time

SLOW = float(os.environ.get("WEIR_TEST_SLOW", "1"))
LIMIT = 10.0 * SLOW


def wait_for(condition, what, limit=LIMIT):
    """Call condition() until it is true; returns its value. Raises AssertionError at the limit."""
    end = time.monotonic() + limit
    pause = 0.001
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {limit:.1f}s in vain for: {what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.02)


def in_time(attempt, limit, what="an attempt"):
    """For upper bounds of time: attempt() until one took less than limit seconds, as a busy machine may hold up any of them;
    returns the value of that one. What is always slower fails."""
    end = time.monotonic() + 3 * LIMIT
    took = []
    while len(took) < 3 or time.monotonic() < end:
        began = time.monotonic()
        value = attempt()
        took.append(time.monotonic() - began)
        if took[-1] < limit:
            return value
    raise AssertionError(f"{what} never took less than {limit} s: {min(took):.2f} s at best of {len(took)}")
