# SPDX-License-Identifier: Apache-2.0
"""map: what is found, in which order, values with variables, what -t says."""
import os
import random
import re
import time

import pytest

HTTP = r"""
    map_hash_max_size 4096;
    map_hash_bucket_size 128;
    map $arg_a $str { Ab 1; default d; '' empty; \default lit; \~x tilde; \include inc; \volatile vol; \hostnames hn; *.x star; .y dot; "c c" blank; }
    map $arg_a $nodef { a 1; }
    map $arg_a $host_ {
        hostnames; www.a.com exact; *.a.com lead; .b.com dotb; *.x.b.com xb; a.* trail; a.b.* trail2; ~^re re; default d;
        '' e; *.c.com cc; mail.* m; www.* w; ~\.$ enddot;
    }
    map $arg_a $re { ~^(?<n>.)(.)$ '$1-$2-$n'; ~*^QQQ$ icase; ~qqq$ late; '~x;y' z; default '$arg_b'; lit '$scheme:$arg_b:$1'; }
    map "$arg_a $arg_b" $two { 'a b' 1; ~^\ \ *$ 2; }
    map $uri $fix { default $uri; }
    map $arg_a $twice { default 1; }
    map $arg_b $twice { default 2; }
    map $arg_a $http_hidden { default mine; }
    map $cycle $cycle { default "<$cycle>"; }
    map $ring_b $ring_a { default "a$ring_b"; }
    map $ring_a $ring_b { default "b$ring_a"; }
    map $1 $of_capture { v got; }
    map $fix $chain { ~^/(.*)$ "$1"; }
    map $chain $chain2 { default "[$chain]"; }
    map $arg_a $from_file { include {dir}/table*.map; default none; }
    log_format t "$nodef|";
"""

SERVER = """
    access_log {dir}/t.log t;
    location / { return 200 "str=$str nodef=$nodef host=$host_ re=$re:$1:$n two=$two twice=$twice hidden=$http_hidden
file=$from_file"; }
    location /chain { return 200 "$chain2 $chain"; }
    location /cycle { return 200 "[$cycle]"; }
    location /ring { return 200 "[$ring_a]"; }
    location ~ ^/cap/(.*)$ { return 200 "[$of_capture]"; }
"""


@pytest.fixture(scope="module")
def server(weir_shared):
    return weir_shared.server(SERVER, http=HTTP, files={"table1.map": b"a one;\nb two;\n", "table2.map": b"c three;"})


def value(server, name, target, headers=()):
    return re.search(rf"\b{name}=(.*?)(?: [a-z]+=|\nfile=|$)", server.get(target, headers).text, re.S)[1]


@pytest.mark.parametrize("arg,expect", [
    ("ab", "1"), ("AB", "1"), ("aB", "1"), ("", "empty"), ("default", "lit"), ("include", "inc"), ("volatile", "vol"), ("hostnames", "hn"), ("~x", "tilde"), ("q.x", "d"), ("*.x", "star"),
    (".y", "dot"), ("y", "d"), ("abc", "d"), ("a", "d")])
def test_strings(server, arg, expect):
    assert value(server, "str", "/?a=" + arg) == expect


def test_without_default_it_is_empty(server):
    assert value(server, "nodef", "/?a=b") == ""
    assert value(server, "nodef", "/?a=a") == "1"


@pytest.mark.parametrize("arg,expect", [
    ("www.a.com", "exact"), ("WWW.A.COM", "exact"), ("foo.a.com", "lead"), ("a.com", "trail"), ("foo.bar.A.com", "lead"),
    ("b.com", "dotb"), ("z.b.com", "dotb"), ("z.x.b.com", "xb"), ("x.b.com", "dotb"), ("a.org", "trail"),
    ("a.b.org", "trail2"), ("a.b", "trail"), ("a.", "d"), (".", "e"), ("b", "d"), ("re1", "re"), ("mail.c.com", "cc"),
    ("mail.c.com.", "cc"), ("mail.d", "m"), ("foo.a.com.", "lead"), (".a.com", "lead"), ("www.foo.bar", "w"), ("www.", "d"),
    ("xa.com", "d"), ("ab.com", "d"), ("", "e")])
def test_hostnames(server, arg, expect):
    assert value(server, "host", "/?a=" + arg) == expect


@pytest.mark.parametrize("target,expect", [
    ("/?a=uv", "u-v-u:u:u"), ("/?a=qqq", "icase::"), ("/?a=QQQ", "icase::"), ("/?a=QQQqqq", "late::"), ("/?b=dd", "dd::"),
    ("/?a=lit&b=B", "http:B:::"), ("/?a=x;y", "z::"), ("/?a=LIT&b=", "http::::")])
def test_regexes_and_values_with_variables(server, target, expect):
    assert value(server, "re", target) == expect


@pytest.mark.parametrize("target,expect", [("/?a=a&b=b", "1"), ("/", "2"), ("/?a=A&b=B", "1"), ("/?a=x", "")])
def test_text_of_several_variables(server, target, expect):
    assert value(server, "two", target) == expect


def test_the_later_definition_holds(server):
    assert value(server, "twice", "/") == "2"


def test_a_map_hides_a_prefix(server):
    assert value(server, "hidden", "/", {"Hidden": "client"}) == "mine"


def test_includes(server):
    assert [server.get("/?a=" + a).text.split("file=")[1] for a in "abcd"] == ["one", "two", "three", "none"]


def test_computed_once_unless_volatile(weir):
    made = weir("""location /a { error_page 404 /page?$vol$fix; return 404; } location = /page { return 200 "$vol $fix"; }""",
                http="map $uri $vol { volatile; default $uri; } map $uri $fix { default $uri; }")
    assert made.get("/a").text == "/page /a"


def test_chain(server):
    assert server.get("/chain").text == "[chain] chain"


def test_capture_of_a_location(server):
    assert server.get("/cap/v").text == "[got]"
    assert server.get("/cap/w").text == "[]"


def test_value_that_needs_itself(server):
    assert server.get("/cycle").status == 200
    server.wait_log(r'cycle while evaluating variable "cycle"')
    assert server.get("/ring").status == 200
    server.wait_log(r'cycle while evaluating variable "ring_[ab]"')


def test_empty_in_the_log(weir):
    server = weir(SERVER, http=HTTP, files={"table1.map": b"", "table2.map": b""})
    server.get("/?a=zz")
    assert server.access(1, "t.log") == ["|"]


# 100,000 entries

def test_large(weir):
    draw = random.Random(5)
    entries = [f"key{i}-{draw.randrange(10 ** 9)}" for i in range(100000)]
    hosts = [f"*.h{i}.example{i % 977}.com" for i in range(100000)]
    began = time.monotonic()
    server = weir('location / { return 200 "$big $hosts"; }', files={
        "big.map": "".join(f"{e} v{i};\n" for i, e in enumerate(entries)).encode(),
        "hosts.map": "".join(f"{h} h{i};\n" for i, h in enumerate(hosts)).encode()},
        http="map $arg_a $big { include {dir}/big.map; default none; }"
             "map $arg_b $hosts { hostnames; include {dir}/hosts.map; default none; }")
    assert time.monotonic() - began < 20 * float(os.environ.get("WEIR_TEST_SLOW", "1"))
    client = server.client()
    for i in draw.sample(range(100000), 40):
        name = hosts[i].replace("*", "sub")
        assert client.get(f"/?a={entries[i]}&b={name}").text == f"v{i} h{i}"
    assert client.get("/?a=key&b=h1.example1.com").text == "none none"


# what -t says

@pytest.mark.parametrize("body,message", [
    ("a;", "invalid number of the map parameters"), ("a b c;", "invalid number of the map parameters"),
    ("default;", "invalid number of the map parameters"), ("default 1; default 2;", "duplicate default map parameter"),
    ("a 1; A 2;", 'conflicting parameter "a"'), ("'' 1; '' 2;", 'conflicting parameter ""'),
    ("hostnames; a.* 1; a.* 2;", 'conflicting parameter "a.*"'), ("hostnames; .a 1; a 2;", 'conflicting parameter "a"'),
    ("hostnames; .a.b 1; *.a.b 2;", 'conflicting parameter "*.a.b"'),
    ("hostnames; *.a.b 1; *.A.B 2;", 'conflicting parameter "*.a.b"'),
    *[(f"hostnames; {name} 1;", f'invalid hostname or wildcard "{name}"') for name in (
        "*a.com", "a*.com", "*.*.com", "*.www.*", "*", "*.", "a..b", "a.**", "**.a")],
    ("a $nosuch;", 'unknown "nosuch" variable'), ("a ${x;", 'the closing bracket in "x" variable is missing'),
    ("a $;", "invalid variable name"), ("~( 1;", "pcre2_compile() failed: missing closing parenthesis in \"(\""),
    ("include none.map;", "none.map\" failed (2: No such file or directory)"), ("a { }", 'unexpected "{"')])
def test_bad_entries(command, body, message):
    result = command('return 200 "$x";', http="map $arg_a $x { %s }" % body).command("-t")
    assert result.returncode == 1 and message.lower() in result.stderr.lower()


@pytest.mark.parametrize("body", ["hostnames foo;", "volatile x;", "hostnames; hostnames;", "~a 1; ~a 2;", "a.* 1; *.a 2;",
                                  "hostnames; '' 1;", "volatile; hostnames; a 1;", "default 1;", ""])
def test_good_entries(command, body):
    assert command('return 200 "$x";', http="map $arg_a $x { %s }" % body).command("-t").returncode == 0


@pytest.mark.parametrize("http,message", [
    ("map a x { }", 'invalid variable name "x"'), ("map a $ { }", 'invalid variable name "$"'),
    ("map $arg_a { }", 'invalid number of arguments in "map" directive'),
    ("map $a $b $c { }", 'invalid number of arguments in "map" directive'),
    ("map $nosuch $x { }", 'unknown "nosuch" variable'), ("map $arg_a $host { }", 'the duplicate "host" variable'),
    ("map $arg_a $uri { }", 'the duplicate "uri" variable'), ("map $arg_a $x;", 'directive "map" has no opening "{"'),
    ("server { map a $x { } }", '"map" directive is not allowed here'),
    ("server { location / { map a $x { } } }", '"map" directive is not allowed here'),
    ("map_hash_max_size x;", '"map_hash_max_size" directive invalid number'),
    ("map_hash_max_size;", 'invalid number of arguments in "map_hash_max_size" directive'),
    ("map_hash_bucket_size 64; map_hash_bucket_size 64;", '"map_hash_bucket_size" directive is duplicate'),
    ("server { map_hash_max_size 1; }", '"map_hash_max_size" directive is not allowed here')])
def test_bad_directive(command, http, message):
    result = command("return 200;", http=http).command("-t")
    assert result.returncode == 1 and message in result.stderr


def test_variables_that_a_map_may_define(command):
    http = " ".join(f"map $arg_q ${name} {{ default M; }}" for name in (
        "x", "http_foo", "arg_b", "cookie_c", "sent_http_x", "upstream_http_x", "args", "limit_rate"))
    assert command("return 200;", http=http).command("-t").returncode == 0
