# SPDX-License-Identifier: Apache-2.0
"""Tickets are good for the next worker, the worker that takes a dead one's place, and another binary."""
import os
import signal
import ssl

import pytest

from test_upgrade import Upgraded
from weirtest.timing import wait_for
from weirtest.tls import client_context

pytestmark = pytest.mark.weir_only("nginx makes new keys for each generation of workers unless files have them")
BOTH = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])


def conf(pki, more=""):
    return (f"server {{ listen 127.0.0.1:{{port}} ssl; server_name localhost; ssl_certificate {pki.server.cert};\n"
            f"ssl_certificate_key {pki.server.key}; location / {{ return 200 '$pid $ssl_session_reused'; }} {more} }}")


def visit(server, tls, session=None):
    """The process that answered, whether the session was taken, and the next session."""
    with server.client(tls=tls, name="localhost", session=session) as client:
        pid, reused = client.get("/").text.split()
        return int(pid), reused == "r", client.sock.session


@BOTH
def test_second_worker(weir, pki, version):
    """A change that the running worker cannot take on."""
    server = weir(http=conf(pki), workers=1)
    tls = client_context(low=version, high=version)
    pid, _, session = visit(server, tls)
    server.write_conf(server.compose(None, http=conf(pki), workers=2))
    server.signal("HUP")
    wait_for(lambda: visit(server, tls)[0] != pid, "the second worker")
    # The first one's threads close their listeners one by one.
    found = []

    def visit_other():
        found.append(visit(server, tls, session))
        return found[-1][0] != pid
    wait_for(visit_other, "the first worker to take no more")
    assert found[-1][1]


@BOTH
def test_worker_in_place_of_a_dead_one(weir, pki, version):
    server = weir(http=conf(pki), allow=[r"worker process \d+ exited on signal 9|\[alert\]|\[crit\]"])
    tls = client_context(low=version, high=version)
    pid, _, session = visit(server, tls)
    os.kill(pid, signal.SIGKILL)

    def comes_back():
        try:
            return visit(server, tls)[0] != pid
        except (OSError, AssertionError, ssl.SSLError):
            return False
    wait_for(comes_back, "another worker")
    assert visit(server, tls, session)[1]


@BOTH
def test_another_binary(weir, pki, version):
    server = weir(http=conf(pki))
    tls = client_context(low=version, high=version)
    pid, _, session = visit(server, tls)
    up = Upgraded(server)
    try:
        server.signal("QUIT")
        assert server.wait_exit() == 0
        other, reused, session = visit(server, tls, session)
        assert other != pid and reused
        links = [os.readlink(f"/proc/{up.new}/fd/{fd}") for fd in os.listdir(f"/proc/{up.new}/fd")]
        assert not [link for link in links if "weir-secret" in link]
    finally:
        up.end()
