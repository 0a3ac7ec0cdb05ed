#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a static file, a map, a rewrite cost: processor time a request of weir and of nginx, side by side.

  tools/bench_static.py                        # build/weir beside /usr/sbin/nginx, all workloads
  tools/bench_static.py --workloads 1k,1m-cache --rounds 9 --seconds 2
  tools/bench_static.py --calls                # system calls a request instead, exactly, by strace

Both serve the same folder by the same configuration with one worker. The load is a closed loop of keep-alive connections
in this process; what counts is the time that the server's threads ran (user and system, /proc/PID/task/*/schedstat), so a
slow client makes no difference. The programs take turns, and the ratio is taken round by round; its median and range are
printed. Exit code 1: a ratio's range lies above 1.00 as a whole."""
import argparse
import glob
import os
import re
import select
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

SIZES = {"1k": 1024, "16k": 16384, "1m": 1 << 20}
WAYS = {"": "", "cache": "open_file_cache max=1000 inactive=60s; open_file_cache_valid 60s;", "nosendfile": "sendfile off;", "pool": "aio threads;",
        "range": "", "304": "", "map": "return 200 $mapped;", "mapre": "return 200 $matched;",
        "rewrite": "rewrite ^/rewrite/([a-z0-9]+)$ /moved/$1?from=$host last;"}
ONLY = {"range": "1m", "304": "1m", "map": "1k", "mapre": "1k", "rewrite": "1k"}
MAP = "".join(f"        /map/file{n}.html value{n};\n" for n in range(1000)) + "        /map/1k found;\n"
CONF = """
worker_processes 1; daemon off; {user}
error_log {dir}/error.log error; pid {dir}/pid;
events {{ worker_connections 1024; }}
http {{
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; keepalive_timeout 1h;
    default_type application/octet-stream;
    map_hash_max_size 65536; map_hash_bucket_size 128;
    map $uri $mapped {{ default none;
{map}    }}
    map $http_host $matched {{ default none; ~^www[0-9]+\\. www; "~^(?<first>[a-z]+)$" "host $first"; ~x$ x; }}
    server {{
        location /moved/ {{ return 200 "$uri $args"; }}
        listen 127.0.0.1:{port}; root {dir}/files;
        {locations}
    }}
}}
"""


class Server:
    def __init__(self, name, binary, folder):
        self.name, self.binary = name, binary
        self.folder = os.path.join(folder, name)
        os.makedirs(self.folder + "/files")
        for size, count in SIZES.items():
            with open(f"{self.folder}/files/{size}", "wb") as file:
                file.write(os.urandom(count))
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.port = sock.getsockname()[1]
        locations = "".join(f"location /{way}/ {{ alias {self.folder}/files/; {lines} }}\n" for way, lines in WAYS.items() if way)
        conf = self.folder + "/conf"
        with open(conf, "w", encoding="ascii") as file:
            file.write(CONF.format(map=MAP, dir=self.folder, port=self.port, locations=locations, user="user root;" if os.geteuid() == 0 else ""))
        self.process = subprocess.Popen([binary, "-c", conf, "-p", self.folder], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                break
            except OSError:
                time.sleep(0.05)
        else:
            sys.exit(f"{name} does not start: see {self.folder}/error.log")

    def pids(self):
        found, todo = [], [self.process.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            for path in glob.glob(f"/proc/{pid}/task/*/children"):
                with open(path, encoding="ascii") as file:
                    todo += [int(x) for x in file.read().split()]
        return found

    def cpu_ns(self):
        total = 0
        for pid in self.pids():
            for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
                with open(path, encoding="ascii") as file:
                    total += int(file.read().split()[0])
        return total

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


class Load:
    """A closed loop of connections; each answer must be whole."""

    def __init__(self, server, way, size, conns):
        path = f"/{way}/{size}" if way else f"/{size}"
        more = {"range": "Range: bytes=100-199\r\n"}.get(way, "")
        if way == "304":
            more = f'If-None-Match: {self.etag_of(server, path)}\r\n'
        self.request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n".encode()
        self.status = {"range": b"206", "304": b"304"}.get(way, b"200")
        self.buffer = bytearray(1 << 20)
        self.socks = {}
        self.poll = select.epoll()
        for _ in range(conns):
            sock = socket.create_connection(("127.0.0.1", server.port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.socks[sock.fileno()] = [sock, 0]
            self.poll.register(sock.fileno(), select.EPOLLIN)

    @staticmethod
    def etag_of(server, path):
        with socket.create_connection(("127.0.0.1", server.port)) as sock:
            sock.sendall(f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            head = b""
            while data := sock.recv(65536):
                head += data
        return re.search(rb"(?i)\r\netag: *([^\r]*)", head).group(1).decode()

    def take(self, entry):
        """True: the answer is whole."""
        sock = entry[0]
        n = sock.recv_into(self.buffer)
        if n == 0:
            sys.exit("the server closed a connection")
        if entry[1] == 0:
            head = bytes(self.buffer[:min(n, 4096)])
            end = head.find(b"\r\n\r\n")
            if end < 0 or head[9:12] != self.status:
                sys.exit(f"a wrong answer: {head[:200]}")
            length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head[:end])
            entry[1] = end + 4 + (int(length.group(1)) if length and self.status != b"304" else 0)
        entry[1] -= n
        return entry[1] == 0

    def run(self, seconds=None, count=None):
        """Requests answered."""
        done = started = 0
        end = time.monotonic() + seconds if seconds else None
        running = set()
        for fd, entry in self.socks.items():
            if count is None or started < count:
                entry[0].send(self.request)
                running.add(fd)
                started += 1
        while running:
            for fd, _ in self.poll.poll():
                entry = self.socks[fd]
                if not self.take(entry):
                    continue
                done += 1
                if (end and time.monotonic() < end) or (count and started < count):
                    entry[0].send(self.request)
                    started += 1
                else:
                    running.discard(fd)
        return done

    def close(self):
        for sock, _ in self.socks.values():
            sock.close()
        self.poll.close()


def workloads(wanted):
    every = [(way, size) for size in SIZES for way in WAYS if ONLY.get(way, size) == size]
    names = {(f"{size}-{way}" if way else size): (way, size) for way, size in every}
    if wanted:
        return {name: names[name] for name in wanted.split(",")}
    return names


def bench(servers, args):
    bad = False
    print(f"{'workload':16} " + " ".join(f"{s.name + ' us/req':>14}" for s in servers) + "   ratio (range)")
    for name, (way, size) in workloads(args.workloads).items():
        costs = {s.name: [] for s in servers}
        loads = {s.name: Load(s, way, size, args.conns) for s in servers}
        for load in loads.values():
            load.run(count=args.conns * 4)
        for _ in range(args.rounds):
            for server in servers:
                before = server.cpu_ns()
                done = loads[server.name].run(seconds=args.seconds)
                costs[server.name].append((server.cpu_ns() - before) / done / 1000)
        for load in loads.values():
            load.close()
        ratios = [a / b for a, b in zip(costs[servers[1].name], costs[servers[0].name])] if len(servers) > 1 else [0]
        bad = bad or min(ratios) > 1.0
        print(f"{name:16} " + " ".join(f"{statistics.median(costs[s.name]):14.2f}" for s in servers) +
              f"   {statistics.median(ratios):.2f} ({min(ratios):.2f} - {max(ratios):.2f})", flush=True)
    return bad


def count_calls(servers, args):
    for name, (way, size) in workloads(args.workloads).items():
        for server in servers:
            load = Load(server, way, size, args.conns)
            load.run(count=args.conns * 2)
            out = server.folder + "/strace"
            attach = [word for pid in server.pids() for word in ("-p", str(pid))]
            tracer = subprocess.Popen(["strace", "-f", "-c", "-o", out, *attach], stderr=subprocess.PIPE)
            for _ in server.pids():
                tracer.stderr.readline()
            done = load.run(count=args.requests)
            tracer.send_signal(signal.SIGINT)
            tracer.wait()
            load.close()
            rows = []
            with open(out, encoding="ascii") as file:
                for line in file:
                    words = line.split()
                    if len(words) >= 5 and words[0][0].isdigit() and words[-1] != "total":
                        rows.append((int(words[3]), words[-1]))
            total = sum(calls for calls, _ in rows) / done
            print(f"{name:16} {server.name:8} {total:6.2f} calls a request: " +
                  ", ".join(f"{call} {calls / done:.2f}" for calls, call in sorted(rows, reverse=True) if calls / done >= 0.005), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weir", default="build/weir")
    parser.add_argument("--nginx", default="/usr/sbin/nginx", help="the one that is compared with; empty: none")
    parser.add_argument("--workloads", default="", help="of: " + ",".join(workloads("")))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--conns", type=int, default=32)
    parser.add_argument("--requests", type=int, default=2000, help="of --calls")
    parser.add_argument("--calls", action="store_true")
    args = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="weir-static-")
    servers = []
    try:
        if args.nginx:
            servers.append(Server("nginx", args.nginx, folder))
        servers.append(Server("weir", os.path.abspath(args.weir), folder))
        bad = count_calls(servers, args) if args.calls else bench(servers, args)
    finally:
        for server in servers:
            server.stop()
        shutil.rmtree(folder)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
