# SPDX-License-Identifier: Apache-2.0
"""ssi: commands in pages, includes side by side and in order, what they cost, what ends them (U13)."""
import re
import threading
import time

import pytest

from weirtest.load import MemoryWatch, processes_of
from weirtest.timing import LIMIT, wait_for

ERR = "[an error occurred while processing the directive]"

CONF = """
    ssi on; set $v 'vv<&>"'; set $empty ""; root {dir}/h;
    location /ret/ { default_type text/html; return 200 "RET[$uri $args <!--# echo var='uri' -->]"; }
    location /e500 { return 500; }
    location /e404b { default_type text/html; return 404 "nf"; }
    location /null { return 204; }
    location /off/ { default_type text/html; ssi off; return 200 "off <!--# echo var='uri' -->"; }
    location /silent/ { ssi_silent_errors on; alias {dir}/h/; }
    location /plain/ { default_type text/plain; return 200 "pl<!--# echo var='uri' -->"; }
    location /typed/ { ssi_types text/plain; default_type text/plain; return 200 "ty<!--# echo var='uri' -->"; }
    location /any/ { ssi_types *; default_type image/png; return 200 "any<!--# echo var='uri' -->"; }
    location /if/ { ssi off; default_type text/html; if ($arg_on) { ssi on; } alias {dir}/h/; }
    location /modified/ { ssi_last_modified on; alias {dir}/h/; }
    location /long/ { ssi_value_length 1000; alias {dir}/h/; }
    location /small/ { subrequest_output_buffer_size 100; alias {dir}/h/; }
    location /err/ { error_page 404 /err404.html; alias {dir}/h/; }
    location /in/ { internal; alias {dir}/h/; }
    location /up/ { proxy_pass http://{up}; }
"""

FILES = {
    "inc.html": "INC", "inc.txt": 'TXT<!--# echo var="uri" -->', "empty.html": "", "nest.html": 'N[<!--# include virtual="/inc.html" -->]',
    "sub/rel.html": "REL", "vars.html": 'V<!--# set var="inner" value="fromchild" --><!--# echo var="outer" -->',
    "big.html": "B" * 20000, "self.html": '(<!--# include virtual="/self.html" -->)', "err404.html": "E404",
    "200b.html": "x" * 200,
}

# page, what the client gets; TABLE is the same on nginx
TABLE = [
    ('a<!--# echo var="uri" -->b', "a{uri}b"),
    ('<!--#echo var="uri"-->', "{uri}"),
    ('<!--# echo var="nope" -->|<!--# echo var="nope" default="D" -->|<!--# echo var="nope" default="" -->', "(none)|D|"),
    ('<!--# echo var="nope" default="<b>$uri" -->|<!--# echo var="empty" default="x" -->', "&lt;b&gt;$uri|"),
    ('<!--# echo var="v" -->|<!--# echo var="v" encoding="none" -->|<!--# echo var="v" encoding="url" -->|'
     '<!--# echo encoding="entity" var="v" -->', 'vv&lt;&amp;&gt;&quot;|vv<&>"|vv%3C&%3E%22|vv&lt;&amp;&gt;&quot;'),
    ("<!--# set var=\"s\" value=\" !#%&'()*+,-./0:;<=>?@[\\\\]^_`a{|}~\t\" --><!--# echo var=\"s\" encoding=\"url\" -->",
     "%20!%23%25&%27()*+,-./0:;%3C=%3E?@[%5C]%5E_%60a%7B%7C%7D~%09"),
    ('<!--# echo var=uri -->|<!--# echo var=\'uri\' -->|<!--#   echo    var = "uri"   -->', ERR + "|{uri}|{uri}"),
    ('<!--# echo -->x', ERR + "x"),
    ('<!--# foo bar="x" -->y', ERR + "y"),
    ('<!--# echo foo="x" -->y', ERR + "y"),
    ('<!--# echo var="uri" foo="x" -->y', ERR + "y"),
    ('<!-- comment --><!--x--><!-<!--# echo var="arg_x" -->', "<!-- comment --><!--x--><!-1"),
    ('<!--# include virtual="/inc.html" -->|<!--# include file="inc.html" -->|<!--# include file="/inc.html" -->|'
     '<!--# include virtual="inc.html" -->', "INC|INC|INC|INC"),
    ('<!--# include virtual="/ret/$arg_x?q=$arg_a" -->', "RET[/ret/1 q=b%20c /ret/1]"),
    ('<!--# include virtual="/ret/a%20b?q=%20" -->', "RET[/ret/a b q=%20 /ret/a b]"),
    ('<!--# include virtual="/nest.html" -->', "N[INC]"),
    ('<!--# include file="sub/rel.html" -->|<!--# include file="../x" -->', "REL|" + ERR),
    ('<!--# include virtual="/../x" -->|<!--# include virtual="/ret/%2e%2e/inc.html" -->|', ERR + "|" + ERR + "|"),
    ('<!--# include virtual="/in/inc.html" -->', "INC"),
    ('<!--# set var="s" value="1$uri" --><!--# echo var="s" -->|<!--# set var="s" value="2" --><!--# echo var="s" -->', "1{uri}|2"),
    ('<!--# set var="outer" value="O" --><!--# include virtual="/vars.html" wait="yes" -->|<!--# echo var="inner" -->', "VO|fromchild"),
    ('<!--# set var="x" value="1" --><!--# set var="x" value="$x${x}a" --><!--# echo var="x" -->', "11a"),
    ('<!--# set var="uri" value="over" --><!--# echo var="URI" -->|<!--# set var="MiX" value="m" --><!--# echo var="mix" -->', "over|m"),
    ('<!--# if expr="$arg_x" -->yes<!--# else -->no<!--# endif -->|<!--# if expr="$nope" -->yes<!--# else -->no<!--# endif -->|'
     '<!--# if expr="$empty" -->yes<!--# else -->no<!--# endif -->', "yes|no|no"),
    ('<!--# if expr="$arg_x = 1" -->yes<!--# else -->no<!--# endif -->|<!--# if expr="$arg_x != 1" -->yes<!--# else -->no<!--# endif -->'
     '|<!--# if expr="$arg_x=2" -->yes<!--# elif expr="$arg_x=1" -->elif<!--# else -->no<!--# endif -->', "yes|no|elif"),
    ('<!--# if expr="$request_uri = /^\\/(\\w+)\\.(?P<ext>.+)\\?/" -->yes <!--# echo var="1" --> <!--# echo var="ext" --> '
     '<!--# set var="n" value="$ext $1" --><!--# echo var="n" --><!--# else -->no<!--# endif -->', "yes {name} html html {name}"),
    ('<!--# if expr="$uri != /xx/" -->yes<!--# endif -->', "yes"),
    ('<!--# if expr="$arg_x = $arg_x" -->yes<!--# else -->no<!--# endif -->', "yes"),
    ('<!--# else -->x<!--# endif -->y', f"{ERR}x{ERR}y"),
    ('<!--# endif -->y<!--# elif expr="1" -->z', f"{ERR}y{ERR}z"),
    ('<!--# if expr="text" -->yes<!--# else -->no<!--# endif -->|<!--# if expr="" -->yes<!--# else -->no<!--# endif -->', "yes|no"),
    ('<!--# if expr="$arg_x" -->1<!--# else -->2<!--# else -->3<!--# endif -->', "1" + ERR),
    ('<!--# if expr="$arg_x != " -->yes<!--# else -->no<!--# endif -->|<!--# if expr="$nope = " -->yes<!--# else -->no<!--# endif -->',
     "yes|yes"),
    ('<!--# block name="one" -->STUB<!--# endblock -->|<!--# include virtual="/none" stub="one" -->|'
     '<!--# include virtual="/empty.html" stub="one" -->|<!--# include virtual="/inc.html" stub="one" -->|'
     '<!--# include virtual="/e500" stub="one" -->', "|STUB|STUB|INC|STUB"),
    ('<!--# include virtual="/empty.html" stub="nostub" -->|<!--# include virtual="/e404b" -->|<!--# include virtual="/null" -->|',
     ERR + "|nf||"),
    ('<!--# include virtual="/inc.html" set="got" -->|<!--# echo var="got" -->|', "|INC|"),
    ('<!--# include virtual="/e404b" set="got" -->|<!--# echo var="got" -->|', "||"),
    ('<!--# include virtual="/inc.html" set="z" stub="one" -->|', ERR + "|"),
    ('<!--# config errmsg="ERR" --><!--# foo -->', "ERR"),
    ('<!--# config timefmt="%%Y" --><!--# echo var="date_local" -->', "%Y"),
    ('<!--# include virtual="/off/" -->|<!--# include virtual="/plain/" -->|<!--# include virtual="/inc.txt" -->',
     'off <!--# echo var=\'uri\' -->|pl<!--# echo var=\'uri\' -->|TXT<!--# echo var="uri" -->'),
    ('<!--# include virtual="/typed/" -->|<!--# include virtual="/any/" -->', "ty/typed/|any/any/"),
    ('unfinished <!--# echo var="uri" ', "unfinished "),
    ('<!--# set var="q" value="a\\"b\\\\c\\$x" --><!--# echo var="q" encoding="none" -->', 'a"b\\c$x'),
    ('<!--# set var="q" value="x-->y" --><!--# echo var="q" encoding="none" -->', 'x-->y'),
    ('<!--# set var="s" value="$" -->|<!--# set var="s" value="${x" -->', ERR + "|" + ERR),
    ('<!--# echo var="arg_a" -->|<!--# echo var="http_x_h" -->|<!--# echo var="HTTP_X_H" -->|<!--# echo var="request_uri" -->|'
     '<!--# echo var="query_string" -->', "b%20c|hv|hv|{uri}?a=b%20c&amp;x=1|a=b%20c&amp;x=1"),
    ('<!--# include virtual="/ret/" wait="yes" --><!--# include virtual="/inc.html" wait="no" -->'
     '<!--# include virtual="/inc.html" wait="maybe" -->', "RET[/ret/  /ret/]INC" + ERR),
    ('<!--# include file="inc.html" virtual="/inc.html" -->|<!--# include -->|', ERR + "|" + ERR + "|"),
    ('<!--# endblock -->x', "x"),
    ('<!--# block name="a" -->unended', ""),
    ('<!--# if expr="$arg_x" -->unended', "unended"),
    ('<!--# set value="y" -->c<!--# set var="t" -->d', f"{ERR}c{ERR}d"),
    ('<!--# ECHO var="uri" -->|<!--# echo VAR="uri" -->', ERR + "|" + ERR),
    ('<!--# echo var="' + "x" * 300 + '" -->|after', ERR + "|after"),
    ('<!--# echo var="uri"default="x" -->|<!--# echo "uri" -->|<!--# echo var -->|<!--# echo var= -->|',
     ERR + "|" + ERR + "|" + ERR + "|" + ERR + "|"),
    ('<!--# config foo="x" -->|<!--# config errmsg="E" timefmt="%Y" --><!--# nope -->', ERR + "|E"),
    ('<!--#exec cmd="ls" -->|<!--# printenv -->', ERR + "|" + ERR),
    ('x' * 5000 + '<!--# echo var="arg_x" -->' + 'y' * 70000 + '<!--# include virtual="/big.html" -->' + "z" * 5,
     'x' * 5000 + "1" + 'y' * 70000 + "B" * 20000 + "z" * 5),
]

# documented, or a trap of nginx
OURS = [
    ('<!--# if expr="$nope" --><!--# if expr="$arg_x" -->in<!--# endif -->out<!--# endif -->|after', "|after"),
    ('<!--# if expr="$arg_x" --><!--# if expr="$arg_x" -->in<!--# endif -->out<!--# else -->E<!--# endif -->|after', "inout|after"),
    ('<!--# if expr="$arg_x = /(/" -->yes<!--# else -->no<!--# endif -->|', ERR + "no|"),
    ('<!--# if expr=" $arg_x  =  1 " -->yes<!--# endif -->', "yes"),
    ('<!--# if -->1<!--# else -->2<!--# endif -->|', ERR + "2|"),
    ('<!--# block name="one" -->STUB <!--# echo var="arg_x" --> <!--# include virtual="/inc.html" --><!--# endblock -->|'
     '<!--# include virtual="/none" stub="one" -->|<!--# include virtual="/empty.html" stub="one" -->|', "|STUB 1 INC|STUB 1 INC|"),
    ('<!--# include virtual="/big.html" set="got" -->|<!--# echo var="got" -->|', "||"),
    ('<!--# config errmsg="" --><!--# foo -->x', "x"),
    ('unfinished <!--', "unfinished <!--"),
    ('<!--# echo var="v" encoding="bad" -->', ERR),
    ("<!--# it's a comment -->|<!--# echo var=\"arg_x\" -->", ERR + "|1"),
    ('<!--# echo var="arg_x" --->|x', ERR + "|x"),
]


def pages():
    files = {"h/" + name: text.encode() for name, text in FILES.items()}
    for i, (text, _) in enumerate(TABLE):
        files[f"h/t{i}.html"] = text.encode()
    for i, (text, _) in enumerate(OURS):
        files[f"h/o{i}.html"] = text.encode()
    files["h/log.html"] = b'<!--# foo --><!--# echo var="uri" bar="" -->'
    files["h/long.html"] = b'<!--# echo var="nope" default="' + b"d" * 500 + b'" -->'
    files["h/set200.html"] = b'<!--# include virtual="/200b.html" set="x" --><!--# echo var="x" -->'
    files["h/date.html"] = (b'<!--# echo var="date_local" -->|<!--# echo var="date_gmt" -->|<!--# config timefmt="%Y" -->'
                            b'<!--# echo var="date_gmt" -->|<!--# config timefmt="%s" --><!--# echo var="date_local" -->')
    files["h/inc404.html"] = b'<!--# include virtual="/err/none.html" -->|'
    return files


@pytest.fixture(scope="module")
def server(weir_shared):
    up = weir_shared.origin()
    return weir_shared.server(CONF, http="types { text/html html; text/plain txt; }", files=pages(), up=up,
                              allow=["zero size buf"])


def check(server, name, expected):
    uri = f"/{name}.html"
    resp = server.get(uri + "?a=b%20c&x=1", {"X-H": "hv"})
    assert resp.status == 200
    assert resp.text == expected.replace("{uri}", uri).replace("{name}", name)


@pytest.mark.parametrize("i", range(len(TABLE)))
def test_commands(server, i):
    check(server, f"t{i}", TABLE[i][1])


@pytest.mark.weir_only("nested if, stubs with commands, and errors that do not swallow the page")
@pytest.mark.parametrize("i", range(len(OURS)))
def test_commands_of_ours(server, i):
    check(server, f"o{i}", OURS[i][1])


def test_dates(server):
    local, gmt, year, seconds = server.get("/date.html").text.split("|")
    assert re.fullmatch(r"\w+, \d\d-\w\w\w-\d{4} \d\d:\d\d:\d\d \w+", local)
    assert re.fullmatch(r"\w+, \d\d-\w\w\w-\d{4} \d\d:\d\d:\d\d GMT", gmt)
    assert abs(int(seconds) - time.time()) < 100 and year in gmt


def test_fields(server):
    resp = server.get("/t0.html")
    for name in ("Content-Length", "Last-Modified", "ETag", "Accept-Ranges"):
        assert name not in resp.headers
    resp = server.get("/modified/t0.html")
    assert "Last-Modified" in resp.headers and resp.headers["ETag"].startswith('W/"')
    resp = server.get("/inc.txt")
    assert "Last-Modified" in resp.headers and "Content-Length" in resp.headers


def test_head(server):
    resp = server.request("HEAD", "/t0.html")
    assert resp.status == 200 and resp.body == b"" and "Content-Length" not in resp.headers


def test_silent(server):
    assert server.get("/silent/log.html").text == ""
    assert server.get("/log.html").text == ERR + ERR
    server.wait_log(r'invalid SSI command: "foo" while sending response to client, client: .*request: "GET /silent/log.html')


def test_value_length(server):
    assert server.get("/long.html").text == ERR
    assert server.get("/long/long.html").text == "d" * 500


def test_switched_on_by_if(server):
    assert server.get("/if/t0.html").text == TABLE[0][0]
    assert server.get("/if/t0.html?on=1").text == "a/if/t0.htmlb"


def test_error_pages_of_parts(server):
    assert server.get("/inc404.html").text == "E404|"


@pytest.mark.weir_only("nginx breaks the page off")
def test_answer_that_is_too_large_for_a_variable(server):
    assert server.get("/set200.html").text == "x" * 200
    assert server.get("/small/set200.html").text == ""
    server.wait_log(r"larger than subrequest_output_buffer_size, 100 bytes")


def test_endless_inclusion(server):
    """U13: at most 50 levels."""
    text = server.get("/self.html").text
    assert text.count("(") == text.count(")") and 49 <= text.count("(") <= 52 and ERR in text
    server.wait_log("subrequests cycle while processing")


def test_connection_goes_on(server):
    client = server.client()
    for _ in range(10):
        assert client.get("/nest.html").text == "N[INC]"
        assert client.get("/inc.txt").status == 200


# ---- includes of peers -------------------------------------------------------------------------------------------

PEERS = """ssi on; default_type text/html; root {dir}/h; location /up/ { proxy_pass http://{up}; }"""


def includes(*names, more=""):
    return " ".join(f'<!--# include virtual="/up/{n}" {more} -->' for n in names).encode()


def test_side_by_side_and_in_order(weir, origin):
    """All are asked at once; the answers come last first, the page has them in its order."""
    gates = {n: threading.Event() for n in "abcd"}

    def script(conn):
        req = conn.read_request()
        name = req.target[-1]
        conn.wait(gates[name])
        conn.reply(name.encode() * 3)
    up = origin(script)
    server = weir(PEERS, files={"h/p": b"[" + includes(*"abcd") + b"]"}, up=up)
    client = server.client()
    client.send(b"GET /p HTTP/1.1\r\nHost: h\r\n\r\n")
    up.wait_requests(4)
    for name in "dcba":
        gates[name].set()
        if name != "a":
            wait_for(lambda: len(up.ends) == 4 - "abcd".index(name), "the answer of " + name)
    assert client.read_response().text == "[aaa bbb ccc ddd]"


def test_wait_is_one_after_the_other(weir, origin):
    def script(conn):
        for req in conn.requests():
            conn.reply(req.target[-1].encode())
    up = origin(script)
    server = weir(PEERS, files={"h/p": includes(*"abcd", more='wait="yes"')}, up=up)
    assert server.get("/p").text == "a b c d"
    assert [r.target[-1] for r in up.requests] == list("abcd")


def test_more_includes_than_run_at_a_time(weir, origin):
    def script(conn):
        for req in conn.requests():
            conn.reply(req.target.encode())
    up = origin(script)
    names = [str(i) for i in range(300)]
    server = weir(PEERS, files={"h/p": includes(*names)}, up=up, connections=2000)
    assert server.get("/p").text == " ".join("/up/" + n for n in names)


def test_retry_within_an_include(weir, origin):  # U13: the whole mechanism
    good = origin()
    server = weir("ssi on; default_type text/html; root {dir}/h; location /up/ { proxy_pass http://g; }",
                  http="upstream g { zone g 64k; server 127.0.0.1:{port_closed} max_fails=0; server {good}; }", good=good,
                  files={"h/p": includes(*"abcd")})
    for _ in range(3):
        assert server.get("/p").text == "ok ok ok ok"


def test_slow_client_and_large_parts(weir, origin):
    """U13: those whose turn has not come stay in their own buffers and files; memory is bounded, the order is kept."""
    size = 8000000

    def script(conn):
        for req in conn.requests():
            name = req.target[-1].encode()
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            for _ in range(size // 100000):
                conn.send(name * 100000)
    up = origin(script)
    server = weir("""ssi on; default_type text/html; root {dir}/h;
        location /up/ { proxy_pass http://{up}; proxy_max_temp_file_size 2m; send_timeout 100s; proxy_read_timeout 100s; }""",
                  files={"h/p": b"[" + includes(*"abcdefgh") + b"]"}, up=up)
    with MemoryWatch(processes_of(server)) as memory:
        client = server.client(rcvbuf=65536)
        client.send(b"GET /p HTTP/1.0\r\nHost: h\r\n\r\n")
        client.read_response_head()
        up.wait_requests(8)
        client.read_exact(1)
        for i, name in enumerate("abcdefgh"):
            left = size
            while left:
                piece = client.read_exact(min(left, 500000))
                assert piece == name.encode() * len(piece)
                left -= len(piece)
            assert client.read_exact(1) == (b"]" if name == "h" else b" ")
        client.expect_eof()
    assert memory.peak - memory.start < 40 << 20


def test_held_back_peer_is_not_read_on(weir, origin):
    """One whose turn has not come: no more than its limits."""
    gate, sent = threading.Event(), []

    def script(conn):
        req = conn.read_request()
        if req.target[-1] == "a":
            conn.wait(gate)
            conn.reply(b"a")
            return
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n")
        for i in range(500):
            conn.send(b"b" * 100000)
            sent.append(i)
    up = origin(script)
    server = weir("""ssi on; default_type text/html; root {dir}/h;
        location /up/ { proxy_pass http://{up}; proxy_max_temp_file_size 1m; proxy_temp_file_write_size 64k; }""",
                  files={"h/p": includes(*"ab")}, up=up)
    client = server.client()
    client.send(b"GET /p HTTP/1.0\r\nHost: h\r\n\r\n")
    up.wait_requests(2)
    wait_for(lambda: len(sent) > 5, "some of the second part")
    before = -1
    while before != len(sent):
        before = len(sent)
        time.sleep(0.3)
    assert len(sent) < 250
    gate.set()
    client.read_response_head()
    assert client.read_exact(2) == b"a "
    for _ in range(500):
        assert client.read_exact(100000) == b"b" * 100000
    client.expect_eof()


@pytest.mark.weir_only("nginx goes on with the rest, and ends the page as if it were whole")
def test_broken_part_breaks_the_page(weir, origin):
    def script(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
        conn.reset()
    up = origin(script)
    server = weir(PEERS, files={"h/p": b"1" + includes("a") + b"2"}, up=up)
    client = server.client()
    client.send(b"GET /p HTTP/1.1\r\nHost: h\r\n\r\n")
    client.read_response_head()
    data = client.read_all()
    assert b"2\r\n" not in data and not data.endswith(b"0\r\n\r\n")


@pytest.mark.weir_only("nginx holds a short piece of a page back until more comes")
def test_page_that_breaks_off(weir, origin):
    """The page's own peer resets while its includes run: what came is sent, then the client is cut."""
    gate = threading.Event()

    def page(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1000\r\n\r\n[" + includes("a") + b"more")
        conn.wait(gate)
        conn.reset()

    def part(conn):
        conn.read_request()
        gate.set()
        conn.reply(b"part")
    page, part = origin(page), origin(part)
    server = weir("ssi on; location / { proxy_pass http://{page}; } location /up/ { proxy_pass http://{part}; }",
                  page=page, part=part)
    client = server.client()
    client.send(b"GET /p HTTP/1.1\r\nHost: h\r\n\r\n")
    client.read_response_head()
    data = client.read_all()
    assert not data.endswith(b"0\r\n\r\n")
    assert server.get("/up/x").text == "part"


@pytest.mark.weir_only("nginx closes the client's connection")
def test_part_without_any_answer(weir):
    server = weir("ssi on; default_type text/html; root {dir}/h; location /x { return 444; }",
                  files={"h/p": b'1<!--# include virtual="/x" -->2<!--# block name="s" -->S<!--# endblock -->'
                                b'<!--# include virtual="/x" stub="s" -->3'})
    assert server.get("/p").text == f"1{ERR}2S3"


@pytest.mark.parametrize("how", ["close", "reset"])
def test_client_leaves(weir, origin, how):  # U13: cancel of the parent ends all
    up = origin(lambda c: (c.read_request(), c.hold()))
    server = weir(PEERS, files={"h/p": includes(*"abcd")}, up=up)
    client = server.client()
    client.send(b"GET /p HTTP/1.1\r\nHost: h\r\n\r\n")
    up.wait_requests(4)
    getattr(client, how)()
    for n in range(4):
        up.wait_end(n)


def test_client_leaves_during_a_body(weir, origin):
    def script(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000)
        conn.hold()
    up = origin(script)
    server = weir(PEERS.replace("proxy_pass", "proxy_buffering off; proxy_pass"), files={"h/p": includes(*"abcd")}, up=up)
    client = server.client()
    client.send(b"GET /p HTTP/1.1\r\nHost: h\r\n\r\n")
    client.read_response_head()
    client.read_until(b"x")
    up.wait_requests(4)
    client.reset()
    for n in range(4):
        up.wait_end(n)


def test_reload_in_the_middle(weir, origin):
    gate = threading.Event()

    def script(conn):
        for req in conn.requests():
            if req.target.endswith("a") and not gate.is_set():
                conn.wait(gate)
            conn.reply(req.target[-1].encode())
    up = origin(script)
    server = weir(PEERS, files={"h/p": includes(*"ab") + b"|" + includes("c"), "h/q": b"q"}, up=up)
    client = server.client()
    client.send(b"GET /p HTTP/1.1\r\nHost: h\r\n\r\n")
    up.wait_requests(3)
    server.signal("HUP")
    server.wait_log("(configuration 2 is being served|reconfiguring)")
    wait_for(lambda: server.get("/q").text == "q", "the new generation")
    gate.set()
    assert client.read_response().text == "a b|c"


def test_many_clients(weir, origin):
    def script(conn):
        for req in conn.requests():
            conn.reply(req.target.encode() * 100)
    up = origin(script)
    names = [str(i) for i in range(20)]
    server = weir(PEERS, files={"h/p": includes(*names)}, up=up, workers=3, connections=2000)
    expected = " ".join(f"/up/{n}" * 100 for n in names)
    errors = []

    def run():
        try:
            with server.client() as client:
                for _ in range(10):
                    assert client.get("/p").text == expected
        except BaseException as error:  # pylint: disable=broad-except
            errors.append(error)
    threads = [threading.Thread(target=run) for _ in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(LIMIT * 3)
    assert not errors


def test_proxied_page(weir, origin):
    def script(conn):
        for req in conn.requests():
            if req.target == "/page":
                conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nLast-Modified: x\r\n"
                          b"Transfer-Encoding: chunked\r\n\r\n")
                for piece in (b"a<!-", b"-# include vir", b'tual="/part"', b" --", b">b"):
                    conn.send(b"%x\r\n%s\r\n" % (len(piece), piece))
                conn.send(b"0\r\n\r\n")
            else:
                conn.reply(b"[" + req.target.encode() + b"]")
    up = origin(script)
    server = weir("ssi on; location / { proxy_http_version 1.1; proxy_pass http://{up}; }", up=up)
    resp = server.get("/page")
    assert resp.text == "a[/part]b" and "Last-Modified" not in resp.headers


@pytest.mark.weir_only("nginx asks for parts with the conditions and codings of the page")
def test_parts_are_asked_for_whole_and_plain(weir, origin):
    up = origin()
    server = weir(PEERS, files={"h/p": includes("a")}, up=up)
    client_fields = {"Accept-Encoding": "gzip", "Range": "bytes=0-0", "If-None-Match": '"x"', "Cookie": "c=1"}
    assert server.get("/p", client_fields).text == "ok"
    names = {n.lower() for n in up.requests[0].headers.names()}
    assert "cookie" in names and not names & {"accept-encoding", "range", "if-none-match"}


@pytest.mark.parametrize("line, message", [
    ("ssi x;", 'invalid value "x" in "ssi" directive, it must be "on" or "off"'),
    ("ssi;", 'invalid number of arguments in "ssi" directive'),
    ("ssi_min_file_chunk x;", '"ssi_min_file_chunk" directive invalid value'),
    ("ssi_value_length x;", '"ssi_value_length" directive invalid value'),
    ("ssi_last_modified x;", 'invalid value "x" in "ssi_last_modified" directive, it must be "on" or "off"'),
    ("ssi_silent_errors x;", 'invalid value "x" in "ssi_silent_errors" directive, it must be "on" or "off"'),
    ("ssi_types;", 'invalid number of arguments in "ssi_types" directive'),
    ("if ($args) { ssi_types x; }", '"ssi_types" directive is not allowed here'),
    ("if ($args) { ssi_silent_errors on; }", '"ssi_silent_errors" directive is not allowed here'),
])
def test_errors(command, line, message):
    server = command("location / { " + line + " }")
    done = server.command("-t")
    assert done.returncode != 0 and message in done.stderr
