# SPDX-License-Identifier: Apache-2.0
"""A scripted peer (upstream server).

A script is a function that gets one PeerConn and plays one connection; it runs in a thread of its own.
A list of scripts serves one connection each, the last one all further ones. Instead of a script, bytes may be
given: they answer every request. What a script raises fails the test when it ends (Origin.finish)."""
import socket
import ssl
import threading
import traceback

from .client import reset
from .http1 import Closed, Stream
from .timing import LIMIT, wait_for


class PeerConn(Stream):
    """The peer's end of one connection."""

    def __init__(self, sock, origin, number):
        super().__init__(sock)
        self.origin = origin
        self.number = number
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def read_request(self, body=True):
        req = super().read_request(body)
        req.conn = self.number
        with self.origin.lock:
            self.origin.requests.append(req)
        return req

    def send(self, *pieces):
        for piece in pieces:
            self.sock.settimeout(LIMIT)
            self.sock.sendall(piece)

    def send_lenient(self, *pieces):
        """Sends what the server takes; True when that was all. For answers that it need not read to their end."""
        try:
            self.send(*pieces)
            return True
        except OSError:
            return False

    def reply(self, body=b"ok", status="200 OK", headers=()):
        """A complete response with Content-Length."""
        lines = [f"HTTP/1.1 {status}"] + [f"{k}: {v}" for k, v in headers] + [f"Content-Length: {len(body)}", "", ""]
        self.send("\r\n".join(lines).encode("latin-1") + body)

    def requests(self):
        """All requests of the connection, until it is closed between two of them."""
        while True:
            if not self.buffer and not self._fill(LIMIT * 6):
                return
            yield self.read_request()

    def wait(self, event):
        """Wait for an event of the test."""
        assert event.wait(LIMIT), "the test never set the event"

    def hold(self):
        """Never answer: wait until the server closes; returns 'eof' or 'reset'. More bytes are dropped."""
        while self._fill(LIMIT * 6):
            self.buffer.clear()
        return self.ended

    def reset(self):
        reset(self.sock)

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        self.sock.close()


def responder(data):
    def script(conn):
        for _ in conn.requests():
            conn.send(data)
    return script


class Origin:
    """Listens and plays scripts. A port of the kernel's choice stays reserved until the end of the test: a peer that was stopped
    refuses, and nobody else is met there. str() is its address as a configuration writes it. tls: an ssl.SSLContext; names: what
    clients asked for, one a handshake; refused: handshakes that failed, which is no failure of the test."""

    def __init__(self, script, path=None, host="127.0.0.1", backlog=64, port=0, tls=None):
        self.tls = tls
        self.names = []
        self.refused = []
        if tls is not None:
            tls.sni_callback = lambda sock, name, context: self.names.append(name)
        scripts = script if isinstance(script, list) else [script]
        self.scripts = [responder(s) if isinstance(s, bytes) else s for s in scripts]
        self.requests = []
        self.connections = 0
        self.errors = []
        self.lock = threading.Lock()
        self.conns = []
        self.ends = {}
        self.stopping = False
        self.holder = None
        if path:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.bind(path)
            self.name = f"unix:{path}"
        else:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self.holder = socket.socket(family, socket.SOCK_STREAM)
            self.sock = socket.socket(family, socket.SOCK_STREAM)
            if port == 0:
                self.holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                self.holder.bind((host, 0))
                port = self.holder.getsockname()[1]
            self.sock.bind((host, port))
            self.port = port
            self.name = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        self.sock.listen(backlog)
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def __str__(self):
        return self.name

    def _accept(self):
        while True:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            with self.lock:
                if self.stopping:
                    sock.close()
                    return
                number = self.connections
                self.connections += 1
                script = self.scripts[min(number, len(self.scripts) - 1)]
                conn = PeerConn(sock, self, number)
                self.conns.append(conn)
            threading.Thread(target=self._play, args=(script, conn), daemon=True).start()

    def _play(self, script, conn):
        try:
            if self.tls is None or self._shake(conn):
                script(conn)
        except Exception as error:  # every failure of a script must reach the test
            if not self.stopping:
                where = "".join(traceback.format_exception(error))
                with self.lock:
                    self.errors.append(f"peer {self.name}, connection {conn.number}: {where}")
        finally:
            try:
                conn.sock.close()
            except OSError:
                pass
            with self.lock:
                self.ends[conn.number] = conn.ended or "closed"

    def _shake(self, conn):
        try:
            conn.sock.settimeout(LIMIT)
            conn.sock = self.tls.wrap_socket(conn.sock, server_side=True)
            return True
        except (ssl.SSLError, OSError) as error:
            with self.lock:
                self.refused.append(str(error))
            return False

    def wait_requests(self, count):
        wait_for(lambda: len(self.requests) >= count, f"{count} requests at the peer")
        return self.requests

    def wait_connections(self, count):
        wait_for(lambda: self.connections >= count, f"{count} connections at the peer")

    def wait_end(self, number=0):
        """Wait until the script of a connection has ended; returns how the connection ended."""
        wait_for(lambda: number in self.ends, f"the end of connection {number} at the peer")
        return self.ends[number]

    def stop(self):
        """No more connections; cut those that are left. Scripts' errors stay in self.errors."""
        with self.lock:
            self.stopping = True
            conns = list(self.conns)
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()
        for conn in conns:
            try:
                conn.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def release(self):
        if self.holder is not None:
            self.holder.close()

    def check(self):
        assert not self.errors, "\n".join(self.errors)


__all__ = ["Origin", "PeerConn", "Closed"]
