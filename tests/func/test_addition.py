# SPDX-License-Identifier: Apache-2.0
"""add_before_body, add_after_body, addition_types: subrequests around a body (U13)."""
import threading

import pytest

from weirtest.load import MemoryWatch, processes_of
from weirtest.timing import wait_for

FILES = {"h/a.html": b"<a>", "h/a.txt": b"text", "h/big.html": b"B" * 3000000, "h/empty.html": b"",
         "h/before": b"<before>", "h/after": b"<after>", "h/large": b"L" * 5000000}

SERVER = """
    root {dir}/h;
    location / { add_before_body /before; add_after_body /after; }
    location /types/ { alias {dir}/h/; addition_types text/plain; add_before_body /before; add_after_body /after; }
    location /all/ { alias {dir}/h/; addition_types *; add_before_body /before; }
    location /only-before/ { alias {dir}/h/; add_before_body /before; }
    location /only-after/ { alias {dir}/h/; add_after_body /after; }
    location /missing/ { alias {dir}/h/; add_before_body /none; add_after_body /after; }
    location /args/ { alias {dir}/h/; add_before_body /said; }
    location /large/ { alias {dir}/h/; add_before_body /large; add_after_body /large; }
    location = /said { return 200 "[$uri $args $request_uri]"; }
    location /outer/ { alias {dir}/h/; add_before_body /before; add_after_body /after;
        location /outer/off/ { alias {dir}/h/; add_before_body ""; } }
    location /status/ { add_before_body /before; default_type text/html; return 404 "no"; }
    location /ret/ { add_before_body /before; default_type text/html; return 200 "yes"; }
    location /proxy/ { add_before_body /before; add_after_body /up/b; proxy_pass http://{up}/; }
    location /up/ { internal; proxy_pass http://{up}; }
    location = /before { add_before_body ""; }
    location = /after { add_before_body ""; }
    location = /large { add_before_body ""; }
"""


def page(conn):
    for req in conn.requests():
        conn.reply(req.target.encode(), headers=[("Content-Type", "text/html"), ("ETag", '"x"'), ("Accept-Ranges", "bytes"),
                                                 ("Last-Modified", "Sat, 01 Jan 2022 00:00:00 GMT")])


@pytest.fixture(scope="module")
def up(weir_shared):
    return weir_shared.origin(page)


@pytest.fixture(scope="module")
def server(weir_shared, up):
    return weir_shared.server(SERVER, files=FILES, up=up)


@pytest.mark.parametrize("target, text", [
    ("/a.html", "<before><a><after>"),
    ("/a.txt", "text"),
    ("/empty.html", "<before><after>"),
    ("/types/a.txt", "<before>text<after>"),
    ("/types/a.html", "<before><a><after>"),
    ("/all/a.txt", "<before>text"),
    ("/only-before/a.html", "<before><a>"),
    ("/only-after/a.html", "<a><after>"),
    ("/args/a.html?q", "[/said  /args/a.html?q]<a>"),
    ("/outer/a.html", "<before><a><after>"),
    ("/outer/off/a.html", "<a><after>"),
    ("/status/", "no"),
    ("/ret/", "<before>yes"),
    ("/proxy/x", "<before>/x/up/b"),
])
def test_bodies(server, target, text):
    assert server.get(target).text == text


def test_missing_part_is_its_error_page(server):
    text = server.get("/missing/a.html").text
    assert "404 Not Found" in text and text.endswith("<a><after>")


def test_fields(server):
    resp = server.get("/a.html")
    assert "Content-Length" not in resp.headers and "Accept-Ranges" not in resp.headers
    assert resp.headers["ETag"].startswith('W/"') and "Last-Modified" in resp.headers
    assert resp.headers["Content-Type"] == "text/html"
    resp = server.get("/proxy/x")
    assert resp.headers["ETag"] == 'W/"x"' and "Content-Length" not in resp.headers


def test_head(server):
    resp = server.request("HEAD", "/a.html")
    assert resp.status == 200 and resp.body == b"" and "Content-Length" not in resp.headers


def test_no_ranges(server):
    resp = server.get("/a.html", {"Range": "bytes=0-1"})
    assert resp.status == 200 and resp.text == "<before><a><after>"


def test_conditions_are_the_pages(server, up):
    """The parts are asked for without them."""
    tag = server.get("/a.html").headers["ETag"]
    assert server.get("/a.html", {"If-None-Match": tag}).status == 304
    assert server.get("/a.html", {"If-None-Match": '"other"'}).text == "<before><a><after>"


@pytest.mark.weir_only("nginx asks for parts with the conditions and codings of the page")
def test_parts_are_whole_and_plain(server, up):
    assert server.get("/proxy/y", {"If-None-Match": '"other"', "Accept-Encoding": "gzip", "Range": "bytes=0-0"}).status == 200
    part = [r for r in up.requests if r.target == "/up/b"][-1]
    assert not {"if-none-match", "accept-encoding", "range"} & {n.lower() for n in part.headers.names()}


def test_connection_goes_on(server):
    client = server.client()
    for _ in range(5):
        assert client.get("/a.html").text == "<before><a><after>"
        assert client.get("/a.txt").text == "text"


def test_large_ones_in_order(server):
    body = server.get("/large/big.html").body
    assert body == b"L" * 5000000 + b"B" * 3000000 + b"L" * 5000000


def test_slow_client_holds_little(weir, origin):
    """U13: what has its turn waits in its own buffers and file, then the peer is held back."""
    def huge(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 200000000\r\n\r\n")
        try:
            for _ in range(2000):
                conn.send(b"x" * 100000)
        except OSError:
            pass
    up = origin(huge)
    server = weir("""root {dir}/h; location / { add_before_body /up; add_after_body /up; }
        location = /up { proxy_pass http://{up}; proxy_max_temp_file_size 1m; }""", files={"h/a.html": b"<a>"}, up=up)
    with MemoryWatch(processes_of(server)) as memory:
        client = server.client(rcvbuf=65536)
        client.send(b"GET /a.html HTTP/1.1\r\nHost: h\r\n\r\n")
        client.read_response_head()
        client.read_exact(65536)
        up.wait_requests(1)
        client.close()
    up.wait_end(0)
    assert memory.peak - memory.start < 30 << 20


@pytest.mark.weir_only("nginx goes on with the rest, and ends the page as if it were whole")
def test_broken_part_breaks_the_page(weir, origin):
    def cut(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
        conn.reset()
    up = origin(cut)
    server = weir("""root {dir}/h; location / { add_before_body /up; } location = /up { proxy_pass http://{up}; }""",
                  files={"h/a.html": b"<a>"}, up=up)
    client = server.client()
    client.send(b"GET /a.html HTTP/1.1\r\nHost: h\r\n\r\n")
    client.read_response_head()
    data = client.read_all()
    assert b"<a>" not in data and not data.endswith(b"0\r\n\r\n")


def test_client_leaves_during_a_part(weir, origin):
    ends = []

    def slow(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
        ends.append(conn.hold())
    up = origin(slow)
    server = weir("""root {dir}/h; location / { add_before_body /up; } location = /up { proxy_buffering off;
        proxy_pass http://{up}; }""", files={"h/a.html": b"<a>"}, up=up)
    client = server.client()
    client.send(b"GET /a.html HTTP/1.1\r\nHost: h\r\n\r\n")
    client.read_response_head()
    client.read_until(b"half")
    client.reset()
    up.wait_end(0)
    assert server.get("/x.css").status == 404


def test_reload_in_the_middle(weir, origin):
    gate = threading.Event()

    def slow(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
        conn.wait(gate)
        conn.send(b"half")
    up = origin([slow, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew"])
    server = weir("""root {dir}/h; location / { add_before_body /up; add_after_body /up; }
        location = /up { proxy_pass http://{up}; }""", files={"h/a.html": b"<a>"}, up=up)
    client = server.client()
    client.send(b"GET /a.html HTTP/1.1\r\nHost: h\r\n\r\n")
    up.wait_requests(1)
    server.signal("HUP")
    wait_for(lambda: server.get("/a.html").text == "new<a>new", "the new generation")
    gate.set()
    assert client.read_response().text == "halfhalf<a>new"


@pytest.mark.parametrize("line, message", [
    ("add_before_body;", 'invalid number of arguments in "add_before_body" directive'),
    ("add_after_body a b;", 'invalid number of arguments in "add_after_body" directive'),
    ("add_after_body x; add_after_body y;", '"add_after_body" directive is duplicate'),
    ("if ($args) { add_before_body x; }", '"add_before_body" directive is not allowed here'),
    ("if ($args) { addition_types x; }", '"addition_types" directive is not allowed here'),
    ("addition_types;", 'invalid number of arguments in "addition_types" directive'),
])
def test_errors(command, line, message):
    server = command("location / { " + line + " }")
    done = server.command("-t")
    assert done.returncode != 0 and message in done.stderr
