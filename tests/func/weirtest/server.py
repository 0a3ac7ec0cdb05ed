# SPDX-License-Identifier: Apache-2.0
"""The server under test: writes its configuration, starts it, waits until it listens, stops it, reads its logs.

Templates: {port}, {port2}, {port_x} become free ports of the kernel's choice that stay reserved until the test ends
(a bound socket with SO_REUSEADDR keeps them from anyone who lets the kernel choose); {dir} is the server's folder;
other {name}s come from the caller. ${name} is left alone."""
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile

from .client import Client, build_request
from .timing import LIMIT, SLOW, wait_for

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
BINARY = os.environ.get("WEIR_BIN") or os.path.join(ROOT, "build", "weir")
if not os.path.isabs(BINARY):
    BINARY = os.path.join(ROOT, BINARY)
IS_NGINX = os.path.basename(BINARY) == "nginx"
WORKERS = os.environ.get("WEIR_TEST_WORKERS", "1")
WITH_KTLS = bool(os.environ.get("WEIR_TEST_KTLS"))

PLACEHOLDER = re.compile(r"(?<![$])\{([a-z_][a-z0-9_]*)\}")
BAD_LOG = re.compile(r"\[alert\]|\[crit\]|\[emerg\]|panic|Sanitizer|runtime error:|assert|leak", re.I)
# Of a build that counts lines (make cov), in a worker without root; names a source file, assert.c too.
GCOV_LOG = re.compile(r"^profiling:.*\.gcda:")

MAIN = """{main_head}
pid {dir}/server.pid;
error_log {dir}/error.log info;
events {{ worker_connections {connections}; {events} }}
http {{
    access_log off;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
{extra}{http}
{server}
}}
"""


def reserve_port():
    """A socket that reserves a free port, and the port."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("0.0.0.0", 0))
    return sock, sock.getsockname()[1]


class Server:
    """One server process (with its workers) and its folder."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="wt-")
        os.chmod(self.dir, 0o755)
        os.mkdir(os.path.join(self.dir, "logs"))
        self.names = {"dir": self.dir}
        self.holders = []
        self.clients = []
        self.binary = BINARY
        self.process = None
        self.exit_code = None
        self.allowed = []
        self.conf = os.path.join(self.dir, "nginx.conf")
        self.log_path = os.path.join(self.dir, "error.log")

    # configuration

    def expand(self, text):
        def replace(found):
            name = found[1]
            if name not in self.names and name.startswith("port"):
                sock, port = reserve_port()
                self.holders.append(sock)
                self.names[name] = port
            return str(self.names[name]) if name in self.names else found[0]
        return PLACEHOLDER.sub(replace, text)

    def compose(self, server=None, http="", main="", events="", workers=None, connections=512):
        """The text of a whole configuration. server is the inside of one server that listens on {port}."""
        head = ["daemon off;", f"worker_processes {workers or WORKERS};", main]
        if os.geteuid() == 0 and not re.search(r"^\s*user\s", main, re.M):
            head.append("user root;")
        extra = ""
        if IS_NGINX:
            extra = "".join(f"    {kind}_temp_path {self.dir}/{kind};\n" for kind in ("fastcgi", "uwsgi", "scgi"))
        block = "" if server is None else "    server {\n        listen 127.0.0.1:{port};\n" + server + "\n    }"
        return MAIN.format(main_head="\n".join(head), dir=self.dir, events=events, connections=connections,
                           extra=extra, http=http, server=block)

    def write_conf(self, text):
        text = self.expand(text)
        if WITH_KTLS and "ssl_certificate " in text and not re.search(r"^\s*ssl_conf_command", text, re.M):
            text = re.sub(r"\bhttp \{", "http { ssl_conf_command Options KTLS;", text, count=1)
        if WITH_KTLS and "proxy_pass https://" in text and "proxy_ssl_conf_command" not in text:
            text = re.sub(r"\bhttp \{", "http { proxy_ssl_conf_command Options KTLS;", text, count=1)
        with open(self.conf, "w", encoding="utf-8") as file:
            file.write(text)
        return text

    def write(self, name, data=b"", mode=0o644):
        """A file in the server's folder; folders are made."""
        path = os.path.join(self.dir, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data if isinstance(data, bytes) else self.expand(data).encode())
        os.chmod(path, mode)
        return path

    def path(self, name):
        return os.path.join(self.dir, name)

    # life

    def command(self, *args, conf=True, **more):
        """Run the program with arguments, to its end; returns CompletedProcess with text output."""
        argv = [BINARY, "-p", self.dir]
        if conf:
            argv += ["-c", self.conf]
        return subprocess.run(argv + list(args), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=LIMIT, check=False, **more)

    def start(self, text, wait=True):
        text = self.write_conf(text)
        argv = [self.binary, "-p", self.dir, "-c", self.conf, "-e", self.log_path]
        self.stderr = open(os.path.join(self.dir, "stderr.txt"), "wb")
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=self.stderr, stderr=self.stderr,
                                        start_new_session=True)
        if wait:
            for address in self._listens(text):
                wait_for(lambda a=address: self._reachable(a), f"the server to listen on {address}")
        return self

    def _listens(self, text):
        for found in re.finditer(r"(?:^|[;{\s])listen\s+(\S+?)(?:\s[^;]*)?;", text, re.M):
            value = found[1]
            if value.startswith("unix:"):
                yield value[5:]
            elif value.startswith("["):
                yield ("::1", int(value.rsplit(":", 1)[1]))
            elif ":" in value:
                host, port = value.rsplit(":", 1)
                yield ("127.0.0.1" if host in ("*", "0.0.0.0", "localhost") else host, int(port))
            elif value.isdigit():
                yield ("127.0.0.1", int(value))

    def _reachable(self, address):
        """A worker took a connection and closed it at its end. (A mere connect proves only that the kernel listens;
        a signal at that time may find a process that has no handlers yet.)"""
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended with {self.process.returncode}\n{self.evidence()}")
        try:
            with Client(address) as client:
                client.half_close()
                client.read_to_end()
            return True
        except (ConnectionError, FileNotFoundError):
            return False

    def signal(self, which):
        os.kill(self.process.pid, getattr(signal, "SIG" + which))

    def reload(self, text=None):
        """A new configuration, and the wait until all threads have it: each takes it on by itself, and an answer of one says
        nothing of the others. nginx tells when its old workers take no more."""
        pattern, more = r"configuration \d+ is being served", 1
        if IS_NGINX:
            pattern, more = r": gracefully shutting down", int(re.search(r"worker_processes (\d+)", self.read("nginx.conf"))[1])
        else:
            self.wait_log(pattern)
        count = len(re.findall(pattern, self.log()))
        if text is not None:
            self.write_conf(text)
        self.signal("HUP")
        self.wait_log(pattern, count + more)

    def wait_exit(self, limit=LIMIT):
        try:
            self.exit_code = self.process.wait(limit)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the server did not exit within {limit:.1f}s\n{self.evidence()}") from None
        return self.exit_code

    def stop(self, how="QUIT"):
        """Orderly end, with exit code 0 in time."""
        if self.process is None or self.process.poll() is not None and self.exit_code is not None:
            return
        self.close_clients()
        try:
            if self.process.poll() is None:
                self.signal(how)
            self.wait_exit(LIMIT)
        finally:
            self.kill()
        assert self.exit_code == 0, f"exit code {self.exit_code}\n{self.evidence()}"

    def kill(self):
        if self.process and self.process.poll() is None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait()

    def close_clients(self):
        for client in self.clients:
            client.close()

    def check_log(self):
        bad = [line for line in (self.log() + self.output()).splitlines()
               if BAD_LOG.search(line) and not GCOV_LOG.search(line) and not any(re.search(a, line) for a in self.allowed)]
        assert not bad, "the error log complains:\n" + "\n".join(bad[:50])

    def remove(self):
        for holder in self.holders:
            holder.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    # talking

    @property
    def port(self):
        return self.names["port"]

    def client(self, port="port", **more):
        """A new connection. port: a placeholder's name, or an address."""
        address = ("127.0.0.1", self.names[port]) if isinstance(port, str) and port.startswith("port") else port
        client = Client(address, **more)
        self.clients.append(client)
        return client

    def get(self, target="/", headers=(), port="port", **more):
        """One request on a connection of its own."""
        with self.client(port) as client:
            return client.get(target, headers, **more)

    def request(self, method, target, headers=(), body=None, port="port", **more):
        with self.client(port) as client:
            return client.request(method, target, headers, body, **more)

    def raw(self, data, method="GET", port="port"):
        with self.client(port) as client:
            return client.raw(data, method)

    # logs

    def read(self, name):
        try:
            with open(os.path.join(self.dir, name), "rb") as file:
                return file.read().decode("latin-1")
        except FileNotFoundError:
            return ""

    def log(self):
        return self.read("error.log")

    def output(self):
        return self.read("stderr.txt")

    def wait_log(self, pattern, count=1):
        """Wait until the error log has a line that matches; returns the lines."""
        def find():
            lines = [line for line in self.log().splitlines() if re.search(pattern, line)]
            return lines if len(lines) >= count else None
        try:
            return wait_for(find, f"{pattern!r} in the error log")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()[-3000:]}") from None

    def access(self, count, name="access.log"):
        """Wait until an access log has that many lines; returns all its lines."""
        def find():
            text = self.read(name)
            return text.splitlines() if text.count("\n") >= count else None
        try:
            return wait_for(find, f"{count} lines in {name}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.read(name)}") from None

    def evidence(self):
        conf = self.read("nginx.conf")
        return (f"--- {self.conf}\n{conf}\n--- error.log\n{self.log()[-8000:]}\n--- stdout and stderr\n"
                f"{self.output()[-4000:]}")


__all__ = ["Server", "BINARY", "IS_NGINX", "SLOW", "build_request"]
