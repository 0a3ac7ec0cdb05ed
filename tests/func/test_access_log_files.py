# SPDX-License-Identifier: Apache-2.0
"""access_log and its files: gzip, syslog, names with variables, reopening under load, full disks, slow readers."""
import gzip
import os
import re
import shutil
import socket
import subprocess
import threading

import pytest

from weirtest.client import Client
from weirtest.load import processes_of
from weirtest.server import BINARY
from weirtest.timing import LIMIT, wait_for

IS_ROOT = os.geteuid() == 0
OK = "location / { return 200 x; } location = /unlogged { access_log off; return 200 x; }"
URI = "log_format t $request_uri;"


def unzip(server, name):
    """Text of a file of gzip members; what is not whole yet does not count."""
    try:
        with gzip.open(server.path(name), "rb") as file:
            return file.read().decode()
    except (EOFError, FileNotFoundError):
        return ""


def open_files(server, part):
    """How many descriptors of the server's processes name a file with this part."""
    count = 0
    for pid in processes_of(server):
        for fd in os.listdir(f"/proc/{pid}/fd"):
            try:
                count += part in os.readlink(f"/proc/{pid}/fd/{fd}")
            except FileNotFoundError:
                pass
    return count


def talk(server, count, prefix="/", threads=1):
    """count requests by each of some clients at once, each with a name of its own; the names. All lines have been dealt with:
    each client has the answer to one more request, which OK does not log."""
    failures = []

    def run(no):
        try:
            with Client(("127.0.0.1", server.port)) as client:
                for i in range(count):
                    assert client.get(f"{prefix}{no}-{i}").status == 200
                assert client.get("/unlogged").status == 200
        except Exception as error:  # pylint: disable=broad-except
            failures.append(error)
    runs = [threading.Thread(target=run, args=(no,)) for no in range(threads)]
    for one in runs:
        one.start()
    for one in runs:
        one.join(6 * LIMIT)
    assert not failures and not any(one.is_alive() for one in runs), failures
    return [f"{prefix}{no}-{i}" for no in range(threads) for i in range(count)]


# parameters

@pytest.mark.parametrize("text,message", [
    ("access_log l combined buffer=0;", 'invalid buffer size "0"'),
    ("access_log l combined buffer;", 'invalid parameter "buffer"'),
    ("access_log l buffer=64k;", 'unknown log format "buffer=64k"'),
    ("access_log l combined buffer=64k flush=0;", 'invalid flush time "0"'),
    ("access_log l combined flush=;", 'invalid flush time ""'),
    ("access_log l combined gzip=0;", 'invalid compression level "0"'),
    ("access_log l combined gzip=10;", 'invalid compression level "10"'),
    ("access_log l combined gzip=x;", 'invalid compression level "x"'),
    ("access_log l combined gzip=;", 'invalid compression level ""'),
    ("access_log l combined gzipx;", 'invalid parameter "gzipx"'),
    ("access_log l combined if;", 'invalid parameter "if"'),
    ("access_log $host.l combined gzip;", "buffered logs cannot have variables in name"),
    ("access_log $host.l combined buffer=1k;", "buffered logs cannot have variables in name"),
    ("access_log $host.l combined flush=1m;", "no buffer is defined for access_log"),
    ("access_log l combined gzip=3; access_log l combined gzip=4;",
     'access_log "l" already defined with conflicting parameters'),
    ("access_log l combined buffer=64k; access_log l combined gzip;",
     'access_log "l" already defined with conflicting parameters'),
    ("access_log syslog:server=127.0.0.1 combined gzip;", "logs to syslog cannot be buffered"),
    ("access_log syslog:server=127.0.0.1 combined buffer=1k;", "logs to syslog cannot be buffered"),
    ("access_log syslog:foo;", 'unknown syslog parameter "foo"'),
    ("open_log_file_cache inactive=10s;", '"open_log_file_cache" must have "max" parameter'),
    ("open_log_file_cache max=0;", '"open_log_file_cache" must have "max" parameter'),
    ("open_log_file_cache max=x;", 'invalid "open_log_file_cache" parameter "max=x"'),
    ("open_log_file_cache max=10 inactive=x;", 'invalid "open_log_file_cache" parameter "inactive=x"'),
    ("open_log_file_cache max=10 min_uses=x;", 'invalid "open_log_file_cache" parameter "min_uses=x"'),
    ("open_log_file_cache max=10 valid=1ms;", 'invalid "open_log_file_cache" parameter "valid=1ms"'),
    ("open_log_file_cache max=10 foo;", 'invalid "open_log_file_cache" parameter "foo"'),
    ("open_log_file_cache max=10; open_log_file_cache max=10;", '"open_log_file_cache" directive is duplicate'),
    ("open_log_file_cache;", 'invalid number of arguments in "open_log_file_cache" directive'),
])
def test_errors(command, text, message):
    run = command(text + OK).command("-t")
    assert run.returncode == 1 and message in run.stderr


@pytest.mark.parametrize("text", [
    "access_log l combined gzip;", "access_log l combined gzip=9 buffer=32k flush=5m;", "access_log l combined if=1;",
    "access_log l combined buffer=1k; access_log l;", "access_log syslog:server=127.0.0.1 combined if=$host;",
    "open_log_file_cache off;", "open_log_file_cache max=10 inactive=0 min_uses=0 valid=0;"])
def test_accepted(command, text):
    run = command(text + OK).command("-t")
    assert run.returncode == 0, run.stderr


# gzip

def test_gzip_is_written_at_the_end(weir):
    server = weir("access_log {dir}/a.gz t gzip;" + OK, http=URI)
    names = talk(server, 10)
    assert server.read("a.gz") == ""
    server.stop()
    assert unzip(server, "a.gz").splitlines() == names


def test_gzip_flush_timer(weir):
    server = weir("access_log {dir}/a.gz t gzip=9 flush=100ms;" + OK, http=URI)
    server.get("/one")
    wait_for(lambda: unzip(server, "a.gz") == "/one\n", "the first member")
    server.get("/two")
    wait_for(lambda: unzip(server, "a.gz") == "/one\n/two\n", "the second member")


def test_gzip_members_of_several_threads_and_over_reopens(weir):
    server = weir("access_log {dir}/a.gz t gzip buffer=1k;" + OK, http=URI, workers=3)
    names = []
    for turn in range(3):
        names += talk(server, 50, f"/{'long' * 10}{turn}-", 6)
        os.rename(server.path("a.gz"), server.path(f"a{turn}.gz"))
        server.signal("USR1")
        wait_for(lambda: os.path.exists(server.path("a.gz")), "the new file")
    names += talk(server, 50, "/last-", 6)
    server.stop()
    text = "".join(unzip(server, name) for name in ("a0.gz", "a1.gz", "a2.gz", "a.gz"))
    assert sorted(text.splitlines()) == sorted(names)
    out = subprocess.run(["zcat", server.path("a0.gz")], capture_output=True, timeout=LIMIT, check=True).stdout
    assert out.decode() == unzip(server, "a0.gz")


# syslog

def test_syslog_over_udp_and_beside_a_file(weir):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(LIMIT)
        server = weir("access_log syslog:server=127.0.0.1:{log_port},facility=local3,severity=notice,tag=web t "
                      "if=$arg_log; access_log {dir}/a.log t;" + OK, http=URI, log_port=sock.getsockname()[1])
        server.get("/not")
        server.get("/1?log=1")
        line = sock.recv(4096).decode()
    assert re.fullmatch(r"<157>\w{3} [ \d]\d \d\d:\d\d:\d\d \S+ web: /1\?log=1", line), line
    assert sorted(server.access(2, "a.log")) == ["/1?log=1", "/not"]  # two connections, perhaps of two threads


def test_syslog_nobody_listens(weir):
    server = weir("access_log syslog:server=unix:{dir}/none t;" + OK, http=URI, allow=[r"\[alert\].*(none|connect\(\) failed)"])
    talk(server, 20)


# names with variables

def test_variables_many_files_in_order(weir):
    server = weir("root {dir}; access_log {dir}/logs/$arg_f.log t;" + OK, http=URI)
    with server.client() as client:
        for i in range(60):
            client.get(f"/{i}?f={i % 3}")
    for name in range(3):
        lines = server.access(20, f"logs/{name}.log")
        assert lines == [f"/{i}?f={name}" for i in range(60) if i % 3 == name]


def test_variables_name_that_begins_with_one_is_below_the_prefix(weir):
    server = weir("root {dir}; access_log $arg_f t;" + OK, http=URI, allow=[r"\[crit\].*open\(\)"])
    server.get("/1?f=logs/x.log")
    assert server.access(1, "logs/x.log") == ["/1?f=logs/x.log"]
    absolute = server.path("logs/y.log")
    server.get("/2?f=" + absolute)
    server.wait_log(r"\[crit\].*open\(\) \"" + re.escape(server.dir) + "/+" + re.escape(absolute[1:]) + r'" failed')
    assert not os.path.exists(absolute)


def test_variables_no_root_no_log(weir):
    server = weir("root {dir}/none; access_log {dir}/logs/$arg_f t;" + OK, http=URI)
    server.get("/?f=a")
    server.wait_log(r'\[error\].*testing ".*/none" existence failed \(2: No such file')
    assert os.listdir(server.path("logs")) == []


def test_variables_cannot_be_opened(weir):
    server = weir("root {dir}; access_log {dir}/logs/$arg_f t;" + OK, http=URI, allow=[r"\[crit\].*logs"])
    server.get("/?f=none/a")
    server.wait_log(r'\[crit\].*open\(\) ".*/logs/none/a" failed \(2: No such file')
    server.get("/?f=")
    server.wait_log(r'\[crit\].*open\(\) ".*/logs/" failed \(21: Is a directory')


@pytest.mark.weir_only("U14.8: a variable does not lead out of the folder that the configuration names")
@pytest.mark.parametrize("value", ["../up", "a/../../up", "..", "%2e%2e/up"])
def test_variables_do_not_lead_outside(weir, value):
    server = weir("location / { root {dir}; access_log {dir}/logs/sub$uri t; return 200 x; }"
                  "location /arg { root {dir}; access_log {dir}/logs/$arg_f t; return 200 x; }", http=URI,
                  allow=[r"\[crit\].*open"])
    os.mkdir(server.path("logs/a"))
    server.get("/arg?f=" + value)
    server.get("/x%00y")
    if "%" not in value:
        server.wait_log("leads outside of")
    server.stop()
    assert not os.path.exists(server.path("up"))


@pytest.mark.skipif(not IS_ROOT, reason="only root can start as another user")
def test_variables_are_opened_with_the_rights_of_the_user(weir):
    server = weir("root {dir}; access_log {dir}/$arg_d/x.log t;" + OK, http=URI, main="user nobody nogroup;",
                  allow=[r"\[crit\].*closed"], files={"open/.keep": b"", "closed/.keep": b""})
    os.chmod(server.path("open"), 0o777)
    server.get("/?d=open")
    server.get("/?d=closed")
    assert server.access(1, "open/x.log") == ["/?d=open"]
    assert os.stat(server.path("open/x.log")).st_uid == 65534
    server.wait_log(r"\[crit\].*closed/x\.log\" failed \(13: Permission denied")


def test_cache_keeps_files_open_and_looks_after_their_names(weir):
    server = weir("root {dir}; open_log_file_cache max=10 inactive=60s valid=1s; access_log {dir}/logs/$arg_f.log t;" + OK,
                  http=URI, allow=[r"\[crit\].*stat\(\)"])
    server.get("/1?f=a")
    server.access(1, "logs/a.log")
    assert open_files(server, "logs/a.log") == 1
    os.rename(server.path("logs/a.log"), server.path("logs/old.log"))

    def is_new():
        server.get("/more?f=a")
        return os.path.exists(server.path("logs/a.log"))
    wait_for(is_new, "the name to be looked at")


def test_cache_is_bounded(weir):
    server = weir("root {dir}; open_log_file_cache max=2 inactive=60s; access_log {dir}/logs/$arg_f.log t;" + OK, http=URI)
    for i in range(6):
        server.get(f"/?f=f{i}")
        server.access(1, f"logs/f{i}.log")
    wait_for(lambda: open_files(server, "logs/f") == 2, "two files to be open")


def test_cache_min_uses(weir):
    server = weir("root {dir}; open_log_file_cache max=5 inactive=60s min_uses=3; access_log {dir}/logs/$arg_f.log t;" + OK,
                  http=URI)
    for count, want in ((1, 0), (2, 0), (3, 1)):
        server.get("/?f=a")
        server.access(count, "logs/a.log")
        wait_for(lambda n=want: open_files(server, "logs/a") == n, f"{want} open after {count} uses")


def test_cache_off_closes_at_once(weir):
    server = weir("root {dir}; access_log {dir}/logs/$arg_f.log t;" + OK, http=URI)
    server.get("/?f=a")
    server.access(1, "logs/a.log")
    wait_for(lambda: open_files(server, "logs/a") == 0, "the file to be closed")


@pytest.mark.weir_only("nginx keeps idle files open until the next request")
def test_cache_lets_go_of_idle_files(weir):
    server = weir("root {dir}; open_log_file_cache max=5 inactive=1s; access_log {dir}/logs/$arg_f.log t;" + OK, http=URI)
    server.get("/?f=a")
    server.access(1, "logs/a.log")
    wait_for(lambda: open_files(server, "logs/a") == 0, "the file to be closed")


@pytest.mark.weir_only("nginx keeps files of open_log_file_cache open over USR1, until `valid`")
def test_cache_lets_go_at_reopen(weir):
    server = weir("root {dir}; open_log_file_cache max=5 inactive=60s; access_log {dir}/logs/$arg_f.log t;" + OK, http=URI)
    server.get("/1?f=a")
    server.access(1, "logs/a.log")
    assert open_files(server, "logs/a") == 1
    os.rename(server.path("logs/a.log"), server.path("logs/old.log"))
    server.signal("USR1")
    wait_for(lambda: open_files(server, "logs/old.log") == 0, "the old file to be closed")
    server.get("/2?f=a")
    assert server.access(1, "logs/a.log") == ["/2?f=a"]


# USR1

def test_reopen_while_threads_write(weir):
    """20 reopens under traffic: each line is in one file, whole."""
    server = weir("access_log {dir}/a.log t; access_log {dir}/b.log t buffer=4k flush=50ms;" + OK, http=URI, workers=3)
    names, stop = [], threading.Event()
    lock = threading.Lock()

    def run(no):
        for turn in range(1000):
            with Client(("127.0.0.1", server.port)) as client:
                for i in range(100):
                    if stop.is_set():
                        return
                    target = f"/{no}-{turn}-{i}-{'y' * i}"
                    client.get(target)
                    with lock:
                        names.append(target)
    runs = [threading.Thread(target=run, args=(no,)) for no in range(6)]
    for one in runs:
        one.start()
    for turn in range(20):
        seen = len(names)
        wait_for(lambda n=seen: len(names) > n + 20, "traffic")
        for name in ("a", "b"):
            os.rename(server.path(f"{name}.log"), server.path(f"{name}.{turn}"))
        server.signal("USR1")
        wait_for(lambda: all(os.path.exists(server.path(f"{n}.log")) for n in "ab"), "the new files")
    stop.set()
    for one in runs:
        one.join(LIMIT)
    server.stop()
    for name in ("a", "b"):
        text = "".join(server.read(f"{name}.{turn}") for turn in range(20)) + server.read(f"{name}.log")
        assert sorted(text.splitlines()) == sorted(names)


def test_reopen_buffered_lines_go_to_the_file_of_before(weir):
    server = weir("access_log {dir}/a.log t buffer=64k;" + OK, http=URI)
    names = talk(server, 5, "/before")
    os.rename(server.path("a.log"), server.path("old.log"))
    server.signal("USR1")
    assert server.access(5, "old.log") == names
    wait_for(lambda: os.path.exists(server.path("a.log")), "the new file")
    wait_for(lambda: open_files(server, "old.log") == 0, "the old file to be closed")
    server.get("/after")
    server.stop()
    assert server.read("a.log") == "/after\n"


def test_reopen_leaves_a_file_that_is_there_already(weir):
    server = weir("access_log {dir}/a.log t;" + OK, http=URI)
    os.rename(server.path("a.log"), server.path("old.log"))
    server.write("a.log", b"first\n", 0o640)
    server.signal("USR1")
    wait_for(lambda: open_files(server, "old.log") == 0, "the old file to be closed")
    server.get("/after")
    assert server.access(2, "a.log") == ["first", "/after"]
    assert os.stat(server.path("a.log")).st_mode & 0o777 == 0o640


@pytest.mark.weir_only("a new log keeps owner and mode; nginx gives it to the worker's user, mode 0644")
def test_reopen_keeps_owner_and_mode(weir):
    server = weir("access_log {dir}/a.log t;" + OK, http=URI)
    os.chmod(server.path("a.log"), 0o660)
    if IS_ROOT:
        os.chown(server.path("a.log"), 5, 4)
    before = os.stat(server.path("a.log"))
    os.rename(server.path("a.log"), server.path("old.log"))
    server.signal("USR1")
    wait_for(lambda: os.path.exists(server.path("a.log")), "the new file")

    def is_alike():
        after = os.stat(server.path("a.log"))
        return (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)
    wait_for(is_alike, "its owner and its mode")


# a full disk

@pytest.fixture
def small_disk(tmp_path):
    """A folder with room for 64 KB."""
    path = str(tmp_path)
    made = IS_ROOT and shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k,mode=0777", "weirtest", path], capture_output=True, check=False)
    if not made or made.returncode != 0:
        pytest.skip("no small file system can be mounted here")
    yield path
    subprocess.run(["umount", "-l", path], check=False)


def fill(path):
    """Takes all the room there is."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        while os.write(fd, b"x" * 4096):
            pass
    except OSError:
        os.close(fd)


FULL = [r"\[alert\].*(lost|failed \(28)"]


@pytest.mark.weir_only("lines that are lost are counted; half a line is never joined to another")
def test_full_disk_plain(weir, small_disk):
    server = weir("access_log {disk}/a.log t; access_log {disk}/b.log t buffer=8k;" + OK, http=URI, allow=FULL,
                  disk=small_disk)
    filler = os.path.join(small_disk, "filler")
    names = talk(server, 120, "/" + "z" * 200 + "-", 3)
    fill(filler)
    names += talk(server, 200, "/" + "q" * 200 + "-", 3)
    assert len(server.wait_log(r"\d+ lines lost: write\(\) to \".*/a\.log\" failed \(28: No space left on device\)")) == 1
    os.unlink(filler)
    os.truncate(os.path.join(small_disk, "b.log"), 0)
    later = talk(server, 30, "/later-")
    server.stop()
    with open(os.path.join(small_disk, "a.log"), encoding="ascii") as file:
        lines = file.read().split("\n")
    assert lines[-31:] == later + [""]
    halves = len([line for line in lines[:-31] if line not in names])
    assert halves <= 1
    lost = sum(int(n) for n in re.findall(r"(\d+) lines (?:lost: .*a\.log|of \".*a\.log\" were)", server.log()))
    missing = len(names) - len([line for line in lines if line in names])
    # All of the half line but its end may have found room.
    assert lost == missing or (halves == 0 and lost == missing + 1)


@pytest.mark.weir_only("half a gzip member is taken back; nginx leaves it, and zcat stops there")
def test_full_disk_gzip(weir, small_disk):
    server = weir("access_log {disk}/a.gz t gzip=1 buffer=16k;" + OK, http=URI, allow=FULL, disk=small_disk, workers=2)
    filler = os.path.join(small_disk, "filler")
    first = talk(server, 200, "/" + os.urandom(100).hex() + "-first-")
    fill(filler)
    # Members that do not fit into the page that a.gz has already.
    talk(server, 300, "/" + os.urandom(100).hex(), 4)
    server.wait_log(r"\d+ lines lost: write\(\) to \".*/a\.gz\" failed \(28")
    os.unlink(filler)
    later = talk(server, 300, "/later-")
    server.stop()
    with gzip.open(os.path.join(small_disk, "a.gz"), "rb") as file:
        lines = file.read().decode().splitlines()
    assert set(first[:1]) <= set(lines) and set(later[-1:]) <= set(lines)


def test_full_disk_stalls_nobody(weir):
    server = weir("access_log /dev/full t; root {dir}; access_log /dev/fu$arg_l t;" + OK, http=URI, allow=FULL)
    talk(server, 50, "/?l=ll&", 3)
    server.wait_log(r"write\(\) to \"/dev/full\" failed \(28")


# slow readers

@pytest.mark.weir_only("nginx waits at start until the FIFO has a reader, and stops serving when it is full")
def test_fifo_without_a_reader(weir, tmp_path):
    fifo = str(tmp_path / "fifo")
    os.mkfifo(fifo)
    server = weir("access_log {fifo} t;" + OK, http=URI, fifo=fifo, allow=[r"\[alert\].*lost"])
    names = talk(server, 900, "/" + "f" * 300 + "-", 3)  # more than the 64 KB of a FIFO
    fd = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    got = b""
    try:
        def read():
            nonlocal got
            try:
                got += os.read(fd, 65536)
            except BlockingIOError:
                pass
            return got.count(b"\n") == len(names)
        wait_for(read, "all lines")  # what did not fit was kept
    finally:
        os.close(fd)
    assert sorted(got.decode().splitlines()) == sorted(names)


@pytest.mark.weir_only("nginx waits for the reader")
def test_fifo_lines_over_the_bound_are_lost_and_counted(weir, tmp_path):
    fifo = str(tmp_path / "fifo")
    os.mkfifo(fifo)
    server = weir("large_client_header_buffers 4 32k; access_log {fifo} t;" + OK, http=URI, fifo=fifo, workers=1,
                  allow=[r"\[alert\].*lost"])
    talk(server, 100, "/" + "f" * 20000)
    server.wait_log(r"lines lost: write\(\) to \".*/fifo\" failed \(11: Resource temporarily unavailable\)")
    server.stop()


@pytest.mark.weir_only("nginx waits for the reader")
def test_stdout_that_nobody_reads(command):
    server = command("access_log /dev/stdout t;" + OK, http=URI)
    with subprocess.Popen([BINARY, "-p", server.dir, "-c", server.conf, "-e", server.log_path],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            server.process = process
            wait_for(lambda: server._reachable(("127.0.0.1", server.port)), "the server")
            names = talk(server, 500, "/" + "s" * 300 + "-")
            text = b""
            while text.count(b"\n") < len(names):
                text += os.read(process.stdout.fileno(), 65536)
            assert text.decode().splitlines() == names
        finally:
            process.terminate()
            process.wait(LIMIT)


def test_several_lines_of_a_turn_leave_in_one_write(weir):
    """Pipelined requests: all lines are there, in their order."""
    server = weir("access_log {dir}/a.log t; access_log {dir}/b.log t;" + OK, http=URI)
    client = server.client()
    client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % i for i in range(20)))
    for _ in range(20):
        assert client.read_response().text == "x"
    for name in ("a.log", "b.log"):
        assert server.access(20, name) == [f"/{i}" for i in range(20)]


