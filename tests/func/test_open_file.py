# SPDX-License-Identifier: Apache-2.0
"""How files are opened and read: open_file_cache, aio threads and thread_pool, disable_symlinks, directio, output_buffers,
read_ahead, sendfile_max_chunk; files that change or shrink meanwhile; a disk that is slow."""
import fcntl
import os
import re
import signal
import subprocess
import threading
import time

import pytest

from weirtest.load import is_sanitized, need_tool, skip_loudly
from weirtest.server import IS_NGINX
from weirtest.timing import SLOW, wait_for
from weirtest.tls import client_context

DATA = bytes(i % 253 for i in range(700001))
WAYS = {"plain": "sendfile on;", "nosendfile": "sendfile off;", "buffers": "sendfile off; output_buffers 1 4k;", "pool": "sendfile on; aio threads;",
        "named": "sendfile off; aio threads=one;", "direct": "directio 512;", "directpool": "directio 512; aio threads; output_buffers 2 16k;",
        "align": "directio 4k; directio_alignment 4k;", "ahead": "read_ahead 1k;", "chunk": "sendfile on; sendfile_max_chunk 16k;",
        "chunk0": "sendfile on; sendfile_max_chunk 0;", "cache": "open_file_cache max=100 inactive=20s; sendfile on;",
        "cachepool": "open_file_cache max=100; aio threads;"}


@pytest.fixture(scope="module")
def ways(weir_shared):
    text = "".join(f"location /{name}/ {{ alias {{dir}}/w/; {lines} }}" for name, lines in WAYS.items())
    return weir_shared.server(text, main="thread_pool one threads=2 max_queue=100;",
                                files={"w/big": DATA, "w/small": b"small", "w/empty": b"", "w/page": DATA[:4096], "w/index.html": b"index", "w/d/x": b"x"})


@pytest.mark.parametrize("way", sorted(WAYS))
def test_every_way_gives_the_same(ways, way):
    client = ways.client()
    for _ in range(2):
        for name, data in (("big", DATA), ("small", b"small"), ("empty", b""), ("page", DATA[:4096]), ("", b"index")):
            resp = client.get(f"/{way}/{name}")
            assert (resp.status, resp.body) == (200, data), name
        for first, last in ((0, 0), (511, 513), (4095, 700000), (65535, 65536), (699999, 700000), (1, 500000)):
            resp = client.get(f"/{way}/big", {"Range": f"bytes={first}-{last}"})
            assert (resp.status, resp.body) == (206, DATA[first:last + 1])
        assert client.request("HEAD", f"/{way}/big").headers["Content-Length"] == str(len(DATA))
        assert client.get(f"/{way}/none").status == 404 and client.get(f"/{way}/big/x").status == 404
        assert client.get(f"/{way}/d").status == 301 and client.get(f"/{way}/d/").status == 403
        resp = client.get(f"/{way}/big", {"If-None-Match": client.request("HEAD", f"/{way}/big").headers["ETag"]})
        assert resp.status == 304


@pytest.mark.parametrize("way", ["pool", "directpool", "cachepool"])
def test_try_files_by_the_pool(weir, way):
    server = weir("root {dir}/w; " + WAYS[way] + "location / { try_files $uri $uri.html $uri/ /last.html; }",
                  files={"w/a": b"a", "w/b.html": b"b", "w/c/index.html": b"c", "w/last.html": b"last"})
    for target, body in (("/a", b"a"), ("/b", b"b"), ("/c/", b"c"), ("/c", None), ("/none", b"last")):
        resp = server.get(target)
        assert resp.body == body if body else resp.status == 301


def test_many_at_once_by_the_pool(ways):
    """More requests than threads, on one connection after the other, some given up."""
    clients = [ways.client() for _ in range(20)]
    for client in clients:
        client.send(b"GET /named/big HTTP/1.1\r\nHost: h\r\n\r\n")
    for client in clients[:5]:
        client.close()
    for client in clients[5:]:
        assert client.raw(b"").body == DATA


# open_file_cache

CACHE = """
    root {dir}/w; open_file_cache max=10 inactive=60s; open_file_cache_valid 60s;
    location /errors/ { alias {dir}/w/; open_file_cache_errors on; }
    location /now/ { alias {dir}/w/; open_file_cache_valid 0; }
    location /uses/ { alias {dir}/w/; open_file_cache max=10; open_file_cache_min_uses 3; }
    location /off/ { alias {dir}/w/; open_file_cache off; }
    location /few/ { alias {dir}/w/; open_file_cache max=2; }
    location /nolinks/ { alias {dir}/w/; disable_symlinks on from={dir}/w; }
"""


@pytest.fixture
def cached(weir):
    return weir(CACHE, workers=1, files={"w/f": b"one", "w/d/index.html": b"index", **{f"w/n{i}": b"%d" % i for i in range(8)}})


def replace(server, name, data):
    server.write(name + ".new", data)
    os.rename(server.path(name + ".new"), server.path(name))


def test_what_is_kept_is_served(cached):
    assert cached.get("/f").body == b"one"
    replace(cached, "w/f", b"three")
    assert cached.get("/f").body == b"one"  # within open_file_cache_valid
    assert cached.get("/off/f").body == b"three"
    os.unlink(cached.path("w/f"))
    assert cached.get("/f").body == b"one" and cached.get("/off/f").status == 404


def test_replaced_file_is_seen_when_it_is_due(cached):
    for data in (b"one", b"three", b"seventeen"):
        replace(cached, "w/f", data)
        assert cached.get("/now/f").body == data
    os.unlink(cached.path("w/f"))
    assert cached.get("/now/f").status == 404
    replace(cached, "w/f", b"again")
    assert cached.get("/now/f").body == b"again"


def test_valid_ends(weir):
    server = weir("root {dir}; open_file_cache max=10; open_file_cache_valid 1s;", files={"f": b"one"}, workers=1)
    assert server.get("/f").body == b"one"
    replace(server, "f", b"three")
    wait_for(lambda: server.get("/f").body == b"three", "the new file is seen")


def test_errors_are_kept_where_it_is_said(cached):
    assert cached.get("/late").status == 404
    cached.write("w/late", b"late")
    assert cached.get("/late").body == b"late"
    assert cached.get("/errors/other").status == 404
    cached.write("w/other", b"x")
    assert cached.get("/errors/other").status == 404
    if not IS_NGINX:  # which locations share a cache, and what one of them may keep, are two things
        assert cached.get("/other").body == b"x"


def open_files(server):
    pids = [server.process.pid]
    with open(f"/proc/{server.process.pid}/task/{server.process.pid}/children", encoding="ascii") as file:
        pids += [int(pid) for pid in file.read().split()]
    found = []
    for pid in pids:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            try:
                found.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
            except OSError:
                continue
    return [name for name in found if name.startswith(server.path("w/"))]


def test_min_uses(cached):
    for expect in (0, 0, 1, 1):
        assert cached.get("/uses/f").body == b"one"
        wait_for(lambda count=expect: len(open_files(cached)) == count, f"{expect} files are open")


def test_max(cached):
    for i in range(8):
        assert cached.get(f"/few/n{i}").text == str(i)
        wait_for(lambda: len(open_files(cached)) <= 2, "no more are open")
    for i in range(8):
        assert cached.get(f"/few/n{i}").text == str(i)


def test_inactive(weir):
    server = weir("root {dir}/w; open_file_cache max=10 inactive=1s; location /x { return 200; }", files={"w/f": b"f", "w/g": b"g"}, workers=1)
    wait_for(lambda: server.get("/f").text == "f" and server.path("w/f") in open_files(server), "a file that is kept open")
    wait_for(lambda: server.get("/g").text == "g" and server.path("w/f") not in open_files(server), "what was not asked for is closed")


def test_a_link_is_refused_though_the_file_is_kept(cached):
    os.symlink("f", cached.path("w/ln"))
    assert cached.get("/ln").body == b"one" and cached.get("/nolinks/ln").status == 403 and cached.get("/ln").body == b"one"
    assert cached.get("/nolinks/f").body == b"one"


def test_folders_are_kept(cached):
    for _ in range(3):
        assert cached.get("/d").status == 301 and cached.get("/d/").body == b"index"
    assert all(os.path.isfile(name) for name in open_files(cached))


def test_reload_closes_what_is_kept(cached):
    cached.get("/f")
    assert open_files(cached)
    cached.signal("HUP")
    wait_for(lambda: not open_files(cached), "closed with their configuration")
    assert cached.get("/f").body == b"one"


# disable_symlinks

LINKS = """
    location /on/ { alias {dir}/w/; disable_symlinks on; }
    location /owner/ { alias {dir}/w/; disable_symlinks if_not_owner; }
    location /from/ { alias {dir}/link/; disable_symlinks on from={dir}/link; }
    location /slash/ { alias {dir}/link/; disable_symlinks on from={dir}/link/; }
    location /none/ { alias {dir}/link/; disable_symlinks on from=/nowhere; }
    location /var/ { root {dir}/link; disable_symlinks on from=$document_root; }
    location /off/ { alias {dir}/link/; }
    location /index/ { alias {dir}/w/i/; disable_symlinks on; index a b; }
    location /try/ { alias {dir}/w/; disable_symlinks on; try_files $uri /on/f; }
"""


@pytest.fixture(scope="module")
def links(weir_shared):
    made = weir_shared.server(LINKS, files={"w/f": b"file", "w/d/x": b"x", "w/i/b": b"b", "w/var/f": b"var", "w/foreign/x": b"x", "w/theirs": b"t"}, start=False,
                              allow=["Too many levels of symbolic links"] if IS_NGINX else [])
    for target, name in (("f", "ln"), ("d", "lnd"), ("../f", "d/up"), ("../f", "i/a"), ("foreign", "lnforeign"), ("theirs", "lntheirs")):
        os.symlink(target, made.path("w/" + name))
    os.symlink("w", made.path("link"))
    if os.geteuid() == 0:
        os.chown(made.path("w/foreign"), 12345, 12345)
        os.chown(made.path("w/theirs"), 12345, 12345)
    made.start(open(made.conf, encoding="utf-8").read())
    return made


@pytest.mark.parametrize("target,status", [
    ("/on/f", 200), ("/on/ln", 403), ("/on/d/x", 200), ("/on/lnd/x", 403), ("/on/d/up", 403), ("/on/none", 404), ("/on/f/x", 404), ("/on/d", 301),
    ("/on/lnd", 403), ("/owner/f", 200), ("/owner/ln", 200), ("/owner/lnd/x", 200), ("/from/f", 200), ("/from/ln", 403), ("/from/d/x", 200),
    ("/slash/f", 200), ("/slash/ln", 403), ("/none/f", 403), ("/var/f", 200), ("/off/ln", 200), ("/off/lnd/x", 200), ("/on/d/../f", 200), ("/try/f", 200),
    ("/try/ln", 200)])
def test_links(links, target, status):
    resp = links.get(target)
    if IS_NGINX and target in ("/on/lnd/x", "/none/f"):
        status = 404  # a link to a folder is no folder to it
    assert resp.status == status
    if target == "/try/ln":
        assert resp.body == b"file"  # by the last word, not by the link


def test_link_as_index(links):
    assert links.get("/index/").status == 403


@pytest.mark.parametrize("target,status", [("/owner/lntheirs", 403), ("/owner/lnforeign/x", 403), ("/owner/theirs", 200)])
def test_links_of_another_owner(links, target, status):
    if os.geteuid() != 0:
        skip_loudly("only root can give a file away")
    assert links.get(target).status == status


# files that change under our hands

@pytest.mark.parametrize("lines", ["sendfile on;", "sendfile off;", "aio threads;", "directio 512;"])
def test_file_that_shrinks(weir, lines):
    server = weir("root {dir}/w; " + lines, allow=["shorter", "truncated", "was truncated"] + ([r"\[alert\]"] if IS_NGINX else []), files={"w/f": b"x" * (40 << 20)})
    client = server.client(rcvbuf=4096)
    client.send(b"GET /f HTTP/1.1\r\nHost: h\r\n\r\n")
    client.sock.recv(1000, 2)
    os.truncate(server.path("w/f"), 1 << 20)
    total = 0
    while True:
        data = client.sock.recv(1 << 20)
        if not data:
            break
        total += len(data)
    assert total < 40 << 20
    client.close()
    if not IS_NGINX:
        server.wait_log("a file became shorter, or could not be read")
    assert server.get("/f").body == b"x" * (1 << 20)


def test_file_that_grows(weir):
    server = weir("root {dir}/w; sendfile on;", files={"w/f": b"x" * (8 << 20)})
    client = server.client(rcvbuf=4096)
    client.send(b"GET /f HTTP/1.1\r\nHost: h\r\n\r\n")
    client.sock.recv(1000, 2)
    with open(server.path("w/f"), "ab") as file:
        file.write(b"y" * 1000)
    assert client.raw(b"").body == b"x" * (8 << 20)


# a slow disk

class Slow:
    """Delays system calls of the server's threads that read or open files, by strace's own fault injection."""

    def __init__(self, server, calls, seconds):
        strace = need_tool("strace", "strace")
        pids = [str(server.process.pid)]
        with open(f"/proc/{server.process.pid}/task/{server.process.pid}/children", encoding="ascii") as file:
            pids += file.read().split()
        self.log = server.path("strace.out")
        attach = [word for pid in pids for word in ("-p", pid)]
        self.process = subprocess.Popen([strace, "-f", "-o", self.log, "-e", "trace=" + calls, "-e",
                                         f"inject={calls}:delay_enter={int(seconds * 1e6)}", *attach], stderr=subprocess.PIPE)
        for _ in pids:
            line = self.process.stderr.readline()
            if b"attached" not in line:
                skip_loudly("strace may not look at the server here: " + line.decode())

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait()
        self.process.stderr.close()
        with open(self.log, encoding="utf-8") as file:
            return file.read()


def worst_of_others(server, thread):
    """The longest time of a request for memory while the other thread's is under way, and how many there were."""
    worst, cnt, client = 0.0, 0, server.client()
    thread.start()
    while thread.is_alive():
        began = time.monotonic()
        assert client.get("/quick").text == "ok"
        worst, cnt = max(worst, time.monotonic() - began), cnt + 1
    thread.join()
    return worst, cnt


@pytest.mark.weir_only("the limit is for our own threads; nginx opens files on its loop")
@pytest.mark.parametrize("calls,lines", [("pread64", "directio 512; aio threads; output_buffers 1 256k;"), ("openat", "aio threads;"), ("openat,newfstatat", "aio threads; index i;"),
                                         ("getdents64", "aio threads; autoindex on;")])
def test_a_slow_disk_holds_up_nobody(weir, calls, lines):
    """Each call that may touch the disk takes a second; meanwhile requests for memory go on."""
    server = weir("root {dir}/w; keepalive_requests 1000000; location = /quick { return 200 ok; } location / { " + lines + " }", workers=1,
                  files={"w/f": DATA, "w/i": b"i", "w/list/x": b""})
    if is_sanitized(server):
        skip_loudly("a sanitizer in the program makes calls of its own")
    target = "/list/" if "autoindex" in lines else "/" if "index" in lines else "/f"
    server.get(target)

    def others():
        bodies = []
        slow = Slow(server, calls, 1.0 * SLOW)
        try:
            worst, cnt = worst_of_others(server, threading.Thread(target=lambda: bodies.append(server.get(target))))
        finally:
            text = slow.stop()
        delayed = len(re.findall("(DELAYED|INJECTED)", text))
        print(f"{calls}: {delayed} calls delayed; {cnt} others meanwhile, the slowest took {worst * 1000:.1f} ms")
        assert delayed >= 1 and bodies[0].status == 200
        return worst < 0.9 * SLOW and cnt >= 5
    wait_for(others, "others that are not held up")  # a busy machine may hold one up, a defect holds up one of each attempt


@pytest.mark.weir_only("nginx gives such a file up")
def test_a_file_under_lease_is_waited_for(weir):
    """Who opens a file that another process has a lease on waits until that gives it back: a thread of the pool does, not the loop."""
    server = weir("root {dir}/w; location = /quick { return 200 ok; } location / { aio threads; }", workers=1, files={"w/f": b"leased"})
    fd = os.open(server.path("w/f"), os.O_RDWR)
    broken = threading.Event()
    old = signal.signal(signal.SIGIO, lambda *_: broken.set())
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except OSError as error:
        signal.signal(signal.SIGIO, old)
        os.close(fd)
        skip_loudly(f"no leases on this file system: {error}")
    try:
        client, other = server.client(), server.client()
        client.send(b"GET /f HTTP/1.1\r\nHost: h\r\n\r\n")
        wait_for(broken.is_set, "the lease is asked back")
        for _ in range(20):
            assert other.get("/quick").text == "ok"
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        assert client.raw(b"").body == b"leased"
    finally:
        signal.signal(signal.SIGIO, old)
        os.close(fd)


# what -t says

@pytest.mark.parametrize("text,message", [
    ("open_file_cache inactive=5s;", '"open_file_cache" must have the "max" parameter'), ("open_file_cache max=0;", 'invalid "open_file_cache" parameter "max=0"'),
    ("open_file_cache foo=1;", 'invalid "open_file_cache" parameter "foo=1"'), ("open_file_cache;", 'invalid number of arguments in "open_file_cache"'),
    ("open_file_cache_errors x;", 'invalid value "x" in "open_file_cache_errors" directive'), ("open_file_cache_valid x;", '"open_file_cache_valid" directive invalid value'),
    ("open_file_cache_min_uses x;", '"open_file_cache_min_uses" directive invalid number'), ("disable_symlinks foo;", 'invalid parameter "foo"'),
    ("disable_symlinks from=/x;", '"disable_symlinks" must have "off", "on" or "if_not_owner" parameter'), ("disable_symlinks on off;", 'duplicate parameters "on off"'),
    ("disable_symlinks off from=$document_root;", '"from=" cannot be used with "off" parameter'),
    ("disable_symlinks on from=/a off;", 'invalid number of arguments in "disable_symlinks"'), ("aio threads=foo;", 'unknown thread pool "foo"'),
    ("aio threads=;", 'unknown thread pool ""'), ("aio sendfile;", '"aio" directive invalid value'), ("aio threads=$nosuch;", 'unknown "nosuch" variable'),
    ("directio x;", '"directio" directive invalid value'), ("output_buffers 0 1k;", '"output_buffers" directive invalid value'),
    ("if ($host) { aio threads; }", '"aio" directive is not allowed here'), ("aio off; aio off;", "is duplicate")])
def test_refused(command, text, message):
    result = command(text).command("-t")
    assert result.returncode == 1 and message in result.stderr


@pytest.mark.parametrize("main,message", [
    ("thread_pool a threads=0;", 'invalid threads value "threads=0"'), ("thread_pool a threads=1 max_queue=x;", 'invalid max_queue value "max_queue=x"'),
    ("thread_pool a max_queue=1;", '"thread_pool" must have "threads" parameter'), ("thread_pool a threads=1; thread_pool a threads=1;", 'duplicate thread pool "a"'),
    ("thread_pool a;", 'invalid number of arguments in "thread_pool"')])
def test_bad_pools(command, main, message):
    result = command("return 200;", main=main).command("-t")
    assert result.returncode == 1 and message in result.stderr


def test_pool_by_variable(weir):
    server = weir("root {dir}; location / { aio threads=$arg_p; }", main="thread_pool one threads=1;", files={"f": b"f"}, allow=["not found"])
    assert server.get("/f?p=one").body == b"f"
    if not IS_NGINX:
        assert server.get("/f?p=two").status == 500
        server.wait_log('thread pool "two" not found')


def test_inherited(weir):
    server = weir("root {dir}/w; location /x/ { disable_symlinks off; } location /y/ { }", http="disable_symlinks on from=$document_root; aio threads;",
                  files={"w/x/f": b"f", "w/y/f": b"f"})
    for name in ("x", "y"):
        os.symlink("f", server.path(f"w/{name}/ln"))
    assert server.get("/x/ln").status == 200 and server.get("/y/ln").status == 403 and server.get("/y/f").status == 200


# over TLS

@pytest.mark.parametrize("lines", ["", "aio threads;", "directio 512;", "open_file_cache max=10;"])
def test_files_over_tls(weir, pki, lines):
    server = weir(http=f"server {{ listen 127.0.0.1:{{port}} ssl; ssl_certificate {pki.server.cert}; ssl_certificate_key {pki.server.key};"
                       f"root {{dir}}/w; {lines} }}", files={"w/f": DATA, "w/d/x": b"x"})
    client = server.client(tls=client_context(), name="localhost")
    assert client.get("/f").body == DATA
    assert client.get("/f", {"Range": "bytes=1000-500000"}).body == DATA[1000:500001]
    resp = client.get("/d", {"Host": "localhost"})
    assert (resp.status, resp.headers["Location"]) == (301, f"https://localhost:{server.port}/d/")
