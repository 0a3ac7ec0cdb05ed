# SPDX-License-Identifier: Apache-2.0
"""The command line: -t -T -q -v -V -h -p -c -e -g -s, their output and exit codes; includes."""
import os
import re
import subprocess

import pytest

from weirtest.server import BINARY
from weirtest.timing import LIMIT, wait_for

OK = "pid {dir}/x.pid; events {}\nhttp { server { listen 127.0.0.1:{port}; } }\n"


def run(*args):
    return subprocess.run([BINARY, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT,
                          check=False)


def test_version():
    result = run("-v")
    assert result.returncode == 0 and result.stdout == ""
    assert re.fullmatch(r"\w+ version: \S+/\d+\.\d+\S*.*\n", result.stderr)


def test_version_and_build():
    result = run("-V")
    assert result.returncode == 0 and result.stdout == ""
    assert len(result.stderr.splitlines()) >= 2 and result.stderr.startswith(run("-v").stderr)


@pytest.mark.parametrize("flag", ["-h", "-?"])
def test_help(flag):
    result = run(flag)
    assert result.returncode == 0
    text = result.stdout + result.stderr
    for option in ("-v", "-V", "-t", "-T", "-q", "-s signal", "-p prefix", "-e filename", "-c filename",
                   "-g directives"):
        assert option in text


@pytest.mark.parametrize("args,message", [(("-x",), 'invalid option: "x"'), (("foo",), 'invalid option: "foo"'),
                                          (("-c",), 'option "-c" requires file name'),
                                          (("-p",), 'option "-p" requires directory name'),
                                          (("-g",), 'option "-g" requires parameter'),
                                          (("-s",), 'option "-s" requires parameter'),
                                          (("-e",), 'option "-e" requires file name'),
                                          (("-s", "foo"), 'invalid option: "-s foo"')])
def test_bad_options(args, message):
    result = run(*args)
    assert result.returncode == 1 and result.stdout == ""
    assert message in result.stderr


def test_t(command):
    server = command(text=OK)
    result = server.command("-t", "-e", server.path("e.log"))
    assert result.returncode == 0 and result.stdout == ""
    lines = [re.sub(r"^\w+: ", "", line) for line in result.stderr.splitlines()]
    assert lines == [f"the configuration file {server.conf} syntax is ok",
                     f"configuration file {server.conf} test is successful"]


def test_t_quiet(command):
    server = command(text=OK)
    result = server.command("-t", "-q")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_t_quiet_still_shows_errors(command):
    server = command(text="foo;\nevents {}\n")
    result = server.command("-t", "-q")
    assert result.returncode == 1 and 'unknown directive "foo"' in result.stderr


def test_t_quiet_still_shows_warnings(command):
    server = command(text="events {}\nhttp { access_log off; server { listen 127.0.0.1:1; "
                          "keepalive_disable msie6; keepalive_disable msie6; } }\n")
    result = server.command("-t", "-q", "-e", server.path("e.log"))
    assert result.returncode == 0
    assert re.sub(r"^.*\[warn\] (\d+#\d+: )?", "", result.stderr) == f'duplicate value "msie6" in {server.conf}:2\n'


def test_joined_options(command):
    server = command(text=OK)
    result = run("-tqc", server.conf, "-p", server.dir)
    assert (result.returncode, result.stderr) == (0, "")
    assert run("-t", "-q", "-c" + server.conf, "-p" + server.dir).returncode == 0


def test_dump(command):
    server = command(text=OK + "# a comment stays\ninclude {dir}/b.conf;\ninclude {dir}/b.conf;\n",
                     files={"b.conf": "env X;\n"})
    result = server.command("-T")
    assert result.returncode == 0
    with open(server.conf, encoding="utf-8") as file:
        text = file.read()
    part = server.path("b.conf")
    assert result.stdout == f"# configuration file {server.conf}:\n{text}\n# configuration file {part}:\nenv X;\n\n"
    assert "test is successful" in result.stderr


def test_dump_of_a_broken_file(command):
    server = command(text="events {}\nfoo;\n")
    result = server.command("-T")
    assert result.returncode == 1 and 'unknown directive "foo"' in result.stderr


def test_prefix_and_relative_paths(command):
    server = command(files={"conf/my.conf": "pid x.pid; events {}\ninclude part.conf; http { server { listen 127.0.0.1:{port}; } }",
                            "conf/part.conf": "env A;\n", "logs/keep": b""})
    with open(server.path("conf/my.conf"), encoding="utf-8") as file:
        text = server.expand(file.read())
    server.write("conf/my.conf", text)
    result = run("-t", "-p", server.dir + "/", "-c", "conf/my.conf")
    assert result.returncode == 0, result.stderr
    assert server.path("conf/my.conf") in result.stderr


def test_global_directives(command):
    server = command(text=OK)
    assert server.command("-t", "-g", "worker_processes 2; env FOO;").returncode == 0
    result = server.command("-t", "-g", "foo 1;")
    assert result.returncode == 1 and re.search(r'unknown directive "foo" in command line', result.stderr)
    result = server.command("-t", "-g", "pid other;")
    assert result.returncode == 1 and '"pid" directive is duplicate' in result.stderr


def test_error_log_option(command):
    server = command(text="events {}\nfoo;\n")
    server.command("-t", "-e", server.path("my.log"))
    assert 'unknown directive "foo"' in server.read("my.log")


def test_t_of_a_running_server_touches_nothing(weir):
    server = weir("location / { return 200 x; }")
    pid = server.read("server.pid")
    before = {name: os.stat(server.path(name)).st_mtime_ns for name in ("server.pid",)}
    assert server.command("-t").returncode == 0
    assert server.read("server.pid") == pid
    assert os.stat(server.path("server.pid")).st_mtime_ns == before["server.pid"]
    assert server.get("/").status == 200


def test_pid_file(weir):
    server = weir("location / { return 200 x; }")
    assert server.read("server.pid") == f"{server.process.pid}\n"
    server.stop()
    assert not os.path.exists(server.path("server.pid"))


@pytest.mark.parametrize("word", ["stop", "quit"])
def test_signal_stop_and_quit(weir, word):
    server = weir("location / { return 200 x; }")
    result = server.command("-s", word)
    assert (result.returncode, result.stdout) == (0, "")
    assert server.wait_exit() == 0


@pytest.mark.weir_only("nginx ends nothing while its configuration is broken")
@pytest.mark.parametrize("broken", ["no_such_directive x;", "location / { return", "} server {", "ssl_certificate missing.pem;",
                                    "include /nonexistent/x.conf;"])
def test_signal_needs_only_the_pid_file(weir, broken):
    server = weir("location / { return 200 x; }")
    server.write_conf(server.compose(broken))
    result = server.command("-s", "quit")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert server.wait_exit() == 0


def test_signal_without_a_configuration(weir):
    server = weir("location / { return 200 x; }")
    text = server.read("nginx.conf")
    os.remove(server.path("nginx.conf"))
    result = server.command("-s", "quit")
    server.write_conf(text)
    assert result.returncode == 1 and 'open() "' in result.stderr and "No such file or directory" in result.stderr
    assert server.get("/").status == 200


def test_signal_reload(weir):
    server = weir("location / { return 200 one; }")
    server.write_conf(server.compose("location / { return 200 two; }"))
    assert server.command("-s", "reload").returncode == 0
    wait_for(lambda: server.get("/").text == "two", "the new configuration")


def test_signal_reopen(weir):
    server = weir("access_log {dir}/access.log t; location / { return 200 x; }", http="log_format t $uri;")
    server.get("/1")
    server.access(1)
    os.rename(server.path("access.log"), server.path("old.log"))
    assert server.command("-s", "reopen").returncode == 0
    wait_for(lambda: os.path.exists(server.path("access.log")), "a new log")


def test_signal_without_a_server(command):
    server = command(text=OK)
    result = server.command("-s", "stop")
    assert result.returncode == 1 and "x.pid" in result.stderr and "failed (2: No such file or directory)" in result.stderr


@pytest.mark.weir_only("issue section 3: -s signals a process only if it is weir; nginx signals any process that the file names")
def test_signal_hits_no_stranger(command):
    server = command(text=OK)
    with subprocess.Popen(["sleep", "60"]) as stranger:
        server.write("x.pid", f"{stranger.pid}\n".encode())
        result = server.command("-s", "stop")
        alive = stranger.poll() is None
        stranger.kill()
    assert alive and result.returncode == 1


def test_two_servers_on_one_port(weir, command):
    server = weir("location / { return 200 x; }")
    second = command(text=f"daemon off; pid {{dir}}/y.pid; events {{}}\nhttp {{ server {{ listen 127.0.0.1:{server.port}; }} }}\n")
    result = second.command("-e", second.path("e.log"))
    assert result.returncode == 1
    assert f"bind() to 127.0.0.1:{server.port} failed (98: Address already in use)" in result.stderr
    assert server.get("/").status == 200


def test_daemon(command):
    server = command(text="pid {dir}/x.pid; error_log {dir}/error.log; events {}\n"
                          "http { access_log off; server { listen 127.0.0.1:{port}; location / { return 200 x; } } }\n")
    result = server.command("-e", server.path("error.log"))
    assert result.returncode == 0, result.stderr
    wait_for(lambda: server.read("x.pid").strip(), "the pid file")
    pid = int(server.read("x.pid"))
    assert server.get("/").status == 200
    assert server.command("-s", "quit").returncode == 0
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"), "the daemon to end")


def test_master_process_off(command):
    server = command(text="daemon off; master_process off; pid {dir}/x.pid; error_log {dir}/error.log; events {}\n"
                          "http { access_log off; server { listen 127.0.0.1:{port}; location / { return 200 x; } } }\n")
    with open(server.conf, encoding="utf-8") as file:
        server.start(file.read())
    assert server.get("/").status == 200
    server.stop("TERM")


# include

def test_include_glob_is_sorted(weir):
    server = weir("include {dir}/c/*.conf;", files={"c/2.conf": "location ~ ^/b { return 200 two; }",
                                                    "c/1.conf": "location ~ ^/ { return 200 one; }", "c/3.txt": "foo"})
    assert server.get("/b").text == "one"


def test_include_glob_may_match_nothing(command):
    assert command(text="events {}\ninclude {dir}/none/*.conf;\n").command("-t").returncode == 0


def test_include_inside_of_include(weir):
    server = weir("include {dir}/a.conf;", files={"a.conf": "location / { include {dir}/b.conf; }",
                                                  "b.conf": "return 200 deep;"},
                  start=False)
    server.write("a.conf", f"location / {{ include {server.dir}/b.conf; }}")
    with open(server.conf, encoding="utf-8") as file:
        server.start(file.read())
    assert server.get("/").text == "deep"


def test_include_of_itself_is_an_error(command):
    server = command()
    server.write_conf("events {}\ninclude {dir}/nginx.conf;\n")
    result = server.command("-t")
    assert result.returncode == 1


# what the lexer does to words

@pytest.mark.parametrize("word,expect", [
    ("plain", "plain"), ('"quoted words"', "quoted words"), ("'single \"inside\"'", 'single "inside"'),
                                         ('"esc\\"aped"', 'esc"aped'),
    ("back\\ slash", "back\\ slash"), ('"tab\\tnl\\nend"', "tab\tnl\nend"), ('"keep\\dot"', "keep\\dot"),
                                         ("a#b", "a#b"),
    ('"a;b{c}"', "a;b{c}"), ("'multi\nline'", "multi\nline"), ("\\\\x", "\\x"), ("a\"b", 'a"b'), ('"$uri"', "/"),
                                         ("${uri}x", "/x"),
    ('"\\r"', "\r"), ("'it\\'s'", "it's")])
def test_words(weir, word, expect):
    assert weir("location / { return 200 " + word + "; }").get("/").text == expect


def test_comments_and_layout(weir):
    server = weir("# c1\nlocation / # c2 {\n{ # c3 }\nreturn\n200\n  'x' ; # c4\n}# c5")
    assert server.get("/").text == "x"
