#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""CPU per request of responses that filters change, weir beside nginx.

  tools/bench_gzip.py [--weir build/weir] [--nginx /usr/sbin/nginx] [--rounds N] [--only NAME]

Both get the same configuration and files. A round asks one of them for a fixed number of responses over 16 connections, one
on each at a time, and reads the run time of all its processes before and after (nanoseconds, /proc/PID/task/*/schedstat); rounds alternate, the
ratio is taken round by round. Workloads of brotli and zstd are weir's alone: their figure stands without a ratio."""
import argparse
import glob
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

CONNECTIONS = 16
TEXT = "".join(f"<li><a href='/item/{i}'>entry {i * 7919 % 1000}</a> some words of a page that repeat, {i * i}</li>\n" for i in range(40000)).encode()
SIZES = {"1k": 1 << 10, "10k": 10 << 10, "100k": 100 << 10, "1m": 1 << 20}

# name: location, size, requests a round, Accept-Encoding, weir only
WORK = {
    "plain-10k": ("/plain/", "10k", 4000, None, False),
    "headers-1k": ("/headers/", "1k", 4000, None, False),
    "gzip-1k": ("/gzip/", "1k", 4000, "gzip", False),
    "gzip-10k": ("/gzip/", "10k", 3000, "gzip", False),
    "gzip-100k": ("/gzip/", "100k", 500, "gzip", False),
    "gzip-1m": ("/gzip/", "1m", 60, "gzip", False),
    "gzip6-100k": ("/gzip6/", "100k", 200, "gzip", False),
    "gzip-static-10k": ("/static/", "10k", 4000, "gzip", False),
    "sub-100k": ("/sub/", "100k", 1000, None, False),
    "charset-10k": ("/charset/", "10k", 4000, None, False),
    "brotli4-100k": ("/brotli/", "100k", 200, "br", True),
    "zstd-10k": ("/zstd/", "10k", 3000, "zstd", True),
    "zstd-100k": ("/zstd/", "100k", 500, "zstd", True),
}

LOCATIONS = """
    location /plain/ { alias DIR/h/; }
    location /headers/ { add_header X-Frame-Options DENY; add_header X-Content-Type-Options nosniff; add_header Referrer-Policy same-origin;
        add_header X-Host $host; add_header Strict-Transport-Security max-age=63072000 always; expires 1h; alias DIR/h/; }
    location /gzip/ { gzip on; alias DIR/h/; }
    location /gzip6/ { gzip on; gzip_comp_level 6; alias DIR/h/; }
    location /static/ { gzip_static on; alias DIR/h/; }
    location /sub/ { sub_filter_once off; sub_filter words WORDS; sub_filter "entry 7" seven; alias DIR/h/; }
    location /charset/ { charset utf-8; alias DIR/h/; }
"""
OURS = """
    location /brotli/ { brotli on; brotli_comp_level 4; alias DIR/h/; }
    location /zstd/ { zstd on; alias DIR/h/; }
"""


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Server:
    def __init__(self, binary, folder, is_ours):
        self.port, self.dir = free_port(), tempfile.mkdtemp(dir=folder)
        text = f"""daemon off; worker_processes 1; pid {self.dir}/pid; error_log {self.dir}/error.log; events {{ }}
            http {{ access_log off; sendfile on; keepalive_requests 1000000; types {{ text/html html; }}
            server {{ listen 127.0.0.1:{self.port}; {LOCATIONS.replace("DIR", folder)} {OURS.replace("DIR", folder) if is_ours else ""} }} }}"""
        with open(self.dir + "/conf", "w", encoding="ascii") as out:
            out.write(text)
        os.mkdir(self.dir + "/logs")
        self.process = subprocess.Popen([binary, "-p", self.dir, "-c", self.dir + "/conf"])
        end = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                break
            except OSError:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise SystemExit(f"{binary} does not start") from None
                time.sleep(0.05)
        self.socks = [socket.create_connection(("127.0.0.1", self.port)) for _ in range(CONNECTIONS)]
        for sock in self.socks:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.readers = [sock.makefile("rb", 1 << 18) for sock in self.socks]

    def pids(self):
        found, todo = [], [self.process.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            for name in glob.glob(f"/proc/{pid}/task/*/children"):
                with open(name, encoding="ascii") as f:
                    todo += [int(n) for n in f.read().split()]
        return found

    def cpu_ns(self):
        total = 0
        for pid in self.pids():
            for name in glob.glob(f"/proc/{pid}/task/*/schedstat"):
                with open(name, encoding="ascii") as f:
                    total += int(f.read().split()[0])
        return total

    def ask(self, request):
        """One response on each connection; the bytes of a body."""
        for sock in self.socks:
            sock.sendall(request)
        return [self.read(reader) for reader in self.readers][-1]

    @staticmethod
    def read(reader):
        status = reader.readline()
        if b" 200 " not in status:
            raise SystemExit(f"unexpected answer {status!r}")
        length, chunked, count = 0, False, 0
        while (line := reader.readline()) not in (b"\r\n", b""):
            low = line.lower()
            if low.startswith(b"content-length:"):
                length = int(low.split(b":")[1])
            chunked = chunked or low.startswith(b"transfer-encoding: chunked")
        if not chunked:
            return len(reader.read(length))
        while (size := int(reader.readline(), 16)) > 0:
            count += len(reader.read(size))
            reader.read(2)
        reader.readline()
        return count

    def stop(self):
        for sock in self.socks:
            sock.close()
        self.process.terminate()
        self.process.wait(20)


def run(server, work):
    place, size, count, accept, _ = work
    request = f"GET {place}{size}.html HTTP/1.1\r\nHost: localhost\r\n{'Accept-Encoding: ' + accept if accept else 'X: y'}\r\n\r\n".encode()
    sent = server.ask(request)
    before = server.cpu_ns()
    count = max(count // CONNECTIONS, 3)
    for _ in range(count):
        server.ask(request)
    return (server.cpu_ns() - before) / count / CONNECTIONS / 1000, sent


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weir", default="build/weir")
    parser.add_argument("--nginx", default="/usr/sbin/nginx")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="weir-bench-")
    os.chmod(folder, 0o755)
    os.mkdir(folder + "/h")
    for name, size in SIZES.items():
        with open(f"{folder}/h/{name}.html", "wb") as out:
            out.write(TEXT[:size])
        subprocess.run(["gzip", "-k", f"{folder}/h/{name}.html"], check=True)
    ours = Server(args.weir, folder, True)
    other = Server(args.nginx, folder, False) if os.access(args.nginx, os.X_OK) else None
    try:
        print(f"{'workload':18} {'nginx us':>9} {'weir us':>9} {'ratio':>6}  {'spread':13} {'bytes nginx':>11} {'weir':>8}")
        for name, work in WORK.items():
            if args.only not in name:
                continue
            theirs, mine, ratios, sizes = [], [], [], [0, 0]
            for _ in range(args.rounds):
                if other and not work[4]:
                    figure, sizes[0] = run(other, work)
                    theirs.append(figure)
                figure, sizes[1] = run(ours, work)
                mine.append(figure)
                if theirs:
                    ratios.append(mine[-1] / theirs[-1])
            row = f"{name:18} {statistics.median(theirs) if theirs else 0:9.1f} {statistics.median(mine):9.1f}"
            row += f" {statistics.median(ratios):6.2f}  {min(ratios):.2f} .. {max(ratios):.2f} " if ratios else f" {'-':>6}  {'':13}"
            print(row + f" {sizes[0]:11} {sizes[1]:8}", flush=True)
    finally:
        ours.stop()
        if other:
            other.stop()
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
