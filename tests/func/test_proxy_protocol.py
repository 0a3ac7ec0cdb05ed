# SPDX-License-Identifier: Apache-2.0
"""listen ... proxy_protocol: both versions, in pieces, before TLS, virtual addresses, timeouts, bad headers, variables, reload."""
import socket
import ssl
import struct
import time

import pytest

from weirtest.client import build_request
from weirtest.server import IS_NGINX
from weirtest.timing import LIMIT, wait_for

SIG = b"\r\n\r\n\0\r\nQUIT\n"
V1 = b"PROXY TCP4 1.2.3.4 5.6.7.8 1111 2222\r\n"
A4 = socket.inet_aton("1.2.3.4") + socket.inet_aton("5.6.7.8") + struct.pack("!HH", 1111, 2222)
A6 = socket.inet_pton(socket.AF_INET6, "2001:db8::1") + socket.inet_pton(socket.AF_INET6, "::2") + struct.pack("!HH", 3333, 4444)


def v2(addrs=A4, command=0x21, family=0x11, tlvs=b""):
    return SIG + bytes([command, family]) + struct.pack("!H", len(addrs) + len(tlvs)) + addrs + tlvs


def tlv(kind, value):
    return bytes([kind]) + struct.pack("!H", len(value)) + value


SHOW = 'return 200 "$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port $remote_addr";'
SERVER = "listen 127.0.0.1:{port2} proxy_protocol; location / { %s }" % SHOW
GET = build_request("GET", "/")
NONE = "    127.0.0.1"


@pytest.fixture(scope="module")
def server(weir_shared):
    return weir_shared.server(SERVER, allow=["broken header"])


@pytest.mark.parametrize("header,text", [
    (V1, "1.2.3.4 1111 5.6.7.8 2222 127.0.0.1"), (b"PROXY TCP6 2001:db8::1 ::2 3333 4444\r\n", "2001:db8::1 3333 ::2 4444 127.0.0.1"),
    (b"PROXY TCP4 1.2.3.4 5.6.7.8 0 0\r\n", "1.2.3.4  5.6.7.8  127.0.0.1"), (b"PROXY UNKNOWN\r\n", NONE), (b"PROXY UNKNOWN 1 2 3\r\n", NONE),
    (v2(), "1.2.3.4 1111 5.6.7.8 2222 127.0.0.1"), (v2(A6, family=0x21), "2001:db8::1 3333 ::2 4444 127.0.0.1"),
    (v2(b"", 0x20, 0), NONE), (v2(A4, 0x20), NONE), (v2(b"", family=0), NONE), (v2(A4, family=0x12), NONE),
    (v2(b"/tmp/a".ljust(216, b"\0"), family=0x31), NONE), (v2(tlvs=tlv(1, b"h2")), "1.2.3.4 1111 5.6.7.8 2222 127.0.0.1")])
def test_header(server, header, text):
    client = server.client("port2")
    assert client.raw(header + GET).text == text
    assert client.get("/").text == text         # the connection keeps it


def test_without_the_parameter_there_is_nothing(server):
    assert server.get("/").text == NONE
    assert server.raw(V1 + GET).status == 400


def test_header_alone_and_the_request_later(server):
    client = server.client("port2", prefix=V1)
    time.sleep(0.05)
    assert client.get("/").text.startswith("1.2.3.4 ")


@pytest.mark.weir_only("nginx wants the whole header in one piece")
@pytest.mark.parametrize("header", [V1, v2(A6, family=0x21, tlvs=tlv(1, b"h2") + tlv(0xe0, b"x" * 90))])
def test_in_pieces(server, header):
    for at in list(range(1, len(header), 7)) + [len(header) - 1]:
        client = server.client("port2")
        client.send(header[:at])
        time.sleep(0.003)
        client.send(header[at:] + GET)
        assert " 127.0.0.1" in client.read_response("GET").text
    client = server.client("port2")
    for byte in header:
        client.send(bytes([byte]))
    assert client.get("/").status == 200


@pytest.mark.weir_only("nginx 1.22 takes short headers only")
def test_long_header(server):
    assert server.raw(v2(tlvs=tlv(0xe0, b"x" * 8161)) + GET, port="port2").text.startswith("1.2.3.4 ")
    with server.client("port2") as client:
        client.send_lenient(v2(tlvs=tlv(0xe0, b"x" * 8162)) + GET)
        assert client.read_to_end() == b""
    server.wait_log(r"\[error\].*header is too large while reading PROXY protocol, client: 127\.0\.0\.1, server: 127\.0\.0\.1:\d+")


@pytest.mark.parametrize("data,line", [
    (GET, r'broken header: "GET / HTTP/1\.1'), (b"PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n" + GET, r'broken header: "PROXY TCP5 1\.2\.3\.4'),
    (b"PROXY TCP4 1.2.3.4 5.6.7.8 65536 2\r\n" + GET, "broken header"), (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n" + GET, "broken header"),
    (b"PROXY TCP4\r\n" + GET, "broken header"), (v2(command=0x31) + GET, "unknown PROXY protocol version"), (b"\x16\x03\x01" + GET, "broken header"),
    pytest.param(v2(command=0x22) + GET, "unknown PROXY protocol command", marks=pytest.mark.weir_only("nginx takes any command")),
    pytest.param(v2(family=0x41) + GET, "unknown PROXY protocol address family", marks=pytest.mark.weir_only("nginx takes any family")),
    pytest.param(v2(family=0x13) + GET, "unknown PROXY protocol transport", marks=pytest.mark.weir_only("nginx takes any transport")),
    pytest.param(b"PROXY TCP4 abc 5.6.7.8 1 2\r\n" + GET, "broken header", marks=pytest.mark.weir_only("nginx takes what looks like an address")),
    pytest.param(v2(A4[:11]) + GET, "not enough bytes for PROXY protocol addresses", marks=pytest.mark.weir_only("nginx says nothing")),
    pytest.param(v2(tlvs=b"\1\0\5h2") + GET, "invalid PROXY protocol TLV", marks=pytest.mark.weir_only("nginx 1.22 does not look at TLVs"))])
def test_bad_header(weir, data, line):
    server = weir(SERVER)
    with server.client("port2") as client:
        client.send_lenient(data)
        assert client.read_to_end() == b""
    server.wait_log(rf"\[error\] .*{line}")
    server.wait_log(r" while reading PROXY protocol, client: 127\.0\.0\.1, server: 127\.0\.0\.1:")    # nginx writes line ends as they are
    assert server.raw(V1 + GET, port="port2").status == 200


def test_timeout_and_close(weir):
    server = weir("client_header_timeout 300ms;" + SERVER)
    start = time.monotonic()
    with server.client("port2") as client:
        assert client.read_to_end() == b""
        assert 0.25 < time.monotonic() - start < LIMIT
    server.wait_log(r"\[info\].*client timed out \(110: Connection timed out\) while reading PROXY protocol, client: 127\.0\.0\.1")
    if not IS_NGINX:
        with server.client("port2") as client:
            client.send(V1[:9])
            assert client.read_to_end() == b""
    server = weir(SERVER)
    before = server.log().count("client closed connection while reading PROXY protocol")
    server.client("port2").close()
    wait_for(lambda: server.log().count("client closed connection while reading PROXY protocol") > before, "the log line")
    if not IS_NGINX:
        with server.client("port2") as client:
            client.send(V1[:9])
            client.half_close()
            assert client.read_to_end() == b""
        server.wait_log("client closed connection while reading PROXY protocol", before + 2)


@pytest.mark.weir_only("nginx wants the whole header in one piece")
def test_quit_and_reload_while_a_header_is_awaited(weir):
    server = weir(SERVER)
    half, silent, later = (server.client("port2") for _ in range(3))
    half.send(V1[:20])
    later.send(V1[:20])
    server.signal("HUP")
    server.wait_log("configuration 2 is being served")
    later.send(V1[20:] + GET)
    assert later.read_response("GET").text.startswith("1.2.3.4 ")
    server.signal("QUIT")
    assert half.read_to_end() == b"" and silent.read_to_end() == b""
    assert server.wait_exit() == 0


def test_before_tls(weir, pki):
    server = weir(f"""listen 127.0.0.1:{{port2}} ssl proxy_protocol; ssl_certificate {pki.server.cert}; ssl_certificate_key {pki.server.key};
                  location / {{ return 200 "$scheme $proxy_protocol_addr"; }}""")
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    for header in (V1, v2()):
        client = server.client("port2", prefix=header, tls=context, name="localhost")
        assert client.get("/").text == "https 1.2.3.4"
        assert client.get("/").text == "https 1.2.3.4"
    plain = server.raw(V1 + GET, port="port2")
    assert plain.status == 400 and "plain HTTP request was sent to HTTPS port" in plain.text
    with pytest.raises((ssl.SSLError, ConnectionError)):
        server.client("port2", tls=context, name="localhost")
    server.wait_log("broken header")


def test_unix_socket(weir):
    server = weir(text=None, server="listen unix:{dir}/s proxy_protocol; location / { %s }" % SHOW)
    assert server.client(server.path("s")).raw(V1 + GET).text == "1.2.3.4 1111 5.6.7.8 2222 unix:"


def test_one_address_of_a_wildcard(weir):
    """The parameter belongs to the address, whose socket may be that of the wildcard."""
    server = weir("location / { return 200 first; }", http="""
        server { listen {port2}; location / { return 200 "any $proxy_protocol_addr"; } }
        server { listen 127.0.0.2:{port2} proxy_protocol; location / { return 200 "two $proxy_protocol_addr"; } }""")
    port = server.names["port2"]
    assert server.client(("127.0.0.1", port)).get("/").text == "any "
    assert server.client(("127.0.0.2", port)).raw(V1 + GET).text == "two 1.2.3.4"


def test_one_server_says_it_for_the_address(weir):
    server = weir("location / { return 200 first; }", http="""
        server { listen 127.0.0.1:{port2}; server_name a; location / { return 200 "a $proxy_protocol_addr"; } }
        server { listen 127.0.0.1:{port2} proxy_protocol; server_name b; location / { return 200 "b $proxy_protocol_addr"; } }""")
    for name in "ab":
        assert server.raw(V1 + build_request("GET", "/", host=name), port="port2").text == name + " 1.2.3.4"


def test_in_the_log_also_after_the_client_left(weir):
    server = weir("access_log {dir}/access.log l; " + SERVER, http='log_format l "$proxy_protocol_addr:$proxy_protocol_port $status";')
    with server.client("port2") as client:
        client.send(V1 + GET)
        client.reset()
    assert server.raw(v2(A6, family=0x21) + GET, port="port2").status == 200
    assert "2001:db8::1:3333 200" in server.access(1)[-1] or "2001:db8::1:3333 200" in server.access(2)


def test_reload_switches_it(weir):
    server = weir(SERVER)
    assert server.raw(V1 + GET, port="port2").status == 200
    kept = server.client("port2")
    kept.raw(V1 + GET)
    text = server.read("nginx.conf")
    server.reload(text.replace(" proxy_protocol;", ";", 1))
    assert server.raw(V1 + GET, port="port2").status == 400
    assert server.get("/", port="port2").text == NONE


@pytest.mark.weir_only("TLVs are of nginx 1.23.2")
def test_tlvs(weir):
    server = weir("""listen 127.0.0.1:{port2} proxy_protocol; location / { return 200
        "$proxy_protocol_tlv_alpn|$proxy_protocol_tlv_0x01|$proxy_protocol_tlv_authority|$proxy_protocol_tlv_unique_id|$proxy_protocol_tlv_netns|$proxy_protocol_tlv_0xEa|$proxy_protocol_tlv_0x7"; }
        location /ssl { return 200
        "$proxy_protocol_tlv_ssl_version|$proxy_protocol_tlv_ssl_0x21|$proxy_protocol_tlv_ssl_cn|$proxy_protocol_tlv_ssl_cipher|$proxy_protocol_tlv_ssl_sig_alg|$proxy_protocol_tlv_ssl_key_alg|$proxy_protocol_tlv_ssl_verify"; }
        location /odd { return 200 "[$proxy_protocol_tlv_nosuch$proxy_protocol_tlv_0x$proxy_protocol_tlv_0x100$proxy_protocol_tlv_ssl_nosuch$proxy_protocol_tlv_ssl_]"; }
        location /cloud { return 200 "$proxy_protocol_tlv_aws_vpce_id|$proxy_protocol_tlv_azure_pel_id|$proxy_protocol_tlv_gcp_conn_id"; }""")
    inner = struct.pack("!BI", 7, 12) + tlv(0x21, b"TLSv1.3") + tlv(0x22, b"cn") + tlv(0x23, b"AES") + tlv(0x24, b"SHA256") + tlv(0x25, b"RSA2048")
    header = v2(tlvs=tlv(1, b"h2") + tlv(2, b"a.example") + tlv(5, b"id") + tlv(0x20, inner) + tlv(0x30, b"ns") + tlv(0xea, b"\1vpce-1") +
                tlv(0xee, b"\1" + struct.pack("<I", 70000)) + tlv(0xe0, struct.pack("!Q", 1 << 40)))
    client = server.client("port2", prefix=header)
    assert client.get("/").text == "h2|h2|a.example|id|ns|\1vpce-1|"
    assert client.get("/ssl").text == "TLSv1.3|TLSv1.3|cn|AES|SHA256|RSA2048|12"
    assert client.get("/odd").text == "[]"
    assert client.get("/cloud").text == "vpce-1|70000|1099511627776"
    client = server.client("port2", prefix=v2(tlvs=tlv(0x20, b"1234") + tlv(0xea, b"\2x") + tlv(0xee, b"\1abc") + tlv(0xe0, b"1")))
    assert client.get("/ssl").text == "||||||"
    assert client.get("/cloud").text == "||"
    assert server.get("/").text == "||||||"


def test_many_threads(weir):
    server = weir(SERVER, workers=3)
    for n in range(60):
        assert server.raw(b"PROXY TCP4 10.0.0.%d 5.6.7.8 1 2\r\n" % n + GET, port="port2").text.startswith(f"10.0.0.{n} 1 ")


@pytest.mark.parametrize("listen,message", [
    ("listen 127.0.0.1:{port2} proxy_protocol=on;", 'invalid parameter "proxy_protocol=on"'),
    ("listen 127.0.0.1:{port2} proxy_protocol x;", 'invalid parameter "x"'),
    ("listen 127.0.0.1:{port} proxy_protocol;", "a duplicate listen 127.0.0.1:")])
def test_bad_listen(command, listen, message):
    result = command(listen).command("-t")
    assert result.returncode == 1 and message in result.stderr


@pytest.mark.parametrize("listen", ["listen 127.0.0.1:{port2} proxy_protocol;", "listen unix:{dir}/s proxy_protocol;",
                                    "listen 127.0.0.1:{port2} proxy_protocol proxy_protocol;", "listen 127.0.0.1:{port2} proxy_protocol backlog=5;"])
def test_good_listen(command, listen):
    assert command(listen).command("-t").returncode == 0
