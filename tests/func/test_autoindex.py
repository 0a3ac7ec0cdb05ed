# SPDX-License-Identifier: Apache-2.0
"""autoindex in each format, byte by byte, random_index, empty_gif, stub_status and its variables; what -t says.

The lists are written here as the documentation and nginx have them; with WEIR_BIN=/usr/sbin/nginx the same bytes are
asked of nginx."""
import email.utils
import json
import os
import re
import threading
import time
import urllib.parse

import pytest

from weirtest.server import IS_NGINX
from weirtest.timing import wait_for

NAMES = ["Z.txt", "a&b.txt", "apos'x", "b<c>.html", "back\\slash", "colon:x", "hash#", "p%c", "plus+", "q?x", 'quote"s', "sp ace", "tab\tx", "nl\nx",
         "ctl\x01x", "tilde~", "und_er-s.x", "star*", "\u00e9", "\u65e5\u672c", "f" * 49, "f" * 50, "f" * 51, "\u00e9" * 60]
SIZES = {"s0": 0, "s9999": 9999, "s10000": 10000, "s1023k": 1024 * 1024 - 1, "s1m": 1024 * 1024, "s1500m": 1500 << 20, "s5g": 5 << 30, "s10239": 10239,
         "s10752": 10752}
FOLDERS = ["sub", "sub&dir", "A", "d" * 48, "d" * 49, "d" * 50, "d" * 51]
TIMES = [0, 1, 1500000000, 1700000123, 951782400]


@pytest.fixture(scope="module")
def server(weir_shared):
    made = weir_shared.server("""root {dir}; autoindex on;
        location /size/ { alias {dir}/d/; autoindex_exact_size off; }
        location /json/ { alias {dir}/d/; autoindex_format json; }
        location /jsonp/ { alias {dir}/d/; autoindex_format jsonp; }
        location /xml/ { alias {dir}/d/; autoindex_format xml; }
        location /pool/ { alias {dir}/d/; aio threads; }
        location /off/ { autoindex off; alias {dir}/d/; }
        location /local/ { alias {dir}/d/; autoindex_localtime on; }
        location /nolinks/ { alias {dir}/d/; disable_symlinks on from={dir}/d; }
        """, start=False)
    for i, name in enumerate(NAMES):
        made.write("d/" + name)
        os.utime(made.path("d/" + name), (TIMES[i % len(TIMES)],) * 2)
    for name, size in SIZES.items():
        made.write("d/" + name)
        os.truncate(made.path("d/" + name), size)
        os.utime(made.path("d/" + name), (1600000000,) * 2)
    os.symlink("Z.txt", made.path("d/link"))
    os.symlink("nowhere", made.path("d/broken"))
    os.utime(made.path("d/broken"), (5, 5), follow_symlinks=False)
    os.mkfifo(made.path("d/fifo"))
    os.utime(made.path("d/fifo"), (6, 6))
    for name in FOLDERS:
        os.makedirs(made.path("d/" + name))
        os.utime(made.path("d/" + name), (1234567890,) * 2)
    made.write("d/.hidden")
    os.makedirs(made.path("none"))
    os.makedirs(made.path("indexed"))
    made.write("indexed/index.html", b"the index")
    made.start(open(made.conf, encoding="utf-8").read())
    return made


class Entry:
    def __init__(self, folder, name):
        path = os.path.join(folder, os.fsencode(name))
        info = os.stat(path) if os.path.exists(path) else os.lstat(path)
        self.name = os.fsencode(name)
        self.time, self.size = int(info.st_mtime), info.st_size
        self.is_dir, self.is_file = os.path.isdir(path), os.path.isfile(path)
        self.kind = "directory" if self.is_dir else "file" if self.is_file else "other"


def entries(server):
    folder = os.fsencode(server.path("d"))
    made = [Entry(folder, os.fsdecode(name)) for name in os.listdir(folder) if not name.startswith(b".")]
    return sorted(made, key=lambda e: (not e.is_dir, e.name))


def html_escape(text):
    return text.replace(b"&", b"&amp;").replace(b"<", b"&lt;").replace(b">", b"&gt;").replace(b'"', b"&quot;")


def shown_size(entry, is_exact):
    if entry.is_dir:
        return "-".rjust(20 if is_exact else 8)
    if is_exact:
        return str(entry.size).rjust(20)
    for unit, letter, least in ((1 << 30, "G", 1 << 30), (1 << 20, "M", 1 << 20), (1 << 10, "K", 10000)):
        if entry.size >= least:
            return str((entry.size + unit // 2) // unit).rjust(7) + letter
    return str(entry.size).rjust(8)


def html_of(server, path, is_exact=True, zone=time.gmtime):
    lines = [b"<html>", b"<head><title>Index of %s</title></head>" % path, b"<body>", b'<h1>Index of %s</h1><hr><pre><a href="../">../</a>' % path]
    for entry in entries(server):
        name, slash = entry.name, b"/" if entry.is_dir else b""
        if len(name) > 50:
            text, width = html_escape(name[:47]) + b"..&gt;", 50
        else:
            shown = slash if len(name) < 50 else b""
            text, width = html_escape(name) + shown, len(name) + len(shown)
        href = urllib.parse.quote(name, safe="~").encode()
        date = time.strftime("%d-%b-%Y %H:%M", zone(entry.time))
        lines.append(b'<a href="%s%s">%s</a>%s%s%s' % (href, slash, text, b" " * (51 - width), date.encode(), shown_size(entry, is_exact).encode()))
    return b"\r\n".join(lines + [b"</pre><hr></body>", b"</html>", b""])


def json_escape(name):
    short = {ord('"'): b'\\"', ord("\\"): b"\\\\", 8: b"\\b", 9: b"\\t", 10: b"\\n", 12: b"\\f", 13: b"\\r"}
    return b"".join(short.get(c, b"\\u%04X" % c if c < 32 else bytes([c])) for c in name)


def json_of(server):
    lines = []
    for entry in entries(server):
        size = b', "size":%d' % entry.size if entry.is_file else b""
        date = email.utils.formatdate(entry.time, usegmt=True).encode()
        lines.append(b'{ "name":"%s", "type":"%s", "mtime":"%s"%s }' % (json_escape(entry.name), entry.kind.encode(), date, size))
    return b"[\r\n" + b",\r\n".join(lines) + b"\r\n]"


def xml_of(server):
    lines = [b'<?xml version="1.0"?>', b"<list>"]
    for entry in entries(server):
        size = b' size="%d"' % entry.size if entry.is_file else b""
        date = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(entry.time)).encode()
        lines.append(b'<%s mtime="%s"%s>%s</%s>' % (entry.kind.encode(), date, size, html_escape(entry.name), entry.kind.encode()))
    return b"\r\n".join(lines + [b"</list>", b""])


def test_html(server):
    resp = server.get("/d/")
    assert resp.status == 200 and resp.headers["Content-Type"] == "text/html" and resp.framing == "chunked"
    assert "Last-Modified" not in resp.headers and "Accept-Ranges" not in resp.headers
    assert resp.body == html_of(server, b"/d/")


def test_html_with_short_sizes(server):
    assert server.get("/size/").body == html_of(server, b"/size/", is_exact=False)


def test_html_by_the_pool(server):
    assert server.get("/pool/").body == html_of(server, b"/pool/")


def test_html_of_local_time(server):
    assert server.get("/local/").body == html_of(server, b"/local/", zone=time.localtime)


def test_html_in_utf8(command, weir):
    """Columns count characters then; a name that is no UTF-8 counts by bytes."""
    names = [char * n + end for n in (46, 47, 49, 50, 51) for char, end in (("\u00e9", ""), ("\u65e5", "x"), ("\U0001f600", ""), ("a", "\u00e9"))]
    raw = [name.encode() for name in names] + [b"\xff" * 50, b"\xff" * 51, b"a\xff" + "\u00e9".encode() * 30, b"a" * 60 + b"\xc3", "\u00e9".encode() * 24 + b"\xc3"]
    text = "charset utf-8; autoindex on; root {dir}; autoindex_exact_size off;"
    if "not supported yet" in command(text).command("-t").stderr:
        pytest.skip("there is no charset yet")
    server = weir(text)
    os.makedirs(server.path("u"))
    for name in raw:
        if len(name) <= 255:
            os.close(os.open(os.path.join(server.path("u").encode(), name), os.O_CREAT | os.O_WRONLY, 0o644))
    resp = server.get("/u/")
    assert resp.headers["Content-Type"] == "text/html; charset=utf-8"
    lines = resp.body.split(b"\r\n")[4:-3]
    for line, name in zip(lines, sorted(name for name in raw if len(name) <= 255), strict=True):
        try:
            chars = [char.encode() for char in name.decode()]
        except UnicodeDecodeError:
            chars = [bytes([c]) for c in name]
        shown = b"".join(chars[:47]) + b"..&gt;</a>" if len(chars) > 50 else name + b"</a>" + b" " * (50 - len(chars))
        assert line.split(b">", 1)[1].startswith(shown + b" 2"), name


def test_empty_folder(server):
    assert server.get("/none/").body.endswith(b'<hr><pre><a href="../">../</a>\r\n</pre><hr></body>\r\n</html>\r\n')


def test_json(server):
    resp = server.get("/json/")
    assert resp.headers["Content-Type"] == "application/json" and resp.body == json_of(server)
    assert len(json.loads(resp.body.decode("utf-8"))) == len(entries(server))


def test_xml(server):
    resp = server.get("/xml/")
    assert resp.headers["Content-Type"] == "text/xml; charset=utf-8" and resp.body == xml_of(server)


@pytest.mark.parametrize("query", ["callback=foo", "x=1&callback=foo", "CALLBACK=foo", "callback=foo&callback=bar"])
def test_jsonp(server, query):
    resp = server.get("/jsonp/?" + query)
    assert resp.headers["Content-Type"] == "application/javascript"
    assert resp.body == b"/* callback */\r\nfoo(" + json_of(server) + b");"


@pytest.mark.parametrize("query", ["", "callback=", "xcallback=a", "x=callback=a"])
def test_jsonp_without_callback(server, query):
    resp = server.get("/jsonp/?" + query)
    assert resp.headers["Content-Type"] == "application/json" and resp.body == json_of(server)


@pytest.mark.parametrize("value", ["a-b", "a%20b", "a(b", "%3Cscript%3E", "a$", "a%2eb", "a~"])
def test_jsonp_with_a_bad_callback(server, value):
    assert server.get("/jsonp/?callback=" + value).status == 400


def test_head(server):
    resp = server.request("HEAD", "/d/")
    assert resp.status == 200 and resp.headers["Content-Type"] == "text/html"


@pytest.mark.parametrize("method,target,status", [
    ("POST", "/d/", 403), ("PUT", "/d/", 405), ("GET", "/off/", 403), ("GET", "/missing/", 404), ("GET", "/d/Z.txt/", 404), ("GET", "/d", 301)])
def test_not_listed(server, method, target, status):
    assert server.request(method, target, body=b"x" if method == "POST" else None).status == status


def test_the_index_comes_first(server):
    assert server.get("/indexed/").body == b"the index"


def test_title_is_escaped(server):
    assert b"<title>Index of /d/sub&amp;dir/</title>" in server.get("/d/sub&dir/").body


def test_links_where_they_are_refused(server):
    if not os.path.islink(server.path("d/sub/ln")):
        os.symlink("../A", server.path("d/sub/ln"))
    assert server.get("/nolinks/sub/").status == 200
    assert server.get("/nolinks/sub/ln/").status == (404 if IS_NGINX else 403)


@pytest.mark.weir_only("nginx holds up all other requests meanwhile")
def test_a_large_folder_holds_up_nobody(weir):
    """10,000 names, read by the pool and sent as the client takes them."""
    server = weir("root {dir}; autoindex on; keepalive_requests 1000000; location = /quick { return 200 ok; }", start=False, workers=1)
    folder = server.path("large")
    os.makedirs(folder)
    for i in range(10000):
        os.close(os.open(f"{folder}/{i:05d}", os.O_CREAT | os.O_WRONLY))
    server.start(open(server.conf, encoding="utf-8").read())
    client = server.client()

    def others():
        """How many requests are answered while the folder is read; a busy machine may not let us ask."""
        bodies = []
        reader = threading.Thread(target=lambda: bodies.append(server.get("/large/").body))
        worst, cnt = 0.0, 0
        reader.start()
        while reader.is_alive():
            began = time.monotonic()
            assert client.get("/quick").text == "ok"
            worst, cnt = max(worst, time.monotonic() - began), cnt + 1
        reader.join()
        names = re.findall(rb'<a href="(\d+)">', bodies[0])
        assert names == [b"%05d" % i for i in range(10000)]
        print(f"{cnt} others meanwhile, the slowest took {worst * 1000:.1f} ms")
        return cnt
    wait_for(lambda: others() >= 5, "five others meanwhile")


def test_random_index(weir):
    server = weir("root {dir}; location /r/ { random_index on; } location /e/ { random_index on; } location /i/ { random_index on; }",
                  files={"r/a": b"a", "r/b": b"b", "r/c": b"c", "r/.h": b"h", "r/d/x": b"x", "e/.h": b"h", "i/index.html": b"i"})
    client = server.client()
    seen = [client.get("/r/").text for _ in range(120)]
    assert set(seen) == {"a", "b", "c"} and min(seen.count(x) for x in "abc") >= 10
    assert client.get("/e/").status == 403 and client.get("/i/").text == "i" and client.get("/none/").status == 404
    assert client.get("/r/a").text == "a" and client.request("HEAD", "/r/").status == 200


@pytest.mark.weir_only("nginx: 403")
def test_random_index_of_nothing(weir):
    server = weir("location /r/ { alias {dir}/no/such/; random_index on; }")
    assert server.get("/r/").status == 404


GIF = bytes.fromhex("47494638396101000100800100000000ffffff21f90401000001002c00000000010001000002024c01003b")


def test_empty_gif(weir):
    server = weir("location = /1.gif { empty_gif; }")
    resp = server.get("/1.gif")
    assert (resp.status, resp.body, resp.headers["Content-Type"]) == (200, GIF, "image/gif")
    assert resp.headers["Last-Modified"] == "Mon, 28 Sep 1970 06:00:00 GMT"
    assert server.get("/1.gif", {"If-Modified-Since": resp.headers["Last-Modified"]}).status == 304
    assert server.request("HEAD", "/1.gif").headers["Content-Length"] == "43"
    assert server.request("POST", "/1.gif", body=b"x").status == 405


STATUS = re.compile(r"Active connections: (\d+) \nserver accepts handled requests\n (\d+) (\d+) (\d+) \nReading: (\d+) Writing: (\d+) Waiting: (\d+) \n\Z")


def numbers(client):
    resp = client.get("/s")
    assert resp.status == 200 and resp.headers["Content-Type"] == "text/plain"
    return [int(x) for x in STATUS.match(resp.text).groups()]


def test_stub_status(weir):
    server = weir('location = /s { stub_status; } location = /v { return 200 "$connections_active $connections_reading '
                  '$connections_writing $connections_waiting"; } location / { return 200 x; }',
                  workers=1)
    client = server.client()
    active, accepted, handled, requests, reading, writing, waiting = numbers(client)
    assert active == 1 and accepted == handled and accepted >= 1 and requests >= 1 and (reading, writing, waiting) == (0, 1, 0)
    idle = [server.client() for _ in range(3)]
    for other in idle:
        other.get("/")
    half = server.client()
    half.send(b"GET / HTTP/1.1\r\nHo")
    wait_for(lambda: numbers(client)[4:] == [1, 1, 3], "one reads, one writes, three wait")
    assert numbers(client)[0] == 5 and numbers(client)[1] == accepted + 4
    assert client.get("/v").text == "5 1 1 3"
    before = numbers(client)[3]
    assert numbers(client)[3] == before + 1
    half.close()
    idle[0].close()
    wait_for(lambda: numbers(client)[4:] == [0, 1, 2], "two have gone")
    assert client.request("POST", "/s", body=b"x").status == 405
    assert client.request("HEAD", "/s").headers["Content-Type"] == "text/plain"


def test_stub_status_of_a_server(weir):
    server = weir("stub_status; location /x { return 200 x; }")
    assert server.get("/").text.startswith("Active connections: ") and server.get("/x").text == "x"


@pytest.mark.parametrize("text,message", [
    ("autoindex maybe;", 'invalid value "maybe" in "autoindex" directive, it must be "on" or "off"'), ("autoindex;", 'invalid number of arguments in "autoindex"'),
    ("autoindex_format foo;", 'invalid value "foo"'), ("autoindex_exact_size 1;", 'invalid value "1" in "autoindex_exact_size" directive, it must be "on" or "off"'),
    ("autoindex_localtime x;", "autoindex_localtime"), ("if ($host) { autoindex on; }", '"autoindex" directive is not allowed here'),
    ("random_index on;", '"random_index" directive is not allowed here'), ("location / { random_index foo; }", 'invalid value "foo" in "random_index" directive'),
    ("empty_gif;", '"empty_gif" directive is not allowed here'), ("location / { empty_gif x; }", 'invalid number of arguments in "empty_gif"'),
    ("location / { if ($host) { stub_status; } }", '"stub_status" directive is not allowed here'), ("autoindex on; autoindex on;", "is duplicate")])
def test_refused(command, text, message):
    result = command(text).command("-t")
    assert result.returncode == 1 and message in result.stderr


def test_inherited(weir):
    server = weir("root {dir}; location /off/ { autoindex off; } location /json/ { autoindex_format json; }", http="autoindex on;",
                  files={"off/x": b"", "json/x": b"", "x/y": b""})
    assert server.get("/x/").body.startswith(b"<html>") and server.get("/off/").status == 403 and server.get("/json/").body.startswith(b"[")
