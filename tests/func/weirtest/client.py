# SPDX-License-Identifier: Apache-2.0
"""A raw HTTP/1 client: sends exactly the bytes it is told to, reads strictly."""
import socket
import struct

from .http1 import Stream
from .timing import LIMIT


def reset(sock):
    """Close with a reset instead of a FIN."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except OSError:
        pass
    sock.close()


def build_request(method, target, headers=(), body=None, version="1.1", host="localhost"):
    """Bytes of a request. Host is added unless given or host=None; Content-Length when there is a body."""
    headers = list(headers.items() if isinstance(headers, dict) else headers)
    names = [name.lower() for name, _ in headers]
    lines = [f"{method} {target} HTTP/{version}"]
    if host is not None and "host" not in names:
        lines.append(f"Host: {host}")
    lines += [f"{name}: {value}" for name, value in headers]
    if body is not None and "content-length" not in names and "transfer-encoding" not in names:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines + ["", ""]).encode("latin-1") + (body or b"")


class Client(Stream):
    """One connection to the server under test. tls: an ssl.SSLContext; name: what it asks for; session: to resume; prefix: bytes
    that go before all that (a header of the PROXY protocol)."""

    def __init__(self, address, rcvbuf=None, tls=None, name=None, session=None, prefix=b""):
        family = socket.AF_UNIX if isinstance(address, str) else \
            (socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        sock = socket.socket(family, socket.SOCK_STREAM)
        if rcvbuf:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        sock.settimeout(LIMIT)
        sock.connect(address)
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if prefix:
            sock.sendall(prefix)
        if tls is not None:
            try:
                sock = tls.wrap_socket(sock, server_hostname=name, session=session)
            except BaseException:
                sock.close()
                raise
        super().__init__(sock)

    def send(self, *pieces):
        """Each piece leaves in a segment of its own as far as the kernel lets us."""
        for piece in pieces:
            self.sock.settimeout(LIMIT)
            self.sock.sendall(piece)

    def send_lenient(self, data):
        """Send what the server takes; True when all was taken. For bodies that the server refuses."""
        try:
            self.sock.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def request(self, method, target, headers=(), body=None, **more):
        self.send(build_request(method, target, headers, body, **more))
        return self.read_response(method, date=more.get("date", False))

    def get(self, target="/", headers=(), **more):
        return self.request("GET", target, headers, **more)

    def raw(self, data, method="GET"):
        """Send bytes, read one response."""
        self.send(data)
        return self.read_response(method)

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        reset(self.sock)

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
