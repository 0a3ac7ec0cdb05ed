# SPDX-License-Identifier: Apache-2.0
"""allow, deny, satisfy, limit_except: who may come in, in which order, what -t says."""
import ipaddress
import os
import random
import socket
import time

import pytest

from weirtest.client import Client

SERVER = """
    root {dir}/html;
    location /open { return 200 open; }
    location /deny { deny all; try_files /f.txt =404; }
    location /first { allow 127.0.0.1; deny all; try_files /f.txt =404; }
    location /later { deny all; allow 127.0.0.1; try_files /f.txt =404; }
    location /net { deny 127.0.0.0/8; allow all; try_files /f.txt =404; }
    location /inner { allow 127.0.0.0/24; deny 127.0.0.0/8; try_files /f.txt =404; }
    location /outer { deny 127.0.0.0/8; allow 127.0.0.1; try_files /f.txt =404; }
    location /other { deny 10.0.0.0/8; deny unix:; deny ::1; try_files /f.txt =404; }
    location /v6 { deny ::/0; try_files /f.txt =404; }
    location /in { deny all; try_files /f.txt =404;
        location /in/same { try_files /f.txt =404; }
        location /in/own { allow all; try_files /f.txt =404; } }
    location /page { deny all; error_page 403 /page_open; }
    location /page_open { return 200 "told $status"; }
    location /loop { deny all; error_page 403 /loop/x; }
    location /soft { deny all; error_page 403 = @soft; }
    location @soft { allow all; try_files /f.txt =404; }
    location /any_no { satisfy any; deny all; try_files /f.txt =404; }
    location /any_yes { satisfy any; allow 127.0.0.1; deny all; try_files /f.txt =404; }
    location /any_none { satisfy any; allow 10.0.0.1; try_files /f.txt =404; }
    location /get { limit_except GET { deny all; } try_files /f.txt =404; }
    location /get_return { limit_except GET { deny all; } return 200 ret; }
    location /get_if { limit_except GET { deny all; } set $x 1; if ($x) { return 200 if; } }
    location /get_rewrite { limit_except GET { deny all; } rewrite ^ /open last; }
    location /post { limit_except post { deny all; } return 200 post; }
    location /two { limit_except GET PUT { deny all; } return 200 two; }
    location /f.txt { limit_except GET { allow 127.0.0.1; deny all; } }
    location /undo { deny all; limit_except GET { allow all; } proxy_pass http://127.0.0.1:1; }
    location /head { limit_except HEAD { deny all; } try_files /f.txt =404; }
    location /list { limit_except GET { deny all; } error_page 403 @named; try_files /f.txt =404; }
    location @named { return 200 named; }
    location /to_named { try_files /nosuch @limited; }
    location @limited { limit_except GET { deny all; } return 200 limited; }
"""


@pytest.fixture(scope="module")
def server(weir_shared):
    return weir_shared.server(SERVER, files={"html/f.txt": b"file"})


@pytest.mark.parametrize("target,status", [
    ("/open", 200), ("/deny", 403), ("/first", 200), ("/later", 403), ("/net", 403), ("/inner", 200), ("/outer", 403),
    ("/other", 200), ("/v6", 200), ("/in/x", 403), ("/in/same", 403), ("/in/own", 200), ("/loop", 403), ("/soft", 200),
    ("/any_no", 403), ("/any_yes", 200), ("/any_none", 200)])
def test_status(server, target, status):
    assert server.get(target).status == status


def test_error_page(server):
    response = server.get("/page")
    assert (response.status, response.text) == (403, "told 403")


def test_forbidden_is_logged(server):
    server.get("/deny?x1")
    server.wait_log(r"\[error\].* access forbidden by rule, client: 127.0.0.1, .*GET /deny\?x1")
    server.get("/any_no?x2")
    assert len(server.wait_log(r"access forbidden by rule, .*GET /any_no\?x2")) == 1


@pytest.mark.parametrize("method,target,status", [
    ("GET", "/get", 200), ("HEAD", "/get", 200), ("POST", "/get", 403), ("DELETE", "/get", 403), ("FOO", "/get", 403),
    ("GET", "/get_return", 200), ("POST", "/get_return", 403), ("GET", "/get_if", 200), ("POST", "/get_if", 403),
    ("GET", "/get_rewrite", 200), ("POST", "/get_rewrite", 403), ("GET", "/post", 403), ("POST", "/post", 200),
    ("GET", "/two", 200), ("PUT", "/two", 200), ("HEAD", "/two", 200), ("POST", "/two", 403), ("POST", "/f.txt", 405),
    ("GET", "/undo", 403), ("POST", "/undo", 502), ("HEAD", "/head", 200), ("GET", "/head", 403),
    ("POST", "/list", 403), ("GET", "/to_named", 200), ("POST", "/to_named", 403)])
def test_limit_except(server, method, target, status):
    assert server.request(method, target).status == status


def test_a_block_without_a_name_has_its_own_proxy(weir, origin):
    up = origin()
    other = origin(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother")
    server = weir("location / { limit_except GET { proxy_pass http://{other}; } proxy_pass http://{up}; }",
                  up=up, other=other)
    assert server.get("/").text == "ok"
    assert server.request("POST", "/").text == "other"


def test_unix(weir):
    server = weir("""location /no { deny unix:; return 204; } location /a { deny unix:; try_files /f =404; }
        location /b { allow unix:; deny all; try_files /f =404; } location /c { deny 127.0.0.1; try_files /f =404; }
        location /d { deny all; try_files /f =404; } location /e { deny ::/0; try_files /f =404; }
        listen unix:{dir}/s; root {dir};""", files={"f": b"f"})
    path = server.path("s")
    found = []
    for target in ("/a", "/b", "/c", "/d", "/e"):
        with Client(path) as client:
            found.append(client.get(target).status)
    assert found == [403, 200, 200, 403, 200]
    assert [server.get(t).status for t in ("/a", "/b", "/c", "/d")] == [200, 403, 403, 403]


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
        return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="there is no IPv6 here")
def test_ipv6_and_mapped(weir):
    """The second listener takes IPv4, too: those clients have mapped addresses."""
    server = weir("""listen [::]:{port2} ipv6only=off; root {dir};
        location /a { deny 127.0.0.1; try_files /f =404; } location /b { deny ::1; try_files /f =404; }
        location /c { allow 127.0.0.0/8; deny all; try_files /f =404; } location /d { deny ::/0; try_files /f =404; }
        location /e { allow 10.0.0.0/8; deny ::/0; try_files /f =404; } location /g { deny ::/8; try_files /f =404; }
        location /h { allow ::1; deny ::/96; deny ::ffff:0:0/96; try_files /f =404; }""", files={"f": b"f"})
    port = server.names["port2"]

    def statuses(address):
        found = []
        for target in ("/a", "/b", "/c", "/d", "/e", "/g"):
            with Client(address) as client:
                found.append(client.get(target).status)
        return found
    assert statuses(("127.0.0.1", port)) == [403, 200, 200, 403, 200, 403]
    assert statuses(("::1", port)) == [200, 403, 403, 403, 403, 403]


@pytest.mark.skipif(not has_ipv6(), reason="there is no IPv6 here")
@pytest.mark.weir_only("nginx sees mapped networks only where no rule is about IPv4, and never for clients that came by IPv4")
def test_mapped_networks_are_ipv4_networks(weir):
    server = weir("""listen [::]:{port2} ipv6only=off; root {dir};
        location /a { deny 10.0.0.1; deny ::ffff:127.0.0.1; try_files /f =404; }
        location /b { allow ::ffff:127.0.0.0/104; deny all; try_files /f =404; }""", files={"f": b"f"})
    for port in ("port", "port2"):
        assert [server.get(t, port=port).status for t in ("/a", "/b")] == [403, 200]


def test_large(weir):
    """100,000 rules in a wild order, against a plain walk over them."""
    draw = random.Random(3)
    rules = []
    for _ in range(100000):
        bits = draw.choice([9, 12, 16, 20, 24, 24, 24, 28, 32])
        net = ipaddress.ip_network((127 << 24 | draw.getrandbits(24), max(bits, 12)), strict=False)
        rules.append((draw.choice(["allow", "deny"]), net))
    began = time.monotonic()
    server = weir("root {dir}; location / { include {dir}/rules; deny all; try_files /f =404; }",
                  files={"f": b"f", "rules": "".join(f"{w} {n};\n" for w, n in rules).encode()})
    assert time.monotonic() - began < 20 * float(os.environ.get("WEIR_TEST_SLOW", "1"))
    plain = [(w, int(n.network_address), int(n.netmask)) for w, n in rules]
    for _ in range(30):
        number = 127 << 24 | draw.getrandbits(24) | 1
        word = next((w for w, net, mask in plain if number & mask == net), "deny")
        sock = socket.socket()
        sock.bind((str(ipaddress.ip_address(number)), 0))
        sock.connect(("127.0.0.1", server.port))
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        first = sock.makefile("rb").readline()
        sock.close()
        assert first.split()[1] == (b"200" if word == "allow" else b"403"), ipaddress.ip_address(number)


# what -t says

@pytest.mark.parametrize("server,message", [
    ("allow;", 'invalid number of arguments in "allow" directive'), ("allow foo;", 'invalid parameter "foo"'),
    ("deny 1.2.3.4/33;", 'invalid parameter "1.2.3.4/33"'), ("deny ::1/129;", 'invalid parameter "::1/129"'),
    ("allow 1.2.3.4 5.6.7.8;", 'invalid number of arguments in "allow" directive'),
    ("allow unix:/x;", 'invalid parameter "unix:/x"'), ("deny ALL;", 'invalid parameter "ALL"'),
    ("if ($uri) { deny all; }", '"deny" directive is not allowed here'),
    ("location / { if ($uri) { allow all; } }", '"allow" directive is not allowed here'),
    ("satisfy;", 'invalid number of arguments in "satisfy" directive'), ("satisfy x;", 'invalid value "x"'),
    ("satisfy any; satisfy all;", '"satisfy" directive is duplicate'),
    ("location / { if ($uri) { satisfy any; } }", '"satisfy" directive is not allowed here'),
    ("limit_except GET { }", '"limit_except" directive is not allowed here'),
    ("location / { limit_except { } }", 'invalid number of arguments in "limit_except" directive'),
    ("location / { limit_except FOO { } }", 'invalid method "FOO"'),
    ("location / { limit_except GET; }", 'directive "limit_except" has no opening "{"'),
    ("location / { limit_except GET { root x; } }", '"root" directive is not allowed here'),
    ("location / { limit_except GET { satisfy any; } }", '"satisfy" directive is not allowed here'),
    ("location / { limit_except GET { } limit_except POST { } }", '"limit_except" directive is duplicate'),
    ("location / { if ($uri) { limit_except GET { } } }", '"limit_except" directive is not allowed here'),
    ("auth_delay;", 'invalid number of arguments in "auth_delay" directive'),
    ("auth_delay x;", '"auth_delay" directive invalid value'), ("auth_delay 1s; auth_delay 2s;", '"auth_delay" directive is duplicate'),
    ("location / { limit_except GET { auth_delay 1s; } }", '"auth_delay" directive is not allowed here')])
def test_refused(command, server, message):
    result = command(server).command("-t")
    assert result.returncode == 1 and message in result.stderr


@pytest.mark.parametrize("server,warning", [
    ("allow unix:;", None), ("allow all; allow all; deny all;", None), ("location / { limit_except get HEAD PUT PUT { } }", None),
    ("deny 1.2.3.4/24;", "low address bits of 1.2.3.4/24 are meaningless"), ("satisfy any; auth_delay 100ms;", None),
    ("location / { limit_except MKCOL COPY MOVE OPTIONS PROPFIND PROPPATCH LOCK UNLOCK PATCH DELETE { deny all; } }", None)])
def test_accepted(command, server, warning):
    result = command(server).command("-t")
    assert result.returncode == 0
    assert ("[warn]" in result.stderr) == (warning is not None) and (warning or "") in result.stderr
