# SPDX-License-Identifier: Apache-2.0
"""sub_filter: what is replaced, in which responses, over the borders of pieces, with variables."""
import threading

import pytest

from weirtest.client import build_request

FILES = {"h/a.html": b"<b>Hello</b> hello HELLO abab aab", "h/m.html": b"aaaaab abcabcabd xyz", "h/a.txt": b"hello", "h/v.html": b"host localhost end"}

SERVER = """
    root {dir}/h;
    location /one/ { sub_filter hello bye; alias {dir}/h/; }
    location /all/ { sub_filter_once off; sub_filter hello bye; alias {dir}/h/; }
    location /two/ { sub_filter hello bye; sub_filter ab X; alias {dir}/h/; }
    location /long/ { sub_filter_once off; sub_filter abc 1; sub_filter ab 2; sub_filter a 3; alias {dir}/h/; }
    location /short/ { sub_filter_once off; sub_filter a 3; sub_filter ab 2; sub_filter abc 1; alias {dir}/h/; }
    location /left/ { sub_filter_once off; sub_filter bcabcabd Q; sub_filter abcabd W; alias {dir}/h/; }
    location /again/ { sub_filter_once off; sub_filter aab Q; alias {dir}/h/; }
    location /after/ { sub_filter_once off; sub_filter b 2; sub_filter abcabd 3; sub_filter c 4; alias {dir}/h/; }
    location /once/ { sub_filter a 1; sub_filter b 2; sub_filter ab 3; alias {dir}/h/; }
    location /vars/ { sub_filter_once off; sub_filter $host "[$uri]"; sub_filter $arg_none x; sub_filter END ""; alias {dir}/h/; }
    location /novars/ { sub_filter $arg_none x; alias {dir}/h/; }
    location /kept/ { sub_filter_last_modified on; sub_filter a b; alias {dir}/h/; }
    location /types/ { sub_filter_types text/plain; sub_filter hello bye; alias {dir}/h/; }
    location /any/ { sub_filter_types *; sub_filter hello bye; default_type x/y; alias {dir}/h/; }
    location /404 { sub_filter_once off; sub_filter 404 405; default_type text/html; return 404 "404 404"; }
    location /outer/ { sub_filter a b; location /outer/in/ { sub_filter_once off; alias {dir}/h/; }
                       location /outer/own/ { sub_filter hello bye; alias {dir}/h/; } }
    location /gzip/ { gzip on; gzip_min_length 1; sub_filter hello bye; alias {dir}/h/; }
    location /up { sub_filter_once off; sub_filter needle N; sub_filter "\\n\\nx" y; proxy_http_version 1.1; proxy_pass http://{up}; }
    location /stream { sub_filter_once off; sub_filter needle N; proxy_buffering off; proxy_http_version 1.1; proxy_pass http://{up}; }
"""


@pytest.fixture(scope="module")
def server(weir_shared):
    return weir_shared.server(SERVER, http="types { text/html html; text/plain txt; }", files=FILES, up=weir_shared.origin(pieces))


def pieces(conn):
    """The body in pieces of as many bytes as the query says."""
    for req in conn.requests():
        size = int(req.target.rsplit("?", 1)[1])
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n")
        for at in range(0, len(BODY), size):
            conn.send(b"%x\r\n" % len(BODY[at:at + size]) + BODY[at:at + size] + b"\r\n")
        conn.send(b"0\r\n\r\n")


BODY = b"a needle, nneedle needlneedle \n\n\nx NEEDLE need" * 3 + b"needle"
WANT = b"a N, nN needlN \ny N need" * 3 + b"N"


@pytest.mark.parametrize("target, text", [
    ("/one/a.html", "<b>bye</b> hello HELLO abab aab"),
    ("/all/a.html", "<b>bye</b> bye bye abab aab"),
    ("/two/a.html", "<b>bye</b> hello HELLO Xab aab"),
    ("/long/m.html", "33332 112d xyz"),
    ("/short/m.html", "33333b 3bc3bc3bd xyz"),
    ("/left/m.html", "aaaaab aQ xyz"),
    ("/again/m.html", "aaaQ abcabcabd xyz"),
    ("/after/m.html", "aaaaa2 a243 xyz"),
    ("/once/m.html", "1aaa3 a2cabcabd xyz"),
    ("/vars/v.html", "host [/vars/v.html] "),
    ("/kept/m.html", "baaaab abcabcabd xyz"),
    ("/types/a.txt", "bye"),
    ("/types/a.html", "<b>bye</b> hello HELLO abab aab"),
    ("/any/a.txt", "bye"),
    ("/one/a.txt", "hello"),
    ("/404", "405 405"),
    ("/outer/in/m.html", "bbbbbb bbcbbcbbd xyz"),
    ("/outer/own/m.html", "aaaaab abcabcabd xyz"),
    ("/outer/own/a.html", "<b>bye</b> hello HELLO abab aab"),
])
def test_replaced(server, target, text):
    assert server.get(target).text == text


def test_head_of_the_response(server):
    plain, resp = server.get("/a.html"), server.get("/one/a.html")
    assert resp.framing == "chunked" and not {"Last-Modified", "ETag", "Accept-Ranges"} & set(resp.headers.names())
    resp = server.get("/kept/a.html")
    assert resp.headers["ETag"] == "W/" + plain.headers["ETag"] and resp.headers["Last-Modified"] == plain.headers["Last-Modified"]
    assert server.get("/one/a.html", {"Range": "bytes=0-3"}).status == 200
    head = server.request("HEAD", "/one/a.html")
    assert "Content-Length" not in head.headers and "ETag" not in head.headers
    assert server.get("/one/a.txt").headers["Content-Length"] == "5"


@pytest.mark.weir_only("nginx gives up the length for nothing")
def test_no_text_to_look_for(server):
    assert server.get("/novars/a.html").headers["Content-Length"] == str(len(FILES["h/a.html"]))


def test_before_gzip(server):
    import gzip
    resp = server.get("/gzip/a.html", {"Accept-Encoding": "gzip"})
    assert gzip.decompress(resp.body) == b"<b>bye</b> hello HELLO abab aab"


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 11, 46, 1000])
@pytest.mark.parametrize("path", ["/up", "/stream"])
def test_over_the_borders_of_pieces(server, size, path):
    want = WANT if path == "/up" else BODY.replace(b"needle", b"N").replace(b"NEEDLE", b"N")
    assert server.get(f"{path}?{size}").body == want


def test_large_body(weir, origin):
    body = (b"x" * 997 + b"needle") * 5000
    up = origin(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    server = weir("location / { sub_filter_once off; sub_filter needle pin; proxy_pass http://{up}; }", up=up)
    assert server.get("/").body == body.replace(b"needle", b"pin")


def test_what_begins_no_text_leaves_at_once(weir, origin):
    seen = [threading.Event() for _ in range(3)]

    def script(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        for i, event in enumerate(seen):
            conn.send(b"data: %d\n\n" % i)
            conn.wait(event)
        conn.close()
    server = weir("location / { sub_filter_types *; sub_filter data: DATA:; sub_filter_once off; proxy_buffering off; proxy_http_version 1.1; proxy_pass http://{up}; }",
                  up=origin(script))
    client = server.client()
    client.send(build_request("GET", "/"))
    client.read_response_head()
    for i, event in enumerate(seen):
        text = b""
        while not text.endswith(b"\n\n"):
            text += client.read_chunk()
        assert text == b"DATA: %d\n\n" % i
        event.set()


def test_truncated_peer_has_no_end(weir, origin):
    up = origin(lambda c: (c.read_request(), c.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 100\r\n\r\nneedle need"), c.close()))
    server = weir("location / { sub_filter needle pin; proxy_buffering off; proxy_pass http://{up}; }", up=up)
    client = server.client()
    client.send(build_request("GET", "/"))
    assert not client.read_to_end().endswith(b"0\r\n\r\n")


@pytest.mark.weir_only("nginx looks for the text in compressed bytes")
def test_an_encoded_body_is_left_alone(weir, origin):
    up = origin(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: x\r\nETag: \"a\"\r\nContent-Length: 6\r\n\r\nneedle")
    resp = weir("location / { sub_filter needle pin; proxy_pass http://{up}; }", up=up).get("/")
    assert resp.body == b"needle" and resp.headers["ETag"] == '"a"'


@pytest.mark.parametrize("text, words", [
    ("sub_filter;", 'invalid number of arguments in "sub_filter" directive'),
    ("sub_filter a b c;", 'invalid number of arguments in "sub_filter" directive'),
    ("sub_filter '' b;", "empty search pattern"),
    ("sub_filter $nope b;", 'unknown "nope" variable'),
    ("sub_filter_once x;", 'invalid value "x" in "sub_filter_once" directive, it must be "on" or "off"'),
    ("sub_filter_last_modified x;", 'invalid value "x" in "sub_filter_last_modified" directive, it must be "on" or "off"'),
    ("sub_filter_types;", 'invalid number of arguments in "sub_filter_types" directive'),
    ("location / { if ($host) { sub_filter a b; } }", '"sub_filter" directive is not allowed here'),
])
def test_words(command, text, words):
    made = command(text="events {} http { server { listen 127.0.0.1:{port}; " + text + " } }")
    run = made.command("-t")
    assert run.returncode == 1 and words in run.stderr
