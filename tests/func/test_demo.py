# SPDX-License-Identifier: Apache-2.0
"""`weir demo`: every command that it prints works as printed, and Ctrl-C leaves nothing behind."""
import os
import re
import shutil
import signal
import socket
import subprocess

import pytest

from weirtest import server as server_module
from weirtest.timing import LIMIT

pytestmark = pytest.mark.weir_only("the demonstration is weir's")


def read_intro(process):
    text = ""
    for line in process.stdout:
        text += line
        if "Ctrl-C" in line:
            return text
    raise AssertionError("the demonstration ended: " + text)


def test_printed_commands_work():
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    process = subprocess.Popen([server_module.BINARY, "demo"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        intro = read_intro(process)
        folder = os.path.dirname(re.search(r"configuration: (\S+)", intro).group(1))
        commands = [line.strip() for line in intro.splitlines() if line.startswith("  ") and "curl" in line]
        assert len(commands) == 5
        out = []
        for command in commands:
            done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=6 * LIMIT)
            assert done.returncode == 0, (command, done.stdout[-500:], done.stderr[-500:])
            out.append(done.stdout.decode("latin-1"))
        assert "peer" in out[0].lower()
        assert re.search(r"10[0-9]{7} bytes", out[2]), out[2]
        assert out[3].count("data:") == 5
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=2 * LIMIT)
    assert process.returncode == 0
    assert not os.path.exists(folder)


def test_demos_at_once_have_ports_of_their_own():
    """Sockets that share a port would not tell."""
    demos = [subprocess.Popen([server_module.BINARY, "demo"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
             for _ in range(5)]
    try:
        ports = {re.search(r"127\.0\.0\.1:(\d+)", read_intro(demo)).group(1) for demo in demos}
        assert len(ports) == len(demos), ports
    finally:
        for demo in demos:
            demo.send_signal(signal.SIGINT)
        for demo in demos:
            demo.communicate(timeout=2 * LIMIT)


def test_connections_that_end_at_once_end_nothing_else():
    """The thread of a connection may be over before the one that started it looks at it again."""
    process = subprocess.Popen([server_module.BINARY, "demo"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        conf = re.search(r"configuration: (\S+)", read_intro(process)).group(1)
        with open(conf, encoding="utf-8") as file:
            ports = [int(port) for port in re.findall(r"server 127\.0\.0\.1:(\d+) ", file.read())]
        assert len(ports) == 3
        for i in range(3000):
            socket.create_connection(("127.0.0.1", ports[i % 3]), timeout=LIMIT).close()
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=2 * LIMIT)
    assert process.returncode == 0
