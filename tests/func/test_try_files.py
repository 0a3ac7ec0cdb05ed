# SPDX-License-Identifier: Apache-2.0
"""try_files: files, folders, root and alias, what follows when nothing is there."""
import os

import pytest

FILES = {"h/index.html": b"root", "h/a.txt": b"a", "h/d/index.html": b"d", "h/noindex/x": b"x", "h/q y": b"space",
         "al/x": b"alx", "al/sub/f": b"f", "secret": b"secret"}

SERVER = """
    root {dir}/h;
    location / { try_files $uri $uri/ =404; }
    location /al/ { alias {dir}/al/; try_files $uri $uri/ =404; }
    location /al-whole/ { alias {dir}/al/; try_files /al-whole/x =404; }
    location /al-rest/ { alias {dir}/al/; try_files /x =404; }
    location /al4 { alias {dir}/al; try_files $uri =404; }
    location ~ ^/re/(.*)$ { alias {dir}/al/$1; try_files $uri =404; }
    location ~ ^/re2/(.*)$ { alias {dir}/al/$1; try_files "" =404; }
    location ~ ^/re3/(.*)$ { alias {dir}/al/$1/f; try_files "" /none =404; }
    location /named/ { try_files /none @n; }
    location @n { return 200 "named $uri $args $request_uri"; }
    location /fb/ { try_files /none /target?q=$uri&$args; }
    location /fb2/ { try_files /none /target; }
    location /target { return 200 "target $uri [$args]"; }
    location /code301 { try_files /none =301; }
    location /code403 { try_files /none =403; }
    location /code444 { try_files /none =444; }
    location /found { try_files /none /a.txt =404; }
    location /dir { try_files /d/ =404; }
    location /dir-as-file { try_files /d =404; }
    location /file-as-dir { try_files /a.txt/ =404; }
    location /logged { access_log {dir}/uri.log uri; try_files /a.txt =404; }
    location /proxy { try_files /a.txt =404; proxy_pass http://{up}; }
    location /glued { try_files a.txt =404; }
    location /arg { try_files /$arg_p =404; }
    location /loop { try_files /none /loop; }
    location /space { try_files "/q y" =404; }
    location /escape/ { try_files /none /target%20x$uri; }
    location /noslash { try_files /none target; }
    location /outer/ { try_files /a.txt =404; location /outer/inner { } }
"""


@pytest.fixture(scope="module")
def peer(weir_shared):
    return weir_shared.origin()


@pytest.fixture(scope="module")
def server(weir_shared, peer):
    http = """log_format uri "$uri [$args] $request_filename $request_uri";
        server { listen 127.0.0.1:{port2}; root {dir}/h; try_files $uri /a.txt; location /in { } }"""
    return weir_shared.server(SERVER, http=http, files=FILES, up=peer, allow=["leads outside", "redirection cycle"])


@pytest.mark.parametrize("target, status, text", [
    ("/a.txt", 200, "a"),
    ("/a.txt?x", 200, "a"),
    ("/", 200, "root"),
    ("/d/", 200, "d"),
    ("/none", 404, None),
    ("/noindex/", 403, None),
    ("/al/x", 200, "alx"),
    ("/al/none", 404, None),
    ("/al-whole/q", 404, None),
    ("/al-rest/q", 200, "alx"),
    ("/al4/x", 200, "alx"),
    ("/al4/sub/f", 200, "f"),
    ("/al4/q", 404, None),
    ("/re/x", 404, None),
    ("/re2/x", 200, "alx"),
    ("/re2/none", 404, None),
    ("/re3/sub", 200, "f"),
    ("/re3/none", 404, None),
    ("/named/a?b=c", 200, "named /named/a b=c /named/a?b=c"),
    ("/fb/a?b=c", 200, "target /target [q=/fb/a&b=c]"),
    ("/fb2/a?b=c", 200, "target /target []"),
    ("/code301", 301, None),
    ("/code403", 403, None),
    ("/found", 200, "a"),
    ("/dir-as-file", 404, None),
    ("/file-as-dir", 404, None),
    ("/glued", 404, None),
    ("/arg?p=a.txt", 200, "a"),
    ("/arg?p=a%2etxt", 404, None),
    ("/arg?p=x/../../../etc/passwd", 404, None),
    ("/arg?p=" + "x" * 3000, 404, None),
    ("/loop", 500, None),
    ("/space", 200, "space"),
    ("/escape/%20a", 200, "target /target%20x/escape/ a []"),
    ("/noslash", 404, None),
    ("/outer/x", 200, "a"),
    ("/outer/inner", 404, None),
])
def test_answers(server, target, status, text):
    resp = server.get(target)
    assert resp.status == status
    assert text is None or resp.text == text


@pytest.mark.parametrize("target, to", [("/d", "/d/"), ("/d?x=1", "/d/?x=1"), ("/al/sub", "/al/sub/"), ("/dir", "/d/")])
def test_a_folder_without_its_slash(server, target, to):
    resp = server.get(target)
    assert resp.status == 301 and resp.headers["Location"].endswith(to)


@pytest.mark.weir_only("U14.8: no name that a client sends leads outside of the folder")
def test_nothing_leads_out(server):
    assert server.get("/arg?p=../secret").status == 404
    server.wait_log("leads outside of")


def test_444_says_nothing(server):
    with server.client() as client:
        client.send(b"GET /code444 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.read_to_end() == b""


def test_the_path_changes_and_the_request_does_not(server, peer):
    assert server.get("/logged?k=v").text == "a"
    assert server.access(1, "uri.log")[0].split() == [
        "/a.txt", "[k=v]", os.path.join(server.dir, "h/a.txt"), "/logged?k=v"]


def test_a_peer_gets_what_the_client_sent(weir, origin):
    up = origin(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    server = weir("root {dir}; location / { try_files /there =404; proxy_pass http://{up}; }", up=up,
                  files={"there": b"x"})
    assert server.get("/a%20b?c=d").text == "ok"
    assert up.requests[0].target == "/a%20b?c=d"


def test_of_a_server_only_without_a_location(server):
    assert server.get("/none", port="port2").text == "a"
    assert server.get("/in/none", port="port2").status == 404


@pytest.mark.parametrize("text, message", [
    ("try_files /a;", 'invalid number of arguments in "try_files" directive'),
    ("try_files /a =abc;", 'invalid code "=abc"'),
    ("try_files /a =1000;", 'invalid code "=1000"'),
    ("try_files /a =;", 'invalid code "="'),
    ("try_files /a /b; try_files /a /b;", '"try_files" directive is duplicate'),
])
def test_errors(command, text, message):
    server = command(text)
    server.write_conf(server.compose(text))
    done = server.command("-t")
    assert done.returncode == 1 and message in done.stderr
