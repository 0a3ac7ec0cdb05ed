# SPDX-License-Identifier: Apache-2.0
"""tcp_nodelay and tcp_nopush, looked at in the server's own socket (pidfd_getfd) and by the packets that came."""
import ctypes
import os
import socket
import struct

import pytest

from weirtest.load import processes_of, skip_loudly
from weirtest.timing import wait_for

PIDFD_OPEN, PIDFD_GETFD = 434, 438
DATA_SEGS_IN = 152  # offset of tcpi_data_segs_in in struct tcp_info


def duplicate(pid, number):
    """A descriptor of another process, or None."""
    libc = ctypes.CDLL(None, use_errno=True)
    handle = libc.syscall(PIDFD_OPEN, pid, 0)
    if handle < 0:
        skip_loudly("no pidfd_open")
    try:
        got = libc.syscall(PIDFD_GETFD, handle, number, 0)
    finally:
        os.close(handle)
    return got if got >= 0 else None


def options_of(server, client):
    """TCP_NODELAY and TCP_CORK of the server's end of this connection."""
    name = client.sock.getsockname()
    for pid in processes_of(server):
        for entry in os.listdir(f"/proc/{pid}/fd"):
            try:
                if not os.readlink(f"/proc/{pid}/fd/{entry}").startswith("socket:"):
                    continue
            except OSError:
                continue
            number = duplicate(pid, int(entry))
            if number is None:
                skip_loudly("pidfd_getfd is not permitted")
            with socket.socket(fileno=number) as sock:
                try:
                    if sock.family == socket.AF_INET and sock.getpeername() == name:
                        return tuple(bool(sock.getsockopt(socket.IPPROTO_TCP, o))
                                     for o in (socket.TCP_NODELAY, socket.TCP_CORK))
                except OSError:
                    continue
    raise AssertionError("the server has no such connection")


@pytest.mark.parametrize("text,nodelay", [("", True), ("tcp_nodelay on;", True), ("tcp_nodelay off;", False)])
def test_nodelay(weir, text, nodelay):
    server = weir(text + "location / { return 200 ok; }")
    client = server.client()
    assert client.get("/").status == 200
    wait_for(lambda: options_of(server, client) == (nodelay, False), "the options")


@pytest.mark.weir_only("nginx never switches it off again")
def test_nodelay_follows_the_location(weir):
    server = weir("location /off { tcp_nodelay off; return 200 ok; } location / { return 200 ok; }")
    client = server.client()
    for path, nodelay in (("/off", False), ("/off", False), ("/", True), ("/off", False)):
        assert client.get(path).status == 200
        assert options_of(server, client) == (nodelay, False)


def segments(client, paths):
    """How many there were after each of the answers. The kernel holds back a part for 200 ms only: a thread that is not run
    for so long makes two of one."""
    counts = []
    for path in paths:
        assert client.get(path).body == (b"x" * 100 if path == "/a.txt" else b"")
        info = client.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        if len(info) < DATA_SEGS_IN + 4:
            skip_loudly("this kernel does not count segments")
        counts.append(struct.unpack_from("I", info, DATA_SEGS_IN)[0])
    return counts


@pytest.mark.parametrize("text", ["sendfile on; tcp_nopush on;", "sendfile off; tcp_nopush on;"])
def test_nopush(weir, text):
    """Head and file in one packet. Uncorked afterwards, or the next short answer would wait."""
    server = weir(text + "root {dir};", files={"a.txt": b"x" * 100})
    wait_for(lambda: segments(server.client(), ["/a.txt"] * 3) == [1, 2, 3], "a packet for each")
    client = server.client()
    client.get("/a.txt")
    wait_for(lambda: not options_of(server, client)[1], "the end of TCP_CORK")


@pytest.mark.weir_only("nginx sends the head by itself unless tcp_nopush is on")
@pytest.mark.parametrize("text", ["", "tcp_nodelay off;"])
def test_small_file_is_one_packet(weir, text):
    """Head and file in one packet (MSG_MORE), without an option set and taken back; a head alone does not wait."""
    server = weir(text + "root {dir}; location /none { return 204; }", files={"a.txt": b"x" * 100, "empty": b""})
    paths = ["/a.txt", "/empty", "/a.txt", "/none", "/a.txt"]
    wait_for(lambda: segments(server.client(), paths) == [1, 2, 3, 4, 5], "a packet for each")


def test_nopush_large_file(weir):
    data = os.urandom(3 << 20)
    server = weir("sendfile on; tcp_nopush on; root {dir};", files={"a.bin": data})
    client = server.client()
    for _ in range(2):
        assert client.get("/a.bin").body == data
    assert client.get("/none").status == 404
