# SPDX-License-Identifier: Apache-2.0
"""A strict reader of HTTP/1.x messages: whatever RFC 9112 does not allow is a failure.

Stream is fed from a socket. Responses and requests keep their raw head for byte comparisons."""
import email.utils
import re
import socket
import ssl
import time

from .timing import LIMIT

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
STATUS_LINE = re.compile(rb"HTTP/(1\.[01]) ([1-5][0-9][0-9]) ([\t\x20-\x7e\x80-\xff]*)\Z")
REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e\x80-\xff]+) HTTP/(1\.[01])\Z")
FIELD = re.compile(rb"(" + TOKEN + rb"):[ \t]*((?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*"
                   rb"[\x21-\x7e\x80-\xff])?)?)[ \t]*\Z")
CHUNK_SIZE = re.compile(rb"[0-9a-fA-F]{1,16}\Z")


class ProtocolError(AssertionError):
    """The bytes read are not valid HTTP/1.x."""


class Closed(AssertionError):
    """The other side closed or reset while more bytes were due."""


class Fields:
    """Header fields in order; names compare without regard to case."""

    def __init__(self, items):
        self.items = items

    def all(self, name):
        return [v for k, v in self.items if k.lower() == name.lower()]

    def get(self, name, default=None):
        found = self.all(name)
        if len(found) > 1:
            raise AssertionError(f"field {name} is there {len(found)} times: {found}")
        return found[0] if found else default

    def __contains__(self, name):
        return bool(self.all(name))

    def __getitem__(self, name):
        value = self.get(name)
        if value is None:
            raise AssertionError(f"no field {name} in {self.items}")
        return value

    def names(self):
        return [k.lower() for k, _ in self.items]

    def __repr__(self):
        return repr(self.items)


class Message:
    """A request or a response."""

    def __init__(self):
        self.raw_head = b""
        self.version = ""
        self.headers = Fields([])
        self.body = b""
        self.trailers = Fields([])
        self.chunks = []
        self.framing = "none"

    @property
    def text(self):
        return self.body.decode("latin-1")


class Response(Message):
    status = 0
    reason = ""

    def __repr__(self):
        return f"<Response {self.status} {self.headers} {self.body[:200]!r}>"


class Request(Message):
    method = ""
    target = ""

    def __repr__(self):
        return f"<Request {self.method} {self.target} {self.headers} {self.body[:200]!r}>"


def parse_fields(lines):
    items = []
    for line in lines:
        found = FIELD.match(line)
        if not found:
            raise ProtocolError(f"bad field line {line!r}")
        items.append((found[1].decode(), found[2].decode("latin-1")))
    return Fields(items)


def split_head(raw):
    lines = raw.split(b"\r\n")
    for line in lines:
        if b"\n" in line or b"\r" in line or b"\0" in line:
            raise ProtocolError(f"bare CR, LF or NUL in {line!r}")
    return lines


class Stream:
    """Buffered reading with a limit of time for each call, plus plain writing."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer = bytearray()
        self.ended = None
        sock.settimeout(LIMIT)

    def _fill(self, limit=LIMIT):
        if self.ended:
            return False
        self.sock.settimeout(limit)
        try:
            data = self.sock.recv(262144)
        except ConnectionResetError:
            self.ended = "reset"
            return False
        except socket.timeout:
            raise AssertionError(f"no bytes within {limit:.1f}s; so far {bytes(self.buffer[-500:])!r}") from None
        if not data:
            self.ended = "eof"
            return False
        self.buffer += data
        return True

    def take(self, count):
        out = bytes(self.buffer[:count])
        del self.buffer[:count]
        return out

    def read_exact(self, count):
        while len(self.buffer) < count:
            if not self._fill():
                raise Closed(f"{self.ended} after {len(self.buffer)} of {count} bytes: {bytes(self.buffer[-200:])!r}")
        return self.take(count)

    def read_some(self):
        """At least one byte, whatever is there; b'' at the end."""
        if not self.buffer:
            self._fill()
        return self.take(len(self.buffer))

    def read_until(self, end, maximum=1 << 20):
        start = 0
        while True:
            at = self.buffer.find(end, start)
            if at >= 0:
                return self.take(at + len(end))
            if len(self.buffer) > maximum:
                raise ProtocolError("too long")
            start = max(0, len(self.buffer) - len(end))
            if not self._fill():
                raise Closed(f"{self.ended} while waiting for {end!r}; so far {bytes(self.buffer[-500:])!r}")

    def read_all(self):
        """Up to the orderly end. A reset raises Closed."""
        while self._fill():
            pass
        if self.ended == "reset":
            raise Closed(f"reset after {len(self.buffer)} bytes: {bytes(self.buffer[-200:])!r}")
        return self.take(len(self.buffer))

    def read_to_end(self):
        """Up to the end, orderly or reset; the kind is in self.ended."""
        while self._fill():
            pass
        return self.take(len(self.buffer))

    def expect(self, data):
        got = bytearray()
        while len(got) < len(data):
            if not self.buffer and not self._fill():
                raise AssertionError(f"{self.ended} after {bytes(got)!r}, expected {data!r}")
            got += self.take(min(len(self.buffer), len(data) - len(got)))
            if data[:len(got)] != got:
                raise AssertionError(f"expected {data!r}, got {bytes(got)!r} {bytes(self.buffer)!r}")
        return bytes(got)

    def expect_eof(self):
        """Nothing more, and an orderly end."""
        rest = self.read_all()
        if rest:
            raise AssertionError(f"bytes behind the end: {rest[:300]!r}")

    def wait_closed(self):
        """Nothing more; ended by FIN or reset. Returns which."""
        rest = self.read_to_end()
        if rest:
            raise AssertionError(f"bytes behind the end: {rest[:300]!r}")
        return self.ended

    def expect_open(self):
        """No byte and no close is here now (the caller has ordered events before)."""
        if self.buffer:
            raise AssertionError(f"unexpected bytes {bytes(self.buffer)!r}")
        self.sock.setblocking(False)
        try:
            data = self.sock.recv(1000)
        except (BlockingIOError, InterruptedError, ssl.SSLWantReadError):
            return
        except ConnectionResetError:
            data = b"(reset)"
        finally:
            self.sock.settimeout(LIMIT)
        raise AssertionError(f"expected an idle open connection, got {data!r}")

    # HTTP

    def read_head(self):
        return self.read_until(b"\r\n\r\n")

    def read_chunk(self):
        size = self.read_until(b"\r\n", 64)[:-2]
        if not CHUNK_SIZE.match(size):
            raise ProtocolError(f"bad chunk size line {size!r}")
        count = int(size, 16)
        if count == 0:
            return b""
        data = self.read_exact(count)
        if self.read_exact(2) != b"\r\n":
            raise ProtocolError("no CRLF behind a chunk")
        return data

    def read_chunked(self, message):
        while True:
            data = self.read_chunk()
            if not data:
                break
            message.chunks.append(data)
        message.body = b"".join(message.chunks)
        lines = []
        while True:
            line = self.read_until(b"\r\n")[:-2]
            if not line:
                break
            lines += split_head(line)
        message.trailers = parse_fields(lines)

    def read_body(self, message, none_allowed):
        coding = message.headers.all("Transfer-Encoding")
        length = message.headers.all("Content-Length")
        if coding and length:
            raise ProtocolError("Transfer-Encoding beside Content-Length")
        if coding:
            if coding != ["chunked"] or message.version != "1.1":
                raise ProtocolError(f"bad Transfer-Encoding {coding} in HTTP/{message.version}")
            message.framing = "chunked"
            self.read_chunked(message)
        elif length:
            if len(length) != 1 or not re.match(r"[0-9]+\Z", length[0]):
                raise ProtocolError(f"bad Content-Length {length}")
            message.framing = "length"
            message.body = self.read_exact(int(length[0]))
        elif not none_allowed:
            message.framing = "close"
            message.body = self.read_all()

    def read_request(self, body=True):
        """Read and check one request; body=False leaves the body unread."""
        raw = self.read_head()
        lines = split_head(raw[:-4])
        found = REQUEST_LINE.match(lines[0])
        if not found:
            raise ProtocolError(f"bad request line {lines[0]!r}")
        req = Request()
        req.raw_head = raw
        req.method, req.target, req.version = (found[i].decode("latin-1") for i in (1, 2, 3))
        req.headers = parse_fields(lines[1:])
        if req.version == "1.1" and len(req.headers.all("Host")) != 1:
            raise ProtocolError(f"not one Host: {req.headers}")
        if body:
            self.read_body(req, none_allowed=True)
        return req

    def read_response_head(self, method="GET", interim=False, date=False):
        raw = self.read_head()
        lines = split_head(raw[:-4])
        found = STATUS_LINE.match(lines[0])
        if not found:
            raise ProtocolError(f"bad status line {lines[0]!r}")
        resp = Response()
        resp.raw_head = raw
        resp.version = found[1].decode()
        resp.status = int(found[2])
        resp.reason = found[3].decode("latin-1")
        resp.headers = parse_fields(lines[1:])
        resp.method = method
        if resp.status < 200:
            if interim:
                return resp
            raise ProtocolError(f"unexpected interim response {raw!r}")
        if date:
            self._check_date(resp)
        connection = resp.headers.get("Connection")
        if connection is not None and not connection:
            raise ProtocolError("empty Connection")
        return resp

    @staticmethod
    def _check_date(resp):
        stamp = email.utils.parsedate_to_datetime(resp.headers["Date"])
        if abs(stamp.timestamp() - time.time()) > 120:
            raise ProtocolError(f"Date is off: {resp.headers['Date']}")
        if email.utils.format_datetime(stamp, usegmt=True) != resp.headers["Date"]:
            raise ProtocolError(f"Date is not in IMF form: {resp.headers['Date']}")

    def read_response(self, method="GET", date=False):
        resp = self.read_response_head(method, date=date)
        if method == "HEAD" or resp.status in (204, 304):
            if resp.headers.all("Content-Length") and resp.headers.all("Transfer-Encoding"):
                raise ProtocolError("both framings")
            return resp
        self.read_body(resp, none_allowed=False)
        return resp
