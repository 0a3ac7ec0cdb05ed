# SPDX-License-Identifier: Apache-2.0
"""limit_conn: counted while a request runs and released however it ends, several zones, dry run, threads, reload, what -t says."""
import threading

import pytest

from weirtest.client import build_request
from weirtest.timing import LIMIT, wait_for

ZONES = """
    limit_conn_zone $arg_k zone=c:1m;
    limit_conn_zone $arg_j zone=other:1m;
    log_format l "$uri $arg_k $status $limit_conn_status";
"""
LOG = "access_log {dir}/access.log l;"
FILES = {"www/a": b"a", "www/b": b"b"}


class Holder:
    """A peer that answers when it is told to."""

    def __init__(self):
        self.go = threading.Event()
        self.came = []

    def script(self, conn):
        while True:
            request = conn.read_request()
            self.came.append(request)
            assert self.go.wait(LIMIT)
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


@pytest.fixture
def held(origin):
    holder = Holder()
    holder.port = origin(lambda c: swallow(holder, c))
    yield holder
    holder.go.set()


def swallow(holder, conn):
    """The client may have left meanwhile."""
    try:
        holder.script(conn)
    except Exception:  # noqa: BLE001: its end is not what is tested
        pass


def begin(server, target, count=1):
    """Requests that run until the peer is told to go on."""
    clients = [server.client() for _ in range(count)]
    for client in clients:
        client.send(build_request("GET", target))
    return clients


def wait_running(held, count):
    wait_for(lambda: len(held.came) >= count, f"{count} requests at the peer")


def wait_free(server, target, status=200):
    wait_for(lambda: server.get(target).status == status, f"{target} to be {status}")


LOCATIONS = LOG + """
    root {dir}/www;
    location / { limit_conn c 2; proxy_pass http://{up}; }
    location = /a { limit_conn c 2; }
    location = /b { limit_conn c 1; }
"""


def test_counts_requests_that_run(weir, held):
    server = weir(LOCATIONS, http=ZONES, up=held.port, files=FILES)
    clients = begin(server, "/?k=1", 2)
    wait_running(held, 2)
    assert server.get("/?k=1").status == 503
    assert server.get("/a?k=1").status == 503       # the same zone
    assert server.get("/a?k=2").status == 200       # another key
    assert server.get("/a").status == 200           # none
    server.wait_log(r'\[error\].*limiting connections by zone "c", client: 127\.0\.0\.1', 2)
    held.go.set()
    assert [client.read_response("GET").status for client in clients] == [200, 200]
    wait_free(server, "/a?k=1")
    # Lines of several connections: those of the held ones may be the last.
    wait_for(lambda: {"/ 1 503 REJECTED", "/a 2 200 PASSED", "/ 1 200 PASSED"} <= set(server.access(6)), "their lines")


def test_idle_connections_do_not_count(weir):
    server = weir("root {dir}/www; limit_conn c 1;", http=ZONES, files=FILES)
    clients = [server.client() for _ in range(3)]
    for client in clients * 3:
        wait_for(lambda c=client: c.get("/a?k=1").status == 200, "200")


@pytest.mark.parametrize("how", ["close", "reset"])
def test_client_that_leaves_is_released(weir, held, how):
    server = weir(LOCATIONS, http=ZONES, up=held.port, files=FILES)
    for n in range(3):
        clients = begin(server, "/?k=1", 2)
        wait_running(held, 2 * (n + 1))
        assert server.get("/a?k=1").status == 503
        for client in clients:
            getattr(client, how)()
        wait_free(server, "/b?k=1")


def test_errors_and_timeouts_release(weir, origin):
    up = origin(lambda c: (c.read_request(), c.reset()))
    server = weir("root {dir}/www; limit_conn c 1; location /p { proxy_pass http://{up}; } location /t { proxy_pass http://{up2}; proxy_read_timeout 100ms; }",
                  http=ZONES, files=FILES, up=up, up2=origin(lambda c: (c.read_request(), c.read_to_end())))
    for _ in range(3):      # another thread may see the end of a request a little later than its client
        for target, status in (("/p", 502), ("/t", 504), ("/nosuch", 404), ("/a", 200)):
            wait_free(server, target + "?k=1", status)
        wait_for(lambda: server.request("POST", "/a?k=1", body=b"x").status == 405, "405")


def test_refused_body_releases(weir, origin):
    server = weir("client_max_body_size 10; limit_conn c 1; location / { proxy_pass http://{up}; }", http=ZONES, up=origin())
    for _ in range(3):
        wait_for(lambda: server.request("POST", "/?k=1", body=b"x" * 20).status == 413, "413")
    wait_free(server, "/?k=1")


def test_tunnel_counts_until_it_ends(weir, origin):
    def upgrade(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
        conn.read_to_end()
    server = weir("""root {dir}/www; limit_conn c 1;
                  location / { proxy_pass http://{up}; proxy_http_version 1.1; proxy_set_header Upgrade x; proxy_set_header Connection upgrade; }
                  location = /a { }""", http=ZONES, files=FILES, up=origin(upgrade))
    client = server.client()
    client.send(build_request("GET", "/?k=1", {"Upgrade": "x", "Connection": "upgrade"}))
    assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
    assert server.get("/a?k=1").status == 503
    client.send(b"hello")
    assert server.get("/a?k=1").status == 503
    client.close()
    wait_free(server, "/a?k=1")


def test_slow_reader_counts(weir):
    """A response that is not out yet is a request that runs."""
    server = weir("root {dir}; limit_conn c 1; location = /a { root {dir}/www; }", http=ZONES, files={**FILES, "big": b"x" * 40000000})
    client = server.client(rcvbuf=4096)
    client.send(build_request("GET", "/big?k=1"))
    client.read_response_head("GET")
    assert server.get("/a?k=1").status == 503
    client.close()
    wait_free(server, "/a?k=1")


def test_several_zones(weir, held):
    server = weir("""root {dir}/www; location / { limit_conn c 3; limit_conn other 1; proxy_pass http://{up}; }
                  location = /a { limit_conn c 3; } location = /b { limit_conn other 1; }""", http=ZONES, up=held.port, files=FILES)
    begin(server, "/?k=1&j=1")
    wait_running(held, 1)
    for _ in range(4):
        assert server.get("/?k=1&j=1").status == 503    # counted in neither zone
    server.wait_log('by zone "other"', 4)
    begin(server, "/?k=1&j=2")
    begin(server, "/?k=1&j=3")
    wait_running(held, 3)
    assert server.get("/a?k=1").status == 503
    assert server.get("/b?j=4").status == 200
    held.go.set()
    wait_free(server, "/a?k=1")


def test_dry_run_level_status_and_error_page(weir, held):
    server = weir(LOG + """root {dir}/www; limit_conn_log_level info; limit_conn_status 429; error_page 429 = /b;
                  location / { limit_conn c 1; proxy_pass http://{up}; } location = /b { }
                  location = /a { limit_conn c 1; limit_conn_dry_run on; }""", http=ZONES, up=held.port, files=FILES)
    begin(server, "/?k=1")
    wait_running(held, 1)
    assert server.get("/a?k=1").text == "a"
    server.wait_log(r'\[info\].*limiting connections, dry run, by zone "c"')
    answer = server.get("/?k=1")
    assert (answer.status, answer.text) == (200, "b")
    server.wait_log(r'\[info\].*limiting connections by zone "c"')
    assert "/a 1 200 REJECTED_DRY_RUN" in server.access(2)


def test_counted_once_over_redirects(weir):
    server = weir("root {dir}/www; location = /x { limit_conn c 1; try_files /nosuch /y; } location = /y { limit_conn c 1; try_files /nosuch /a; } limit_conn other 1;",
                  http=ZONES, files=FILES)
    for _ in range(4):      # counted twice it would never be 200
        wait_free(server, "/x?k=1&j=1")


@pytest.mark.parametrize("workers", [1, 3])
def test_exact_over_threads(weir, held, workers):
    server = weir(LOG + "root {dir}/www; location / { limit_conn c 5; proxy_pass http://{up}; } location = /a { limit_conn c 5; }", http=ZONES,
                  up=held.port, files=FILES, workers=workers)
    for n in range(1, 4):
        clients = begin(server, "/?k=1", 12)
        wait_running(held, 5 * n)
        refused = wait_for(lambda n=n: server.log().count("limiting connections by") >= 7 * n, "seven to be refused")
        assert refused and len(held.came) == 5 * n
        for client in clients:
            client.close()
        wait_for(lambda: server.get("/a?k=none").status == 200, "the server")
        wait_for(lambda n=n: server.read("access.log").count(" 499 ") + server.read("access.log").count(" 503 ") >= 12 * n, "their log lines")


def test_kept_over_a_reload(weir, held):
    server = weir(LOCATIONS, http=ZONES, up=held.port, files=FILES)
    clients = begin(server, "/?k=1", 2)
    wait_running(held, 2)
    text = server.read("nginx.conf")
    server.write("nginx.conf", text.replace("location = /a { limit_conn c 2;", "location = /a { limit_conn c 3;"))
    server.signal("HUP")
    wait_for(lambda: server.get("/a?k=1").status == 200, "the new limit")
    server.write("nginx.conf", text.replace("location = /a {", "location = /a { limit_conn_status 429;"))
    server.signal("HUP")
    wait_for(lambda: server.get("/a?k=1").status == 429, "the new status; requests of the first configuration still count")
    held.go.set()
    assert [client.read_response("GET").status for client in clients] == [200, 200]
    wait_free(server, "/a?k=1")


@pytest.mark.weir_only("nginx refuses all new clients while its zone is full")
def test_full_zone_refuses_nobody(weir, origin):
    """1,200 clients at a time in a zone for 700: the oldest are forgotten, and their end does not count for others."""
    server = weir("root {dir}/www; location = /a { limit_conn tiny 1; limit_rate 1k; } location = /b { limit_conn tiny 1; }",
                  http="limit_conn_zone $arg_k zone=tiny:32k;", files={"www/a": b"x" * 9000, "www/b": b"b"}, connections=3000,
                  main="worker_rlimit_nofile 4096;")
    clients = []
    for i in range(1200):
        client = server.client()
        clients.append(client)
        client.send(build_request("GET", f"/a?k={i}"))
        assert client.read_response_head("GET").status == 200
    assert server.get("/b?k=1199").status == 503
    assert server.get("/b?k=0").status == 200
    for client in clients:
        client.close()
    wait_free(server, "/b?k=1199")


# configuration

C = "limit_conn_zone $arg_k zone=c:1m;"


@pytest.mark.parametrize("http,message", [
    ("limit_conn_zone x;", 'invalid number of arguments in "limit_conn_zone" directive'),
    ("limit_conn_zone $host zone=c:1m x;", 'invalid number of arguments in "limit_conn_zone" directive'),
    ("limit_conn_zone $host zone=c:16k;", 'zone "zone=c:16k" is too small'),
    ("limit_conn_zone $host zone=c;", 'invalid zone size "zone=c"'),
    ("limit_conn_zone $host foo;", 'invalid parameter "foo"'),
    ("limit_conn_zone $nosuch zone=c:1m;", 'unknown "nosuch" variable'),
    ("limit_conn_zone $host zone=:1m;", '"limit_conn_zone" must have "zone" parameter'),
    (C + C, 'limit_conn_zone "c" is already bound to key "$arg_k"'),
    (C + "limit_conn_zone $host zone=c:2m;", 'the size 2097152 of shared memory zone "c" conflicts with already declared size 1048576'),
    ("limit_req_zone $host zone=c:1m rate=1r/s; limit_conn c 1;", 'the shared memory zone "c" is already declared for a different use'),
    ("upstream u { zone c 64k; server 127.0.0.1:1; }" + C, 'the shared memory zone "c" is already declared for a different use'),
    (C + "limit_conn c 0;", 'invalid number of connections "0"'), (C + "limit_conn c x;", 'invalid number of connections "x"'),
    (C + "limit_conn c -1;", 'invalid number of connections "-1"'), (C + "limit_conn c 65536;", "connection limit must be less 65536"),
    (C + "limit_conn c;", 'invalid number of arguments in "limit_conn" directive'),
    (C + "limit_conn c 1 2;", 'invalid number of arguments in "limit_conn" directive'),
    (C + "limit_conn c 1; limit_conn c 2;", '"limit_conn" directive is duplicate'),
    ("limit_conn nosuch 1;", 'zero size shared memory zone "nosuch"'),
    ("limit_conn_status 399;", "value must be between 400 and 599"), ("limit_conn_status 600;", "value must be between 400 and 599"),
    ("limit_conn_log_level crit;", 'invalid value "crit"'),
    ("limit_conn_dry_run x;", 'invalid value "x" in "limit_conn_dry_run" directive, it must be "on" or "off"'),
    ("limit_conn_dry_run on; limit_conn_dry_run on;", '"limit_conn_dry_run" directive is duplicate'),
    ("server { %s }" % C, '"limit_conn_zone" directive is not allowed here'),
    (C + "server { if ($host) { limit_conn c 1; } }", '"limit_conn" directive is not allowed here'),
    (C + "server { location / { if ($host) { limit_conn c 1; } } }", '"limit_conn" directive is not allowed here'),
    ("server { if ($host) { limit_conn_status 500; } }", '"limit_conn_status" directive is not allowed here'),
    ("limit_zone one $host 1m;", 'unknown directive "limit_zone"')])
def test_bad_directives(command, http, message):
    result = command("return 200;", http=http).command("-t")
    assert result.returncode == 1 and message in result.stderr, result.stderr


@pytest.mark.weir_only("our hint")
def test_old_name_has_a_hint(command):
    result = command("return 200;", http="limit_zone one $binary_remote_addr 1m;").command("-t")
    assert result.returncode == 1 and "limit_conn_zone $binary_remote_addr zone=one:1m" in result.stderr, result.stderr


@pytest.mark.parametrize("http", [
    C, C + "limit_conn c 5;", "limit_conn c 65535;" + C, 'limit_conn_zone "" zone=c:32k;', C + "limit_conn_zone $host zone=d:1m; limit_conn c 1; limit_conn d 1;",
    "limit_conn_status 400; limit_conn_log_level info; limit_conn_dry_run off;", C + "server { limit_conn c 1; location / { limit_conn c 2; } }"])
def test_good_directives(command, http):
    result = command("return 200;", http=http).command("-t")
    assert result.returncode == 0, result.stderr


def test_inheritance(weir, held):
    server = weir("""root {dir}/www; limit_conn c 1; limit_conn_status 429; location / { limit_conn other 1; limit_conn c 1; proxy_pass http://{up}; }
                  location = /a { } location = /b { limit_conn other 1; limit_conn_status 430; }""", http=ZONES, up=held.port, files=FILES)
    begin(server, "/?k=1&j=1")
    wait_running(held, 1)
    assert server.get("/a?k=1").status == 429
    assert server.get("/b?k=1&j=2").status == 200       # its own limits take the place of the server's
    assert server.get("/b?k=2&j=1").status == 430
