# SPDX-License-Identifier: Apache-2.0
"""stall_threshold: a thread that was held up is told of, by the limit of the configuration that holds."""
import pytest

from weirtest.timing import wait_for

pytestmark = pytest.mark.weir_only("stall_threshold is of nginx 1.29.0, the commercial one")

# An expression that takes long to find that it does not match, as somebody may write by mistake.
SLOW_REGEX = 'location ~ "^/(x+x+)+[yz]$" { return 200 y; } location / { return 200 n; }'
TARGET = "/" + "x" * 20


def test_stalls_are_told_and_a_reload_changes_the_limit(weir):
    server = weir(SLOW_REGEX, events="stall_threshold 1h;", allow=[r"pcre2_match\(\) failed"])  # it gives up after many steps
    for _ in range(20):
        server.get(TARGET)
    assert "held up" not in server.log()
    text = server.read("nginx.conf")
    server.write("nginx.conf", text.replace("stall_threshold 1h", "stall_threshold 1ms"))
    server.signal("HUP")
    wait_for(lambda: server.get(TARGET) and "held up" in server.log(), "the warning")
    server.wait_log(r"\[warn\].*loop was held up for \d+ ms by ")


@pytest.mark.parametrize("events,message", [
    ("stall_threshold;", 'invalid number of arguments in "stall_threshold" directive'), ("stall_threshold x;", '"stall_threshold" directive invalid value'),
    ("stall_threshold 1s; stall_threshold 1s;", '"stall_threshold" directive is duplicate')])
def test_bad_values(command, events, message):
    result = command("return 200;", events=events).command("-t")
    assert result.returncode == 1 and message in result.stderr


def test_place(command):
    result = command("stall_threshold 1s;").command("-t")
    assert result.returncode == 1 and '"stall_threshold" directive is not allowed here' in result.stderr
    assert command("return 200;", events="stall_threshold 0;").command("-t").returncode == 0
