# SPDX-License-Identifier: Apache-2.0
"""num_map: numbers and ranges, which entry decides, values with variables, what -t says. nginx 1.22 has it not."""
import os
import random
import time

import pytest

pytestmark = pytest.mark.weir_only("newer than nginx 1.22")

HTTP = """
    num_map $arg_n $port { default none; 443 ssl; <=1023 low; 8080-8090 range; >8092 more; }
    num_map $arg_n $order { 5 five; 1-10 ten; <7 less; 3 three; >=9 nine; }
    num_map $arg_n $below { <1 zero; >9223372036854775806 last; }
    num_map $arg_n $vars { 1 "$arg_a-$scheme"; default "d$arg_a"; }
    num_map $arg_n $file { include {dir}/n*.map; default x; }
    num_map $here { default other; 8123 there; }
    num_map $arg_n $empty { }
"""


@pytest.fixture(scope="module")
def server(weir_shared):
    return weir_shared.server('location / { return 200 "$port,$order,$below,$vars,$file,$here,$empty"; }', http=HTTP,
                              files={"n1.map": b"1 one;\n", "n2.map": b"2-3 two;\n"})


def values(server, n, more=""):
    return server.get(f"/?n={n}{more}").text.split(",")


@pytest.mark.parametrize("n,port,order", [
    ("443", "ssl", "nine"), ("80", "low", "nine"), ("0", "low", "less"), ("1023", "low", "nine"), ("1024", "none", "nine"), ("8079", "none", "nine"),
    ("8080", "range", "nine"), ("8090", "range", "nine"), ("8091", "none", "nine"), ("8092", "none", "nine"), ("8093", "more", "nine"),
    ("9223372036854775807", "more", "nine"), ("9223372036854775808", "none", ""), ("", "none", ""), ("x", "none", ""), ("-5", "none", ""),
    ("+5", "none", ""), ("5x", "none", ""), ("0443", "ssl", "nine"), ("5", "low", "five"), ("3", "low", "ten"), ("1", "low", "ten"),
    ("10", "low", "ten"), ("11", "low", "nine")])
def test_first_entry(server, n, port, order):
    assert values(server, n)[:2] == [port, order]


def test_ends(server):
    assert [values(server, n)[2] for n in ("0", "1", "9223372036854775806", "9223372036854775807")] == ["zero", "", "", "last"]


def test_values(server):
    assert [values(server, n, "&a=A")[3] for n in ("1", "2")] == ["A-http", "dA"]
    assert [values(server, n)[4] for n in "1234"] == ["one", "two", "two", "x"]
    assert values(server, "1")[6] == ""


def test_without_a_number_it_is_the_port_of_the_request(server):
    assert [server.get("/", {"Host": h}).text.split(",")[5] for h in ("x:8123", "x:8124", "x")] == ["there", "other", "other"]


def test_volatile(weir):
    server = weir("""location / { set $a 1; set $b "$fix$vol"; set $a 2; return 200 "$b $fix$vol"; }""",
                  http="num_map $a $fix { 1 one; 2 two; } num_map $a $vol { volatile; 1 one; 2 two; }")
    assert server.get("/").text == "oneone onetwo"


def test_large(weir):
    draw = random.Random(9)
    ranges = []
    for i in range(100000):
        first = draw.randrange(10 ** 7)
        ranges.append((first, first + draw.choice([0, 0, 10, 100, 5000])))
    began = time.monotonic()
    server = weir('location / { return 200 "$big"; }', http="num_map $arg_n $big { include {dir}/big; default none; }",
                  files={"big": "".join(f"{a}-{b} r{i};\n" for i, (a, b) in enumerate(ranges)).encode()})
    assert time.monotonic() - began < 20 * float(os.environ.get("WEIR_TEST_SLOW", "1"))
    client = server.client()
    for _ in range(60):
        n = draw.randrange(10 ** 7 + 5000)
        expect = next((f"r{i}" for i, (a, b) in enumerate(ranges) if a <= n <= b), "none")
        assert client.get(f"/?n={n}").text == expect


@pytest.mark.parametrize("http,message", [
    ("num_map { }", 'invalid number of arguments in "num_map" directive'), ("num_map $a $b $c { }", 'invalid number of arguments'),
    ("num_map $arg_n x { }", 'invalid variable name "x"'), ("num_map x $y { }", 'invalid variable name "x"'),
    ("num_map $nosuch $y { }", 'unknown "nosuch" variable'), ("num_map $arg_n $host { }", 'the duplicate "host" variable'),
    ("num_map $arg_n $y;", 'directive "num_map" has no opening "{"'), ("server { num_map $arg_n $y { } }", '"num_map" directive is not allowed here'),
    ("num_map $arg_n $y { x 1; }", 'invalid number or range "x"'), ("num_map $arg_n $y { 5-4 1; }", 'invalid number or range "5-4"'),
    ("num_map $arg_n $y { <0 1; }", 'invalid number or range "<0"'), ("num_map $arg_n $y { > 1; }", 'invalid number or range ">"'),
    ("num_map $arg_n $y { 1- 1; }", 'invalid number or range "1-"'), ("num_map $arg_n $y { -1 1; }", 'invalid number or range "-1"'),
    ("num_map $arg_n $y { 9223372036854775808 1; }", "invalid number or range"), ("num_map $arg_n $y { 1; }", "invalid number of the num_map parameters"),
    ("num_map $arg_n $y { 1 2 3; }", "invalid number of the num_map parameters"),
    ("num_map $arg_n $y { default 1; default 2; }", "duplicate default num_map parameter")])
def test_refused(command, http, message):
    result = command("return 200;", http=http).command("-t")
    assert result.returncode == 1 and message in result.stderr
