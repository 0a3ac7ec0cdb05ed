# SPDX-License-Identifier: Apache-2.0
"""geo: networks, ranges, proxies, what -t says."""
import ipaddress
import os
import random
import time

import pytest

HTTP = """
    geo $arg_a $net { default d; 1.2.3.4 one; 1.2.3.0/24 net; 1.2.0.0/16 big; ::1 lo6; 2001:db8::/32 doc; 10.0.0.0/8 ten; }
    geo $arg_a $six { default d; 255.255.255.255 bad; ::/0 six; }
    geo $arg_a $nodef { 1.2.3.4 one; 1.2.0.0/16 $arg_b; }
    geo $arg_a $del { default d; 1.2.0.0/16 big; 1.2.3.0/24 net; delete 1.2.3.0/24; 10.0.0.0/8 t; delete 10.0.0.0/8; }
    geo $arg_a $range { ranges; default d; 1.2.3.4-1.2.9.9 a; 1.2.3.6-1.2.3.8 b; 5.0.0.0-5.255.255.255 five;
                        0.0.0.0-0.0.0.5 zero; 7.0.0.1-7.0.0.1 gone; delete 7.0.0.1-7.0.0.1; }
    geo $one { default d; proxy 127.0.0.1; 1.1.1.1 one; 2.2.2.2 two; 127.0.0.1 lo; ::5 five; }
    geo $rec { default d; proxy 127.0.0.0/8; proxy 10.0.0.0/8; proxy_recursive; 1.1.1.1 one; 2.2.2.2 two; 127.0.0.1 lo;
               10.0.0.0/8 ten; }
    geo $arg_a $argproxy { default d; proxy 9.9.9.9; 1.1.1.1 one; 9.9.9.9 nine; }
    geo $untrusted { default d; proxy 10.0.0.0/8; 1.1.1.1 one; 127.0.0.1 lo; }
    geo $file { include {dir}/net.geo; default none; }
"""

SERVER = """location / { return 200
    "net=$net;six=$six;nodef=$nodef;del=$del;range=$range;one=$one;rec=$rec;argproxy=$argproxy;untrusted=$untrusted;file=$file"; }"""


@pytest.fixture(scope="module")
def server(weir_shared):
    return weir_shared.server(SERVER, http=HTTP, files={"net.geo": b"127.0.0.0/8 loop;\n::1 loop;\n"})


def values(server, target="/", headers=()):
    return dict(pair.split("=", 1) for pair in server.get(target, headers).text.split(";"))


@pytest.mark.parametrize("addr,net,six", [
    ("1.2.3.4", "one", "d"), ("1.2.3.5", "net", "d"), ("1.2.9.9", "big", "d"), ("10.0.0.1", "ten", "d"), ("::1", "lo6", "six"),
    ("::ffff:1.2.3.4", "one", "d"), ("2001:db8::5", "doc", "six"), ("2001:db9::1", "d", "six"), ("foo", "d", "bad"),
    ("255.255.255.255", "d", "bad"), ("256.1.1.1", "d", "bad"), ("unix:", "d", "bad"), ("[::1]", "d", "bad"),
    ("1.2.3", "d", "bad"), ("1.2.3.4:80", "d", "bad"), ("", "d", "bad"), ("::ffff:10.9.9.9", "ten", "d"), ("0.0.0.0", "d", "d")])
def test_networks(server, addr, net, six):
    found = values(server, "/?a=" + addr)
    assert (found["net"], found["six"]) == (net, six)


def test_values_are_plain_texts_and_default_is_empty(server):
    assert values(server, "/?a=1.2.3.5&b=1")["nodef"] == "$arg_b"
    assert values(server, "/?a=9.9.9.9")["nodef"] == ""


def test_delete(server):
    assert values(server, "/?a=1.2.3.4")["del"] == "big"
    assert values(server, "/?a=10.1.1.1")["del"] == "d"


@pytest.mark.parametrize("addr,expect", [
    ("1.2.3.3", "d"), ("1.2.3.4", "a"), ("1.2.3.5", "a"), ("1.2.3.6", "b"), ("1.2.3.8", "b"), ("1.2.3.9", "a"), ("1.2.9.9", "a"),
    ("1.2.9.10", "d"), ("5.1.1.1", "five"), ("6.0.0.0", "d"), ("4.255.255.255", "d"), ("foo", "d"), ("::1", "d"),
    ("::ffff:5.1.1.1", "five"), ("0.0.0.3", "zero"), ("0.0.0.6", "d"), ("7.0.0.1", "d"), ("255.255.255.255", "d")])
def test_ranges(server, addr, expect):
    assert values(server, "/?a=" + addr)["range"] == expect


@pytest.mark.parametrize("field,one", [
    (None, "lo"), ("1.1.1.1", "one"), ("1.1.1.1, 2.2.2.2", "two"), ("1.1.1.1, 127.0.0.1", "lo"), ("1.1.1.1, foo", "lo"),
    ("1.1.1.1:80", "one"), ("::5", "five"), ("[::5]:9", "five"), ("1.1.1.1,", "one"), ("1.1.1.1 , ", "one"), ("", "lo"),
    ("1.1.1.1 2.2.2.2", "two"), ("9.9.9.9", "d")])
def test_proxy(server, field, one):
    headers = {} if field is None else {"X-Forwarded-For": field}
    assert values(server, "/", headers)["one"] == one


@pytest.mark.parametrize("field,rec", [
    ("1.1.1.1, 127.0.0.1", "one"), ("1.1.1.1, 2.2.2.2, 10.1.1.1, 127.3.3.3", "two"), ("10.1.1.1", "ten"),
    ("10.1.1.1, 10.2.2.2", "ten"), ("foo, 10.1.1.1", "ten"), ("2.2.2.2, foo, 10.1.1.1", "ten")])
def test_proxy_recursive(server, field, rec):
    assert values(server, "/", {"X-Forwarded-For": field})["rec"] == rec


def test_proxy_with_several_fields(server):
    found = values(server, "/", [("X-Forwarded-For", "1.1.1.1, 10.1.1.1"), ("X-Forwarded-For", "10.2.2.2, 127.0.0.1")])
    assert (found["one"], found["rec"]) == ("lo", "one")


def test_only_a_proxy_is_believed(server):
    assert values(server, "/", {"X-Forwarded-For": "1.1.1.1"})["untrusted"] == "lo"
    assert values(server, "/?a=9.9.9.9", {"X-Forwarded-For": "1.1.1.1"})["argproxy"] == "one"
    assert values(server, "/?a=1.1.1.1", {"X-Forwarded-For": "9.9.9.9"})["argproxy"] == "one"


def test_include(server):
    assert values(server)["file"] == "loop"


@pytest.mark.weir_only("nginx takes 255.255.255.255 at the end of a range for an error")
def test_last_address_of_all(weir):
    server = weir('location / { return 200 "[$x]"; }', http="geo $arg_a $x { ranges; 255.0.0.0-255.255.255.255 z; }")
    assert [server.get("/?a=" + a).text for a in ("255.255.255.255", "254.255.255.255", "foo")] == ["[z]", "[]", "[z]"]


@pytest.mark.weir_only("newer than nginx 1.22")
def test_volatile(weir):
    server = weir("""location / { set $a 1.1.1.1; set $b "$fix$vol"; set $a 2.2.2.2; return 200 "$b $fix$vol"; }""", http="""
        geo $a $fix { 1.1.1.1 one; 2.2.2.2 two; } geo $a $vol { volatile; 1.1.1.1 one; 2.2.2.2 two; }""")
    assert server.get("/").text == "oneone onetwo"


# 100,000 entries, against a second way to find them

def test_large(weir):
    draw = random.Random(11)
    nets = {}
    while len(nets) < 100000:
        net = ipaddress.ip_network((draw.getrandbits(32), draw.choice([8, 12, 16, 20, 24, 24, 24, 28, 32, 32])), strict=False)
        nets[net] = f"n{len(nets)}"
    text = "".join(f"{net} {value};\n" for net, value in nets.items())
    ranges = "".join("%s-%s r%d;\n" % (ipaddress.ip_address(i * 40000), ipaddress.ip_address(i * 40000 + 30000), i)
                     for i in range(1, 100000))
    began = time.monotonic()
    server = weir('location / { return 200 "$net $range"; }', files={"n": text.encode(), "r": ranges.encode()},
                  http="geo $arg_a $net { default none; include {dir}/n; } geo $arg_a $range { ranges; include {dir}/r; default none; }")
    assert time.monotonic() - began < 20 * float(os.environ.get("WEIR_TEST_SLOW", "1"))
    client = server.client()
    for _ in range(60):
        number = draw.getrandbits(32)
        addr = ipaddress.ip_address(number)
        net = next((nets[n] for n in (ipaddress.ip_network((number, bits), strict=False) for bits in range(32, 7, -1)) if n in nets),
                   "none")
        i = number // 40000
        inside = 1 <= i < 100000 and number - i * 40000 <= 30000
        assert client.get(f"/?a={addr}").text == f"{net} {'r%d' % i if inside else 'none'}"


# what -t says

@pytest.mark.parametrize("body,message", [
    ("a 1;", 'invalid network "a"'), ("1.2.3.4;", "invalid number of the geo parameters"),
    ("1.2.3.4 1 2;", "invalid number of the geo parameters"), ("1.2.3.0/33 1;", 'invalid network "1.2.3.0/33"'),
    ("ranges x;", 'invalid network "ranges"'),
    ("1.2.3.4 a; ranges;", 'the "ranges" directive must be the first directive inside "geo" block'),
    ("ranges; 1.2.3.4 1;", 'invalid range "1.2.3.4"'), ("ranges; 1.2.3.5-1.2.3.4 a;", 'invalid range "1.2.3.5-1.2.3.4"'),
    ("ranges; 1.2.3.4-1.2.3.9 a; 1.2.3.7-1.2.3.19 b;", 'range "1.2.3.7-1.2.3.19" overlaps "1.2.3.4-1.2.3.9"'),
    ("ranges; 1.2.3.7-1.2.3.19 a; 1.2.3.4-1.2.3.9 b;", 'range "1.2.3.4-1.2.3.9" overlaps "1.2.3.7-1.2.3.19"'),
    ("ranges; 1.2.3.7-1.2.3.19 a; 1.2.3.4-1.2.3.30 b;", 'range "1.2.3.4-1.2.3.30" overlaps "1.2.3.7-1.2.3.19"'),
    ("ranges; ::1-::2 a;", 'invalid range "::1-::2"'), ("ranges; 1.2.3.0/24 a;", 'invalid range "1.2.3.0/24"'),
    ("proxy foo;", 'invalid network "foo"'), ("proxy_recursive x;", 'invalid network "proxy_recursive"'),
    ("proxy unix:;", 'invalid network "unix:"'), ("unix: 5;", 'invalid network "unix:"'),
    ("delete default;", 'invalid network "default"'), ("1.2 a;", 'invalid network "1.2"'), ("[::1] a;", 'invalid network "[::1]"'),
    ("1.2.3.4/ a;", 'invalid network "1.2.3.4/"'), ("::1/129 a;", 'invalid network "::1/129"'), ("'' a;", 'invalid network ""'),
    ("delete;", "invalid number of the geo parameters"), ("proxy;", "invalid number of the geo parameters"),
    ("include none.geo;", "failed (2: No such file or directory)"), ("1.2.3.4 { }", 'unexpected "{"')])
def test_bad_entries(command, body, message):
    result = command("return 200;", http="geo $x { %s }" % body).command("-t")
    assert result.returncode == 1 and message in result.stderr


@pytest.mark.parametrize("body,warning", [
    ("1.2.3.4 1; 1.2.3.4 2;", 'duplicate network "1.2.3.4", value: "2", old value: "1"'),
    ("1.2.3.4/24 1;", "low address bits of 1.2.3.4/24 are meaningless"),
    ("1.2.3.4 1; 1.2.3.4/32 1;", 'duplicate network "1.2.3.4/32", value: "1", old value: "1"'),
    ("default 1; default 2;", 'duplicate network "default", value: "2", old value: "1"'),
    ("default 1; 0.0.0.0/0 2;", 'duplicate network "0.0.0.0/0", value: "2", old value: "1"'),
    ("delete 1.2.3.0/24;", 'no network "1.2.3.0/24" to delete'), ("proxy 10.1.1.1/8;", "low address bits of 10.1.1.1/8"),
    ("ranges; 1.2.3.4-1.2.3.9 a; 1.2.3.4-1.2.3.9 b;", 'duplicate range "1.2.3.4-1.2.3.9", value: "b", old value: "a"'),
    ("ranges; delete 1.2.3.4-1.2.3.5;", 'no address range "1.2.3.4-1.2.3.5" to delete'),
    ("ranges; 1.2.3.4-1.2.3.9 a; delete 1.2.3.5-1.2.3.6;", 'no address range "1.2.3.5-1.2.3.6" to delete')])
def test_warnings(command, body, warning):
    result = command("return 200;", http="geo $x { %s }" % body).command("-t")
    assert result.returncode == 0 and "[warn]" in result.stderr and warning in result.stderr


@pytest.mark.parametrize("body", ["", "ranges;", "ranges; ranges;", "proxy_recursive;", "1.2.3.4 '';", "1.2.3.4 $arg_x;",
                                  "1.2.3.0/24 a; delete 1.2.3.0/24;", "ranges; proxy 1.2.3.4; 1.2.3.4-1.2.3.4 a;",
                                  "ranges; 1.2.3.4-1.2.3.9 a; 1.2.3.5-1.2.3.6 b;"])
def test_good_entries(command, body):
    result = command("return 200;", http="geo $x { %s }" % body).command("-t")
    assert result.returncode == 0 and "duplicate" not in result.stderr and "delete" not in result.stderr


@pytest.mark.parametrize("http,message", [
    ("geo { }", 'invalid number of arguments in "geo" directive'), ("geo x { }", 'invalid variable name "x"'),
    ("geo $a $b $c { }", 'invalid number of arguments in "geo" directive'), ("geo $nosuch $x { }", 'unknown "nosuch" variable'),
    ("geo arg_a $x { }", 'invalid variable name "arg_a"'), ("geo $host { }", 'the duplicate "host" variable'),
    ("geo $x;", 'directive "geo" has no opening "{"'), ("server { geo $x { } }", '"geo" directive is not allowed here'),
    ("server { location / { geo $x { } } }", '"geo" directive is not allowed here'), ("geo $ { }", 'invalid variable name "$"')])
def test_bad_directive(command, http, message):
    result = command("return 200;", http=http).command("-t")
    assert result.returncode == 1 and message in result.stderr
