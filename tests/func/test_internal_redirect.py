# SPDX-License-Identifier: Apache-2.0
"""internal_redirect: to a URI, to a name, with variables, inherited, bounded."""
import pytest

pytestmark = pytest.mark.weir_only("a module of nginx's commercial version")

SERVER = """
    location /uri { internal_redirect /target; }
    location /args { internal_redirect /target?a=$uri&b; }
    location /named { internal_redirect @there; }
    location /maybe { internal_redirect $arg_to; return 200 stayed; }
    location /file { internal_redirect $arg_to; root {dir}/html; }
    location /proxied { internal_redirect /target; proxy_pass http://127.0.0.1:1; }
    location /outer { internal_redirect /target; location /outer/in { root {dir}/html; } location /outer/own { internal_redirect @there; } }
    location /if { if ($arg_a) { set $x 1; } internal_redirect /target; }
    location /loop { internal_redirect /loop; }
    location /none { internal_redirect @none; }
    location /rel { internal_redirect target; }
    location /dots { internal_redirect /a/$arg_d; }
    location /target { internal; return 200 "target $uri $args $request_uri"; }
    location @there { internal; return 200 "there $uri $args"; }
"""


@pytest.fixture(scope="module")
def server(weir_shared):
    return weir_shared.server(SERVER, files={"html/file": b"file"})


@pytest.mark.parametrize("target,status,text", [
    ("/uri?q", 200, "target /target  /uri?q"), ("/args/x?q", 200, "target /target a=/args/x&b /args/x?q"), ("/named?q", 200, "there /named q"),
    ("/file", 200, "file"), ("/file?to=/target", 200, "target /target  /file?to=/target"), ("/file?to=@there", 200, "there /file to=@there"),
    ("/proxied", 200, "target /target  /proxied"), ("/outer", 200, "target /target  /outer"), ("/outer/in", 200, "target /target  /outer/in"),
    ("/outer/own", 200, "there /outer/own "), ("/if?a=1", 200, "target /target a=1 /if?a=1"), ("/target", 404, None), ("/maybe", 200, "stayed"),
    ("/rel", 500, None), ("/none", 500, None), ("/dots?d=../x", 500, None)])
def test_redirect(server, target, status, text):
    resp = server.get(target)
    assert resp.status == status
    if text is not None:
        assert resp.text == text.replace("target /target a=1 ", "target /target  ")


def test_bound(server):
    assert server.get("/loop").status == 500
    server.wait_log('rewrite or internal redirection cycle while internally redirecting to "/loop"')


@pytest.mark.parametrize("text,message", [
    ("internal_redirect;", 'invalid number of arguments in "internal_redirect" directive'),
    ("internal_redirect /a /b;", 'invalid number of arguments in "internal_redirect" directive'),
    ("internal_redirect /a; internal_redirect /b;", '"internal_redirect" directive is duplicate'),
    ("internal_redirect $nosuch;", 'unknown "nosuch" variable'),
    ("location / { if ($arg_a) { internal_redirect /a; } }", '"internal_redirect" directive is not allowed here')])
def test_bad(command, text, message):
    result = command(text).command("-t")
    assert result.returncode == 1 and message in result.stderr


def test_not_in_http(command):
    result = command("return 200;", http="internal_redirect /a;").command("-t")
    assert result.returncode == 1 and '"internal_redirect" directive is not allowed here' in result.stderr
