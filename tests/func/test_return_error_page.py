# SPDX-License-Identifier: Apache-2.0
"""return and error_page."""
import pytest


@pytest.mark.parametrize("args,status,body", [
    ("200", 200, ""), ('200 "text"', 200, "text"), ("201 made", 201, "made"), ("404 gone", 404, "gone"),
                                              ("299 x", 299, "x"),
    ('200 ""', 200, ""), ('200 "a\\tb\\"c"', 200, 'a\tb"c'), ("200 ${uri}x$arg_a", 200, "/xv"), ("200 $$", None, None),
    ("599 odd", 599, "odd"), ("503 $request_method", 503, "GET")])
def test_return_text(weir, command, args, status, body):
    if status is None:
        result = command("location / { return " + args + "; }").command("-t")
        assert result.returncode == 1 and "invalid variable name" in result.stderr
        return
    resp = weir("location / { return " + args + "; }").get("/?a=v")
    assert (resp.status, resp.text) == (status, body)


@pytest.mark.parametrize("code", [400, 401, 403, 404, 405, 409, 410, 411, 412, 413, 414, 415, 416, 421, 429, 500, 501,
                                  502,
                                  503, 504, 505, 507])
def test_return_code_has_a_page(weir, code):
    resp = weir("location / { return " + str(code) + "; }").get("/")
    assert resp.status == code and f"<title>{code} {resp.reason}</title>".split()[0] in resp.text
    assert resp.headers["Content-Type"] == "text/html"
    assert resp.reason


def test_return_unknown_code(weir):
    resp = weir("location / { return 277; }").get("/")
    assert resp.status == 277 and resp.text == ""


def test_return_444_closes_without_a_word(weir):
    client = weir("location / { return 444; } location /a { return 200 a; }").client()
    assert client.get("/a").text == "a"
    client.send(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
    client.wait_closed()


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_return_url(weir, code):
    resp = weir("location / { return " + str(code) + " https://other.example$request_uri; }").get("/a?b=c")
    assert resp.status == code
    assert resp.headers["Location"] == "https://other.example/a?b=c"
    assert f"<center><h1>{code} " in resp.text


def test_return_url_alone_is_302(weir):
    resp = weir("location / { return http://x/; }").get("/")
    assert (resp.status, resp.headers["Location"]) == (302, "http://x/")


def test_return_path_becomes_absolute(weir):
    server = weir("location /a { return 301 /b; } location /c { absolute_redirect off; return 301 /d; }")
    assert server.get("/a", {"Host": "Some.Host"}).headers["Location"] == f"http://some.host:{server.port}/b"
    assert server.get("/c").headers["Location"] == "/d"


def test_port_in_redirect_off(weir):
    server = weir("port_in_redirect off; location / { return 301 /b; }")
    assert server.get("/a", {"Host": "h"}).headers["Location"] == "http://h/b"


def test_server_name_in_redirect(weir):
    server = weir("server_name the.name; server_name_in_redirect on; location / { return 301 /b; }")
    assert server.get("/a", {"Host": "h"}).headers["Location"] == f"http://the.name:{server.port}/b"


def test_head_of_return(weir):
    resp = weir("location / { return 404 gone; }").request("HEAD", "/")
    assert resp.status == 404 and resp.headers["Content-Length"] == "4"


# error_page

def test_error_page_uri(weir):
    server = weir("error_page 404 /404.html; location / { return 404; } location = /404.html { return 200 mine; }")
    resp = server.get("/x")
    assert (resp.status, resp.text) == (404, "mine")


def test_error_page_several_codes(weir):
    server = weir("""error_page 500 502 503 /50x; location /a { return 500; } location /b { return 503; }
                     location = /50x { return 200 "mine $status"; }""")
    assert (server.get("/a").status, server.get("/b").status) == (500, 503)
    assert server.get("/a").text.startswith("mine")


def test_error_page_changes_code(weir):
    server = weir("error_page 404 =200 /page; location / { return 404; } location = /page { return 403 body; }")
    assert (server.get("/x").status, server.get("/x").text) == (200, "body")


def test_error_page_code_of_the_page(weir):
    server = weir("error_page 404 = /page; location / { return 404; } location = /page { return 403 body; }")
    assert (server.get("/x").status, server.get("/x").text) == (403, "body")


def test_error_page_url(weir):
    server = weir("error_page 404 http://other.example/x; error_page 403 =301 http://other.example/y; location / { return 404; }"
                  "location /f { return 403; }")
    resp = server.get("/x")
    assert (resp.status, resp.headers["Location"]) == (302, "http://other.example/x")
    resp = server.get("/f")
    assert (resp.status, resp.headers["Location"]) == (301, "http://other.example/y")


def test_error_page_named(weir):
    server = weir("error_page 404 = @fallback; location / { return 404; } location @fallback { return 203 \"$uri\"; }")
    assert (server.get("/x").status, server.get("/x").text) == (203, "/x")


def test_error_page_file_of_a_missing_file(weir):
    server = weir("root {dir}/html; error_page 404 /404.html;", files={"html/404.html": b"<p>none</p>"})
    resp = server.get("/nothing")
    assert (resp.status, resp.text, resp.headers["Content-Type"]) == (404, "<p>none</p>", "text/html")
    server.wait_log(r'open\(\) "/.*/html/nothing" failed \(2: No such file or directory\)')


def test_error_page_is_replaced_whole_by_a_level_below(weir):
    server = weir("""error_page 404 /a; error_page 403 /a;
        location / { return 404; }
        location /own { error_page 404 /b; return 404; }
        location /own3 { error_page 404 /b; return 403; }
        location = /a { return 200 a; } location = /b { return 200 b; }""")
    assert server.get("/x").text == "a"
    assert server.get("/own").text == "b"
    assert "<title>403" in server.get("/own3").text


def test_error_page_with_variables(weir):
    server = weir("error_page 404 /page$arg_n; location / { return 404; } location = /page7 { return 200 seven; }")
    assert server.get("/x?n=7").text == "seven"


def test_error_page_is_not_recursive(weir):
    server = weir("error_page 404 /page; location / { return 404; } location = /page { error_page 403 /b; return 403; }"
                  "location = /b { return 200 b; }")
    resp = server.get("/x")
    assert resp.status == 404 or resp.status == 403
    assert resp.text != "b"


def test_error_page_for_malformed_request(weir):
    client = weir("error_page 400 /bad; location = /bad { return 200 mine; }").client()
    client.send(b"GET / HTTP/1.1\r\n\r\n")
    resp = client.read_response()
    assert (resp.status, resp.text) == (400, "mine")
    client.wait_closed()


def test_error_page_after_post(weir):
    client = weir("error_page 404 /page; location / { return 404; } location = /page { return 200 $request_method; }").client()
    assert client.request("POST", "/x", body=b"abc").text == "GET"
    assert client.get("/y").text == "GET"


def test_error_page_of_413(weir):
    server = weir("client_max_body_size 1; error_page 413 /big; location / { return 200 x; } location = /big { return 200 big; }")
    resp = server.request("POST", "/x", body=b"abc")
    assert (resp.status, resp.text) == (413, "big")


@pytest.mark.parametrize("rules,target,text", [
    ("error_page 404 /p?$status; location / { return 404; }", "/x", "404"), ("error_page 404 =503 /p?$status; location / { return 404; }", "/x", "503"),
    ("recursive_error_pages on; error_page 403 =302 @n; error_page 404 /p?$status; location / { return 403; } location @n { return 404; }", "/x", "404")])
def test_status_in_the_uri_of_an_error_page(weir, rules, target, text):
    assert weir(rules + " location = /p { return 200 $args; }").get(target).text == text
