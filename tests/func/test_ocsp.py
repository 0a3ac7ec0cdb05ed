# SPDX-License-Identifier: Apache-2.0
"""OCSP towards a responder: stapling of what is fetched, and the question about certificates of clients."""
import http.server
import os
import socket
import ssl
import subprocess
import threading
import time

import pytest

from weirtest.server import IS_NGINX
from weirtest.timing import LIMIT, SLOW, wait_for
from weirtest.tls import OPENSSL, Pki, client_context, openssl

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
FACTS = 'location / { return 200 "$ssl_client_verify|$ssl_session_reused"; }'


def serial_of(pair):
    return openssl("x509", "-in", pair.cert, "-noout", "-serial").decode().strip().split("=")[1]


class Responder:
    """Answers by the openssl program, for the certificates that it was told of. signer: a Pair that signs instead of the
    authority. mode: None, or what else it does: "500", "hang", "garbage", "reset", "chunked"."""

    def __init__(self, pki, folder, signer=None):
        self.pki, self.folder, self.signer = pki, str(folder), signer or pki.root
        os.makedirs(self.folder, exist_ok=True)
        self.rows, self.asked, self.heads, self.mode, self.lock = {}, 0, [], None, threading.Lock()
        self.go_on = threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                outer.serve(self, self.rfile.read(int(self.headers["Content-Length"])))

            def do_GET(self):  # nginx
                from base64 import b64decode
                from urllib.parse import unquote
                outer.serve(self, b64decode(unquote(self.path.rsplit("/", 1)[1])))

            def log_message(self, *args):
                pass
        self.httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.httpd.daemon_threads = True
        threading.Thread(target=self.httpd.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def port(self):
        return self.httpd.server_address[1]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/ocsp"

    def know(self, pair, status="V"):
        self.rows[serial_of(pair)] = status
        return pair

    def answer(self, request):
        with self.lock:
            index, req, res = (os.path.join(self.folder, n) for n in ("index.txt", "req.der", "res.der"))
            with open(index, "w", encoding="ascii") as file:
                for serial, status in self.rows.items():
                    file.write(f"{status}\t350101000000Z\t{'250101000000Z' if status == 'R' else ''}\t{serial}\tunknown\t/CN={serial}\n")
            with open(req, "wb") as file:
                file.write(request)
            openssl("ocsp", "-index", index, "-CA", self.pki.ca, "-rsigner", self.signer.cert, "-rkey", self.signer.key,
                    "-reqin", req, "-respout", res, "-ndays", "1")
            with open(res, "rb") as file:
                return file.read()

    def serve(self, handler, request):
        with self.lock:
            self.asked += 1
        self.heads.append(f"{handler.requestline}\n{handler.headers}")
        mode = self.mode
        if mode == "500":
            handler.send_error(500)
            return
        if mode == "hang":
            self.go_on.wait(LIMIT)
        if mode == "reset":
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        body = b"no DER" if mode == "garbage" else self.answer(request)
        if mode == "chunked":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
            return
        handler.send_response(200)
        handler.send_header("Content-Type", "application/ocsp-response")
        if mode != "no length":
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        try:
            handler.wfile.write(body)
        except OSError:
            pass  # nobody waits any more

    def close(self):
        self.go_on.set()
        self.httpd.shutdown()
        self.httpd.server_close()


@pytest.fixture
def responder(pki, tmp_path):
    made = []

    def make(*args, **more):
        made.append(Responder(*(args or (pki, tmp_path / f"ocsp{len(made)}")), **more))
        return made[-1]
    os.chmod(tmp_path, 0o755)
    yield make
    for one in made:
        one.close()


def named(pki, stem, url, subject="localhost"):
    """A certificate that names the responder."""
    return pki.issue(stem, subject, lines=["authorityInfoAccess=OCSP;URI:" + url])


def block(pair, text="", more=""):
    protocols = "ssl_protocols TLSv1.2 TLSv1.3;" if IS_NGINX else ""
    return (f"server {{ listen 127.0.0.1:{{port}} ssl; server_name localhost; ssl_certificate {pair.cert};\n"
            f"ssl_certificate_key {pair.key}; {protocols}\n{text}\n{FACTS} }}\n{more}")


def staple(server, version="-tls1_3"):
    """What s_client says of the response: the status, or None."""
    out = subprocess.run([OPENSSL, "s_client", "-connect", f"127.0.0.1:{server.port}", "-servername", "localhost", "-status",
                          version], input=b"", capture_output=True, timeout=LIMIT, check=False).stdout.decode("latin-1")
    if "OCSP response: no response sent" in out:
        return None
    assert "OCSP Response Status: successful (0x0)" in out, out
    return out.split("Cert Status: ")[1].split("\n")[0]


# ---- stapling ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("how", ["certificate", "directive", "verify"])
def test_staple_is_fetched(weir, pki, responder, how):
    r = responder()
    pair = r.know(named(pki, "s-" + how, r.url) if how != "directive" else pki.issue("s-directive", "localhost"))
    text = f"ssl_stapling on; ssl_trusted_certificate {pki.ca};"
    if how == "directive":
        text += f"ssl_stapling_responder {r.url}/x;"
    if how == "verify":
        text += "ssl_stapling_verify on;"
    server = weir(http=block(pair, text))
    wait_for(lambda: staple(server) == "good", "a staple")
    assert staple(server, "-tls1_2") == "good"
    assert r.asked == 1
    if not IS_NGINX:
        assert r.heads[0].startswith("POST /ocsp/x " if how == "directive" else "POST /ocsp ")
        assert f"Host: 127.0.0.1:{r.port}" in r.heads[0] and "Content-Type: application/ocsp-request" in r.heads[0]


@pytest.mark.weir_only("nginx asks at the first handshake, whose client gets nothing, and anew after a reload")
def test_fetched_before_anyone_comes_and_kept_over_reloads(weir, pki, responder):
    r = responder()
    server = weir(http=block(r.know(named(pki, "early", r.url)), f"ssl_stapling on; ssl_trusted_certificate {pki.ca};"))
    wait_for(lambda: r.asked == 1, "the question")
    wait_for(lambda: staple(server) == "good", "a staple")
    for i in range(2, 4):
        server.signal("HUP")
        server.wait_log(f"configuration {i} is being served")
        assert staple(server) == "good"
    assert r.asked == 1


@pytest.mark.weir_only("nginx asks again after five minutes")
@pytest.mark.parametrize("mode, words", [
    ("500", "status 500"), ("garbage", r"d2i_OCSP_RESPONSE\(\) failed"), ("chunked", "a response in chunks"),
    ("reset", "the connection was closed before a response|recv\\(\\) failed")])
def test_responder_that_fails_is_asked_again(weir, pki, responder, mode, words):
    r = responder()
    r.mode = mode
    pair = r.know(named(pki, "again" + mode, r.url))
    server = weir(http=block(pair, f"ssl_stapling on; ssl_trusted_certificate {pki.ca};"))
    line = server.wait_log("while requesting certificate status")[0]
    import re
    assert re.search(rf"\[error\] .*({words}).* while requesting certificate status, responder: 127\.0\.0\.1, "
                     rf'certificate: "{re.escape(pair.cert)}"', line), line
    assert staple(server) is None
    r.mode = "no length"
    wait_for(lambda: staple(server) == "good", "a staple after all")


@pytest.mark.weir_only("nginx stops to wait, but for the request as a whole")
def test_responder_that_hangs_holds_up_nobody(weir, pki, responder):
    r = responder()
    r.mode = "hang"
    server = weir(http=block(r.know(named(pki, "hang", r.url)), f"ssl_stapling on; ssl_trusted_certificate {pki.ca};"))
    wait_for(lambda: r.asked == 1, "the question")
    began = time.monotonic()
    for _ in range(10):
        assert server.client(tls=client_context(pki.ca), name="localhost").get("/").status == 200
    assert staple(server) is None and time.monotonic() - began < LIMIT / 2
    server.signal("HUP")  # a reload does not wait either
    server.wait_log("configuration 2 is being served")
    r.go_on.set()
    wait_for(lambda: staple(server) == "good", "a staple")


def test_revoked_is_not_stapled(weir, pki, responder):
    r = responder()
    pair = r.know(named(pki, "gone", r.url), "R")
    server = weir(http=block(pair, f"ssl_stapling on; ssl_trusted_certificate {pki.ca};"))
    if IS_NGINX:
        staple(server)
    server.wait_log('certificate status "revoked" in the OCSP response')
    assert staple(server) is None


@pytest.mark.weir_only("nginx believes any signer unless ssl_stapling_verify is on")
def test_somebody_elses_signature_does_not_count(weir, pki, responder, tmp_path):
    stranger = Pki(tmp_path / "stranger", "Stranger CA")
    r = responder(pki, tmp_path / "forged", signer=stranger.root)
    server = weir(http=block(r.know(named(pki, "forged", r.url)), f"ssl_stapling on; ssl_trusted_certificate {pki.ca};"))
    server.wait_log(r"OCSP_basic_verify\(\) failed \(SSL: error:.*certificate verify error")
    assert staple(server) is None


def test_delegated_signer(weir, pki, responder, tmp_path):
    signer = pki.issue("ocsp-signer", "Signer", lines=["extendedKeyUsage=OCSPSigning"])
    r = responder(pki, tmp_path / "delegated", signer=signer)
    server = weir(http=block(r.know(named(pki, "delegated", r.url)),
                             f"ssl_stapling on; ssl_stapling_verify on; ssl_trusted_certificate {pki.ca};"))
    wait_for(lambda: staple(server) == "good", "a staple")


@pytest.mark.weir_only("the signer must be allowed to sign")
def test_signer_without_the_right(weir, pki, responder, tmp_path):
    signer = pki.issue("no-signer", "No Signer")
    r = responder(pki, tmp_path / "noright", signer=signer)
    server = weir(http=block(r.know(named(pki, "noright", r.url)), f"ssl_stapling on; ssl_trusted_certificate {pki.ca};"))
    server.wait_log(r"OCSP_basic_verify\(\) failed .*missing ocspsigning usage")
    assert staple(server) is None


@pytest.mark.weir_only("the start of the chain is enough for weir without ssl_stapling_verify; both want it with it")
def test_verify_wants_the_root(weir, pki, responder, tmp_path):
    """The chain that is sent has the issuer, which is not trusted by anybody here."""
    middle = Pki(tmp_path / "middle", "Middle CA", parent=pki)
    r = responder(middle, tmp_path / "mid")
    pair = r.know(named(middle, "leaf", r.url))
    with open(pair.cert, "a", encoding="ascii") as file, open(middle.ca, encoding="ascii") as more:
        file.write(more.read())
    server = weir(http=block(pair, "ssl_stapling on;"))
    wait_for(lambda: staple(server) == "good", "a staple")
    server = weir(http=block(pair, f"ssl_stapling on; ssl_stapling_verify on; ssl_trusted_certificate {pki.foreign.ca};"))
    server.wait_log(r"OCSP_basic_verify\(\) failed")
    assert staple(server) is None
    server = weir(http=block(pair, f"ssl_stapling on; ssl_stapling_verify on; ssl_trusted_certificate {pki.ca};"))
    wait_for(lambda: staple(server) == "good", "a staple")


@pytest.mark.weir_only("each certificate of a server has its own; nginx the same, at different times")
def test_two_kinds_of_keys(weir, pki, responder):
    r = responder()
    one, two = r.know(named(pki, "kind-ec", r.url)), r.know(pki.issue("kind-rsa", "localhost", kind="rsa",
                                                                      lines=["authorityInfoAccess=OCSP;URI:" + r.url]))
    server = weir(http=block(one, f"ssl_certificate {two.cert}; ssl_certificate_key {two.key}; ssl_stapling on; "
                                  f"ssl_trusted_certificate {pki.ca};"))
    wait_for(lambda: r.asked == 2, "two questions")

    def serial(kind):
        out = subprocess.run([OPENSSL, "s_client", "-connect", f"127.0.0.1:{server.port}", "-status", "-tls1_2", "-cipher",
                              f"ECDHE-{kind}-AES128-GCM-SHA256"], input=b"", capture_output=True, timeout=LIMIT,
                             check=False).stdout.decode("latin-1")
        return out.split("Serial Number: ")[1].split("\n")[0].strip() if "Serial Number: " in out else None
    wait_for(lambda: serial("ECDSA") == serial_of(one) and serial("RSA") == serial_of(two), "both staples")


@pytest.mark.weir_only("the test's name server knows no other client")
def test_responder_by_name(weir, pki, responder, tmp_path):
    """A name that only the resolver knows."""
    from weirtest.dns import NameServer
    dns = NameServer()
    try:
        dns.set("ocsp.example", a=["127.0.0.1"])
        r = responder()
        pair = r.know(named(pki, "byname", f"http://ocsp.example:{r.port}/"))
        server = weir(http=f"resolver 127.0.0.1:{dns.port};" +
                      block(pair, f"ssl_stapling on; ssl_trusted_certificate {pki.ca};"))
        wait_for(lambda: staple(server) == "good", "a staple")
        assert f"Host: ocsp.example:{r.port}" in r.heads[0]
    finally:
        dns.stop()


@pytest.mark.parametrize("name, text, words", [
    ("issuer", "", 'issuer certificate not found for certificate "{cert}"'),
    ("url", "ssl_trusted_certificate {ca};", 'no OCSP responder URL in the certificate "{cert}"'),
    ("https", "ssl_trusted_certificate {ca}; ssl_stapling_responder https://x/;",
     'invalid URL prefix in OCSP responder "https://x/" in the certificate "{cert}"'),
    ("host", "ssl_trusted_certificate {ca}; ssl_stapling_responder http:///;",
     'no host in OCSP responder "/" in the certificate "{cert}"'),
    ("name", "ssl_trusted_certificate {ca}; ssl_stapling_responder http://no.such.invalid/;",
     'host not found in OCSP responder "no.such.invalid/" in the certificate "{cert}"'),
    ("port", "ssl_trusted_certificate {ca}; ssl_stapling_responder http://127.0.0.1:99999/;",
     'invalid port in OCSP responder "127.0.0.1:99999/" in the certificate "{cert}"')])
def test_stapling_that_cannot_be(command, pki, name, text, words):
    names = {"ca": pki.ca, "cert": pki.server.cert}
    server = command(text="events {}\nhttp { server { listen 127.0.0.1:1 ssl; ssl_stapling on; "
                     f"ssl_certificate {pki.server.cert}; ssl_certificate_key {pki.server.key}; {text.format(**names)} }} }}")
    done = server.command("-t", "-e", "stderr")
    assert f'[warn] ' in done.stderr and '"ssl_stapling" ignored, ' + words.format(**names) in done.stderr, done.stderr


# ---- certificates of clients ---------------------------------------------------------------------------------------

def asking(pki, r, how="on", more=""):
    return (f"ssl_client_certificate {pki.ca}; ssl_verify_client on; ssl_verify_depth 3; ssl_ocsp {how}; {more}"
            "ssl_session_cache shared:s:1m;")


def facts(server, pki, pair, version=V13, **more):
    with server.client(tls=client_context(pki.ca, pair, version, version), name="localhost", **more) as client:
        got = client.get("/")
        return got.status, got.text


@pytest.mark.parametrize("version", [V12, V13])
@pytest.mark.parametrize("how", ["on", "leaf"])
def test_client(weir, pki, responder, how, version):
    r = responder()
    good, bad, unknown = (named(pki, f"c{how}-{n}", r.url, n) for n in ("good", "bad", "unknown"))
    r.know(good)
    r.know(bad, "R")
    server = weir(http=block(pki.server, asking(pki, r, how)))
    assert facts(server, pki, good, version) == (200, "SUCCESS|.")
    status, text = facts(server, pki, bad, version)
    assert status == 400 and "The SSL certificate error" in text
    assert facts(server, pki, unknown, version)[0] == 400
    assert r.asked == 3
    if not IS_NGINX:
        assert "(23:certificate revoked)" in server.wait_log("client SSL certificate verify error")[0]


@pytest.mark.weir_only("the variable and a request that goes on are weir's words")
def test_client_optional_tells_the_request(weir, pki, responder):
    r = responder()
    bad = r.know(named(pki, "opt-bad", r.url, "bad"), "R")
    server = weir(http=block(pki.server, asking(pki, r).replace("client on", "client optional") +
                             "error_page 495 =200 /page; location = /page { return 200 $ssl_client_verify; }"))
    assert facts(server, pki, bad) == (200, "FAILED:certificate revoked")
    with server.client(tls=client_context(pki.ca), name="localhost") as client:  # one without any is not asked about
        assert client.get("/").text == "NONE|."
    assert r.asked == 1


@pytest.mark.weir_only("nginx resumes, and asks about the leaf again")
def test_no_resumption(weir, pki, responder):
    """A certificate that is revoked between two connections does not slip through by a session."""
    r = responder()
    pair = r.know(named(pki, "resume", r.url, "resume"))
    server = weir(http=block(pki.server, asking(pki, r)))
    for version in (V12, V13):
        tls = client_context(pki.ca, pair, version, version)
        session = None
        for _ in range(2):
            with server.client(tls=tls, name="localhost") as client:
                assert client.get("/").text == "SUCCESS|."
                session = client.sock.session
        assert session is None or not session.has_ticket
    r.know(pair, "R")
    assert facts(server, pki, pair)[0] == 400


def test_client_cache(weir, pki, responder):
    r = responder()
    good, bad = r.know(named(pki, "cache-good", r.url, "good")), r.know(named(pki, "cache-bad", r.url, "bad"), "R")
    server = weir(http=block(pki.server, asking(pki, r, "leaf", "ssl_ocsp_cache shared:o:1m;")))
    for _ in range(3):
        assert facts(server, pki, good)[0] == 200
        assert facts(server, pki, bad)[0] == 400
    assert r.asked == 2
    server.signal("HUP")
    if not IS_NGINX:
        server.wait_log("configuration 2 is being served")
        assert facts(server, pki, good)[0] == 200
        assert r.asked == 2  # the cache outlives a reload


def test_client_chain(weir, pki, responder, tmp_path):
    """`on` asks about the authority between, too; `leaf` does not."""
    r = responder()
    middle = Pki(tmp_path / "middle", "Middle CA", parent=None)
    pki.sign(middle.root, "Middle CA", ["basicConstraints=critical,CA:true", "keyUsage=keyCertSign,cRLSign,digitalSignature",
                                        "authorityInfoAccess=OCSP;URI:" + r.url])
    middle.root.join()
    r.know(middle.root, "R")
    own = responder(middle, tmp_path / "leafs")
    pair = own.know(middle.issue("deep", "deep", chain=[middle.ca], lines=["authorityInfoAccess=OCSP;URI:" + own.url]))
    for how, status in (("leaf", 200), ("on", 400)):
        server = weir(http=block(pki.server, asking(pki, r, how)))
        assert facts(server, pki, pair)[0] == status
    assert (own.asked, r.asked) == (2, 1)


def test_client_responder_of_the_directive(weir, pki, responder):
    r = responder()
    pair = r.know(pki.issue("dir-client", "dir"))
    server = weir(http=block(pki.server, asking(pki, r, "leaf", f"ssl_ocsp_responder {r.url};")))
    assert facts(server, pki, pair)[0] == 200 and r.asked == 1


@pytest.mark.parametrize("mode", ["500", "garbage", "reset", "none", "nowhere"])
def test_client_of_whom_nobody_can_say(weir, pki, responder, mode):
    """No answer is no good answer."""
    r = responder()
    r.mode = mode
    url = {"nowhere": "http://127.0.0.1:1/"}.get(mode, r.url)
    pair = pki.issue("nosay", "nosay") if mode == "none" else r.know(named(pki, "nosay-" + mode, url, "nosay"))
    server = weir(http=block(pki.server, asking(pki, r)))
    assert facts(server, pki, pair)[0] == 400
    if not IS_NGINX:
        assert "[error]" in server.wait_log("while requesting certificate status")[0]
        assert "OCSP" in server.wait_log("client SSL certificate verify error")[0]


@pytest.mark.weir_only("nginx has 60 seconds of its own")
def test_client_waits_no_longer_than_the_deadline(weir, pki, responder):
    r = responder()
    r.mode = "hang"
    pair = r.know(named(pki, "waits", r.url, "waits"))
    server = weir(http=block(pki.server, f"client_header_timeout {int(1000 * SLOW)}ms;" + asking(pki, r)))
    began = time.monotonic()
    assert facts(server, pki, pair)[0] == 400
    assert 0.9 < time.monotonic() - began < LIMIT
    server.wait_log("timed out .*while requesting certificate status")


@pytest.mark.weir_only("the worker counts its connections")
def test_client_that_leaves_while_asked_about(weir, pki, responder):
    r = responder()
    r.mode = "hang"
    pair = r.know(named(pki, "leaves", r.url, "leaves"))
    server = weir(http=block(pki.server, asking(pki, r)))
    for i in range(5):
        client = server.client(tls=client_context(pki.ca, pair, high=V12), name="localhost")
        wait_for(lambda want=i + 1: r.asked >= want, "the question")
        import struct
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
    r.go_on.set()
    r.mode = None
    assert facts(server, pki, pair)[0] == 200


@pytest.mark.parametrize("text, words", [
    ("ssl_ocsp foo;", 'invalid value "foo"'),
    ("ssl_ocsp on; ssl_verify_client optional_no_ca;", '"ssl_ocsp" is incompatible with "ssl_verify_client optional_no_ca"'),
    ("ssl_ocsp leaf; ssl_verify_client on; ssl_client_certificate {ca}; ssl_ocsp_responder https://a/;",
     'invalid URL prefix in OCSP responder "https://a/" in "ssl_ocsp_responder"'),
    ("ssl_ocsp on; ssl_verify_client on; ssl_client_certificate {ca}; ssl_ocsp_responder http://no.such.invalid;",
     'host not found in OCSP responder "no.such.invalid" in "ssl_ocsp_responder"'),
    ("ssl_ocsp_cache shared:a;", 'invalid OCSP cache "shared:a"'),
    ("ssl_ocsp_cache shared:a:1k;", 'OCSP cache "shared:a:1k" is too small'),
    ("ssl_ocsp_cache foo;", 'invalid OCSP cache "foo"'),
    ("ssl_ocsp_cache shared:a:1m; ssl_session_cache shared:a:1m;",
     'the shared memory zone "a" is already declared for a different use'),
    ("ssl_ocsp_responder a b;", 'invalid number of arguments in "ssl_ocsp_responder" directive'),
    ("ssl_ocsp;", 'invalid number of arguments in "ssl_ocsp" directive'),
    ("location / {{ ssl_ocsp off; }}", '"ssl_ocsp" directive is not allowed here'),
    ("location / {{ ssl_ocsp_cache off; }}", '"ssl_ocsp_cache" directive is not allowed here'),
    ("location / {{ ssl_stapling_verify off; }}", '"ssl_stapling_verify" directive is not allowed here'),
    ("ssl_stapling_verify on off;", 'invalid number of arguments in "ssl_stapling_verify" directive'),
    ("ssl_stapling on; ssl_stapling_file /nowhere/s;", 'BIO_new_file("/nowhere/s") failed')])
def test_words(command, pki, text, words):
    server = command(text="events {}\nhttp { server { listen 127.0.0.1:1 ssl; "
                     f"ssl_certificate {pki.server.cert}; ssl_certificate_key {pki.server.key}; {text.format(ca=pki.ca)} }} }}")
    done = server.command("-t", "-e", "stderr")
    assert done.returncode == 1 and words in done.stderr, done.stderr
