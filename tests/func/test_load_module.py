# SPDX-License-Identifier: Apache-2.0
"""Modules in files of their own (U12.3): the examples, the commands of docs/modules.md, what is refused, what a reload does.

Everything is built outside of the source tree with what `make install-headers` brings, by the compiler of the path."""
import collections
import fcntl
import gzip
import os
import re
import shutil
import subprocess
import threading

import pytest

from weirtest.client import build_request
from weirtest.http1 import Closed
from weirtest.server import BINARY, ROOT
from weirtest.timing import LIMIT, wait_for

pytestmark = [pytest.mark.weir_only("modules for weir"),
              pytest.mark.skipif(not BINARY.startswith(os.path.join(ROOT, "build")), reason="needs the headers of this program")]

LETTER = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"


def run(*argv, cwd, **env):
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(argv, cwd=cwd, env={**clean, **env}, capture_output=True, text=True, timeout=LIMIT * 12, check=False)
    assert done.returncode == 0, f"{argv}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """A folder with the installed headers in dest/ and copies of the examples, built; made once for all test processes."""
    base = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        base = base.parent
    folder = os.path.join(str(base), "modules")
    with open(folder + ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(folder):
            variant = os.path.relpath(os.path.dirname(BINARY), os.path.join(ROOT, "build"))
            part = folder + ".part"
            shutil.rmtree(part, ignore_errors=True)
            shutil.copytree(os.path.join(ROOT, "examples"), os.path.join(part, "examples"))
            run("make", "install-headers", f"DESTDIR={part}/dest", *([] if variant == "." else [f"VARIANT={variant}"]), cwd=ROOT)
            for name in sorted(os.listdir(os.path.join(part, "examples"))):
                run("make", "CFLAGS=-O2 -g -Wall -Wextra -Werror", cwd=os.path.join(part, "examples", name), **tools(part))
            os.rename(part, folder)
    return folder


def tools(folder):
    """Environment in which pkg-config finds the headers in folder/dest."""
    prefix = next(os.path.dirname(path) for path, _, files in os.walk(os.path.join(folder, "dest")) if "weir.pc" in files)
    return {"PKG_CONFIG_PATH": os.path.join(prefix, "pkgconfig"), "PKG_CONFIG_SYSROOT_DIR": os.path.join(folder, "dest")}


def module(built, name):
    return os.path.join(built, "examples", name, name + ".so")


def compile_text(built, folder, name, text):
    """A module of this text; returns its file."""
    source = os.path.join(str(folder), name + ".c")
    with open(source, "w", encoding="utf-8") as file:
        file.write(text)
    flags = run("pkg-config", "--cflags", "weir", cwd=str(folder), **tools(built)).split()
    out = os.path.join(str(folder), name + ".so")
    run("cc", "-std=gnu11", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror", *flags, "-o", out + ".new", source, cwd=str(folder))
    os.rename(out + ".new", out)
    return out


HELLO = """
#include <http/loadable.h>
#include <http/reply.h>
static enum wr_status start(struct wr_req *r, void *conf, struct wr_content **ret)
{
    (void)conf, (void)ret;
    wr_reply_text(r, 200, WR_STR("text/plain"), WR_STR("%(text)s"));
    return WR_OK;
}
static enum wr_status set(struct wr_conf *cf, const struct wr_dir *d, const struct wr_node *n, void *conf)
{
    (void)d, (void)conf;
    return wr_core_set_content(cf, n, start, NULL);
}
static enum wr_status get(struct wr_req *r, const struct wr_var *v, struct wr_str rest, struct wr_str *ret)
{
    (void)r, (void)v, (void)rest;
    *ret = WR_STR("%(text)s");
    return WR_OK;
}
static const struct wr_dir dirs[] = {{.name = "%(dir)s", .contexts = WR_CTX_LOCATION, .kind = WR_KIND_NONE, .set = set}, WR_DIR_END};
static struct wr_conf_module conf = {.name = "%(dir)s", .dirs = dirs};
static const struct wr_var vars[] = {{.name = "%(var)s", .get = get}};
static const struct wr_module m = {.conf = &conf, .vars = vars, .var_cnt = 1};
WR_MODULE_FILE(m);
"""


def hello(built, folder, text, name="hello", directive="hello", var="hello"):
    return compile_text(built, folder, name, HELLO % {"text": text, "dir": directive, "var": var})


# ---- the examples --------------------------------------------------------------------------------------------------

def test_search(weir, origin, built):
    """The gateway of the issue: /test?lumia is GET /s?wd=lumia at the peer; status, length, a line in the log."""
    answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Engine: e\r\n\r\nfound", b"HTTP/1.0 404 Not Found\r\n\r\nnothing here",
               b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", b"junk\r\n\r\n"]

    def script(data):
        def play(conn):
            req = conn.read_request()
            assert (req.method, req.version, req.headers["Host"]) == ("GET", "1.0", str(up))
            conn.send(data)
        return play
    up = origin([script(a) for a in answers])
    server = weir("location /test { search_pass {up}; search_read_timeout 5s; } "
                  "location /other { search_prefix /find/; search_pass {up}; } access_log {dir}/access.log t;",
                  http="log_format t '$request_uri $status $upstream_addr $upstream_status $body_bytes_sent';",
                  main=f"load_module {module(built, 'search')};", up=up)
    with server.client() as client:
        answer = client.get("/test?lumia")
        assert (answer.status, answer.headers["Content-Length"], answer.headers["X-Engine"], answer.text) == (200, "5", "e", "found")
        answer = client.get("/other?a+b")
        assert (answer.status, answer.text) == (404, "nothing here")
        assert client.get("/test?x").status == 503
        assert client.request("POST", "/test?y", body=b"z").status == 502
    assert [r.target for r in up.requests] == ["/s?wd=lumia", "/find/a+b", "/s?wd=x", "/s?wd=y"]
    assert server.access(4) == [f"/test?lumia 200 {up} 200 5", f"/other?a+b 404 {up} 404 12", f"/test?x 503 {up} 503 0",
                                f"/test?y 502 {up} 502 {server.access(4)[3].split()[-1]}"]
    server.wait_log('search for "lumia" ended with 200')
    server.wait_log('upstream sent invalid header while reading response header from upstream')


def test_search_uses_the_whole_mechanism(weir, origin, built):
    """A group, the next peer, keep of what was configured: nothing of it is in the module."""
    dead, alive = origin(lambda c: c.reset()), origin(LETTER + b"b")
    server = weir("location / { search_pass g; search_next_upstream error; } access_log {dir}/access.log t;",
                  http="log_format t '$upstream_addr'; upstream g { zone g 64k; server {dead} max_fails=0; server {alive}; }",
                  main=f"load_module {module(built, 'search')};", dead=dead, alive=alive)
    assert [server.get("/?q").text for _ in range(4)] == ["b"] * 4
    assert any("," in line for line in server.access(4))


@pytest.mark.parametrize("text, message", [
    ("search_pass;", 'invalid number of arguments in "search_pass" directive'),
    ("search_pass a.test b;", 'invalid number of arguments in "search_pass" directive'),
    ("search_pass 127.0.0.1:1; search_pass 127.0.0.1:1;", '"search_pass" directive is duplicate'),
    ("search_read_timeout x;", '"search_read_timeout" directive invalid value'),
    ("search_pass 127.0.0.1:1; return_nothing;", 'unknown directive "return_nothing"'),
])
def test_search_errors(command, built, text, message):
    server = command(text=f"load_module {module(built, 'search')};\nevents {{}}\nhttp {{ server {{ location / {{\n{text}\n}} }} }}\n")
    result = server.command("-t")
    assert result.returncode == 1 and message in result.stderr and f"in {server.conf}:4" in result.stderr


def test_variable(weir, built):
    server = weir('location / { return 200 "$client_net $lower_x_name|$lower_none|"; }', main=f"load_module {module(built, 'variable')};")
    assert server.get("/", {"X-Name": "Ann"}).text == "127.0.0.0/24 ann||"


def test_header_filter(weir, origin, built):
    up = origin(LETTER + b"u")
    server = weir('served_by "edge $arg_n"; location / { return 200 x; } location /up { proxy_pass http://{up}; } '
                  'location /off { served_by ""; return 200 x; } location /none { return 404; }',
                  main=f"load_module {module(built, 'header_filter')};", up=up)
    assert server.get("/?n=7").headers["X-Served-By"] == "edge 7"
    assert server.get("/up?n=8").headers["X-Served-By"] == "edge 8"
    assert server.get("/none?n=9").headers["X-Served-By"] == "edge 9"
    assert "X-Served-By" not in server.get("/off").headers


def test_body_filter(weir, origin, built):
    """Small and large, whole and cut, of files and of peers; with gzip behind it; HEAD, ranges and other types as they are."""
    text = "".join(f"line {n}\n" for n in range(30000)).encode() + b"end"
    numbered = b"".join(b"%d %s" % (n + 1, line) for n, line in enumerate(text.splitlines(True)))

    def cut(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\nhalf\nof")

    def slowly(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")
        for byte in b"a\n\nb":
            conn.send(b"1\r\n%c\r\n" % byte)
        conn.send(b"0\r\n\r\n")
    server = weir("line_numbers on; root {dir}/files; default_type text/plain; gzip_types text/plain; types { } "
                  "location /gz/ { gzip on; alias {dir}/files/; } location /cut { proxy_pass http://{cut}; } "
                  "location /slow { proxy_pass http://{slow}; } location /off { line_numbers off; return 200 x; } "
                  "location /bin { default_type image/png; return 200 x; }",
                  main=f"load_module {module(built, 'body_filter')};", cut=origin(cut), slow=origin(slowly),
                  files={"files/big": text, "files/empty": b""}, allow=[r"prematurely closed"])
    answer = server.get("/big")
    assert answer.body == numbered and "Content-Length" not in answer.headers and answer.headers["ETag"].startswith("W/")
    assert server.get("/big", {"Range": "bytes=0-3"}).status == 200
    assert server.request("HEAD", "/big").headers.get("Content-Length") is None
    assert gzip.decompress(server.get("/gz/big", {"Accept-Encoding": "gzip"}).body) == numbered
    assert server.get("/empty").body == b""
    assert server.get("/slow").text == "1 a\n2 \n3 b"
    assert [server.get(path).text for path in ("/off", "/bin")] == ["x", "x"]
    with server.client() as client, pytest.raises(Closed):
        client.get("/cut")  # what is cut stays cut


def test_balancer(weir, origin, built):
    """Peers tell their load; one that says 100 gets about a hundredth of what an idle one gets."""
    def told(load):
        return b"HTTP/1.1 200 OK\r\nX-Load: %d\r\nContent-Length: 1\r\n\r\n" % load
    peers = {"a": told(100) + b"a", "b": told(0) + b"b", "c": LETTER + b"c"}
    up = {key: origin(value) for key, value in peers.items()}
    server = weir("location / { proxy_pass http://g; }",
                  http="upstream g { told; server {a}; server {b}; server {c} backup; keepalive 4; }",
                  main=f"load_module {module(built, 'balancer')};", **up)
    with server.client() as client:
        for _ in range(20):
            client.get("/")  # both have told
        seen = collections.Counter(client.get("/").text for _ in range(400))
    assert set(seen) <= {"a", "b"} and seen["a"] <= 30, seen
    up["b"].stop()
    assert server.get("/").text in "ac"


def test_gather(weir, origin, built):
    """Several answers at once, by subrequests, and their sum; one that fails; a client that leaves."""
    number = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"
    both = threading.Barrier(2)

    def north(conn):
        for req in conn.requests():
            if req.target == "/north?d=1":
                both.wait(LIMIT)  # the other one is asked meanwhile
            conn.send(number % (2, b"40") if req.target != "/north?d=bad" else number % (1, b"x"))

    def south(conn):
        for req in conn.requests():
            if req.target == "/south":
                both.wait(LIMIT)
            conn.send(number % (2, b"2\n"))
    dead = origin(lambda conn: conn.reset())
    server = weir("location = /total { gather /north?d=$arg_d /south; } location = /more { gather /north?d=2 /fixed /fixed; } "
                  "location = /bad { gather /north?d=bad /fixed; } location = /broken { gather /dead /fixed; } location = /none { gather /404; } "
                  "location = /over { gather /retry /fixed; } location /retry { internal; proxy_pass http://g; } "
                  "location /north { proxy_pass http://{north}; } location /south { proxy_pass http://{south}; } "
                  "location /fixed { internal; return 200 '5'; } location /dead { proxy_pass http://{dead}; } "
                  "access_log {dir}/access.log t;",
                  http="log_format t '$request_uri $status'; upstream g { zone g 64k; server {dead} max_fails=0; server {south} max_fails=0; }",
                  main=f"load_module {module(built, 'gather')};", north=origin(north), south=origin(south), dead=dead)
    with server.client() as client:
        assert client.get("/total?d=1").text == "42\n"
        assert client.get("/more").text == "50\n"
        assert client.get("/over").text == "7\n"  # the next peer, as for any request
        for target in ("/bad", "/broken", "/none"):
            assert client.get(target).status == 502
    assert [line.split()[0] for line in server.access(6)] == ["/total?d=1", "/more", "/over", "/bad", "/broken", "/none"]
    held = origin(lambda conn: (conn.read_request(), conn.hold()))
    slow = weir("location = /total { gather /held /held; } location /held { proxy_pass http://{held}; }",
                main=f"load_module {module(built, 'gather')};", held=held)
    client = slow.client()
    client.send(build_request("GET", "/total"))
    held.wait_requests(2)
    client.close()
    held.wait_end(0)
    held.wait_end(1)


@pytest.mark.parametrize("text, message", [
    ("gather;", 'invalid number of arguments in "gather" directive'), ("gather /a; return 200;", ""),
    ("gather " + "/a " * 17 + ";", '"gather" directive takes 16 locations at most'), ("gather $none;", 'unknown "none" variable')])
def test_gather_errors(command, built, text, message):
    server = command(text=f"load_module {module(built, 'gather')};\nevents {{}}\nhttp {{ server {{ location / {{\n{text}\n}} }} }}\n")
    result = server.command("-t")
    assert result.returncode == (1 if message else 0) and message in result.stderr


# ---- the tutorial --------------------------------------------------------------------------------------------------

def test_tutorial(built, tmp_path, weir):
    """Each file and each command of docs/modules.md, in a folder of its own."""
    with open(os.path.join(ROOT, "docs", "modules.md"), encoding="utf-8") as file:
        blocks = re.findall(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", file.read(), re.M | re.S)
    assert [kind for kind, _, _ in blocks] == ["sh", "c", "sh", "nginx", "sh"]
    reserved = weir("return 200 x;", start=False)
    port = reserved.expand("{port}")
    script = "set -eu\n"
    for kind, name, text in blocks:
        if kind == "sh":
            script += text
        else:
            script += f"cat > {name} <<'END'\n{text.replace('8080', port)}END\n"
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    os.symlink(BINARY, bin_dir / "weir")
    out = run("sh", "-c", script.replace("8080", port), cwd=str(tmp_path), **tools(built), PATH=f"{bin_dir}:{os.environ['PATH']}")
    assert out == "Hello, Ann.\nHello, everybody.\n"
    wait_for(lambda: not os.path.exists(tmp_path / "hello" / "weir.pid"), "the end")


def test_examples_are_short():
    for name in os.listdir(os.path.join(ROOT, "examples")):
        with open(os.path.join(ROOT, "examples", name, name + ".c"), encoding="utf-8") as file:
            assert len(file.readlines()) < 100 or name in ("search", "gather")


# ---- what is refused -----------------------------------------------------------------------------------------------

CONF = "load_module {path};\nevents {{}}\nhttp {{ server {{ listen 127.0.0.1:1; }} }}\n"


def refused(command, path, *words):
    server = command(text=CONF.format(path=path))
    result = server.command("-t")
    assert result.returncode == 1, result.stderr
    line = next(text for text in result.stderr.splitlines() if "cannot load" in text)
    assert str(path) in line and line.endswith(f"in {server.conf}:1"), line
    for word in words:
        assert word in line, line


def test_no_file(command, tmp_path):
    refused(command, tmp_path / "none.so", "open() failed (2: No such file or directory)")
    refused(command, tmp_path, "failed (21: Is a directory)")


def test_no_library(command, tmp_path):
    (tmp_path / "text.so").write_text("not a library\n" * 100)
    refused(command, tmp_path / "text.so", "invalid ELF header")
    (tmp_path / "empty.so").write_text("")
    refused(command, tmp_path / "empty.so", "file too short")


def test_no_module(command, built, tmp_path):
    refused(command, compile_text(built, tmp_path, "other", "int x;\n"), 'it has no symbol "weir_module_file", so it is no module')
    refused(command, compile_text(built, tmp_path, "bad", "int weir_module_file[8];\n"), "is not made by WR_MODULE_FILE")
    path = compile_text(built, tmp_path, "hole", "void wr_not_there(void);\nvoid (*const f)(void) = wr_not_there;\n")
    refused(command, path, "undefined symbol: wr_not_there")
    refused(command, compile_text(built, tmp_path, "mod_ngx", "int ngx_modules[8];\n"), "it is built for nginx")


def test_another_interface(command, built, tmp_path):
    text = "#define WR_INTERFACE \"9.9.9-0123456789abcdef\"\n" + HELLO % {"text": "x", "dir": "hello", "var": "hello"}
    refused(command, compile_text(built, tmp_path, "old", text), 'it was built for the interface "9.9.9-0123456789abcdef', "this is \"")


def test_clashes(command, built, tmp_path):
    refused(command, hello(built, tmp_path, "x", "m1", directive="return"), 'directive "return" of module')
    refused(command, hello(built, tmp_path, "x", "m2", var="host"), '"host" is defined by another module')
    first, second = hello(built, tmp_path, "1", "m3"), hello(built, tmp_path, "2", "m4")
    server = command(text=f"load_module {first};\nload_module {second};\nevents {{}}\n")
    result = server.command("-t")
    assert result.returncode == 1 and f"in {server.conf}:2" in result.stderr
    server.write_conf(f"load_module {first};\nload_module {first};\nevents {{}}\n")
    assert f'module "{first}" is already loaded in {server.conf}:2' in server.command("-t").stderr
    shutil.copy(first, tmp_path / "copy.so")
    server.write_conf(f"load_module {first};\nload_module {tmp_path}/copy.so;\nevents {{}}\n")
    assert server.command("-t").returncode == 1


def test_relative_path(command, built):
    server = command(text="load_module modules/variable.so;\nevents {}\n")
    os.mkdir(server.path("modules"))
    shutil.copy(module(built, "variable"), server.path("modules"))
    assert server.command("-t").returncode == 0


# ---- reload --------------------------------------------------------------------------------------------------------

def worker_of(server):
    return re.findall(r"start worker process (\d+)", server.log())[-1]


def served(server, text):
    """By the new worker: the first one's threads close their listeners after the new one is ready."""
    wait_for(lambda: {server.get("/").text for _ in range(5)} == {text}, f"{text} from the new worker only")


def test_reload_with_other_bytes(weir, built, tmp_path):
    """A second worker takes over; the stream of the first goes on; the variable is that of the new file."""
    path = hello(built, tmp_path, "one")
    server = weir('location / { hello; } location /v { return 200 "$hello"; }', main=f"load_module {path};")
    assert server.get("/").text == server.get("/v").text == "one"
    before = worker_of(server)
    assert server.command("-s", "reload").returncode == 0
    assert worker_of(server) == before  # nothing has changed
    kept = server.client()
    assert kept.get("/").text == "one"
    hello(built, tmp_path, "two")
    assert server.command("-s", "reload").returncode == 0
    server.wait_log(r'"load_module" has changed in .*: a second worker takes over')
    assert worker_of(server) != before
    served(server, "two")
    assert server.get("/v").text == "two"
    hello(built, tmp_path, "one")
    assert server.command("-s", "reload").returncode == 0
    served(server, "one")
    assert server.get("/v").text == "one"


def test_reload_with_another_list(weir, built, tmp_path):
    path = hello(built, tmp_path, "one")
    server = weir("location / { return 200 plain; }", allow=[r"\[emerg\] .*unknown"])
    before = worker_of(server)
    plain = server.read("nginx.conf")
    server.write_conf(f"load_module {path};\n" + plain.replace("return 200 plain", "hello"))
    assert server.command("-s", "reload").returncode == 0
    assert worker_of(server) != before
    served(server, "one")
    server.write_conf(plain.replace("return 200 plain", "hello"))
    result = server.command("-s", "reload")
    assert result.returncode == 1 and 'unknown directive "hello"' in result.stderr
    assert server.get("/").text == "one"
    server.write_conf(plain.replace("return 200 plain", "return 200 $hello"))
    result = server.command("-s", "reload")
    assert result.returncode == 1 and 'unknown "hello" variable' in result.stderr
    server.write_conf(plain)
    assert server.command("-s", "reload").returncode == 0
    served(server, "plain")


def test_reload_of_a_bad_file_changes_nothing(weir, built, tmp_path):
    path = hello(built, tmp_path, "one")
    server = weir("location / { hello; }", main=f"load_module {path};", allow=[r"\[emerg\] .*(cannot load|unknown directive)"])
    before = worker_of(server)
    (tmp_path / "bad").write_text("junk")
    os.rename(tmp_path / "bad", path)
    result = server.command("-s", "reload")
    assert result.returncode == 1 and f'cannot load "{path}": ' in result.stderr
    assert worker_of(server) == before and server.get("/").text == "one"
    os.remove(path)
    assert server.command("-s", "reload").returncode == 1
    assert server.get("/").text == "one"
    hello(built, tmp_path, "two")
    assert server.command("-s", "reload").returncode == 0
    served(server, "two")


def test_killed_worker_comes_back_without_the_file(weir, built, tmp_path):
    """From the bundle: the file has gone meanwhile."""
    path = hello(built, tmp_path, "one")
    server = weir("location / { hello; }", main=f"load_module {path};", allow=[r"\[alert\]"])
    assert server.get("/").text == "one"
    server.wait_log("configuration 1 is being served")
    os.remove(path)
    os.kill(int(worker_of(server)), 9)
    server.wait_log("start worker process", 2)
    assert server.get("/").text == "one"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_file_that_only_root_can_read(weir, built, tmp_path):
    path = hello(built, tmp_path, "one")
    os.chmod(path, 0o600)
    server = weir("location / { hello; }", main=f"user nobody nogroup; load_module {path};")
    assert server.get("/").text == "one"


def test_one_process(weir, built, tmp_path):
    """master_process off: no second worker; what is loaded stays, what is new takes a new start."""
    path = hello(built, tmp_path, "one")
    other = hello(built, tmp_path, "two", "more", directive="more", var="more")
    server = weir("location / { hello; }", main=f"master_process off; load_module {path};", allow=[r"\[emerg\]"])
    text = server.read("nginx.conf")
    assert server.get("/").text == "one"
    server.write_conf(text.replace("load_module", f"load_module {other}; load_module"))
    server.signal("HUP")
    server.wait_log('cannot load ".*more.so": with "master_process off" that takes a new start')
    assert server.get("/").text == "one"
    server.write_conf(text.replace(f"load_module {path};", "").replace("hello;", "return 200 plain;"))
    server.signal("HUP")
    server.wait_log("configuration 3 is being served|configuration 2 is being served")
    wait_for(lambda: server.get("/").text == "plain", "the new configuration")


def test_streams_go_on_when_a_module_changes(weir, origin, built, tmp_path):
    path = hello(built, tmp_path, "one")
    rest = []

    def slow(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na")
        wait_for(lambda: rest, "the test")
        conn.send(b"b")
    server = weir("location / { hello; } location /up { proxy_buffering off; proxy_pass http://{up}; }", main=f"load_module {path};",
                  up=origin(slow))
    client = server.client()
    client.send(build_request("GET", "/up"))
    assert client.read_response_head().status == 200
    hello(built, tmp_path, "two")
    assert server.command("-s", "reload").returncode == 0
    served(server, "two")
    rest.append(True)
    assert client.read_exact(2) == b"ab"
