# SPDX-License-Identifier: Apache-2.0
"""Large transfers with checksums, ordinary clients, load of mixed requests."""
import hashlib
import http.client
import os
import shutil
import subprocess
import threading

import pytest

from weirtest.client import build_request
from weirtest.timing import LIMIT

PIECE = os.urandom(1 << 20)
COUNT = int(os.environ.get("WEIR_TEST_LARGE_MB", "64"))
OK = b"HTTP/1.1 200 OK\r\n"


def digest(count):
    made = hashlib.sha256()
    for number in range(count):
        made.update(number.to_bytes(4, "big") + PIECE[4:])
    return made.hexdigest()


WANT = digest(COUNT)
SIZE = COUNT * len(PIECE)


def pieces():
    for number in range(COUNT):
        yield number.to_bytes(4, "big") + PIECE[4:]


def read_digest(stream, size):
    made = hashlib.sha256()
    while size:
        data = stream.read_some()
        assert data, f"{size} bytes are missing"
        made.update(data[:size])
        assert len(data) <= size
        size -= len(data)
    return made.hexdigest()


def download(conn):
    for _ in conn.requests():
        conn.send(OK + b"Content-Length: %d\r\n\r\n" % SIZE)
        for piece in pieces():
            conn.send(piece)


def upload(conn):
    req = conn.read_request(body=False)
    if "Transfer-Encoding" in req.headers:
        made = hashlib.sha256()
        while True:
            data = conn.read_chunk()
            if not data:
                break
            made.update(data)
        conn.expect(b"\r\n")
        got = made.hexdigest()
    else:
        got = read_digest(conn, int(req.headers["Content-Length"]))
    conn.reply(got.encode())


@pytest.mark.parametrize("mode", ["proxy_buffering on;", "proxy_buffering off;", "proxy_max_temp_file_size 0;",
                                  "proxy_buffers 4 8k; proxy_busy_buffers_size 8k;"])
def test_download(weir, origin, mode):
    server = weir("location / { " + mode + " proxy_pass http://{up}; }", up=origin(download))
    client = server.client()
    client.send(build_request("GET", "/"))
    resp = client.read_response_head()
    assert resp.headers["Content-Length"] == str(SIZE)
    assert read_digest(client, SIZE) == WANT
    client.expect_open()


@pytest.mark.parametrize("mode", ["proxy_request_buffering on;", "proxy_request_buffering off;"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_upload(weir, origin, mode, framing):
    server = weir("client_max_body_size 0; location / { proxy_http_version 1.1; " + mode + " proxy_pass http://{up}; }",
                  up=origin(upload))
    client = server.client()
    if framing == "length":
        client.send(build_request("PUT", "/", {"Content-Length": str(SIZE)}))
        for piece in pieces():
            client.send(piece)
    else:
        client.send(build_request("PUT", "/", {"Transfer-Encoding": "chunked"}))
        for piece in pieces():
            client.send(b"%x\r\n" % len(piece) + piece + b"\r\n")
        client.send(b"0\r\n\r\n")
    assert client.read_response().text == WANT


def test_static_download(weir):
    server = weir("root {dir}; sendfile on;")
    with open(server.path("big"), "wb") as file:
        for piece in pieces():
            file.write(piece)
    client = server.client()
    client.send(build_request("GET", "/big"))
    assert client.read_response_head().status == 200
    assert read_digest(client, SIZE) == WANT


def test_http_client(weir, origin):
    server = weir("location / { proxy_pass http://{up}; }", up=origin())
    conn = http.client.HTTPConnection("127.0.0.1", server.port, timeout=LIMIT)
    for method, body in (("GET", None), ("POST", b"x" * 10000), ("PUT", iter([b"a", b"b"])), ("DELETE", None)):
        conn.request(method, "/x", body=body, encode_chunked=method == "PUT",
                     headers={"Transfer-Encoding": "chunked"} if method == "PUT" else {})
        resp = conn.getresponse()
        assert (resp.status, resp.read()) == (200, b"ok")
    conn.close()


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
def test_curl(weir, origin):
    server = weir("client_max_body_size 0; location / { proxy_pass http://{up}; }", up=origin())
    body = server.write("upload.bin", b"z" * 2000000)
    base = ["curl", "-sS", "--max-time", f"{2 * LIMIT:.0f}", "-w", " %{http_code}\n"]
    url = f"http://127.0.0.1:{server.port}/"
    for args in ([url, url], ["-T", body, url], ["-d", "@" + body, url], ["-H", "Transfer-Encoding: chunked", "-d",
                                                                          "@" + body, url],
                 ["--http1.0", url], ["-F", f"f=@{body}", url]):
        result = subprocess.run(base + args, capture_output=True, text=True, timeout=3 * LIMIT, check=False)
        assert set(result.stdout.splitlines()) == {"ok 200"}, (args, result)


def test_mixed_load(weir, origin):
    """Good, broken and cancelled requests from several threads; afterwards everything works."""
    def script(conn):
        for req in conn.requests():
            if "cut" in req.target:
                conn.send(OK + b"Content-Length: 50\r\n\r\nabc")
                return
            if "reset" in req.target:
                conn.reset()
                return
            try:
                conn.reply(b"r" * (hash(req.target) % 30000))
            except ConnectionError:          # weir closed it: the client has gone
                return
    up = origin(script)
    server = weir("""location / { proxy_http_version 1.1; proxy_set_header Connection ''; proxy_pass http://g; }
                     location /x { return 200 x; }""", http="upstream g { server {up} max_fails=0; keepalive 8; }",
                  up=up)
    problems = []

    def user(number):
        try:
            for i in range(100):
                kind = ("good", "good", "bad", "cut", "gone", "reset", "post")[(i + number) % 7]
                client = server.client()
                if kind == "bad":
                    client.send_lenient(b"BAD\r\n\r\n")
                elif kind == "post":
                    client.send(build_request("POST", "/post", body=b"p" * 20000))
                else:
                    client.send(build_request("GET", f"/{kind}{i}"))
                if kind == "gone":
                    client.reset()
                    continue
                if kind == "cut":
                    client.read_to_end()
                else:
                    status = client.read_response().status
                    if status != {"good": 200, "bad": 400, "reset": 502, "post": 200}[kind]:
                        problems.append((kind, status))
                client.close()
        except Exception as error:  # a thread's failure must reach the test
            problems.append(repr(error))
    threads = [threading.Thread(target=user, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems, problems[:5]
    assert server.get("/x").text == "x"
