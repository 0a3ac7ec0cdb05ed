# SPDX-License-Identifier: Apache-2.0
"""The matrix: how the response is relayed x how it is framed x how fast the client is x what is asked x the transport x how
the peer ends. Each cell checks the bytes, the status, the log line, the connection to the peer and the counters.

The transport "tls" is TLS to the client and to the peer, with a certificate made by openssl; WEIR_TEST_TLS=0 leaves it out."""
import hashlib
import os
import random
import shutil
import ssl
import subprocess
import threading

import pytest

from weirtest.client import build_request
from weirtest.http1 import Closed
from weirtest.timing import wait_for

TRANSPORTS = ["plain"] + (["tls"] if os.environ.get("WEIR_TEST_TLS") != "0" and shutil.which("openssl") else [])
FRAMINGS = ("length", "chunked", "close")
ENDS = ("whole", "truncated", "reset")
PACES = ("fast", "slow")
ASKS = {"get": ("GET", None), "head": ("HEAD", None), "post0": ("POST", b""), "post-small": ("POST", b"small body"),
        "post-large": ("POST", random.Random(3).randbytes(300000))}
SIZE = {"fast": 40000, "slow": 400000}   # of the response
PATTERN = random.Random(4).randbytes(SIZE["slow"])
CELLS = [(mode, framing, pace, ask, transport, end) for transport in TRANSPORTS for mode in ("on", "off")
         for framing in FRAMINGS for pace in PACES for ask in ASKS for end in ENDS]


def answer(conn):
    """Plays every request of a connection; the target says what: /framing/end/size/number. Tells whether the last response
    was less than it said."""
    for req in conn.requests():
        if req.target == "/ping":
            conn.reply(str(conn.number).encode())
            continue
        _, framing, end, size, _ = req.target.split("/")
        body = PATTERN[:int(size)]
        sent = body if end == "whole" else body[:len(body) * 3 // 5]
        head = {"length": f"Content-Length: {len(body)}\r\n", "chunked": "Transfer-Encoding: chunked\r\n",
                "close": ""}[framing]
        conn.send(f"HTTP/1.1 200 OK\r\nX-Got: {hashlib.md5(req.body).hexdigest()}\r\n{head}\r\n".encode())
        if req.method != "HEAD":
            try:
                send_body(conn, framing, sent, end == "whole")
            except OSError:
                return False  # the other side gave up: the test looks at what it got
        if end == "reset":
            conn.reset()
        if end != "whole" or framing == "close":
            return end == "truncated" and framing != "close"
    return False


def send_body(conn, framing, data, is_whole):
    for at in range(0, len(data), 16000):
        part = data[at:at + 16000]
        conn.send(b"%x\r\n%s\r\n" % (len(part), part) if framing == "chunked" else part)
    if framing == "chunked" and is_whole:
        conn.send(b"0\r\n\r\n")


def make_certificate(folder):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"],
                   check=True, capture_output=True)
    return f"{folder}/cert.pem", f"{folder}/key.pem"


class Field:
    """The servers of the matrix: one origin for each transport, a port for each mode and transport."""

    def __init__(self, bench, folder):
        self.origins, parts, names = {}, [], {}
        if "tls" in TRANSPORTS:
            self.certificate = make_certificate(folder)
        for transport in TRANSPORTS:
            self.origins[transport] = bench.origin(self.script(transport))
            for mode in ("on", "off"):
                names[f"up_{transport}"] = str(self.origins[transport])
                parts.append(self.server(transport, mode))
        http = ("log_format m '$request_uri|$status|$upstream_status|$upstream_bytes_received|$upstream_response_length|"
                "$body_bytes_sent|$upstream_addr'; proxy_http_version 1.1; proxy_set_header Connection ''; "
                + "".join(f"upstream {t}_{m} {{ server {{up_{t}}}; keepalive 4; }} " for t in TRANSPORTS for m in ("on", "off"))
                + "".join(parts))
        self.bench = bench.server(http=http, workers=1, **names)

    def script(self, transport):
        if transport == "plain":
            return answer
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.certificate)

        def play(conn):
            conn.sock = context.wrap_socket(conn.sock, server_side=True)
            is_short = answer(conn)
            if conn.sock.fileno() != -1:
                try:
                    conn.sock.unwrap()
                except ssl.SSLEOFError:  # Debian 12's Python does not tell
                    if not is_short:     # whose response was short is left without a goodbye
                        raise
        return play

    def server(self, transport, mode):
        tls = transport == "tls"
        keys = "ssl_certificate %s; ssl_certificate_key %s;" % self.certificate if tls else ""
        return (f"server {{ listen 127.0.0.1:{{port_{transport}_{mode}}} {'ssl ' if tls else ''}sndbuf=16k; {keys} "
                f"access_log {{dir}}/access.log m; client_max_body_size 1m; location / {{ "
                f"proxy_request_buffering {mode}; proxy_buffering {mode}; proxy_pass http{'s' if tls else ''}://{transport}_{mode}; }} }} ")

    def client(self, transport, mode, pace):
        client = self.bench.client(f"port_{transport}_{mode}",
                                   **({"rcvbuf": 8192} if pace == "slow" else {}))
        if transport == "tls":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            client.sock = context.wrap_socket(client.sock, server_hostname="localhost")
        return client


@pytest.fixture(scope="module")
def field(weir_shared, tmp_path_factory):
    return Field(weir_shared, tmp_path_factory.mktemp("matrix"))


def ping(field, transport, mode):
    """The number of the connection to the peer that a next request gets."""
    client = field.client(transport, mode, "fast")
    client.send(build_request("GET", "/ping", {"Connection": "close"}))
    return int(client.read_response().text)


def read_slowly(client):
    """Takes little at a time, and lets the other threads run in between."""
    def part(limit=30):
        client.sock.settimeout(limit)
        try:
            data = client.sock.recv(4096)
        except ConnectionResetError:
            client.ended = "reset"
            return False
        if not data:
            client.ended = "eof"
            return False
        client.buffer += data
        threading.Event().wait(0.0005)
        return True
    client._fill = part


NUMBER = iter(range(1, 1000000))


@pytest.mark.weir_only("nginx 1.22 counts chunk framing as response length and names another phase where it does not buffer")
@pytest.mark.parametrize("mode, framing, pace, ask, transport, end", CELLS)
def test_cell(field, mode, framing, pace, ask, transport, end):  # U4.3 U4.4 U5.3 U6.1 U6.2 U6.3 U6.5 U6.7 U8.2 U10.2
    method, body = ASKS[ask]
    size, number = SIZE[pace], next(NUMBER)
    target = f"/{framing}/{end}/{size}/{number}"
    before = ping(field, transport, mode)
    client = field.client(transport, mode, pace)
    if pace == "slow":
        read_slowly(client)
    client.send(build_request(method, target, {"Connection": "close"}, body))
    head = client.read_response_head(method)
    got, is_whole = b"", True
    try:
        if method != "HEAD":
            client.read_body(head, none_allowed=False)
        got = head.body
    except (Closed, AssertionError):
        is_whole = False
        got = b"".join(head.chunks) if head.framing == "chunked" else bytes(client.buffer)
    # The bytes and the status: a truncated answer is never whole, all that came is a prefix of it.
    assert head.status == 200
    assert head.headers["X-Got"] == hashlib.md5(body or b"").hexdigest()
    should_be_whole = method == "HEAD" or end == "whole" or (framing == "close" and end == "truncated")
    assert is_whole == should_be_whole
    want = b"" if method == "HEAD" else PATTERN[:size]
    if end == "truncated":
        want = want[:len(want) * 3 // 5]
    if framing == "chunked" and not is_whole:
        assert want.startswith(got)      # whole chunks only
    elif end == "reset" and method != "HEAD":
        assert want[:size * 3 // 5].startswith(got)
    else:
        assert got == want
    # The log.
    line = wait_access(field, target)
    check_log(field, target, method, framing, end, transport)
    # The counters.
    _, status, up_status, received, length, sent, _ = line.split("|")
    assert (status, up_status) == ("200", "200")
    if should_be_whole and method != "HEAD":
        assert int(length) == len(want) and int(received) > len(want) and int(sent) >= len(want)
    if method == "HEAD":
        assert (length, sent) == ("0", "0")
    # The connection to the peer: kept after a whole, self-framed answer only.
    after = ping(field, transport, mode)
    is_kept = end == "whole" and framing != "close"
    if method == "HEAD" and end == "whole" and framing == "close":
        return                           # the peer closes; nobody has to know it yet
    assert (after == before) == is_kept, (before, after)


def wait_access(field, target):
    def find():
        return [line for line in field.bench.read("access.log").splitlines() if line.startswith(target + "|")]
    wait_for(find, f"the line of {target}")
    return find()[0]


def check_log(field, target, method, framing, end, transport):
    lines = [line for line in field.bench.log().splitlines() if f'"{method} {target} ' in line and "temporary file" not in line]
    fails = method != "HEAD" and (end == "reset" or (end == "truncated" and framing != "close"))
    if not fails:
        assert not [line for line in lines if "[error]" in line], lines
        return
    assert len([line for line in lines if "[error]" in line]) == 1, lines
    if transport == "tls":
        return                           # a TLS peer that is cut has words of its own
    words = "upstream prematurely closed connection" if end == "truncated" else "(104: Connection reset by peer)"
    assert any(words in line and "while reading upstream" in line for line in lines), lines


def test_the_axis_is_complete():
    assert len(set(CELLS)) == 180 * len(TRANSPORTS)
