# SPDX-License-Identifier: Apache-2.0
"""What a proxied 1 KB GET, and a file, cost in system calls: recv, send, recv, send and a share of one wait.

Counted by strace over a fixed number of requests on connections that exist already, access_log off. nginx spends one
more each; its limits here are what it was measured at, and prove the counting."""
import pytest

from weirtest.load import CallCount, ClosedLoop, PeerProcess, is_sanitized, processes_of, skip_loudly
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
    with CallCount(processes_of(server)) as count:
        loop.run(1600)
    loop.close()
    cost = count.total / 1600
    table = ", ".join(f"{name} {calls / 1600:.3f}" for name, calls in sorted(count.calls.items(), key=lambda item: -item[1]))
    print(f"{lines} {cost:.3f} calls a request: {table}")
    assert 3.0 <= cost <= (limit_nginx if IS_NGINX else limit) + (4 + 10 * count.seconds) / 1600, f"{cost:.3f} calls a request: {table}"
