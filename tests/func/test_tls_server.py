# SPDX-License-Identifier: Apache-2.0
"""TLS towards clients: `listen ... ssl` and the ssl_* directives, watched with Python's ssl."""
import os
import re
import socket
import ssl
import struct
import subprocess
import threading
import time

import pytest

from weirtest.client import Client, build_request
from weirtest.http1 import Closed
from weirtest.server import IS_NGINX, WITH_KTLS
from weirtest.timing import LIMIT, SLOW, wait_for
from weirtest.tls import OPENSSL, Pki, client_context, openssl

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
FACTS = ('return 200 "$scheme|$https|$ssl_protocol|$ssl_cipher|$ssl_server_name|$ssl_session_reused|'
         '$ssl_client_verify";')
BOTH = pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])


def block(pair, text="", listen="ssl", name="localhost", port="{port}"):
    if IS_NGINX and "ssl_protocols" not in text:
        text = "ssl_protocols TLSv1.2 TLSv1.3;" + text       # the default of later ones
    return (f"server {{ listen 127.0.0.1:{port} {listen}; server_name {name};\n"
            f"ssl_certificate {pair.cert}; ssl_certificate_key {pair.key};\n{text}\n}}\n")


def start(weir, pki, text="location / { " + FACTS + " }", http="", pair=None, **more):
    return weir(http=http + block(pair or pki.server, text), **more)


def connect(server, tls=None, name="localhost", **more):
    return server.client(tls=tls or client_context(), name=name, **more)


def facts(client, target="/", **more):
    return client.get(target, **more).text.split("|")


def shown(client):
    """Subject's common name of the certificate that the server showed (the context verifies)."""
    return dict(item[0] for item in client.sock.getpeercert()["subject"])["commonName"]


def handshake_fails(server, tls=None, name="localhost", **more):
    with pytest.raises((ssl.SSLError, ConnectionResetError, Closed)) as found:
        connect(server, tls, name, **more)
    return str(found.value)


# ---- the connection ------------------------------------------------------------------------------------------------

@BOTH
def test_request(weir, pki, version):
    server = start(weir, pki)
    client = connect(server, client_context(pki.ca, low=version, high=version))
    name = {V12: "TLSv1.2", V13: "TLSv1.3"}[version]
    scheme, https, protocol, cipher, asked, reused, verify = facts(client)
    assert (scheme, https, protocol, asked, reused, verify) == ("https", "on", name, "localhost", ".", "NONE")
    assert cipher == client.sock.cipher()[0]
    assert facts(client)[0] == "https"       # the connection is kept


def test_chain_is_sent(weir, pki, tmp_path):
    middle = Pki(tmp_path / "middle", "Middle CA", parent=pki)
    pair = middle.issue("leaf", "localhost")
    with open(pair.cert, "a", encoding="ascii") as file, open(middle.ca, encoding="ascii") as more:
        file.write(more.read())
    server = start(weir, pki, pair=pair)
    assert facts(connect(server, client_context(pki.ca)))[0] == "https"


def test_nobody_can_read_along(weir, pki):
    """What crosses the wire is not what was said."""
    server = start(weir, pki, 'location / { return 200 "very plain text"; }')
    listener = socket.create_server(("127.0.0.1", 0))
    seen = []

    def tap():
        one, _ = listener.accept()
        two = socket.create_connection(("127.0.0.1", server.port))

        def pump(a, b):
            while data := a.recv(65536):
                seen.append(data)
                b.sendall(data)
            b.shutdown(socket.SHUT_WR)
        threads = [threading.Thread(target=pump, args=pair, daemon=True) for pair in ((one, two), (two, one))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT)
        one.close()
        two.close()
    thread = threading.Thread(target=tap, daemon=True)
    thread.start()
    client = server.client(listener.getsockname(), tls=client_context(pki.ca), name="localhost")
    assert client.get("/secret", {"Connection": "close"}).text == "very plain text"
    client.expect_eof()
    client.close()
    thread.join(LIMIT)
    listener.close()
    assert b"very plain text" not in b"".join(seen) and b"/secret" not in b"".join(seen)


def test_keepalive_and_pipelining(weir, pki):
    server = start(weir, pki, 'location / { return 200 "$request_uri"; }')
    client = connect(server)
    client.send(b"".join(build_request("GET", f"/{i}") for i in range(50)))
    for i in range(50):
        assert client.read_response().text == f"/{i}"
    assert client.get("/last").text == "/last"


def test_head_in_many_records(weir, pki):
    server = start(weir, pki, 'location / { return 200 "$http_x"; }')
    client = connect(server)
    for byte in build_request("GET", "/", {"X": "some value"}):
        client.send(bytes([byte]))
    assert client.read_response().text == "some value"


def test_records_split_at_every_byte(weir, pki):
    """The handshake and a request arrive in segments of one byte."""
    server = start(weir, pki, 'location / { return 200 "ok"; }')
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_context(pki.ca).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with Client(("127.0.0.1", server.port)) as raw:
        def flush():
            for byte in outgoing.read():
                raw.send(bytes([byte]))

        def run(call):
            while True:
                try:
                    got = call()
                    flush()
                    return got
                except ssl.SSLWantReadError:
                    flush()
                    data = raw.read_some()
                    assert data
                    incoming.write(data)
        run(tls.do_handshake)
        run(lambda: tls.write(build_request("GET", "/", {"Connection": "close"})))
        got = b""
        while not got.endswith(b"ok"):
            got += run(lambda: tls.read(1000))
        assert got.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("size", [0, 1, 16383, 16384, 16385, 5_000_000])
@BOTH
def test_body_to_the_client(weir, pki, size, version):
    data = os.urandom(size)
    server = start(weir, pki, "location / { root {dir}/files; }", files={"files/a": data})
    client = connect(server, client_context(low=version, high=version))
    for _ in range(2):
        assert client.get("/a").body == data


@pytest.mark.parametrize("sendfile", ["on", "off"])
def test_slow_client(weir, pki, sendfile):
    data = os.urandom(20_000_000)
    server = start(weir, pki, f"sendfile {sendfile}; location / {{ root {{dir}}/files; }}", files={"files/a": data})
    client = connect(server, rcvbuf=4096)
    client.send(build_request("GET", "/a"))
    wait_for(lambda: client.sock.pending() or client._fill(), "the first bytes")
    assert client.read_response().body == data
    assert client.get("/a").body == data


def test_body_to_the_peer_and_back(weir, pki, origin):
    def script(conn):
        for req in conn.requests():
            conn.reply(req.body)
    server = start(weir, pki, "location / { proxy_pass http://{up}; client_max_body_size 20m; }", up=origin(script))
    client = connect(server)
    for size in (0, 1, 100_000, 3_000_000):
        data = os.urandom(size)
        assert client.request("POST", "/", body=data).body == data


@pytest.mark.parametrize("buffering", ["on", "off"])
def test_proxied_stream(weir, pki, origin, buffering):
    """What the peer says goes out at once."""
    def script(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for i in range(5):
            conn.send(b"5\r\nevent\r\n")
            conn.wait(steps[i])
        conn.send(b"0\r\n\r\n")
    steps = [threading.Event() for _ in range(5)]
    server = start(weir, pki, f"location / {{ proxy_buffering {buffering}; proxy_pass http://{{up}}; }}", up=origin(script))
    client = connect(server)
    client.send(build_request("GET", "/"))
    if buffering == "off":
        client.read_head()
        for step in steps:
            assert client.read_chunk() == b"event"
            step.set()
        assert client.read_chunk() == b""
    else:
        for step in steps:
            step.set()
        assert client.read_response().body == b"event" * 5


def test_upgrade(weir, pki, origin):
    def script(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
        while data := conn.read_some():
            conn.send(data.upper())
    server = start(weir, pki, "location / { proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; "
                   "proxy_set_header Connection upgrade; proxy_pass http://{up}; }", up=origin(script))
    client = connect(server)
    client.send(build_request("GET", "/", {"Connection": "Upgrade", "Upgrade": "x"}))
    assert client.read_head().startswith(b"HTTP/1.1 101")
    for i in range(20):
        client.send(b"words %d" % i)
        client.expect(b"WORDS %d" % i)
    big = b"x" * 200_000
    for _ in range(5):  # one thread: an SSL object must not be used by two
        client.send(big)
        assert client.read_exact(len(big)) == big.upper()


# ---- the end of a connection ---------------------------------------------------------------------------------------

def test_close_is_announced(weir, pki):
    """close_notify comes before the FIN: without it Python raises when told to mind."""
    server = start(weir, pki)
    client = connect(server, client_context(strict_end=True))
    client.sock.suppress_ragged_eofs = False
    assert client.get("/", {"Connection": "close"}).status == 200
    client.expect_eof()


def test_client_that_says_goodbye_is_closed(weir, pki):
    server = start(weir, pki)
    client = connect(server)
    assert client.get("/").status == 200
    raw = client.sock.unwrap()
    assert raw.recv(100) == b""
    raw.close()


def test_idle_timeout(weir, pki):
    server = start(weir, pki, "keepalive_timeout 200ms; location / { return 204; }")
    client = connect(server, client_context(strict_end=True))
    client.sock.suppress_ragged_eofs = False
    assert client.get("/").status == 204
    client.expect_eof()


def test_handshake_timeout(weir, pki):
    server = start(weir, pki, f"client_header_timeout {int(1000 * SLOW)}ms; location / {{ return 204; }}")
    with server.client() as client:                  # nothing at all
        assert client.read_to_end() == b""
    hello = hello_bytes()
    with server.client() as client:                  # half a hello
        client.send(hello[:len(hello) // 2])
        assert client.read_to_end() == b""
    with server.client() as client:                  # a hello and no more
        client.send(hello)
        assert client.read_to_end()[:1] == b"\x16"
    lines = server.wait_log(r"client timed out \(110: Connection timed out\) while SSL handshaking, client: 127.0.0.1, "
                            r"server: 127.0.0.1:\d+$", 2)
    assert all("[info]" in line for line in lines)


def hello_bytes(**more):
    """A client's first message."""
    out = ssl.MemoryBIO()
    tls = client_context(**more).wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return out.read()


def test_client_that_leaves_at_once(weir, pki):
    server = start(weir, pki)
    line = server.wait_log("client closed connection")[0]        # of the harness
    assert "[info]" in line and "client closed connection while SSL handshaking, client: 127.0.0.1, server: 127.0.0.1:" in line


def test_reset_at_every_byte_of_the_hello(weir, pki):
    server = start(weir, pki, "location / { return 204; }")
    hello = hello_bytes()
    for n in range(0, len(hello) + 1, 3):
        with server.client() as client:
            client.send(hello[:n])
            if n % 2:
                client.reset()
    assert connect(server).get("/").status == 204
    if hello:
        server.wait_log(r"peer closed connection in SSL handshake.* while SSL handshaking, client: 127.0.0.1")


# ---- log lines -----------------------------------------------------------------------------------------------------

def test_garbage(weir, pki):
    server = start(weir, pki)
    with server.client() as client:
        client.send(b"\x16\x03\x01\x00\x05hello")
        client.read_to_end()
    line, = server.wait_log("SSL_do_handshake")
    assert "[info]" in line and "SSL_do_handshake() failed (SSL: error:0A0000" in line
    assert ") while SSL handshaking, client: 127.0.0.1, server: 127.0.0.1:" in line


def test_no_common_version(weir, pki):
    server = start(weir, pki, "ssl_protocols TLSv1.3;")
    assert "PROTOCOL_VERSION" in handshake_fails(server, client_context(high=V12)).upper()
    line, = server.wait_log("SSL_do_handshake")
    assert "[info]" in line and "(SSL: error:0A000102:SSL routines::unsupported protocol) while SSL handshaking" in line


def test_closed_in_the_handshake(weir, pki):
    server = start(weir, pki)
    with server.client() as client:
        client.send(hello_bytes())
        client.half_close()
        client.read_to_end()
    line, = server.wait_log("peer closed connection in SSL handshake")
    assert "[info]" in line and "while SSL handshaking, client: 127.0.0.1, server: 127.0.0.1:" in line


# ---- plain HTTP on an address with TLS -----------------------------------------------------------------------------

def test_plain_request(weir, pki):
    server = start(weir, pki)
    client = server.client()
    answer = client.get("/")
    assert answer.status == 400 and "The plain HTTP request was sent to HTTPS port" in answer.text
    client.expect_eof()
    line, = server.wait_log("plain HTTP request")
    assert "[info]" in line and ('client sent plain HTTP request to HTTPS port while reading client request headers, '
                                 'client: 127.0.0.1, server: localhost, request: "GET / HTTP/1.1", host: "localhost"') in line


@pytest.mark.parametrize("code, status", [("497", 302), ("497 =301", 301), ("497 =308", 308)])
def test_error_page_497(weir, pki, code, status):
    server = start(weir, pki, f"error_page {code} https://$host$request_uri; location / {{ return 204; }}")
    answer = server.get("/a?b", host="example.com")
    assert answer.status == status and answer.headers["Location"] == "https://example.com/a?b"


def test_plain_and_tls_on_their_own_addresses(weir, pki):
    server = weir(http=block(pki.server, 'listen 127.0.0.1:{port2}; location / { return 200 "$scheme$https"; }'))
    assert connect(server).get("/").text == "httpson"
    assert server.get("/", port="port2").text == "http"


def test_tls_on_one_address_of_a_wildcard(weir, pki):
    server = weir(http="server { listen {port}; return 200 plain$scheme; }\n" +
                  block(pki.server, "return 200 tls$scheme;", port="{port}").replace("127.0.0.1:", "127.0.0.2:"))
    assert server.get("/").text == "plainhttp"
    client = server.client(("127.0.0.2", server.port), tls=client_context(), name="localhost")
    assert client.get("/").text == "tlshttps"


# ---- which server, which certificate -------------------------------------------------------------------------------

def two(pki, first="", second=""):
    return (block(pki.server, 'location / { return 200 "first $ssl_server_name"; } ' + first) +
            block(pki.other, 'location / { return 200 "second $ssl_server_name"; } ' + second, name="other.example"))


@pytest.mark.parametrize("name, cn, text", [
    ("localhost", "localhost", "first localhost"), ("other.example", "other.example", "second other.example"),
    ("OTHER.example", "other.example", "second OTHER.example"), (None, "localhost", "first "),
    ("unknown.example", "localhost", "first unknown.example")])
@BOTH
def test_certificate_by_name(weir, pki, name, cn, text, version):
    server = weir(http=two(pki))
    tls = client_context(pki.ca, low=version, high=version)
    tls.check_hostname = False
    client = connect(server, tls, name)
    assert shown(client) == cn
    assert client.get("/", host=name or "localhost").text == text


def test_names_of_all_kinds(weir, pki):
    names = {"*.example": "wild", "www.*": "tail", "~^re\\d+\\.test$": "regex", ".dot.test": "dot"}
    server = weir(http=block(pki.server, "return 200 default;") +
                  "".join(block(pki.other, f"return 200 {word};", name=f'"{name}"') for name, word in names.items()))
    for name, word in {"a.example": "wild", "www.x": "tail", "re7.test": "regex", "dot.test": "dot", "a.dot.test": "dot",
                       "else": "default"}.items():
        tls = client_context(pki.ca)
        tls.check_hostname = False
        client = connect(server, tls, name)
        assert shown(client) == ("localhost" if word == "default" else "other.example"), name
        assert client.get("/", host=name).text == word


def test_host_wins_over_the_name(weir, pki):
    """Without rules about clients' certificates the Host field chooses, as ever."""
    server = weir(http=two(pki))
    client = connect(server, name="localhost")
    assert client.get("/", host="other.example").text == "second localhost"


def test_no_host_field(weir, pki):
    """HTTP/1.0 without a Host field gets the default server, whatever the handshake was for."""
    server = weir(http=two(pki))
    client = connect(server, name="other.example")
    assert client.raw(b"GET / HTTP/1.0\r\n\r\n").text == "first other.example"


def test_kinds_of_keys(weir, pki):
    """RSA and ECDSA beside each other: the client's abilities choose."""
    server = start(weir, pki, f"ssl_certificate {pki.rsa.cert}; ssl_certificate_key {pki.rsa.key}; location / {{ {FACTS} }}")
    for ciphers in ("ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"):
        client = connect(server, client_context(high=V12, ciphers=ciphers))
        assert facts(client)[3] == ciphers


def test_protocols_of_a_name(weir, pki):
    """The server that the name chooses says which versions are spoken."""
    server = weir(http=two(pki, "ssl_protocols TLSv1.2;", "ssl_protocols TLSv1.3;"))
    assert connect(server, name="localhost").sock.version() == "TLSv1.2"
    assert connect(server, name="other.example").sock.version() in ("TLSv1.3", "TLSv1.2")


@pytest.mark.weir_only("a name's versions hold for it; nginx 1.22 takes those of the address's default server")
def test_protocols_of_a_name_are_strict(weir, pki):
    server = weir(http=two(pki, "ssl_protocols TLSv1.2;", "ssl_protocols TLSv1.3;"))
    assert connect(server, name="other.example").sock.version() == "TLSv1.3"
    handshake_fails(server, client_context(high=V12), "other.example")
    handshake_fails(server, client_context(low=V13), "localhost")


def test_refused_names(weir, pki):
    server = weir(http="server { listen 127.0.0.1:{port} ssl; server_name x; ssl_reject_handshake on; }\n" +
                  block(pki.server, "return 204;"))
    assert connect(server, name="localhost").get("/").status == 204
    assert "unrecognized" in handshake_fails(server, name="nobody").lower()
    assert "unrecognized" in handshake_fails(server, name=None).lower()
    line = server.wait_log("handshake rejected")[0]
    assert "[info]" in line and " handshake rejected while SSL handshaking, client: 127.0.0.1, server: 127.0.0.1:" in line


def test_alpn(weir, pki):
    server = start(weir, pki, 'location / { return 200 "$ssl_alpn_protocol"; }')
    for offer, chosen in ((["http/1.1"], "http/1.1"), (["h2", "http/1.1"], "http/1.1"), (["http/1.0"], "http/1.0")):
        client = connect(server, client_context(alpn=offer))
        assert client.sock.selected_alpn_protocol() == chosen
    assert connect(server).sock.selected_alpn_protocol() is None
    handshake_fails(server, client_context(alpn=["nothing"]))


# ---- parameters ----------------------------------------------------------------------------------------------------

def test_ciphers(weir, pki):
    server = start(weir, pki, "ssl_protocols TLSv1.2; ssl_ciphers ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384; "
                   "ssl_prefer_server_ciphers on; location / { " + FACTS + " }")
    client = connect(server, client_context(ciphers="ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305"))
    assert facts(client)[3] == "ECDHE-ECDSA-CHACHA20-POLY1305"
    handshake_fails(server, client_context(ciphers="ECDHE-ECDSA-AES128-GCM-SHA256"))


def test_clients_order_of_ciphers(weir, pki):
    server = start(weir, pki, "ssl_protocols TLSv1.2; location / { " + FACTS + " }")
    for first in ("ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256"):
        tls = client_context(ciphers=first + ":ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256")
        assert facts(connect(server, tls))[3] == first


def s_client(server, *args, text=b""):
    done = subprocess.run([OPENSSL, "s_client", "-connect", f"127.0.0.1:{server.port}", "-servername", "localhost", *args],
                          input=text, capture_output=True, timeout=LIMIT, check=False)
    return (done.stdout + done.stderr).decode("latin-1")


@pytest.mark.parametrize("conf, offer, words", [
    ("secp384r1", "X25519:P-384", "ECDH, secp384r1, 384"), ("prime256v1:X25519", "X25519:P-256", "ECDH, prime256v1, 256"),
    ("X25519", "P-256:X25519", "X25519, 253"), ("auto", "P-256:X25519", "ECDH, prime256v1, 256")])
def test_curve(weir, pki, conf, offer, words):
    server = start(weir, pki, f"ssl_ecdh_curve {conf};")
    out = s_client(server, "-curves", offer)
    if ":" in conf:                      # both know both: the client's order counts
        words = "X25519, 253"
    assert re.search(f"(Server|Peer) Temp Key: {re.escape(words)} bits", out), out


def test_dhparam(weir, pki, tmp_path):
    file = tmp_path / "dh.pem"
    file.write_bytes(openssl("genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:ffdhe2048"))
    server = start(weir, pki, f"ssl_protocols TLSv1.2; ssl_dhparam {file}; ssl_ciphers DHE; location / {{ {FACTS} }}",
                   pair=pki.rsa)
    assert facts(connect(server, client_context(ciphers="DHE")))[3].startswith("DHE-RSA-")


def test_commands_of_the_library(weir, pki):
    server = start(weir, pki, "ssl_conf_command Ciphersuites TLS_CHACHA20_POLY1305_SHA256; "
                   "ssl_conf_command Options -SessionTicket; location / { " + FACTS + " }")
    assert facts(connect(server, client_context(low=V13)))[3] == "TLS_CHACHA20_POLY1305_SHA256"
    assert not connect(server, client_context(high=V12)).sock.session.has_ticket


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_key_with_a_password(weir, pki, tmp_path, kind):
    key = tmp_path / "locked.key"
    pair = pki.server if kind == "ec" else pki.rsa
    openssl("pkcs8", "-topk8", "-in", pair.key, "-out", str(key), "-passout", "pass:open sesame")
    (tmp_path / "passwords").write_text("wrong\nopen sesame\nother\n", encoding="ascii")
    server = weir(http=f"server {{ listen 127.0.0.1:{{port}} ssl; ssl_certificate {pair.cert}; "
                       f"ssl_certificate_key {key}; ssl_password_file {tmp_path}/passwords; return 204; }}")
    assert connect(server).get("/").status == 204


@pytest.mark.parametrize("size", ["1k", "4k", "16k"])
def test_size_of_records(weir, pki, size):
    """Records that the client receives are no larger than ssl_buffer_size."""
    if WITH_KTLS and size != "16k":
        pytest.skip("the kernel makes its records as it likes")
    server = start(weir, pki, f"ssl_buffer_size {size}; location / {{ root {{dir}}/files; }}",
                   files={"files/a": os.urandom(100_000)})
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    wire = bytearray()
    with Client(("127.0.0.1", server.port)) as raw:
        got, stage = b"", 0
        while len(got) < 100_000:
            try:
                if stage == 0:
                    tls.do_handshake()
                    stage = 1
                    wire.clear()
                    tls.write(build_request("GET", "/a"))
                got += tls.read(65536)
            except ssl.SSLWantReadError:
                raw.send(outgoing.read())
                data = raw.read_some()
                assert data
                wire += data
                incoming.write(data)
    sizes, at = [], 0
    while at + 5 <= len(wire):
        sizes.append(struct.unpack(">H", wire[at + 3:at + 5])[0])
        at += 5 + sizes[-1]
    limit = int(size[:-1]) * 1024
    assert max(sizes) <= limit + 256 and max(sizes) >= min(limit, 16000)


# ---- coming back ---------------------------------------------------------------------------------------------------

def visit(server, tls, session=None, name="localhost"):
    """One request; returns (was it resumed as both sides say, the session for the next time)."""
    client = connect(server, tls, name, session=session)
    word = facts(client)[5]
    assert (word == "r") == client.sock.session_reused
    session = client.sock.session
    client.close()
    return word == "r", session


@pytest.mark.parametrize("conf, v12, v13", [
    ("", True, True),
    ("ssl_session_tickets off;", False, False),
    ("ssl_session_tickets off; ssl_session_cache shared:s:1m;", True, True),
    ("ssl_session_tickets off; ssl_session_cache builtin;", True, True),
    ("ssl_session_tickets off; ssl_session_cache builtin:100 shared:s:1m;", True, True),
    ("ssl_session_cache off; ssl_session_tickets off;", False, False)])
@BOTH
def test_resumption(weir, pki, conf, v12, v13, version):
    server = start(weir, pki, conf + "location / { " + FACTS + " }", workers=1)
    tls = client_context(low=version, high=version)
    assert visit(server, tls)[0] is False
    session = visit(server, tls)[1]
    assert visit(server, tls, session)[0] is (v12 if version == V12 else v13)


@pytest.mark.parametrize("conf", ["", "ssl_session_tickets off; ssl_session_cache shared:s:1m;"])
@BOTH
def test_resumption_over_threads_and_reload(weir, pki, conf, version):
    """All threads, and the configuration after a reload, know sessions and tickets."""
    server = start(weir, pki, conf + "location / { " + FACTS + " }", workers=3)
    tls = client_context(low=version, high=version)
    session = visit(server, tls)[1]
    for _ in range(12):
        reused, session = visit(server, tls, session)
        assert reused


@pytest.mark.weir_only("nginx makes new ticket keys at a reload unless a file or a shared cache has them")
@BOTH
def test_resumption_over_a_reload(weir, pki, version):
    server = start(weir, pki)
    tls = client_context(low=version, high=version)
    session = visit(server, tls)[1]
    for _ in range(2):
        count = server.log().count("is being served")
        server.signal("HUP")
        server.wait_log("is being served", count + 1)
        reused, session = visit(server, tls, session)
        assert reused


@pytest.mark.weir_only("CVE-2025-23419: nginx before 1.26.3 takes a session of another server")
def test_session_is_bound_to_its_server(weir, pki):
    """A session of one server's rules is not taken for another's."""
    server = weir(http=two(pki, "", f"ssl_client_certificate {pki.ca}; ssl_verify_client on;"))
    tls = client_context(high=V12)
    client = connect(server, tls, "localhost")
    client.get("/")
    try:
        again = connect(server, tls, "other.example", session=client.sock.session)
        assert not again.sock.session_reused
        assert again.get("/", host="other.example").status == 400
    except ssl.SSLError:
        pass                             # refused: just as well


@pytest.mark.parametrize("size", [48, 80])
def test_ticket_keys_of_files(weir, pki, size, tmp_path):
    """Two servers that share a key take each other's tickets; an old key still reads."""
    new, old = os.urandom(size), os.urandom(size)
    (tmp_path / "new").write_bytes(new)
    (tmp_path / "old").write_bytes(old)
    text = "location / { " + FACTS + " }"
    one = start(weir, pki, f"ssl_session_ticket_key {tmp_path}/old; " + text)
    two_ = start(weir, pki, f"ssl_session_ticket_key {tmp_path}/new; ssl_session_ticket_key {tmp_path}/old; " + text)
    for version in (V12, V13):
        tls = client_context(low=version, high=version)
        session = visit(one, tls)[1]
        reused, session = visit(two_, tls, session)
        assert reused
        assert visit(two_, tls, session)[0]
        session = visit(two_, tls)[1]    # made with the new key, which the first does not know
        assert not visit(one, tls, session)[0]


def test_session_timeout(weir, pki):
    server = start(weir, pki, "ssl_session_timeout 1s; ssl_session_cache shared:s:1m; ssl_session_tickets off; location / { " +
                   FACTS + " }")
    tls = client_context(high=V12)

    def attempt():
        """A session that is used again in its time; None when the second visit came too late."""
        began = time.monotonic()
        session = visit(server, tls)[1]
        reused = visit(server, tls, session)[0]
        assert reused or time.monotonic() - began > 0.9
        return session if reused else None
    session = wait_for(attempt, "a session that is used again")
    assert wait_for(lambda: not visit(server, tls, session)[0], "the session to be too old")


def test_small_cache_forgets_the_oldest(weir, pki):
    server = start(weir, pki, "ssl_session_cache shared:s:64k; ssl_session_tickets off; location / { " + FACTS + " }")
    tls = client_context(high=V12)
    first = visit(server, tls)[1]
    last = None
    for _ in range(600):
        last = visit(server, tls)[1]
    assert visit(server, tls, last)[0]
    assert not visit(server, tls, first)[0]


# ---- certificates of clients ---------------------------------------------------------------------------------------

VERIFIED = 'location / { return 200 "$ssl_client_verify|$ssl_client_s_dn|$ssl_client_i_dn|$ssl_client_serial"; }'


def verifying(weir, pki, mode, more="", **names):
    return start(weir, pki, f"ssl_client_certificate {pki.ca}; ssl_verify_client {mode}; {more} " + VERIFIED, **names)


@BOTH
@pytest.mark.parametrize("mode", ["on", "optional", "optional_no_ca"])
def test_good_certificate(weir, pki, mode, version):
    server = verifying(weir, pki, mode)
    answer = connect(server, client_context(pki.ca, pki.client, version, version)).get("/")
    serial = openssl("x509", "-in", pki.client.cert, "-noout", "-serial").decode().strip().split("=")[1]
    assert answer.text == f"SUCCESS|CN=client,O=Test\\, Org,C=XX|CN=Test CA|{serial}"


@BOTH
@pytest.mark.parametrize("mode, status", [("on", 400), ("optional", 200), ("optional_no_ca", 200)])
def test_no_certificate(weir, pki, mode, status, version):
    server = verifying(weir, pki, mode)
    client = connect(server, client_context(pki.ca, None, version, version))
    answer = client.get("/")
    assert answer.status == status
    if status == 400:
        assert "No required SSL certificate was sent" in answer.text
        client.expect_eof()
        line, = server.wait_log("no required")
        assert "[info]" in line and ("client sent no required SSL certificate while reading client request headers, "
                                     "client: 127.0.0.1, server: localhost, request:") in line
    else:
        assert answer.text == "NONE|||"


@BOTH
@pytest.mark.parametrize("mode, status", [("on", 400), ("optional", 400), ("optional_no_ca", 200)])
def test_certificate_of_a_stranger(weir, pki, mode, status, version):
    server = verifying(weir, pki, mode)
    answer = connect(server, client_context(pki.ca, pki.stranger, version, version)).get("/")
    assert answer.status == status
    if status == 400:
        assert "The SSL certificate error" in answer.text
        line, = server.wait_log("verify error")
        assert ("client SSL certificate verify error: (20:unable to get local issuer certificate) "
                "while reading client request headers") in line or "(21:unable to verify the first certificate)" in line
    else:
        assert answer.text.startswith("FAILED:unable to ")


@pytest.mark.parametrize("code", [495, 496])
def test_error_pages_of_certificates(weir, pki, code):
    server = verifying(weir, pki, "on", f"error_page {code} =403 /page; location = /page {{ return 200 page; }}")
    tls = client_context(pki.ca, pki.stranger if code == 495 else None)
    answer = connect(server, tls).get("/")
    assert answer.status == 403 and answer.text == "page"


def test_expired_certificate(weir, pki):
    pair = pki.issue("expired", "expired", days=-1)
    for mode in ("on", "optional", "optional_no_ca"):
        server = verifying(weir, pki, mode)
        answer = connect(server, client_context(pki.ca, pair, high=V12)).get("/")
        assert answer.status == 400
        assert "(10:certificate has expired)" in server.wait_log("verify error")[0]


def test_depth(weir, pki, tmp_path):
    """A client's chain with one authority between: depth 0 is not enough."""
    middle = Pki(tmp_path / "middle", "Middle CA", parent=pki)
    pair = middle.issue("deep", "deep", chain=[middle.ca])
    for depth, status in ((0, 400), (1, 200)):
        server = verifying(weir, pki, "on", f"ssl_verify_depth {depth};")
        assert connect(server, client_context(pki.ca, pair)).get("/").status == status


def test_revoked(weir, pki, tmp_path):
    own = Pki(tmp_path / "own", "Own CA")
    good, bad = own.issue("good", "good"), own.issue("bad", "bad")
    crl = own.crl(bad)
    server = start(weir, pki, f"ssl_client_certificate {own.ca}; ssl_verify_client on; ssl_crl {crl}; " + VERIFIED)
    assert connect(server, client_context(cert=good)).get("/").status == 200
    assert connect(server, client_context(cert=bad)).get("/").status == 400
    assert "(23:certificate revoked)" in server.wait_log("verify error")[0]


def test_authorities_that_are_announced(weir, pki):
    """ssl_client_certificate is told to clients, ssl_trusted_certificate is not; both are believed."""
    server = start(weir, pki, f"ssl_client_certificate {pki.ca}; ssl_trusted_certificate {pki.foreign.ca}; "
                   "ssl_verify_client on; " + VERIFIED)
    text = s_client(server)
    names = text.split("Acceptable client certificate CA names")[1].split("Requested")[0]
    assert re.search("^CN ?= ?Test CA$", names, re.M)  # the blanks are gone in OpenSSL 3.5
    assert "Foreign CA" not in text
    for pair in (pki.client, pki.stranger):
        assert connect(server, client_context(cert=pair)).get("/").text.startswith("SUCCESS|")


@BOTH
def test_verified_again_after_resumption(weir, pki, version):
    """A session remembers what the client showed, and how it was judged."""
    server = verifying(weir, pki, "on", "ssl_session_cache shared:s:1m;")
    tls = client_context(pki.ca, pki.client, version, version)
    first = connect(server, tls)
    text = first.get("/").text
    again = connect(server, tls, session=first.sock.session)
    assert again.get("/").text == text and text.startswith("SUCCESS|")
    assert again.sock.session_reused


@pytest.mark.parametrize("version", [V12, V13])
def test_rules_of_another_server_are_not_slipped_past(weir, pki, version):
    """A handshake for one name, a request for the other, whose rules about certificates were never applied."""
    server = weir(http=two(pki, "", f"ssl_client_certificate {pki.ca}; ssl_verify_client on;"))
    client = connect(server, client_context(low=version, high=version), "localhost")
    answer = client.get("/", host="other.example")
    assert answer.status == 421
    line, = server.wait_log("different from")
    assert ("client attempted to request the server name different from the one that was negotiated "
            "while reading client request headers") in line


# ---- variables -----------------------------------------------------------------------------------------------------

def test_variables_of_the_certificate(weir, pki):
    names = ["fingerprint", "s_dn_legacy", "i_dn_legacy", "v_start", "v_end", "v_remain", "raw_cert", "escaped_cert", "cert"]
    server = verifying(weir, pki, "on", "".join(
        f"location = /{n} {{ return 200 $ssl_client_{n}; }} " for n in names))
    client = connect(server, client_context(cert=pki.client))
    got = {name: client.get("/" + name).text for name in names}
    pem = pki.client.pem()

    def x509(*args):
        return openssl("x509", "-in", pki.client.cert, "-noout", *args).decode().strip().split("=", 1)[1]
    assert got["fingerprint"] == x509("-fingerprint", "-sha1").replace(":", "").lower()
    assert got["s_dn_legacy"] == "/C=XX/O=Test, Org/CN=client" and got["i_dn_legacy"] == "/CN=Test CA"
    assert got["v_start"] == x509("-startdate") and got["v_end"] == x509("-enddate")
    assert got["v_remain"] in ("29", "30")
    assert got["raw_cert"] == pem
    from urllib.parse import unquote
    assert unquote(got["escaped_cert"]) == pem and "\n" not in got["escaped_cert"]
    assert got["cert"] == pem.rstrip("\n").replace("\n", "\n\t")


def test_variables_of_the_connection(weir, pki):
    names = ["ciphers", "session_id", "curves", "server_name", "early_data", "curve"]
    server = start(weir, pki, 'location / { return 200 "' + "|".join("$ssl_" + n for n in names) + '"; }')
    client = connect(server, client_context(high=V12, ciphers="ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256"))
    ciphers, session, curves, name, early, curve = client.get("/").text.split("|")
    # a client of OpenSSL 3.5 says it with an extension, and offers no such cipher
    assert ciphers.removesuffix(":TLS_EMPTY_RENEGOTIATION_INFO_SCSV") == (
        "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256")
    assert name == "localhost" and early == "" and "X25519" in curves.split(":") and curve == "X25519"
    assert session == "" or len(session) == 64


def test_variables_without_tls(weir):
    server = weir('location / { return 200 "[$https$ssl_protocol$ssl_cipher$ssl_client_verify$ssl_session_id]"; }')
    assert server.get("/").text == "[]"


def test_variables_in_the_log(weir, pki):
    """They live as long as the request, also when the client is gone."""
    server = start(weir, pki, "access_log {dir}/access.log t; location / { return 204; }",
                   http="log_format t '$ssl_protocol $ssl_server_name $request_uri';\n")
    client = connect(server)
    client.get("/a", {"Connection": "close"})
    client.close()
    assert server.access(1) == [f"{client.sock.version() or 'TLSv1.3'} localhost /a"]


# ---- reload --------------------------------------------------------------------------------------------------------

def test_new_certificate_at_reload(weir, pki, tmp_path):
    """The file's new content counts from the reload on; open connections go on with the old."""
    cert, key = tmp_path / "c.crt", tmp_path / "c.key"

    def install(pair):
        for src, dst in ((pair.cert, cert), (pair.key, key)):
            with open(src, "rb") as file:
                dst.write_bytes(file.read())
    install(pki.server)
    server = weir(http=f"server {{ listen 127.0.0.1:{{port}} ssl; ssl_certificate {cert}; ssl_certificate_key {key}; "
                       'return 200 "ok"; }')
    tls = client_context(pki.ca)
    tls.check_hostname = False
    old = connect(server, tls)
    assert shown(old) == "localhost" and old.get("/").text == "ok"
    install(pki.other)
    assert shown(connect(server, tls)) == "localhost"
    server.signal("HUP")
    wait_for(lambda: shown(connect(server, tls)) == "other.example", "the new certificate")
    if "nginx" not in os.path.basename(server.binary):
        assert old.get("/").text == "ok"


def test_bad_certificate_at_reload_changes_nothing(weir, pki, tmp_path):
    cert = tmp_path / "c.crt"
    with open(pki.server.cert, "rb") as file:
        cert.write_bytes(file.read())
    server = weir(http=f"server {{ listen 127.0.0.1:{{port}} ssl; ssl_certificate {cert}; ssl_certificate_key {pki.server.key}; "
                       "return 204; }", allow=["cannot load certificate"])
    cert.write_bytes(b"garbage")
    server.signal("HUP")
    server.wait_log(r"\[emerg\].*cannot load certificate")
    assert connect(server).get("/").status == 204


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run workers as somebody else")
def test_key_that_only_root_can_read(weir, pki, tmp_path):
    """The worker, who may not read it, gets it from the supervisor; also at a reload."""
    key = tmp_path / "root.key"
    with open(pki.server.key, "rb") as file:
        key.write_bytes(file.read())
    os.chmod(key, 0o600)
    server = weir(http=f"server {{ listen 127.0.0.1:{{port}} ssl; ssl_certificate {pki.server.cert}; ssl_certificate_key {key}; "
                       "return 204; }", main="user nobody nogroup;")
    assert connect(server).get("/").status == 204
    server.signal("HUP")
    server.wait_log("(is being served|reconfiguring)")
    assert connect(server).get("/").status == 204


# ---- errors of the configuration -----------------------------------------------------------------------------------

HEAD = "events {} http { server { listen 127.0.0.1:1 ssl; "
CERT = "ssl_certificate {cert}; ssl_certificate_key {key}; "
ERRORS = [
    ("no certificate", "}}", 'no "ssl_certificate" is defined for the "listen ... ssl" directive'),
    ("no key", "ssl_certificate {cert}; }}", 'no "ssl_certificate_key" is defined for certificate "{cert}"'),
    ("no file", "ssl_certificate /nowhere/x.crt; ssl_certificate_key {key}; }}",
     'cannot load certificate "/nowhere/x.crt": BIO_new_file() failed (SSL: error:80000002:system library::No such file or '
     "directory:calling fopen(/nowhere/x.crt, r) error:10000080:BIO routines::no such file)"),
    ("no key file", "ssl_certificate {cert}; ssl_certificate_key /nowhere/x.key; }}",
     'cannot load certificate key "/nowhere/x.key": BIO_new_file() failed (SSL: error:80000002:system library::No such file or '
     "directory:calling fopen(/nowhere/x.key, r) error:10000080:BIO routines::no such file)"),
    ("bad certificate", "ssl_certificate {key}; ssl_certificate_key {key}; }}",
     'cannot load certificate "{key}": PEM_read_bio_X509_AUX() failed (SSL: error:0480006C:PEM routines::no start line:'
     "Expecting: TRUSTED CERTIFICATE)"),
    ("bad key", "ssl_certificate {cert}; ssl_certificate_key {cert}; }}",
     'cannot load certificate key "{cert}": PEM_read_bio_PrivateKey() failed (SSL: error:'),
    ("wrong key", "ssl_certificate {cert}; ssl_certificate_key {key2}; }}",
     'SSL_CTX_use_PrivateKey("{key2}") failed (SSL: error:05800074:x509 certificate routines::key values mismatch)'),
    ("ciphers", CERT + "ssl_ciphers nonsense; }}",
     'SSL_CTX_set_cipher_list("nonsense") failed (SSL: error:0A0000B9:SSL routines::no cipher match)'),
    ("curve", CERT + "ssl_ecdh_curve nonsense; }}", 'SSL_CTX_set1_curves_list("nonsense") failed'),
    ("command", CERT + "ssl_conf_command Nonsense x; }}", 'SSL_CONF_cmd("Nonsense", "x") failed'),
    ("protocol", CERT + "ssl_protocols TLSv9; }}", 'invalid value "TLSv9"'),
    ("verify word", CERT + "ssl_verify_client maybe; }}", 'invalid value "maybe"'),
    ("verify without authority", CERT + "ssl_verify_client on; }}", "no ssl_client_certificate for ssl_verify_client"),
    ("authority", CERT + "ssl_client_certificate {key}; ssl_verify_client on; }}",
     'SSL_CTX_load_verify_locations("{key}") failed'),
    ("authority that is not there", CERT + "ssl_client_certificate /nowhere/ca; ssl_verify_client on; }}",
     'SSL_CTX_load_verify_locations("/nowhere/ca") failed (SSL: error:80000002:system library::No such file or directory'),
    ("crl", CERT + "ssl_crl /nowhere/crl; }}", 'X509_LOOKUP_load_file("/nowhere/crl") failed'),
    ("dhparam", CERT + "ssl_dhparam /nowhere/dh; }}", 'BIO_new_file("/nowhere/dh") failed'),
    ("ticket key", CERT + "ssl_session_ticket_key {cert}; }}", '"{cert}" must be 48 or 80 bytes'),
    ("session cache", CERT + "ssl_session_cache nonsense; }}", 'invalid session cache "nonsense"'),
    ("session cache without a size", CERT + "ssl_session_cache shared:a; }}", 'invalid session cache "shared:a"'),
    ("small session cache", CERT + "ssl_session_cache shared:a:1k; }}", 'session cache "shared:a:1k" is too small'),
    ("password file", CERT + "ssl_password_file /nowhere/p; }}", 'open() "/nowhere/p" failed (2: No such file or directory)'),
    ("depth", CERT + "ssl_verify_depth x; }}", "invalid number"),
    ("here", "location / { ssl_certificate x; } }}", '"ssl_certificate" directive is not allowed here'),
]


@pytest.mark.parametrize("row", ERRORS, ids=[row[0] for row in ERRORS])
def test_error(command, pki, row):
    _, text, message = row
    names = {"cert": pki.server.cert, "key": pki.server.key, "key2": pki.other.key}
    for name, value in names.items():
        text = text.replace("{" + name + "}", value)
        message = message.replace("{" + name + "}", value)
    server = command(text=HEAD + "\n" + text)
    done = server.command("-t", "-q")
    assert done.returncode == 1
    assert message in done.stderr, done.stderr


def test_server_without_certificate_beside_one_that_has(weir, pki):
    """The default server's certificate is shown for names of servers that have none."""
    server = weir(http=block(pki.server, "return 200 one;") +
                  "server { listen 127.0.0.1:{port} ssl; server_name b; return 200 two; }")
    client = connect(server, name="b")
    assert client.get("/", host="b").text == "two"


def test_inherited_from_http(weir, pki):
    server = weir(http=f"ssl_certificate {pki.server.cert}; ssl_certificate_key {pki.server.key}; ssl_protocols TLSv1.2; "
                  "server { listen 127.0.0.1:{port} ssl; return 200 $ssl_protocol; }"
                  "server { listen 127.0.0.1:{port2} ssl; ssl_protocols TLSv1.3; return 200 $ssl_protocol; }")
    assert connect(server).get("/").text == "TLSv1.2"
    assert server.client("port2", tls=client_context(), name="x").get("/").text == "TLSv1.3"


# ---- early data ----------------------------------------------------------------------------------------------------

EARLY = 'ssl_early_data on; location / { return 200 "early=[$ssl_early_data]"; } '


def early_request(server, tmp_path, target="/", name="localhost", again=False):
    """A request as 0-RTT data, by the openssl program: Python has none. again: it follows as usual data, too."""
    session, request = str(tmp_path / "session"), tmp_path / "request"
    request.write_bytes(build_request("GET", target, {"Connection": "close"}, host=name))
    plain = build_request("GET", target, {"Connection": "close"}, host=name)
    out = s_client(server, "-tls1_3", "-sess_out", session, "-ign_eof", text=plain)
    out = s_client(server, "-tls1_3", "-sess_in", session, "-early_data", str(request), "-ign_eof",
                   text=plain if again else b"")
    return out


def test_early_data(weir, pki, tmp_path):
    server = start(weir, pki, EARLY)

    def comes_early():
        """The client's end of the handshake may be here before its request is answered: then it is not early."""
        out = early_request(server, tmp_path)
        assert "Early data was accepted" in out and "early=[" in out, out
        return "early=[1]" in out
    wait_for(comes_early, "a request that is early")


def test_early_data_is_off_by_default(weir, pki, tmp_path):
    server = start(weir, pki, EARLY.replace("ssl_early_data on; ", ""))
    out = early_request(server, tmp_path, again=True)
    assert "Early data was rejected" in out or "Early data was not sent" in out or "early data" not in out.lower()
    assert "early=[1]" not in out


def test_early_data_is_told_to_the_peer(weir, pki, tmp_path, origin):
    up = origin(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    server = start(weir, pki, "ssl_early_data on; location / { proxy_set_header Early-Data $ssl_early_data; "
                   "proxy_pass http://{up}; }", up=up)
    def comes_early():
        early_request(server, tmp_path)
        first, second = [req.headers.get("Early-Data") for req in up.wait_requests(2)][-2:]
        assert first is None and second in (None, "1")
        return second
    wait_for(comes_early, "a request that is early")


def test_no_early_data_in_a_usual_request(weir, pki):
    server = start(weir, pki, EARLY)
    for version in (V12, V13):
        client = connect(server, client_context(low=version, high=version))
        for _ in range(2):
            assert client.get("/").text == "early=[]"
        again = connect(server, client_context(low=version, high=version))
        assert again.get("/").text == "early=[]"


@pytest.mark.weir_only("nginx may close before the client's end of early data, and its reset cuts the answer")
def test_large_answer_to_early_data(weir, pki, tmp_path):
    """More than one record goes out before the client has proved anything."""
    server = start(weir, pki, "ssl_early_data on; location / { root {dir}/files; }", files={"files/a": b"x" * 300_000 + b"END"})
    out = early_request(server, tmp_path, "/a")
    assert "Early data was accepted" in out and "xEND" in out


# ---- stapling ------------------------------------------------------------------------------------------------------

def make_staple(pki, tmp_path):
    """An OCSP response for the server's certificate, signed by the authority itself."""
    index = tmp_path / "ocsp.txt"
    serial = openssl("x509", "-in", pki.server.cert, "-noout", "-serial").decode().strip().split("=")[1]
    index.write_text(f"V\t350101000000Z\t\t{serial}\tunknown\t/CN=localhost\n", encoding="ascii")
    request, response = str(tmp_path / "ocsp.req"), str(tmp_path / "ocsp.der")
    openssl("ocsp", "-issuer", pki.ca, "-cert", pki.server.cert, "-no_nonce", "-reqout", request)
    openssl("ocsp", "-index", str(index), "-CA", pki.ca, "-rsigner", pki.ca, "-rkey", pki.root.key, "-reqin", request,
            "-respout", response, "-ndays", "10")
    return response


def test_staple_of_a_file(weir, pki, tmp_path):
    server = start(weir, pki, f"ssl_stapling on; ssl_stapling_file {make_staple(pki, tmp_path)};")
    out = s_client(server, "-status")
    assert "OCSP Response Status: successful (0x0)" in out and "Cert Status: good" in out
    assert "OCSP Response Status" not in s_client(server)


def test_no_staple_unless_asked_for(weir, pki, tmp_path):
    server = start(weir, pki, f"ssl_stapling_file {make_staple(pki, tmp_path)};")
    assert "OCSP response: no response sent" in s_client(server, "-status")


# ---- certificates by the client's name -----------------------------------------------------------------------------

def lazy(weir, pki, tmp_path, **more):
    for name, pair in (("localhost", pki.server), ("other.example", pki.other)):
        for src, dst in ((pair.cert, ".crt"), (pair.key, ".key")):
            with open(src, "rb") as file:
                (tmp_path / (name + dst)).write_bytes(file.read())
    return weir(http=("ssl_protocols TLSv1.2 TLSv1.3; " if IS_NGINX else "") +
                f"server {{ listen 127.0.0.1:{{port}} ssl; ssl_certificate {tmp_path}/$ssl_server_name.crt; "
                f"ssl_certificate_key {tmp_path}/$ssl_server_name.key; return 200 $ssl_server_name; }}", **more)


@BOTH
def test_certificate_out_of_the_name(weir, pki, tmp_path, version):
    server = lazy(weir, pki, tmp_path)
    for name in ("localhost", "other.example", "localhost"):
        client = connect(server, client_context(pki.ca, low=version, high=version), name)
        assert shown(client) == name and client.get("/").text == name


def test_certificate_out_of_the_name_is_read_anew(weir, pki, tmp_path):
    """A file that was exchanged counts at once."""
    server = lazy(weir, pki, tmp_path)
    assert shown(connect(server, client_context(pki.ca))) == "localhost"
    for src, dst in ((pki.other.cert, ".crt"), (pki.other.key, ".key")):
        with open(src, "rb") as file:
            (tmp_path / ("localhost" + dst)).write_bytes(file.read())
    tls = client_context(pki.ca)
    tls.check_hostname = False
    assert shown(connect(server, tls)) == "other.example"


def test_no_certificate_of_that_name(weir, pki, tmp_path):
    server = lazy(weir, pki, tmp_path)
    handshake_fails(server, name="nobody.example")
    line, = server.wait_log("cannot load certificate")
    assert "[error]" in line and (f'cannot load certificate "{tmp_path}/nobody.example.crt": BIO_new_file() failed (SSL: error:'
                                  "80000002:system library::No such file or directory:calling fopen(") in line
    assert "while SSL handshaking, client: 127.0.0.1" in line
    assert connect(server).get("/").text == "localhost"


@pytest.mark.weir_only("a client's name is no path")
def test_name_that_is_a_path(weir, pki, tmp_path):
    (tmp_path / "in").mkdir()
    server = lazy(weir, pki, tmp_path / "in")
    for name in ("../x", "a/../../x", ".hidden"):
        out = subprocess.run([OPENSSL, "s_client", "-connect", f"127.0.0.1:{server.port}", "-servername", name],
                             input=b"", capture_output=True, timeout=LIMIT, check=False).stdout.decode("latin-1")
        assert "BEGIN CERTIFICATE" not in out
    assert len(server.wait_log("no certificate without a server name that can be a file's", 3)) == 3
    handshake_fails(server, name=None)
