# SPDX-License-Identifier: Apache-2.0
"""Every directive of the HTTP/1.x server in each context, with good and bad values, twice, with too few and too many
arguments: what -t says, the same on nginx.

A row: name, contexts of http (H), server (S) and location (L), good values, bad values, may it be given twice?"""
import re

import pytest

OPEN = {"M": ("", ""), "E": ("events {", "}"), "H": ("http {", "}"), "S": ("http { server {", "} }"),
        "L": ("http { server { location / {", "} } }"), "U": ("http { upstream u { server 127.0.0.1:1;", "} }")}
FLAG = (["on", "off", "On"], ["yes", "1", "''"])
TIME = (["10s", "0", "1500ms", "1m30s", "25d"], ["x", "-1", "1.5s", "''"])
SIZE = (["16k", "1m", "1K", "512"], ["x", "-1", "1kb", "''", "99999999999999999999"])
NUMBER = (["64", "1024"], ["x", "-1", "1k", "''", "99999999999999999999"])

TABLE = [
    *[(n, "HSL", *FLAG, False) for n in (
        "reset_timedout_connection", "etag", "sendfile", "tcp_nodelay", "tcp_nopush", "client_body_in_single_buffer",
        "chunked_transfer_encoding", "absolute_redirect", "port_in_redirect", "server_name_in_redirect", "log_not_found",
        "recursive_error_pages", "msie_padding", "msie_refresh", "open_file_cache_errors", "aio_write")],
    *[(n, "HS", *FLAG, False) for n in ("ignore_invalid_headers", "underscores_in_headers", "merge_slashes")],
    ("client_header_timeout", "HS", *TIME, False),
    *[(n, "HSL", *TIME, False) for n in ("client_body_timeout", "send_timeout", "keepalive_time", "lingering_time",
                                         "lingering_timeout", "keepalive_timeout")],
    ("client_header_buffer_size", "HS", *SIZE, False),
    *[(n, "HSL", *SIZE, False) for n in ("client_max_body_size", "client_body_buffer_size", "limit_rate",
                                         "limit_rate_after", "postpone_output", "sendfile_max_chunk", "read_ahead")],
    ("directio", "HSL", ["off", "4m"], ["x", "on"], False),
    ("max_ranges", "HSL", ["0", "1", "4294967296"], ["x", "-1"], False),
    ("keepalive_requests", "HSL", ["0", "1000", "4294967296"], ["x", "1k"], False),
    ("server_names_hash_max_size", "H", *NUMBER, False),
    ("server_names_hash_bucket_size", "H", *NUMBER, False),
    ("types_hash_max_size", "HSL", *NUMBER, False),
    ("client_body_in_file_only", "HSL", ["on", "clean", "off"], ["maybe"], False),
    ("lingering_close", "HSL", ["on", "off", "always"], ["never"], False),
    ("if_modified_since", "HSL", ["off", "exact", "before"], ["after"], False),
    ("server_tokens", "HSL", ["on", "off", "build"], ["maybe", "1"], False),
    ("large_client_header_buffers", "HS", ["4 8k", "1 512"], ["0 8k", "4 0", "4 x", "x 8k"], False),
    ("client_body_temp_path", "HSL", ["{dir}/t", "{dir}/t 1 2", "{dir}/t 1 2 2"], ["{dir}/t 0", "{dir}/t x"], False),
    ("root", "HSL", ["x", "/x/", "/a$uri"], ["$nosuch", "$document_root/x", "${realpath_root}"], False),
    ("alias", "L", ["/x", "/a$uri"], ["$nosuch", "$document_root/x"], False),
    ("index", "HSL", ["a", "a b /c", "$uri"], ["''", "$nosuch"], True),
    ("default_type", "HSL", ["a/b", "''"], [], False),
    ("error_page", "HSL", ["404 /x", "404 500 =200 /x", "404 = /x", "404 @n", "404 http://a", "300 /x", "599 /x"],
     ["299 /x", "600 /x", "x /x", "499 /x", "404 =x /x", "404 $nosuch"], True),
    ("return", "SL", ["200", "200 text", "301 /x", "http://a", "$scheme://a", "444", "999"],
     ["x", "1000", "-1", "/a", "ftp://a", "302 $nosuch"], True),
    ("internal", "L", [""], ["x"], False),
    ("listen", "S", ["8099", "127.0.0.1", "*:8099", "[::1]:8099", "unix:{dir}/s", "localhost:8099", "8098-8099",
                     "8099 default_server", "8099 backlog=5 rcvbuf=8k sndbuf=8k deferred fastopen=3 reuseport",
                     "8099 so_keepalive=on", "8099 so_keepalive=1m::5", "8099 so_keepalive=0:1:1"],
     ["0", "65536", "-1", "x/y", "unix:", "127.0.0.1:", "8099-8098", "[::1", "8099 backlog=0", "8099 backlog=x",
      "8099 rcvbuf=x", "8099 so_keepalive=x", "8099 so_keepalive=::", "8099 so_keepalive=1:2:3:4", "8099 foo",
      "[::]:8099 ipv6only=x", "8099 fastopen=x"], True),
    ("server_name", "S", ["a", "a b", "*.a", "a.*", ".a", "_", "''", "~^a(?<n>.+)$", "A.B"],
     ["*a", ".", "~", "~(", "*"], True),
    ("log_format", "H", ["n '$uri'", "n escape=json '$uri' x", "n escape=none x"], ["n", "n escape=x y", "n '$nosuch'",
                                                                                    "combined x"], True),
    ("access_log", "HSL", ["off", "{dir}/a", "{dir}/a combined", "{dir}/a combined if=$uri"],
     ["{dir}/a nosuch", "{dir}/a combined foo", "{dir}/a combined if=$nosuch"], True),
    ("open_file_cache", "HSL", ["off", "max=10", "max=10 inactive=10s"], ["x", "max=0", "max=x", "inactive=1s",
                                                                          "max=1 inactive=x"], False),
    ("open_file_cache_valid", "HSL", ["10", "1m"], ["x", "-1"], False),
    ("output_buffers", "HSL", ["1 8k"], ["0 8k", "1 x"], False),
    ("aio", "HSL", ["off", "threads"], ["x"], False),
]
# No arguments at all: one line of its own says it where it is asked for.
WITHOUT_ARGUMENTS = {"internal"}


def check(server, context, line):
    """Exit code and error lines of -t on a file where the directive stands in line 2."""
    head, tail = OPEN[context]
    server.write_conf(("" if context == "E" else "events {} ") + f"{head}\n{line}\n{tail}\n")
    result = server.command("-t", "-e", server.path("e.log"))
    assert result.returncode in (0, 1), result.stderr
    return result.returncode, [x for x in result.stderr.splitlines() if "[emerg]" in x]


def expect_error(server, context, line, words, at):
    code, errors = check(server, context, line)
    assert code == 1 and errors, line
    # nginx gives no place for an unknown variable; ours has one.
    assert any(re.search(words, x) and (x.endswith(f":{at}") or "unknown" in x) for x in errors), (line, errors)


@pytest.mark.parametrize("name,contexts,good,bad,is_repeatable", [pytest.param(*row, id=row[0]) for row in TABLE])
def test_directive(command, name, contexts, good, bad, is_repeatable):
    server = command(text="events {}\n")
    inside = contexts[-1]
    for context in OPEN:
        line = f"{name} {good[0]};"
        if context in contexts:
            assert check(server, context, line) == (0, []), (context, line)
        elif name not in ("keepalive_timeout", "keepalive_requests", "keepalive_time") or context != "U":
            expect_error(server, context, line, f'"{name}" directive is not allowed here', 2)
    for value in good:
        assert check(server, inside, f"{name} {value};") == (0, []), value
    for value in bad:
        expect_error(server, inside, f"{name} {value};", "", 2)
    if name not in WITHOUT_ARGUMENTS:
        expect_error(server, inside, f"{name};", f'invalid number of arguments in "{name}" directive', 2)
        expect_error(server, inside, f"{name} {good[0]} {{ }}", f'directive "{name}" is not terminated by ";"', 2)
    if not is_repeatable and name not in WITHOUT_ARGUMENTS:
        expect_error(server, inside, f"{name} {good[0]};\n{name} {good[0]};", f'"{name}" directive is duplicate', 3)


@pytest.mark.parametrize("text,words,line", [
    ("S\nlisten 8099;\nlisten 8099;", 'a duplicate listen 0.0.0.0:8099', 3),
    ("S\nlisten 8099;\nlisten *:8099;", 'a duplicate listen 0.0.0.0:8099', 3),
    ("H\nserver { listen 8099 default_server; }\nserver { listen 8099 default_server; }",
     'a duplicate default server for 0.0.0.0:8099', 3),
    ("H\nserver { listen 8099 backlog=1; }\nserver { listen 8099 backlog=2; }",
     'duplicate listen options for 0.0.0.0:8099', 3),
    ("H\nserver { listen 8099; server_name a..b; }\nserver { listen 8099; }",
     'invalid server name or wildcard "a..b" on 0.0.0.0:8099', None),
    ("H\nserver { listen 8099; server_name a.*.b; }\nserver { listen 8099; }",
     'invalid server name or wildcard "a.*.b" on 0.0.0.0:8099', None),
    ("S\nlocation /a { }\nlocation /a { }", 'duplicate location "/a"', 3),
    ("S\nlocation = /a { }\nlocation = /a { }", 'duplicate location "/a"', 3),
    ("S\nlocation /a {\nlocation /b { } }", 'location "/b" is outside location "/a"', 3),
    ("S\nlocation = /a {\nlocation /a/b { } }", 'location "/a/b" cannot be inside the exact location "/a"', 3),
    ("S\nlocation @a {\nlocation /b { } }", 'location "/b" cannot be inside the named location "@a"', 3),
    ("S\nlocation /a {\nlocation @b { } }", 'named location "@b" can be on the server level only', 3),
    ("S\nlocation foo /a { }", 'invalid location modifier "foo"', 2),
    ("S\nlocation ~ ( { }", 'pcre', 2),
    ("L\nroot /a;\nalias /b;", '"alias" directive is duplicate, "root" directive was specified earlier', 3),
    ("S\nlocation @n { alias /a; }", 'the "alias" directive cannot be used inside the named location', 2),
    ("H\nlog_format n x;\nlog_format n y;", 'duplicate "log_format" name "n"', 3),
])
def test_conflict(command, text, words, line):
    server = command(text="events {}\n")
    context, body = text.split("\n", 1)
    code, errors = check(server, context, body)
    assert code == 1
    assert any(words in x and (line is None or x.endswith(f":{line}")) for x in errors), errors
