# SPDX-License-Identifier: Apache-2.0
"""gzip, brotli, zstd, gunzip and *_static: which responses, which clients, bytes, streams, truncation, slow clients."""
import gzip
import os
import shutil
import subprocess
import threading
import time
import zlib

import pytest

from weirtest.client import build_request
from weirtest.timing import LIMIT

BROTLI, ZSTD = shutil.which("brotli"), shutil.which("zstd")
CODECS = pytest.mark.weir_only("brotli and zstd are no part of nginx")
TEXT = b"hello world " * 100
PACKED = gzip.compress(TEXT, mtime=0)
GZIP = {"Accept-Encoding": "gzip"}


def unpack(coding, data):
    if coding is None:
        return data
    if coding == "gzip":
        return gzip.decompress(data)
    tool = {"br": BROTLI, "zstd": ZSTD}[coding]
    if tool is None:
        pytest.skip(f"there is no program for {coding} here")
    return subprocess.run([tool, "-dc"], input=data, stdout=subprocess.PIPE, check=True).stdout


FILES = {"h/a.html": TEXT, "h/a.txt": TEXT, "h/a.css": TEXT, "h/short.html": b"x" * 19, "h/just.html": b"x" * 20, "h/a.gz": PACKED,
         "h/empty.html": b"", "h/two.gz": PACKED + PACKED, "s/both.txt": TEXT, "s/both.txt.gz": PACKED, "s/only.txt.gz": PACKED,
         "s/none.txt": TEXT, "h/big.txt": os.urandom(64) * 4096}

HTTP = 'types { text/html html; text/plain txt; text/css css; } log_format ratio "$uri $gzip_ratio"; gzip_types text/plain;'

SERVER = """
    root {dir}/h; gzip on;
    location /vary/ { gzip_vary on; alias {dir}/h/; }
    location /off/ { gzip off; alias {dir}/h/; location /off/if/ { if ($arg_on) { gzip on; } alias {dir}/h/; } }
    location /any/ { gzip_types *; alias {dir}/h/; }
    location /own/ { gzip_types text/css; gzip_min_length 19; gzip_comp_level 9; gzip_http_version 1.0; alias {dir}/h/; }
    location /agent/ { gzip_disable "bad(bot)?/" msie6; alias {dir}/h/; }
    location /403 { default_type text/html; return 403 "a longer text than twenty bytes"; }
    location /500 { default_type text/html; return 500 "a longer text than twenty bytes"; }
    location /201 { default_type text/html; return 201 "a longer text than twenty bytes"; }
    location /204 { return 204; }
    location /up/ { gzip_vary on; proxy_pass http://{up}; }
    location /ratio/ { access_log {dir}/ratio ratio; alias {dir}/h/; }
    location /static/ { gzip_static on; gzip_vary on; alias {dir}/s/; }
    location /always/ { gzip_static always; alias {dir}/s/; }
    location /gunzipped/ { gzip_static always; gunzip on; alias {dir}/s/; }
    location /gunzip/ { gunzip on; gzip off; gzip_vary on; proxy_pass http://{up}; }
"""

ANSWERS = {
    "typed": b"Content-Type: Text/HTML; charset=x\r\n", "untyped": b"", "encoded": b"Content-Type: text/html\r\nContent-Encoding: br\r\n",
    "varied": b"Content-Type: text/html\r\nVary: Accept-Encoding, X\r\n", "weak": b'Content-Type: text/html\r\nETag: W/"a"\r\n',
    "strong": b'Content-Type: text/html\r\nETag: "a"\r\nAccept-Ranges: bytes\r\n', "odd": b"Content-Type: text/html\r\nETag: abc\r\n",
}


def answer(conn):
    for req in conn.requests():
        name = req.target.rsplit("/", 1)[1]
        head, body = b"200 OK\r\n" + ANSWERS.get(name, b"Content-Type: text/html\r\n"), TEXT
        if name.endswith(".gz"):
            body = {"one.gz": PACKED, "two.gz": PACKED + PACKED, "padded.gz": PACKED + b"\0" * 9, "cut.gz": PACKED[:-5], "bad.gz": PACKED[:20] + b"????"}[name]
            head += b"Content-Encoding: gzip\r\nETag: \"x\"\r\n"
        if name == "206":
            head = b"206 Partial Content\r\nContent-Type: text/html\r\nContent-Range: bytes 0-1199/2000\r\n"
        if name == "304":
            head, body = b'304 Not Modified\r\nETag: "a"\r\n', b""
        conn.send(b"HTTP/1.1 " + head + (b"" if name == "304" else b"Content-Length: %d\r\n" % len(body)) + b"\r\n" +
                  (b"" if req.method == "HEAD" else body))


@pytest.fixture(scope="module")
def server(weir_shared):
    return weir_shared.server(SERVER, http=HTTP, files=FILES, up=weir_shared.origin(answer), allow=["failed", "inflate"])


@pytest.mark.parametrize("target, headers, coding", [
    ("/a.html", {}, None),
    ("/a.html", GZIP, "gzip"),
    ("/a.txt", GZIP, "gzip"),
    ("/a.css", GZIP, None),
    ("/any/a.css", GZIP, "gzip"),
    ("/own/a.css", GZIP, "gzip"),
    ("/own/a.txt", GZIP, None),
    ("/own/a.html", GZIP, "gzip"),
    ("/short.html", GZIP, None),
    ("/own/short.html", GZIP, "gzip"),
    ("/just.html", GZIP, "gzip"),
    ("/empty.html", GZIP, None),
    ("/off/a.html", GZIP, None),
    ("/off/if/a.html", GZIP, None),
    ("/off/if/a.html?on=1", GZIP, "gzip"),
    ("/403", GZIP, "gzip"),
    ("/none.html", GZIP, "gzip"),
    ("/500", GZIP, None),
    ("/201", GZIP, None),
    ("/204", GZIP, None),
    ("/agent/a.html", GZIP, "gzip"),
    ("/agent/a.html", {**GZIP, "User-Agent": "BadBot/1"}, None),
    ("/agent/a.html", {**GZIP, "User-Agent": "Mozilla/4.0 (compatible; MSIE 6.0; Windows)"}, None),
    ("/agent/a.html", {**GZIP, "User-Agent": "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1; SV1)"}, "gzip"),
    ("/agent/a.html", {**GZIP, "User-Agent": "Mozilla/4.0 (compatible; MSIE 5.5)"}, None),
    ("/agent/a.html", {**GZIP, "User-Agent": "Mozilla/4.0 (compatible; MSIE 7.0)"}, "gzip"),
    ("/up/typed", GZIP, "gzip"),
    ("/up/untyped", GZIP, None),
    ("/up/encoded", GZIP, "br"),
    ("/up/206", GZIP, None),
    ("/a.html", {"Accept-Encoding": "gzip;q=0"}, None),
    ("/a.html", {"Accept-Encoding": "gzip ; q=0.000"}, None),
    ("/a.html", {"Accept-Encoding": "gzip;q=0.001"}, "gzip"),
    ("/a.html", {"Accept-Encoding": "deflate, GZip;q=0.8"}, "gzip"),
    ("/a.html", {"Accept-Encoding": "deflate"}, None),
    ("/a.html", {"Accept-Encoding": "gzipped"}, None),
    ("/a.html", {"Accept-Encoding": ""}, None),
])
def test_which(server, target, headers, coding):
    plain, resp = server.get(target), server.get(target, headers)
    assert resp.headers.get("Content-Encoding") == coding and resp.status == plain.status
    if coding == "gzip":
        assert unpack(coding, resp.body) == plain.body
        assert "Content-Length" not in resp.headers and "Accept-Ranges" not in resp.headers
        assert resp.headers.get("Content-Type") == plain.headers.get("Content-Type")
    else:
        assert resp.body == plain.body


@pytest.mark.weir_only("nginx knows the word gzip only; RFC 9110 has *, x-gzip and weights of identity")
@pytest.mark.parametrize("accept, coding", [("*", "gzip"), ("*;q=0", None), ("x-gzip", "gzip"), ("identity;q=0.9, gzip;q=0.5", None),
                                            ("identity;q=0.5, gzip;q=0.5", "gzip"), ("gzip;q=0, *", None), ("br, *;q=0.1", "gzip"),
                                            ("gzip;q=2", None), ("gzip;q=x", None)])
def test_weights(server, accept, coding):
    assert server.get("/a.html", {"Accept-Encoding": accept}).headers.get("Content-Encoding") == coding


@pytest.mark.parametrize("target, tag", [("/up/strong", 'W/"a"'), ("/up/weak", 'W/"a"'), ("/up/odd", None)])
def test_entity_tag_becomes_weak(server, target, tag):
    assert server.get(target, GZIP).headers.get("ETag") == tag


@pytest.mark.parametrize("target, headers, vary", [
    ("/vary/a.html", GZIP, ["Accept-Encoding"]), ("/vary/a.html", {}, ["Accept-Encoding"]), ("/vary/short.html", GZIP, []),
    ("/vary/a.css", {}, []), ("/a.html", GZIP, []), ("/up/untyped", GZIP, []), ("/static/both.txt", GZIP, ["Accept-Encoding"]),
    ("/static/both.txt", {}, ["Accept-Encoding"]), ("/gunzip/one.gz", {}, ["Accept-Encoding"]), ("/gunzip/one.gz", GZIP, ["Accept-Encoding"])])
def test_vary(server, target, headers, vary):
    assert server.get(target, headers).headers.all("Vary") == vary


@pytest.mark.weir_only("nginx sends it twice")
def test_vary_once(server):
    assert server.get("/up/varied", GZIP).headers.all("Vary") == ["Accept-Encoding, X"]


def test_head_says_what_get_would(server):
    for target in ("/a.html", "/up/strong"):
        get, head = server.get(target, GZIP), server.request("HEAD", target, GZIP)
        assert head.headers["Content-Encoding"] == "gzip" and "Content-Length" not in head.headers
        assert head.headers["ETag"] == get.headers["ETag"]
    assert server.request("HEAD", "/up/typed").headers["Content-Length"] == str(len(TEXT))


def test_ranges_are_of_bodies_that_are_not_compressed(server):
    part = {"Range": "bytes=0-9"}
    assert server.get("/a.html", part).status == 206
    resp = server.get("/a.html", {**part, **GZIP})
    assert resp.status == 200 and unpack("gzip", resp.body) == TEXT


def test_304_to_a_weak_tag(server):
    tag = server.get("/a.html", GZIP).headers["ETag"]
    assert tag.startswith("W/") and server.get("/a.html", {**GZIP, "If-None-Match": tag}).status == 304
    assert server.get("/up/304", {**GZIP, "If-None-Match": "x"}).status == 304


def test_http_10(server):
    ask = b"GET %s HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n"
    assert server.raw(ask % b"/a.html").body == TEXT
    resp = server.raw(ask % b"/own/a.html")
    assert resp.headers["Content-Encoding"] == "gzip" and resp.framing == "close" and unpack("gzip", resp.body) == TEXT


def test_ratio_in_the_log(server):
    with server.client() as client:
        client.get("/ratio/a.html", GZIP)
        client.get("/ratio/a.html")
        client.get("/ratio/a.css", GZIP)
    lines = server.access(3, "ratio")
    ratio = len(TEXT) / len(server.get("/a.html", GZIP).body)
    assert lines == [f"/ratio/a.html {ratio:.2f}", "/ratio/a.html -", "/ratio/a.css -"]


# gzip_proxied: rows are words, columns what the response has; as watched at nginx

RESPONSES = {
    "none": "", "past": 'add_header Expires "Thu, 01 Jan 1970 00:00:01 GMT";', "future": 'add_header Expires "Thu, 01 Jan 2037 00:00:01 GMT";',
    "bad": "add_header Expires 0;", "no-cache": "add_header Cache-Control no-cache;", "public": "add_header Cache-Control public;",
    "private": "add_header Cache-Control 'x, private';", "past-no-cache": 'add_header Expires "Thu, 01 Jan 1970 00:00:01 GMT"; add_header Cache-Control no-cache;',
    "modified": 'add_header Last-Modified "Mon, 28 Sep 1970 06:00:00 GMT";', "etag": "add_header ETag '\"a\"';",
    "modified-public": 'add_header Last-Modified "Mon, 28 Sep 1970 06:00:00 GMT"; add_header Cache-Control public;', }
PROXIED = {
    "off": "", "any": " ".join(RESPONSES), "any off": "",
    "expired": "none past past-no-cache modified etag", "no-cache": "none no-cache modified etag", "no-store": "none modified etag",
    "private": "none private modified etag", "no_last_modified": "none etag", "no_etag": "none modified", "auth": "none modified etag",
    "expired no-cache": "none past no-cache past-no-cache modified etag", "no_last_modified no_etag": "none", }


@pytest.fixture(scope="module")
def proxied(weir_shared):
    text = "default_type text/html; gzip on; "
    for i, words in enumerate(PROXIED):
        text += f"location /{i}/ {{ gzip_proxied {words}; proxy_pass http://127.0.0.1:{{port}}/src/; }}"
    for name, fields in RESPONSES.items():
        text += f'location /src/{name} {{ gzip off; {fields} return 200 "a text that is long enough"; }}\n'
    return weir_shared.server(text)


@pytest.mark.parametrize("words", PROXIED)
def test_proxied(proxied, words):
    number = list(PROXIED).index(words)
    found = [name for name in RESPONSES
             if "Content-Encoding" in proxied.get(f"/{number}/{name}", {**GZIP, "Via": "1.1 x"}).headers]
    assert found == [name for name in RESPONSES if name in PROXIED[words].split()]
    with_auth = [name for name in RESPONSES
                 if "Content-Encoding" in proxied.get(f"/{number}/{name}", {**GZIP, "Via": "1.1 x", "Authorization": "Basic eDp4"}).headers]
    assert with_auth == (list(RESPONSES) if words == "auth" else found)


# files that are compressed already

@pytest.mark.parametrize("target, headers, status, coding, length", [
    ("/static/both.txt", GZIP, 200, "gzip", len(PACKED)), ("/static/both.txt", {}, 200, None, len(TEXT)),
    ("/static/only.txt", GZIP, 200, "gzip", len(PACKED)), ("/static/only.txt", {}, 404, None, None), ("/static/x", GZIP, 404, "gzip", None),
    ("/always/both.txt", {}, 200, "gzip", len(PACKED)), ("/always/none.txt", {}, 200, None, len(TEXT)),
    ("/gunzipped/both.txt", GZIP, 200, "gzip", len(PACKED)), ("/gunzipped/both.txt", {}, 200, None, None)])
def test_static(server, target, headers, status, coding, length):
    resp = server.get(target, headers)
    assert resp.status == status and resp.headers.get("Content-Encoding") == coding
    if length is not None:
        assert len(resp.body) == length and "Content-Length" in resp.headers
        assert resp.headers["Content-Type"] == "text/plain"
        assert server.request("HEAD", target, headers).headers["Content-Length"] == str(length)
    if status == 200:
        assert unpack(coding, resp.body) == TEXT


# gunzip

@pytest.mark.parametrize("name, headers, body", [
    ("one.gz", {}, TEXT), ("one.gz", GZIP, PACKED), ("one.gz", {"Accept-Encoding": "gzip;q=0"}, TEXT), ("two.gz", {}, TEXT + TEXT)])
def test_gunzip(server, name, headers, body):
    resp = server.get("/gunzip/" + name, headers)
    assert resp.body == body and ("Content-Encoding" in resp.headers) == (body == PACKED)
    assert resp.headers["ETag"] == ('"x"' if body == PACKED else 'W/"x"')
    head = server.request("HEAD", "/gunzip/" + name, headers)
    assert ("Content-Length" in head.headers) == ("Content-Encoding" in head.headers) == (body == PACKED)


@pytest.mark.weir_only("nginx 1.22 breaks the response off")
def test_gunzip_ignores_what_is_behind_the_end(server):
    assert server.get("/gunzip/padded.gz").body == TEXT


@pytest.mark.parametrize("name", ["cut.gz", "bad.gz"])
def test_gunzip_of_a_broken_body_has_no_end(server, name):
    client = server.client()
    client.send(build_request("GET", "/gunzip/" + name))
    assert not client.read_to_end().endswith(b"0\r\n\r\n")


# brotli and zstd

ALL = "gzip on; brotli on; zstd on; gzip_types text/plain; brotli_types text/plain; zstd_types text/plain;"


@CODECS
@pytest.mark.parametrize("accept, coding", [
    ("gzip, deflate, br, zstd", "br"), ("gzip, br;q=0.9", "gzip"), ("gzip;q=0.9, zstd", "zstd"), ("zstd, gzip", "zstd"), ("br", "br"), ("*", "br"),
    ("br;q=0, *", "zstd"), ("br;q=0.5, zstd;q=0.6, gzip;q=0.55", "zstd"), ("identity, br;q=0.9", None), ("br;q=0, zstd;q=0, gzip;q=0", None)])
def test_the_best_coding(weir, accept, coding):
    server = weir("root {dir}/h; gzip_vary on; " + ALL, files=FILES)
    resp = server.get("/a.txt", {"Accept-Encoding": accept})
    assert resp.headers.get("Content-Encoding") == coding and unpack(coding, resp.body) == TEXT
    assert resp.headers.all("Vary") == ["Accept-Encoding"]


@CODECS
def test_families_have_values_of_their_own(weir):
    server = weir("""root {dir}/h; gzip on; brotli on; zstd on; brotli_types text/css; brotli_min_length 1201; zstd_types text/plain; zstd_min_length 30;
        brotli_comp_level 11; zstd_comp_level 19; brotli_window 16k; zstd_window 1k; brotli_buffers 4 4k; zstd_buffers 4 4k;
        location /b/ { brotli_min_length 10; alias {dir}/h/; }""", http="types { text/html html; text/plain txt; text/css css; }", files=FILES)
    accept = {"Accept-Encoding": "br, zstd, gzip"}
    found = {name: server.get(name, accept).headers.get("Content-Encoding") for name in
             ("/a.html", "/a.css", "/a.txt", "/just.html", "/b/a.html", "/b/a.css")}
    assert found == {"/a.html": "zstd", "/a.css": None, "/a.txt": "zstd", "/just.html": "gzip", "/b/a.html": "br", "/b/a.css": "br"}


@CODECS
@pytest.mark.parametrize("accept, suffix", [("br, gzip", "br"), ("gzip", "gz"), ("zstd;q=0.9, gzip", "gz"), ("zstd", "zst"), ("x", None)])
def test_static_of_several(weir, accept, suffix):
    files = {"h/f": b"plain", "h/f.br": b"BR", "h/f.gz": b"GZ", "h/f.zst": b"ZST"}
    server = weir("root {dir}/h; gzip_static on; brotli_static on; zstd_static on; ", files=files)
    resp = server.get("/f", {"Accept-Encoding": accept})
    assert resp.body == files["h/f" + ("." + suffix if suffix else "")]
    assert resp.headers.get("Content-Encoding") == {"br": "br", "gz": "gzip", "zst": "zstd", None: None}[suffix]


@CODECS
def test_gunzip_and_brotli(weir, origin):
    up = origin(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(PACKED) + PACKED)
    server = weir("location / { gunzip on; brotli on; proxy_pass http://{up}; }", up=up)
    resp = server.get("/", {"Accept-Encoding": "br"})
    assert resp.headers["Content-Encoding"] == "br" and unpack("br", resp.body) == TEXT


@pytest.mark.parametrize("coding", ["gzip", pytest.param("br", marks=CODECS), pytest.param("zstd", marks=CODECS)])
def test_large(weir, coding):
    size = 50 << 20 if coding == "gzip" else 8 << 20
    block = b"".join(b"%d %x some text\n" % (i, i * i) for i in range(20000))
    data = (block * (size // len(block) + 1))[:size]
    server = weir("root {dir}/h; gzip on; " + ("" if coding == "gzip" else "brotli on; brotli_comp_level 3; zstd on;"), files={"h/a.html": data})
    resp = server.get("/a.html", {"Accept-Encoding": coding})
    assert resp.headers["Content-Encoding"] == coding and len(resp.body) < size // 2
    assert unpack(coding, resp.body) == data


@pytest.mark.parametrize("coding", ["gzip", pytest.param("br", marks=CODECS), pytest.param("zstd", marks=CODECS)])
@pytest.mark.parametrize("level", [1, 5, 9])
def test_random_bytes_in_pieces(weir, origin, coding, level):
    data = os.urandom(300000) + TEXT * 50

    def script(conn):
        for _ in conn.requests():
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n")
            at, step = 0, 1
            while at < len(data):
                piece = data[at:at + step]
                conn.send(b"%x\r\n" % len(piece) + piece + b"\r\n")
                at, step = at + step, step % 5000 + 977
            conn.send(b"0\r\n\r\n")
    extra = "" if coding == "gzip" else f"brotli on; brotli_comp_level {level}; zstd on; zstd_comp_level {level};"
    server = weir(f"location / {{ gzip on; gzip_comp_level {level}; gzip_buffers 4 4k; {extra} proxy_http_version 1.1; proxy_pass http://{{up}}; }}", up=origin(script))
    for _ in range(3):          # the second one has a compressor that was used before
        resp = server.get("/", {"Accept-Encoding": coding})
        assert unpack(coding, resp.body) == data


# streams

@pytest.mark.parametrize("how", ["proxy_buffering off;", pytest.param("proxy_buffering auto;", marks=pytest.mark.weir_only("auto is weir's own")),
                                 pytest.param("proxy_buffering on;", marks=pytest.mark.weir_only("nginx keeps it until buffers are full"))])
@pytest.mark.parametrize("coding", ["gzip", pytest.param("zstd", marks=CODECS), pytest.param("br", marks=CODECS)])
def test_each_event_at_once(weir, origin, how, coding):
    seen = [threading.Event() for _ in range(5)]

    def script(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        for i, event in enumerate(seen):
            conn.send(b"data: event %d\n\n" % i)
            conn.wait(event)
        conn.close()
    server = weir(f"gzip on; gzip_types text/event-stream; {'' if coding == 'gzip' else 'brotli on; brotli_types *; zstd on; zstd_types *;'}"
                  f"location / {{ {how} proxy_http_version 1.1; proxy_pass http://{{up}}; }}", up=origin(script))
    client = server.client()
    client.send(build_request("GET", "/", {"Accept-Encoding": coding}))
    assert client.read_response_head().headers["Content-Encoding"] == coding
    inflate, packed = zlib.decompressobj(31), b""
    for i, event in enumerate(seen):
        text, data = b"", b""
        while not text.endswith(b"\n\n"):
            piece = client.read_chunk()
            data += piece
            if coding != "gzip":        # the programs show nothing of a part: a chunk must do
                break
            text += inflate.decompress(piece)
        assert coding != "gzip" or text == b"data: event %d\n\n" % i
        packed += data
        event.set()
    while data := client.read_chunk():
        packed += data
    assert unpack(coding, packed) == b"".join(b"data: event %d\n\n" % i for i in range(len(seen)))


@pytest.mark.parametrize("coding", ["gzip", pytest.param("br", marks=CODECS), pytest.param("zstd", marks=CODECS)])
@pytest.mark.parametrize("buffering", ["on", "off"])
def test_truncated_peer_has_no_end(weir, origin, coding, buffering):
    up = origin(lambda c: (c.read_request(), c.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5000\r\n\r\n" + TEXT), c.close()))
    server = weir(f"gzip on; {'brotli on; zstd on;' if coding != 'gzip' else ''} location / {{ proxy_buffering {buffering}; proxy_pass http://{{up}}; }}", up=up)
    client = server.client()
    client.send(build_request("GET", "/", {"Accept-Encoding": coding}))
    assert client.read_response_head().headers["Content-Encoding"] == coding
    rest = client.read_to_end()
    assert not rest.endswith(b"0\r\n\r\n")
    if coding == "gzip" and rest:
        size, _, data = rest.partition(b"\r\n")
        inflate = zlib.decompressobj(31)
        assert TEXT.startswith(inflate.decompress(data[:int(size, 16)])) and not inflate.eof


@pytest.mark.parametrize("coding", ["gzip", pytest.param("br", marks=CODECS), pytest.param("zstd", marks=CODECS)])
def test_slow_client_holds_the_peer_back(weir, origin, coding):
    sent, left = [0], threading.Event()

    def script(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n")
        try:
            for _ in range(1024):
                conn.send(os.urandom(1 << 16))
                sent[0] += 1 << 16
        except (AssertionError, OSError):
            left.set()          # the client went away
    server = weir(f"gzip on; {'brotli on; brotli_comp_level 1; zstd on;' if coding != 'gzip' else ''} location / {{ proxy_buffering off; proxy_pass http://{{up}}; }}",
                  up=origin(script))
    client = server.client(rcvbuf=4096)
    client.send(build_request("GET", "/", {"Accept-Encoding": coding}))
    assert client.read_response_head().headers["Content-Encoding"] == coding
    before, until = -1, time.monotonic() + LIMIT
    while before != sent[0] or not sent[0]:
        assert time.monotonic() < until
        before = sent[0]
        time.sleep(0.3)         # its subject is that nothing moves any more
    assert 0 < sent[0] < 24 << 20
    client.reset()
    assert left.wait(LIMIT)


def test_slow_client_of_a_buffered_response(weir, origin):
    body = os.urandom(4 << 20)
    up = origin(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    server = weir("gzip on; location / { proxy_buffers 4 8k; proxy_pass http://{up}; } location /x { return 200 x; }", up=up)
    client = server.client(rcvbuf=4096)
    client.send(build_request("GET", "/", GZIP))
    assert client.read_response_head().headers["Content-Encoding"] == "gzip"
    server.wait_log("an upstream response is buffered to a temporary file")
    assert server.get("/x").text == "x"
    packed = b""
    while piece := client.read_chunk():
        packed += piece
    assert unpack("gzip", packed) == body


def test_client_that_leaves(weir):
    data = os.urandom(1 << 20) * 8
    server = weir("root {dir}/h; gzip on;", files={"h/a.html": data, "h/b.html": TEXT})
    for _ in range(20):
        client = server.client(rcvbuf=4096)
        client.send(build_request("GET", "/a.html", GZIP))
        client.read_response_head()
        client.reset()
    assert unpack("gzip", server.get("/b.html", GZIP).body) == TEXT


def test_limit_rate_behind_gzip(weir):
    data = os.urandom(60000)
    server = weir("root {dir}/h; gzip on; limit_rate 100k;", files={"h/a.html": data})
    start = time.monotonic()
    assert unpack("gzip", server.get("/a.html", GZIP).body) == data
    assert time.monotonic() - start > 0.1


@pytest.mark.parametrize("how", ["aio threads;", "directio 512;", "aio threads; directio 512; directio_alignment 4k;", "sendfile on; open_file_cache max=10;"])
def test_how_files_are_read(weir, how):
    data = b"".join(b"%d some text\n" % i for i in range(100001))
    server = weir("root {dir}/h; gzip on; gzip_vary on; location /static/ { gzip_static on; alias {dir}/s/; } " + how,
                  main="", files={"h/a.html": data, "s/a.txt": data, "s/a.txt.gz": gzip.compress(data), "s/b.txt": data})
    for _ in range(2):
        assert unpack("gzip", server.get("/a.html", GZIP).body) == data
        assert unpack("gzip", server.get("/static/a.txt", GZIP).body) == data
        resp = server.get("/static/a.txt")
        assert resp.body == data and resp.headers["Vary"] == "Accept-Encoding"
        assert server.get("/static/b.txt", GZIP).body == data


# words

@pytest.mark.parametrize("text, words", [
    ("gzip 1;", 'invalid value "1" in "gzip" directive, it must be "on" or "off"'),
    ("gzip on off;", 'invalid number of arguments in "gzip" directive'),
    ("gzip on; gzip off;", '"gzip" directive is duplicate'),
    ("if ($host) { gzip on; }", '"gzip" directive is not allowed here'),
    ("location / { if ($host) { gzip_types a; } }", '"gzip_types" directive is not allowed here'),
    ("location / { if ($host) { gunzip on; } }", '"gunzip" directive is not allowed here'),
    ("gzip_types;", 'invalid number of arguments in "gzip_types" directive'),
    ("gzip_comp_level 0;", "value must be between 1 and 9"),
    ("gzip_comp_level 10;", "value must be between 1 and 9"),
    ("gzip_comp_level x;", '"gzip_comp_level" directive invalid number'),
    ("gzip_min_length x;", '"gzip_min_length" directive invalid value'),
    ("gzip_http_version 1.2;", 'invalid value "1.2"'),
    ("gzip_proxied foo;", 'invalid value "foo"'),
    ("gzip_disable;", 'invalid number of arguments in "gzip_disable" directive'),
    ("gzip_disable '(';", 'pcre2_compile() failed: missing closing parenthesis in "("'),
    ("gzip_buffers 0 4k;", '"gzip_buffers" directive invalid value'),
    ("gzip_buffers x 4k;", '"gzip_buffers" directive invalid value'),
    ("gzip_buffers 4;", 'invalid number of arguments in "gzip_buffers" directive'),
    ("gzip_static foo;", 'invalid value "foo"'),
    ("gzip_vary x;", 'invalid value "x" in "gzip_vary" directive, it must be "on" or "off"'),
    ("gunzip on on;", 'invalid number of arguments in "gunzip" directive'),
    ("gunzip_buffers 4 0;", '"gunzip_buffers" directive invalid value'),
])
def test_words(command, text, words):
    made = command(text="events {} http { server { listen 127.0.0.1:{port}; " + text + " } }")
    run = made.command("-t")
    assert run.returncode == 1 and words in run.stderr


@CODECS
@pytest.mark.parametrize("text, words", [
    ("brotli x;", 'invalid value "x" in "brotli" directive, it must be "on" or "off"'), ("brotli_comp_level 12;", "value must be equal to or less than 11"),
    ("zstd_comp_level 20;", "value must be between 1 and 19"), ("zstd_comp_level 0;", "value must be between 1 and 19"),
    ("brotli_window 3k;", '"brotli_window" directive must be a power of two'), ("zstd_window 16m;", '"zstd_window" directive must be a power of two'),
    ("brotli_static x;", 'invalid value "x"'), ("zstd_static;", 'invalid number of arguments in "zstd_static" directive'),
    ("location / { if ($host) { zstd_types a; } }", '"zstd_types" directive is not allowed here'), ("brotli_buffers 0 4k;", '"brotli_buffers" directive invalid value')])
def test_words_of_the_others(command, text, words):
    made = command(text="events {} http { server { listen 127.0.0.1:{port}; " + text + " } }")
    run = made.command("-t")
    assert run.returncode == 1 and words in run.stderr


@pytest.mark.parametrize("text", ["gzip_types text/html;", "gzip_types text/plain text/plain;"])
def test_a_type_twice_is_a_warning(command, text):
    run = command(text).command("-t")
    assert run.returncode == 0 and "duplicate MIME type" in run.stderr
