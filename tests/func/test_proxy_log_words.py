# SPDX-License-Identifier: Apache-2.0
"""The words of the error log that operators look for: where a client's end met the request. tests/sim/test_up.c has
those of peers."""
import re

import pytest

from weirtest.client import build_request


def script(conn):
    req = conn.read_request(body=False)
    if "/body" in req.target:
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nbegin")
    conn.hold()


@pytest.mark.weir_only("nginx names another phase here and there, and epoll_wait()")
@pytest.mark.parametrize("method, target, part, words", [
    ("POST", "/hold", True, "client prematurely closed connection"),
    ("GET", "/hold", False, "client prematurely closed connection, so upstream connection is closed too "
                            "while reading response header from upstream"),
    ("POST", "/off/hold", True, "client prematurely closed connection, so upstream connection is closed too "
                                "while sending request to upstream"),
    ("GET", "/body", False, "client prematurely closed connection, so upstream connection is closed too "
                            "while reading upstream"),
    ("GET", "/off/body", False, "client prematurely closed connection, so upstream connection is closed too "
                                "while sending to client")])
def test_a_client_that_leaves(weir, origin, method, target, part, words):  # U3.3 U4.7 U6.8
    up = origin(script)
    server = weir("access_log {dir}/access.log; location / { proxy_pass http://{up}; } location /off { "
                  "proxy_request_buffering off; proxy_buffering off; proxy_pass http://{up}; }", up=up, workers=1)
    client = server.client()
    client.send(build_request(method, target, {"Content-Length": "100"} if part else {}) + (b"part" if part else b""))
    if not part or "/off" in target:
        up.wait_requests(1)
    if "/body" in target:
        client.read_until(b"begin")
    client.close()
    line = server.wait_log("client prematurely closed")[0]
    assert re.search(r"\[info\] [0-9#]+: \*[0-9]+ " + re.escape(words) + ", client: 127.0.0.1, server: ", line), line


def test_a_peer_that_takes_no_more(weir, origin):  # U3.3
    """It closes with bytes unread, or before they came: whichever call sees it first."""
    def closes(conn):
        conn.read_request(body=False)
    up = origin(closes)
    server = weir("client_max_body_size 0; location / { proxy_pass http://{up}; }", up=up, workers=1)
    client = server.client()
    body = b"x" * 3000000
    client.send_lenient(build_request("PUT", "/", {"Content-Length": str(len(body))}) + body)
    assert client.read_response().status == 502
    server.wait_log(r"((send|recv|writev|sendfile)\(\) failed \((104|32): .*\)|upstream prematurely closed connection) while "
                    r"(sending request to|reading response header from) upstream, client: .*upstream: ")
