# SPDX-License-Identifier: Apache-2.0
"""if: every condition, what holds inside, what stands behind it, what it inherits."""
import os

import pytest

FILES = {"html/file": b"file", "html/dir/x": b"x", "a/f": b"a", "b/f": b"b", "html/f": b"html", "html/script": b"#!"}


@pytest.fixture(scope="module")
def conditions(weir_shared):
    tests = {"true": "$arg_a", "eq": "$arg_a = abc", "ne": "$arg_a != abc", "eqvar": "$arg_a = $arg_b$arg_c", "empty": "$arg_a = ''",
             "quoted": "$arg_a = \"x;y z\"", "re": "$arg_a ~ ^a(.)c$", "rei": "$arg_a ~* ^A(.)C$", "nre": "$arg_a !~ b", "nrei": "$arg_a !~* B",
             "brace": "$arg_a ~ '^a{2};'", "spaces": " $arg_a = abc ", "f": "-f {dir}/html$arg_p", "nf": "!-f {dir}/html$arg_p",
             "d": "-d {dir}/html$arg_p", "nd": "!-d {dir}/html$arg_p", "e": "-e {dir}/html$arg_p", "ne_": "!-e {dir}/html$arg_p",
             "x": "-x {dir}/html$arg_p", "nx": "!-x {dir}/html$arg_p", "root": "-f $document_root$arg_p"}
    text = "root {dir}/html; " + " ".join(
        f"location = /{name} {{ if ({test}) {{ return 200 yes$1; }} return 200 no; }} "
        f"location = /srv/{name} {{ return 200 no; }}" for name, test in tests.items())
    server = weir_shared.server(text, files=FILES, start=False)
    server.write_conf(server.compose(text))
    os.chmod(server.path("html/script"), 0o755)
    server.start(open(server.conf, encoding="utf-8").read())
    return server


@pytest.mark.parametrize("name,args,holds", [
    ("true", "a=1", "yes"), ("true", "a=0", "no"), ("true", "a=", "no"), ("true", "", "no"), ("true", "a=00", "yes"), ("true", "a=off", "yes"),
    ("eq", "a=abc", "yes"), ("eq", "a=ABC", "no"), ("eq", "", "no"), ("ne", "a=abc", "no"), ("ne", "a=ABC", "yes"), ("ne", "", "yes"),
    ("eqvar", "a=12&b=1&c=2", "yes"), ("eqvar", "a=12&b=1", "no"), ("eqvar", "", "yes"), ("empty", "a=", "yes"), ("empty", "", "yes"),
    ("empty", "a=x", "no"), ("re", "a=abc", "yesb"), ("re", "a=aBc", "yesB"), ("re", "a=ABC", "no"), ("rei", "a=aBc", "yesB"), ("rei", "a=x", "no"),
    ("nre", "a=abc", "no"), ("nre", "a=aBc", "yes"), ("nrei", "a=abc", "no"), ("nrei", "a=x", "yes"), ("brace", "a=aa;", "yes"),
    ("brace", "a=a;", "no"), ("spaces", "a=abc", "yes"), ("spaces", "a=x", "no"), ("quoted", "a=x;y", "no"),
    *[(name, "p=" + path, holds) for path, row in {
        "/file": "f nd e nx root", "/dir": "nf d e x", "/none": "nf nd ne_ nx", "/dir/": "nf d e x", "/file/": "nf nd ne_ nx",
        "/script": "f nd e x root", "": "nf d e x"}.items()
      for name, holds in [(name, "yes" if name in row.split() else "no") for name in ("f", "nf", "d", "nd", "e", "ne_", "x", "nx", "root")]]])
def test_condition(conditions, name, args, holds):
    assert conditions.get(f"/{name}?{args}").text == holds


@pytest.mark.parametrize("server,target,text", [
    # operations inside run in place of the if, those behind it follow
    ("location / { set $x ''; if ($arg_a) { set $x in; } set $x $x-after; return 200 $x; }", "/?a=1", "in-after"),
    ("location / { set $x ''; if ($arg_a) { set $x in; } set $x $x-after; return 200 $x; }", "/", "-after"),
    ("location / { if ($arg_a) { set $x in; } rewrite ^ /o last; } location /o { return 200 o$x; }", "/?a=1", "oin"),
    ("location / { if ($arg_a) { return 200 first; } if ($arg_b) { return 200 second; } return 200 none; }", "/?a=1&b=1", "first"),
    ("location / { if ($arg_a) { return 200 first; } if ($arg_b) { return 200 second; } return 200 none; }", "/?b=1", "second"),
    # in a server
    ("if ($arg_a) { return 200 s; } location / { return 200 l; }", "/?a=1", "s"), ("if ($arg_a) { return 200 s; } location / { return 200 l; }", "/", "l"),
    ("if ($arg_b) { rewrite ^ /bb last; } location / { return 200 $uri; }", "/?b=1", "/bb"),
    ("if ($arg_c) { set $c 5; break; } set $c 6; location / { return 200 '$uri $c'; }", "/?c=1", "/ 5"),
    ("if ($arg_c) { set $c 5; break; } set $c 6; location / { return 200 '$uri $c'; }", "/", "/ 6"),
    ("if ($host = h) { rewrite ^(.*)$ /b$1; } if ($uri ~ ^/b) { set $z hit; } location / { return 200 '$uri $z'; }", "/a", "/b/a hit"),
    # captures: of the last regex that was tried
    ("location ~ ^/(a)(.*)$ { if ($arg_a ~ (x)) { set $y $1; } return 200 '[$1][$2]'; }", "/ab?a=x", "[x][]"),
    ("location ~ ^/(a)(.*)$ { if ($arg_a ~ (x)) { set $y $1; } return 200 '[$1][$2]'; }", "/ab?a=y", "[][]"),
    ("location ~ ^/(a)(.*)$ { if ($arg_a = x) { } return 200 '[$1][$2]'; }", "/ab", "[a][b]"),
    ("location / { if ($http_cookie ~* \"id=([^;]+)(?:;|$)\") { set $id $1; } return 200 id=$id; }", "/", "id=44"),
    ("location / { if ($arg_a ~ (?<n>x+)) { return 200 $n; } return 200 none; }", "/?a=axxb", "xx")])
def test_operations(weir, server, target, text):
    assert weir(server).get(target, {"Host": "h", "Cookie": "a=b; id=44; c"}).text == text


@pytest.mark.parametrize("server,target,text", [
    ("location / { if ($arg_a) { root {dir}/a; } root {dir}/html; }", "/f", "html"), ("location / { if ($arg_a) { root {dir}/a; } root {dir}/html; }", "/f?a=1", "a"),
    # of several that hold the last one counts
    ("location / { root {dir}/html; if ($arg_a) { root {dir}/a; } if ($arg_b) { root {dir}/b; } }", "/f?a=1&b=1", "b"),
    ("location / { root {dir}/html; if ($arg_a) { root {dir}/a; } if ($arg_b) { set $x 1; } }", "/f?a=1&b=1", "html"),
    ("location / { set $x 1; if ($arg_a) { break; } return 200 ret; root {dir}/html; }", "/f?a=1", "html"),
    ("location /al/ { alias {dir}/html/; if ($arg_a) { set $x 1; } }", "/al/f?a=1", "html"),
    ("location ~ ^/al/(.*)$ { alias {dir}/html/$1; if ($arg_a) { set $x 1; } }", "/al/f?a=1", "html"),
    ("location / { if ($arg_a) { error_page 404 /a; } error_page 404 /b; return 404; } location = /a { return 200 a; } location = /b { return 200 b; }",
     "/y?a=1", "a"),
    ("location / { if ($arg_a) { error_page 404 /a; } error_page 404 /b; return 404; } location = /a { return 200 a; } location = /b { return 200 b; }",
     "/y", "b"),
    ("location / { if ($arg_a) { return 403; } error_page 403 /e; } location = /e { return 200 e; }", "/?a=1", "e")])
def test_settings(weir, server, target, text):
    assert weir(server, files=FILES).get(target).text == text


@pytest.mark.parametrize("server,target,line", [
    ("location /b/ { if ($arg_a) { proxy_pass http://{up}; } proxy_pass http://{up}/c/; }", "/b/x?q", "/c/x?q"),
    ("location /b/ { if ($arg_a) { proxy_pass http://{up}; } proxy_pass http://{up}/c/; }", "/b/x%20y?a=1", "/b/x%20y?a=1"),
    ("location /b/ { if ($arg_a) { set $x 1; } proxy_pass http://{up}/c/; }", "/b/x%20y?a=1", "/c/x%20y?a=1"),
    ("location /d/ { if ($arg_a) { set $x 1; } proxy_pass http://{up}; }", "/d/x%20?a=1", "/d/x%20?a=1"),
    ("location /d/ { if ($arg_a) { limit_rate 1m; } proxy_set_header X y; proxy_pass http://{up}; }", "/d/x?a=1", "/d/x?a=1 y")])
def test_content(weir, origin, server, target, line):
    up = origin(lambda c: c.reply(body=(lambda q: (q.target + " " + (q.headers.get("X") or "")).strip().encode())(c.read_request())))
    assert weir(server, up=up).get(target).text == line


def test_access_log(weir):
    server = weir("access_log {dir}/x.log x; location / { if ($arg_l) { access_log off; } return 200 x; } location /end { return 200 x; }",
                  http='log_format x "$request_uri";')
    with server.client() as client:
        for target in ("/?l=1", "/?q=1", "/end"):
            client.get(target)
    assert server.access(2, "x.log") == ["/?q=1", "/end"]


@pytest.mark.weir_only("in nginx an if that holds takes try_files away")
def test_try_files_stays(weir):
    server = weir("location / { root {dir}/html; try_files $uri /fall; if ($arg_a) { set $x 1; } } location = /fall { return 200 fall; }",
                  files=FILES)
    assert [server.get(target).text for target in ("/f", "/f?a=1", "/none", "/none?a=1")] == ["html", "html", "fall", "fall"]


@pytest.mark.weir_only("nginx sees relative names from its working folder")
def test_relative_names(weir):
    server = weir("location / { if (-f html/file) { return 200 yes; } return 200 no; } location /b { if (-f $arg_p) { return 200 yes; } return 200 no; }",
                  files=FILES)
    assert [server.get(target).text for target in ("/", "/b?p=html/file", "/b?p=html/none", "/b?p=")] == ["yes", "yes", "no", "no"]


@pytest.mark.weir_only("nginx looks for an escaped name")
def test_file_of_a_capture(weir):
    server = weir("location ~ ^/(.*)$ { if (-f {dir}/$1) { return 200 yes; } return 200 no; }", files={"q r": b"x"})
    assert server.get("/q%20r").text == "yes"


@pytest.mark.weir_only("nginx knows no captures in a condition")
def test_capture_as_condition(weir):
    server = weir("location ~ ^/(a*)(0*) { if ($2) { return 200 yes; } if ($1 = aa) { return 200 two; } return 200 no; }")
    assert [server.get(target).text for target in ("/a", "/a0", "/a00", "/aa")] == ["no", "no", "yes", "two"]


# what -t says

@pytest.mark.parametrize("text,message", [
    ("if { }", 'invalid number of arguments in "if" directive'), ("if ($x) { }", 'unknown "x" variable'), ("if ($arg_a) ;", 'has no opening "{"'),
    *[(f"if {condition} {{ }}", f'invalid condition "{shown}"') for condition, shown in (
        ("$arg_a", "$arg_a"), ("(arg_a)", "arg_a"), ("($arg_a = )", "$arg_a"), ("($arg_a = b c)", "$arg_a"), ("(-f)", "-f"), ("(-f /x y)", "-f"),
        ("(-z /x)", "-z"), ("(!$arg_a)", "!$arg_a"), ("()", ")"), ("( )", ")"), ('("$arg_a" = b)', '"$arg_a"'), ("(! -f b)", "!"),
        ("($arg_a ! b c)", "$arg_a"), ("($arg_a ~)", "$arg_a"), ("(~ a)", "~"), ("($ )", "$"), ("($ = a)", "$"), ("(($arg_a = a))", "($arg_a"),
        ("($arg_a ~ a{2})", "a"), ("($arg_a", "$arg_a"), ("(", "("))],
    *[(f"if ($arg_a {op} b) {{ }}", f'unexpected "{op}" in condition') for op in ("==", "~~", "-f", "!", "eq", "!=~", "=~")],
    ("if ($arg_a ~ (b) { }", 'pcre2_compile() failed: missing closing parenthesis in "(b"'),
    ("if ($arg_a = $nosuch) { }", 'unknown "nosuch" variable'), ("if (-f $nosuch) { }", 'unknown "nosuch" variable'),
    ("if ($arg_a) { if ($arg_b) { } }", '"if" directive is not allowed here'), ("if ($arg_a) { location /x { } }", '"location" directive is not'),
    ("if ($arg_a) { try_files a b; }", '"try_files" directive is not allowed here'), ("if ($arg_a) { listen 1; }", '"listen" directive is not'),
    ("if (-x x) { } else { }", 'unknown directive "else"')])
def test_bad(command, text, message):
    for block in ("server { %s }", "server { location / { %s } }"):
        result = command("return 200;", http=block % text).command("-t")
        assert result.returncode == 1 and message in result.stderr


@pytest.mark.parametrize("text", ["root /x;", "proxy_pass http://127.0.0.1:1;", "error_page 404 /x;", "limit_rate 1;", "access_log off;"])
def test_only_in_a_location(command, text):
    assert command("return 200;", http="server { listen {port2}; location / { if ($arg_a) { %s } } }" % text).command("-t").returncode == 0
    result = command("return 200;", http="server { if ($arg_a) { %s } }" % text).command("-t")
    assert result.returncode == 1 and "directive is not allowed here" in result.stderr


@pytest.mark.parametrize("condition", ["($arg_a)", "( $arg_a )", "( $arg_a = x )", "($arg_a != x)", "($arg_a ~ 'b c')", "($arg_a !~* b)", "(-f /x)",
                                       "(!-f /x)", "(-e $arg_a/$arg_b)", '(-d "/a b")', '($arg_a = "a" )', '($arg_a = "(a)")', "($arg_a = '')",
                                       "($arg_a ~ (?<n>x))"])
def test_good(command, condition):
    for block in ("if %s { }", "location / { if %s{ } }"):
        assert command(block % condition).command("-t").returncode == 0
