# SPDX-License-Identifier: Apache-2.0
"""HTTP/1 connections of clients: keep-alive, pipelining, versions, Expect, forms of the request target."""
import pytest

from weirtest.client import build_request
from weirtest.timing import wait_for

SERVER = """
    location / { return 200 "$request_method $uri $args\\n"; }
    location = /none { return 204; }
    location /body { proxy_pass http://{up}; }
"""


def test_keepalive_serves_many_requests(weir):  # RFC 9112 9.3
    client = weir(SERVER, up="127.0.0.1:1").client()
    for i in range(20):
        resp = client.get(f"/n{i}")
        assert (resp.status, resp.text) == (200, f"GET /n{i} \n")
        assert resp.headers["Connection"] == "keep-alive"
    client.expect_open()


def test_response_head(weir):
    resp = weir(SERVER, up="127.0.0.1:1").get("/x")
    assert resp.version == "1.1" and resp.reason == "OK"
    assert resp.headers["Content-Type"] == "text/plain"
    assert resp.headers["Content-Length"] == str(len(resp.body))
    assert resp.headers["Server"]
    assert len(resp.headers.all("Date")) == 1


def test_date_is_now(weir):
    client = weir(SERVER, up="127.0.0.1:1").client()
    client.send(build_request("GET", "/"))
    assert client.read_response(date=True).status == 200


def test_connection_close_is_obeyed(weir):
    client = weir(SERVER, up="127.0.0.1:1").client()
    assert client.get("/", {"Connection": "close"}).headers["Connection"] == "close"
    client.expect_eof()


@pytest.mark.parametrize("value", ["Close", "CLOSE", "foo, close", "close, foo"])
def test_connection_close_spellings(weir, value):
    client = weir(SERVER, up="127.0.0.1:1").client()
    client.get("/", {"Connection": value})
    client.expect_eof()


def test_half_closed_client_gets_its_answer(weir, origin):
    # The answer must not be lost: the request was whole before the FIN.
    client = weir(SERVER, up=origin()).client()
    client.send(build_request("GET", "/x"))
    client.half_close()
    assert client.read_response().text == "GET /x \n"
    client.expect_eof()


def test_pipelined_requests_are_answered_in_order(weir):
    client = weir(SERVER, up="127.0.0.1:1").client()
    client.send(b"".join(build_request("GET", f"/p{i}") for i in range(50)))
    for i in range(50):
        assert client.read_response().text == f"GET /p{i} \n"
    client.expect_open()


def test_pipeline_split_at_every_byte(weir):
    client = weir(SERVER, up="127.0.0.1:1").client()
    data = build_request("GET", "/a") + build_request("HEAD", "/b") + build_request("GET", "/c")
    for at in range(len(data)):
        client.send(data[at:at + 1])
    assert client.read_response().text == "GET /a \n"
    assert client.read_response("HEAD").status == 200
    assert client.read_response().text == "GET /c \n"


def test_pipelined_behind_post_body(weir, origin):
    up = origin()
    client = weir(SERVER, up=up).client()
    client.send(build_request("POST", "/body", body=b"x" * 3000) + build_request("GET", "/after"))
    assert client.read_response().text == "ok"
    assert client.read_response().text == "GET /after \n"
    assert up.requests[0].body == b"x" * 3000


def test_pipelined_behind_chunked_body(weir, origin):
    up = origin()
    client = weir(SERVER, up=up).client()
    client.send(build_request("POST", "/body", {"Transfer-Encoding": "chunked"}) + b"3\r\nabc\r\n0\r\n\r\n" +
                build_request("GET", "/after"))
    assert client.read_response().text == "ok"
    assert client.read_response().text == "GET /after \n"
    assert up.requests[0].body == b"abc"


def test_pipelined_behind_discarded_body(weir):
    client = weir(SERVER, up="127.0.0.1:1").client()
    client.send(build_request("POST", "/x", body=b"GET /smuggled HTTP/1.1\r\n\r\n") + build_request("GET", "/after"))
    assert client.read_response().text == "POST /x \n"
    assert client.read_response().text == "GET /after \n"
    client.expect_open()


def test_discarded_body_that_comes_late(weir):
    client = weir(SERVER, up="127.0.0.1:1").client()
    client.send(build_request("POST", "/x", {"Content-Length": "6"}))
    first = client.read_response()
    assert first.text == "POST /x \n"
    client.send(b"abcdef", build_request("GET", "/after"))
    assert client.read_response().text == "GET /after \n"


def test_discarded_chunked_body(weir):
    client = weir(SERVER, up="127.0.0.1:1").client()
    client.send(build_request("POST", "/x", {"Transfer-Encoding": "chunked"}), b"2\r\nab\r\n", b"1", b"0\r\n" +
                b"c" * 16,
                b"\r\n0\r\n", b"\r\n", build_request("GET", "/after"))
    assert client.read_response().text == "POST /x \n"
    assert client.read_response().text == "GET /after \n"


def test_empty_lines_before_a_request(weir):  # RFC 9112 2.2, U14.2
    client = weir(SERVER, up="127.0.0.1:1").client()
    client.send(b"\r\n\r\n" + build_request("GET", "/a") + b"\r\n" + build_request("GET", "/b"))
    assert client.read_response().text == "GET /a \n"
    assert client.read_response().text == "GET /b \n"


@pytest.mark.weir_only("U14.2: empty lines before a request are counted and bounded; nginx takes any number")
def test_endless_empty_lines_are_refused(weir):
    client = weir(SERVER, up="127.0.0.1:1").client()
    client.send_lenient(b"\r\n" * 20000)
    assert client.read_to_end().startswith((b"HTTP/1.1 400 ", b""))
    assert client.ended in ("eof", "reset")


def test_head_has_no_body(weir):
    client = weir(SERVER, up="127.0.0.1:1").client()
    resp = client.request("HEAD", "/x")
    assert resp.status == 200 and resp.headers["Content-Length"] == str(len("HEAD /x \n"))
    assert client.get("/y").text == "GET /y \n"


def test_204_has_no_body_and_no_length(weir):
    client = weir(SERVER, up="127.0.0.1:1").client()
    resp = client.get("/none")
    assert resp.status == 204 and "Content-Length" not in resp.headers and "Transfer-Encoding" not in resp.headers
    assert client.get("/y").text == "GET /y \n"


def test_http10_closes(weir):
    client = weir(SERVER, up="127.0.0.1:1").client()
    resp = client.get("/x", version="1.0")
    assert resp.text == "GET /x \n" and resp.headers["Connection"] == "close"
    client.expect_eof()


def test_http10_keepalive(weir):
    client = weir(SERVER, up="127.0.0.1:1").client()
    for _ in range(3):
        resp = client.get("/x", {"Connection": "keep-alive"}, version="1.0")
        assert resp.text == "GET /x \n" and resp.headers["Connection"] == "keep-alive"
    client.expect_open()


def test_http10_without_host(weir):
    assert weir(SERVER, up="127.0.0.1:1").get("/x", version="1.0", host=None).text == "GET /x \n"


def test_http10_client_never_sees_chunked(weir, origin):  # issue section 5
    up = origin(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    client = weir("location / { proxy_http_version 1.1; proxy_pass http://{up}; }", up=up).client()
    resp = client.get("/", {"Connection": "keep-alive"}, version="1.0")
    assert resp.framing == "close" and resp.body == b"abcde"


def test_http09(weir):
    client = weir(SERVER, up="127.0.0.1:1").client()
    client.send(b"GET /old\r\n")
    assert client.read_all() == b"GET /old \n"


def test_absolute_form(weir):  # RFC 9112 3.2.2
    resp = weir('location / { return 200 "$host $uri $args $request_uri"; }').get(
        "http://Other.Example/a/b?c=d", {"Host": "ignored"})
    assert resp.text == "other.example /a/b c=d /a/b?c=d"


@pytest.mark.parametrize("target,expect", [("http://a.example", "a.example / "), ("http://a.example:81/x",
                                                                                  "a.example /x "),
                                           ("HTTP://A.example/x", "a.example /x "),
                                           ("http://a.example?q=1", "a.example / q=1")])
def test_absolute_form_variants(weir, target, expect):
    assert weir('location / { return 200 "$host $uri $args"; }').get(target).text == expect


@pytest.mark.weir_only("OPTIONS * is in the issue (section 5); nginx answers 400")
def test_options_asterisk(weir):
    client = weir(SERVER, up="127.0.0.1:1").client()
    resp = client.request("OPTIONS", "*")
    assert 200 <= resp.status < 300
    assert client.get("/y").text == "GET /y \n"


def test_asterisk_is_for_options_only(weir):
    client = weir(SERVER, up="127.0.0.1:1").client()
    assert client.get("*").status == 400
    client.expect_eof()


def test_expect_continue(weir, origin):  # U4.8
    up = origin()
    client = weir(SERVER, up=up).client()
    client.send(build_request("POST", "/body", {"Expect": "100-continue", "Content-Length": "5"}))
    client.expect(b"HTTP/1.1 100 Continue\r\n\r\n")
    client.send(b"hello")
    assert client.read_response().text == "ok"
    assert up.requests[0].body == b"hello" and "Expect" not in up.requests[0].headers


def test_expect_continue_case(weir, origin):
    client = weir(SERVER, up=origin()).client()
    client.send(build_request("POST", "/body", {"Expect": "100-Continue", "Content-Length": "5"}))
    client.expect(b"HTTP/1.1 100 Continue\r\n\r\n")
    client.send(b"hello")
    assert client.read_response().text == "ok"


def test_expect_continue_with_body_already_here(weir, origin):
    # The interim response may be left out when the body is here; it must not come after the answer.
    client = weir(SERVER, up=origin()).client()
    client.send(build_request("POST", "/body", {"Expect": "100-continue"}, body=b"hello"))
    first = client.read_response_head("POST", interim=True)
    final = first if first.status != 100 else client.read_response_head()
    assert final.status == 200 and client.read_exact(2) == b"ok"
    client.expect_open()


def test_expect_continue_refused_by_size(weir, origin):
    client = weir("client_max_body_size 10; lingering_timeout 200ms; location / { proxy_pass http://{up}; }",
                  up=origin()).client()
    client.send(build_request("POST", "/body", {"Expect": "100-continue", "Content-Length": "50"}))
    resp = client.read_response()
    assert resp.status == 413
    client.expect_eof()


def test_expect_continue_is_not_sent_to_http10(weir, origin):
    client = weir(SERVER, up=origin()).client()
    client.send(build_request("POST", "/body", {"Expect": "100-continue", "Content-Length": "5"}, version="1.0"))
    client.send(b"hello")
    assert client.read_response().text == "ok"


def test_keepalive_requests(weir):
    client = weir("keepalive_requests 3; " + SERVER, up="127.0.0.1:1").client()
    for expect in ("keep-alive", "keep-alive", "close"):
        assert client.get("/").headers["Connection"] == expect
    client.expect_eof()


def test_keepalive_requests_with_pipeline(weir):
    client = weir("keepalive_requests 2; " + SERVER, up="127.0.0.1:1").client()
    client.send(build_request("GET", "/1") * 3)
    assert client.read_response().headers["Connection"] == "keep-alive"
    assert client.read_response().headers["Connection"] == "close"
    assert client.wait_closed()


def test_keepalive_timeout_closes_idle(weir):
    client = weir("keepalive_timeout 200ms; " + SERVER, up="127.0.0.1:1").client()
    assert client.get("/").headers["Connection"] == "keep-alive"
    client.expect_eof()


def test_keepalive_timeout_zero(weir):
    client = weir("keepalive_timeout 0; " + SERVER, up="127.0.0.1:1").client()
    assert client.get("/").headers["Connection"] == "close"
    client.expect_eof()


def test_keepalive_timeout_header(weir):
    resp = weir("keepalive_timeout 60s 7s; " + SERVER, up="127.0.0.1:1").get("/")
    assert resp.headers["Keep-Alive"] == "timeout=7"


def test_keepalive_disable_for_post_is_not_default(weir):
    client = weir(SERVER, up="127.0.0.1:1").client()
    assert client.request("POST", "/", body=b"a").headers["Connection"] == "keep-alive"
    assert client.get("/").status == 200


def test_keepalive_time(weir):
    client = weir("keepalive_time 50ms; " + SERVER, up="127.0.0.1:1").client()
    wait_for(lambda: client.get("/").headers["Connection"] == "close", "the connection to end by keepalive_time")
    client.expect_eof()


def test_server_tokens(weir):
    on, off = weir(SERVER, up="127.0.0.1:1"), weir("server_tokens off; " + SERVER, up="127.0.0.1:1")
    assert "/" in on.get("/").headers["Server"]
    assert "/" not in off.get("/").headers["Server"]
    assert on.get("/").headers["Server"].split("/")[0] == off.get("/").headers["Server"]


def test_server_tokens_off_in_error_pages(weir):
    off = weir("server_tokens off; location / { return 404; }")
    resp = off.get("/")
    assert resp.status == 404 and f"<center>{resp.headers['Server']}</center>" in resp.text


def test_error_page_body(weir):
    resp = weir("location / { return 404; }").get("/")
    assert resp.headers["Content-Type"] == "text/html"
    assert "<title>404 Not Found</title>" in resp.text and resp.text.count("404 Not Found") == 2


def test_many_connections_at_once(weir):
    server = weir(SERVER, up="127.0.0.1:1")
    clients = [server.client() for _ in range(100)]
    for i, client in enumerate(clients):
        client.send(build_request("GET", f"/{i}")[:-2])
    for client in reversed(clients):
        client.send(b"\r\n")
    for i, client in enumerate(clients):
        assert client.read_response().text == f"GET /{i} \n"
