# SPDX-License-Identifier: Apache-2.0
"""ssl_key_log and proxy_ssl_key_log: the lines are the ones that the other side writes down, too."""
import os
import ssl
import stat

import pytest

from weirtest.timing import wait_for
from weirtest.tls import client_context, server_context

pytestmark = pytest.mark.weir_only("of nginx's commercial version")
V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
BOTH = pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def lines(path):
    with open(path, encoding="ascii") as file:
        return {line for line in file.read().splitlines() if not line.startswith("#")}


def conf(pki, text):
    return (f"server {{ listen 127.0.0.1:{{port}} ssl; server_name localhost; ssl_certificate {pki.server.cert};\n"
            f"ssl_certificate_key {pki.server.key}; {text} }}")


@BOTH
def test_of_clients(weir, pki, tmp_path, version):
    server = weir(http=conf(pki, "ssl_key_log keys.txt; return 200 x;"))  # below the prefix
    tls = client_context(low=version, high=version)
    tls.keylog_filename = str(tmp_path / "theirs")
    with server.client(tls=tls, name="localhost") as client:
        assert client.get("/").status == 200
    theirs = lines(tls.keylog_filename)
    assert theirs
    ours = wait_for(lambda: os.path.exists(server.path("keys.txt")) and lines(server.path("keys.txt")), "the keys")
    assert theirs <= ours and all(line.split()[0].isupper() for line in ours)
    assert stat.S_IMODE(os.stat(server.path("keys.txt")).st_mode) == 0o600
    os.rename(server.path("keys.txt"), server.path("old.txt"))  # it is made anew without a signal
    with server.client(tls=tls, name="localhost") as client:
        assert client.get("/").status == 200
    assert lines(tls.keylog_filename) - theirs <= lines(server.path("keys.txt"))


@BOTH
def test_of_peers(weir, pki, origin, tmp_path, version):
    context = server_context(pki.server, low=version, high=version)
    context.keylog_filename = str(tmp_path / "theirs")
    up = origin(OK, tls=context)
    server = weir("location / { proxy_ssl_key_log {dir}/keys.txt; proxy_pass https://{up}; }", up=up)
    assert server.get("/").text == "ok"
    wait_for(lambda: lines(context.keylog_filename) and lines(context.keylog_filename) <= lines(server.path("keys.txt")),
             "the peer's lines")


def test_by_name_and_inheritance(weir, pki):
    """A server of its own has its own; one that says \"\" has none."""
    other = conf(pki, "ssl_key_log {dir}/other.txt; return 200 x;").replace("localhost", "a.example")
    none = conf(pki, 'ssl_key_log ""; return 200 x;').replace("localhost", "b.example")
    server = weir(http="ssl_key_log {dir}/all.txt;" + conf(pki, "return 200 x;") + other + none)
    for name in ("localhost", "a.example", "b.example"):
        tls = client_context()
        with server.client(tls=tls, name=name) as client:
            assert client.get("/", {"Host": name}).status == 200
    count = len(lines(server.path("all.txt")))
    assert count > 0 and len(lines(server.path("other.txt"))) == count


def test_cannot_be_written(weir, pki):
    server = weir(http=conf(pki, "ssl_key_log {dir}/no/such; return 200 x;"))
    with server.client(tls=client_context(), name="localhost") as client:
        assert client.get("/").status == 200
    assert "No such file" in server.wait_log('the key log ".*/no/such" cannot be written')[0]


@pytest.mark.parametrize("text, words", [
    ("ssl_key_log;", 'invalid number of arguments in "ssl_key_log" directive'),
    ("ssl_key_log a b;", 'invalid number of arguments in "ssl_key_log" directive'),
    ("location / { ssl_key_log a; }", '"ssl_key_log" directive is not allowed here'),
    ("proxy_ssl_key_log a b;", 'invalid number of arguments in "proxy_ssl_key_log" directive'),
    ("ssl_key_log a; ssl_key_log b;", '"ssl_key_log" directive is duplicate')])
def test_words(command, text, words):
    done = command(text="events {}\nhttp { server { listen 127.0.0.1:1; %s } }" % text).command("-t", "-e", "stderr")
    assert done.returncode == 1 and words in done.stderr
