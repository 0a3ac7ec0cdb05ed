# SPDX-License-Identifier: Apache-2.0
"""access_log and log_format."""
import re

import pytest


def test_combined_is_the_default_format(weir):
    server = weir("access_log {dir}/access.log; location / { return 200 abc; }")
    server.get("/x?y", {"User-Agent": 'ag"ent', "Referer": "http://r/"})
    assert re.fullmatch(r'127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET /x\?y HTTP/1\.1" 200 3 '
                        r'"http://r/" "ag\\x22ent"', server.access(1)[0])



@pytest.mark.parametrize("escape,value,expect", [
    ("", 'q"b\\s', "q\\x22b\\x5Cs"), ("", "\xff", "\\xFF"), ("", "\t", "\\x09"), ("", "", "-"),
    ("escape=default ", 'q"', "q\\x22"), ("escape=json ", 'q"b\\s', 'q\\"b\\\\s'), ("escape=json ", "\t", "\\t"),
    ("escape=json ", "", ""), ("escape=json ", "\xc3\xa9", "\xc3\xa9"), ("escape=none ", 'q"b\\s', 'q"b\\s'),
                                                 ("escape=none ", "", "")])
def test_escape(weir, escape, value, expect):
    server = weir("access_log {dir}/access.log t; location / { return 200 x; }",
                  http="log_format t " + escape + "'[$http_x]';")
    server.get("/", {"X": f"a{value}b"} if value else {})
    want = f"[a{expect}b]" if value else f"[{expect}]"
    assert server.access(1) == [want]


@pytest.mark.parametrize("escape,expect", [("", r"/a\x0Ab\x0D\x1Fc"), ("escape=json ", r"/a\nb\r\u001Fc")])
def test_control_characters_never_break_a_line(weir, escape, expect):  # U14.1
    server = weir("access_log {dir}/access.log t; location / { return 200 x; }", http="log_format t " + escape +
                  "'$uri';")
    server.get("/a%0Ab%0D%1Fc")
    assert server.access(1) == [expect]


def lines_of(server, cnt):
    """As server.access, but only a line feed ends a line."""
    server.access(cnt)
    return server.read("access.log").split("\n")[:-1]


def default_escape(c):
    return "\\x%02X" % c if c < 32 or c > 126 or chr(c) in '"\\' else chr(c)


def json_escape(c):
    short = {34: '\\"', 92: "\\\\", 8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r"}
    return short.get(c, "\\u%04X" % c if c < 32 else chr(c))


@pytest.mark.parametrize("escape,how", [("default", default_escape), ("json", json_escape), ("none", chr)])
def test_each_byte(weir, escape, how):
    """Each byte that a path may decode to; nginx's bytes are these."""
    server = weir("access_log {dir}/access.log t; location / { return 200 x; }",
                  http=f"log_format t escape={escape} '[$uri]';")
    odd = [c for c in range(1, 256) if c not in b"/.\n\r"]
    with server.client() as client:
        for c in odd:
            assert client.get("/%%%02X" % c).status == 200
    assert lines_of(server, len(odd)) == ["[/" + how(c) + "]" for c in odd]


@pytest.mark.weir_only("U14.1: no raw CR, LF or NUL in a log line, whatever the escape; nginx writes them with escape=none")
def test_escape_none_never_breaks_a_line(weir):
    server = weir("access_log {dir}/access.log t; location / { return 200 x; }",
                  http="log_format t escape=none '[$uri]';")
    server.get("/a%0Ab")
    server.get("/c%0Dd")
    text = "\n".join(server.access(2))
    assert text.count("\n") == 1 and text.count("[") == 2 and "\r" not in text


def test_format_of_several_parts(weir):
    server = weir("access_log {dir}/access.log t; location / { return 200 x; }",
                  http="log_format t '$request_method ' \"$uri\" ' end';")
    server.get("/u")
    assert server.access(1) == ["GET /u end"]


def test_if(weir):
    server = weir("access_log {dir}/access.log t if=$arg_log; location / { return 200 x; }",
                  http="log_format t $request_uri;")
    with server.client() as client:  # one connection: its lines are in order
        for target in ("/1", "/2?log=", "/3?log=0", "/4?log=1", "/5?log=00"):
            client.get(target)
    assert server.access(2) == ["/4?log=1", "/5?log=00"]


def test_several_logs(weir):
    server = weir("access_log {dir}/a.log t; access_log {dir}/b.log u; location / { return 200 x; }",
                  http="log_format t $uri; log_format u $request_method;")
    server.get("/x")
    assert (server.access(1, "a.log"), server.access(1, "b.log")) == (["/x"], ["GET"])


def test_location_replaces_and_off_stops(weir):
    server = weir("""access_log {dir}/a.log t; location / { return 200 x; } location /off { access_log off; return 200 x; }
        location /own { access_log {dir}/b.log t; return 200 x; }""", http="log_format t $uri;")
    with server.client() as client:
        for target in ("/off", "/own", "/last"):
            client.get(target)
    assert server.access(1, "a.log") == ["/last"]
    assert server.access(1, "b.log") == ["/own"]


def test_log_of_the_location_that_answered(weir):
    server = weir("""error_page 404 /page; location / { access_log off; return 404; }
        location = /page { access_log {dir}/access.log t; return 200 x; }""",
                  http="log_format t '$uri $status $request_uri';")
    server.get("/x")
    assert server.access(1) == ["/page 404 /x"]


def test_unwritten_log_is_made_at_start(weir):
    server = weir("access_log {dir}/sub.log; location / { return 200 x; }")
    assert server.read("sub.log") == ""
    import os
    assert os.path.exists(server.path("sub.log"))


def test_empty_values_print_a_dash(weir):
    server = weir("access_log {dir}/access.log t; location / { return 200 x; }",
                  http="log_format t '$remote_user $http_none $arg_none $upstream_addr $upstream_status $sent_http_none';")
    server.get("/")
    assert server.access(1) == ["- - - - - -"]


def test_path_with_variables(weir):
    server = weir("root {dir}; access_log {dir}/$host.log t; location / { return 200 x; }", http="log_format t $uri;")
    server.get("/1", {"Host": "aa"})
    server.get("/2", {"Host": "bb"})
    assert server.access(1, "aa.log") == ["/1"] and server.access(1, "bb.log") == ["/2"]


def test_error_log_by_level_and_context(weir):
    server = weir("""location / { root {dir}/none; }
        location /own { root {dir}/none; error_log {dir}/own.log error; }
        location /crit { root {dir}/none; error_log {dir}/crit.log crit; }""")
    for target in ("/a", "/own/b", "/crit/c", "/d"):
        assert server.get(target).status == 404
    server.wait_log("none/d.* failed")
    assert "none/a" in server.log() and "own/b" not in server.log() and "crit/c" not in server.log()
    assert "own/b" in server.read("own.log") and server.read("crit.log") == ""


def test_error_log_several(weir):
    server = weir("root {dir}/none; error_log {dir}/one.log; error_log {dir}/two.log error;")
    server.get("/x")
    line = r'\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[error\] \d+#\d+: \*\d+ open\(\) "/.*/none/x" failed \(2: No such file or directory\), ' \
           r'client: 127\.0\.0\.1, server: , request: "GET /x HTTP/1\.1", host: "localhost"'
    assert re.fullmatch(line, server.access(1, "one.log")[0])
    assert re.fullmatch(line, server.access(1, "two.log")[0])


def test_log_not_found_off(weir):
    server = weir("root {dir}/none; log_not_found off; location /on { log_not_found on; }")
    with server.client() as client:
        client.get("/off")
        client.get("/on")
    server.wait_log("none/on")
    assert "none/off" not in server.log()
