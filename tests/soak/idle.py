#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Peers that close idle connections, clients that send at random intervals: no GET may fail, no POST may be done twice.

    python3 tests/soak/idle.py                       # 100,000 GETs and 50,000 POSTs, about four minutes
    python3 tests/soak/idle.py --gets 2000 --rate 500
    make soak SOAK_ARGS='--only idle'

Each group has one peer and one client with intervals around the peer's idle time, so that its one idle connection is
met at about the moment of its end, again and again. Kinds of peers, by what they do with an idle connection:

  fixed    closes it after 1 s and says nothing: it can be learned
  said     closes it after 1 s and announces `Keep-Alive: timeout=1`
  random   closes it after 0.3 to 1.7 s: nothing can be learned, requests do meet the end
  shut     half-closes it after 1 s, reads on for a while and throws away what comes

The peers are a process of their own (this file with --peers) and count what they were sent: an id that is done twice
is a fault. A POST that a peer's system had taken, and nobody knows whether anyone read it, is answered 502: these are
told, and are a fault only above 1 % (and above three)."""
import argparse
import asyncio
import collections
import json
import os
import random
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
KINDS = ("fixed", "said", "random", "shut")
IDLE = 1.0
OK = "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s"


# ---- the peers -------------------------------------------------------------------------------------------------

class Peer(asyncio.Protocol):
    """One connection: requests have a head and a body of Content-Length."""

    def __init__(self, kind, done, rng):
        self.kind, self.done, self.rng = kind, done, rng
        self.buffer = b""
        self.timer = None
        self.is_deaf = False

    def connection_made(self, transport):
        self.transport = transport
        self.done["connections"] += 1

    def connection_lost(self, exc):
        if self.timer:
            self.timer.cancel()

    def data_received(self, data):
        if self.is_deaf:
            return
        if self.timer:
            self.timer.cancel()
            self.timer = None
        self.buffer += data
        while b"\r\n\r\n" in self.buffer:
            head, rest = self.buffer.split(b"\r\n\r\n", 1)
            size = 0
            for line in head.split(b"\r\n")[1:]:
                name, value = line.split(b":", 1)
                if name.lower() == b"content-length":
                    size = int(value)
            if len(rest) < size:
                return
            self.buffer = rest[size:]
            self.answer(head.split(b" ", 2)[1].decode())

    def answer(self, target):
        self.done["requests"][target] += 1
        said = "Keep-Alive: timeout=1\r\n" if self.kind == "said" else ""
        self.transport.write((OK % (len(target), said, target)).encode())
        wait = self.rng.uniform(0.3, 1.7) if self.kind == "random" else IDLE
        self.timer = asyncio.get_running_loop().call_later(wait, self.end)

    def end(self):
        self.done["closed"] += 1
        if self.kind != "shut":
            self.transport.close()
            return
        self.is_deaf = True
        self.transport.write_eof()
        self.timer = asyncio.get_running_loop().call_later(0.3, self.transport.close)


async def serve_peers(count, kinds, seed):
    loop = asyncio.get_running_loop()
    done = {"requests": collections.Counter(), "connections": 0, "closed": 0}
    rng = random.Random(seed)
    ports = []
    for i in range(count):
        server = await loop.create_server(lambda kind=kinds[i % len(kinds)]: Peer(kind, done, rng), "127.0.0.1", 0)
        ports.append(server.sockets[0].getsockname()[1])
    print(json.dumps(ports), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    twice = [target for target, n in done["requests"].items() if n > 1]
    print(json.dumps({"twice": [t for t in twice if t.startswith("/post/")], "twice_get": len(twice),
                      "connections": done["connections"], "closed": done["closed"]}), flush=True)
    os._exit(0)


# ---- the clients -----------------------------------------------------------------------------------------------

class Run:
    def __init__(self, port, gets, posts, seed):
        self.port = port
        self.left = {"GET": gets, "POST": posts}
        self.seed = seed
        self.number = 0
        self.status = collections.Counter()
        self.faults = []

    def next(self, rng):
        left = sum(self.left.values())
        if left == 0:
            return None
        method = "GET" if rng.randrange(left) < self.left["GET"] else "POST"
        self.left[method] -= 1
        self.number += 1
        return method, f"/{method.lower()}/{self.number}"

    async def client(self, group):
        rng = random.Random(self.seed * 100003 + group)
        kind = KINDS[group % len(KINDS)]
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        await asyncio.sleep(rng.uniform(0, 2 * IDLE))
        while True:
            step = self.next(rng)
            if step is None:
                break
            method, target = step
            body = "" if method == "GET" else "x" * rng.choice((0, 10, 5000))
            writer.write(f"{method} {target} HTTP/1.1\r\nHost: g{group}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
                         .replace("Content-Length: 0\r\n" if method == "GET" else "\0", "").encode())
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
            status = int(head[9:12])
            size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            text = await asyncio.wait_for(reader.readexactly(size), 60)
            self.status[method, kind, status] += 1
            if status == 200 and text.decode() != target:
                self.faults.append(f"{method} {target} got the answer of {text!r}")
            await asyncio.sleep(rng.uniform(0.9 * IDLE, 1.1 * IDLE) if rng.random() < 0.5 else rng.uniform(0, 2 * IDLE))
        writer.close()

    async def play(self, groups):
        await asyncio.gather(*(self.client(i) for i in range(groups)))


def play(server, gets, posts, rate=700, seed=1):
    """Plays on a weirtest Server that was not started yet; gives (lines, faults)."""
    groups = max(len(KINDS), int(rate * IDLE))
    peers = subprocess.Popen([sys.executable, os.path.abspath(__file__), "--peers", str(groups), "--kinds", ",".join(KINDS), "--seed", str(seed)],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        ports = json.loads(peers.stdout.readline())
        http = "".join(f"    server {{ listen 127.0.0.1:{{port}}; server_name g{i}; keepalive_requests 1000000;\n"
                       f"        access_log {{dir}}/idle.log idle;\n"
                       f"        location / {{ proxy_http_version 1.1; proxy_set_header Connection ''; proxy_pass http://u{i}; }} }}\n"
                       f"    upstream u{i} {{ server 127.0.0.1:{port}; keepalive 4; }}\n" for i, port in enumerate(ports))
        http = ("    log_format idle '$request_method $status $upstream_status';\n"
                "    server_names_hash_max_size 8192;\n" + http)
        server.start(server.compose(http=http, connections=4 * groups + 100))
        run = Run(server.port, gets, posts, seed)
        began = time.monotonic()
        asyncio.run(run.play(groups))
        took = time.monotonic() - began
        said = json.loads(peers.communicate("")[0])
    finally:
        peers.kill()
    with open(server.path("idle.log"), encoding="ascii") as file:
        again = collections.Counter(line.split()[0] for line in file if "," in line)
    lines = [f"{gets} GETs and {posts} POSTs to {groups} peers in {took:.0f} s; {said['connections']} connections, "
             f"{said['closed']} closed by peers; sent again: {again['GET']} GETs, {again['POST']} POSTs"]
    for (method, kind, status), n in sorted(run.status.items()):
        lines.append(f"  {method:4} {kind:7} {status}: {n}")
    faults = run.faults[:5]
    failed = {key: n for key, n in run.status.items() if key[2] != 200}
    faults += [f"{n} of {method} {kind} with {status}" for (method, kind, status), n in failed.items() if method == "GET"]
    # A reset says nothing of what was read before it, nor does a half-close: such a POST is answered 502.
    faults += [f"{n} of {method} {kind} with {status}" for (method, kind, status), n in failed.items()
               if method == "POST" and (status != 502 or n > max(3, posts // 100))]
    if said["twice"]:
        faults.append(f"{len(said['twice'])} POSTs were done twice: {said['twice'][:5]}")
    return lines, faults


def run_alone(gets, posts, rate, seed=1):
    sys.path[:0] = [os.path.join(HERE, "..", "func")]
    from weirtest.server import Server
    server = Server()
    try:
        lines, faults = play(server, gets, posts, rate, seed)
        server.stop()
        server.check_log()
        return lines, faults
    finally:
        server.kill()
        server.remove()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gets", type=int, default=100000)
    parser.add_argument("--posts", type=int, default=50000)
    parser.add_argument("--rate", type=int, default=700, help="requests a second, about")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--peers", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--kinds", default=",".join(KINDS), help="of peers")
    args = parser.parse_args()
    if args.peers:
        asyncio.run(serve_peers(args.peers, args.kinds.split(","), args.seed))
    lines, faults = run_alone(args.gets, args.posts, args.rate, args.seed)
    print("\n".join(lines + [f"FAULT: {text}" for text in faults]))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
