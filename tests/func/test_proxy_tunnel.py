# SPDX-License-Identifier: Apache-2.0
"""Upgrade: the tunnel behind a 101."""
import base64
import hashlib
import os
import struct
import time

import pytest

from weirtest.client import build_request
from weirtest.timing import SLOW

UPGRADE = """location / { proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";
             proxy_pass http://{up}; }"""
ASK = {"Connection": "Upgrade", "Upgrade": "echo"}
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def echo(conn):
    conn.read_request(body=False)
    conn.send(SWITCH)
    while True:
        data = conn.read_some()
        if not data:
            break
        conn.send(data)
    conn.half_close()


def open_tunnel(weir, up, conf=UPGRADE, early=b"", **more):
    client = weir(conf, up=up, **more).client()
    client.send(build_request("GET", "/t", ASK) + early)
    resp = client.read_response_head(interim=True)
    assert resp.status == 101 and resp.headers["Upgrade"] == "echo" and resp.headers["Connection"].lower() == "upgrade"
    return client


def test_echo(weir, origin):  # U9
    up = origin(echo)
    client = open_tunnel(weir, up)
    for data in (b"a", b"hello", b"\x00\xff\r\n" * 100, os.urandom(300000)):
        client.send(data)
        client.expect(data)
    assert up.requests[0].headers["Upgrade"] == "echo" and up.requests[0].headers["Connection"] == "upgrade"


def test_bytes_behind_the_request(weir, origin):
    client = open_tunnel(weir, origin(echo), early=b"early bytes")
    client.expect(b"early bytes")


def test_bytes_behind_the_answer(weir, origin):  # U9: already read ones first
    def script(conn):
        conn.read_request()
        conn.send(SWITCH + b"from the peer")
        conn.hold()
    client = open_tunnel(weir, origin(script))
    client.expect(b"from the peer")


@pytest.mark.weir_only("U9: half-close is passed on; nginx ends the tunnel")
def test_half_close_of_the_client_is_passed_on(weir, origin):
    def script(conn):
        conn.read_request()
        conn.send(SWITCH)
        got = conn.read_all()
        conn.send(b"got " + got)
    client = open_tunnel(weir, origin(script))
    client.send(b"question")
    client.half_close()
    assert client.read_all() == b"got question"


@pytest.mark.weir_only("U9: half-close is passed on both ways; nginx ends the tunnel when the peer closes")
def test_half_close_of_the_peer_is_passed_on(weir, origin):
    got = []

    def script(conn):
        conn.read_request()
        conn.send(SWITCH, b"bye")
        conn.half_close()
        got.append(conn.read_all())
    up = origin(script)
    client = open_tunnel(weir, up)
    assert client.read_all() == b"bye"
    client.send(b"still here")
    client.close()
    up.wait_end(0)
    assert got == [b"still here"]


def test_reset_of_the_client_ends_the_peer(weir, origin):
    up = origin(echo)
    client = open_tunnel(weir, up)
    client.send(b"x")
    client.expect(b"x")
    client.reset()
    up.wait_end(0)


def test_reset_of_the_peer_ends_the_client(weir, origin):
    def script(conn):
        conn.read_request()
        conn.send(SWITCH)
        conn.expect(b"x")
        conn.reset()
    client = open_tunnel(weir, origin(script))
    client.send(b"x")
    client.wait_closed()


def test_idle_limit(weir, origin):
    up = origin(echo)
    client = open_tunnel(weir, up, conf=UPGRADE.replace("proxy_pass", f"proxy_read_timeout {int(1000 * SLOW)}ms; proxy_pass"))
    client.send(b"x")
    client.expect(b"x")
    client.wait_closed()
    up.wait_end(0)


def test_idle_limit_is_told(weir, origin):  # U9
    server = weir(UPGRADE.replace("proxy_pass", "proxy_read_timeout 300ms; proxy_pass"),
                  up=origin(lambda c: (c.read_request(), c.send(SWITCH), c.hold())))
    client = server.client()
    client.send(build_request("GET", "/t", ASK))
    assert client.read_response_head(interim=True).status == 101
    client.wait_closed()
    server.wait_log(r"upstream timed out \(110: Connection timed out\) while proxying upgraded connection")


def test_a_client_that_only_listens_stays(weir, origin):  # U9: the peer has to talk, not the client
    def script(conn):
        conn.read_request()
        conn.send(SWITCH)
        for _ in range(10):
            time.sleep(0.3 * SLOW)  # below the limit each, above it together
            conn.send(b".")
        conn.hold()
    client = open_tunnel(weir, origin(script), conf=UPGRADE.replace("proxy_pass", f"proxy_read_timeout {int(2000 * SLOW)}ms; proxy_pass"))
    client.expect(b"..........")


def test_refused_upgrade_is_a_normal_response(weir, origin):
    up = origin(b"HTTP/1.1 400 Bad\r\nContent-Length: 2\r\n\r\nno")
    client = weir(UPGRADE, up=up).client()
    assert client.get("/", ASK).text == "no"
    assert client.get("/", ASK).text == "no"


@pytest.mark.weir_only("U5.4, U14.3; nginx 1.22 relays it")
def test_101_nobody_asked_for(weir, origin):  # U5.4
    up = origin(lambda c: (c.read_request(), c.send(SWITCH + b"evil"), c.hold()))
    server = weir("location / { proxy_http_version 1.1; proxy_set_header Connection ''; proxy_pass http://{up}; }",
                  up=up)
    assert server.get("/").status == 502


@pytest.mark.weir_only("U14.3: 101 only for the protocol asked for, on HTTP/1.1, with Connection: upgrade")
@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n",
                                    b"HTTP/1.1 101 X\r\nConnection: upgrade\r\n\r\n",
    b"HTTP/1.1 101 X\r\nUpgrade: echo\r\n\r\n", b"HTTP/1.0 101 X\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"])
def test_wrong_101(weir, origin, answer):
    up = origin(lambda c: (c.read_request(), c.send(answer + b"evil"), c.hold()))
    assert weir(UPGRADE, up=up).get("/", ASK).status == 502


@pytest.mark.weir_only("U14.3: Connection: upgrade on both sides; nginx asks only the Upgrade field of the client")
def test_client_without_connection_upgrade(weir, origin):
    up = origin(lambda c: (c.read_request(), c.send(SWITCH + b"evil"), c.hold()))
    assert weir(UPGRADE, up=up).get("/", {"Upgrade": "echo"}).status == 502


def frame(data, masked):
    """A final text frame of WebSocket."""
    head = bytes([0x81, (0x80 if masked else 0) | len(data)]) if len(data) < 126 else \
        bytes([0x81, (0x80 if masked else 0) | 126]) + struct.pack(">H", len(data))
    if not masked:
        return head + data
    key = os.urandom(4)
    return head + key + bytes(b ^ key[i % 4] for i, b in enumerate(data))


def read_frame(stream):
    first, size = stream.read_exact(2)
    assert first == 0x81
    length = size & 0x7f
    if length == 126:
        length = struct.unpack(">H", stream.read_exact(2))[0]
    key = stream.read_exact(4) if size & 0x80 else b"\0\0\0\0"
    return bytes(b ^ key[i % 4] for i, b in enumerate(stream.read_exact(length)))


def test_websocket_echo(weir, origin):
    def script(conn):
        req = conn.read_request()
        accept = base64.b64encode(hashlib.sha1(req.headers["Sec-WebSocket-Key"].encode() + GUID).digest()).decode()
        conn.send(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode())
        for _ in range(3):
            conn.send(frame(read_frame(conn), masked=False))
    client = weir(UPGRADE, up=origin(script)).client()
    key = base64.b64encode(os.urandom(16)).decode()
    client.send(build_request("GET", "/ws", {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": key,
                                             "Sec-WebSocket-Version": "13"}))
    resp = client.read_response_head(interim=True)
    assert resp.status == 101
    assert resp.headers["Sec-WebSocket-Accept"] == base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()
    for text in (b"one", b"t" * 1000, b""):
        client.send(frame(text, masked=True))
        assert read_frame(client) == text
    client.wait_closed()


def test_tunnel_is_logged(weir, origin):
    server = weir("access_log {dir}/access.log t; " + UPGRADE, up=origin(echo),
                  http="log_format t '$status $upstream_status';")
    client = server.client()
    client.send(build_request("GET", "/t", ASK))
    assert client.read_response_head(interim=True).status == 101
    client.send(b"x")
    client.expect(b"x")
    client.close()
    assert server.access(1) == ["101 101"]
