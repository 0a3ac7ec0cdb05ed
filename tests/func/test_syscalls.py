# SPDX-License-Identifier: Apache-2.0
"""What a proxied 1 KB GET, and a file, cost in system calls: recv, send, recv, send and a share of one wait.

Counted by strace over a fixed number of requests on connections that exist already, access_log off. nginx spends one
more each; its limits here are what it was measured at, and prove the counting."""
import socket
import struct

import pytest

from weirtest.load import CallCount, ClosedLoop, PeerProcess, is_sanitized, processes_of, skip_loudly, wait_until_calm
from weirtest.server import IS_NGINX

# connections: (requests, limit of calls a request, the same of nginx 1.22)
COSTS = {64: (3200, 4.5, 5.5), 1: (400, 6.0, 7.05)}


@pytest.mark.parametrize("connections", sorted(COSTS))
def test_calls_of_a_proxied_get(weir, connections):
    requests, limit, limit_nginx = COSTS[connections]
    with PeerProcess("fixed") as up:
        server = weir("access_log off; keepalive_requests 100000; location / { proxy_http_version 1.1;"
                      "proxy_set_header Connection ''; proxy_pass http://pool; }", workers=1,
                      http="upstream pool { server {up}; keepalive 128; keepalive_requests 100000; }", up=up)
        if is_sanitized(server):
            skip_loudly("a sanitizer in the program makes calls of its own")
        loop = ClosedLoop(("127.0.0.1", server.port), connections)
        loop.run(connections * 10)
        wait_until_calm(server)
        with CallCount(processes_of(server)) as count:
            loop.run(requests)
        loop.close()
    cost = count.total / requests
    table = ", ".join(f"{name} {calls / requests:.3f}" for name, calls in
                      sorted(count.calls.items(), key=lambda item: -item[1]))
    print(f"{connections} connections: {cost:.3f} calls a request: {table}")
    assert cost > 4.0, f"{cost:.3f} calls a request cannot be: {table}"
    # A handful of calls belongs to strace itself: attaching interrupts a wait; and some belong to timers.
    assert cost <= (limit_nginx if IS_NGINX else limit) + (4 + 10 * count.seconds) / requests, f"{cost:.3f} calls a request: {table}"


# lines of the server, size: (limit of calls a request, the same of nginx 1.22)
FILES = {"sendfile on;": (1024, 6.2, 7.2), "sendfile on; open_file_cache max=10;": (1024, 3.2, 4.2), "sendfile off;": (1024, 6.2, 6.2),
         "sendfile on; tcp_nopush on;": (65536, 8.2, 8.2), "sendfile on; open_file_cache max=10; aio threads;": (1024, 3.2, 12.0)}


@pytest.mark.parametrize("lines", sorted(FILES))
def test_calls_of_a_file(weir, lines):
    """recv, open, fstat, one read and one send, close; with open_file_cache recv, read, send."""
    size, limit, limit_nginx = FILES[lines]
    server = weir("access_log off; keepalive_requests 100000; root {dir}; " + lines, workers=1, files={"f": b"x" * size})
    if is_sanitized(server):
        skip_loudly("a sanitizer in the program makes calls of its own")
    loop = ClosedLoop(("127.0.0.1", server.port), 16, target="/f")
    loop.run(160)
    wait_until_calm(server)
    with CallCount(processes_of(server)) as count:
        loop.run(1600)
    loop.close()
    cost = count.total / 1600
    table = ", ".join(f"{name} {calls / 1600:.3f}" for name, calls in sorted(count.calls.items(), key=lambda item: -item[1]))
    print(f"{lines} {cost:.3f} calls a request: {table}")
    assert 3.0 <= cost <= (limit_nginx if IS_NGINX else limit) + (4 + 10 * count.seconds) / 1600, f"{cost:.3f} calls a request: {table}"


def segments_of(server, request):
    """The answer to a request that ends its connection, and the TCP segments in which all of it came."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as s:
        s.sendall(request)
        got = b""
        while True:
            part = s.recv(65536)
            if not part:
                break
            got += part
        info = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    # struct tcp_info: tcpi_segs_in is the 32-bit word at 140.
    return got, struct.unpack_from("=I", info, 140)[0]


@pytest.mark.weir_only("nginx sends the end of a connection by itself")
def test_the_last_response_and_the_end_of_its_connection_are_one_segment(weir):
    server = weir("location / { return 200 'all of it'; }  location /lingers { lingering_close always; return 200 'all of it'; }", workers=1)
    # SYN and ACK, the ACK of the request, the response with the FIN.
    for head in (b"GET / HTTP/1.0\r\nHost: a\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                 b"GET /lingers HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"):
        got, cnt = segments_of(server, head)
        assert got.endswith(b"\r\n\r\nall of it"), got
        assert cnt <= 3, f"{cnt} segments for {head}"
    # Who might send still is told at once: nothing is kept back for an end that may come as a RST.
    got, cnt = segments_of(server, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx")
    assert got.endswith(b"\r\n\r\nall of it") and cnt > 3, (got, cnt)
