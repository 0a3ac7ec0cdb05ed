#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""CPU time a request of weir and of nginx in front of a FastCGI application, on this machine.

    tools/appbench.py [--weir build/weir] [--nginx /usr/sbin/nginx] [--seconds 5] [--connections 32] [--size 1000]

Each server runs with one worker before the same application (a loop in this program that answers every request alike);
wrk asks. What counts is the user and system time of the server's processes divided by the requests; the application
and wrk may be as slow as they are. Runs alternate, the best of each is told."""
import argparse
import asyncio
import glob
import os
import re
import shutil
import struct
import subprocess
import tempfile
import time

CONF = """daemon off;
worker_processes 1;
pid {dir}/pid;
error_log {dir}/error.log error;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    upstream app {{ server unix:{sock}; keepalive 64; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param REQUEST_URI $request_uri;
            fastcgi_param QUERY_STRING $query_string;
            fastcgi_param CONTENT_TYPE $content_type;
            fastcgi_param CONTENT_LENGTH $content_length;
            fastcgi_param SCRIPT_NAME $fastcgi_script_name;
            fastcgi_param SERVER_PROTOCOL $server_protocol;
            fastcgi_param REMOTE_ADDR $remote_addr;
            fastcgi_param SERVER_NAME $server_name;
            fastcgi_pass app;
            fastcgi_keep_conn {keep};
        }}
    }}
}}
"""


class App(asyncio.Protocol):
    """Answers when the empty record of the body came."""

    answer = b""

    def connection_made(self, transport):
        self.transport = transport
        self.data = bytearray()
        self.keep = False

    def data_received(self, data):
        self.data += data
        while len(self.data) >= 8:
            _, kind, _, length, padding, _ = struct.unpack(">BBHHBB", self.data[:8])
            if len(self.data) < 8 + length + padding:
                return
            if kind == 1:
                self.keep = bool(self.data[10] & 1)
            del self.data[:8 + length + padding]
            if kind == 5 and length == 0:
                self.transport.write(self.answer)
                if not self.keep:
                    self.transport.close()


def cpu_of(pid):
    """Seconds of a process and its children, as far as they live."""
    total = 0.0
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path, encoding="ascii", errors="replace") as file:
                fields = file.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(path.split("/")[2]) == pid or int(fields[1]) == pid:
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def free_port():
    import socket
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


async def measure(binary, sock, keep, args):
    folder = tempfile.mkdtemp(prefix="appbench-")
    port = free_port()
    conf = os.path.join(folder, "nginx.conf")
    with open(conf, "w", encoding="ascii") as file:
        file.write(CONF.format(dir=folder, sock=sock, port=port, keep=keep))
    server = await asyncio.create_subprocess_exec(binary, "-c", conf, "-p", folder, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                break
            except OSError:
                await asyncio.sleep(0.05)
        before = cpu_of(server.pid)
        wrk = await asyncio.create_subprocess_exec("wrk", "-t", "1", "-c", str(args.connections), "-d", f"{args.seconds}s",
                                                   f"http://127.0.0.1:{port}/", stdout=subprocess.PIPE)
        text = (await wrk.communicate())[0].decode()
        spent = cpu_of(server.pid) - before
    finally:
        server.terminate()
        await server.wait()
        shutil.rmtree(folder, ignore_errors=True)
    requests = int(re.search(r"(\d+) requests in", text).group(1))
    if "Non-2xx" in text or "Socket errors" in text:
        raise SystemExit(f"{binary} failed:\n{text}")
    return spent / requests * 1e6, requests / args.seconds


async def run(args):
    folder = tempfile.mkdtemp(prefix="appbench-")
    os.chmod(folder, 0o755)
    sock = os.path.join(folder, "app.sock")
    head = b"Content-Type: text/html\r\nX-Powered-By: app\r\n\r\n"
    data = head + b"x" * args.size
    App.answer = struct.pack(">BBHHBB", 1, 6, 1, len(data), 0, 0) + data + struct.pack(">BBHHBB", 1, 3, 1, 8, 0, 0) + bytes(8)
    loop = asyncio.get_running_loop()
    listener = await loop.create_unix_server(App, sock)
    os.chmod(sock, 0o666)
    for keep in ("off", "on"):
        best = {}
        for _ in range(args.rounds):
            for binary in (args.weir, args.nginx):
                spent = await measure(binary, sock, keep, args)
                best[binary] = min(best.get(binary, spent), spent)
        for binary, (us, rate) in best.items():
            print(f"fastcgi_keep_conn {keep:3}  {os.path.basename(binary):6} {us:7.1f} us of CPU a request  ({rate:.0f} requests/s)")
    listener.close()
    shutil.rmtree(folder, ignore_errors=True)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--weir", default="build/weir")
    ap.add_argument("--nginx", default="/usr/sbin/nginx")
    ap.add_argument("--seconds", type=int, default=5)
    ap.add_argument("--connections", type=int, default=32)
    ap.add_argument("--size", type=int, default=1000)
    ap.add_argument("--rounds", type=int, default=3)
    args = ap.parse_args()
    began = time.monotonic()
    asyncio.run(run(args))
    print(f"{time.monotonic() - began:.0f} s in all, bodies of {args.size} bytes")


if __name__ == "__main__":
    main()
