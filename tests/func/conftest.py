# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the functional tests.

The server under test is the program named by WEIR_BIN (default build/weir). With WEIR_BIN=/usr/sbin/nginx the same
scripts run against nginx, which proves the scripts; tests marked weir_only(reason) are left out there, unless
WEIR_TEST_ALL is set: then they should fail, each for its reason.

weir(...)    starts a server, see Server.compose for the arguments; everything it wrote is checked when the test ends
weir_shared  the same, for the tests of one module that share a server (tables)
origin(...)  starts a scripted peer, see weirtest/peer.py
command(...) a Server that is not started, for runs of the command line

WEIR_TEST_CHOOSE=N runs each Nth of the rows of tables: for runs with a sanitizer, where the same code runs again and again."""
import os
import sys
import zlib

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from weirtest import server as server_module, tls  # noqa: E402
from weirtest.peer import Origin  # noqa: E402
from weirtest.server import Server  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "weir_only(reason): our specification differs from nginx 1.22 here")
    config.addinivalue_line("markers", "later(what): weir has not this yet and says so; skipped on weir, run on nginx")
    if not os.access(server_module.BINARY, os.X_OK):
        pytest.exit(f"no program {server_module.BINARY}: build weir or set WEIR_BIN", 2)


def is_chosen(item, part):
    """WEIR_TEST_CHOOSE=N: of rows of tables (which only read a configuration, or share a server) each Nth."""
    is_row = "weir_shared" in item.fixturenames or ("command" in item.fixturenames and "weir" not in item.fixturenames)
    return not is_row or zlib.crc32(item.nodeid.encode()) % part == 0


def choose(config, items):
    part = int(os.environ.get("WEIR_TEST_CHOOSE") or 1)
    left_out = [item for item in items if not is_chosen(item, part)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if is_chosen(item, part)]


def pytest_collection_modifyitems(config, items):
    choose(config, items)
    for item in items:
        later = item.get_closest_marker("later")
        if later and not server_module.IS_NGINX:
            item.add_marker(pytest.mark.skip(reason="not yet: " + later.args[0]))
        mark = item.get_closest_marker("weir_only")
        if mark is None:
            continue
        if not mark.args or not mark.args[0]:
            raise pytest.UsageError(f"{item.nodeid}: weir_only without a reason")
        if server_module.IS_NGINX and not os.environ.get("WEIR_TEST_ALL"):
            item.add_marker(pytest.mark.skip(reason="weir only: " + mark.args[0]))


def pytest_terminal_summary(terminalreporter):
    """With WEIR_TEST_KTLS: what the kernel says of it since it was started."""
    if server_module.WITH_KTLS:
        terminalreporter.write_line(f"connections that the kernel encrypted (/proc/net/tls_stat): {tls.kernel_count()}")


@pytest.hookimpl(tryfirst=True, hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for server in getattr(item, "weir_servers", []):
            report.sections.append(("server", server.evidence()))
    setattr(item, "report_" + report.when, report)


class Bench:
    """Servers and peers of one test (or module), ended in the right order."""

    def __init__(self, owner):
        self.owner = owner
        self.servers = []
        self.origins = []

    def server(self, server=None, *, text=None, allow=(), start=True, files=None, wait=True,
               binary=None, **more):
        """Compose, write files, start. Other keyword arguments: those of compose(), else template names."""
        made = Server()
        self.servers.append(made)
        getattr(self.owner, "weir_servers", []).append(made)
        made.allowed = list(allow)
        made.binary = binary or made.binary
        parts = {key: more.pop(key) for key in ("http", "main", "events", "workers", "connections") if key in more}
        made.names.update(more)
        for name, data in (files or {}).items():
            made.write(name, data)
        if start:
            made.start(text if text is not None else made.compose(server, **parts), wait)
        elif text is not None or server is not None or parts:
            made.write_conf(text if text is not None else made.compose(server, **parts))
        return made

    def origin(self, script=b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", **more):
        made = Origin(script, **more)
        self.origins.append(made)
        return made

    def finish(self, check):
        """Clients, then peers, then servers; checks only when the test passed."""
        errors = []
        for server in self.servers:
            server.close_clients()
        for origin in self.origins:
            origin.stop()
        for step in [s.stop for s in self.servers] + \
                ([s.check_log for s in self.servers] + [o.check for o in self.origins] if check else []):
            try:
                step()
            except AssertionError as error:
                errors.append(str(error))
        for server in self.servers:
            server.kill()
            server.remove()
        for origin in self.origins:
            origin.release()
        assert not errors, "\n".join(errors)


@pytest.fixture
def bench(request):
    request.node.weir_servers = []
    made = Bench(request.node)
    yield made
    failed = getattr(request.node, "report_call", None)
    made.finish(check=failed is None or not failed.failed)


@pytest.fixture
def weir(bench):
    return bench.server


@pytest.fixture
def origin(bench):
    return bench.origin


@pytest.fixture
def command(bench):
    def make(server=None, **more):
        return bench.server(server, start=False, **more)
    return make


@pytest.fixture(scope="session")
def pki(tmp_path_factory):
    """An authority and certificates that many tests use: server (localhost), rsa (localhost), other (other.example),
    client, and a second authority that nobody trusts."""
    if tls.OPENSSL is None:
        pytest.skip("there is no openssl here (package openssl)")
    made = tls.Pki(tmp_path_factory.mktemp("pki"))
    os.chmod(made.folder, 0o755)
    os.chmod(os.path.dirname(made.folder), 0o755)
    made.server = made.issue("server", "localhost", names=["localhost", "a.example", "b.example"])
    made.rsa = made.issue("rsa", "localhost", kind="rsa", names=["localhost", "a.example", "b.example"])
    made.other = made.issue("other", "other.example")
    made.client = made.issue("client", "/C=XX/O=Test, Org/CN=client")
    made.foreign = tls.Pki(os.path.join(made.folder, "foreign"), name="Foreign CA")
    made.stranger = made.foreign.issue("stranger", "stranger")
    return made


@pytest.fixture(scope="module")
def weir_shared(request):
    request.node.weir_servers = []
    made = Bench(request.node)
    yield made
    made.finish(check=True)
