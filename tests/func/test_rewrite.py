# SPDX-License-Identifier: Apache-2.0
"""rewrite, set, break: what becomes of the URI, flags, loops, logs, what -t says."""
import re

import pytest

SHOW = 'location / { return 200 "$uri|$args|$request_uri"; }'


def shown(weir, directives, target, headers=(), **more):
    resp = weir(directives + " " + SHOW, **more).get(target, headers)
    return resp.text.split("|") if resp.status == 200 else resp.status


@pytest.mark.parametrize("rule,target,path,args", [
    ("^/a/(.*)$ /b/$1", "/a/x", "/b/x", ""), ("^/a/(.*)$ /b/$1", "/a/x?q=1", "/b/x", "q=1"),
    ("^/a/(.*)$ /b/$1", "/c", "/c", ""), ("^/a/(.*)$ /b/$1", "/a/x%20y?q=%20", "/b/x y", "q=%20"),
    ("^/a/(.*)$ /b/$1", "/a/", "/b/", ""), ("^/a/(.*)$ /b/$1?z=1", "/a/x?q=1", "/b/x", "z=1&q=1"),
    ("^/a/(.*)$ /b/$1?z=1", "/a/x", "/b/x", "z=1"), ("^/a/(.*)$ /b/$1?", "/a/x?q=1", "/b/x", ""),
    ("^/a/(.*)$ /b/$1?z=1?", "/a/x?q=1", "/b/x", "z=1"), ("^/a/(.*)$ /b?p=$1", "/a/x", "/b", "p=x"),
    ("^/a/(.*)$ /b?p=$1", "/a/x%20y%26?q=1", "/b", "p=x%20y%26&q=1"), ("^/a/(.*)$ /b?p=$1", "/a/x+y", "/b", "p=x%2By"),
    ("^/a/(.*)$ /b?p=$1", "/a/%2B", "/b", "p=%2B"), ("^/a/(.*)$ /b?p=$1", "/a/%e4;%3f", "/b", "p=%E4%3B%3F"),
    ("^/a/(.*)$ /b?$1", "/a/foo=1&bar=2;x", "/b", "foo=1&bar=2;x"),
    ("^/a/(.*)$ /b?$1", "/a/foo=1&bar=2;x%20", "/b", "foo=1%26bar=2%3Bx%20"), ("^/a/(.*)$ /b?$1", "/a/x?y+", "/b", "x&y+"),
    ("^/a/(.*)$ /b?p=$uri&h=$arg_q", "/a/x%20y%26?q=1", "/b", "p=/a/x y&&h=1&q=1"), ("^/a $arg_t", "/a?t=/b/c", "/b/c", "t=/b/c"),
    ("^/a/(.*)$ /b/../c/$1", "/a/x", "/b/../c/x", ""), ("^/a/(.*)$ /b%20c/$1", "/a/x", "/b%20c/x", ""),
    ("^/a/(.*)$ '/b c/$1'", "/a/x", "/b c/x", ""), ("^/a/(?<n>.*)$ /b/$n$1", "/a/x%20", "/b/x x ", ""), ("^/A /b", "/a/x", "/a/x", ""),
    ("(?i)^/A /b", "/a/x", "/b", ""), ("'^/a{2}$' /b", "/aa", "/b", ""), ("^ /b#frag", "/a", "/b#frag", ""),
    ("^ /b$is_args$args", "/a?x=1", "/b?x=1", "x=1"), ("^ /b$is_args$args?", "/a?x=1", "/b?x=1", ""),
    ("^(.*)$ /b$1", "/a%0ab", "/a\nb", ""), ("(?s)^(.*)$ /b$1", "/a%0ab", "/b/a\nb", ""), ("^/a/(x)(y)? /b/$1/$2/$3/", "/a/x", "/b/x///", ""),
    ("^ /b?$arg_none", "/a?z", "/b", "&z"), ("^ /b?$arg_none", "/a", "/b", ""), ("^ /b??x", "/a?z", "/b", "?x&z"), ("^ /b??", "/a?z", "/b", ""),
    ("^/a/(.*)/(.*)/(.*)$ /$3/$2/$1/$0", "/a/1/2/3", None, None)])
def test_uri(weir, command, rule, target, path, args):
    if path is None:
        result = command(f"rewrite {rule};").command("-t")
        assert result.returncode == 1 and 'unknown "0" variable' in result.stderr
        return
    assert shown(weir, f"rewrite {rule};", target) == [path, args, target]


@pytest.mark.weir_only("nginx looks for the file ROOT + foo, without anything between")
@pytest.mark.parametrize("rule,target,path", [("^/a/(.*)$ foo", "/a/x", "/foo"), ("^/a $arg_t", "/a?t=b", "/b"),
                                              ("^/a HTTP://o/", "/a", "/HTTP://o/")])
def test_path_without_slash(weir, rule, target, path):
    assert shown(weir, f"rewrite {rule};", target)[0] == path


def test_empty_uri_is_an_error(weir):
    server = weir("rewrite ^/a $arg_t; rewrite ^/b$ ?x=1; " + SHOW)
    assert server.get("/a").status == 500
    assert server.get("/b").status == 500
    server.wait_log("the rewritten URI has a zero length", 2)


@pytest.mark.parametrize("rule,target,status,location", [
    ("^/a/(.*)$ /b/$1 redirect", "/a/x", 302, "{base}/b/x"), ("^/a/(.*)$ /b/$1 permanent", "/a/x", 301, "{base}/b/x"),
    ("^/a/(.*)$ /b/$1 redirect", "/a/x?q=1", 302, "{base}/b/x?q=1"), ("^/a/(.*)$ /b/$1 redirect", "/a/x%20y?q=1", 302, "{base}/b/x%20y?q=1"),
    ("^/a/(.*)$ /b/$1 redirect", "/a/x%25y", 302, "{base}/b/x%25y"), ("^/a/(.*)$ /b/$1 redirect", "/a/a+b", 302, "{base}/b/a+b"),
    ("^/a/(.*)$ /b/$1 redirect", "/a/a%23b%22", 302, "{base}/b/a%23b%22"), ("^/a/(.*)$ /b/$1 redirect", "/a/%c3%a4", 302, "{base}/b/%C3%A4"),
    ("(?s)^/a/(.*)$ /b/$1 redirect", "/a/%0d%0aX:%20y", 302, "{base}/b/%0D%0AX:%20y"),
    ("^/a/(.*)$ /b/$1 redirect", "/a/x&y=;:@!$'()*,~", 302, "{base}/b/x&y=;:@!$'()*,~"),
    ("^/a/(.*)$ /b/?p=$1 redirect", "/a/x%20y%26z?x=1%20", 302, "{base}/b/?p=x%20y%26z&x=1%20"),
    ("^/a/(.*)$ /b/$1? redirect", "/a/x?q=1", 302, "{base}/b/x"), ("^/a/(.*)$ /b/$1?y=2 redirect", "/a/x?q=1", 302, "{base}/b/x?y=2&q=1"),
    ("^/a/(.*)$ http://o.com/$1", "/a/x%20y?q=1", 302, "http://o.com/x%20y?q=1"),
    ("^/a/(.*)$ https://o.com/$1 last", "/a/x?q=1", 302, "https://o.com/x?q=1"),
    ("^/a/(.*)$ $scheme://o.com/$1 permanent", "/a/x?q=1", 301, "http://o.com/x?q=1"),
    ("^/a/(.*)$ http://o/b?u=$1&v=$arg_v", "/a/x?v=%20", 302, "http://o/b?u=x&v=%20&v=%20"),
    ("^/a/(.*)$ foo redirect", "/a/x?q=1", 302, "foo?q=1"), ("^/b$ ?x redirect", "/b?q", 302, "?x&q"),
    ("^/a/(.*)$ '/b/%20$1' redirect", "/a/x", 302, "{base}/b/%20x"), ("^ http://o/p?$arg_none", "/a", 302, "http://o/p?"),
    ("^ http://o/p?$arg_none", "/a?z", 302, "http://o/p?&z")])
def test_redirect(weir, rule, target, status, location):
    server = weir(f"rewrite {rule}; " + SHOW)
    resp = server.get(target, {"Host": "h"})
    assert (resp.status, resp.headers["Location"]) == (status, location.replace("{base}", f"http://h:{server.port}"))
    assert server.request("HEAD", target).status == status
    assert server.request("POST", target, body=b"x").status == status


@pytest.mark.parametrize("rule,status", [("rewrite ^ http://o/ redirect;", 302), ("rewrite ^ http://o/ permanent;", 301),
                                         ("return 302 http://o/;", 302), ("return 308 http://o/;", 308)])
def test_redirect_of_an_error_page(weir, rule, status):
    resp = weir("error_page 404 /p; location / { return 404; } location = /p { " + rule + " }").get("/x")
    assert (resp.status, resp.headers["Location"]) == (status, "http://o/")


@pytest.mark.weir_only("nginx takes escapes out of what variables hold")
def test_redirect_keeps_what_variables_hold(weir):
    server = weir("rewrite ^ http://o$request_uri? redirect;")
    assert server.get("/a%26%3f?b").headers["Location"] == "http://o/a%26%3f?b"


@pytest.mark.weir_only("a question mark of a capture does not begin the arguments; nginx writes it as it is")
def test_redirect_escapes_a_question_mark(weir):
    server = weir("absolute_redirect off; rewrite ^/a/(.*)$ /b/$1 redirect; " + SHOW)
    assert server.get("/a/x%3fy?q").headers["Location"] == "/b/x%3Fy?q"


@pytest.mark.weir_only("nginx sends what the variable holds")
def test_redirect_never_holds_a_line_end(weir):  # U14.1
    server = weir("rewrite (?s)^/a/(.*)$ http://o$uri; " + SHOW)
    resp = server.get("/a/%0d%0aX:%20y")
    assert resp.status == 400 and "X" not in resp.headers


# order and flags

@pytest.mark.parametrize("server,target,text", [
    ("rewrite ^/a$ /b; rewrite ^/b$ /c; rewrite ^/c$ /d break; rewrite ^/d /e;", "/a", "/d"),
    ("rewrite ^/a$ /b last; rewrite ^/b$ /c;", "/a", "/b"), ("rewrite ^/a$ /b last; rewrite ^/b$ /c;", "/b", "/c"),
    ("location /a { rewrite ^/a /b last; return 200 no; }", "/a", "/b"), ("location /a { rewrite ^/a /b; return 200 here; }", "/a", "here"),
    ("location /a { rewrite ^/a /b; }", "/a", "/b"), ("break; rewrite ^/a /b; location /a { rewrite ^/a /c last; }", "/a", "/c"),
    ("rewrite ^/a /b break; location /a { return 200 a; } location /b { rewrite ^/b /c last; }", "/a", "/c"),
    ("rewrite ^/a /b last; set $x 1; location /b { return 200 [$x]; }", "/a", "[]"),
    ("location /a { rewrite ^/a /i last; } location /i { internal; return 200 int; }", "/a", "int"),
    ("rewrite ^/a /i; location /i { internal; return 200 int; }", "/a", "int"),
    ("location /a { rewrite ^ /b?x=1; } location /b { rewrite ^ /c?y=2; } location /c { return 200 $args; }", "/a?z=3", "y=2&x=1&z=3"),
    ("location /a { set $x a; location /a/b { return 200 [$x]; } return 200 outer$x; }", "/a/b", "[]"),
    ("location /a { set $x a; location /a/b { return 200 [$x]; } return 200 outer$x; }", "/a", "outera"),
    ("location /o { return 200 1; return 200 2; }", "/o", "1")])
def test_flags(weir, server, target, text):
    resp = weir(server + " location / { return 200 $uri; }").get(target)
    assert resp.text == text


@pytest.mark.parametrize("rules", ["rewrite ^/a /b break; return 200 no;", "rewrite ^/a /b; break; return 200 no;",
                                   "if ($uri) { rewrite ^/a /b break; } return 200 no;",
                                   "rewrite ^/a /b; if ($uri) { break; } return 200 no;"])
def test_break_stays_in_the_location(weir, rules):
    server = weir("root {dir}/html; location /a { " + rules + " } location /b { return 200 other; }", files={"html/b": b"file"})
    assert server.get("/a").text == "file"


def test_method_and_body_stay(weir, origin):
    up = origin(lambda c: c.reply(body=(lambda q: f"{q.method} {q.target} {q.body.decode()}".encode())(c.read_request())))
    server = weir("location /a { rewrite ^ /b last; } location /b { proxy_pass http://{up}; }", up=up)
    assert server.request("POST", "/a", body=b"body").text == "POST /b body"


# loops

@pytest.mark.parametrize("rule", ["rewrite ^/(.*)$ /x$1 last;", "rewrite ^/(.*)$ /x$1;", "if ($uri) { rewrite ^/(.*)$ /x$1; }"])
def test_loop_is_stopped(weir, rule):
    server = weir("location / { " + rule + " }")
    assert server.get("/").status == 500
    server.wait_log(f'rewrite or internal redirection cycle while processing "/{"x" * 11}"')


def test_ten_changes_are_fine(weir):
    server = weir("""location /m { if ($uri !~ "^/m{11}$") { rewrite ^/(.*)$ /m$1 last; } return 200 $uri; }
        location /l { if ($uri !~ "^/l{12}$") { rewrite ^/(.*)$ /l$1 last; } return 200 $uri; }""")
    assert server.get("/m").text == "/" + "m" * 11
    assert server.get("/l").status == 500


@pytest.mark.parametrize("server,words", [
    ("recursive_error_pages on; error_page 404 /a; location / { return 404; }", 'internally redirecting to "/a"'),
    ("recursive_error_pages on; error_page 404 @a; location / { return 404; } location @a { return 404; }",
     'redirect to named location "@a"'),
    ("location / { try_files /none /x; }", 'internally redirecting to "/x"')])
def test_internal_redirects_are_bounded(weir, server, words):
    made = weir(server)
    assert made.get("/y").status == 500
    made.wait_log(re.escape(f"rewrite or internal redirection cycle while {words}"))


@pytest.mark.parametrize("server,status,text", [
    ("recursive_error_pages on; error_page 404 /a; error_page 403 /b; location / { return 404; } location = /a { return 403; }"
     "location = /b { return 402 fin; }", 403, "fin"),
    ("error_page 404 /a; error_page 403 /b; location / { return 404; } location = /a { return 403; } location = /b { return 402 fin; }",
     403, None),
    ("error_page 404 /a; location / { return 404; } location = /a { recursive_error_pages on; error_page 403 /b; return 403; }"
     "location = /b { return 402 fin; }", 403, None),
    ("recursive_error_pages on; error_page 404 /a; location / { return 404; } location = /a { recursive_error_pages off;"
     "error_page 403 /b; return 403; } location = /b { return 402 fin; }", 403, "fin"),
    ("error_page 404 @a; error_page 403 @b; location / { return 404; } location @a { return 403; } location @b { return 402 fin; }",
     403, None)])
def test_recursive_error_pages(weir, server, status, text):
    resp = weir(server).get("/x")
    assert resp.status == status and (resp.text == text if text else "<title>403" in resp.text)


@pytest.mark.weir_only("nginx has no bound")
def test_uris_are_bounded(weir):
    server = weir("""location / { rewrite ^ /x?$args&a; } location /r { rewrite ^(.*)$ /$args$args$args$args$args$args$args$args redirect; }
        location /s { set $a $args$args$args$args; set $a $a$a$a$a; return 200 $a; }""")
    args = "a" * 7000
    assert server.get("/?" + args).status == 500
    server.wait_log("the rewritten URI is longer than 65536 bytes")
    assert server.get("/r?" + args).status == 302
    assert server.get("/s?" + args).status == 500
    server.wait_log('the text of ".*" is longer than 65536 bytes')


# set

@pytest.mark.parametrize("server,target,text", [
    ("set $x 1; location / { set $x $x-2; set $y $x; set $x 3; return 200 '$x $y'; }", "/", "3 1-2"),
    ("location / { set $args z=2; return 200 '$args $arg_z $arg_q $query_string $is_args $request_uri'; }", "/?q=1", "z=2 2  z=2 ? /?q=1"),
    ("location / { set $args ''; return 200 '[$args$is_args]'; }", "/?q=1", "[]"),
    ("location /a { set $args z=2; rewrite ^ /b last; } location /b { return 200 '$uri $args'; }", "/a?q=1", "/b z=2"),
    ("location / { set $limit_rate 4k; return 200 $limit_rate; }", "/", "4096"),
    ("location / { set $limit_rate 10; return 200 $limit_rate; }", "/", "10"),
    ("location / { set $http_foo bar; return 200 $http_foo; }", "/", "bar"),
    ("location ~ ^/(?<n>.)(.)$ { set $a $n$2$1; return 200 '$a $n'; }", "/ab", "aba a"),
    ("location /a { set $v 1; rewrite ^ /b last; } location /b { return 200 [$v]; }", "/a", "[1]"),
    ("location /a { set $v 2; error_page 404 =200 /b; return 404; } location /b { return 200 [$v]; }", "/a", "[2]")])
def test_set(weir, server, target, text):
    assert weir(server).get(target).text == text


@pytest.mark.parametrize("server,target,text", [
    ("location ~ ^/(.*)$ { set $v $1; return 200 '$v $1'; }", "/x%26", "x%26 x&"), ("location ~ ^/(.*)$ { set $v -$1; return 200 '$v $1'; }", "/x&", "-x& x&"),
    ("location ~ ^/(?<n>.*)$ { set $v $n; return 200 $v; }", "/x%26", "x&"), ("location ~ ^/(.*)$ { set $args p=$1; return 200 $args; }", "/x%26+", "p=x%26%2B"),
    ("location / { rewrite ^/(.*)$ /q$1; if ($uri ~ ^/q(.*)$) { set $v $1; } return 200 $v; }", "/x%26", "x&"),
    ("rewrite ^/(.*)$ /k/$1; location ~ ^/k/(.*)$ { set $v $1; return 200 $v; }", "/x%26", "x%26"),
    ("location / { set $v $arg_x; if ($v ~ (.*)) { set $w $1; } return 200 $w; }", "/%20?x=a+b", "a%2Bb"),
    ("location / { set $v $arg_x; if ($v ~ (.*)) { set $w $1; } return 200 $w; }", "/?x=a+b", "a+b"),
    ("location ~ ^/(.*)$ { if ($arg_q = $1) { return 200 same; } return 200 $1; }", "/x%26?q=x%26", "same"),
    ("location ~ ^/(.*)$ { if ($arg_q = $1) { return 200 same; } return 200 $1; }", "/x%26?q=x&", "x&")])
def test_captures_in_values(weir, server, target, text):
    assert weir(server).get(target).text == text


def test_set_over_a_map(weir):
    server = weir("location /a { set $x 5; return 200 $x; } location / { return 200 $x; }", http="map $arg_a $x { default 1; }")
    assert [server.get(target).text for target in ("/a", "/b")] == ["5", "1"]


def test_bad_limit_rate(weir):
    server = weir("location / { set $limit_rate x; return 200 $limit_rate; }")
    assert server.get("/").text == "0"
    server.wait_log(r'invalid \$limit_rate "x"')


def test_variable_that_was_not_set(weir):
    server = weir("""location / { return 200 '[$x]'; } location /b { set $x 1; } location /if { if ($x) { return 200 yes; } return 200 no; }
        location /off { uninitialized_variable_warn off; return 200 '[$x]'; location /off/on { uninitialized_variable_warn on; return 200 '[$x]'; }
                        location /off/off { return 200 '[$x]'; } }
        location /log { access_log {dir}/x.log x; return 200; }""", http='log_format x "[$x]";')
    for target, text in (("/", "[]"), ("/if", "no"), ("/off", "[]"), ("/off/off", "[]"), ("/off/on", "[]")):
        assert server.get(target).text == text
    server.get("/log")
    assert server.access(1, "x.log") == ["[]"]
    server.wait_log('using uninitialized "x" variable', 3)
    warned = [line for line in server.log().splitlines() if "uninitialized" in line]
    assert [re.search('"GET (.*) HTTP', line)[1] for line in warned][:3] == ["/", "/if", "/off/on"]
    assert all("[warn]" in line for line in warned)


# what a peer gets

@pytest.mark.parametrize("server,target,line", [
    ("rewrite ^/a/(.*)$ /b/$1; location /b/ { proxy_pass http://{up}/c/; }", "/a/x?q", "/c/x?q"),
    ("rewrite ^/e/(.*) /d/$1; location /d/ { proxy_pass http://{up}; }", "/e/x%20y%2f%3f?q", "/d/x%20y/%3F?q"),
    ("rewrite ^/e/(.*) /d/$1; location /d/ { proxy_pass http://{up}; }", "/d/x%20y%2f?q", "/d/x%20y%2f?q"),
    ("location /b/ { rewrite ^/b/(.*)$ /z/$1 break; proxy_pass http://{up}/c/; }", "/b/x%20y%3f?q", "/z/x%20y%3F?q"),
    ("location /b/ { rewrite ^/zzz/(.*)$ /z/$1 break; proxy_pass http://{up}/c/; }", "/b/x?q", "/c/x?q"),
    ("location /d/ { rewrite ^ /z break; proxy_pass http://{up}; }", "/d/x?z", "/z?z"),
    ("location /a/ { rewrite ^/a/(.*)$ /b/$1 last; } location /b/ { proxy_pass http://{up}/c/; }", "/a/x%20y", "/c/x%20y"),
    ("location /b/ { if ($arg_a) { rewrite ^/b/(.*) /q/$1 break; } proxy_pass http://{up}/c/; }", "/b/x%20y?a=1", "/q/x%20y?a=1"),
    ("location /b/ { if ($arg_a) { rewrite ^/b/(.*) /q/$1 break; } proxy_pass http://{up}/c/; }", "/b/x?b", "/c/x?b"),
    ("location /b/ { set $args z=1; proxy_pass http://{up}; }", "/b/x%2f?q", "/b/x/?z=1"),
    ("location /b/ { set $args z=1; proxy_pass http://{up}/q/; }", "/b/x%20?q", "/q/x%20?z=1"),
    ("location /b/ { set $args ''; proxy_pass http://{up}; }", "/b/x?q", "/b/x"),
    ("location /b/ { rewrite ^(.*)$ $1?z=1? break; proxy_pass http://{up}; }", "/b/x?q", "/b/x?z=1"),
    ("location /b/ { error_page 418 = @n; return 418; } location @n { rewrite ^/b/(.*) /n/$1 break; proxy_pass http://{up}; }",
     "/b/x?q", "/n/x?q"),
    ("location / { try_files /none @x; } location @x { rewrite ^(.*)$ /idx?p=$1 last; } location = /idx { proxy_pass http://{up}; }",
     "/foo%20b%26", "/idx?p=/foo%20b%26")])
def test_proxied(weir, origin, server, target, line):
    up = origin(lambda c: c.reply(body=c.read_request().target.encode()))
    assert weir(server, up=up).get(target).text == line


# rewrite_log

def test_rewrite_log(weir):
    server = weir("""rewrite_log on; rewrite ^/a/(.*)$ /b/$1; rewrite ^/zz /q;
        location /b/ { rewrite ^/b/(.*)$ /c/$1?k=$1 last; }
        location /c/ { if ($arg_k ~ (x)) { set $y $1; } if ($arg_k !~* zz) { } rewrite ^/c/(.*)$ /d/ redirect; }
        location /quiet { rewrite_log off; rewrite ^/quiet /x; }""")
    server.get("/a/x?q=1")
    server.wait_log("rewritten redirect")
    lines = [re.search(r"\[notice\] .*?\*\d+ (.*?), client", line)[1] for line in server.log().splitlines()
             if "[notice]" in line and "request:" in line]
    assert lines == ['"^/a/(.*)$" matches "/a/x"', 'rewritten data: "/b/x", args: "q=1"', '"^/zz" does not match "/b/x"',
                     '"^/b/(.*)$" matches "/b/x"', 'rewritten data: "/c/x", args: "k=x&q=1"', '"(x)" matches "x"',
                     '"zz" does not match "x"', '"^/c/(.*)$" matches "/c/x"', 'rewritten redirect: "/d/?k=x&q=1"']


# what -t says

CONTEXTS = {"server": "server { %s }", "location": "server { location / { %s } }",
            "if in server": "server { if ($arg_q) { %s } }", "if in location": "server { location / { if ($arg_q) { %s } } }"}
GOOD = ["rewrite a b;", "rewrite a b last;", "rewrite a b break;", "rewrite a b redirect;", "rewrite a b permanent;", "rewrite a $1;",
        "rewrite '' /x;", "rewrite a http://x last;", "rewrite (a) $2; rewrite b c;", "set $x 1;", "set $x $x;", "set $args 1;",
        "set $limit_rate 1;", "set $http_foo x;", "set $arg_x 1; set $x 2;", "break;", "break; break;", "rewrite_log on;", "rewrite_log off;",
        "uninitialized_variable_warn off;", "return 200;", "return 200 a; return 300;", "set $x '';"]
BAD = [("rewrite;", 'invalid number of arguments in "rewrite" directive'), ("rewrite a;", 'invalid number of arguments in "rewrite" directive'),
       ("rewrite a b last c;", 'invalid number of arguments in "rewrite" directive'), ("rewrite a b foo;", 'invalid parameter "foo"'),
       ("rewrite a b LAST;", 'invalid parameter "LAST"'), ("rewrite ( b;", 'pcre2_compile() failed: missing closing parenthesis in "("'),
       ("rewrite a $nosuch;", 'unknown "nosuch" variable'), ("rewrite a '' last;", "empty replacement"),
       ("rewrite a ${x;", 'the closing bracket in "x" variable is missing'),
       ("set;", 'invalid number of arguments in "set" directive'), ("set $x;", 'invalid number of arguments in "set" directive'),
       ("set x 1;", 'invalid variable name "x"'), ("set $x 1 2;", 'invalid number of arguments in "set" directive'),
       ("set $ 1;", 'invalid variable name "$"'), ("set $x $nosuch;", 'unknown "nosuch" variable'),
       ("set $x '${y';", 'the closing bracket in "y" variable is missing'),
       *[(f"set ${name} 1;", f'the duplicate "{name}" variable') for name in (
           "host", "uri", "query_string", "request_uri", "document_root", "is_args", "status", "request_method")],
       ("break x;", 'invalid number of arguments in "break" directive'), ("rewrite_log;", 'invalid number of arguments in "rewrite_log"'),
       ("rewrite_log foo;", 'invalid value "foo" in "rewrite_log" directive, it must be "on" or "off"'),
       ("rewrite_log on; rewrite_log on;", '"rewrite_log" directive is duplicate'),
       ("uninitialized_variable_warn x;", 'invalid value "x" in "uninitialized_variable_warn" directive, it must be "on" or "off"'),
       ("uninitialized_variable_warn;", 'invalid number of arguments in "uninitialized_variable_warn" directive'), ("rewrite a b {}", "")]


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("text", GOOD)
def test_good(command, context, text):
    assert command("return 200;", http=CONTEXTS[context].replace("server {", "server { listen {port2};") % text).command("-t").returncode == 0


@pytest.mark.parametrize("text,message", BAD)
def test_bad(command, text, message):
    for context in ("server", "if in location"):
        result = command("return 200;", http=CONTEXTS[context] % text).command("-t")
        assert result.returncode == 1 and message in result.stderr


@pytest.mark.parametrize("text", ["rewrite a b;", "set $x 1;", "break;", "if ($arg_a) { }", "return 200;"])
def test_not_in_http(command, text):
    result = command("return 200;", http=text).command("-t")
    assert result.returncode == 1 and f'"{text.split()[0].rstrip(";")}" directive is not allowed here' in result.stderr
    assert command("return 200;", http="rewrite_log on; uninitialized_variable_warn off;").command("-t").returncode == 0
