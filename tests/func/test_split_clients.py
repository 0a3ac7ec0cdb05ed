# SPDX-License-Identifier: Apache-2.0
"""split_clients: shares by MurmurHash2 as documented, what -t says."""
import struct

import pytest


def murmur2(data):
    """The 32-bit MurmurHash2 with seed 0."""
    factor, mask = 0x5bd1e995, 0xffffffff
    value, rest = len(data) & mask, data
    while len(rest) >= 4:
        word = struct.unpack("<I", rest[:4])[0] * factor & mask
        word = (word ^ word >> 24) * factor & mask
        value = (value * factor & mask) ^ word
        rest = rest[4:]
    if rest:
        value = (value ^ int.from_bytes(rest, "little")) * factor & mask
    value = (value ^ value >> 13) * factor & mask
    return value ^ value >> 15


HTTP = """
    split_clients $arg_a $x { 0.5% .one; 2.0% .two; 30% three; .25% four; * ""; }
    split_clients "$arg_a$arg_b" $two { 50% $arg_b; * rest; }
    split_clients $arg_a $short { 0.01% a; }
    split_clients $arg_a $whole { 33.33% a; 33.33% b; 33.34% c; }
"""
SERVER = 'location / { return 200 "$x|$two|$short|$whole"; }'


@pytest.fixture(scope="module")
def server(weir_shared):
    return weir_shared.server(SERVER, http=HTTP)


def share(key, percents, values, rest):
    end = 0
    for percent, value in zip(percents, values):
        end += 0xffffffff * percent // 10000
        if murmur2(key.encode()) < end:
            return value
    return rest


def test_shares(server):
    client = server.client()
    for i in range(300):
        key = "k" * (i % 9) + str(i * 7919)
        expect = [share(key, (50, 200, 3000, 25), (".one", ".two", "three", "four"), ""),
                  share(key, (5000,), ("$arg_b",), "rest"), share(key, (1,), ("a",), ""),
                  share(key, (3333, 3333, 3334), "abc", "c")]
        assert client.get("/?a=" + key).text == "|".join(expect)


def test_text_of_several_variables(server):
    assert server.get("/?a=12&b=34").text.split("|")[1] == server.get("/?a=1&b=234").text.split("|")[1]


@pytest.mark.weir_only("nginx gives the last few hashes of a whole 100% to nobody")
def test_the_last_share_has_what_rounding_left(weir):
    server = weir('location / { return 200 "$x"; }', http="split_clients $arg_a $x { 50% a; 50% b; }")
    assert murmur2(b"ulti9c2") == 0xffffffff and murmur2(b"04tavt2") == 0xfffffffe
    assert [server.get("/?a=" + key).text for key in ("ulti9c2", "04tavt2")] == ["b", "b"]


@pytest.mark.parametrize("body,message", [
    *[(f"{value} a;", f'invalid percent value "{value}"') for value in (
        "1", "1.001%", "0%", "-1%", "x%", "%", "1%%", "default", "*a", "1.5.5%", "1.-5%")],
    ("'' a;", 'invalid percent value ""'), ("100.01% a;", "percent total is greater than 100%"),
    ("101% a;", "percent total is greater than 100%"), ("60% a; 50% b;", "percent total is greater than 100%"),
    ("* a; 10% b;", "percent total is greater than 100%")])
def test_bad_entries(command, body, message):
    result = command("return 200;", http="split_clients $arg_a $x { %s }" % body).command("-t")
    assert result.returncode == 1 and message in result.stderr


@pytest.mark.parametrize("body", ["", "1% a;", "100% a;", "60% a; 40% b;", "60% a; 40% b; * c;", "* a; * b;", "0.01% a;", "1.% a;",
                                  ".5% a;", "00001.50% a;", "* '';", "0.5% a; 0.5% a;"])
def test_good_entries(command, body):
    assert command("return 200;", http="split_clients $arg_a $x { %s }" % body).command("-t").returncode == 0


@pytest.mark.parametrize("http,message", [
    ("split_clients a { }", 'invalid number of arguments in "split_clients" directive'),
    ("split_clients a $x b { }", 'invalid number of arguments in "split_clients" directive'),
    ("split_clients a x { }", 'invalid variable name "x"'), ("split_clients a $host { * a; }", 'the duplicate "host" variable'),
    ("split_clients $nosuch $x { * a; }", 'unknown "nosuch" variable'),
    ("split_clients a $x;", 'directive "split_clients" has no opening "{"'),
    ("server { split_clients a $x { } }", '"split_clients" directive is not allowed here'),
    ("server { location / { split_clients a $x { } } }", '"split_clients" directive is not allowed here')])
def test_bad_directive(command, http, message):
    result = command("return 200;", http=http).command("-t")
    assert result.returncode == 1 and message in result.stderr
