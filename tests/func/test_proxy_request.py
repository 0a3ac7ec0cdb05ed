# SPDX-License-Identifier: Apache-2.0
"""What the peer receives: request line, fields, byte for byte."""
import os
import tempfile
import threading

import pytest

from weirtest.client import build_request
from weirtest.timing import LIMIT, wait_for

H11 = "proxy_http_version 1.1; "
DEFAULTS = pytest.mark.weir_only("spec U4.2, U10.1: HTTP/1.1 and keep-alive are the defaults; nginx 1.22 sends 1.0 and close")


def seen(weir, origin, conf, target="/", headers=(), method="GET", body=None, **more):
    """The request that the peer got, for one request of the client."""
    up = origin()
    server = weir(conf, up=up, uport=up.port, **more)
    server.request(method, target, headers, body)
    return up.requests[0]


# U4.1: the URI

@pytest.mark.parametrize("location,url,target,expect", [
    ("/", "http://{up}", "/a/b?c=d", "/a/b?c=d"), ("/", "http://{up}", "/a%20b//c/../d?e%20f", "/a%20b//c/../d?e%20f"),
    ("/", "http://{up}", "/", "/"), ("/", "http://{up}", "/?", "/?"), ("/", "http://{up}", "/a#b", "/a#b"),
    ("/", "http://{up}/", "/a/b?c", "/a/b?c"), ("/x/", "http://{up}/", "/x/a?b", "/a?b"), ("/x/", "http://{up}",
                                                                                           "/x/a?b", "/x/a?b"),
    ("/x/", "http://{up}/y", "/x/a", "/ya"), ("/x", "http://{up}/y", "/xa", "/ya"), ("/x/", "http://{up}/y/",
                                                                                     "/x/a%20b", "/y/a%20b"),
    ("/x/", "http://{up}/y/", "/x/a//b/../c", "/y/a/c"), ("/x/", "http://{up}/", "/x/%2F%3F%25", "/%3F%25"),
    ("= /x", "http://{up}/y", "/x?q", "/y?q"), ("~ ^/r/", "http://{up}", "/r/a?b", "/r/a?b"),
                                                        ("/x/", "http://{up}/y?z=1", "/x/a", "/y?z=1a"),
    ("/x/", "HTTP://{up}/y/", "/x/a", "/y/a"), ("/", "http://{up}", "/\u00c3\u00a9", "/\u00c3\u00a9"),
                                                        ("/", "http://{up}", "/%C3%A9", "/%C3%A9"),
    ("/", "http://{up}", "http://h/abs?x", "/abs?x"), ("/x/", "http://{up}/", "/x/a+b", "/a+b")])
def test_uri(weir, origin, location, url, target, expect):
    conf = f"location {location} {{ proxy_pass {url}; }}"
    assert seen(weir, origin, conf, target).target == expect


def test_uri_with_variables(weir, origin):
    req = seen(weir, origin, "location ~ ^/r/(.*)$ { proxy_pass http://{up}/n/$1$is_args$args; }", "/r/a?b=c")
    assert req.target == "/n/a?b=c"


def test_host_by_variable(weir, origin):
    up = origin()
    server = weir("location / { proxy_pass http://127.0.0.1:$arg_p; }", up=up)
    assert server.get(f"/x?p={up.port}").text == "ok"
    assert up.requests[0].target == f"/x?p={up.port}"


def test_named_location_passes_the_uri(weir, origin):
    req = seen(weir, origin, "location / { error_page 404 = @p; return 404; } location @p { proxy_pass http://{up}; }",
               "/a%20b?c")
    assert req.target == "/a%20b?c"


def test_slash_is_added_by_a_redirect(weir, origin):  # U4.1
    up = origin()
    server = weir("location /x/ { proxy_pass http://{up}; } location = /y { return 200 y; } location /y/ { proxy_pass http://{up}; }", up=up)
    resp = server.get("/x?a=b", {"Host": "h"})
    assert resp.status == 301 and resp.headers["Location"] == f"http://h:{server.port}/x/?a=b"
    assert server.get("/y").text == "y" and not up.requests


# U4.2: fields

def test_head_byte_for_byte(weir, origin):
    up = origin()
    server = weir("location / { " + H11 + "proxy_set_header Connection ''; proxy_pass http://{up}; }", up=up)
    server.raw(b"GET /x?y HTTP/1.1\r\nhost: client.example\r\nX-One:  a \r\nx-two: b\r\nAccept: */*\r\nX-One: again\r\n\r\n")
    assert up.requests[0].raw_head == (f"GET /x?y HTTP/1.1\r\nHost: {up}\r\nX-One: a\r\nx-two: b\r\nAccept: */*\r\n"
                                       "X-One: again\r\n\r\n").encode()


@DEFAULTS
def test_default_head_byte_for_byte(weir, origin):
    up = origin()
    server = weir("location / { proxy_pass http://{up}; }", up=up)
    server.get("/x", {"A": "b"})
    assert up.requests[0].raw_head == f"GET /x HTTP/1.1\r\nHost: {up}\r\nA: b\r\n\r\n".encode()


def test_host_of_a_group(weir, origin):
    req = seen(weir, origin, "location / { proxy_pass http://my-group; }", http="upstream my-group { server {up}; }")
    assert req.headers["Host"] == "my-group"


def test_host_without_default_port(weir, origin):
    req = seen(weir, origin, "location / { proxy_set_header Host $proxy_host; proxy_set_header X $proxy_port; proxy_pass http://g; }",
               http="upstream g { server {up}; }")
    assert (req.headers["Host"], req.headers["X"]) == ("g", "80")


@pytest.mark.parametrize("name", ["Keep-Alive", "Upgrade", "TE"])
def test_hop_by_hop_is_removed(weir, origin, name):
    req = seen(weir, origin, "location / { " + H11 + "proxy_pass http://{up}; }", "/", {name: "x", "Other": "y"})
    assert name not in req.headers and req.headers["Other"] == "y"


@pytest.mark.weir_only("U4.2 removes more than nginx does")
@pytest.mark.parametrize("name,value", [("Proxy-Connection", "keep-alive")])
def test_more_hop_by_hop_is_removed(weir, origin, name, value):
    assert name not in seen(weir, origin, "location / { proxy_pass http://{up}; }", "/", {name: value}).headers


@pytest.mark.weir_only("U4.2: what Connection names is hop-by-hop; nginx passes it")
def test_fields_named_by_connection_are_removed(weir, origin):
    req = seen(weir, origin, "location / { proxy_pass http://{up}; }", "/", {"Connection": "X-Hop, keep-alive",
                                                                             "X-Hop": "1", "X-End": "2"})
    assert "X-Hop" not in req.headers and req.headers["X-End"] == "2"


def test_clients_connection_does_not_pass(weir, origin):
    req = seen(weir, origin, "location / { " + H11 + "proxy_set_header Connection ''; proxy_pass http://{up}; }", "/",
               {"Connection": "close"})
    assert "Connection" not in req.headers


def test_set_header(weir, origin):
    req = seen(weir, origin, """location / { proxy_set_header Host $host; proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Mixed "a $request_method b";
        proxy_set_header X-Empty ""; proxy_set_header X-Gone $http_none; proxy_pass http://{up}; }""", "/",
               {"Host": "Client.Name:81", "X-Empty": "client", "X-Gone": "client", "X-Mixed": "client",
                "X-Stay": "client"})
    head = req.headers
    assert (head["Host"], head["X-Real-IP"], head["X-Forwarded-For"], head["X-Mixed"]) == ("client.name", "127.0.0.1",
                                                                                           "127.0.0.1",
                                                                                   "a GET b")
    assert "X-Empty" not in head and "X-Gone" not in head and head["X-Stay"] == "client"


def test_add_x_forwarded_for_appends(weir, origin):
    req = seen(weir, origin, "location / { proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_pass http://{up}; }", "/",
               {"X-Forwarded-For": "1.1.1.1, 2.2.2.2"})
    assert req.headers["X-Forwarded-For"] == "1.1.1.1, 2.2.2.2, 127.0.0.1"


def test_set_header_is_replaced_whole_by_a_level_below(weir, origin):
    req = seen(weir, origin, "proxy_set_header X-A 1; proxy_set_header X-B 1; location / { proxy_set_header X-B 2; proxy_pass http://{up}; }")
    assert "X-A" not in req.headers and req.headers["X-B"] == "2"


def test_set_header_is_inherited(weir, origin):
    req = seen(weir, origin, "location / { proxy_pass http://{up}; }", http="proxy_set_header X-A $uri;", target="/u")
    assert req.headers["X-A"] == "/u"


def test_pass_request_headers_off(weir, origin):
    req = seen(weir, origin, "location / { proxy_pass_request_headers off; proxy_set_header X-Own 1; proxy_pass http://{up}; }", "/",
               {"X-A": "b", "User-Agent": "c"})
    assert "X-A" not in req.headers and "User-Agent" not in req.headers and req.headers["X-Own"] == "1"


def test_method(weir, origin):
    req = seen(weir, origin, "location / { proxy_method PUT; proxy_pass http://{up}; }")
    assert req.method == "PUT"


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "BREW"])
def test_methods_pass(weir, origin, method):
    up = origin(lambda c: (c.read_request(), c.send(b"HTTP/1.1 204 No Content\r\n\r\n")))
    server = weir("location / { proxy_pass http://{up}; }", up=up)
    assert server.request(method, "/").status == 204
    assert up.requests[0].method == method


def test_http_1_0_to_the_peer(weir, origin):
    up = origin()
    server = weir("location / { proxy_http_version 1.0; proxy_set_header Host $proxy_host; proxy_set_header Connection close; proxy_pass http://{up}; }", up=up)
    server.get("/x", {"A": "b"})
    assert up.requests[0].raw_head == f"GET /x HTTP/1.0\r\nHost: {up}\r\nConnection: close\r\nA: b\r\n\r\n".encode()


# bodies

@pytest.mark.parametrize("buffering", ["on", "off"])
def test_body_with_length(weir, origin, buffering):
    up = origin()
    server = weir("location / { " + H11 + f"proxy_request_buffering {buffering}; proxy_pass http://{{up}}; }}", up=up)
    client = server.client()
    for body in (b"a", b"", b"b" * 5000, bytes(range(256)) * 400):
        assert client.request("POST", "/", body=body).text == "ok"
    assert [r.body for r in up.requests] == [b"a", b"", b"b" * 5000, bytes(range(256)) * 400]
    assert all(r.headers["Content-Length"] == str(len(r.body)) for r in up.requests)


def test_chunked_body_buffered_gets_a_length(weir, origin):
    up = origin()
    client = weir("location / { " + H11 + "proxy_pass http://{up}; }", up=up).client()
    client.send(build_request("POST", "/", {"Transfer-Encoding": "chunked"}), b"5\r\nhello\r\n", b"1;x=y\r\n \r\n",
                b"5\r\nworld\r\n0\r\n\r\n")
    assert client.read_response().text == "ok"
    assert up.requests[0].framing == "length" and up.requests[0].body == b"hello world"


def test_chunked_body_unbuffered_stays_chunked(weir, origin):  # U4.4
    head = threading.Event()

    def script(conn):
        req = conn.read_request(body=False)
        head.set()
        conn.read_body(req, none_allowed=True)
        conn.reply()
    up = origin(script)
    client = weir("location / { " + H11 + "proxy_request_buffering off; proxy_pass http://{up}; }", up=up).client()
    client.send(build_request("POST", "/", {"Transfer-Encoding": "chunked"}), b"5\r\nhello\r\n")
    assert head.wait(LIMIT)
    client.send(b"1;x=y\r\n \r\n", b"5\r\nworld\r\n0\r\n\r\n")
    assert client.read_response().text == "ok"
    assert up.requests[0].framing == "chunked" and up.requests[0].body == b"hello world"


def test_chunked_body_towards_http10_is_gathered(weir, origin):  # U4.4
    up = origin()
    client = weir("location / { proxy_http_version 1.0; proxy_request_buffering off; proxy_pass http://{up}; }",
                  up=up).client()
    client.send(build_request("POST", "/", {"Transfer-Encoding": "chunked"}), b"5\r\nhello\r\n", b"0\r\n\r\n")
    assert client.read_response().text == "ok"
    assert up.requests[0].framing == "length" and up.requests[0].body == b"hello"


def test_buffered_body_is_whole_before_a_peer_is_chosen(weir, origin):  # U4.3, U14.7
    up = origin()
    client = weir("location / { proxy_pass http://{up}; }", up=up).client()
    client.send(build_request("POST", "/", {"Content-Length": "10"}), b"12345")
    with_other = weir("location / { return 200 x; }")
    assert with_other.get("/").text == "x"       # time has passed; the peer has seen nothing
    assert up.connections == 0
    client.send(b"67890")
    assert client.read_response().text == "ok"
    assert up.requests[0].body == b"1234567890"


def test_unbuffered_body_goes_on_as_it_comes(weir, origin):  # U4.4
    got = []

    def script(conn):
        conn.read_request(body=False)
        for part in (b"one", b"two", b"three"):
            conn.expect(part)
            got.append(part)
        conn.reply()
    up = origin(script)
    client = weir("location / { " + H11 + "proxy_request_buffering off; proxy_pass http://{up}; }", up=up).client()
    client.send(build_request("POST", "/", {"Content-Length": "11"}))
    up.wait_requests(1)                          # the head is there before any byte of the body
    for number, part in enumerate((b"one", b"two", b"three"), 1):
        client.send(part)
        wait_for(lambda n=number: len(got) == n, f"part {number} at the peer")
    assert client.read_response().text == "ok"


@pytest.mark.parametrize("how", ["memory", "file", "file-only"])
def test_big_body(weir, origin, how):  # U4.3
    up = origin()
    conf = {"memory": "client_body_buffer_size 4m;", "file": "client_body_buffer_size 8k;",
            "file-only": "client_body_in_file_only clean;"}[how]
    body = bytes(i * 7 % 251 for i in range(3000000))
    server = weir("client_max_body_size 0; location / { " + conf + "proxy_pass http://{up}; }", up=up)
    assert server.request("POST", "/", body=body).text == "ok"
    assert up.requests[0].body == body
    if how == "file":
        server.wait_log(r"\[warn\].* a client request body is buffered to a temporary file " + server.dir)
    if how == "memory":
        assert "temporary file" not in server.log()


def test_big_body_sendfile_off_and_on(weir, origin):
    up = origin()
    body = bytes(i * 11 % 253 for i in range(1000000))
    server = weir("client_body_buffer_size 8k; location /off { sendfile off; proxy_pass http://{up}; }"
                  "location /on { sendfile on; proxy_pass http://{up}; }", up=up)
    assert server.request("POST", "/off", body=body).text == "ok"
    assert server.request("POST", "/on", body=body).text == "ok"
    assert [r.body == body for r in up.requests] == [True, True]


def test_temporary_files_go_away(weir, origin):
    up = origin()
    server = weir("client_body_buffer_size 8k; location / { proxy_pass http://{up}; }", up=up)
    for _ in range(3):
        server.request("POST", "/", body=b"x" * 100000)
    wait_for(lambda: not [f for _, _, files in os.walk(server.path("body")) for f in files],
             "temporary files to be removed")


def test_pass_request_body_off(weir, origin):
    req = seen(weir, origin, "location / { proxy_pass_request_body off; proxy_set_header Content-Length ''; proxy_pass http://{up}; }",
               method="POST", body=b"secret")
    assert req.body == b"" and "Content-Length" not in req.headers


def test_set_body(weir, origin):
    req = seen(weir, origin, 'location / { proxy_set_body "uri=$uri"; proxy_pass http://{up}; }', "/x", method="POST",
               body=b"long body here")
    assert req.body == b"uri=/x"


def test_request_trailers_do_not_become_fields(weir, origin):
    up = origin()
    client = weir("location / { " + H11 + "proxy_request_buffering off; proxy_pass http://{up}; }", up=up).client()
    client.send(build_request("POST", "/", {"Transfer-Encoding": "chunked"}) +
                b"1\r\na\r\n0\r\nX-Evil: 1\r\nHost: evil\r\n\r\n" +
                build_request("GET", "/next"))
    assert client.read_response().text == "ok" and client.read_response().text == "ok"
    assert "X-Evil" not in up.requests[0].headers and up.requests[1].target == "/next"


def test_unix_peer(weir, origin):
    with tempfile.TemporaryDirectory(prefix="wp-") as folder:
        up = origin(path=folder + "/p.sock")
        server = weir("location / { proxy_pass http://{up}:/pre/; } location /plain { proxy_pass http://{up}; }"
                      "location /group { proxy_pass http://g; }", http="upstream g { server {up}; }", up=up)
        assert server.get("/x").text == "ok" and server.get("/plain/y").text == "ok" and server.get("/group").text == "ok"
        assert [(r.target, r.headers["Host"]) for r in up.requests] == [("/pre/x", "localhost"),
                                                                        ("/plain/y", "localhost"), ("/group", "g")]


def test_v6_peer(weir, origin):
    up = origin(host="::1")
    server = weir("location / { proxy_pass http://{up}; }", up=up)
    assert server.get("/").text == "ok" and up.requests[0].headers["Host"] == str(up)


def test_peer_by_name(weir, origin):
    up = origin()
    server = weir("location / { proxy_pass http://localhost:{uport}; }", uport=up.port)
    assert server.get("/").text == "ok"
