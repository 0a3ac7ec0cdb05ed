# SPDX-License-Identifier: Apache-2.0
"""Malformed requests: each gets its status, its connection is closed, and the server goes on serving others.

Every row is sent on a connection of its own to one server; a valid pipelined request follows each row and must never
be answered."""
import pytest

from weirtest.client import build_request

STRICT = pytest.mark.weir_only("RFC 9110 and 9112 (issue section 5: strict parser); nginx is lenient here")
HOST = b"Host: x\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
BIG = b"a" * 9000


def get(line):
    """A GET with one more field line."""
    return b"GET / HTTP/1.1\r\nHost: x\r\n" + line + b"\r\n\r\n"


TABLE = [
    # the request line
    ("garbage", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, ()),
    ("only nul", b"\0\0\0\0\r\n\r\n", 400, ()),
    ("lower-case method", b"get / HTTP/1.1\r\n" + HOST + b"\r\n", 400, ()),
    ("method with a slash", b"GE/T / HTTP/1.1\r\n" + HOST + b"\r\n", 400, ()),
    ("method with a nul", b"GE\0T / HTTP/1.1\r\n" + HOST + b"\r\n", 400, ()),
    ("method with a control", b"GE\x01T / HTTP/1.1\r\n" + HOST + b"\r\n", 400, ()),
    ("method with a high byte", b"GE\x80T / HTTP/1.1\r\n" + HOST + b"\r\n", 400, ()),
    ("leading blank", b" GET / HTTP/1.1\r\n" + HOST + b"\r\n", 400, ()),
    ("no target", b"GET HTTP/1.1\r\n" + HOST + b"\r\n", 400, ()),
    ("empty target", b"GET  HTTP/1.1\r\n" + HOST + b"\r\n", 400, ()),
    ("target without a slash", b"GET abc HTTP/1.1\r\n" + HOST + b"\r\n", 400, ()),
    ("target with a tab", b"GET /a\tb HTTP/1.1\r\n" + HOST + b"\r\n", 400, ()),
    ("target with a nul", b"GET /a\0b HTTP/1.1\r\n" + HOST + b"\r\n", 400, ()),
    ("target with %00", b"GET /a%00b HTTP/1.1\r\n" + HOST + b"\r\n", 400, ()),
    ("target with a bad escape", b"GET /a%zz HTTP/1.1\r\n" + HOST + b"\r\n", 400, ()),
    ("target with half an escape", b"GET /a%4 HTTP/1.1\r\n" + HOST + b"\r\n", 400, ()),
    ("target with a control", b"GET /a\x01b HTTP/1.1\r\n" + HOST + b"\r\n", 400, ()),
    ("target with DEL", b"GET /a\x7fb HTTP/1.1\r\n" + HOST + b"\r\n", 400, ()),
    ("target above the root", b"GET /../x HTTP/1.1\r\n" + HOST + b"\r\n", 400, ()),
    ("target above the root, encoded", b"GET /a/%2e%2e/%2e%2e/x HTTP/1.1\r\n" + HOST + b"\r\n", 400, ()),
    ("target with a blank", b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n", 400, ()),
    ("absolute form without a host", b"GET http:///a HTTP/1.1\r\n" + HOST + b"\r\n", 400, ()),
    ("absolute form, one slash", b"GET http:/a HTTP/1.1\r\n" + HOST + b"\r\n", 400, ()),
    ("absolute form with a bad port", b"GET http://a:b/ HTTP/1.1\r\n" + HOST + b"\r\n", 400, ()),
    ("CONNECT", b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", (400, 405), ()),
    ("TRACE", b"TRACE / HTTP/1.1\r\n" + HOST + b"\r\n", 405, ()),
    ("version 2.0", b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 505, ()),
    ("version 9.9", b"GET / HTTP/9.9\r\n" + HOST + b"\r\n", 505, ()),
    ("version 0.9 by name", b"GET / HTTP/0.9\r\n" + HOST + b"\r\n", 400, ()),
    ("version without digits", b"GET / HTTP/a.b\r\n" + HOST + b"\r\n", 400, ()),
    ("version without a dot", b"GET / HTTP/11\r\n" + HOST + b"\r\n", (400, 505), ()),
    ("version in lower case", b"GET / http/1.1\r\n" + HOST + b"\r\n", 400, ()),
    ("version with a nul", b"GET / HTTP/1.1\0\r\n" + HOST + b"\r\n", 400, ()),
    ("another protocol", b"GET / RTSP/1.0\r\n" + HOST + b"\r\n", 400, ()),
    ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 505), ()),
    ("CR in the request line", b"GET / HTTP/1.1\rX: y\r\n" + HOST + b"\r\n", 400, ()),
    ("long request line", b"GET /" + BIG + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414, ()),
    ("long method", b"G" * 9000 + b" / HTTP/1.1\r\n" + HOST + b"\r\n", (400, 414), ()),
    # fields
    ("blank before the colon", get(b"A : b"), 400, ()),
    ("no name", get(b": b"), 400, ()),
    ("no colon", get(b"abc"), 400, (STRICT,)),
    ("nul in a name", get(b"A\0B: c"), 400, ()),
    ("nul in a value", get(b"A: b\0c"), 400, ()),
    ("CR in a value", get(b"A: b\rC: d"), 400, ()),
    ("folded line", get(b"A: b\r\n c"), 400, ()),
    ("folded first line", b"GET / HTTP/1.1\r\n x: y\r\n" + HOST + b"\r\n", 400, ()),
    ("control in a name", get(b"A\x01: c"), 400, ()),
    ("high byte in a name", get(b"A\xff: c"), 400, (STRICT,)),
    ("long field", get(b"A: " + BIG), 400, ()),
    ("long field name", get(BIG + b": a"), 400, ()),
    ("many fields", get(b"\r\n".join(b"X-%d: %s" % (i, b"v" * 500) for i in range(80))), 400, ()),
    # Host
    ("no Host", b"GET / HTTP/1.1\r\nA: b\r\n\r\n", 400, ()),
    ("two Hosts", get(b"Host: y"), 400, ()),
    ("same Host twice", get(b"Host: x"), 400, ()),
    ("Host with a slash", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, ()),
    ("Host with two dots", b"GET / HTTP/1.1\r\nHost: a..b\r\n\r\n", 400, ()),
    ("Host with a blank", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, ()),
    ("Host with a nul", b"GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n", 400, ()),
    ("Host with a control", b"GET / HTTP/1.1\r\nHost: a\x01b\r\n\r\n", 400, ()),
    ("Host with an open bracket", b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400, (STRICT,)),
    ("empty Host", b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, ()),
    ("Host of a dot", b"GET / HTTP/1.1\r\nHost: .\r\n\r\n", 400, ()),
    # framing
    ("bad Content-Length", POST + b"Content-Length: abc\r\n\r\n", 400, ()),
    ("negative Content-Length", POST + b"Content-Length: -1\r\n\r\n", 400, ()),
    ("signed Content-Length", POST + b"Content-Length: +1\r\n\r\n", 400, ()),
    ("hex Content-Length", POST + b"Content-Length: 0x10\r\n\r\n", 400, ()),
    ("empty Content-Length", POST + b"Content-Length:\r\n\r\n", 400, ()),
    ("fraction in Content-Length", POST + b"Content-Length: 1.5\r\n\r\n", 400, ()),
    ("blank in Content-Length", POST + b"Content-Length: 1 1\r\n\r\n", 400, ()),
    ("list in Content-Length", POST + b"Content-Length: 3, 3\r\n\r\nabc", 400, ()),
    ("overflowing Content-Length", POST + b"Content-Length: 99999999999999999999\r\n\r\n", (400, 413), ()),
    ("two Content-Lengths", POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400, ()),
    ("same Content-Length twice", POST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na", 400, ()),
    ("length and chunked", POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, ()),
    ("chunked and length", POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400, ()),
    ("chunked twice", POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", (400, 501),
     ()),
    ("chunked, chunked", POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", (400, 501), ()),
    ("unknown coding", POST + b"Transfer-Encoding: foo\r\n\r\n", 501, ()),
    ("gzip coding", POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501, ()),
    ("identity coding", POST + b"Transfer-Encoding: identity\r\n\r\n", (400, 501), ()),
    ("chunked hidden by vtab", POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", (400, 501), ()),
    ("chunked with a comma", POST + b"Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n", (400, 501), ()),
    ("empty Transfer-Encoding", POST + b"Transfer-Encoding:\r\n\r\n0\r\n\r\n", (400, 501), ()),
    ("chunked in HTTP/1.0", b"POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", (400, 501),
     ()),
    ("Transfer-Encoding in HTTP/1.0 GET", b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", (400, 501),
     ()),
    ("too large", POST + b"Content-Length: 2000000\r\n\r\n", 413, ()),
    ("unknown expectation", POST + b"Expect: 200-maybe\r\nContent-Length: 1\r\n\r\na", 417, (STRICT,)),
    # chunks (the location reads the body)
    ("chunk size not hex", CHUNKED + b"xyz\r\n", 400, ()),
    ("chunk size empty", CHUNKED + b"\r\n\r\n", 400, ()),
    ("chunk size negative", CHUNKED + b"-1\r\n\r\n", 400, ()),
    ("chunk size 0x", CHUNKED + b"0x1\r\na\r\n0\r\n\r\n", 400, ()),
    ("chunk size overflow", CHUNKED + b"fffffffffffffffff\r\n", 400, ()),
    ("chunk size near overflow", CHUNKED + b"7ffffffffffffff0\r\na", (400, 413), ()),
    ("chunk without CRLF", CHUNKED + b"1\r\naXX0\r\n\r\n", 400, ()),
    ("chunk longer than said", CHUNKED + b"1\r\nab\r\n0\r\n\r\n", 400, ()),
    ("chunk size with blank", CHUNKED + b" 1\r\na\r\n0\r\n\r\n", 400, ()),
    ("bare LF behind a size", CHUNKED + b"1\na\r\n0\r\n\r\n", 400, (STRICT,)),
    ("bare LF behind data", CHUNKED + b"1\r\na\n0\r\n\r\n", 400, (STRICT,)),
    ("bare CR in an extension", CHUNKED + b"1;a\rb\r\na\r\n0\r\n\r\n", 400, ()),
    ("bad trailer", CHUNKED + b"1\r\na\r\n0\r\nA\0: b\r\n\r\n", 400, (STRICT,)),
    ("long extension", CHUNKED + b"1;" + b"e" * 20000 + b"\r\na\r\n0\r\n\r\n", 400,
     (pytest.mark.weir_only("U14.2: chunk extensions are bounded"),)),
    ("long trailers", CHUNKED + b"1\r\na\r\n0\r\n" + b"T: v\r\n" * 20000 + b"\r\n", 400,
     (pytest.mark.weir_only("U14.2: trailers are bounded"),)),
    ("chunked too large", CHUNKED + b"1e8480\r\n" + b"x" * 100, 413, ()),
]


def make_rows():
    assert len({row[0] for row in TABLE}) == len(TABLE) >= 60
    return [pytest.param(data, status, id=name.replace(" ", "-"), marks=marks) for name, data, status, marks in TABLE]


@pytest.fixture(scope="module")
def server(weir_shared):
    up = weir_shared.origin()
    made = weir_shared.server("""
        lingering_timeout 300ms;
        location / { proxy_pass http://{up}; }
        location /alive { return 200 "alive"; }
    """, up=up)
    made.witness = made.client()
    made.up = up
    return made


@pytest.mark.parametrize("data,status", make_rows())
def test_malformed(server, data, status):
    client = server.client()
    client.send_lenient(data + build_request("GET", "/alive"))
    resp = client.read_response()
    allowed = status if isinstance(status, tuple) else (status,)
    assert resp.status in allowed, resp
    assert resp.headers["Connection"] == "close"
    assert client.wait_closed()
    # Others are not disturbed: neither an old connection nor a new one.
    assert server.witness.get("/alive").text == "alive"
    assert server.get("/alive").text == "alive"


def test_no_malformed_body_reached_the_peer(server):
    # The peer may see a valid request only; the strict reader of the peer has checked all it got.
    for req in server.up.requests:
        assert req.framing in ("none", "length", "chunked")


ACCEPTED = [
    ("bare LF lines", b"GET /alive HTTP/1.1\nHost: x\n\n"),
    ("empty value", b"GET /alive HTTP/1.1\r\nHost: x\r\nA:\r\n\r\n"),
    ("blanks around a value", b"GET /alive HTTP/1.1\r\nHost: x\r\nA: \t b \t \r\n\r\n"),
    ("no blank behind the colon", b"GET /alive HTTP/1.1\r\nHost:x\r\nA:b\r\n\r\n"),
    ("high bytes in a value", b"GET /alive HTTP/1.1\r\nHost: x\r\nA: \xff\xfe\r\n\r\n"),
    ("high bytes in the target", b"GET /alive?\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("unknown method", b"BREW /alive HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("fragment", b"GET /alive#frag HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("version 1.2", b"GET /alive HTTP/1.2\r\nHost: x\r\n\r\n"),
    ("Host with a port", b"GET /alive HTTP/1.1\r\nHost: x:8080\r\n\r\n"),
    ("Host as v6", b"GET /alive HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n"),
    ("Host with a final dot", b"GET /alive HTTP/1.1\r\nHost: x.\r\n\r\n"),
    ("leading zeros in a length", b"POST /alive HTTP/1.1\r\nHost: x\r\nContent-Length: 0001\r\n\r\na"),
    ("chunked in other case", b"POST /alive HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n"),
    ("chunk extension", b"POST /alive HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;a=b\r\na\r\n0\r\n\r\n"),
    ("chunk size with zeros", b"POST /alive HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                              b"0001\r\na\r\n000\r\n\r\n"),
    ("trailer", b"POST /alive HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nT: v\r\n\r\n"),
]


@pytest.mark.parametrize("data", [pytest.param(d, id=n.replace(" ", "-")) for n, d in ACCEPTED])
def test_unusual_but_valid(server, data):
    client = server.client()
    client.send(data)
    assert client.read_response().text == "alive"
    assert client.get("/alive").text == "alive"
    client.expect_open()
