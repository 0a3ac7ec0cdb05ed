# SPDX-License-Identifier: Apache-2.0
"""The helpers themselves: a harness that lets garbage pass proves nothing."""
import socket
import threading

import pytest

from weirtest import server as server_module
from weirtest.client import Client
from weirtest.http1 import Closed, ProtocolError, Stream
from weirtest.peer import Origin
from weirtest.server import BAD_LOG, Server
from weirtest.timing import wait_for

OK = b"HTTP/1.1 200 OK\r\n"


def feed(data, close=True):
    """A stream that holds these bytes."""
    near, far = socket.socketpair()

    def write():
        far.sendall(data)
        if close:
            far.close()
    threading.Thread(target=write, daemon=True).start()
    return Stream(near)


@pytest.mark.parametrize("data", [
    b"HTTP/1.1 200 OK\n\r\n\r\n", b"HTTP/2.0 200 OK\r\n\r\n", b"HTTP/1.1 20 OK\r\n\r\n", b"HTTP/1.1 200\r\n\r\n",
                                  b"garbage\r\n\r\n",
    b"HTTP/1.1  200 OK\r\n\r\n", b"HTTP/1.1 600 OK\r\n\r\n", b"HTTP/1.1 200 O\x01K\r\n\r\n", OK + b"A : b\r\n\r\n", OK +
                                  b": b\r\n\r\n",
    OK + b"A\r\n\r\n", OK + b"A: b\r\n c\r\n\r\n", OK + b"A: b\rc\r\n\r\n", OK + b"A: b\nC: d\r\n\r\n", OK +
                                  b"A: \0\r\n\r\n", OK + b"A(: b\r\n\r\n",
    OK + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na", OK + b"Content-Length: +1\r\n\r\na", OK +
                                  b"Content-Length: a\r\n\r\na",
    OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", OK +
                                  b"Transfer-Encoding: gzip\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", OK + b"Transfer-Encoding: chunked\r\n\r\nx\r\n",
    OK + b"Transfer-Encoding: chunked\r\n\r\n1;e\r\na\r\n0\r\n\r\n", OK +
                                  b"Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
    OK + b"Transfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n", OK +
                                  b"Transfer-Encoding: chunked\r\n\r\n0\r\nbad trailer\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 204 X\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"])
def test_reader_refuses(data):
    with pytest.raises(ProtocolError):
        feed(data).read_response()


@pytest.mark.parametrize("data", [b"", OK, OK + b"Content-Length: 2\r\n\r\na", OK +
                                  b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
                                  OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"])
def test_reader_sees_truncation(data):
    with pytest.raises(Closed):
        feed(data).read_response()


def test_reader_sees_bytes_behind_the_end():
    stream = feed(OK + b"Content-Length: 1\r\n\r\nab")
    stream.read_response()
    with pytest.raises(AssertionError):
        stream.expect_eof()


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
                                  b"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
                                  b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
                                  b"GET / HTTP/1.1\r\nHost: a\r\nA: b\rc\r\n\r\n"])
def test_peer_refuses(data):
    with pytest.raises(ProtocolError):
        feed(data).read_request()


def test_expect_shows_a_difference():
    with pytest.raises(AssertionError):
        feed(b"abd").expect(b"abc")


def test_a_failing_script_fails_the_test():
    def script(conn):
        conn.expect(b"never")
    origin = Origin(script)
    client = Client(("127.0.0.1", origin.port))
    client.send(b"other")
    origin.wait_end(0)
    with pytest.raises(AssertionError, match="never"):
        origin.check()
    origin.stop()
    client.close()


@pytest.mark.parametrize("line", ["x [alert] y", "[crit] y", "panic: z", "==1==ERROR: AddressSanitizer: heap",
                                  "a.c:1: runtime error: b",
                                  "Direct leak of 8 bytes", "WARNING: ThreadSanitizer: data race"])
def test_bad_log_lines_are_found(line):
    assert BAD_LOG.search(line)
    made = Server()
    made.write("error.log", line.encode() + b"\n")
    with pytest.raises(AssertionError):
        made.check_log()
    made.allowed = [".*"]
    made.check_log()
    made.remove()


def test_ports_are_reserved_and_differ():
    holders, ports = zip(*(server_module.reserve_port() for _ in range(50)))
    assert len(set(ports)) == 50
    for port in ports:
        with socket.socket() as sock:
            with pytest.raises(OSError):
                sock.bind(("127.0.0.1", port))       # without SO_REUSEADDR the port is taken
    for holder in holders:
        holder.close()


def test_placeholders():
    made = Server()
    made.names["name"] = "v"
    assert made.expand("{name} ${name} {unknown} a{2} {") == "v ${name} {unknown} a{2} {"
    assert made.expand("{port}") == made.expand("{port}") != made.expand("{port2}")
    made.remove()


def test_wait_for_has_a_limit():
    with pytest.raises(AssertionError, match="in vain"):
        wait_for(lambda: False, "nothing", limit=0.02)
