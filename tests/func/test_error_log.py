# SPDX-License-Identifier: Apache-2.0
"""error_log: syslog:, memory:, levels and inheritance, debug_connection, the flood limit, logs that take nothing, USR1."""
import os
import re
import socket
import stat
import subprocess
import threading
import time

import pytest

from weirtest.client import Client, build_request
from weirtest.server import BINARY, IS_NGINX
from weirtest.timing import LIMIT, wait_for

NAME = "nginx" if IS_NGINX else "weir"
WHEN = r"[A-Z][a-z]{2} [ 1-3]\d \d\d:\d\d:\d\d"
MISSING = "location / { root {dir}/none; }"


class Syslog:
    """A server of datagrams: UDP, or a unix socket when a path is given."""

    def __init__(self, path=None, family=socket.AF_INET):
        self.path = path
        self.sock = socket.socket(socket.AF_UNIX if path else family, socket.SOCK_DGRAM)
        self.sock.bind(path or ("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        if path:
            os.chmod(path, 0o666)
        self.sock.settimeout(LIMIT)

    @property
    def port(self):
        return self.sock.getsockname()[1]

    def line(self, pattern):
        """Reads until a datagram matches; returns it."""
        while True:
            text = self.sock.recv(70000).decode("latin-1")
            if re.search(pattern, text):
                return text

    def close(self):
        self.sock.close()
        if self.path:
            os.unlink(self.path)


@pytest.fixture
def syslog():
    made = []

    def make(*args, **more):
        made.append(Syslog(*args, **more))
        return made[-1]
    yield make
    for one in made:
        one.sock.close()


def get_all(server, targets, port="port"):
    """On one connection, so one thread, a hundred at a time; the statuses."""
    statuses = []
    with server.client(port) as client:
        for i in range(0, len(targets), 100):
            piece = targets[i:i + 100]
            client.send(b"".join(build_request("GET", target) for target in piece))
            statuses += [client.read_response("GET").status for _ in piece]
    return statuses


# syslog:

def test_syslog_to_the_byte(weir, syslog):
    log = syslog()
    server = weir("location / { root {dir}/none; error_log syslog:server=127.0.0.1:{to},facility=local3,tag=Tag_1; }",
                  to=log.port)
    assert server.get("/x").status == 404
    line = log.line("none/x")
    # The severity is that of the line: error is 3, local3 is 19.
    assert re.fullmatch(
        rf"<155>{WHEN} {re.escape(socket.gethostname())} Tag_1: \d{{4}}/\d\d/\d\d \d\d:\d\d:\d\d \[error\] \d+#\d+: \*\d+ "
        r'open\(\) "/.*/none/x" failed \(2: No such file or directory\), client: 127\.0\.0\.1, server: , '
        r'request: "GET /x HTTP/1\.1", host: "localhost"', line), line
    assert "none/x" not in server.log()


def test_syslog_defaults_and_nohostname(weir, syslog):
    log = syslog()
    server = weir("location / { root {dir}/none; error_log syslog:server=127.0.0.1:{to},nohostname; }", to=log.port)
    server.get("/x")
    assert re.match(rf"<187>{WHEN} {NAME}: \d{{4}}/", log.line("none/x"))


def test_syslog_severity_is_ignored_and_levels_hold(weir, syslog):
    log = syslog()
    server = weir("""location / { root {dir}/none; error_log syslog:server=127.0.0.1:{to},severity=debug,tag=; }
        location /crit { root {dir}/none; error_log syslog:server=127.0.0.1:{to} crit; }""", to=log.port)
    assert get_all(server, ["/crit/a", "/b"]) == [404, 404]
    line = log.line(r"\[error\]")
    assert "none/b" in line and line.startswith("<187>") and " : " in line[:60]


def test_syslog_families(weir, syslog, tmp_path):
    os.chmod(tmp_path, 0o755)
    logs = [syslog(), syslog(str(tmp_path / "sock"))]
    names = [f"127.0.0.1:{logs[0].port}", f"unix:{tmp_path}/sock"]
    try:
        logs.append(syslog(family=socket.AF_INET6))
        names.append(f"[::1]:{logs[2].port}")
    except OSError:
        pass  # a machine without IPv6
    server = weir("location / { root {dir}/none;" +
                  "".join(f"error_log syslog:server={name},tag=n{i};" for i, name in enumerate(names)) + "}")
    server.get("/x")
    for i, log in enumerate(logs):
        assert f" n{i}: " in log.line("none/x")


def test_syslog_name(weir):
    """A name is resolved when the configuration is read (nobody listens there; nothing waits for that)."""
    server = weir("location / { root {dir}/none; error_log syslog:server=localhost:9; }")
    assert get_all(server, ["/x"] * 20) == [404] * 20
    assert server.command("-t").returncode == 0


def test_syslog_main_level(weir, syslog):
    log = syslog()
    server = weir(MISSING, main="error_log syslog:server=127.0.0.1:{to},tag=m notice;", to=log.port)
    server.get("/x")
    log.line(r"<187>.* m: .*none/x")
    assert server.wait_log("none/x")


@pytest.mark.weir_only("nginx keeps a socket that has lost its server; lost lines are told nowhere")
def test_syslog_server_goes_and_comes(weir, syslog, tmp_path):
    os.chmod(tmp_path, 0o755)
    path = str(tmp_path / "sock")
    log = syslog(path)
    server = weir("location / { root {dir}/none; error_log syslog:server=unix:{to}; }", to=path)
    server.get("/a")
    log.line("none/a")
    log.close()
    assert get_all(server, ["/b"] * 5) == [404] * 5
    log = syslog(path)
    server.get("/c")
    log.line("none/c")
    assert log.line("lost").endswith(": 5 lines were lost here")


def test_syslog_over_reloads(weir, syslog):
    """Requests and the process itself log where the configuration of now says."""
    logs = [syslog(), syslog()]
    server = weir(MISSING, main="error_log syslog:server=127.0.0.1:{to},tag=a notice;", to=logs[0].port)
    server.get("/a")
    logs[0].line("a: .*none/a")
    for i in range(1, 6):
        server.names["to"] = logs[i % 2].port
        server.write_conf(server.compose(MISSING, main="error_log syslog:server=127.0.0.1:{to},tag=r%d notice;" % i))
        server.signal("HUP")

        def moved(to=logs[i % 2], tag=f" r{i}: "):
            server.get("/r")
            to.sock.settimeout(0.05)
            try:
                return tag in to.line("none/r")
            except TimeoutError:
                return False
            finally:
                to.sock.settimeout(LIMIT)
        wait_for(moved, "a line with the tag of the new configuration")


@pytest.mark.parametrize("text, words", [
    ("syslog:", 'unknown syslog parameter ""'),
    ("syslog:x=1", 'unknown syslog parameter "x=1"'),
    ("syslog:facility=local1", "no syslog server specified"),
    ("syslog:server=", 'no host in syslog server ""'),
    ("syslog:server=127.0.0.1:x", 'invalid port in syslog server "127.0.0.1:x"'),
    ("syslog:server=127.0.0.1/x", 'invalid host in syslog server "127.0.0.1/x"'),
    ("syslog:server=unix:", 'no path in the unix domain socket in syslog server "unix:"'),
    ("syslog:server=no.such.invalid", 'host not found in syslog server "no.such.invalid"'),
    ("syslog:server=127.0.0.1,server=127.0.0.1", 'duplicate syslog "server"'),
    ("syslog:server=127.0.0.1,facility=x", 'unknown syslog facility "x"'),
    ("syslog:server=127.0.0.1,facility=x,facility=y", 'unknown syslog facility "x"'),
    ("syslog:server=127.0.0.1,facility=mail,facility=y", 'duplicate syslog "facility"'),
    ("syslog:server=127.0.0.1,severity=err", 'unknown syslog severity "err"'),
    ("syslog:server=127.0.0.1,tag=a.b", 'syslog "tag" only allows alphanumeric characters and underscore'),
    ("syslog:server=127.0.0.1,tag=" + "a" * 33, "syslog tag length exceeds 32"),
    ("syslog:server=127.0.0.1 foo", 'invalid log level "foo"'),
    ("memory:", 'invalid buffer size ""'),
    ("memory:x debug", 'invalid buffer size "x"'),
    ("memory:1k debug", 'invalid buffer size "1k"'),
])
def test_words(command, text, words):
    server = command(text="events {}\nerror_log %s;\n" % text)
    done = server.command("-t", "-e", "stderr")
    assert done.returncode == 1
    assert f"{words} in {server.conf}:2" in done.stderr


# levels, inheritance

def test_inner_level_replaces_all(weir):
    server = weir("""error_log {dir}/srv1.log; error_log {dir}/srv2.log;
        location / { root {dir}/none; }
        location /in { root {dir}/none; error_log {dir}/in.log; location /in/deep { root {dir}/none; } }""",
                  http="error_log {dir}/http.log;")
    assert get_all(server, ["/a", "/in/b", "/in/deep/c"]) == [404] * 3
    wait_for(lambda: "deep/c" in server.read("in.log"), "the last line")
    assert "none/a" in server.read("srv1.log") and "none/a" in server.read("srv2.log")
    assert "in/b" in server.read("in.log") and server.read("in.log").count("\n") == 2
    assert server.read("srv1.log").count("\n") == 1 and server.read("http.log") == "" and "none/" not in server.log()


# memory:

def find_ring(server):
    """The text of the ring in the memory of a process of the server: what a core dump would have."""
    children = [int(pid) for pid in
                open(f"/proc/{server.process.pid}/task/{server.process.pid}/children", encoding="ascii").read().split()]
    for pid in children:
        with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb") as mem:
            for line in maps:
                span, rights = line.split()[:2]
                begin, end = (int(text, 16) for text in span.split("-"))
                if not rights.startswith("rw") or end - begin > 1 << 28 or "[v" in line:
                    continue
                try:
                    mem.seek(begin)
                    data = mem.read(end - begin)
                except OSError:
                    continue
                at = data.find(b"weir: error_log memory:\n\0")
                if at >= 0:
                    return data[at:at + 65536].replace(b"\0", b"").decode("latin-1")
    return ""


@pytest.mark.skipif(os.geteuid() != 0, reason="reads the memory of another process")
@pytest.mark.weir_only("ours to find; nginx's wants a debugger")
def test_memory(weir):
    server = weir("location / { root {dir}/none; error_log memory:64k debug; }")
    assert server.get("/x").status == 404
    text = find_ring(server)
    assert re.search(r'\[error\] \d+#\d+: \*\d+ open\(\) "/.*/none/x" failed', text)
    assert re.search(r'\[debug\] \d+#\d+: \*\d+ req \d+: "/x" is of location "/"\n', text)
    assert "none/x" not in server.log()


# debug_connection

def get_from(server, source, target):
    sock = socket.socket()
    sock.settimeout(LIMIT)
    sock.bind((source, 0))
    sock.connect(("127.0.0.1", server.port))
    with sock:
        sock.sendall(build_request("GET", target, {"Connection": "close"}))
        data = b""
        while True:
            got = sock.recv(65536)
            if not got:
                return data
            data += got


@pytest.mark.weir_only("Debian's nginx has no debug log")
def test_debug_connection(weir, origin):
    server = weir("""location / { return 200 x; error_log {dir}/loc.log crit; }
        location /p { proxy_pass http://{up}; error_log {dir}/p.log crit; } location /miss { root {dir}/none; }""",
                  events="debug_connection 127.0.0.2; debug_connection 127.0.1.0/24;", up=origin())
    assert b" 200 " in get_from(server, "127.0.0.1", "/quiet")
    assert b" 200 " in get_from(server, "127.0.0.2", "/loud")
    assert b" 200 " in get_from(server, "127.0.1.77", "/p/loud")
    assert b" 404 " in get_from(server, "127.0.0.1", "/miss")
    server.wait_log(r"\[debug\] .*close: ", 2)
    number = re.search(r'\[debug\] \d+#\d+: \*(\d+) accept: 127\.0\.0\.2:\d+ at 127\.0\.0\.1:\d+ fd:\d+', server.log())[1]
    loc = wait_for(lambda: "ends, " in server.read("loc.log") and server.read("loc.log"), "the request's end")
    assert re.search(rf'\*{number} req \d+: "/loud" is of location "/"\n', loc)
    assert re.search(rf'\*{number} req \d+: response 200 begins\n', loc)
    assert re.search(rf'\*{number} req \d+: ends, status 200, \d+ bytes sent\n', loc)
    assert "client:" not in loc and "quiet" not in loc
    peer = server.read("p.log")
    for words in (r"peer 127\.0\.0\.1:\d+, try 1", r"connected after \d+ ms", "the peer answers 200", "the attempt ends: done"):
        assert re.search(rf"\[debug\] .* req \d+: {words}\n", peer), peer
    assert f'*{number} req' in server.log() and '"GET /loud HTTP/1.1"' in server.log()
    assert "accept: 127.0.0.1:" not in server.log() and '"GET /quiet' not in server.log()
    assert "none/miss" in server.log()  # the others' lines are as before


@pytest.mark.weir_only("Debian's nginx has no debug log")
def test_debug_connection_unix_and_names(weir):
    server = weir(http="server { listen unix:{dir}/s; return 200 x; }\nserver { listen 127.0.0.1:{port}; return 200 x; }",
                  events="debug_connection unix:; debug_connection localhost;")
    with Client(server.path("s")) as client:
        assert client.get("/u").status == 200
    server.wait_log(r"accept: unix: at unix:.*/s fd:")
    server.wait_log(r'req \d+: "GET /u HTTP/1.1"')
    assert server.get("/n").status == 200
    server.wait_log(r'req \d+: "GET /n HTTP/1.1"')


@pytest.mark.weir_only("Debian's nginx has no debug log")
def test_debug_connection_words(command):
    server = command(text="events {\ndebug_connection 1.2.3.4/40;\n}\n")
    done = server.command("-t", "-e", "stderr")
    assert done.returncode == 1
    assert f'[emerg] invalid address or CIDR "1.2.3.4/40" in {server.conf}:2' in done.stderr
    server.write_conf("pid {dir}/p; events {\ndebug_connection 10.1.2.3/8;\n}\n")
    done = server.command("-t", "-e", "stderr")
    assert done.returncode == 0
    assert f'[warn] low address bits of "10.1.2.3/8" are meaningless in {server.conf}:2' in done.stderr


@pytest.mark.weir_only("Debian's nginx has no debug log")
def test_debug_level(weir):
    server = weir("location / { return 200 x; } location /d { return 200 x; error_log {dir}/d.log debug; }")
    assert get_all(server, ["/a", "/d/b"]) == [200, 200]
    wait_for(lambda: "ends, " in server.read("d.log"), "the request's end")
    assert '"/d/b" is of location "/d"' in server.read("d.log") and "/a" not in server.read("d.log")
    assert "[debug]" not in server.log()


# floods

@pytest.mark.weir_only("nginx writes them all")
def test_flood(weir):
    """Of one message a thread writes 100 lines a second; what was left out is told, so none is unaccounted for."""
    server = weir(MISSING, workers=1)
    sent = 600
    assert get_all(server, ["/x"] * sent) == [404] * sent

    def accounted():
        nonlocal sent
        count = 1 if "more of" in server.log() else 200  # a slow machine may not be asked a hundred times in a second at first
        assert get_all(server, ["/x"] * count) == [404] * count
        sent += count
        until = time.monotonic() + 1             # the next one would be a line that is not there yet
        while True:
            log = server.log()
            written = log.count("none/x\" failed (2")
            more = sum(int(n) for n in re.findall(r'\.\.\. (\d+) more of "', log))
            assert written + more <= sent
            if more and written + more == sent:
                return written
            if time.monotonic() > until:
                return None
            time.sleep(0.02)
    written = wait_for(accounted, "the lines and the number of the others")
    assert written < sent


# logs that take nothing

@pytest.mark.weir_only("nginx waits for a reader, then for room")
def test_fifo_without_reader(weir, command):
    path = command().path("x")
    os.mkfifo(path)
    os.chmod(path, 0o666)
    server = weir("location / { return 200 x; error_log {to} debug; }", to=path, workers=1)
    cnt = 700  # three lines each, none limited: more than a pipe holds
    assert get_all(server, ["/a"] * cnt) == [200] * cnt
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    text = ""

    def read(pattern):
        nonlocal text
        while True:
            try:
                text += os.read(fd, 65536).decode()
            except BlockingIOError:
                return re.search(pattern, text)
    wait_for(lambda: read("ends, status 200"), "what the pipe held")
    assert text.endswith("\n")
    assert server.get("/b").status == 200
    lost = wait_for(lambda: read(r": (\d+) lines were lost here \(11: "), "the number of those that were lost")
    last = re.search(r'(req \d+:) "/b" is of location', text)[1]
    wait_for(lambda: read(last + " ends, status"), "the lines of the last request")
    assert text.count("lost here") == 1
    first = [line for line in text.splitlines() if last not in line and "lost here" not in line]
    assert len(first) + int(lost[1]) == cnt * 3
    os.close(fd)


@pytest.mark.weir_only("nginx waits for the reader")
@pytest.mark.parametrize("target", ["stderr", "/dev/stderr"])
def test_stderr_that_nobody_reads(command, target):
    server = command("location / { return 200 x; error_log %s debug; }" % target)
    with subprocess.Popen([BINARY, "-p", server.dir, "-c", server.conf, "-e", server.log_path], stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            server.process = process
            wait_for(lambda: server._reachable(("127.0.0.1", server.port)), "the server")
            cnt = 700  # three lines each, none limited: more than a pipe holds
            assert get_all(server, ["/a"] * cnt) == [200] * cnt
            text = b""
            while not re.search(rb": \d+ lines? (was|were) lost here \(11: Resource temporarily unavailable\)", text):
                text += os.read(process.stderr.fileno(), 65536)
                assert server.get("/b").status == 200
            assert text.count(b"\n") > 100
        finally:
            process.terminate()
            while os.read(process.stderr.fileno(), 65536):
                pass
            process.wait(LIMIT)


def test_full_disk(weir):
    server = weir("location / { root {dir}/none; error_log /dev/full; } location /ok { return 200 x; }")
    assert get_all(server, ["/x", "/ok"] * 50) == [404, 200] * 50


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 KB."""
    os.chmod(tmp_path, 0o755)
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=0777", "none", tmp_path],
                                           check=False, capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount")
    yield str(tmp_path)
    subprocess.run(["umount", "-l", tmp_path], check=True)


@pytest.mark.weir_only("Debian's nginx has no debug log, and does not tell what is lost")
def test_full_disk_has_room_again(weir, small_disk):
    server = weir("location / { return 200 x; error_log {to}/e.log debug; }", to=small_disk, workers=1)
    assert get_all(server, ["/a"]) == [200]
    fill = os.path.join(small_disk, "fill")
    with open(fill, "wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            pass  # the disk is full
    assert get_all(server, ["/b"] * 100) == [200] * 100
    os.unlink(fill)
    assert get_all(server, ["/c"]) == [200]
    text = wait_for(lambda: "lost here" in server.read(small_disk + "/e.log") and server.read(small_disk + "/e.log"), "the number")
    assert "/c" in text  # they are told of behind the first line that finds room
    assert len(re.findall(r"\[alert\] \d+#\d+: \d+ lines were lost here \(28: No space left on device\)\n", text)) == 1
    assert [line for line in text.splitlines() if line.count("[debug]") > 1] == []  # none begins within another


# USR1

@pytest.mark.weir_only("nginx gives the file to the worker's user, with mode 0644")
def test_usr1_keeps_owner_and_mode(weir):
    server = weir("location / { root {dir}/none; error_log {dir}/x.log; }")
    path = server.path("x.log")
    os.chmod(path, 0o640)
    if os.geteuid() == 0:
        os.chown(path, 4711, 4712)
    before = os.stat(path)
    os.rename(path, path + ".1")
    server.signal("USR1")
    wait_for(lambda: os.path.exists(path), "a new file")

    def likeness(st):
        return st.st_uid, st.st_gid, st.st_mode
    # It is made, then it gets the owner, then the mode: three steps, which can be seen one by one.
    wait_for(lambda: likeness(os.stat(path)) == likeness(before), f"owner and mode {likeness(before)}")
    assert os.stat(path).st_ino != before.st_ino

    def moved():
        server.get("/y")
        return "none/y" in server.read("x.log")
    wait_for(moved, "a line in the new file")
    # One that somebody made meanwhile is left as it is.
    os.rename(path, path + ".2")
    server.write("x.log", mode=0o604)
    server.signal("USR1")
    wait_for(lambda: server.get("/z") and "none/z" in server.read("x.log"), "a line in the file that was made")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o604


@pytest.mark.weir_only("Debian's nginx has no debug log")
def test_usr1_under_traffic(weir):
    """Threads write while files are moved away: each line is in one of them, whole."""
    server = weir("location / { return 200 x; error_log {dir}/t.log debug; } keepalive_requests 1000000;", workers=3)
    go_on, done = threading.Event(), []

    def run(no):
        cnt = 0
        with server.client() as client:
            while not go_on.is_set():
                assert client.get(f"/{no}").status == 200
                cnt += 1
        done.append(cnt)
    threads = [threading.Thread(target=run, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    names = []
    for i in range(10):
        name = f"t.{i}"
        wait_for(lambda: server.read("t.log").count("\n") > 20, "lines in the new file")
        os.rename(server.path("t.log"), server.path(name))
        names.append(name)
        server.signal("USR1")
        wait_for(lambda: os.path.exists(server.path("t.log")), "a new file")
    go_on.set()
    for thread in threads:
        thread.join(6 * LIMIT)
    assert len(done) == 4
    count = sum(done)

    def lines():
        found = "".join(server.read(name) for name in names + ["t.log"]).splitlines()
        return found if sum("ends, status 200" in line for line in found) >= count else None
    found = wait_for(lines, f"{count} ends")
    line = re.compile(r'\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[debug\] \d+#\d+: \*\d+ '
                      r'(req \d+: ("/\d" is of location "/"|response 200 begins|ends, status 200, \d+ bytes sent)|close: .*|accept: .*)')
    assert [one for one in found if not line.fullmatch(one)] == []
    assert len([one for one in found if " req " in one]) == 3 * count
