# SPDX-License-Identifier: Apache-2.0
"""What the error log says of a head that is refused: one line at info, in nginx's words, with the reason that the
parser knows. What is ours alone is marked."""
import re

import pytest

OURS = pytest.mark.weir_only("other words, or nginx takes it")
HEAD = "while reading client request headers"
LINE = "while reading client request line"
HOST = b"Host: x\r\n"
GET = b"GET / HTTP/1.1\r\n"
POST = b"POST / HTTP/1.1\r\n" + HOST

TABLE = [
    ("method", b"G@T / HTTP/1.1\r\n\r\n", 400, f"client sent invalid method {LINE}", ()),
    ("lower-case method", b"get / HTTP/1.1\r\n\r\n", 400, f"client sent invalid method {LINE}", ()),
    ("target", b"GET a HTTP/1.1\r\n\r\n", 400, f"client sent invalid request {LINE}", ()),
    ("escape", b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400, f"client sent invalid request {LINE}", ()),
    ("protocol", b"GET / HTTX/1.1\r\n\r\n", 400, f"client sent invalid request {LINE}", ()),
    ("version", b"GET / HTTP/2.0\r\n\r\n", 505, f"client sent invalid version {LINE}", ()),
    ("long line", b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", 414, f"client sent too long URI {LINE}", ()),
    ("empty lines", b"\r\n" * 9 + GET + HOST + b"\r\n", 400,
     f"client sent too many empty lines before the request {LINE}", (OURS,)),
    ("no host", GET + b"\r\n", 400, f'client sent HTTP/1.1 request without "Host" header {HEAD}', ()),
    ("empty host", GET + b"Host:\r\n\r\n", 400, f"client sent invalid host header {HEAD}", ()),
    ("bad host", GET + b"Host: a/b\r\n\r\n", 400, f"client sent invalid host header {HEAD}", ()),
    ("two hosts", GET + b"Host: a\r\nHost: b\r\n\r\n", 400,
     f'client sent duplicate host header: "Host: b", previous value: "Host: a" {HEAD}', ()),
    ("name with a blank", GET + HOST + b"a b: c\r\n\r\n", 400, 'client sent invalid header line: "a', ()),
    ("no colon", GET + HOST + b"foo\r\n\r\n", 400, f'client sent invalid header line: "foo" {HEAD}', (OURS,)),
    ("nul", GET + HOST + b"a: \0c\r\n\r\n", 400, r'client sent invalid header line: "a: \x00..." ' + HEAD, ()),
    ("long field", GET + HOST + b"A: " + b"a" * 9000 + b"\r\n\r\n", 400, 'client sent too long header line: "A: aaa', ()),
    ("long head", GET + HOST + b"".join(b"A%d: %s\r\n" % (i, b"a" * 7000) for i in range(6)) + b"\r\n", 400,
     f"client sent too large request {HEAD}", (OURS,)),
    ("many fields", GET + HOST + b"a: b\r\n" * 1100 + b"\r\n", 400, f"client sent too many header lines {HEAD}", ()),
    ("length", POST + b"Content-Length: x\r\n\r\n", 400, f'client sent invalid "Content-Length" header {HEAD}', ()),
    ("two lengths", POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400,
     f'client sent duplicate header line: "Content-Length: 2", previous value: "Content-Length: 1" {HEAD}', ()),
    ("both framings", POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400,
     f'client sent "Content-Length" and "Transfer-Encoding" headers at the same time {HEAD}', ()),
    ("two codings", POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400,
     'client sent duplicate header line: "Transfer-Encoding: chunked"', ()),
    ("coding", POST + b"Transfer-Encoding: gzip\r\n\r\n", 501, f'client sent unknown "Transfer-Encoding": "gzip" {HEAD}', ()),
    ("coding of 1.0", b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400,
     f'client sent HTTP/1.0 request with "Transfer-Encoding" header {HEAD}', ()),
    ("TRACE", b"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", 405, f"client sent TRACE method {HEAD}", ()),
    ("expect", GET + HOST + b"Expect: x\r\n\r\n", 417, f'client sent unknown "Expect" header {HEAD}', (OURS,)),
]


@pytest.mark.parametrize("data,status,words", [pytest.param(d, s, w, id=n.replace(" ", "-"), marks=m)
                                               for n, d, s, w, m in TABLE])
def test_refusal(weir, data, status, words):
    server = weir("location / { return 200 ok; }")
    resp = server.raw(data)
    assert resp.status == status and resp.headers["Connection"] == "close"
    assert f"<h1>{status} ".encode() in resp.body
    server.wait_log(re.escape(words))
    lines = [x for x in server.log().splitlines() if "client sent" in x]
    assert len(lines) == 1 and "[info]" in lines[0] and ", client: 127.0.0.1, server: " in lines[0], lines


@pytest.mark.parametrize("data,where", [
    pytest.param(b"GE", LINE, marks=pytest.mark.weir_only("nginx closes without a word")),
    (b"GET / HTTP/1.1\r\nHo", HEAD)])
def test_timeout(weir, data, where):
    server = weir("client_header_timeout 200ms; location / { return 200 ok; }")
    client = server.client()
    client.send(data)
    client.read_to_end()
    server.wait_log(r"\[info\].*client timed out \(110: Connection timed out\) " + where)


@pytest.mark.parametrize("buffering", ["on", "off"])
def test_invalid_chunk_is_told(weir, origin, buffering):
    up = origin(lambda c: c.read_to_end())
    server = weir(f"location / {{ proxy_http_version 1.1; proxy_request_buffering {buffering};"
                  "proxy_pass http://{up}; }", up=up)
    client = server.client()
    client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
    assert client.read_response(method="POST").status == 400
    server.wait_log("client sent invalid chunked body")
    assert "prematurely" not in server.log()
