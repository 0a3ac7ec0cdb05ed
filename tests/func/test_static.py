# SPDX-License-Identifier: Apache-2.0
"""Static files: root, alias, index, validators, conditionals, ranges, directories, paths that try to leave."""
import email.utils
import os
import re

import pytest

DATA = bytes(i % 251 for i in range(100000))
MTIME = 1500000000
DATE = email.utils.formatdate(MTIME, usegmt=True)
LATER = email.utils.formatdate(MTIME + 60, usegmt=True)
EARLIER = email.utils.formatdate(MTIME - 60, usegmt=True)
ETAG = f'"{MTIME:x}-{len(DATA):x}"'

FILES = {
    "html/f.bin": DATA, "html/index.html": b"index", "html/a.txt": b"text", "html/d/index.html": b"d-index",
    "html/d/second.htm": b"second", "html/empty": b"", "html/noindex/x": b"x", "html/sp ace.txt": b"space",
    "html/p%25.txt": b"percent", "html/a.tar.gz": b"gz", "html/UPPER.TXT": b"upper", "html/.hidden": b"hidden",
    "html/uml\u00e4ut.txt": b"umlaut", "html/q?x.txt": b"question", "html/two/x.htm": b"2", "secret": b"secret",
    "alias/x": b"alias-x", "alias/index.html": b"alias-index", "aliassecret": b"secret", "html/one/main.html": b"main",
}

SERVER = """
    root {dir}/html;
    location /al/ { alias {dir}/alias/; }
    location /bare { alias {dir}/alias; }
    location = /file { alias {dir}/html/a.txt; }
    location ~ ^/re/(.*)$ { alias {dir}/alias/$1; }
    location /two/ { index main.html x.htm; }
    location /dindex/ { alias {dir}/html/d/; index nothing second.htm; }
    location /abs/ { alias {dir}/html/noindex/; index nothing /a.txt; }
    location /types/ { alias {dir}/html/; types { x/y txt; } default_type z/z; }
    location /etag/ { alias {dir}/html/; etag off; }
    location /before/ { alias {dir}/html/; if_modified_since before; }
    location /imsoff/ { alias {dir}/html/; if_modified_since off; }
    location /tworanges/ { alias {dir}/html/; max_ranges 2; }
    location /noranges/ { alias {dir}/html/; max_ranges 0; }
    location /sf/ { alias {dir}/html/; sendfile on; tcp_nopush on; }
"""


@pytest.fixture(scope="module")
def server(weir_shared):
    made = weir_shared.server(SERVER, files=FILES, http="include {dir}/mime.types;", start=False,
                                allow=["is not a regular file"])
    made.write("mime.types", "types { text/html html htm; text/plain txt; application/gzip gz; }")
    os.utime(made.path("html/f.bin"), (MTIME, MTIME))
    made.start(open(made.conf, encoding="utf-8").read())
    return made


def test_whole_file(server):
    resp = server.get("/f.bin")
    assert resp.status == 200 and resp.body == DATA and resp.framing == "length"
    assert resp.headers["Last-Modified"] == DATE
    assert resp.headers["ETag"] == ETAG
    assert resp.headers["Accept-Ranges"] == "bytes"
    assert resp.headers["Content-Type"] == "text/plain"


def test_head(server):
    resp = server.request("HEAD", "/f.bin")
    assert resp.status == 200 and resp.headers["Content-Length"] == str(len(DATA)) and resp.headers["ETag"] == ETAG


@pytest.mark.parametrize("target,body", [
    ("/", b"index"), ("/index.html", b"index"), ("/a.txt", b"text"), ("/a.txt?x=y", b"text"), ("/d/", b"d-index"),
    ("/empty", b""), ("/sp%20ace.txt", b"space"), ("/p%2525.txt", b"percent"), ("/UPPER.TXT", b"upper"),
                                         ("/.hidden", b"hidden"),
    ("/uml%C3%A4ut.txt", b"umlaut"), ("/uml\u00c3\u00a4ut.txt", b"umlaut"), ("/q%3Fx.txt", b"question"),
                                         ("/d/../a.txt", b"text"),
    ("//a.txt", b"text"), ("/./a.txt", b"text"), ("/%61.txt", b"text"), ("/al/x", b"alias-x"), ("/al/", b"alias-index"),
    ("/bare/x", b"alias-x"), ("/file", b"text"), ("/re/x", b"alias-x"), ("/two/", b"2"), ("/dindex/", b"second"),
    ("/abs/", b"text"), ("/sf/f.bin", DATA), ("/a.txt#x", b"text")],
                         ids=lambda value: value if isinstance(value, str) else str(len(value)))  # it becomes an environment variable
def test_file(server, target, body):
    resp = server.get(target)
    assert (resp.status, resp.body) == (200, body)


@pytest.mark.parametrize("target,kind", [
    ("/index.html", "text/html"), ("/a.txt", "text/plain"), ("/a.tar.gz", "application/gzip"),
                                         ("/UPPER.TXT", "text/plain"),
    ("/f.bin", "text/plain"), ("/d/second.htm", "text/html"), ("/types/a.txt", "x/y"), ("/types/index.html", "z/z"),
    ("/types/empty", "z/z")])
def test_type(server, target, kind):
    assert server.get(target).headers["Content-Type"] == kind


@pytest.mark.parametrize("target,status", [
    ("/none", 404), ("/none/", 404), ("/a.txt/", 404), ("/a.txt/b", 404), ("/noindex/", 403), ("/a.TXT", 404),
                                           ("/al/none", 404),
    ("/d/none", 404), ("/" + "n" * 300, 404), ("/" + "n/" * 2000, 404)])
def test_missing(server, target, status):
    resp = server.get(target)
    assert resp.status == status
    assert "</html>" in resp.text


def test_directory_without_slash(server):
    resp = server.get("/d?a=b", {"Host": "h"})
    assert resp.status == 301 and resp.headers["Location"] == f"http://h:{server.port}/d/?a=b"


def test_directory_redirect_encodes(server):
    os.makedirs(server.path("html/new\nline dir"), exist_ok=True)
    resp = server.get("/new%0Aline%20dir", {"Host": "h"})
    assert resp.status == 301 and resp.headers["Location"] == f"http://h:{server.port}/new%0Aline%20dir/"


def test_alias_directory_redirect(server):
    os.makedirs(server.path("alias/sub"), exist_ok=True)
    assert server.get("/al/sub", {"Host": "h"}).headers["Location"] == f"http://h:{server.port}/al/sub/"


@pytest.mark.parametrize("method,status", [("POST", 405), ("PUT", 405), ("DELETE", 405), ("OPTIONS", 405),
                                           ("PATCH", 405)])
def test_methods_not_allowed(server, method, status):
    assert server.request(method, "/a.txt", body=b"" if method != "OPTIONS" else None).status == status


# conditionals

@pytest.mark.parametrize("headers,status", [
    ({"If-Modified-Since": DATE}, 304), ({"If-Modified-Since": LATER}, 200), ({"If-Modified-Since": EARLIER}, 200),
    ({"If-Modified-Since": "garbage"}, 200), ({"If-None-Match": ETAG}, 304), ({"If-None-Match": '"x"'}, 200),
    ({"If-None-Match": f'"x", {ETAG}'}, 304), ({"If-None-Match": "W/" + ETAG}, 304), ({"If-None-Match": "*"}, 304),
    ({"If-None-Match": ETAG, "If-Modified-Since": DATE}, 304), ({"If-None-Match": '"x"', "If-Modified-Since": DATE},
                                                                200),
    ({"If-Match": ETAG}, 200), ({"If-Match": '"x"'}, 412), ({"If-Match": "*"}, 200), ({"If-Match": f'"x", {ETAG}'},
                                                                                      200),
    ({"If-Unmodified-Since": DATE}, 200), ({"If-Unmodified-Since": LATER}, 200), ({"If-Unmodified-Since": EARLIER},
                                                                                  412),
    ({"If-Match": "W/" + ETAG}, 412)])
def test_conditional(server, headers, status):
    client = server.client()
    resp = client.get("/f.bin", headers)
    assert resp.status == status
    assert resp.body == (DATA if status == 200 else resp.body)
    if status == 304:
        assert resp.headers["ETag"] == ETAG and resp.headers["Last-Modified"] == DATE
        assert "Content-Length" not in resp.headers and "Content-Type" not in resp.headers
    if status != 412:
        assert client.get("/a.txt").body == b"text"


@pytest.mark.weir_only("nginx says keep-alive with a 412 and closes")
def test_412_tells_the_truth_about_the_connection(server):
    client = server.client()
    if client.get("/f.bin", {"If-Match": '"x"'}).headers["Connection"] == "close":
        client.expect_eof()
    else:
        assert client.get("/a.txt").body == b"text"


@pytest.mark.weir_only("RFC 9110 13.2.2: If-None-Match alone counts when it is there; nginx asks If-Modified-Since too")
def test_if_none_match_beats_if_modified_since(server):
    assert server.get("/f.bin", {"If-None-Match": ETAG, "If-Modified-Since": EARLIER}).status == 304


def test_if_modified_since_modes(server):
    assert server.get("/before/f.bin", {"If-Modified-Since": LATER}).status == 304
    assert server.get("/before/f.bin", {"If-Modified-Since": EARLIER}).status == 200
    assert server.get("/imsoff/f.bin", {"If-Modified-Since": DATE}).status == 200


def test_etag_off(server):
    resp = server.get("/etag/f.bin")
    assert "ETag" not in resp.headers and "Last-Modified" in resp.headers


# 412 and 416 are errors like any other

@pytest.mark.parametrize("headers,status,reason", [({"If-Match": '"x"'}, 412, "Precondition Failed"),
                                                   ({"Range": "bytes=100000-"}, 416, "Requested Range Not Satisfiable")])
def test_refusals_have_a_page(weir, headers, status, reason):
    server = weir("root {dir}; location /page/ { error_page 412 416 /err.html; alias {dir}/; }"
                  "location /moved/ { error_page 412 416 http://a/b; alias {dir}/; }", files={"f.bin": DATA,
                                                                                            "err.html": b"my page"})
    resp = server.get("/f.bin", headers)
    assert resp.status == status and resp.headers["Content-Type"] == "text/html"
    assert f"<h1>{status} {reason}</h1>" in resp.text
    assert "ETag" not in resp.headers and "Last-Modified" not in resp.headers
    assert resp.headers.get("Content-Range") == (f"bytes */{len(DATA)}" if status == 416 else None)
    resp = server.get("/page/f.bin", headers)
    assert resp.status == status and resp.text == "my page" and "Last-Modified" not in resp.headers
    assert resp.headers.get("Content-Range") == (f"bytes */{len(DATA)}" if status == 416 else None)
    resp = server.get("/moved/f.bin", headers)
    assert resp.status == 302 and resp.headers["Location"] == "http://a/b"
    resp = server.request("HEAD", "/f.bin", headers)
    assert resp.status == status and resp.body == b"" and int(resp.headers["Content-Length"]) > 100


@pytest.mark.weir_only("nginx leaves it there")
def test_no_content_range_with_another_status(weir):
    server = weir("root {dir}; error_page 416 =404 /err.html;", files={"f.bin": DATA, "err.html": b"my page"})
    resp = server.get("/f.bin", {"Range": "bytes=100000-"})
    assert resp.status == 404 and resp.text == "my page" and "Content-Range" not in resp.headers


# ranges

@pytest.mark.parametrize("value,first,last", [
    ("bytes=0-0", 0, 0), ("bytes=0-99", 0, 99), ("bytes=99990-", 99990, 99999), ("bytes=-10", 99990, 99999),
    ("bytes=500-200000", 500, 99999), ("bytes=-200000", 0, 99999), ("bytes=0-", 0, 99999), ("bytes= 5-6", 5, 6)])
@pytest.mark.parametrize("prefix", ["", "/sf"])
def test_range(server, prefix, value, first, last):
    resp = server.get(prefix + "/f.bin", {"Range": value})
    assert resp.status == 206 and resp.body == DATA[first:last + 1]
    assert resp.headers["Content-Range"] == f"bytes {first}-{last}/{len(DATA)}"
    assert resp.headers["Content-Length"] == str(last - first + 1)


@pytest.mark.parametrize("value", ["bytes=100000-", "bytes=200000-200001", "bytes=5-4", "bytes=-0", "bytes=a-b",
                                   "bytes=1", "bytes=--1", "bytes=0-1x"])
def test_range_not_satisfiable(server, value):
    resp = server.get("/f.bin", {"Range": value})
    assert resp.status == 416
    assert resp.headers["Content-Range"] == f"bytes */{len(DATA)}"


@pytest.mark.parametrize("value", ["lines=1-2", "garbage", "0-5", "bytes="])
def test_unknown_range_unit_is_ignored(server, value):
    resp = server.get("/f.bin", {"Range": value})
    assert resp.status == 200 and resp.body == DATA


@pytest.mark.parametrize("value,status", [(ETAG, 206), ('"x"', 200), (DATE, 206), (EARLIER, 200), (LATER, 200)])
def test_if_range(server, value, status):
    resp = server.get("/f.bin", {"Range": "bytes=0-4", "If-Range": value})
    assert (resp.status, resp.body) == (status, DATA[:5] if status == 206 else DATA)


def test_if_range_with_weak_etag(server):
    assert server.get("/f.bin", {"Range": "bytes=0-4", "If-Range": "W/" + ETAG}).status == 200


# several ranges

def parts_of(resp):
    kind = resp.headers["Content-Type"]
    assert kind.startswith("multipart/byteranges; boundary=")
    boundary = kind.partition("=")[2].encode()
    assert int(resp.headers["Content-Length"]) == len(resp.body) and "Content-Range" not in resp.headers
    pieces = resp.body.split(b"\r\n--" + boundary)
    assert pieces[0] == b"" and pieces[-1] == b"--\r\n"
    made = []
    for piece in pieces[1:-1]:
        head, _, body = piece.partition(b"\r\n\r\n")
        made.append((head.decode().split("\r\n")[1:], body))
    return made


@pytest.mark.parametrize("value,ranges", [
    ("bytes=0-1,4-5", [(0, 2), (4, 6)]), ("bytes=-1, 0-0", [(99999, 100000), (0, 1)]), ("bytes=5-9,5-9", [(5, 10), (5, 10)]),
    ("bytes=0-9,200000-200001,20-29", [(0, 10), (20, 30)]), ("bytes=0-49999,50000-", [(0, 50000), (50000, 100000)])])
@pytest.mark.parametrize("prefix", ["", "/sf"])
def test_several_ranges(server, prefix, value, ranges):
    client = server.client()
    resp = client.get(prefix + "/f.bin", {"Range": value})
    assert resp.status == 206
    for (fields, body), (first, end) in zip(parts_of(resp), ranges, strict=True):
        assert fields == ["Content-Type: text/plain", f"Content-Range: bytes {first}-{end - 1}/{len(DATA)}"]
        assert body == DATA[first:end]
    assert client.get("/a.txt").body == b"text"


def test_several_ranges_of_one_that_counts(server):
    resp = server.get("/f.bin", {"Range": "bytes=0-1,200000-"})
    assert (resp.status, resp.body, resp.headers["Content-Range"]) == (206, DATA[:2], f"bytes 0-1/{len(DATA)}")


def test_several_ranges_that_are_more_than_the_whole(server):
    assert server.get("/f.bin", {"Range": "bytes=0-,0-,0-"}).body == DATA


def test_several_ranges_by_head(server):
    whole = server.get("/f.bin", {"Range": "bytes=0-1,4-5"})
    resp = server.request("HEAD", "/f.bin", {"Range": "bytes=0-1,4-5"})
    assert resp.status == 206 and resp.headers["Content-Length"] == whole.headers["Content-Length"]


@pytest.mark.parametrize("value,status", [("bytes=0-0,2-2", 206), ("bytes=0-0,2-2,4-4", 200), ("bytes=0-0", 206)])
def test_max_ranges(server, value, status):
    assert server.get("/tworanges/f.bin", {"Range": value}).status == status


def test_max_ranges_zero(server):
    resp = server.get("/noranges/f.bin", {"Range": "bytes=0-4"})
    assert resp.status == 200 and "Accept-Ranges" not in resp.headers


def test_head_with_range(server):
    resp = server.request("HEAD", "/f.bin", {"Range": "bytes=0-4"})
    assert resp.status == 206 and resp.headers["Content-Length"] == "5"


def test_keepalive_after_files(server):
    client = server.client()
    for _ in range(5):
        assert client.get("/sf/f.bin").body == DATA
        assert client.get("/empty").body == b""
        assert client.get("/none").status == 404
        assert client.get("/sf/f.bin", {"Range": "bytes=7-9"}).body == DATA[7:10]


# paths that try to leave (U14.8)

ESCAPES = ["/../secret", "/..%2fsecret", "/%2e%2e/secret", "/%2e%2e%2fsecret", "/d/../../secret", "/d/..%2f..%2fsecret",
           "/..%5csecret",
           "/..\\secret", "/%252e%252e/secret", "/....//secret", "/.../secret", "//../secret",
           "/d/%2e%2e/%2e%2e/secret",
           "/al/../../secret", "/al/..%2fsecret", "/al../secret", "/al..%2fsecret", "/bare../secret",
           "/bare/../../secret",
           "/re/../secret", "/re/..%2fsecret", "/..;/secret", "/%c0%ae%c0%ae/secret", "/a.txt%00.html", "/secret%00"]


@pytest.mark.parametrize("target", ESCAPES)
def test_never_outside(server, target):
    resp = server.get(target)
    assert resp.status in (400, 403, 404), resp
    assert b"secret" not in resp.body.replace(target.encode(), b"")


def test_bare_alias_prefix_does_not_reach_a_sibling(server):
    # location /bare { alias DIR/alias; } maps /baresecret to DIR/aliassecret as the documentation says it does;
    # what it must not do is take dots across the folder above.
    assert server.get("/bare../secret").status in (400, 403, 404)


def test_symlink_is_followed(server):
    link = server.path("html/link")
    if not os.path.islink(link):
        os.symlink(server.path("html/a.txt"), link)
    assert server.get("/link").body == b"text"


def test_large_file_by_parts(weir):
    data = os.urandom(1 << 20) * 8
    server = weir("root {dir}; sendfile on; sendfile_max_chunk 256k;", files={"big": data})
    assert server.get("/big").body == data


def test_file_replaced_between_requests(server):
    server.write("html/v", b"one")
    client = server.client()
    first = client.get("/v")
    server.write("html/v.new", b"three")
    os.rename(server.path("html/v.new"), server.path("html/v"))
    second = client.get("/v")
    assert (first.body, second.body) == (b"one", b"three") and first.headers["ETag"] != second.headers["ETag"]


def test_fifo_and_device_are_not_served(server):
    os.mkfifo(server.path("html/fifo"))
    assert server.get("/fifo").status in (403, 404)


def test_no_root_means_html_below_the_prefix(weir):
    server = weir("location / { }", files={"html/index.html": b"default"})
    assert server.get("/").body == b"default"


def test_root_with_variables(weir):
    server = weir("root {dir}/$host;", files={"a.example/f": b"A", "b.example/f": b"B"})
    assert server.get("/f", {"Host": "a.example"}).body == b"A"
    assert server.get("/f", {"Host": "b.example"}).body == b"B"
    assert server.get("/f", {"Host": "c.example"}).status == 404


def test_index_is_an_internal_redirect(weir):
    server = weir("root {dir}/w; location / { index i.x; } location ~ \\.x$ { return 200 \"re $uri\"; }",
                  files={"w/i.x": b"file"})
    assert server.get("/").text == "re /i.x"


def test_etag_form(server):
    assert re.match(r'"[0-9a-f]+-[0-9a-f]+"\Z', server.get("/a.txt").headers["ETag"])


@pytest.mark.parametrize("sendfile", ["on", "off"])
def test_large_file_by_either_way(weir, sendfile):
    data = bytes(range(256)) * 12000
    server = weir("sendfile " + sendfile + "; location / { root {prefix}/www; }".replace("{prefix}", "."))
    os.makedirs(server.path("www"), exist_ok=True)
    server.write("www/big.bin", data)
    assert server.get("/big.bin").body == data
    part = server.get("/big.bin", {"Range": "bytes=70000-140000"})
    assert part.status == 206 and part.body == data[70000:140001]
