# SPDX-License-Identifier: Apache-2.0
"""Variables of the core module, in return and in the log."""
import os
import re
import socket
import time

import pytest

from weirtest.client import build_request

SERVER = """
    server_name main.name;
    root {dir}/html;
    location / { return 200 "[$VAR]"; }
"""


def ask(weir, variable, target="/", headers=(), **more):
    """The value of a variable as return shows it."""
    server = weir(SERVER.replace("$VAR", variable))
    text = server.request(more.pop("method", "GET"), target, headers, **more).text
    assert text[0] == "[" and text[-1] == "]"
    return text[1:-1]


@pytest.mark.parametrize("variable,target,headers,expect", [
    ("$arg_a", "/?a=1&b=2", {}, "1"), ("$arg_b", "/?a=1&b=2", {}, "2"), ("$arg_A", "/?a=1", {}, "1"),
                                                            ("$arg_a", "/?A=1", {}, "1"),
    ("$arg_a", "/?b=1", {}, ""), ("$arg_a", "/?xa=1&a=2", {}, "2"), ("$arg_a", "/?a", {}, ""), ("$arg_a", "/?a=%20x",
                                                                                                {}, "%20x"),
    ("$arg_a", "/?a=1&a=2", {}, "1"), ("$args", "/?a=1&b", {}, "a=1&b"), ("$args", "/", {}, ""),
                                                            ("$args", "/?", {}, ""),
    ("$query_string", "/?a=1", {}, "a=1"), ("$is_args", "/?a", {}, "?"), ("$is_args", "/", {}, ""),
                                                            ("$is_args", "/?", {}, ""),
    ("$content_length", "/", {}, ""), ("$content_type", "/", {"Content-Type": "a/b; c"}, "a/b; c"),
    ("$cookie_a", "/", {"Cookie": "xa=1;  a = 4;a=5"}, "4"), ("$cookie_a", "/", {"Cookie": "A=9; a=8"}, "9"),
    ("$cookie_a", "/", {"Cookie": "ba=1; a=\"q\""}, '"q"'), ("$cookie_a", "/", {"Cookie": "b=a=1;a="}, ""),
    ("$cookie_a", "/", {"Cookie": "a=1; b=2"}, "1"), ("$cookie_b", "/", {"Cookie": "a=1; b=2"}, "2"),
    ("$cookie_b", "/", {"Cookie": "ab=1;b=2"}, "2"), ("$cookie_c", "/", {"Cookie": "a=1"}, ""),
    ("$cookie_a", "/", [("Cookie", "x=1"), ("Cookie", "a=2")], "2"), ("$host", "/", {"Host": "Some.Name:81"},
                                                                      "some.name"),
    ("$host", "http://Abs.Name/", {"Host": "x"}, "abs.name"), ("$http_host", "/", {"Host": "Some.Name:81"},
                                                               "Some.Name:81"),
    ("$http_user_agent", "/", {"User-Agent": "ua/1"}, "ua/1"), ("$http_x_y_z", "/", {"X-Y-Z": "v"}, "v"),
    ("$http_x_y_z", "/", {"x-y-z": "v"}, "v"), ("$http_none", "/", {}, ""), ("$http_referer", "/", {"Referer": "r"},
                                                                             "r"),
    ("$https", "/", {}, ""), ("$uri", "/a%20b//c/../d?x", {}, "/a b/d"), ("$document_uri", "/a/b", {}, "/a/b"),
    ("$request_uri", "/a%20b//c/../d?x", {}, "/a%20b//c/../d?x"), ("$request", "/x?y", {}, "GET /x?y HTTP/1.1"),
    ("$request_method", "/", {}, "GET"), ("$scheme", "/", {}, "http"), ("$server_name", "/", {}, "main.name"),
    ("$server_protocol", "/", {}, "HTTP/1.1"), ("$remote_addr", "/", {}, "127.0.0.1"), ("$server_addr", "/", {},
                                                                                        "127.0.0.1"),
    ("$remote_user", "/", {"Authorization": "Basic dXNlcjpwYXNz"}, "user"), ("$remote_user", "/", {}, ""),
    ("$remote_user", "/", {"Authorization": "Bearer x"}, ""), ("$limit_rate", "/", {}, "0"), ("$pipe", "/", {}, "."),
    ("$request_body", "/", {}, ""), ("$request_body_file", "/", {}, ""), ("$connection_requests", "/", {}, "1"),
    ("$proxy_protocol_addr", "/", {}, ""), ("$request_completion", "/", {}, ""), ("$http_cookie", "/",
                                                                                  {"Cookie": "a=1"}, "a=1"),
    ("${arg_a}b", "/?a=1", {}, "1b"), ("$arg_a$arg_a-$arg_a", "/?a=1", {}, "11-1"), ("$http_x_forwarded_for", "/",
                                                                               {"X-Forwarded-For": "1.2.3.4"},
                                                                                     "1.2.3.4"),
    ("$http_cookie", "/", [("Cookie", "a=1"), ("Cookie", "b=2")], "a=1; b=2")])
def test_value(weir, variable, target, headers, expect):
    assert ask(weir, variable, target, headers) == expect


@pytest.mark.parametrize("variable,pattern", [
    ("$binary_remote_addr", r"\x7f\x00\x00\x01"), ("$connection", r"[1-9][0-9]*"), ("$connection_time",
                                                                                    r"[0-9]+\.[0-9]{3}"),
    ("$msec", r"[0-9]{10}\.[0-9]{3}"), ("$nginx_version", r"[0-9]+\.[0-9]+\.[0-9]+.*"), ("$pid", r"[1-9][0-9]*"),
    ("$remote_port", r"[1-9][0-9]*"), ("$request_id", r"[0-9a-f]{32}"), ("$request_time", r"0\.[0-9]{3}"),
    ("$time_iso8601", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d"), ("$request_length", r"[1-9][0-9]*"),
    ("$time_local", r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}"), ("$tcpinfo_rtt", r"[0-9]+"),
    ("$tcpinfo_rttvar", r"[0-9]+"), ("$tcpinfo_snd_cwnd", r"[0-9]+"), ("$tcpinfo_rcv_space", r"[0-9]+"),
    pytest.param("$is_request_port", r".*", marks=pytest.mark.weir_only("newer than nginx 1.22")),
    pytest.param("$request_port", r".*", marks=pytest.mark.weir_only("newer than nginx 1.22")),
    pytest.param("$time_iso8601_ms", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d",
                 marks=pytest.mark.weir_only("newer than nginx 1.22"))])
def test_form(weir, variable, pattern):
    assert re.fullmatch(pattern, ask(weir, variable), re.S)


def test_hostname(weir):
    assert ask(weir, "$hostname") == socket.gethostname().lower()


def test_remote_port_is_ours(weir):
    client = weir(SERVER.replace("$VAR", "$remote_port")).client()
    assert client.get("/").text == f"[{client.sock.getsockname()[1]}]"


def test_request_id_differs(weir):
    client = weir(SERVER.replace("$VAR", "$request_id $request_id")).client()
    first, second = (client.get("/").text[1:-1].split() for _ in range(2))
    assert first[0] == first[1] and second[0] == second[1] and first[0] != second[0]


def test_connection_and_its_requests(weir):
    server = weir(SERVER.replace("$VAR", "$connection $connection_requests"))
    client = server.client()
    a, b, c = client.get("/").text, client.get("/").text, server.get("/").text
    assert a.split()[0] == b.split()[0] != c.split()[0]
    assert [x.split()[1] for x in (a, b, c)] == ["1]", "2]", "1]"]


def test_server_port(weir):
    server = weir(SERVER.replace("$VAR", "$server_port"))
    assert server.get("/").text == f"[{server.port}]"


def test_host_falls_back_to_server_name(weir):
    assert ask(weir, "$host", version="1.0", host=None) == "main.name"


def test_request_length(weir):
    server = weir(SERVER.replace("$VAR", "$request_length"))
    data = build_request("GET", "/")
    assert server.raw(data).text == f"[{len(data)}]"


def test_document_root_and_filename(weir):
    server = weir(SERVER.replace("$VAR", "$document_root $request_filename $realpath_root"), files={"real/f": b""},
                  start=False)
    os.symlink(server.path("real"), server.path("html"))
    server.start(open(server.conf, encoding="utf-8").read())
    root, name, real = server.get("/x/y").text[1:-1].split()
    assert (root, name) == (server.path("html"), server.path("html") + "/x/y")
    assert real == os.path.realpath(server.path("real"))


def test_document_root_in_alias(weir):
    server = weir('location /a/ { alias {dir}/b/; return 200 "$document_root $request_filename"; }')
    assert server.get("/a/x").text == f"{server.dir}/b/ {server.dir}/b/x"


def test_unknown_variable_is_an_error(command):
    result = command("location / { return 200 $no_such; }").command("-t")
    assert result.returncode == 1 and 'unknown "no_such" variable' in result.stderr


# those that are known only in the log

LOG = """
    access_log {dir}/access.log t;
    location / { return 200 "hello $arg_a"; }
    location /p { proxy_pass http://{up}; }
    location /f { root {dir}; }
"""


def log(weir, fmt, *, up="127.0.0.1:1", **more):
    return weir(LOG, http=f"log_format t '{fmt}';", up=up, **more)


def test_log_sizes(weir):
    server = log(weir, "$status $body_bytes_sent $bytes_sent $request_length $request_completion")
    client = server.client()
    resp = client.get("/")
    assert client.request("HEAD", "/").status == 200
    lines = [line.split() for line in server.access(2)]
    assert lines[0][:3] == ["200", str(len(resp.body)), str(len(resp.raw_head) +
                                                            len(resp.body))] and lines[0][4] == "OK"
    assert lines[1][1] == "0"


def test_log_sent_http(weir):
    server = log(weir, "$sent_http_content_type|$sent_http_content_length|$sent_http_location|$sent_http_none")
    server.get("/?a=b")
    assert server.access(1) == ["text/plain|7|-|-"]


def test_log_sent_http_keep_alive_and_last_modified(weir):
    server = log(weir, "$sent_http_last_modified|$sent_http_etag", files={"f": b"abc"})
    resp = server.get("/f")
    assert server.access(1) == [resp.headers["Last-Modified"] + "|" + resp.headers["ETag"].replace('"', "\\x22")]


def test_log_request_time_counts_the_wait(weir, origin):
    def slow(conn):
        conn.read_request()
        time.sleep(0.25)
        conn.reply()
    server = log(weir, "$request_time", up=origin(slow))
    server.get("/p")
    assert 0.2 <= float(server.access(1)[0]) < 5


def test_log_request_body(weir, origin):
    server = log(weir, "$request_body|$content_length", up=origin())
    server.request("POST", "/p", body=b"a=b&c")
    assert server.access(1) == ["a=b&c|5"]


def test_log_request_body_file(weir, origin):
    server = weir("client_body_in_file_only on;" + LOG, http="log_format t '$request_body_file';", up=origin())
    server.request("POST", "/p", body=b"kept")
    path = server.access(1)[0]
    with open(path, "rb") as file:
        assert file.read() == b"kept"


def test_log_msec_is_the_clock(weir):
    server = log(weir, "$msec")
    server.get("/")
    assert abs(float(server.access(1)[0]) - time.time()) < 60


def test_log_request_of_malformed(weir):
    server = log(weir, "$status|$request|$request_method|$uri")
    server.raw(b"GET / HTTP/1.1\r\n\r\n")
    assert server.access(1) == ["400|GET / HTTP/1.1|GET|/"]
    server.raw(b"garbage\r\n\r\n")
    assert server.access(2)[1].startswith("400|garbage|")


def test_log_pipelined(weir):
    server = log(weir, "$pipe")
    client = server.client()
    client.send(build_request("GET", "/1") + build_request("GET", "/2"))
    client.read_response()
    client.read_response()
    assert server.access(2)[1] == "p"
