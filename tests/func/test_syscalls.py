# SPDX-License-Identifier: Apache-2.0
"""What a proxied 1 KB GET costs in system calls: recv, send, recv, send and a share of one wait.

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
    # A handful of calls belongs to strace itself: attaching interrupts a wait.
    assert cost <= (limit_nginx if IS_NGINX else limit) + 4 / requests, f"{cost:.3f} calls a request: {table}"
