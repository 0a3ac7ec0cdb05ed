# SPDX-License-Identifier: Apache-2.0
"""Load and its measures: peers in a process of their own, mixed users, memory, descriptors and system calls.

A peer of the real clients and of the soak runs as `python3 -m weirtest.load KIND` in its own process, so that its
work does not wait for the lock of the interpreter that plays the clients. It prints its port and ends when its
standard input is closed. Kinds: "mixed" (a thread for each connection; the target says what to do, see play) and "fixed" (one
epoll loop that answers every request with 1 KB)."""
import binascii
import collections
import hashlib
import os
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings

import pytest

from .client import Client, build_request, reset
from .http1 import Closed, ProtocolError, Stream
from .timing import LIMIT, SLOW, wait_for

OK = b"HTTP/1.1 200 OK\r\n"
PATTERN = random.Random(20).randbytes(1 << 20)
HERE = os.path.dirname(os.path.abspath(__file__))


def skip_loudly(reason):
    """A skip that is also in the list of warnings, which -q does not hide."""
    warnings.warn(f"SKIPPED, so nothing is proved: {reason}", stacklevel=2)
    pytest.skip(reason)


def need_tool(name, package):
    """The path of a program, or a loud skip."""
    path = shutil.which(name)
    if path is None:
        skip_loudly(f"there is no {name} here (package {package})")
    return path


def is_sanitized(server):
    """True if the program that runs carries a sanitizer, whose own memory and system calls would be measured."""
    with open(f"/proc/{server.process.pid}/exe", "rb") as file:
        data = file.read()
    return any(name in data for name in (b"__asan_init", b"__tsan_init", b"__msan_init"))


# ---- bodies that both ends know ----------------------------------------------------------------------------------

def body_of(seed, size):
    return PATTERN[seed:seed + size]


def mark_of(data):
    """What the mixed peer answers to a body."""
    return f"{len(data)}:{binascii.crc32(data):08x}".encode()


def pieces(size):
    """A large body of so many bytes, in pieces of at most 1 MB. No part of it comes again at another place where a
    multiple of 4 KB lies between: what is moved or repeated by a server is seen."""
    for number in range((size + len(PATTERN) - 1) // len(PATTERN)):
        turn = number * 4099 % len(PATTERN)
        yield (PATTERN[turn:] + PATTERN[:turn])[:size - number * len(PATTERN)]


def digest_of(size):
    made = hashlib.sha256()
    for piece in pieces(size):
        made.update(piece)
    return made.hexdigest()


def read_digest(stream, message):
    """Read a body piece by piece; returns (bytes, sha256)."""
    made = hashlib.sha256()
    total = 0
    if "Transfer-Encoding" in message.headers:
        while True:
            data = stream.read_chunk()
            if not data:
                break
            made.update(data)
            total += len(data)
        stream.expect(b"\r\n")
        return total, made.hexdigest()
    size = int(message.headers["Content-Length"])
    while total < size:
        data = stream.take(min(len(stream.buffer), size - total))
        made.update(data)
        total += len(data)
        if total < size and not stream.buffer and not stream._fill():
            raise Closed(f"{stream.ended} after {total} of {size} bytes")
    return total, made.hexdigest()


def send_large(sock, size, chunked):
    for piece in pieces(size):
        if chunked:
            sock.sendall(b"%x\r\n" % len(piece))
            sock.sendall(piece)
            sock.sendall(b"\r\n")
        else:
            sock.sendall(piece)
    if chunked:
        sock.sendall(b"0\r\n\r\n")


# ---- the peer's process ------------------------------------------------------------------------------------------

class Cut(Exception):
    """The script has ended this connection on purpose."""


def play_fault(stream, kind):
    """A peer that misbehaves. Every kind but "extra" ends the connection."""
    sock = stream.sock
    if kind == "extra":                  # a good answer with bytes behind it, in the same segment
        sock.sendall(OK + b"Content-Length: 5\r\n\r\nhello" + b"behind")
        return
    if kind == "reset":                  # with the request read and not a byte said
        reset(sock)
    elif kind == "reset-head":
        sock.sendall(OK + b"Content-Len")
        time.sleep(0.005)
        reset(sock)
    elif kind == "reset-body":
        sock.sendall(OK + b"Content-Length: 100000\r\n\r\n" + PATTERN[:20000])
        time.sleep(0.005)
        reset(sock)
    elif kind == "cut-head":
        sock.sendall(OK + b"Content-Len")
    elif kind == "cut-body":
        sock.sendall(OK + b"Content-Length: 100000\r\n\r\n" + PATTERN[:20000])
    elif kind == "cut-chunk":
        sock.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n100\r\nabc")
    elif kind == "stall-body":
        sock.sendall(OK + b"Content-Length: 100000\r\n\r\n" + PATTERN[:1000])
        stream.read_to_end()
    elif kind == "stall":
        stream.read_to_end()
    elif kind != "close":
        raise ProtocolError(f"no such fault: {kind}")
    raise Cut


def play(stream):
    """Targets, after one segment that the server's configuration uses: .../b/SEED/SIZE a body with a length,
    .../c/SEED/SIZE chunked, .../slow/MS, .../large/SIZE/length|chunked, .../digest, .../mark, .../fault/KIND."""
    while stream.buffer or stream._fill(LIMIT * 6):
        req = stream.read_request(body=False)
        words = req.target.split("/")[2:]
        kind = words[0]
        if kind == "digest":
            size, digest = read_digest(stream, req)
            answer = f"{size}:{digest}".encode()
        else:
            stream.read_body(req, none_allowed=True)
            answer = mark_of(req.body)
        if kind in ("b", "c"):
            answer = body_of(int(words[1]), int(words[2]))
        elif kind == "slow":
            time.sleep(int(words[1]) / 1000)
        elif kind == "fault":
            play_fault(stream, words[1])
            continue
        elif kind == "large":
            size, chunked = int(words[1]), words[2] == "chunked"
            stream.sock.sendall(OK + (b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % size) +
                                b"\r\n\r\n")
            send_large(stream.sock, size, chunked)
            print("sent", size, flush=True)
            continue
        elif kind not in ("digest", "mark"):
            raise ProtocolError(f"no such target: {req.target}")
        head = OK + b"Content-Length: %d\r\n\r\n" % len(answer)
        if kind == "c" and req.version == "1.1":
            cut = len(answer) // 3
            head = OK + b"Transfer-Encoding: chunked\r\n\r\n"
            parts = [part for part in (answer[:cut], answer[cut:]) if part]
            answer = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
        stream.sock.sendall(head if req.method == "HEAD" else head + answer)
        if req.version == "1.0" or req.headers.get("Connection") == "close":
            return


def serve_one(sock):
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream = Stream(sock)
        sock.settimeout(LIMIT * 6)
        play(stream)
    except (Cut, OSError, Closed):
        pass                             # the server may leave whenever it likes: its client may have left
    except Exception:  # what the server sent was wrong: the test must see it
        traceback.print_exc()
    finally:
        try:
            sock.close()
        except OSError:
            pass


def serve_mixed(listener):
    threading.stack_size(256 << 10)
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=serve_one, args=(sock,), daemon=True).start()


def serve_fixed(listener):
    """Requests without a body only; several in one segment are answered one by one."""
    answer = OK + b"Content-Length: 1024\r\nContent-Type: text/plain\r\n\r\n" + PATTERN[:512].hex().encode()
    listener.setblocking(False)
    poller = select.epoll()
    poller.register(listener.fileno(), select.EPOLLIN)
    conns, rest = {}, {}
    while True:
        for number, _ in poller.poll():
            if number == listener.fileno():
                sock, _ = listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                conns[sock.fileno()], rest[sock.fileno()] = sock, b""
                poller.register(sock.fileno(), select.EPOLLIN)
                continue
            try:
                data = conns[number].recv(65536)
                if data:
                    heads = (rest[number] + data).split(b"\r\n\r\n")
                    rest[number] = heads.pop()
                    if heads:
                        conns[number].sendall(answer * len(heads))
                    if not any(b" HTTP/1.0" in head for head in heads):
                        continue
            except OSError:
                pass
            poller.unregister(number)
            conns.pop(number).close()
            del rest[number]


def wait_for_end():
    while os.read(0, 4096):
        pass
    os._exit(0)


def main(kind):
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    print(listener.getsockname()[1], flush=True)
    threading.Thread(target=wait_for_end, daemon=True).start()
    {"mixed": serve_mixed, "fixed": serve_fixed}[kind](listener)


class PeerProcess:
    """A peer in its own process; str() is its address. At the end of the with block it must not have complained."""

    def __init__(self, kind):
        self.errors = tempfile.TemporaryFile()
        self.lines = []
        self.process = subprocess.Popen([sys.executable, "-m", "weirtest.load", kind], cwd=os.path.dirname(HERE),
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors)
        self.port = int(self.process.stdout.readline())
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.decode().strip())

    def __str__(self):
        return f"127.0.0.1:{self.port}"

    def wait_sent(self, count, limit):
        """Wait until so many large bodies were taken from the peer whole."""
        wait_for(lambda: len(self.lines) >= count, f"{count} large bodies to be taken from the peer", limit)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.process.stdin.close()
        try:
            self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.errors.seek(0)
        text = self.errors.read().decode("latin-1")
        self.errors.close()
        if error is None:
            assert not text, "the peer got or met something wrong:\n" + text[-4000:]
        elif text:
            print("the peer's complaints:\n" + text[-4000:])


# ---- measures of the server --------------------------------------------------------------------------------------

def wait_until_calm(server):
    """weir with one thread a worker: the second one, which loaded the configuration, has ended."""
    def is_calm():
        for pid in processes_of(server):
            for tid in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{tid}/comm", encoding="ascii") as file:
                    if file.read().strip() == "weir control":
                        return False
        return True
    wait_for(is_calm, "the end of the control thread")


def wait_disconnected(port):
    """Nobody on this machine has an open IPv4 connection to the port any more, seen from the side that connected."""
    def is_disconnected():
        with open("/proc/net/tcp", encoding="ascii") as file:
            rows = [line.split() for line in file.readlines()[1:]]
        return not any(int(row[2].split(":")[1], 16) == port and row[3] in ("01", "08") for row in rows)
    wait_for(is_disconnected, f"the end of all connections to {port}")


def processes_of(server):
    """The process that was started and all its descendants."""
    children = collections.defaultdict(list)
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="latin-1") as file:
                    children[int(file.read().rsplit(")", 1)[1].split()[1])].append(int(name))
            except (OSError, IndexError):
                continue
    found = [server.process.pid]
    for pid in found:
        found += children[pid]
    return found


def resident(pids):
    """Sum of VmRSS in bytes."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/status", encoding="latin-1") as file:
            for line in file:
                if line.startswith("VmRSS:"):
                    total += int(line.split()[1]) << 10
    return total


def descriptors(pids):
    """Open descriptors by kind: {"socket": 5, "pipe": 2, "/var/log/x": 1, ...}."""
    kinds = collections.Counter()
    for pid in pids:
        for name in os.listdir(f"/proc/{pid}/fd"):
            try:
                target = os.readlink(f"/proc/{pid}/fd/{name}")
            except FileNotFoundError:
                continue
            kinds[target.split(":[")[0]] += 1
    return kinds


def are_level(before, after):
    """Whether descriptors() came back. Threads that share idle connections open one epoll instance at first use."""
    return not after - before or dict(after - before) == {"anon_inode": 1}


def settle(measure, quiet=0.25, limit=LIMIT):
    """The value of measure() once it has not changed for a while."""
    end = time.monotonic() + limit
    last, since = measure(), time.monotonic()
    while time.monotonic() - since < quiet * SLOW:
        assert time.monotonic() < end, f"it never comes to rest: {last}"
        time.sleep(0.01)
        now = measure()
        if now != last:
            last, since = now, time.monotonic()
    return last


class MemoryWatch:
    """Samples the resident memory of processes while the with block runs; peak is the highest sum in bytes."""

    def __init__(self, pids):
        self.pids = pids
        self.peak = self.start = resident(pids)
        self.samples = 0
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self.done.wait(0.01):
            try:
                self.peak = max(self.peak, resident(self.pids))
            except OSError:
                return                   # a process has gone: the test will notice
            self.samples += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()
        self.peak = max(self.peak, resident(self.pids))


# ---- system calls ------------------------------------------------------------------------------------------------

class CallCount:
    """Counts the system calls of processes (and their threads) while the with block runs, by strace -c -f. Two are the
    machine's own: the clock where the kernel's page cannot tell the time, and waits that go on after strace had come."""
    NOT_OURS = ("clock_gettime", "restart_syscall")

    def __init__(self, pids):
        self.pids = pids
        self.calls = {}

    @property
    def total(self):
        return sum(self.calls.values())

    def __enter__(self):
        strace = need_tool("strace", "strace")
        self.out = tempfile.NamedTemporaryFile(prefix="wt-strace-")
        self.errors = tempfile.NamedTemporaryFile(prefix="wt-strace-")
        argv = [strace, "-c", "-f", "-o", self.out.name]
        for pid in self.pids:
            argv += ["-p", str(pid)]
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.errors)
        wait_for(self._attached, "strace to attach")
        self.began = time.monotonic()
        return self

    def _complaint(self):
        with open(self.errors.name, encoding="latin-1") as file:
            return file.read()

    def _attached(self):
        text = self._complaint()
        if self.process.poll() is not None or "Operation not permitted" in text:
            self.process.kill()
            self.process.wait()
            if "ot permitted" in text or "PTRACE" in text:
                skip_loudly(f"ptrace is refused here: {text.strip()}")
            raise AssertionError(f"strace ended: {text}")
        return text.count(" attached") >= len(self.pids)

    def __exit__(self, kind, error, trace):
        self.seconds = time.monotonic() - self.began
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        with open(self.out.name, encoding="latin-1") as file:
            text = file.read()
        self.out.close()
        self.errors.close()
        for line in text.splitlines():
            words = line.split()
            if len(words) >= 5 and words[0][:1].isdigit() and words[-1] != "total":
                self.calls[words[-1]] = int(words[3])
        for name in self.NOT_OURS:
            self.calls.pop(name, None)
        assert self.calls or error, f"strace counted nothing:\n{text}"


class ClosedLoop:
    """Keep-alive connections that each have one GET in flight; every answer must be as long as the first one."""

    def __init__(self, address, count, target="/"):
        self.request = build_request("GET", target)
        self.poller = select.epoll()
        self.clients = {}
        self.length = 0
        for _ in range(count):
            client = Client(address)
            self.clients[client.sock.fileno()] = client
            client.send(self.request)
            resp = client.read_response()
            assert resp.status == 200 and resp.headers.get("Connection") != "close", resp
            length = len(resp.raw_head) + len(resp.body)
            assert length == (self.length or length), "answers of different lengths"
            self.length = length
        for number, client in self.clients.items():
            client.sock.setblocking(False)
            self.poller.register(number, select.EPOLLIN)

    def run(self, total):
        """So many requests over all connections."""
        due = dict.fromkeys(self.clients, 0)
        started = done = 0
        for number in list(due)[:total]:
            self.clients[number].sock.send(self.request)
            due[number] = self.length
            started += 1
        while done < total:
            events = self.poller.poll(LIMIT)
            assert events, f"no answer within {LIMIT:.1f}s; {done} of {total} answered"
            for number, _ in events:
                sock = self.clients[number].sock
                data = sock.recv(65536)
                assert 0 < len(data) <= due[number], f"{len(data)} bytes where {due[number]} are due"
                assert due[number] < self.length or data.startswith(b"HTTP/1.1 200 "), data[:100]
                due[number] -= len(data)
                if due[number] == 0:
                    done += 1
                    if started < total:
                        sock.send(self.request)
                        due[number] = self.length
                        started += 1

    def close(self):
        for client in self.clients.values():
            client.close()
        self.poller.close()


# ---- mixed users -------------------------------------------------------------------------------------------------

# How many of 200 requests are of a kind.
MIX = {
    "get_small": 42, "get_medium": 20, "get_large": 8, "head": 12, "post_length": 20, "post_chunked": 14,
    "static": 12, "old_client": 6, "pipelined": 6,
    "bad_line": 8, "bad_header": 8, "half_head": 7, "bad_chunk": 7,
    "gone_before": 5, "gone_answer": 5, "gone_upload": 6,
    "peer_refuses": 2, "peer_reset": 2, "peer_reset_head": 2, "peer_reset_body": 1, "peer_cut_head": 1,
    "peer_cut_body": 1, "peer_cut_chunk": 1, "peer_closes": 1, "peer_stalls": 1, "peer_stalls_body": 1,
    "peer_extra": 1,
}
GOOD = {"get_small", "get_medium", "get_large", "head", "post_length", "post_chunked", "static", "old_client",
        "pipelined", "peer_extra"}

BAD_LINES = [b"BAD\r\n\r\n", b"GET\r\n\r\n", b"GET / FTP/1.1\r\nHost: a\r\n\r\n",
             b"G\x01T / HTTP/1.1\r\nHost: a\r\n\r\n",
             b"GET / HTTP/1.1 x\r\nHost: a\r\n\r\n", b"GET http:// HTTP/1.1\r\nHost: a\r\n\r\n",
             b"GET /../../x HTTP/1.1\r\nHost: a\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"]
BAD_HEADERS = [b"", b"Host: a\r\nHost: b\r\n", b"Host: a\r\nBad name: x\r\n", b"Host: a\r\nX: a\0b\r\n",
               b"Host: a b\r\n", b"Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n",
               b"Host: a\r\nContent-Length: -1\r\n", b"Host: a\r\nContent-Length: 99999999999999999999\r\n",
               b"Host: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n"]
HALF_HEADS = [b"G", b"GET / HT", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: a",
              b"GET / HTTP/1.1\r\nHost: a\r\n\r",
              b"POST /k/mark HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"]
BAD_CHUNKS = [b"zz\r\n", b"-1\r\na\r\n", b"5\r\nabcdefgh\r\n", b"ffffffffffffffffff\r\n", b"1\r\na\r\n\r\n0\r\n",
              b"3;\0\r\nxyzz0\r\n"]

# What the configuration of the mixed load must offer: pooled, not pooled, unbuffered both ways.
WAYS = ["k", "n", "u"]
MIXED_HTTP = """
    upstream pool { server {up} max_fails=0; keepalive 8; keepalive_timeout 300ms; }
    upstream plain { server {up} max_fails=0; }
    upstream dead { server {dead} max_fails=0; }
"""
MIXED_SERVER = """
        keepalive_requests 60;
        client_max_body_size 4m;
        client_header_timeout 5s;
        lingering_timeout 200ms;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        location /k/ { proxy_pass http://pool; }
        location /n/ { proxy_http_version 1.0; proxy_set_header Connection close; proxy_pass http://plain; }
        location /u/ { proxy_request_buffering off; proxy_buffering off; proxy_pass http://pool; }
        location /t/ { proxy_read_timeout 100ms; proxy_pass http://pool; }
        location /d/ { proxy_pass http://dead; }
        location /s/ { root {dir}; }
        location = /alive { return 200 alive; }
"""


class User(threading.Thread):
    """Plays kinds of MIX against a server, one after the other; what is wrong is added to problems."""

    def __init__(self, address, kinds, seed):
        super().__init__(daemon=True)
        self.address = address
        self.kinds = kinds
        self.random = random.Random(seed)
        self.problems = []
        self.right = collections.Counter()
        self.kept = None

    def run(self):
        for kind in self.kinds:
            try:
                getattr(self, "_" + kind)()
                self.right[kind] += 1
            except Exception as error:  # whatever goes wrong in a thread must reach the test
                self._drop()
                self.problems.append(f"{kind}: {type(error).__name__}: {error}"[:1000])
                if len(self.problems) > 20:
                    return
        self._drop()

    # connections

    def _drop(self):
        if self.kept:
            self.kept.close()
        self.kept = None

    def _ask(self, method, target, headers=(), body=None, **more):
        """A request on the user's kept connection, which ends when the server says so (and now and then anyway)."""
        if self.kept is None or self.random.random() < 0.03:
            self._drop()
            self.kept = Client(self.address)
        client = self.kept
        client.send(build_request(method, target, headers, body, **more))
        resp = client.read_response(method)
        self._after(resp)
        return resp

    def _after(self, resp):
        if resp.headers.get("Connection") == "close" or resp.version == "1.0":
            self.kept.expect_eof()
            self._drop()

    def _once(self, data, method="GET"):
        """Bytes on a connection of their own. None where the server closed without an answer."""
        with Client(self.address) as client:
            client.send_lenient(data)
            try:
                return client.read_response(method)
            except Closed as error:
                assert "after" in str(error) or "so far b''" in str(error), error
                return None

    @staticmethod
    def _expect(resp, status):
        got = resp.status if resp else "no answer"
        assert got == status, f"{got} where {status} was due: {resp}"

    def _get(self, size, kind="b", **more):
        seed = self.random.randrange(4096)
        resp = self._ask("GET", f"/{self.random.choice(WAYS)}/{kind}/{seed}/{size}", **more)
        self._expect(resp, 200)
        assert resp.body == body_of(seed, size), f"wrong body of {len(resp.body)} bytes where {size} are due"

    # good ones

    def _get_small(self):
        self._get(self.random.randrange(3000), self.random.choice("bc"))

    def _get_medium(self):
        self._get(self.random.randrange(8000, 70000), self.random.choice("bc"))

    def _get_large(self):
        self._get(self.random.randrange(100000, 900000), self.random.choice("bc"))

    def _head(self):
        size = self.random.randrange(100000)
        resp = self._ask("HEAD", f"/{self.random.choice(WAYS)}/b/0/{size}")
        self._expect(resp, 200)
        assert resp.headers["Content-Length"] == str(size)

    def _post_length(self):
        body = body_of(self.random.randrange(4096), self.random.choice([0, 1, 100, 5000, 40000, 200000]))
        resp = self._ask("POST", f"/{self.random.choice(WAYS)}/mark", body=body)
        self._expect(resp, 200)
        assert resp.body == mark_of(body), (resp.body, mark_of(body))

    def _post_chunked(self):
        body = body_of(self.random.randrange(4096), self.random.choice([0, 1, 100, 5000, 40000, 200000]))
        coded, at = b"", 0
        while at < len(body):
            part = body[at:at + self.random.choice([1, 1000, 16384, 65536])] if at else body[:10]
            coded += b"%x\r\n%b\r\n" % (len(part), part)
            at += len(part)
        # The peer of "n" speaks HTTP/1.0 and needs the length: a body that is buffered has one.
        resp = self._ask("POST", f"/{self.random.choice(WAYS)}/mark", {"Transfer-Encoding": "chunked"},
                         coded + b"0\r\n\r\n")
        self._expect(resp, 200)
        assert resp.body == mark_of(body), (resp.body, mark_of(body))

    def _static(self):
        size = self.random.choice([10, 5000, 300000])
        resp = self._ask("GET", f"/s/{size}.bin")
        self._expect(resp, 200)
        assert resp.body == body_of(0, size)

    def _old_client(self):
        size = self.random.randrange(50000)
        with Client(self.address) as client:
            client.send(build_request("GET", f"/{self.random.choice(WAYS)}/c/0/{size}", version="1.0"))
            resp = client.read_response()
            self._expect(resp, 200)
            assert resp.framing != "chunked" and resp.body == body_of(0, size)
            client.expect_eof()

    def _pipelined(self):
        sizes = [self.random.randrange(20000) for _ in range(3)]
        with Client(self.address) as client:
            client.send(b"".join(build_request("GET", f"/{self.random.choice(WAYS)}/b/7/{size}") for size in sizes))
            for size in sizes:
                resp = client.read_response()
                self._expect(resp, 200)
                assert resp.body == body_of(7, size)

    # broken ones

    def _bad_line(self):
        self._expect(self._once(self.random.choice(BAD_LINES)), 400)

    def _bad_header(self):
        self._expect(self._once(b"GET /k/b/0/1 HTTP/1.1\r\n" + self.random.choice(BAD_HEADERS) + b"\r\n"), 400)

    def _half_head(self):
        client = Client(self.address)
        client.send(self.random.choice(HALF_HEADS))
        how = self.random.randrange(3)
        if how == 0:
            client.reset()
            return
        if how == 1:
            client.half_close()
            rest = client.read_to_end()
            assert rest == b"" or rest.startswith(b"HTTP/1.1 400 "), rest[:300]
        client.close()

    def _bad_chunk(self):
        way = self.random.choice(WAYS)
        resp = self._once(f"POST /{way}/mark HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode() +
                          self.random.choice(BAD_CHUNKS), "POST")
        # Where the body is passed on as it comes, the peer may already wait: then closing is all that is left.
        if resp is not None or way != "u":
            self._expect(resp, 400)

    # clients that leave

    def _gone_before(self):
        client = Client(self.address)
        client.send(build_request("GET", f"/{self.random.choice(WAYS)}/slow/20"))
        self.random.choice([client.reset, client.close])()

    def _gone_answer(self):
        client = Client(self.address, rcvbuf=4096)
        client.send(build_request("GET", f"/{self.random.choice(WAYS)}/b/0/{self.random.choice([300000, 1000000])}"))
        head = client.read_response_head()
        self._expect(head, 200)
        self.random.choice([client.reset, client.close])()

    def _gone_upload(self):
        client = Client(self.address)
        body = PATTERN[:self.random.choice([0, 1000, 60000])]
        client.send(build_request("POST", f"/{self.random.choice(WAYS)}/mark", {"Content-Length": "200000"}, body))
        self.random.choice([client.reset, client.close])()

    # peers that fail

    def _fault(self, kind, status, way="k"):
        self._expect(self._ask("GET", f"/{way}/fault/{kind}"), status)

    def _truncated(self, kind, way):
        """Whatever reached the client, it must not look like a whole answer."""
        with Client(self.address) as client:
            client.send(build_request("GET", f"/{way}/fault/{kind}"))
            try:
                resp = client.read_response()
            except Closed:
                return
            self._expect(resp, 502 if way != "t" else 504)

    def _peer_refuses(self):
        self._fault("close", 502, "d")

    def _peer_reset(self):
        self._fault("reset", 502, self.random.choice(WAYS))

    def _peer_reset_head(self):
        self._fault("reset-head", 502, self.random.choice(WAYS))

    def _peer_reset_body(self):
        self._truncated("reset-body", self.random.choice(WAYS))

    def _peer_cut_head(self):
        self._fault("cut-head", 502, self.random.choice(WAYS))

    def _peer_cut_body(self):
        self._truncated("cut-body", self.random.choice(WAYS))

    def _peer_cut_chunk(self):
        self._truncated("cut-chunk", self.random.choice(["k", "u"]))

    def _peer_closes(self):
        self._fault("close", 502, self.random.choice(WAYS))

    def _peer_stalls(self):
        self._fault("stall", 504, "t")

    def _peer_stalls_body(self):
        self._truncated("stall-body", "t")

    def _peer_extra(self):
        resp = self._ask("GET", f"/{self.random.choice(WAYS)}/fault/extra")
        self._expect(resp, 200)
        assert resp.body == b"hello", resp


def run_users(address, count, users, seed):
    """So many requests (a multiple of 200) from so many threads. Returns (right answers by kind, problems)."""
    assert sum(MIX.values()) == 200 and count % 200 == 0
    kinds = [kind for kind, share in MIX.items() for _ in range(share * count // 200)]
    random.Random(seed).shuffle(kinds)
    threads = [User(address, kinds[number::users], seed * 1000 + number) for number in range(users)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120 * SLOW)
        assert not thread.is_alive(), "a user hangs"
    right = sum((thread.right for thread in threads), collections.Counter())
    return right, [problem for thread in threads for problem in thread.problems]


if __name__ == "__main__":
    main(sys.argv[1])
