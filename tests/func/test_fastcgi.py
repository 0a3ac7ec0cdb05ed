# SPDX-License-Identifier: Apache-2.0
"""What only FastCGI has: records both ways, standard error, kept connections, the script's name (U12.2)."""
import os
import re
import threading

import pytest

from weirtest import gateway as g
from weirtest.client import build_request
from weirtest.server import IS_NGINX
from weirtest.timing import LIMIT

HEAD = b"Content-Type: text/plain\r\n"


def start(weir, up, conf="", outside="", **more):
    return weir(outside + " location / { fastcgi_pass {up}; fastcgi_param REQUEST_URI $request_uri; "
                "fastcgi_param CONTENT_LENGTH $content_length; " + conf + " }", up=up, **more)


def says(data):
    def script(conn):
        g.read_fastcgi(conn)
        conn.send(data)
    return script


# --- the request ---

def test_records_of_a_request(weir, origin):
    up = origin(says(g.answer()))
    server = start(weir, up)
    server.get("/")
    req = up.requests[0]
    assert (req.id, req.role, req.flags) == (1, 1, 0)
    assert len(req.param_records) == 1 and req.stdin_records == [0]


@pytest.mark.weir_only("nginx: fastcgi request record is too big")
def test_long_params_take_several_records(weir, origin):
    up = origin(says(g.answer()))
    server = start(weir, up, outside="large_client_header_buffers 8 60k;")
    fields = [(f"X-F{i}", chr(97 + i) * 50000) for i in range(4)]
    assert server.get("/", fields).text == "ok"
    req = up.requests[0]
    for i, (_, value) in enumerate(fields):
        assert req.params[f"HTTP_X_F{i}"] == value
    assert len(req.param_records) > 1 and max(req.param_records) <= 65535


def test_body_in_records(weir, origin):
    body = os.urandom(200000)
    up = origin(says(g.answer()))
    server = start(weir, up, outside="client_body_buffer_size 1m;")
    assert server.request("POST", "/", body=body).text == "ok"
    req = up.requests[0]
    assert req.body == body and req.stdin_records[-1] == 0 and max(req.stdin_records) <= 65535
    assert sum(req.stdin_records) == len(body)


@pytest.mark.parametrize("conf", ["client_body_buffer_size 8k;", "client_body_buffer_size 8k; sendfile off;",
                                  "client_body_in_file_only clean;"])
def test_body_from_a_file(weir, origin, conf):
    body = os.urandom(700000)
    up = origin(says(g.answer()))
    server = start(weir, up, outside=conf)
    assert server.request("POST", "/", body=body).text == "ok"
    assert up.requests[0].body == body


def test_body_as_it_comes(weir, origin):  # U4.4
    got = threading.Event()

    def script(conn):
        req = g.begin_fastcgi(conn)
        assert g.read_stdin(conn, req) and req.body == b"first"
        got.set()
        while g.read_stdin(conn, req):
            pass
        g.keep(conn, req)
        conn.send(g.answer())
    up = origin(script)
    server = start(weir, up, "fastcgi_request_buffering off;")
    with server.client() as c:
        c.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nfirst")
        assert got.wait(LIMIT), "the beginning of the body came late"
        c.send(b"second")
        assert c.read_response("POST").text == "ok"
    assert up.requests[0].body == b"firstsecond"
    assert up.requests[0].stdin_records[-1] == 0 and up.requests[0].params["CONTENT_LENGTH"] == "11"


def test_chunked_body_as_it_comes(weir, origin):
    up = origin(says(g.answer()))
    server = start(weir, up, "fastcgi_request_buffering off;")
    with server.client() as c:
        c.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n")
        assert c.read_response("POST").text == "ok"
    assert up.requests[0].body == b"abcdefg"


@pytest.mark.weir_only("nginx takes the failed send for a failed try when it sees that first")
@pytest.mark.parametrize("status", [413, 200])
def test_early_answer(weir, origin, status):  # U4.5
    """The application answers and closes before it read all of the body."""
    def script(conn):
        req = g.begin_fastcgi(conn)
        g.read_stdin(conn, req)
        conn.send(g.answer(b"early", b"Status: %d Early\r\n" % status))
    up = origin(script)
    server = start(weir, up, "fastcgi_request_buffering off;", outside="client_max_body_size 50m;")
    with server.client() as c:
        c.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000000\r\n\r\n" + bytes(100000))
        res = c.read_response("POST")
    assert (res.status, res.text) == (status, "early")


# --- the answer ---

ANSWERS = {
    "one byte a record": (b"".join(g.record(g.STDOUT, bytes([b])) for b in HEAD + b"\r\nok") + g.record(g.STDOUT) + g.end(), b"ok"),
    "padding": (g.record(g.STDOUT, HEAD + b"\r\n", 255) + g.record(g.STDOUT, b"ok", 3) + g.record(g.STDOUT, b"", 8) + g.end(), b"ok"),
    "no end of the output": (g.out(HEAD + b"\r\nok") + g.end(), b"ok"),
    "only the end of the output": (g.out(HEAD + b"\r\nok") + g.record(g.STDOUT), b"ok"),
    "head and body apart": (g.record(g.STDOUT, HEAD + b"\r\n") + g.out(b"ok") + g.record(g.STDOUT) + g.end(), b"ok"),
    "no body": (g.record(g.STDOUT, HEAD + b"\r\n") + g.record(g.STDOUT) + g.end(), b""),
    "an exit status": (g.out(HEAD + b"\r\nok") + g.record(g.STDOUT) + g.end(status=7), b"ok"),
    "LF": (g.out(b"A: b\n\nok") + g.record(g.STDOUT) + g.end(), b"ok"),
    "large": (g.out(HEAD + b"\r\n" + b"x" * 200000, size=65535) + g.record(g.STDOUT) + g.end(), b"x" * 200000),
}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("buffering", ["on", "off"])
def test_answers(weir, origin, name, buffering):
    data, body = ANSWERS[name]
    server = start(weir, origin(says(data)), f"fastcgi_buffering {buffering};")
    with server.client() as c:
        for _ in range(2):
            assert c.get("/").body == body


BAD = {
    "version": (g.record(g.STDOUT, b"x", version=2), "upstream sent unsupported FastCGI protocol version: 2"),
    "type": (g.record(9, b"x"), "upstream sent invalid FastCGI record type: 9"),
    "request id": (g.record(g.STDOUT, HEAD + b"\r\nok", request=2), "upstream sent unexpected FastCGI request id"),
    "request id, high byte": (g.record(g.STDOUT, HEAD + b"\r\nok", request=257), "upstream sent unexpected FastCGI request id"),
    "empty output": (g.record(g.STDOUT) + g.end(), "upstream prematurely closed FastCGI stdout"),
    "half a head": (g.out(HEAD) + g.record(g.STDOUT) + g.end(), "upstream prematurely closed FastCGI stdout"),
    "nothing": (b"", "upstream prematurely closed connection"),
    "half a record": (g.out(HEAD + b"\r\nok")[:10], "upstream prematurely closed connection"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_answers(weir, origin, name):
    data, words = BAD[name]
    server = start(weir, origin(says(data)))
    assert server.get("/").status == 502
    server.wait_log(words + '.* while reading response header from upstream, .*upstream: "fastcgi://127')


@pytest.mark.parametrize("data", [g.record(g.STDOUT, b"x", version=3), g.record(8, b"x")])
def test_bad_records_in_the_body(weir, origin, data):
    server = start(weir, origin(says(g.out(HEAD + b"\r\nok") + data)))
    with server.client() as c:
        c.send(build_request("GET", "/"))
        assert not c.read_to_end().endswith(b"0\r\n\r\n")
    server.wait_log("upstream sent .* while reading upstream")


@pytest.mark.weir_only("nginx takes a connection that ends without an end of the request for a whole answer")
def test_cut_answer(weir, origin):
    server = start(weir, origin(says(g.out(HEAD + b"\r\nok"))))
    with server.client() as c:
        c.send(build_request("GET", "/"))
        assert c.read_to_end().endswith(b"2\r\nok\r\n")
    server.wait_log("upstream prematurely closed connection while reading upstream")


def test_more_than_the_length(weir, origin):
    server = start(weir, origin(says(g.answer(b"12345", b"Content-Length: 3\r\n"))))
    assert server.get("/").body == b"123"
    server.wait_log('upstream sent more data than specified in "Content-Length" header while reading upstream')


def test_bytes_behind_the_end(weir, origin):
    up = origin([lambda c: (g.read_fastcgi(c), c.send(g.answer() + g.answer(b"evil"))), says(g.answer(b"good"))])
    server = start(weir, up, "fastcgi_keep_conn on;")
    assert server.get("/").text == "ok" and server.get("/").text == "good"


# --- standard error ---

def test_stderr_in_the_log(weir, origin):
    up = origin([says(g.record(g.STDERR, b"PHP message: one\n") + g.answer()),
                 says(g.out(HEAD + b"\r\no") + g.record(g.STDERR, b"in the body\n") + g.out(b"k") + g.record(g.STDOUT) + g.end()),
                 says(g.record(g.STDERR, b"Primary script unknown") + g.answer(b"File not found.\n", b"Status: 404 Not Found\r\n"))])
    server = start(weir, up)
    assert [server.get("/").status for _ in range(3)] == [200, 200, 404]
    server.wait_log(r'\[error\] .*FastCGI sent in stderr: "PHP message: one" while reading response header from upstream, client: '
                    '127.0.0.1, .*request: "GET / HTTP/1.1", upstream: "fastcgi://127')
    server.wait_log('FastCGI sent in stderr: "in the body" while reading upstream, client')
    server.wait_log('FastCGI sent in stderr: "Primary script unknown" while reading response header')


def test_stderr_without_an_answer(weir, origin):
    server = start(weir, origin(says(g.record(g.STDERR, b"died"))))
    assert server.get("/").status == 502
    server.wait_log('FastCGI sent in stderr: "died')


@pytest.mark.weir_only("nginx cuts it where its buffers end; a log line of weir has no line ends in it")
def test_long_stderr(weir, origin):
    text = b"".join(b"line %d\n" % i for i in range(1000))
    server = start(weir, origin(says(b"".join(g.record(g.STDERR, text[i:i + 100]) for i in range(0, len(text), 100)) + g.answer())))
    assert server.get("/").text == "ok"
    server.wait_log("FastCGI sent in stderr: \"line 0.x0Aline 1")
    server.wait_log("line 999")


def test_catch_stderr(weir, origin):
    bad = origin(says(g.record(g.STDERR, b"PHP Fatal error: x\n") + g.answer(b"half a page")))
    up = origin(says(g.answer(b"good")))
    server = weir("location / { fastcgi_pass g; fastcgi_catch_stderr nothing; fastcgi_catch_stderr 'PHP Fatal error'; "
                  "fastcgi_next_upstream invalid_header; } location /no { fastcgi_pass {bad}; fastcgi_catch_stderr Fatal; } "
                  "location /else { fastcgi_pass {bad}; fastcgi_catch_stderr other; }",
                  http="upstream g { zone g 64k; server {bad}; server {up}; }", bad=bad, up=up)
    assert server.get("/").text == "good" and server.get("/no").status == 502 and server.get("/else").text == "half a page"


# --- connections ---

def test_keep_conn(weir, origin):
    def script(conn):
        for _ in g.fastcgi_requests(conn):
            conn.send(g.answer())
    up = origin(script)
    server = weir("location / { fastcgi_pass g; fastcgi_keep_conn on; }", http="upstream g { server {up}; keepalive 2; }", up=up,
                  workers=1)
    for _ in range(3):
        assert server.get("/").text == "ok"
    assert up.connections == 1 and [r.flags for r in up.requests] == [1, 1, 1]


def test_no_keep_conn(weir, origin):
    up = origin(says(g.answer()))
    server = weir("location / { fastcgi_pass g; }", http="upstream g { server {up}; keepalive 2; }", up=up, workers=1)
    for _ in range(2):
        assert server.get("/").text == "ok"
    assert up.connections == 2 and [r.flags for r in up.requests] == [0, 0]


def test_kept_connection_that_ended(weir, origin):  # U10.2
    def script(conn):
        g.read_fastcgi(conn)
        conn.send(g.answer())
        conn.close()
    up = origin(script)
    server = weir("location / { fastcgi_pass g; fastcgi_keep_conn on; }", http="upstream g { server {up}; keepalive 2; }", up=up,
                  workers=1)
    for i in range(3):
        assert server.get("/").text == "ok"
        up.wait_end(i)
    assert up.connections == 3


# --- the script's name ---

NAMES = [
    ("", "/a/b.php", "/a/b.php", ""),
    ("", "/a/", "/a/", ""),
    ("fastcgi_index i.php;", "/a/", "/a/i.php", ""),
    ("fastcgi_index i.php;", "/a", "/a", ""),
    ("fastcgi_index i.php;", "/", "/i.php", ""),
    ("fastcgi_split_path_info ^(.+\\.php)(/.*)$;", "/a.php/x/y?z", "/a.php", "/x/y"),
    ("fastcgi_split_path_info ^(.+\\.php)(/.*)$;", "/a.php", "/a.php", ""),
    ("fastcgi_split_path_info ^(.+?\\.php)(/.*)$;", "/a.php/b.php/c", "/a.php", "/b.php/c"),
    ("fastcgi_split_path_info ^(.+?/)(x.*)$; fastcgi_index i.php;", "/d/xy", "/d/i.php", "xy"),
    ("fastcgi_split_path_info ^(/a%20b)(.*)$;", "/a%20b", "/a b", ""),
]


@pytest.mark.parametrize("conf, target, script, info", NAMES)
def test_script_name_and_path_info(weir, conf, target, script, info):
    server = weir(conf + ' location / { return 200 "$fastcgi_script_name|$fastcgi_path_info"; }')
    assert server.get(target).text == f"{script}|{info}"


def test_split_leaves_captures(weir):
    server = weir('location ~ ^/(?<a>.)(.) { fastcgi_split_path_info ^(/..)(.*)$; return 200 "$fastcgi_path_info $1 $a"; }')
    assert server.get("/xyz").text == "z x x"


def test_inheritance(weir):
    server = weir('fastcgi_index s.php; location /a/ { return 200 $fastcgi_script_name; } location /b/ { fastcgi_index l.php; '
                  'return 200 $fastcgi_script_name; }', http="fastcgi_index h.php;")
    assert server.get("/a/").text == "/a/s.php" and server.get("/b/").text == "/b/l.php"


ERRORS = [
    ("fastcgi_split_path_info ^(.+)$;", 'pattern "^(.+)$" must have 2 captures'),
    ("fastcgi_split_path_info ^(a)(b)(c)$;", 'pattern "^(a)(b)(c)$" must have 2 captures'),
    ("fastcgi_split_path_info ^((.+)$;", "pcre2_compile() failed: missing closing parenthesis"),
    ("fastcgi_index;", 'invalid number of arguments in "fastcgi_index" directive'),
    ("fastcgi_index a b;", 'invalid number of arguments in "fastcgi_index" directive'),
    ("fastcgi_index a; fastcgi_index b;", '"fastcgi_index" directive is duplicate'),
    ("fastcgi_catch_stderr a b;", 'invalid number of arguments in "fastcgi_catch_stderr" directive'),
    ("fastcgi_keep_conn maybe;", 'invalid value "maybe" in "fastcgi_keep_conn" directive, it must be "on" or "off"'),
    ("fastcgi_keep_conn on; fastcgi_keep_conn on;", '"fastcgi_keep_conn" directive is duplicate'),
    ("if ($host) { fastcgi_index x; }", '"fastcgi_index" directive is not allowed here'),
]


@pytest.mark.parametrize("text, words", ERRORS)
def test_errors(command, text, words):
    run = command("location / { " + text + " }").command("-t")
    assert run.returncode == 1 and words in run.stderr


def test_send_lowat_is_a_warning(command):
    run = command("fastcgi_send_lowat 4k;").command("-t")
    assert run.returncode == 0 and '"fastcgi_send_lowat" is not supported, ignored' in run.stderr


# --- configurations ---

def blocks():
    """The configurations of docs/protocols.md."""
    with open(os.path.join(os.path.dirname(__file__), "..", "..", "docs", "protocols.md"), encoding="utf-8") as file:
        return re.findall("```nginx\n(.*?)```", file.read(), re.S)


@pytest.mark.weir_only("the files are those that are installed beside weir.conf")
def test_documented_configurations(command):
    dist = os.path.join(os.path.dirname(__file__), "..", "..", "dist")
    files = {name: open(os.path.join(dist, name), "rb").read()
             for name in ("fastcgi.conf", "uwsgi_params", "snippets/fastcgi-php.conf")}
    assert len(blocks()) == 3
    for text in blocks():
        both = {"http": text, "server": ""} if "server {" in text else {"server": text + " location @app { return 404; }"}
        run = command(files=files, **both).command("-t")
        assert run.returncode == 0, run.stderr


def test_distributed_files(weir, origin):
    """The files that are installed beside weir.conf (Debian's, for nginx)."""
    root = "/etc/nginx" if IS_NGINX else os.path.join(os.path.dirname(__file__), "..", "..", "dist")
    up = origin(says(g.answer()))
    server = weir(f"root {{dir}}/www; location ~ \\.php(/|$) {{ include {root}/snippets/fastcgi-php.conf; fastcgi_pass {{up}}; }}",
                  files={"www/a/index.php": b"", "fastcgi.conf": open(os.path.join(root, "fastcgi.conf"), "rb").read()}, up=up)
    assert server.get("/a/index.php/more/info?x=1").text == "ok"
    params = up.requests[0].params
    assert params["SCRIPT_FILENAME"].endswith("/www/a/index.php") and params["SCRIPT_NAME"] == "/a/index.php"
    assert params["PATH_INFO"] == "/more/info" and params["QUERY_STRING"] == "x=1"
    assert params["REQUEST_URI"] == "/a/index.php/more/info?x=1" and params["GATEWAY_INTERFACE"] == "CGI/1.1"
    assert params["REDIRECT_STATUS"] == "200" and params["SERVER_PROTOCOL"] == "HTTP/1.1" and "HTTPS" not in params
    assert server.get("/none.php").status == 404 and len(up.requests) == 1
