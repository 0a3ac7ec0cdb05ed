# SPDX-License-Identifier: Apache-2.0
"""Certificates for tests, made by the openssl program, and TLS on top of the raw clients and peers.

Pki(folder) is one authority with what it signs; files are PEM. Keys of EC, which are made in no time; kind="rsa" where
the kind matters."""
import os
import shutil
import ssl
import subprocess
import time

IGNORE_EOF = getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
OPENSSL = shutil.which("openssl")


def openssl(*args, **more):
    """Run the openssl program; returns what it wrote."""
    done = subprocess.run([OPENSSL, *args], capture_output=True, check=False, **more)
    assert done.returncode == 0, f"openssl {' '.join(args)}: {done.stderr.decode()}"
    return done.stdout


class Pair:
    """A certificate and its key. text: both and the chain, for Python."""

    def __init__(self, stem):
        self.cert, self.key, self.both = stem + ".crt", stem + ".key", stem + ".pem"

    def join(self, *more):
        with open(self.both, "w", encoding="ascii") as out:
            for path in (self.cert, *more, self.key):
                with open(path, encoding="ascii") as file:
                    out.write(file.read())

    def pem(self):
        with open(self.cert, encoding="ascii") as file:
            return file.read()


class Pki:
    """An authority. ca: its certificate's file."""

    def __init__(self, folder, name="Test CA", parent=None):
        self.folder = str(folder)
        os.makedirs(self.folder, exist_ok=True)
        self.name = name
        self.parent = parent
        self.root = self.issue_self("ca", name) if parent is None else None
        if parent is not None:
            self.root = Pair(os.path.join(self.folder, "ca"))
            self._key(self.root, "ec")
            parent.sign(self.root, name, ["basicConstraints=critical,CA:true", "keyUsage=keyCertSign,cRLSign"])
            self.root.join()
        self.ca = self.root.cert
        self.serial = 0

    def _key(self, pair, kind):
        options = {"ec": ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"]}
        openssl("genpkey", "-algorithm", *options[kind], "-out", pair.key)

    def issue_self(self, stem, name, kind="ec", days=30):
        pair = Pair(os.path.join(self.folder, stem))
        self._key(pair, kind)
        openssl("req", "-x509", "-new", "-key", pair.key, "-out", pair.cert, "-days", str(days), "-subj", f"/CN={name}",
                "-addext", "keyUsage=keyCertSign,cRLSign,digitalSignature")
        pair.join()
        return pair

    def sign(self, pair, subject, lines, days=30):
        request = pair.cert + ".csr"
        ext = pair.cert + ".ext"
        with open(ext, "w", encoding="ascii") as file:
            file.write("\n".join(lines) + "\n")
        openssl("req", "-new", "-key", pair.key, "-out", request,
                "-subj", subject if subject.startswith("/") else f"/CN={subject}")
        if days < 0:
            self._sign_expired(request, pair.cert, ext, -days)
            return
        self.serial += 1
        openssl("x509", "-req", "-in", request, "-CA", self.root.cert, "-CAkey", self.root.key, "-out", pair.cert,
                "-set_serial", str(0x1000 + self.serial), "-days", str(days), "-extfile", ext)
    serial = 0

    def _sign_expired(self, request, out, ext, days):
        """`openssl x509` of 3.5 makes no certificate that ends before it begins: `openssl ca` is told both dates."""
        start, end = (time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() - 86400 * n)) for n in (days + 30, days))
        openssl("ca", "-batch", "-notext", "-config", self._ca_conf(), "-in", request, "-out", out, "-extfile", ext,
                "-cert", self.root.cert, "-keyfile", self.root.key, "-startdate", start, "-enddate", end)

    def _ca_conf(self):
        """What `openssl ca` needs: a configuration file, and a database of what was signed, empty each time."""
        index = os.path.join(self.folder, "index.txt")
        open(index, "w", encoding="ascii").close()
        conf = os.path.join(self.folder, "ca.cnf")
        with open(conf, "w", encoding="ascii") as file:
            file.write(f"[ca]\ndefault_ca=x\n[x]\ndatabase={index}\ndefault_md=sha256\ndefault_crl_days=30\n"
                       f"unique_subject=no\nrand_serial=yes\nnew_certs_dir={self.folder}\npolicy=any\npreserve=yes\n"
                       "[any]\ncommonName=supplied\n")
        return conf

    def issue(self, stem, subject=None, kind="ec", names=(), days=30, chain=(), lines=()):
        """stem.crt, stem.key, stem.pem in the folder. names: DNS names, else the subject's. chain: files behind it."""
        pair = Pair(os.path.join(self.folder, stem))
        self._key(pair, kind)
        names = names or ((subject,) if subject and not subject.startswith("/") else (stem,))
        self.sign(pair, subject or stem,
                  ["basicConstraints=CA:false", "subjectAltName=" + ",".join("DNS:" + n for n in names), *lines], days)
        pair.join(*chain)
        return pair

    def crl(self, *revoked):
        """A list of revoked certificates, as a file."""
        conf = self._ca_conf()
        for pair in revoked:
            openssl("ca", "-config", conf, "-revoke", pair.cert, "-cert", self.root.cert, "-keyfile", self.root.key)
        out = os.path.join(self.folder, f"crl{len(revoked)}.pem")
        openssl("ca", "-config", conf, "-gencrl", "-out", out, "-cert", self.root.cert, "-keyfile", self.root.key)
        return out


def client_context(ca=None, cert=None, low=None, high=None, ciphers=None, alpn=None, strict_end=False):
    """What a client says and wants. ca: the server's name and chain are verified against it. strict_end: an end without
    close_notify raises, once suppress_ragged_eofs of the socket is False."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if strict_end:
        made.options &= ~IGNORE_EOF
    if ca is None:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    else:
        made.load_verify_locations(ca)
    if cert is not None:
        made.load_cert_chain(cert.both)
    if ciphers:
        made.set_ciphers(ciphers)
    if low:
        made.minimum_version = low
    if high:
        made.maximum_version = high
    if alpn:
        made.set_alpn_protocols(alpn)
    return made


def server_context(pair, ca=None, low=None, high=None, ciphers=None, strict_end=False):
    """For a scripted peer. ca: clients must show a certificate of its."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if strict_end:
        made.options &= ~IGNORE_EOF
    made.load_cert_chain(pair.both)
    if ca is not None:
        made.load_verify_locations(ca)
        made.verify_mode = ssl.CERT_REQUIRED
    if ciphers:
        made.set_ciphers(ciphers)
    if low:
        made.minimum_version = low
    if high:
        made.maximum_version = high
    return made


def kernel_count():
    """Connections whose sending side a kernel with TLS encrypted so far, in software or in a device; None: it has no TLS."""
    try:
        with open("/proc/net/tls_stat", encoding="ascii") as file:
            rows = dict(line.split() for line in file if line.strip())
    except OSError:
        return None
    return int(rows["TlsTxSw"]) + int(rows["TlsTxDevice"])
