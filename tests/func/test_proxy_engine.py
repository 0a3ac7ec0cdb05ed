# SPDX-License-Identifier: Apache-2.0
"""What is true of the mechanism as a whole: how connections are made, every known field's way, bounded memory, its one end."""
import socket

import pytest

from weirtest.client import build_request
from weirtest.load import descriptors, is_sanitized, processes_of, resident, settle
from weirtest.timing import wait_for

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
MB = 1 << 20


@pytest.mark.parametrize("kind", ["v4", "v6", "unix"])
def test_connects(weir, origin, tmp_path, kind):  # U3.1
    if kind == "unix":
        up = origin(OK, path=str(tmp_path / "s"))
    else:
        up = origin(OK, host={"v4": "127.0.0.1", "v6": "::1"}[kind])
    url = f"http://{up}:/x" if kind == "unix" else f"http://{up}/x"
    server = weir("location / { proxy_pass " + url + "; }", workers=1)
    assert server.get("/").text == "ok"
    assert up.requests[0].target == "/x"


def test_an_idle_connection_comes_first(weir, origin):  # U3.1 U10.1
    up = origin(OK)
    server = weir("location / { proxy_http_version 1.1; proxy_set_header Connection ''; proxy_pass http://g; }", workers=1,
                  up=up, http="upstream g { server {up}; keepalive 4; }")
    client = server.client()
    assert [client.get("/").text for _ in range(3)] == ["ok"] * 3
    assert up.connections == 1


def test_a_connect_is_bounded_and_blocks_nobody(weir, origin):  # U3.1 U7.4
    """A queue that is full answers no SYN: that request waits for proxy_connect_timeout, others do not."""
    full = socket.socket()
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    fillers = []
    address = full.getsockname()
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(address)
        fillers.append(filler)
    up = origin(OK)
    server = weir("location /full { proxy_connect_timeout 1s; proxy_pass http://127.0.0.1:%d; } "
                  "location / { proxy_pass http://{up}; }" % address[1], workers=1, up=up)
    slow = server.client()
    slow.send(build_request("GET", "/full"))
    for _ in range(20):
        assert server.get("/").text == "ok"
    assert slow.read_response().status == 504
    server.wait_log(r"upstream timed out \(110: .*\) while connecting to upstream")
    for sock in fillers + [full]:
        sock.close()


# Field of the peer -> what the client must see of it; None: nothing. The names are written in odd cases.
FIELDS = [
    ("dAtE", "Thu, 01 Jan 1970 00:00:00 GMT", None), ("sErVeR", "peer/1", None), ("x-PAD", "avoid", None),
    ("X-aCCel-Expires", "10", None), ("x-accel-LIMIT-rate", "0", None), ("X-Accel-Charset", "koi8-r", None),
    ("kEEp-Alive", "timeout=5", None), pytest.param("pRoXy-connection", "keep-alive", None,
                 marks=pytest.mark.weir_only("a field between two hops; nginx passes it")),
    ("cOnTeNt-tYpE", "text/odd", "text/odd"), ("eTaG", '"odd"', '"odd"'), ("LAST-modified", "Thu, 01 Jan 1970 00:00:01 GMT",
                                                                      "Thu, 01 Jan 1970 00:00:01 GMT"),
    ("sEt-CoOkIe", "a=b", "a=b"), ("vArY", "Accept", "Accept"), ("cAcHe-CoNtRoL", "no-cache", "no-cache"),
    ("eXpIrEs", "0", "0"), ("wWw-AuThEnTiCaTe", "Basic", "Basic"), ("cOnTeNt-eNcOdInG", "gzip", "gzip"),
    ("lInK", "</a>; rel=preload", "</a>; rel=preload"), ("X-oWn", "1", "1"), ("D-a-t-e", "1", "1"), ("Serve", "1", "1"),
    ("Servers", "1", "1")]


@pytest.mark.parametrize("name, value, seen", FIELDS)
def test_known_fields_by_name(weir_shared, field_server, name, value, seen):  # U5.5 U5.7
    server, say = field_server
    say["field"] = f"{name}: {value}\r\n".encode()
    resp = server.get("/")
    assert resp.text == "ok"
    found = [v for v in resp.headers.all(name) if v == value]
    assert found == ([] if seen is None else [seen]), resp.headers


@pytest.fixture(scope="module")
def field_server(weir_shared):
    say = {}

    def script(conn):
        for _ in conn.requests():
            conn.send(b"HTTP/1.1 200 OK\r\n" + say["field"] + b"Content-Length: 2\r\n\r\nok")
    up = weir_shared.origin(script)
    return weir_shared.server("location / { proxy_pass http://{up}; }", up=up, workers=1), say


@pytest.mark.parametrize("conf, allowance", [
    ("proxy_buffers 4 16k; proxy_max_temp_file_size 0;", 8), ("proxy_buffering off;", 8), ("proxy_buffers 4 16k;", 8)])
def test_slow_clients_cost_bounded_memory(weir, origin, conf, allowance):  # U6.4 U6.3
    """Twenty clients that read nothing of 20 MB each: what is held is the buffers, not the responses."""
    size, users = 20 * MB, 20
    piece = b"x" * 65536

    def script(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % size)
        try:
            for _ in range(size // len(piece)):
                conn.send(piece)
        except (OSError, TimeoutError):
            return
        conn.hold()
    up = origin(script)
    server = weir("sendfile on; location / { " + conf + " proxy_pass http://{up}; }", workers=1, up=up)
    assert server.get("/nothing-yet", {"Range": "bytes=0-0"}).status in (200, 206)
    pids = processes_of(server)
    before = resident(pids)
    clients = [server.client(rcvbuf=8192) for _ in range(users)]
    for client in clients:
        client.send(build_request("GET", "/"))
    for client in clients:
        assert client.read_response_head().status == 200
    wait_for(lambda: up.connections >= users, "all requests to be at the peer")
    held = resident(pids) - before
    # A sanitizer keeps what was freed for a while.
    assert held < allowance * (8 if is_sanitized(server) else 1) * MB
    for client in clients:
        client.reset()


@pytest.mark.parametrize("buffering", ["on", "off"])
def test_a_large_untouched_body_passes_as_it_is(weir, origin, buffering):  # U6.9
    body = bytes(range(256)) * (8 * MB // 256)

    def script(conn):
        for _ in conn.requests():
            conn.reply(body)
    up = origin(script)
    server = weir("location / { proxy_buffering " + buffering + "; proxy_pass http://{up}; }", workers=1, up=up)
    client = server.client()
    for _ in range(3):
        assert client.get("/").body == body


@pytest.mark.weir_only("U6.3: five bytes of a body go out at once; nginx holds them while it buffers")
def test_one_end_from_every_state(weir, origin):  # U8.1 U8.3 U4.7
    """Clients leave in every state the mechanism can wait in; each request is logged once, nothing is left behind."""
    def script(conn):
        req = conn.read_request(body=False)
        if "/head" in req.target:
            conn.hold()
        if req.target.startswith("/body"):
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nbegin")
            conn.hold()
        if req.target.startswith("/tunnel"):
            conn.send(b"HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nbegin")
            conn.hold()
        if req.target.startswith("/ok"):
            conn.read_exact(int(req.headers.get("Content-Length") or 0))
            conn.send(OK)
    up = origin(script)
    server = weir("access_log {dir}/access.log s; location / { proxy_pass http://g; } location /off { proxy_request_buffering off; "
                  "proxy_pass http://g; } location /tunnel { proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; "
                  "proxy_set_header Connection upgrade; proxy_pass http://g; } location /dead { proxy_connect_timeout 30s; "
                  "proxy_pass http://g; }",
                  workers=1, up=up, http="log_format s '$request_uri $status'; upstream g { server {up} max_conns=100; keepalive 8; }")
    assert server.get("/ok").text == "ok"
    pids = processes_of(server)
    before = settle(lambda: descriptors(pids))
    count = 0
    for how in ("close", "reset"):
        for wait, raw in [
                (None, build_request("POST", "/ok", {"Content-Length": "100"}) + b"part"),            # START
                ("head", build_request("GET", "/head")),                                              # TRY
                ("off", build_request("POST", "/off/head", {"Content-Length": "100"}) + b"part"),     # TRY, body flows
                ("body", build_request("GET", "/body")),                                              # RELAY
                ("tunnel", build_request("GET", "/tunnel", {"Upgrade": "x", "Connection": "upgrade"}))]:
            client = server.client()
            requests = len(up.requests)
            client.send(raw)
            if wait:
                up.wait_requests(requests + 1)
            if wait in ("body", "tunnel"):
                client.read_until(b"begin")
            getattr(client, how)()
            count += 1
            server.access(count + 1)
    assert server.get("/ok").text == "ok"
    lines = server.access(count + 2)
    assert len(lines) == count + 2       # each once
    assert sorted({line.split()[1] for line in lines}) == ["101", "200", "499"], lines
    settle(lambda: descriptors(pids))
    after = settle(lambda: descriptors(pids))
    assert abs(sum(after.values()) - sum(before.values())) <= 2, (before, after)
