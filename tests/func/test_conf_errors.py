# SPDX-License-Identifier: Apache-2.0
"""Errors of the configuration: exact words, file and line, exit code 1. The prefix is the program's name.

Rows: name, text, message, line (None: no position). {dir} is the folder; re: begins a regex.
The text is the whole file; %H% opens http, %S% a server, %L% a location on the same line; what is open is closed at the end."""
import re

import pytest

LISTEN = "events {} http { server { listen 127.0.0.1:{port}; "
OPEN = {"%H%": ("events {} http { ", "}"), "%S%": (LISTEN, "}}"), "%L%": (LISTEN + "location / { ", "}}}"),
        "%U%": ("events {} http { upstream u { server 127.0.0.1:1; ", "}}")}

TABLE = [
    # grammar
    ("unknown", "%H%\nfoo 1;\n", 'unknown directive "foo"', 2),
    ("unknown block", "foo {\n}\nevents {}", 'unknown directive "foo"', 1),
    ("unknown with quotes", '"fo o" 1;\nevents {}', 'unknown directive "fo o"', 1),
    ("no semicolon before a brace", "%S%\nroot x }", 'unexpected "}"', 2),
    ("unexpected brace", "events {}\nhttp {\n}\n}\n", 'unexpected "}"', 4),
    ("stray open brace", "events {}\n{\n}\n", 'unexpected "{"', 2),
    ("stray semicolon", "events {}\n;\n", 'unexpected ";"', 2),
    ("end of file in block", "events {\n\n", 'unexpected end of file, expecting "}"', 3),
    ("end of file in directive", "events {}\npid x", 'unexpected end of file, expecting ";" or "}"', 2),
    ("end of file in quotes", 'events {}\npid "x;\n', 'unexpected end of file, expecting ";" or "}"', 3),
    ("text behind quotes", 'events {}\npid "x"y;\n', 'unexpected "y"', 2),
    ("no opening brace", "events;\n", 'directive "events" has no opening "{"', 1),
    ("block on a simple one", "events {}\npid x {\n}\n", 'directive "pid" is not terminated by ";"', 2),
    ("semicolon for a block", "%S%\nlocation /x;\n", 'directive "location" has no opening "{"', 2),
    # arity, context, repetition
    ("too few", "%S%\nroot;\n", 'invalid number of arguments in "root" directive', 2),
    ("too many", "%S%\nroot a b;\n", 'invalid number of arguments in "root" directive', 2),
    ("arguments of a block", "events x {\n}\n", 'invalid number of arguments in "events" directive', 1),
    ("context main", "root x;\nevents {}", '"root" directive is not allowed here', 1),
    ("context server", "%S%\nserver { }\n", '"server" directive is not allowed here', 2),
    ("context location", "%L%\nlisten 80;\n", '"listen" directive is not allowed here', 2),
    ("context events", "events {\nroot x;\n}\n", '"root" directive is not allowed here', 2),
    ("pass in server", "%S%\nproxy_pass http://127.0.0.1;\n", '"proxy_pass" directive is not allowed here', 2),
    ("duplicate simple", "%S%\nroot a;\nroot b;\n", '"root" directive is duplicate', 3),
    ("duplicate flag", "%S%\nsendfile on;\nsendfile on;\n", '"sendfile" directive is duplicate', 3),
    ("duplicate http", "events {}\nhttp {}\nhttp {}\n", '"http" directive is duplicate', 3),
    ("duplicate events", "events {}\nevents {}\n", '"events" directive is duplicate', 2),
    ("duplicate worker_processes", "worker_processes 1;\nworker_processes 2;\nevents {}",
     '"worker_processes" directive is duplicate', 2),
    ("duplicate proxy_pass", "%L%\nproxy_pass http://127.0.0.1;\nproxy_pass http://127.0.0.1;\n",
     '"proxy_pass" directive is duplicate', 3),
    ("no events", "http {}\n", 'no "events" section in configuration', None),
    # values
    ("flag", "%S%\nsendfile maybe;\n", 'invalid value "maybe" in "sendfile" directive, it must be "on" or "off"', 2),
    ("number", "events {\nworker_connections x;\n}\n", 'invalid number "x"', 2),
    ("number in http", "%S%\nkeepalive_requests x;\n", 'invalid number', 2),
    ("size", "%S%\nclient_max_body_size 1x;\n", '"client_max_body_size" directive invalid value', 2),
    ("time", "%S%\nclient_body_timeout 1x;\n", '"client_body_timeout" directive invalid value', 2),
    ("enum", "%S%\nif_modified_since x;\n", 'invalid value "x"', 2),
    ("bufs", "%S%\nproxy_buffers 1 x;\n", '"proxy_buffers" directive invalid value', 2),
    ("overflow", "%S%\nclient_max_body_size 99999999999999999999;\n", '"client_max_body_size" directive invalid value',
     2),
    ("worker_processes", "worker_processes x;\nevents {}", '"worker_processes" directive invalid value', 1),
    ("user", "user no-such-user-here;\nevents {}", 'getpwnam("no-such-user-here") failed', 1),
    ("error_log level", "error_log x y;\nevents {}", 'invalid log level "y"', 1),
    # server and location
    ("bad port", "%S%\nlisten 127.0.0.1:99999;\n", 'invalid port in "127.0.0.1:99999" of the "listen" directive', 2),
    ("listen parameter", "%S%\nlisten 127.0.0.1:80 foo;\n", 'invalid parameter "foo"', 2),
    ("listen backlog", "%S%\nlisten 127.0.0.1:80 backlog=x;\n", 'invalid backlog "backlog=x"', 2),
    ("duplicate default", "%H%\nserver { listen 127.0.0.1:80 default_server; }\nserver { listen 127.0.0.1:80 default_server; }\n",
     "a duplicate default server for 127.0.0.1:80", 3),
    ("duplicate listen", "%S%\nlisten 127.0.0.1:80;\nlisten 127.0.0.1:80;\n", "a duplicate listen 127.0.0.1:80", 3),
    ("duplicate options", "%H%\nserver { listen 127.0.0.1:80 backlog=1; }\nserver { listen 127.0.0.1:80 backlog=2; }\n",
     "duplicate listen options for 127.0.0.1:80", 3),
    ("server name", "%H%\nserver { server_name a*b; } server { server_name c; }\n",
     'invalid server name or wildcard "a*b" on 0.0.0.0:80', None),
    ("server name regex", "%S%\nserver_name ~(;\n",
     r're:pcre2?_compile\(\) failed: missing (closing parenthesis|\)) in "\("', 2),
    ("location regex", "%S%\nlocation ~ ( { }\n",
     r're:pcre2?_compile\(\) failed: missing (closing parenthesis|\)) in "\("', 2),
    ("location modifier", "%S%\nlocation ! / { }\n", 'invalid location modifier "!"', 2),
    ("duplicate location", "%S%\nlocation /a { }\nlocation /a { }\n", 'duplicate location "/a"', 3),
    ("duplicate exact", "%S%\nlocation = /a { }\nlocation = /a { }\n", 'duplicate location "/a"', 3),
    ("nested outside", "%S%\nlocation /a {\nlocation /b { } }\n", 'location "/b" is outside location "/a"', 3),
    ("nested in exact", "%S%\nlocation = /a {\nlocation /a/b { } }\n",
     'location "/a/b" cannot be inside the exact location "/a"', 3),
    ("nested in named", "%S%\nlocation @a {\nlocation /b { } }\n",
     'location "/b" cannot be inside the named location "@a"', 3),
    ("named inside", "%S%\nlocation /a {\nlocation @b { } }\n", 'named location "@b" can be on the server level only',
     3),
    ("return code", "%L%\nreturn x y;\n", 'invalid return code "x"', 2),
    ("return big code", "%L%\nreturn 1000;\n", 'invalid return code "1000"', 2),
    ("return word", "%L%\nreturn x;\n", 'invalid return code "x"', 2),
    ("error_page value", "%L%\nerror_page abc /x;\n", 'invalid value "abc"', 2),
    ("error_page range", "%L%\nerror_page 200 /x;\n", "value \"200\" must be between 300 and 599", 2),
    ("error_page 499", "%L%\nerror_page 499 /x;\n", 'invalid value "499"', 2),
    ("alias in named", "%S%\nlocation @a {\nalias /x; }\n",
     'the "alias" directive cannot be used inside the named location', 3),
    ("root beside alias", "%L%\nalias /x;\nroot /y;\n",
     '"root" directive is duplicate, "alias" directive was specified earlier', 3),
    ("variable name", "%L%\nreturn 200 $;\n", "invalid variable name", 2),
    ("unclosed variable", "%L%\nreturn 200 ${a;\n",
     're:(the closing bracket in "a" variable is missing|invalid variable name)', 2),
    ("unknown variable", "%L%\nreturn 200 $nope;\n", 'unknown "nope" variable', None),
    ("log format unknown", "%S%\naccess_log x nope;\n", 'unknown log format "nope"', 2),
    ("log format twice", "%H%\nlog_format a b;\nlog_format a c;\n", 'duplicate "log_format" name "a"', 3),
    ("log parameter", "%S%\naccess_log x combined foo=1;\n", 'invalid parameter "foo=1"', 2),
    ("log escape", "%H%\nlog_format a escape=x b;\n", 'unknown log format escaping "x"', 2),
    ("internal arguments", "%L%\ninternal x;\n", 'invalid number of arguments in "internal" directive', 2),
    ("keepalive_timeout", "%S%\nkeepalive_timeout x;\n", 'invalid value', 2),
    ("large buffers small", "%S%\nlarge_client_header_buffers 1 x;\n",
     '"large_client_header_buffers" directive invalid value', 2),
    ("include missing", "events {}\ninclude {dir}/none.conf;\n",
     'open() "{dir}/none.conf" failed (2: No such file or directory)', 2),
    ("limit rate", "%S%\nlimit_rate x;\n", '"limit_rate" directive invalid value', 2),
    # proxy and upstream (U1.3)
    ("url prefix", "%L%\nproxy_pass 127.0.0.1;\n", "invalid URL prefix", 2),
    ("url without host", "%L%\nproxy_pass http://;\n", 'no host in upstream ""', 2),
    ("url with a bad port", "%L%\nproxy_pass http://127.0.0.1:x;\n", 'invalid port in upstream "127.0.0.1:x"', 2),
    ("url port zero", "%L%\nproxy_pass http://127.0.0.1:0;\n", 'invalid port in upstream "127.0.0.1:0"', 2),
    ("unknown host", "%L%\nproxy_pass http://no-such-host.invalid;\n",
     'host not found in upstream "no-such-host.invalid"', 2),
    ("uri in regex location", "%S%\nlocation ~ x {\nproxy_pass http://127.0.0.1/a; }\n",
     '"proxy_pass" cannot have URI part in location given by regular expression, or inside named location, or inside "if" statement, '
     'or inside "limit_except" block', 3),
    ("uri in named location", "%S%\nlocation @x {\nproxy_pass http://127.0.0.1/; }\n",
     '"proxy_pass" cannot have URI part in location given by regular expression, or inside named location, or inside "if" statement, '
     'or inside "limit_except" block', 3),
    ("no servers", "%H%\nupstream u {\n}\n", "no servers are inside upstream", 3),
    ("only backups", "%H%\nupstream u { server 127.0.0.1:1 backup; }\n server { location / {\nproxy_pass http://u; } }\n",
     'no servers in upstream "u"', 2),
    ("duplicate upstream", "%H%\nupstream u { server 127.0.0.1; }\nupstream u { server 127.0.0.1; }\n",
     'duplicate upstream "u"', 3),
    ("server parameter", "%U%\nserver 127.0.0.1 foo=1;\n", 'invalid parameter "foo=1"', 2),
    ("weight zero", "%U%\nserver 127.0.0.1 weight=0;\n", 'invalid parameter "weight=0"', 2),
    ("weight word", "%U%\nserver 127.0.0.1 weight=x;\n", 'invalid parameter "weight=x"', 2),
    ("max_fails word", "%U%\nserver 127.0.0.1 max_fails=-1;\n", 'invalid parameter "max_fails=-1"', 2),
    ("max_conns word", "%U%\nserver 127.0.0.1 max_conns=x;\n", 'invalid parameter "max_conns=x"', 2),
    ("fail_timeout word", "%U%\nserver 127.0.0.1 fail_timeout=x;\n", 'invalid parameter "fail_timeout=x"', 2),
    ("server without host", "%U%\nserver :80;\n", 'no host in upstream ":80"', 2),
    ("server bad port", "%U%\nserver 127.0.0.1:99999;\n", 'invalid port in upstream "127.0.0.1:99999"', 2),
    ("server unknown host", "%U%\nserver no-such-host.invalid;\n", 'host not found in upstream "no-such-host.invalid"',
     2),
    ("group with a port", "%H%\nupstream u { server 127.0.0.1; }\nserver { location / {\nproxy_pass http://u:80; } }\n",
     'upstream "u" may not have port 80', 4),
    ("keepalive value", "%U%\nkeepalive x;\n", 'invalid value "x" in "keepalive" directive', 2),
    ("keepalive twice", "%U%\nkeepalive 1;\nkeepalive 1;\n", '"keepalive" directive is duplicate', 3),
    ("http version", "%L%\nproxy_http_version 3;\n", 'invalid value "3"', 2),
    ("next_upstream word", "%L%\nproxy_next_upstream foo;\n", 'invalid value "foo"', 2),
    ("set_header one argument", "%L%\nproxy_set_header Host;\n",
     'invalid number of arguments in "proxy_set_header" directive', 2),
    ("busy buffers small", "%L%\nproxy_busy_buffers_size 1k;\n",
     '"proxy_busy_buffers_size" must be equal to or greater than the maximum '
     'of the value of "proxy_buffer_size" and one of the "proxy_buffers"', None),
    ("busy buffers large", "%L%\nproxy_busy_buffers_size 1m;\n",
     '"proxy_busy_buffers_size" must be less than the size of all "proxy_buffers" minus one buffer', None),
    ("temp write small", "%L%\nproxy_temp_file_write_size 1k;\n",
     '"proxy_temp_file_write_size" must be equal to or greater than the '
     'maximum of the value of "proxy_buffer_size" and one of the "proxy_buffers"', None),
    ("temp file small", "%L%\nproxy_max_temp_file_size 1k;\n",
     '"proxy_max_temp_file_size" must be equal to zero to disable temporary '
     'files usage or must be equal to or greater than the maximum of the value of "proxy_buffer_size" and one of the "proxy_buffers"', None),
    ("bind address", "%L%\nproxy_bind nonsense;\n", 'invalid address "nonsense"', 2),
    ("bind word", "%L%\nproxy_bind 127.0.0.1 x;\n", 'invalid parameter "x"', 2),
    ("bind variable", "%L%\nproxy_bind $nope;\n", 'unknown "nope" variable', None),
    ("two buffers at least", "%L%\nproxy_buffers 1 4k;\n", 'there must be at least 2 "proxy_buffers"', None),
]


def expand(text):
    for key, (head, tail) in OPEN.items():
        if key in text:
            return text.replace(key, head) + tail
    return text


@pytest.mark.parametrize("text,message,line", [pytest.param(t, m, n, id=name.replace(" ", "-")) for name, t, m,
                                               n in TABLE])
def test_error(command, text, message, line):
    server = command(text=expand(text))
    result = server.command("-t", "-e", server.path("e.log"))
    assert result.returncode == 1
    lines = [x for x in result.stderr.splitlines() if "[emerg]" in x]
    assert lines, result.stderr
    message = message.replace("{dir}", server.dir)
    found = re.compile(message[3:]) if message.startswith("re:") else re.compile(re.escape(message))
    place = f" in {server.conf}:{line}" if line else ""
    hits = [x for x in lines if re.match(r"\w+: \[emerg\] ", x) and found.search(x) and place in x]
    assert hits, f"wanted {message!r} at line {line}:\n{result.stderr}"
    assert re.search(rf"configuration file {re.escape(server.conf)} test failed", result.stderr)


def test_start_with_a_broken_file(command):
    server = command(text="events {}\nfoo;\n")
    result = server.command()
    assert result.returncode == 1
    assert re.search(rf'\[emerg\] .*unknown directive "foo" in {re.escape(server.conf)}:2', result.stderr)


def test_missing_file(command):
    server = command()
    result = server.command("-t")
    assert result.returncode == 1
    assert re.search(rf'\[emerg\] .*open\(\) "{re.escape(server.conf)}" failed \(2: No such file or directory\)',
                     result.stderr)


def test_error_in_an_included_file(command):
    server = command(text="events {}\nhttp { include {dir}/part/*.conf; }\n", files={"part/a.conf": "\n# x\nfoo 1;\n"})
    result = server.command("-t")
    assert result.returncode == 1 and f'unknown directive "foo" in {server.path("part/a.conf")}:3' in result.stderr


def test_unclosed_block_in_an_included_file(command):
    server = command(text="events {}\nhttp { include {dir}/a.conf; }\n", files={"a.conf": "server {\n"})
    result = server.command("-t")
    assert result.returncode == 1
    assert f'unexpected end of file, expecting "}}" in {server.path("a.conf")}:2' in result.stderr


@pytest.mark.weir_only("U1.3: the issue asks for all errors of a file in one run")
def test_all_errors_in_one_run(command):
    server = command(text="events {}\nhttp {\nfoo 1;\nserver {\nbar 2;\nroot;\n}\n}\n")
    result = server.command("-t")
    assert result.returncode == 1
    for message, line in (('unknown directive "foo"', 3), ('unknown directive "bar"', 5),
                          ('invalid number of arguments in "root"', 6)):
        assert any(message in x and x.endswith(f":{line}") for x in result.stderr.splitlines()), result.stderr


@pytest.mark.weir_only("issue section 3: directives that weir has not yet, by their effect")
@pytest.mark.parametrize("text,code,word", [
    ("%S%\nhttp2 on;\n", 0, "[warn]"), ("%L%\nproxy_cache_valid 200 1m;\n", 0, "[warn]"), ("%S%\nstatus_zone x;\n", 0,
                                                                                           "[warn]"),
    ("%L%\ngrpc_pass grpc://127.0.0.1:1;\n", 1, "[emerg]"), ("%L%\nauth_jwt x;\n", 1, "[emerg]"),
    ("events {}\nstream {\n}\n", 1, "[emerg]")])
def test_known_but_missing(command, text, code, word):
    server = command(text=expand(text))
    result = server.command("-t")
    assert result.returncode == code, result.stderr
    assert word in result.stderr and f"{server.conf}:2" in result.stderr
    assert "_module" in result.stderr


@pytest.mark.weir_only("U1.2: drain, slow_start and kin are ours; nginx 1.22 without the commercial modules refuses them")
def test_more_server_parameters(command):
    server = command(text=expand("%U%\nserver 127.0.0.1:2 drain; server 127.0.0.1:3 slow_start=5s; server 127.0.0.1:4 route=a;\n"))
    assert server.command("-t").returncode == 0


@pytest.mark.parametrize("text", [
    "%H%\nserver_names_hash_bucket_size 64;\nserver_names_hash_max_size 512;\n",
    "%S%\nroot \"a b\";\n", "%S%\nroot 'a b';\n", "%S%\nroot a\\ b;\n", "%S%\nroot a#b;\n",
                                  "%S%\nroot a; # comment { } ;\n",
    "%L%\nreturn 200 '}';\n", "%L%\nreturn 200 \";\";\n", "%S%\nlocation ~ \"^/a{2}$\" { }\n",
                                  "%L%\nclient_max_body_size 1m;\n",
    "%L%\nclient_max_body_size 1G;\n", "%L%\nclient_body_timeout 1h30m;\n", "%L%\nclient_body_timeout 100ms;\n",
                                  "%L%\nkeepalive_timeout 1d;\n",
    "%L%\nreturn 200 $arg_x$http_y${cookie_z}$sent_http_a$upstream_http_b;\n", "%S%\r\nroot x;\r\n", "events {}\n",
    "%U%\nserver 127.0.0.1:1 weight=3 max_fails=2 fail_timeout=5 max_conns=7 down; server [::1]:80 backup; server unix:/x;\n"])
def test_accepted(command, text):
    result = command(text=expand(text)).command("-t")
    assert result.returncode == 0, result.stderr
    assert "test is successful" in result.stderr
