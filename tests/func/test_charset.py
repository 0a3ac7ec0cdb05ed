# SPDX-License-Identifier: Apache-2.0
"""charset, source_charset, override_charset, charset_types, charset_map."""
import os

import pytest

DIST = os.path.join(os.path.dirname(__file__), "..", "..", "dist")
WORD = "\u041f\u0440\u0438\u0432\u0435\u0442, world"
KOI, WIN, UTF = WORD.encode("koi8-r"), WORD.encode("cp1251"), WORD.encode()
FILES = {"h/k.html": KOI, "h/w.html": WIN, "h/u.html": UTF, "h/wide.html": "a\u20ac\u0416\u6f22".encode(), "h/bad.html": b"a\xff\xd0\xc0\xaf\xe2\x82b\xd0"}
MAPS = "".join(f"include {os.path.abspath(DIST)}/{name};" for name in ("koi-utf", "koi-win", "win-utf"))
HTTP = "types { text/html html; } " + MAPS + " charset_map tiny utf-8 { 80 D096; }"

SERVER = """
    root {dir}/h;
    location /named/ { charset utf-8; alias {dir}/h/; location /named/off/ { charset off; alias {dir}/h/; } location /named/if/ { if ($arg_c) { charset x; } alias {dir}/h/; } }
    location /k-u/ { source_charset koi8-r; charset utf-8; alias {dir}/h/; }
    location /u-k/ { source_charset utf-8; charset koi8-r; alias {dir}/h/; }
    location /u-w/ { source_charset utf-8; charset windows-1251; alias {dir}/h/; }
    location /k-w/ { source_charset koi8-r; charset windows-1251; alias {dir}/h/; }
    location /w-k/ { source_charset windows-1251; charset koi8-r; alias {dir}/h/; }
    location /tiny/ { source_charset utf-8; charset tiny; alias {dir}/h/; }
    location /var/ { source_charset koi8-r; charset $arg_c; alias {dir}/h/; }
    location /only-var/ { charset $arg_c; alias {dir}/h/; }
    location /peer/ { charset utf-8; proxy_pass http://{up}/; }
    location /over/ { charset utf-8; override_charset on; proxy_pass http://{up}/; }
    location /ask/ { proxy_pass http://{up}/; }
    location /301 { charset utf-8; return 301 /x; }
    location /302 { charset utf-8; return 302 /x; }
    location /303 { charset utf-8; return 303 /x; }
    location /404 { charset utf-8; return 404; }
    location /png { charset utf-8; default_type image/png; return 200 x; }
    location /types { charset utf-8; charset_types image/png; default_type image/png; return 200 x; }
    location /any { charset utf-8; charset_types *; default_type image/png; return 200 x; }
    location /json { charset utf-8; default_type application/json; return 200 x; }
    location /js { charset utf-8; default_type application/javascript; return 200 x; }
    location /gz/ { source_charset koi8-r; charset utf-8; gzip on; gzip_min_length 1; alias {dir}/h/; }
"""

ANSWERS = {"/koi": b"Content-Type: text/html; charset=koi8-r", "/quoted": b'Content-Type: text/html; charset="KOI8-R"', "/none": b"Content-Type: text/html",
           "/other": b"Content-Type: text/html; charset=unheard-of", "/ask": b"Content-Type: text/html\r\nX-Accel-Charset: koi8-r"}


def answer(conn):
    for req in conn.requests():
        conn.send(b"HTTP/1.1 200 OK\r\n" + ANSWERS[req.target] + b"\r\nContent-Length: %d\r\n\r\n" % len(KOI) + KOI)


@pytest.fixture(scope="module")
def server(weir_shared):
    return weir_shared.server(SERVER, http=HTTP, files=FILES, up=weir_shared.origin(answer))


@pytest.mark.parametrize("target, charset, body", [
    ("/k.html", None, KOI),
    ("/named/u.html", "utf-8", UTF),
    ("/named/off/u.html", None, UTF),
    ("/named/if/u.html", "utf-8", UTF),
    ("/named/if/u.html?c=1", "x", UTF),
    ("/k-u/k.html", "utf-8", UTF),
    ("/u-k/u.html", "koi8-r", KOI),
    ("/u-w/u.html", "windows-1251", WIN),
    ("/k-w/k.html", "windows-1251", WIN),
    ("/w-k/w.html", "koi8-r", KOI),
    ("/u-k/wide.html", "koi8-r", b"a&#8364;\xf6&#28450;"),
    ("/tiny/wide.html", "tiny", b"a&#8364;\x80&#28450;"),
    ("/var/k.html?c=utf-8", "utf-8", UTF),
    ("/var/k.html?c=windows-1251", "windows-1251", WIN),
    ("/var/k.html?c=koi8-r", "koi8-r", KOI),
    ("/var/k.html?c=unheard-of", None, KOI),
    ("/var/k.html?c=", None, KOI),
    ("/only-var/k.html?c=foo", "foo", KOI),
    ("/peer/koi", "koi8-r", KOI),
    ("/peer/none", "utf-8", KOI),
    ("/over/koi", "utf-8", UTF),
    ("/over/none", "utf-8", KOI),
    ("/over/other", "unheard-of", KOI),
    ("/ask/ask", "koi8-r", KOI),
    ("/301", None, None),
    ("/302", None, None),
    ("/303", "utf-8", None),
    ("/404", "utf-8", None),
    ("/png", None, None),
    ("/types", "utf-8", None),
    ("/any", "utf-8", None),
    ("/json", None, None),
    ("/js", "utf-8", None),
])
def test_charset(server, target, charset, body):
    resp = server.get(target)
    kind, _, named = resp.headers["Content-Type"].partition("; charset=")
    assert (named or None) == charset
    assert body is None or resp.body == body


@pytest.mark.weir_only("nginx does not see the quotes")
def test_a_quoted_charset_of_the_peer(server):
    resp = server.get("/over/quoted")
    assert resp.headers["Content-Type"] == "text/html; charset=utf-8" and resp.body == UTF


@pytest.mark.weir_only("nginx crashes")
def test_an_empty_variable_names_nothing(server):
    assert server.get("/only-var/k.html").headers["Content-Type"] == "text/html"


@pytest.mark.weir_only("nginx looks at less of a malformed sequence")
def test_malformed_utf8_becomes_question_marks(server):
    assert server.get("/u-k/bad.html").body == b"a????" + b"?b?"


def test_length_and_ranges(server):
    plain = server.get("/k.html")
    same = server.get("/k-w/k.html")
    assert same.headers["Content-Length"] == plain.headers["Content-Length"]
    part = server.get("/k-w/k.html", {"Range": "bytes=0-3"})
    assert part.status == 206 and part.body == WIN[:4]
    longer = server.get("/k-u/k.html", {"Range": "bytes=0-3"})
    assert longer.status == 200 and longer.body == UTF and "Content-Length" not in longer.headers
    assert "Content-Length" not in server.request("HEAD", "/k-u/k.html").headers


def test_before_gzip(server):
    import gzip
    resp = server.get("/gz/k.html", {"Accept-Encoding": "gzip"})
    assert gzip.decompress(resp.body) == UTF and resp.headers["Content-Type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize("pair, text", [("source_charset koi8-r; charset utf-8;", "koi8-r"), ("source_charset utf-8; charset koi8-r;", "utf-8")])
def test_large_in_pieces(weir, origin, pair, text):
    body = (WORD * 9973).encode(text)

    def script(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(body))
        for at in range(0, len(body), 1499):
            conn.send(body[at:at + 1499])
        conn.hold()
    server = weir("location / { " + pair + " proxy_pass http://{up}; }", http=MAPS, up=origin(script))
    assert server.get("/").body == (WORD * 9973).encode("utf-8" if text == "koi8-r" else "koi8-r")


@pytest.mark.parametrize("text, http, words", [
    ("charset;", "", 'invalid number of arguments in "charset" directive'),
    ("charset $nope;", "", 'unknown "nope" variable'),
    ("source_charset a b;", "", 'invalid number of arguments in "source_charset" directive'),
    ("source_charset x; charset y;", "", 'no "charset_map" between the charsets "x" and "y"'),
    ("source_charset x; location / { charset y; }", "", 'no "charset_map" between the charsets "x" and "y"'),
    ("override_charset x;", "", 'invalid value "x" in "override_charset" directive, it must be "on" or "off"'),
    ("location / { if ($host) { charset_types x; } }", "", '"charset_types" directive is not allowed here'),
    ("charset_map a b { }", "", '"charset_map" directive is not allowed here'),
    ("", "charset_map a;", 'directive "charset_map" has no opening "{"'),
    ("", "charset_map a a { }", '"charset_map" between the same charsets "a" and "a"'),
    ("", "charset_map a b { } charset_map b a { }", 'duplicate "charset_map" between "b" and "a"'),
    ("", "charset_map a b { 80 C1C2; }", 'invalid value "C1C2"'),
    ("", "charset_map a b { 100 C1; }", 'invalid value "100"'),
    ("", "charset_map a b { XY C1; }", 'invalid value "XY"'),
    ("", "charset_map a b { 80 ZZ; }", 'invalid value "ZZ"'),
    ("", "charset_map a b { 80; }", "invalid parameters number"),
    ("", "charset_map a b { 80 C1 C2; }", "invalid parameters number"),
    ("", "charset_map a utf-8 { 80 C1; }", 'invalid value "C1"'),
])
def test_words(command, text, http, words):
    run = command(text="events {} http { " + http + " server { listen 127.0.0.1:{port}; " + text + " } }").command("-t")
    assert run.returncode == 1 and words in run.stderr
