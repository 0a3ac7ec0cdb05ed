# SPDX-License-Identifier: Apache-2.0
"""A scripted name server: UDP and TCP on one port of 127.0.0.1.

    ns = NameServer()
    ns.set("app.test", a=["127.0.0.1"], ttl=60)        # aaaa=[...], srv=[(priority, weight, port, target)], cname="x.test"
    ns.set("gone.test", rcode=3)                       # NXDOMAIN; a name that was never set is that, too
    ns.set("odd.test", a=[...], before=[garbage, wrong_id], delay=1, lost=1, cut=True)

`before` are functions of (query, whole answer) that give datagrams sent ahead of the answer; lost=N leaves the first
N questions over UDP unanswered; cut=True answers over UDP with TC and nothing else, tcp_ends=True ends the connection
instead of an answer; mute=("AAAA",) never answers such questions; hold() delays all answers until release().
ns.queries lists (name, type, "udp" or "tcp") of all that came, ns.marks (source port, id) of the datagrams."""
import socket
import struct
import threading

TYPES = {1: "A", 28: "AAAA", 33: "SRV", 5: "CNAME", 6: "SOA"}
NUMBERS = {name: number for number, name in TYPES.items()}


def encode(name):
    return b"".join(bytes([len(part)]) + part.encode() for part in name.strip(".").split(".") if part) + b"\0"


def record(owner, kind, ttl, data):
    return encode(owner) + struct.pack(">HHIH", NUMBERS[kind], 1, ttl, len(data)) + data


def parse_question(data):
    parts, at = [], 12
    while data[at]:
        parts.append(data[at + 1:at + 1 + data[at]].decode("latin-1"))
        at += 1 + data[at]
    number, = struct.unpack(">H", data[at + 1:at + 3])
    return ".".join(parts).lower(), TYPES.get(number, str(number)), data[12:at + 5]


def garbage(query, answer):
    return b"\xff" * 40


def wrong_id(query, answer):
    return bytes([answer[0] ^ 0x55]) + answer[1:]


def other_question(query, answer):
    """The right id, about another name."""
    body = encode("other.test") + struct.pack(">HH", 1, 1)
    return answer[:2] + struct.pack(">HHHHH", 0x8180, 1, 1, 0, 0) + body + record("other.test", "A", 60, b"\x7f\0\0\x09")


class Entry:
    def __init__(self, a=(), aaaa=(), srv=(), cname=None, ttl=60, rcode=0, soa=None, before=(), delay=0.0, lost=0, cut=False,
                 raw=None, tcp_ends=False, mute=(), spoilt=None):
        self.a, self.aaaa, self.srv, self.cname = a, aaaa, srv, cname
        self.ttl, self.rcode, self.soa = ttl, rcode, soa
        self.before, self.delay, self.lost, self.cut, self.raw = before, delay, lost, cut, raw
        self.tcp_ends, self.mute = tcp_ends, mute
        self.spoilt = spoilt             # how many answers have `before` in front; None: all

    def records(self, name, kind):
        out = []
        if self.cname:
            out.append(record(name, "CNAME", self.ttl, encode(self.cname)))
            name = self.cname
        if kind == "A":
            out += [record(name, "A", self.ttl, socket.inet_aton(a)) for a in self.a]
        elif kind == "AAAA":
            out += [record(name, "AAAA", self.ttl, socket.inet_pton(socket.AF_INET6, a)) for a in self.aaaa]
        elif kind == "SRV":
            out += [record(name, "SRV", self.ttl, struct.pack(">HHH", p, w, port) + encode(target))
                    for p, w, port, target in self.srv]
        return out


class NameServer:
    def __init__(self):
        self.entries = {}
        self.queries = []
        self.marks = []
        self.lock = threading.Lock()
        self.free = threading.Event()
        self.free.set()
        self.stopping = False
        while True:
            self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.udp.bind(("127.0.0.1", 0))
            self.port = self.udp.getsockname()[1]
            self.tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                self.tcp.bind(("127.0.0.1", self.port))
            except OSError:
                self.udp.close()
                self.tcp.close()
                continue
            break
        self.tcp.listen(16)
        for run in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=run, daemon=True).start()

    def __str__(self):
        return f"127.0.0.1:{self.port}"

    def set(self, name, **what):
        with self.lock:
            self.entries[name.lower()] = Entry(**what)

    def hold(self):
        self.free.clear()

    def release(self):
        self.free.set()

    def count(self, name, kind=None, way=None):
        with self.lock:
            return sum(n == name and kind in (None, k) and way in (None, w) for n, k, w in self.queries)

    def stop(self):
        self.stopping = True
        self.free.set()
        self.udp.close()
        for sock in (self.tcp,):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()

    def _answer(self, query, way):
        """(entry, whole answer) or None."""
        name, kind, question = parse_question(query)
        with self.lock:
            self.queries.append((name, kind, way))
            entry = self.entries.get(name) or Entry(rcode=3)
            if kind in entry.mute:
                return None
            if way == "udp" and entry.lost > 0:
                entry.lost -= 1
                return None
        if entry.raw is not None:
            return entry, query[:2] + entry.raw(question)
        records = entry.records(name, kind) if entry.rcode == 0 else []
        authority = []
        if entry.soa is not None and not records:
            data = encode("ns.test") + encode("root.test") + struct.pack(">IIIII", 1, 1, 1, 1, entry.soa)
            authority = [record("test", "SOA", entry.soa, data)]
        flags = 0x8180 | entry.rcode
        if entry.cut and way == "udp":
            flags, records = flags | 0x200, []
        head = query[:2] + struct.pack(">HHHHH", flags, 1, len(records), len(authority), 0)
        return entry, head + question + b"".join(records) + b"".join(authority)

    def _reply(self, entry, query, answer, address):
        self.free.wait(30)
        if entry.delay:
            threading.Event().wait(entry.delay)
        with self.lock:
            before = () if entry.spoilt == 0 else entry.before
            if entry.spoilt:
                entry.spoilt -= 1
        try:
            for make in before:
                self.udp.sendto(make(query, answer), address)
            self.udp.sendto(answer, address)
        except OSError:
            pass

    def _serve_udp(self):
        while not self.stopping:
            try:
                query, address = self.udp.recvfrom(4096)
            except OSError:
                return
            with self.lock:
                self.marks.append((address[1], int.from_bytes(query[:2], "big")))
            found = self._answer(query, "udp")
            if not found:
                continue
            entry, answer = found
            if entry.delay or not self.free.is_set():
                threading.Thread(target=self._reply, args=(entry, query, answer, address), daemon=True).start()
            else:
                self._reply(entry, query, answer, address)

    def _serve_tcp(self):
        while not self.stopping:
            try:
                sock, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self._serve_stream, args=(sock,), daemon=True).start()

    def _serve_stream(self, sock):
        with sock, sock.makefile("rb") as file:
            while True:
                head = file.read(2)
                if len(head) < 2:
                    return
                found = self._answer(file.read(int.from_bytes(head, "big")), "tcp")
                if not found:
                    continue
                self.free.wait(30)
                if found[0].tcp_ends:
                    return
                answer = found[1]
                try:
                    # In two pieces, as a network may do it.
                    sock.sendall(len(answer).to_bytes(2, "big") + answer[:5])
                    sock.sendall(answer[5:])
                except OSError:
                    return
