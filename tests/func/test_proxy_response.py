# SPDX-License-Identifier: Apache-2.0
"""Responses of peers: framing, head, hop-by-hop, what is refused, what is cut."""
import pytest

from weirtest.http1 import Closed, ProtocolError

H11 = "proxy_http_version 1.1; "
PASS = "location / { " + H11 + "proxy_pass http://{up}; }"
OK = b"HTTP/1.1 200 OK\r\n"
STRICT = pytest.mark.weir_only("U5.3 (RFC 9112): refused; nginx 1.22 is lenient here")


def once(data, close=True):
    """A script: one request, these bytes, then close."""
    def script(conn):
        conn.read_request()
        conn.send(*(data if isinstance(data, (list, tuple)) else [data]))
        if not close:
            conn.hold()
    return script


def answer(weir, origin, data, method="GET", conf=PASS, headers=(), **more):
    server = weir(conf, up=origin(once(data)), **more)
    return server.request(method, "/", headers)


# framing (U6.5)

@pytest.mark.parametrize("buffering", ["on", "off"])
@pytest.mark.parametrize("data,body", [
    (OK + b"Content-Length: 5\r\n\r\nhello", b"hello"), (OK + b"Content-Length: 0\r\n\r\n", b""),
    (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"hello"),
    (OK + b"Transfer-Encoding: CHUNKED\r\n\r\n3\r\nhel\r\n002;ext=\"x\"\r\nlo\r\n0\r\n\r\n", b"hello"),
    (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b""), (OK + b"\r\nhello", b"hello"), (OK + b"\r\n", b""),
    (OK + b"Connection: close\r\n\r\nhello", b"hello"), (b"HTTP/1.0 200 OK\r\n\r\nhello", b"hello"),
    (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nT: v\r\n\r\n", b"hello")])
def test_framing(weir, origin, buffering, data, body):
    server = weir("location / { " + H11 + f"proxy_buffering {buffering}; proxy_pass http://{{up}}; }}",
                  up=origin(once(data)))
    client = server.client()
    resp = client.get("/")
    assert (resp.status, resp.body) == (200, body)
    assert client.get("/").body == body             # the client's connection lives on


def test_any_split_gives_the_same(weir, origin):  # U5.1
    data = b"HTTP/1.1 201 Made\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n5\r\nhello\r\n1;x\r\n!\r\n0\r\nT: v\r\n\r\n"
    at = iter(range(1, len(data)))

    def script(conn):
        conn.read_request()
        cut = next(at)
        conn.send(data[:cut])
        conn.send(data[cut:])
    client = weir(PASS, up=origin(script)).client()
    for _ in range(len(data) - 1):
        resp = client.get("/")
        assert (resp.status, resp.reason, resp.headers["X-A"], resp.body) == (201, "Made", "b", b"hello!")


def test_byte_by_byte(weir, origin):
    data = OK + b"Transfer-Encoding: chunked\r\nX-A: b\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    resp = answer(weir, origin, [data[i:i + 1] for i in range(len(data))])
    assert resp.body == b"hello"


TRUNCATED = [
    ("length", OK + b"Content-Length: 10\r\n\r\nhello"), ("length, no byte", OK + b"Content-Length: 10\r\n\r\n"),
    ("chunk", OK + b"Transfer-Encoding: chunked\r\n\r\n9\r\nhello"), ("between chunks", OK +
                                                                      b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
    ("last chunk", OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"),
    ("no chunk", OK + b"Transfer-Encoding: chunked\r\n\r\n"), ("large", OK + b"Content-Length: 1000000\r\n\r\n" +
                                                               b"x" * 500000),
]


@pytest.mark.parametrize("buffering", ["on", "off"])
@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("data", [pytest.param(d, id=n.replace(" ", "-")) for n, d in TRUNCATED])
def test_truncated_is_never_whole(weir, origin, buffering, how, data):  # U6.5, U8.2
    if how == "reset" and len(data) > 100000:
        pytest.skip("what a reset destroys on the way is the kernel's choice; small cases show the rule")

    def script(conn):
        conn.read_request()
        conn.send(data)
        if how == "reset":
            conn.reset()
    server = weir("location / { " + H11 +
                  f"proxy_buffering {buffering}; proxy_pass http://{{up}}; }} location /x {{ return 200 x; }}",
                  up=origin(script))
    client = server.client()
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /x HTTP/1.1\r\nHost: x\r\n\r\n")
    try:
        resp = client.read_response()
    except (Closed, ProtocolError):
        resp = None
    if resp is not None:
        assert how == "reset" and resp.status == 502     # the reset was seen before the head
    else:
        assert client.ended
        assert b"HTTP/1.1" not in bytes(client.buffer)   # the pipelined request is not answered
    assert server.get("/x").text == "x"


def test_truncated_is_logged(weir, origin):
    server = weir(PASS, up=origin(once(OK + b"Content-Length: 10\r\n\r\nhello")))
    client = server.client()
    client.send(b"GET /p HTTP/1.1\r\nHost: x\r\n\r\n")
    client.read_to_end()
    server.wait_log(r'\[error\] .*upstream prematurely closed connection while reading upstream, client: 127\.0\.0\.1, server: , '
                    r'request: "GET /p HTTP/1\.1", upstream: "http://127\.0\.0\.1:\d+/p", host: "x"')


def test_everything_before_the_break_is_delivered(weir, origin):  # U6.5
    server = weir(PASS, up=origin(once(OK + b"Content-Length: 1000000\r\n\r\n" + b"x" * 300000)))
    client = server.client()
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    client.read_head()
    assert client.read_to_end() == b"x" * 300000


@pytest.mark.parametrize("buffering", ["on", "off"])
@pytest.mark.parametrize("data", [
    OK + b"Content-Length: 2\r\n\r\nokJUNK", OK +
                                  b"Content-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    b"HTTP/1.1 204 No Content\r\n\r\nJUNK", b"HTTP/1.1 304 Not Modified\r\n\r\nJUNK",
    OK + b"Content-Length: 2\r\n\r\nok" + OK + b"Content-Length: 4\r\n\r\nevil"])
def test_nothing_behind_the_end(weir, origin, buffering, data):  # U5.3
    up = origin(once(data, close=False))
    server = weir("location / { " + H11 +
                  f"proxy_set_header Connection ''; proxy_buffering {buffering}; proxy_pass http://g; }}"
                  "location /x { return 200 x; }", http="upstream g { server {up}; keepalive 4; }", up=up)
    client = server.client()
    resp = client.get("/")
    assert resp.body in (b"ok", b"")
    assert client.get("/x").text == "x"
    client.get("/")                                   # on a new connection of the peer
    assert up.connections == 2


# HEAD, 204, 304 (U6.7)

@pytest.mark.parametrize("method,data,status", [
    ("HEAD", OK + b"Content-Length: 5\r\n\r\n", 200), ("HEAD", OK + b"Transfer-Encoding: chunked\r\n\r\n", 200),
                                                ("HEAD", OK + b"\r\n", 200),
    ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", 204), ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
                                                       304),
    ("GET", b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n", 304),
    pytest.param("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", 204,
                 marks=pytest.mark.weir_only("U6.7; nginx passes the length of a 204 on"))])
def test_no_body(weir, origin, method, data, status):
    up = origin(once(data, close=False))              # the peer keeps the connection open: we must not wait for it
    client = weir(PASS + "location /x { return 200 x; }", up=up).client()
    resp = client.request(method, "/")
    assert resp.status == status and resp.body == b""
    if status == 204:
        assert "Content-Length" not in resp.headers
    assert client.get("/x").text == "x"


def test_head_keeps_the_length(weir, origin):
    assert answer(weir, origin, OK + b"Content-Length: 5\r\n\r\n", "HEAD").headers["Content-Length"] == "5"


# the head

def test_head_passes(weir, origin):
    resp = answer(weir, origin, b"HTTP/1.1 299 Very Own Words\r\nX-A: 1\r\nx-b:2 \r\nX-A: 3\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
                                b"Content-Type: a/b\r\nLast-Modified: x\r\nETag: \"e\"\r\nCache-Control: no-store\r\nVary: *\r\n"
                                b"WWW-Authenticate: Basic\r\nContent-Length: 2\r\n\r\nok")
    assert (resp.status, resp.reason) == (299, "Very Own Words")
    assert resp.headers.all("X-A") == ["1",
                                       "3"] and resp.headers["X-B"] == "2" and resp.headers.all("Set-Cookie") == ["a=1",
                                                                                                                  "b=2"]
    for name, value in (("Content-Type", "a/b"), ("Last-Modified", "x"), ("ETag", '"e"'), ("Cache-Control", "no-store"),
                        ("Vary", "*"),
                        ("WWW-Authenticate", "Basic"), ("Content-Length", "2")):
        assert resp.headers[name] == value


def test_no_content_type_stays_none(weir, origin):
    assert "Content-Type" not in answer(weir, origin, OK + b"Content-Length: 2\r\n\r\nok").headers


def test_hidden_fields(weir, origin):  # U5.7
    data = OK + b"Date: peer\r\nServer: peer\r\nX-Pad: p\r\nX-Accel-Expires: 1\r\nX-Accel-Charset: utf-8\r\nX-Keep: k\r\nContent-Length: 0\r\n\r\n"
    resp = answer(weir, origin, data)
    assert resp.headers["Server"] != "peer" and resp.headers["Date"] != "peer" and resp.headers["X-Keep"] == "k"
    assert not [n for n in resp.headers.names() if n.startswith("x-accel") or n == "x-pad"]


def test_hide_header_and_pass_header(weir, origin):
    data = OK + b"Date: peer\r\nServer: peer\r\nX-Hide: h\r\nX-Pad: p\r\nContent-Length: 0\r\n\r\n"
    conf = "location / { proxy_hide_header x-hide; proxy_pass_header Server; proxy_pass_header Date; proxy_pass_header X-Pad; proxy_pass http://{up}; }"
    resp = answer(weir, origin, data, conf=conf)
    assert (resp.headers["Server"], resp.headers["Date"], resp.headers["X-Pad"]) == ("peer", "peer",
                                                                                     "p") and "X-Hide" not in resp.headers


def test_hidden_last_modified_does_not_come_back(weir, origin):
    data = OK + b"Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n"
    assert "Last-Modified" in answer(weir, origin, data).headers
    conf = "location / { proxy_hide_header Last-Modified; proxy_pass http://{up}; }"
    assert "Last-Modified" not in answer(weir, origin, data, conf=conf).headers


@pytest.mark.parametrize("name,value", [("Connection", "foo"), ("Keep-Alive", "timeout=5")])
def test_hop_by_hop_of_responses(weir, origin, name, value):
    resp = answer(weir, origin, OK + f"{name}: {value}\r\nContent-Length: 0\r\n\r\n".encode())
    assert resp.headers.get(name) in (None, "keep-alive")


@pytest.mark.weir_only("RFC 9110 7.6.1: the list of hop-by-hop fields is longer than nginx's")
@pytest.mark.parametrize("name", ["Proxy-Connection", "Upgrade", "TE"])
def test_more_hop_by_hop_of_responses(weir, origin, name):
    assert name not in answer(weir, origin, OK + f"{name}: x\r\nContent-Length: 0\r\n\r\n".encode()).headers


def test_redirect_default(weir, origin):  # U5.7
    up = origin(lambda c: [c.reply(status="302 Found",
                                   headers=[("Location", f"http://{c.origin}/y/to?a")]) for _ in c.requests()])
    server = weir("location /x/ { proxy_pass http://{up}/y/; } location /off/ { proxy_redirect off; proxy_pass http://{up}/y/; }"
                  "location /own/ { proxy_redirect http://{up}/y/ /mine/; proxy_pass http://{up}/; }", up=up)
    assert server.get("/x/a", {"Host": "h"}).headers["Location"] == f"http://h:{server.port}/x/to?a"
    assert server.get("/off/a").headers["Location"] == f"http://{up}/y/to?a"
    assert server.get("/own/a", {"Host": "h"}).headers["Location"] == f"http://h:{server.port}/mine/to?a"


@pytest.mark.parametrize("rest, is_ours", [("", False), ("/", True), ("/y", True), ("?a", False), ("0/y", False)])
def test_redirect_default_without_uri(weir, origin, rest, is_ours):  # U5.7: only what goes on with a path is replaced
    up = origin(lambda c: [c.reply(status="302 Found",
                                   headers=[("Location", f"http://{c.origin}{rest}")]) for _ in c.requests()])
    server = weir("location / { proxy_pass http://{up}; }", up=up)
    own = f"http://h:{server.port}" if is_ours else f"http://{up}"
    assert server.get("/", {"Host": "h"}).headers.get("Location") == own + rest


@pytest.mark.weir_only("U5.4; nginx 1.22 passes interim responses on as if they were final")
@pytest.mark.parametrize("data", [b"HTTP/1.1 100 Continue\r\n\r\n",
                                  b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 3,
                                  b"HTTP/1.1 102 Processing\r\n\r\n"])
def test_interim_is_skipped(weir, origin, data):  # U5.4
    assert answer(weir, origin, data + OK + b"Content-Length: 2\r\n\r\nok").body == b"ok"


INVALID = [
    ("garbage", b"garbage\r\n\r\nx", (STRICT,)), ("http09", b"<html>hello</html>", (STRICT,)), ("ssh", b"SSH-2.0-x\r\n",
                                                                                                (STRICT,)),
    ("bad version", b"HTTX/1.1 200 OK\r\n\r\n", (STRICT,)), ("short version", b"HTTP/1 200 OK\r\n\r\n", (STRICT,)),
           ("no status", b"HTTP/1.1\r\n\r\n", (STRICT,)),
    ("letters in status", b"HTTP/1.1 2x0 OK\r\n\r\n", (STRICT,)), ("two digits", b"HTTP/1.1 20 OK\r\n\r\n", (STRICT,)),
    ("blank first", b" HTTP/1.1 200 OK\r\n\r\n", (STRICT,)), ("empty", b"", ()), ("half a line", b"HTTP/1.1 200", ()),
    ("half a head", OK + b"A: b\r\n", ()), ("bad length", OK + b"Content-Length: x\r\n\r\n", (STRICT,)),
    ("negative length", OK + b"Content-Length: -1\r\n\r\n", (STRICT,)), ("two lengths", OK +
                                                                         b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", (STRICT,)),
    ("length list", OK + b"Content-Length: 1, 2\r\n\r\nab", (STRICT,)),
    ("overflowing length", OK + b"Content-Length: 99999999999999999999\r\n\r\n", (STRICT,)),
    ("length and chunked", OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", (STRICT,)),
    ("chunked and length", OK + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", (STRICT,)),
    ("unknown coding", OK + b"Transfer-Encoding: foo\r\n\r\nx", (STRICT,)), ("two codings", OK +
                                                                             b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", (STRICT,)),
    ("chunked twice", OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", (STRICT,)),
    ("nul in a value", OK + b"A: b\0c\r\n\r\n", ()), ("nul in a name", OK + b"A\0: c\r\n\r\n", ()),
    ("no colon", OK + b"abc\r\n\r\n", (STRICT,)), ("folded", OK + b"A: b\r\n c\r\n\r\n", ()),
    ("blank before the colon", OK + b"A : b\r\n\r\n", ()), ("no name", OK + b": b\r\n\r\n", ()),
    ("CR in a value", OK + b"A: b\rC: d\r\n\r\n", ()), ("status 000", b"HTTP/1.1 000 x\r\n\r\n", (STRICT,)),
    ("four digits", b"HTTP/1.1 2000 OK\r\n\r\n", (STRICT,)),
]


@pytest.mark.parametrize("data", [pytest.param(d, id=n.replace(" ", "-"), marks=m) for n, d, m in INVALID])
def test_invalid_head(weir, origin, data):  # U5.2, U5.3, U14.4
    server = weir(PASS + "location /x { return 200 x; }", up=origin(once(data)))
    client = server.client()
    resp = client.get("/")
    assert resp.status == 502 and "<title>502 Bad Gateway</title>" in resp.text
    assert client.get("/x").text == "x"


@pytest.mark.parametrize("data,message", [
    pytest.param(b"garbage\r\n\r\n", "upstream sent no valid HTTP", marks=STRICT),
    (OK + b"A\0: b\r\n\r\n", "upstream sent invalid header"), (OK + b"A: " + b"x" * 20000 + b"\r\n\r\n",
                                                               "upstream sent too big header while reading "
                                                                                                "response header from upstream"),
    (b"", "upstream prematurely closed connection while reading response header from upstream")])
def test_invalid_head_is_logged(weir, origin, data, message):
    server = weir(PASS, up=origin(once(data)))
    assert server.get("/").status == 502
    server.wait_log(r"\[error\] .*" + message)


def test_head_limit(weir, origin):  # U5.1
    def script(conn):
        for req in conn.requests():
            conn.send(OK + b"Content-Length: 0\r\nX-Big: " + b"x" * int(req.target[1:]) + b"\r\n\r\n")
    server = weir("proxy_buffer_size 2k; proxy_buffers 4 2k; " + PASS, up=origin(script))
    assert server.get("/1900").status == 200
    assert server.get("/2100").status == 502
    assert server.get("/100").status == 200


def test_endless_head_is_cut(weir, origin):  # U14.2
    up = origin(lambda c: (c.read_request(), c.send(OK + b"".join(b"X-%d: y\r\n" % i for i in range(3000)))))
    assert weir(PASS, up=up).get("/").status == 502


CHUNK_ERRORS = [("not hex", b"xyz\r\n", ()), ("overflow", b"fffffffffffffffff\r\n", ()), ("no CRLF", b"1\r\naXX", ()),
                ("negative", b"-1\r\n", ()),
                ("bare LF size", b"1\na\r\n0\r\n\r\n", (STRICT,)), ("bare LF data", b"1\r\na\n0\r\n\r\n", (STRICT,)),
                ("empty size", b"\r\n\r\n", ())]


@pytest.mark.parametrize("data", [pytest.param(d, id=n.replace(" ", "-"), marks=m) for n, d, m in CHUNK_ERRORS])
@pytest.mark.parametrize("late", [False, True])
def test_broken_chunks_cut_the_client(weir, origin, data, late):  # U5.3
    head = OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    client = weir("location / { " + H11 + "proxy_buffering off; proxy_pass http://{up}; }",
                  up=origin(once([head, data] if late else [head + data]))).client()
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    rest = client.read_to_end()
    if not rest.startswith(b"HTTP/1.1 502 "):
        assert b"\r\n0\r\n" not in rest


@pytest.mark.parametrize("mode", ["off", pytest.param("on",
                                                      marks=pytest.mark.weir_only("U6.1: in either mode; nginx holds it"))])
def test_head_goes_out_at_once(weir, origin, mode):  # U6.1
    def script(conn):
        conn.read_request()
        conn.send(OK + b"Content-Length: 2\r\n\r\n")
        conn.hold()
    client = weir(f"proxy_buffering {mode}; " + PASS, up=origin(script)).client()
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert client.read_response_head().status == 200


def test_intercept_errors(weir, origin):  # U5.8
    up = origin(lambda c: [c.reply(b"peer", req.target[1:] + " X") for req in c.requests()])
    server = weir("""proxy_intercept_errors on; error_page 404 503 /page; location / { proxy_pass http://{up}; }
                     location = /page { return 200 mine; }""", up=up)
    assert (server.get("/404").status, server.get("/404").text) == (404, "mine")
    assert server.get("/503").text == "mine" and server.get("/500").text == "peer" and server.get("/200").text == "peer"


def test_error_page_of_502(weir):
    server = weir("error_page 502 /page; location / { proxy_pass http://127.0.0.1:{port_closed}; } location = /page { return 200 mine; }")
    resp = server.get("/")
    assert (resp.status, resp.text) == (502, "mine")
