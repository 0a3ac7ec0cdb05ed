# SPDX-License-Identifier: Apache-2.0
"""limit_rate, limit_rate_after with variables, and $limit_rate: how long responses take, what limits nothing."""
import time

import pytest

from weirtest.client import build_request
from weirtest.timing import LIMIT, SLOW, in_time, wait_for

SERVER = """
    access_log {dir}/access.log l; root {dir};
    location /plain { limit_rate 100k; alias {dir}/f; }
    location /after { limit_rate 10k; limit_rate_after 105k; alias {dir}/f; }
    location /var { limit_rate $arg_r; limit_rate_after $arg_a; alias {dir}/f; }
    location /if { if ($arg_r) { set $limit_rate $arg_r; } alias {dir}/; }
    location /off { limit_rate 1k; set $limit_rate 0; alias {dir}/f; }
    location /map { limit_rate $mapped; alias {dir}/f; }
    location /cond { if ($arg_slow) { limit_rate 100k; } alias {dir}/; }
    location /show { limit_rate 50k; return 200 "$limit_rate"; }
    location /set { set $limit_rate 4k; return 200 "$limit_rate"; }
    location /bad { set $limit_rate x; return 200 "$limit_rate"; }
"""
SIZE = 110000


@pytest.fixture(scope="module")
def server(weir_shared):
    return weir_shared.server(SERVER, files={"f": b"x" * SIZE}, workers=2,
                              http='map $arg_m $mapped { default 0; slow 100k; } log_format l "$uri $limit_rate";')


def fetch(server, target):
    assert len(server.get(target).body) == SIZE


def took(server, target):
    start = time.monotonic()
    fetch(server, target)
    return time.monotonic() - start


@pytest.mark.parametrize("target", ["/plain", "/var?r=100k", "/if/f?r=100k", "/map?m=slow", "/var?r=102400&a=x", "/cond/f?slow=1"])
def test_limited(server, target):
    """A tenth of a megabyte at 100 KB a second; up to a second's bytes may go at once."""
    assert in_time(lambda: took(server, target), 2 * SLOW) > 0.25


@pytest.mark.parametrize("target", ["/after", "/var?r=10k&a=105k", "/var?r=1&a=1m"])
def test_bytes_before_the_limit(server, target):
    in_time(lambda: fetch(server, target), 3 * SLOW)


@pytest.mark.parametrize("target", ["/var", "/var?r=0", "/var?r=abc", "/var?r=-1", "/off", "/map", "/var?r=1g", "/cond/f", "/if/f"])
def test_no_limit(server, target):
    in_time(lambda: fetch(server, target), 0.9 * SLOW)


def test_bad_texts_are_told(server):
    server.get("/var?r=7x")
    server.wait_log(r'\[error\].*invalid size "7x" while sending response to client, client:')
    server.get("/bad")
    server.wait_log(r'\[error\].*invalid \$limit_rate "x"')


def test_the_variable(server):
    """Before the response begins it tells what was set; in the log what held."""
    assert [server.get(target).text for target in ("/show", "/set", "/bad")] == ["0", "4096", "0"]
    server.get("/var?r=3m")
    wanted = {"/show 51200", "/set 4096", "/bad 0", "/var 3145728"}
    wait_for(lambda: wanted <= set(server.read("access.log").splitlines()), f"{wanted} in the log")


def test_limit_holds_for_each_request_of_a_connection(weir):
    server = weir(SERVER, files={"f": b"x" * 60000}, http='map $arg_m $mapped { default 0; } log_format l "$uri";')
    client = server.client()
    for target, least in (("/plain", 0.2), ("/var", 0.0), ("/plain", 0.2)):
        start = time.monotonic()
        assert len(client.get(target).body) == 60000
        assert least <= time.monotonic() - start


def test_tunnels_have_no_limit(weir, origin):
    def upgrade(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
        conn.send(b"y" * 200000)
        conn.read_to_end()
    server = weir("""location / { limit_rate 1k; proxy_pass http://{up}; proxy_http_version 1.1; proxy_set_header Upgrade x;
                  proxy_set_header Connection upgrade; }""", up=origin(upgrade), allow=["open socket", "aborting"])   # nginx at its end
    client = server.client()
    start = time.monotonic()
    client.send(build_request("GET", "/", {"Upgrade": "x", "Connection": "upgrade"}))
    client.read_until(b"\r\n\r\n")
    assert client.read_exact(200000) == b"y" * 200000
    assert time.monotonic() - start < LIMIT  # by the rate it would be three minutes
    client.close()


def test_proxied_response_and_a_client_that_leaves(weir, origin):
    up = origin(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"z" * 200000)
    server = weir("access_log {dir}/access.log l; limit_rate 50k; location / { proxy_pass http://{up}; }", up=up, http='log_format l "$status $body_bytes_sent";')
    client = server.client()
    client.send(build_request("GET", "/"))
    client.read_response_head("GET")
    client.read_exact(5000)
    client.reset()
    assert int(server.access(1)[0].split()[1]) < 200000
    assert server.get("/", {"Range": "bytes=0-9"}).status == 200


@pytest.mark.parametrize("line,message", [
    ("limit_rate;", 'invalid number of arguments in "limit_rate" directive'), ("limit_rate 1 2;", 'invalid number of arguments in "limit_rate" directive'),
    ("limit_rate x;", '"limit_rate" directive invalid value'), ("limit_rate -1;", '"limit_rate" directive invalid value'),
    ("limit_rate 1k; limit_rate 1k;", '"limit_rate" directive is duplicate'), ("limit_rate $nosuch;", 'unknown "nosuch" variable'),
    ("limit_rate_after x;", '"limit_rate_after" directive invalid value'), ("limit_rate_after;", 'invalid number of arguments in "limit_rate_after" directive'),
    ("limit_rate_after 1k; limit_rate_after 1k;", '"limit_rate_after" directive is duplicate'),
    ("if ($host) { limit_rate 1k; }", '"limit_rate" directive is not allowed here'),
    ("if ($host) { limit_rate_after 1k; }", '"limit_rate_after" directive is not allowed here')])
def test_bad_directives(command, line, message):
    result = command(line).command("-t")
    assert result.returncode == 1 and message in result.stderr, result.stderr


def test_inheritance(weir):
    server = weir("limit_rate 100k; location /in { alias {dir}/f; } location /out { limit_rate 0; alias {dir}/f; } location /more { limit_rate_after 1m; alias {dir}/f; }",
                  files={"f": b"x" * SIZE})
    assert took(server, "/in") > 0.25
    for target in ("/out", "/more"):
        in_time(lambda t=target: fetch(server, t), 0.9 * SLOW)
