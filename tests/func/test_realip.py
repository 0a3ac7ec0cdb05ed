# SPDX-License-Identifier: Apache-2.0
"""realip: the client's address from a field or the PROXY protocol, whom it is believed from, who sees it, what -t says."""
import pytest

from weirtest.client import build_request
from weirtest.timing import wait_for

GET = build_request("GET", "/")
SHOW = 'return 200 "$remote_addr|$remote_port|$realip_remote_addr";'
SERVER = """
    set_real_ip_from 127.0.0.1; set_real_ip_from 10.0.0.0/8; set_real_ip_from 2001:db8::/32;
    location / { %s }
""" % SHOW


@pytest.fixture(scope="module")
def server(weir_shared):
    return weir_shared.server(SERVER, http="""
        server { listen 127.0.0.1:{port2}; set_real_ip_from 127.0.0.0/8; set_real_ip_from 10.0.0.0/8; real_ip_header X-Forwarded-For;
                 location / { %s } }
        server { listen 127.0.0.1:{port3}; set_real_ip_from 127.0.0.0/8; set_real_ip_from 10.0.0.0/8; set_real_ip_from 2001:db8::/32;
                 real_ip_header x-forwarded-FOR; real_ip_recursive on; location / { %s } }
        server { listen 127.0.0.1:{port4}; set_real_ip_from 127.0.0.0/8; set_real_ip_from 10.0.0.0/8; real_ip_header X-Foo; real_ip_recursive on;
                 location / { %s } }
        server { listen 127.0.0.1:{port5}; set_real_ip_from 10.0.0.0/8; location / { %s } }
    """ % (SHOW, SHOW, SHOW, SHOW))


def shown(server, headers, port="port"):
    addr, remote_port, connected = server.get("/", headers, port=port).text.split("|")
    assert connected == "127.0.0.1"
    return f"{addr} {remote_port}" if addr != "127.0.0.1" else "-"


@pytest.mark.parametrize("value,expect", [
    (None, "-"), ("1.2.3.4", "1.2.3.4 "), ("1.2.3.4:99", "1.2.3.4 99"), ("[::5]:99", "::5 99"), ("::5", "::5 "), ("foo", "-"),
    ("1.2.3.4, 5.6.7.8", "5.6.7.8 "), ("unix:", "-"), ("", "-"), ("1.2.3.4 ", "1.2.3.4 "), ("0.0.0.0", "0.0.0.0 "), ("1.2.3.4:0", "-"),
    ("1.2.3.4:70000", "-"), ("1.2.3.4:", "-"), ("1.2.3", "-"), ("256.1.1.1", "-"), ("1.2.3.4/8", "-"), ("1.2.3.4,", "1.2.3.4 ")])
def test_x_real_ip(server, value, expect):
    assert shown(server, {} if value is None else {"X-Real-IP": value}) == expect


def test_first_field_counts(server):
    assert shown(server, [("X-Real-IP", "1.1.1.1"), ("x-real-ip", "2.2.2.2")]) == "1.1.1.1 "
    assert shown(server, {"X-Forwarded-For": "1.1.1.1"}) == "-"


@pytest.mark.parametrize("value,plain,recursive", [
    ("1.1.1.1", "1.1.1.1 ", "1.1.1.1 "), ("1.1.1.1, 2.2.2.2", "2.2.2.2 ", "2.2.2.2 "), ("1.1.1.1, 2.2.2.2, 10.1.1.1", "10.1.1.1 ", "2.2.2.2 "),
    ("1.1.1.1:5, 10.1.1.1:6", "10.1.1.1 6", "1.1.1.1 5"), ("10.3.3.3, 10.1.1.1", "10.1.1.1 ", "10.3.3.3 "), ("foo, 10.1.1.1", "10.1.1.1 ", "10.1.1.1 "),
    ("1.1.1.1, foo", "-", "-"), ("", "-", "-"), ("1.1.1.1,10.1.1.1,127.0.0.1", "-", "1.1.1.1 "), ("::9, 2001:db8::7", "2001:db8::7 ", "::9 ")])
def test_x_forwarded_for(server, value, plain, recursive):
    assert shown(server, {"X-Forwarded-For": value}, "port2") == plain
    assert shown(server, {"X-Forwarded-For": value}, "port3") == recursive


def test_several_lines_are_one_list(server):
    assert shown(server, [("X-Forwarded-For", "1.1.1.1"), ("X-Forwarded-For", "10.1.1.1")], "port3") == "1.1.1.1 "


def test_any_field(server):
    assert shown(server, {"x-foo": "1.1.1.1, 10.1.1.1"}, "port4") == "1.1.1.1 "
    assert shown(server, {"X-Real-IP": "1.1.1.1"}, "port4") == "-"


def test_others_are_not_believed(server):
    assert shown(server, {"X-Real-IP": "1.1.1.1"}, "port5") == "-"


def test_each_request_of_a_connection(server):
    client = server.client()
    assert client.get("/", {"X-Real-IP": "1.1.1.1"}).text.startswith("1.1.1.1||")
    assert client.get("/").text.startswith("127.0.0.1|")
    assert client.get("/", {"X-Real-IP": "::2"}).text.startswith("::2||")


def test_who_sees_it(weir, origin):
    """Log lines, X-Forwarded-For, geo, keys of zones, ip_hash, the error log."""
    up = origin(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    server = weir("""set_real_ip_from 127.0.0.1; access_log {dir}/access.log l;
                  location / { proxy_pass http://{up}; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-R $remote_addr; }
                  location /geo { return 200 $geo; }
                  location = /z { limit_req zone=z; root {dir}; }
                  location /missing { root {dir}; }""",
                  http="""geo $geo { default none; 9.0.0.0/8 nine; 127.0.0.0/8 loop; } limit_req_zone $binary_remote_addr zone=z:1m rate=1r/m;
                  log_format l "$remote_addr $remote_user $realip_remote_addr $uri";""", up=up, files={"z": b"z"})
    assert server.get("/", {"X-Real-IP": "9.1.2.3", "X-Forwarded-For": "7.7.7.7"}).status == 200
    request = up.requests[0]
    assert (request.headers["X-Forwarded-For"], request.headers["X-R"]) == ("7.7.7.7, 9.1.2.3", "9.1.2.3")
    assert [server.get("/geo", headers).text for headers in ({"X-Real-IP": "9.1.2.3"}, {})] == ["nine", "loop"]
    assert [server.get("/z", {"X-Real-IP": ip}).status for ip in ("1.1.1.1", "1.1.1.2", "1.1.1.1", "::1", "::1")] == [200, 200, 503, 200, 503]
    assert server.get("/missing", {"X-Real-IP": "9.8.7.6"}).status == 404
    server.wait_log("failed.*client: 9.8.7.6, server")
    assert "9.1.2.3 - 127.0.0.1 /" in server.access(9)


def test_access_sees_it(weir):
    """allow and deny, by the server's addresses and by those of a location."""
    server = weir("""set_real_ip_from 127.0.0.1; location = /a { root {dir}; allow 9.0.0.0/8; deny all; }""", files={"a": b"a", "b": b"b"}, http="""
        server { listen 127.0.0.1:{port2}; location = /b { set_real_ip_from 127.0.0.1; root {dir}; deny 9.9.9.9; } }""")
    assert [server.get("/a", {"X-Real-IP": ip}).status for ip in ("9.1.1.1", "1.1.1.1")] == [200, 403]
    assert server.get("/a").status == 403
    assert [server.get("/b", {"X-Real-IP": ip}, port="port2").status for ip in ("9.9.9.9", "9.9.9.8")] == [403, 200]


def test_ip_hash_sees_it(weir, origin):
    ups = [origin(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + name) for name in (b"a", b"b", b"c")]
    server = weir("set_real_ip_from 127.0.0.1; location / { proxy_pass http://u; }",
                  http="upstream u { ip_hash; server {a}; server {b}; server {c}; }", a=ups[0], b=ups[1], c=ups[2])
    seen = {server.get("/", {"X-Real-IP": f"{n}.{n * 7 % 200}.{n * 13 % 200}.1"}).text for n in range(1, 40)}
    assert seen == {"a", "b", "c"}
    assert len({server.get("/", {"X-Real-IP": "50.60.70.80"}).text for _ in range(5)}) == 1


def test_location_level(weir):
    """What the server says comes first, and once; else the location's."""
    server = weir("""location /a { set_real_ip_from 127.0.0.1; real_ip_header X-Forwarded-For; access_log {dir}/access.log l; root {dir}; }
                  access_log {dir}/access.log l; location /b { root {dir}; }""", http='log_format l "$uri $remote_addr $realip_remote_addr";',
                  files={"a": b"a", "b": b"b"})
    headers = {"X-Forwarded-For": "1.1.1.1", "X-Real-IP": "2.2.2.2"}
    server.get("/a", headers)
    server.get("/b", headers)
    assert sorted(server.access(2)) == ["/a 1.1.1.1 127.0.0.1", "/b 127.0.0.1 127.0.0.1"]


def test_once_a_request(weir):
    server = weir("""set_real_ip_from 127.0.0.1; set_real_ip_from 1.1.1.1; access_log {dir}/access.log l;
                  location /a { set_real_ip_from 1.1.1.1; real_ip_header X-Forwarded-For; try_files /nosuch /b; }
                  location /b { set_real_ip_from 1.1.1.1; real_ip_header X-Forwarded-For; root {dir}; }""",
                  http='log_format l "$remote_addr $realip_remote_addr";', files={"b": b"b"})
    assert server.get("/a", {"X-Real-IP": "1.1.1.1", "X-Forwarded-For": "3.3.3.3"}).text == "b"
    assert server.access(1) == ["1.1.1.1 127.0.0.1"]


def test_proxy_protocol(weir):
    server = weir("""set_real_ip_from 127.0.0.1; real_ip_header proxy_protocol; listen 127.0.0.1:{port2} proxy_protocol;
                  location / { return 200 "$remote_addr|$remote_port|$realip_remote_addr"; }""")
    client = server.client("port2")
    for _ in range(2):
        data, header = GET, b"PROXY TCP4 1.2.3.4 5.6.7.8 11 22\r\n"
        assert client.raw(header + data if _ == 0 else data).text == "1.2.3.4|11|127.0.0.1"
    assert server.raw(b"PROXY TCP6 ::9 ::8 11 22\r\n" + GET, port="port2").text == "::9|11|127.0.0.1"
    assert server.raw(b"PROXY UNKNOWN\r\n" + GET, port="port2").text.startswith("127.0.0.1|")
    assert server.get("/").text.startswith("127.0.0.1|")


def test_unix(weir):
    server = weir("location / { return 200 x; }", http="""
        server { listen unix:{dir}/a; set_real_ip_from unix:; location / { return 200 "$remote_addr|$realip_remote_addr|$realip_remote_port"; } }
        server { listen unix:{dir}/b; set_real_ip_from 0.0.0.0/0; location / { return 200 "$remote_addr|$realip_remote_addr|$realip_remote_port"; } }""")
    headers = {"X-Real-IP": "1.2.3.4"}
    assert server.client(server.path("a")).get("/", headers).text == "1.2.3.4|unix:|"
    assert server.client(server.path("a")).get("/").text == "unix:|unix:|"
    assert server.client(server.path("b")).get("/", headers).text == "unix:|unix:|"


def test_names(weir):
    server = weir("set_real_ip_from localhost; location / { return 200 $remote_addr; }")
    assert server.get("/", {"X-Real-IP": "1.2.3.4"}).text == "1.2.3.4"


def test_inheritance(weir):
    server = weir("""location / { return 200 x; }""", http="""set_real_ip_from 127.0.0.1; real_ip_header X-A;
        server { listen 127.0.0.1:{port2}; location / { return 200 $remote_addr; } }
        server { listen 127.0.0.1:{port3}; set_real_ip_from 10.0.0.1; location / { return 200 $remote_addr; } }
        server { listen 127.0.0.1:{port4}; real_ip_header X-B; location / { return 200 $remote_addr; } }""")
    headers = {"X-A": "1.1.1.1", "X-B": "2.2.2.2"}
    assert [server.get("/", headers, port=port).text for port in ("port2", "port3", "port4")] == ["1.1.1.1", "127.0.0.1", "2.2.2.2"]


def test_reload(weir):
    server = weir(SERVER)
    assert server.get("/", {"X-Real-IP": "1.2.3.4"}).text.startswith("1.2.3.4")
    text = server.read("nginx.conf")
    server.write("nginx.conf", text.replace("set_real_ip_from 127.0.0.1;", ""))
    server.signal("HUP")
    wait_for(lambda: server.get("/", {"X-Real-IP": "1.2.3.4"}).text.startswith("127.0.0.1"), "the new configuration")


@pytest.mark.parametrize("line,message", [
    *[(f"set_real_ip_from {value};", f'host not found in set_real_ip_from "{value}"') for value in (
        "all", "nosuch.invalid", "10.0.0.0/33", "unix:/x", "[::1]", "1.2.3.4:80", "300.1.1.1", "*")],
    ('set_real_ip_from "";', 'host not found in set_real_ip_from ""'), ("set_real_ip_from;", 'invalid number of arguments in "set_real_ip_from" directive'),
    ("set_real_ip_from a b;", 'invalid number of arguments in "set_real_ip_from" directive'),
    ("real_ip_header a b;", 'invalid number of arguments in "real_ip_header" directive'), ("real_ip_header;", 'invalid number of arguments'),
    ("real_ip_header a; real_ip_header b;", '"real_ip_header" directive is duplicate'),
    ("real_ip_recursive x;", 'invalid value "x" in "real_ip_recursive" directive, it must be "on" or "off"'),
    ("real_ip_recursive on; real_ip_recursive on;", '"real_ip_recursive" directive is duplicate'),
    ("if ($host) { real_ip_header x; }", '"real_ip_header" directive is not allowed here'),
    ("if ($host) { set_real_ip_from 1.1.1.1; }", '"set_real_ip_from" directive is not allowed here'),
    ("location / { if ($host) { real_ip_recursive on; } }", '"real_ip_recursive" directive is not allowed here')])
def test_bad_directives(command, line, message):
    result = command(line).command("-t")
    assert result.returncode == 1 and message in result.stderr, result.stderr


@pytest.mark.parametrize("line,warning", [
    ("set_real_ip_from 10.0.0.0/8; set_real_ip_from ::1; set_real_ip_from unix:; set_real_ip_from localhost;", None), ("real_ip_header x;", None),
    ("set_real_ip_from 10.0.0.1/8;", "low address bits of 10.0.0.1/8 are meaningless"), ("real_ip_header proxy_protocol;", None),
    ("set_real_ip_from 2001:db8::1/32;", "low address bits of 2001:db8::1/32 are meaningless"), ("location / { real_ip_recursive on; }", None)])
def test_good_directives(command, line, warning):
    result = command(line).command("-t")
    assert result.returncode == 0, result.stderr
    assert warning is None or warning in result.stderr
