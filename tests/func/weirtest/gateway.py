# SPDX-License-Identifier: Apache-2.0
"""The peers' ends of FastCGI, uwsgi, SCGI and memcached, strict readers and plain writers, for scripts of Origin."""
import struct

BEGIN, ABORT, END, PARAMS, STDIN, STDOUT, STDERR, DATA, GET_VALUES = range(1, 10)


class Wrong(AssertionError):
    """The bytes read are not valid for the protocol."""


class AppRequest:
    """What an application was asked: params in the order of the wire, the body, and what else the protocol tells."""

    def __init__(self):
        self.pairs = []
        self.body = b""
        self.conn = 0

    @property
    def params(self):
        return {k.decode("latin-1"): v.decode("latin-1") for k, v in self.pairs}

    def all(self, name):
        return [v.decode("latin-1") for k, v in self.pairs if k.decode("latin-1") == name]

    @property
    def names(self):
        return [k.decode("latin-1") for k, _ in self.pairs]


def take(conn, n):
    """Exactly n bytes of the connection."""
    while len(conn.buffer) < n:
        if not conn._fill():
            raise Wrong(f"closed with {bytes(conn.buffer)!r}, wanted {n} bytes")
    data = bytes(conn.buffer[:n])
    del conn.buffer[:n]
    return data


def keep(conn, req):
    req.conn = conn.number
    with conn.origin.lock:
        conn.origin.requests.append(req)
    return req


# --- FastCGI ---

def record(kind, data=b"", padding=0, request=1, version=1):
    return struct.pack(">BBHHBB", version, kind, request, len(data), padding, 0) + data + bytes(padding)


def out(data, size=65528, padding=None):
    """Bytes as STDOUT records; without an end."""
    return b"".join(record(STDOUT, data[i:i + size], (-len(data[i:i + size])) % 8 if padding is None else padding)
                    for i in range(0, len(data), size))


def end(status=0, protocol=0):
    return record(END, struct.pack(">IB3x", status, protocol))


def answer(body=b"ok", head=b"Content-Type: text/plain\r\n"):
    return out(head + b"\r\n" + body) + record(STDOUT) + end()


def read_record(conn):
    version, kind, request, length, padding, zero = struct.unpack(">BBHHBB", take(conn, 8))
    if version != 1 or zero != 0:
        raise Wrong(f"record header {version} {kind} {request} {length} {padding} {zero}")
    data = take(conn, length)
    take(conn, padding)
    return kind, request, data


def split_pairs(data):
    pairs = []

    def number():
        nonlocal data
        if data[0] < 128:
            n, data = data[0], data[1:]
        else:
            n, data = struct.unpack(">I", data[:4])[0] & 0x7fffffff, data[4:]
        return n

    while data:
        k = number()
        v = number()
        if len(data) < k + v:
            raise Wrong("a pair is longer than the params")
        pairs.append((data[:k], data[k:k + v]))
        data = data[k + v:]
    return pairs


def begin_fastcgi(conn):
    """The request up to the end of its params."""
    req = AppRequest()
    kind, req.id, data = read_record(conn)
    if kind != BEGIN or len(data) != 8:
        raise Wrong(f"the first record is {kind} {data!r}")
    req.role, req.flags = struct.unpack(">HB5x", data)
    params = b""
    req.param_records = []
    while True:
        kind, request, data = read_record(conn)
        if kind != PARAMS or request != req.id:
            raise Wrong(f"record {kind} among the params")
        if not data:
            break
        req.param_records.append(len(data))
        params += data
    req.pairs = split_pairs(params)
    req.stdin_records = []
    return req


def read_stdin(conn, req):
    """One more record of the body; False: that was its end."""
    kind, request, data = read_record(conn)
    if kind != STDIN or request != req.id:
        raise Wrong(f"record {kind} in the body")
    req.body += data
    req.stdin_records.append(len(data))
    return bool(data)


def read_fastcgi(conn):
    req = begin_fastcgi(conn)
    while read_stdin(conn, req):
        pass
    return keep(conn, req)


def fastcgi_requests(conn):
    """All requests of the connection."""
    while conn.buffer or conn._fill():
        yield read_fastcgi(conn)


# --- uwsgi ---

def read_uwsgi(conn):
    req = AppRequest()
    req.modifier1, size, req.modifier2 = struct.unpack("<BHB", take(conn, 4))
    data = take(conn, size)
    while data:
        k = struct.unpack("<H", data[:2])[0]
        name, data = data[2:2 + k], data[2 + k:]
        v = struct.unpack("<H", data[:2])[0]
        value, data = data[2:2 + v], data[2 + v:]
        if len(name) != k or len(value) != v:
            raise Wrong("a pair is longer than the packet")
        req.pairs.append((name, value))
    req.body = take(conn, int(req.params.get("CONTENT_LENGTH") or 0))
    return keep(conn, req)


# --- SCGI ---

def read_scgi(conn):
    req = AppRequest()
    size = b""
    while not size.endswith(b":"):
        size += take(conn, 1)
    data = take(conn, int(size[:-1]))
    if take(conn, 1) != b"," or not data.endswith(b"\0"):
        raise Wrong("the headers are no netstring")
    words = data[:-1].split(b"\0")
    if len(words) % 2:
        raise Wrong(f"odd headers {words}")
    req.pairs = list(zip(words[::2], words[1::2]))
    if req.pairs[0][0] != b"CONTENT_LENGTH":
        raise Wrong(f"first header {req.pairs[0]}")
    req.body = take(conn, int(req.pairs[0][1]))
    return keep(conn, req)


# --- memcached ---

def read_get(conn):
    """The key of a "get KEY" line."""
    req = AppRequest()
    line = b""
    while not line.endswith(b"\r\n"):
        line += take(conn, 1)
    if not line.startswith(b"get "):
        raise Wrong(f"line {line!r}")
    req.key = line[4:-2].decode("latin-1")
    return keep(conn, req)


def value(req, data, flags=0):
    return b"VALUE %s %d %d\r\n" % (req.key.encode("latin-1"), flags, len(data)) + data + b"\r\nEND\r\n"


# --- FastCGI, uwsgi and SCGI alike ---

class App:
    """One of the three protocols that carry CGI, for tests that hold for all of them."""

    def __init__(self, name, read, wrap):
        self.name = name
        self.read = read
        self.wrap = wrap

    def __repr__(self):
        return self.name

    def conf(self, text):
        """"app_" in front of a directive becomes the protocol's."""
        return text.replace("app_", self.name + "_")

    def answer(self, body=b"ok", head=b"Content-Type: text/plain\r\n"):
        return self.wrap(head + b"\r\n" + body)

    def script(self, body=b"ok", head=b"Content-Type: text/plain\r\n"):
        """Answers one request and closes."""
        def play(conn):
            self.read(conn)
            conn.send(self.answer(body, head))
        return play


FASTCGI = App("fastcgi", read_fastcgi, lambda data: out(data) + record(STDOUT) + end())
UWSGI = App("uwsgi", read_uwsgi, lambda data: data)
SCGI = App("scgi", read_scgi, lambda data: data)
APPS = [FASTCGI, UWSGI, SCGI]
