# SPDX-License-Identifier: Apache-2.0
"""Variables in ssl_certificate and proxy_ssl_certificate, text in place of files, and the caches of both."""
import os
import re
import ssl
import time

import pytest

from weirtest.server import IS_NGINX
from weirtest.timing import wait_for
from weirtest.tls import client_context, server_context

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
BOTH = pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
PROTOCOLS = "ssl_protocols TLSv1.2 TLSv1.3; " if IS_NGINX else ""
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def conf(cert, key, text="return 200 x;", names="localhost"):
    return (f"server {{ listen 127.0.0.1:{{port}} ssl; server_name {names}; {PROTOCOLS} ssl_certificate {cert}; "
            f"ssl_certificate_key {key}; {text} }}\n")


def shown(server, pki, name="localhost", version=V13):
    """The common name of the certificate that a client of this name is shown."""
    tls = client_context(pki.ca, low=version, high=version)
    tls.check_hostname = False
    with server.client(tls=tls, name=name) as client:
        got = dict(item[0] for item in client.sock.getpeercert()["subject"])["commonName"]
        assert client.get("/", {"Host": name}).status == 200
        return got


def put(pair, folder, stem):
    for src, dst in ((pair.cert, ".crt"), (pair.key, ".key")):
        with open(src, "rb") as file, open(os.path.join(folder, stem + dst + ".new"), "wb") as out:
            out.write(file.read())
        os.rename(os.path.join(folder, stem + dst + ".new"), os.path.join(folder, stem + dst))


MAP = "map $ssl_server_name $pair {{ default {a}; other.example {b}; }}\n"


@BOTH
def test_map_of_the_name(weir, pki, version):
    """A map gives whole paths; $ssl_server_name is known in time."""
    http = MAP.format(a=pki.server.cert[:-4], b=pki.other.cert[:-4]) + conf("$pair.crt", "$pair.key", names="localhost other.example")
    server = weir(http=http)
    for name, cn in (("localhost", "localhost"), ("other.example", "other.example"), ("unknown.example", "localhost")):
        assert shown(server, pki, name, version) == cn


def test_addresses_and_numbers(weir, pki, tmp_path):
    """What is of the connection."""
    server = weir(http=conf(f"{tmp_path}/$remote_addr-$server_addr.crt", f"{tmp_path}/$remote_addr-$server_addr.key"))
    put(pki.server, str(tmp_path), "127.0.0.1-127.0.0.1")
    assert shown(server, pki) == "localhost"


def test_relative_names(weir, pki):
    server = weir(http=conf("$ssl_server_name.crt", "$ssl_server_name.key"))
    put(pki.server, server.dir, "localhost")
    assert shown(server, pki) == "localhost"


def test_text(weir, pki):
    """data: and a variable, for instance out of a map that somebody writes."""
    one = pki.server
    with open(one.cert, encoding="ascii") as cert, open(one.key, encoding="ascii") as key:
        http = (f'map $ssl_server_name $the_cert {{ default "{cert.read()}"; }}\n'
                f'map $ssl_server_name $the_key {{ default "{key.read()}"; }}\n')
    server = weir(http=http + conf("data:$the_cert", "data:$the_key"))
    assert shown(server, pki) == "localhost"


def test_beside_a_constant_pair(weir, pki, tmp_path):
    """An RSA pair from a file and an ECDSA pair by name, in one server."""
    put(pki.server, str(tmp_path), "localhost")
    server = weir(http=conf(pki.rsa.cert, pki.rsa.key, f"ssl_certificate {tmp_path}/$ssl_server_name.crt; "
                            f"ssl_certificate_key {tmp_path}/$ssl_server_name.key; return 200 x;"))
    for ciphers in ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"):
        tls = client_context(pki.ca, high=V12, ciphers=ciphers)
        with server.client(tls=tls, name="localhost") as client:
            assert client.get("/").status == 200 and client.sock.cipher()[0] == ciphers


@pytest.mark.parametrize("cert, words", [
    ("/nowhere/$ssl_server_name", 'cannot load certificate "/nowhere/localhost": BIO_new_file\\(\\) failed'),
    ("$http_x", "the name of the certificate .* is empty|cannot load certificate"),
    ("data:$host", 'cannot load certificate "data": PEM_read_bio_X509_AUX\\(\\) failed')])
def test_failures(weir, pki, cert, words):
    server = weir(http=conf(cert, pki.server.key))
    with pytest.raises((ssl.SSLError, ConnectionResetError, AssertionError)):
        shown(server, pki)
    if not IS_NGINX:
        assert "[error]" in server.wait_log(words)[0]
        assert "while SSL handshaking, client: 127.0.0.1" in server.wait_log(words)[0]


@pytest.mark.weir_only("nginx has it since 1.27.4")
def test_cache(weir, pki, tmp_path):
    """A file that was exchanged counts once `valid` is over; without a cache at once."""
    put(pki.server, str(tmp_path), "localhost")
    server = weir(http=conf(f"{tmp_path}/$ssl_server_name.crt", f"{tmp_path}/$ssl_server_name.key",
                            "ssl_certificate_cache max=10 valid=1s inactive=1m; return 200 x;"))
    began = time.monotonic()
    assert shown(server, pki) == "localhost"
    put(pki.other, str(tmp_path), "localhost")
    assert shown(server, pki) == "localhost" or time.monotonic() - began > 0.9
    wait_for(lambda: shown(server, pki) == "other.example", "the new file")
    os.unlink(tmp_path / "localhost.crt")
    assert shown(server, pki) == "other.example"


@pytest.mark.weir_only("nginx has it since 1.27.4")
def test_cache_is_bounded(weir, pki, tmp_path):
    """Two files fit: one pair; the other name's takes its place."""
    for stem in ("localhost", "other.example"):
        put(pki.server if stem == "localhost" else pki.other, str(tmp_path), stem)
    server = weir(http=conf(f"{tmp_path}/$ssl_server_name.crt", f"{tmp_path}/$ssl_server_name.key",
                            "ssl_certificate_cache max=2 valid=1h; return 200 x;", names="localhost other.example"))
    assert shown(server, pki) == "localhost"
    put(pki.other, str(tmp_path), "localhost")
    assert shown(server, pki) == "localhost"
    assert shown(server, pki, "other.example") == "other.example"
    assert shown(server, pki) == "other.example"


@pytest.mark.weir_only("which of them are there differs")
def test_each_variable_in_a_handshake(weir, pki):
    """There is no request: none of the variables may mind."""
    names = """args arg_x binary_remote_addr body_bytes_sent bytes_sent connection connection_requests connection_time
        content_length content_type cookie_x document_root document_uri host hostname http_x http_host http_cookie https is_args
        is_request_port limit_rate msec nginx_version pid pipe proxy_add_x_forwarded_for proxy_host proxy_port
        proxy_protocol_addr query_string remote_addr remote_port remote_user request request_body
        request_body_file request_completion request_filename request_id request_length request_method request_port request_time
        request_uri scheme sent_http_x sent_http_content_type sent_http_location sent_http_connection sent_http_keep_alive
        sent_http_last_modified sent_trailer_x server_addr server_name server_port server_protocol ssl_cipher ssl_ciphers
        ssl_client_cert ssl_client_verify ssl_client_s_dn ssl_curve ssl_curves ssl_early_data ssl_protocol ssl_server_name
        ssl_session_id ssl_session_reused status tcpinfo_rtt time_iso8601 time_local trailer_x upstream_addr
        upstream_bytes_sent upstream_cache_status upstream_connect_time upstream_http_x upstream_status upstream_why
        upstream_response_time upstream_trailer_x uri upstream_cookie_x upstream_queue_time upstream_last_server_name
        geo_x split_x map_x named""".split()
    more = ("geo $geo_x { default 1; } split_clients $remote_addr $split_x { 50% a; * b; }\n"
            'map $request_uri$host $map_x { "~(?<named>.)x" 1; default 2; }\n')
    known = []
    for name in names:
        if name in known:
            continue
        known.append(name)
    server, text = None, ""
    while server is None:
        text = "".join(f"map ${name} $v_{name} {{ default ''; volatile; }}\n" for name in known)
        values = "".join(f"${{{name}}}$v_{name}" for name in known)
        http = (more + text + "log_format all '$ssl_server_name';\n" +
                f'map "{values}" $never {{ "~^impossible$" /no; default {pki.server.cert[:-4]}; }}\n' +
                conf("$never.crt", "$never.key"))
        probe = weir(http="server { listen 127.0.0.1:{port_probe}; return 200 x; }")
        probe.write("try.conf", "events {}\nhttp { " + http.replace("{port}", "1") + " }")
        done = probe.command("-t", "-c", probe.path("try.conf"), "-e", "stderr", conf=False)
        unknown = re.findall(r'unknown "(\w+)" variable', done.stderr)
        if unknown:
            assert set(unknown) & set(known), done.stderr
            known = [name for name in known if name not in unknown]
            continue
        assert done.returncode == 0, done.stderr
        server = weir(http=http)
    assert len(known) > 80
    for version in (V12, V13):
        assert shown(server, pki, version=version) == "localhost"


# ---- towards peers -------------------------------------------------------------------------------------------------

def peer(origin, pki, seen):
    """A peer that notes whose certificate it was shown."""
    context = server_context(pki.server, ca=pki.ca)
    context.verify_mode = ssl.CERT_OPTIONAL

    def script(conn):
        for _ in conn.requests():
            cert = conn.sock.getpeercert()
            seen.append(dict(item[0] for item in cert["subject"])["commonName"] if cert else None)
            conn.send(OK)
    return origin(script, tls=context)


def proxy(weir, up, cert, key, more="", **names):
    return weir(f"location / {{ proxy_http_version 1.1; proxy_set_header Connection ''; proxy_ssl_certificate {cert};\n"
                f"proxy_ssl_certificate_key {key}; {more} proxy_pass https://g; }}", up=up,
                http="upstream g { server {up}; keepalive 8; }\n" + ("proxy_ssl_protocols TLSv1.2 TLSv1.3;" if IS_NGINX else ""),
                **names)


def test_peer_by_argument(weir, pki, origin, tmp_path):
    """Each request shows its own; a kept connection serves only who has the same (U10.4)."""
    seen = []
    put(pki.client, str(tmp_path), "a")
    put(pki.other, str(tmp_path), "b")
    server = proxy(weir, peer(origin, pki, seen), f"{tmp_path}/$arg_c.crt", f"{tmp_path}/$arg_c.key")
    want = []
    with server.client() as client:
        for c, cn in (("a", "client"), ("b", "other.example"), ("a", "client"), ("b", "other.example")):
            assert client.get(f"/?c={c}").text == "ok"
            want.append(cn)
    if not IS_NGINX:
        assert seen == want


def test_peer_empty_name_is_none(weir, pki, origin):
    seen = []
    server = proxy(weir, peer(origin, pki, seen), "$arg_cert", "$arg_key")
    assert server.get("/").text == "ok" and seen == [None]
    assert server.get(f"/?cert={pki.client.cert}&key={pki.client.key}").text == "ok"
    if not IS_NGINX:  # takes the connection that was made without
        assert seen[-1] == "client"


@pytest.mark.weir_only("the words, and that no other peer is tried in vain")
def test_peer_certificate_that_is_not_there(weir, pki, origin):
    seen = []
    server = proxy(weir, peer(origin, pki, seen), "/nowhere/$arg_c.crt", "/nowhere/$arg_c.key")
    assert server.get("/?c=x").status == 502
    assert seen == []
    assert "[error]" in server.wait_log('cannot load certificate "/nowhere/x.crt": BIO_new_file\\(\\) failed')[0]
    assert server.get("/?c=../x").status in (500, 502)
    server.wait_log("the name of a certificate leads outside of")


@pytest.mark.weir_only("nginx has it since 1.27.4")
def test_peer_cache(weir, pki, origin, tmp_path):
    seen = []
    put(pki.client, str(tmp_path), "a")
    server = proxy(weir, peer(origin, pki, seen), f"{tmp_path}/$arg_c.crt", f"{tmp_path}/$arg_c.key",
                   "proxy_ssl_certificate_cache max=4 valid=1h; proxy_set_header Connection close; proxy_ssl_session_reuse off;")
    for _ in range(2):
        assert server.get("/?c=a").text == "ok"
        os.unlink(tmp_path / "a.crt") if os.path.exists(tmp_path / "a.crt") else None
    assert seen == ["client", "client"]


@pytest.mark.parametrize("text, words", [
    ("ssl_certificate_cache max=0;", 'invalid parameter "max=0"'),
    ("ssl_certificate_cache inactive=1s;", '"ssl_certificate_cache" directive must have the "max" parameter'),
    ("ssl_certificate_cache max=1 foo;", 'invalid parameter "foo"'),
    ("ssl_certificate_cache max=1 valid=x;", 'invalid parameter "valid=x"'),
    ("ssl_certificate_cache;", 'invalid number of arguments in "ssl_certificate_cache" directive'),
    ("location / { ssl_certificate_cache off; }", '"ssl_certificate_cache" directive is not allowed here'),
    ("proxy_ssl_certificate_cache max=0;", 'invalid parameter "max=0"'),
    ("ssl_certificate /x/$nothing.crt; ssl_certificate_key k;", 'unknown "nothing" variable'),
    ("ssl_certificate data:x; ssl_certificate_key k;", '"ssl_certificate" takes the name of a file only'),
    ("proxy_ssl_certificate engine:x;", '"proxy_ssl_certificate" takes the name of a file only')])
@pytest.mark.weir_only("later than Debian's, or refused by weir alone")
def test_words(command, text, words):
    done = command(text="events {}\nhttp { server { listen 127.0.0.1:1; %s } }" % text).command("-t", "-e", "stderr")
    assert done.returncode == 1 and words in done.stderr, done.stderr
