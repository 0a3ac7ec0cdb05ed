# SPDX-License-Identifier: Apache-2.0
"""Proxying, further: validators and ranges of relayed responses, cookies, trailers, several workers, pipelines."""
import os
import pwd
import threading

import pytest

from weirtest.client import build_request
from weirtest.timing import wait_for

OK = b"HTTP/1.1 200 OK\r\n"
GOOD = OK + b"Content-Length: 2\r\n\r\nok"
PASS = "location / { proxy_http_version 1.1; proxy_pass http://{up}; }"


@pytest.mark.parametrize("headers", [{"If-None-Match": '"e"'}, {"If-Modified-Since": "Fri, 14 Jul 2017 02:40:00 GMT"},
                                     {"If-Match": '"other"'}])
def test_relayed_response_is_not_turned_into_304(weir, origin, headers):  # U5.10
    up = origin(OK + b"ETag: \"e\"\r\nLast-Modified: Fri, 14 Jul 2017 02:40:00 GMT\r\nContent-Length: 2\r\n\r\nok")
    resp = weir(PASS, up=up).get("/", headers)
    assert (resp.status, resp.body) == (200, b"ok")
    name, value = next(iter(headers.items()))
    assert up.requests[0].headers[name] == value


def test_range_goes_to_the_peer(weir, origin):
    up = origin(b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/9\r\nContent-Length: 2\r\n\r\nok")
    resp = weir(PASS, up=up).get("/", {"Range": "bytes=0-1"})
    assert (resp.status, resp.headers["Content-Range"], up.requests[0].headers["Range"]) == (206, "bytes 0-1/9",
                                                                                             "bytes=0-1")


def test_range_of_a_200_is_left_whole(weir, origin):
    up = origin(OK + b"Content-Length: 9\r\n\r\n123456789")
    resp = weir(PASS, up=up).get("/", {"Range": "bytes=0-1"})
    assert (resp.status, resp.body) == (200, b"123456789")


def test_force_ranges(weir, origin):  # U6.7
    up = origin(OK + b"Content-Length: 9\r\n\r\n123456789")
    resp = weir("proxy_force_ranges on; " + PASS, up=up).get("/", {"Range": "bytes=2-4"})
    assert (resp.status, resp.body, resp.headers["Content-Range"]) == (206, b"345", "bytes 2-4/9")


def test_cookie_rewriting(weir, origin):  # U5.7
    up = origin(OK + b"Set-Cookie: a=1; Domain=peer.example; Path=/x/y\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n")
    server = weir("proxy_cookie_domain peer.example front.example; proxy_cookie_path /x/ /; proxy_cookie_flags b secure httponly samesite=lax;" + PASS,
                  up=up)
    first, second = server.get("/").headers.all("Set-Cookie")
    assert first.lower() == "a=1; domain=front.example; path=/y"
    assert second.lower().replace(" ", "").split(";")[0] == "b=2"
    assert {x.strip().lower() for x in second.split(";")[1:]} == {"secure", "httponly", "samesite=lax"}


def test_refresh_is_rewritten(weir, origin):
    up = origin(lambda c: [c.reply(headers=[("Refresh", f"5; url=http://{c.origin}/y/z")]) for _ in c.requests()])
    server = weir("location /x/ { proxy_pass http://{up}/y/; }", up=up)
    assert server.get("/x/").headers["Refresh"] == "5; url=/x/z"


@pytest.mark.weir_only("proxy_pass_trailers is newer than nginx 1.22")
def test_trailers_pass_when_asked(weir, origin):  # U5.7
    up = origin(OK + b"Trailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: v\r\n\r\n")
    server = weir("access_log {dir}/access.log t; location /on { proxy_pass_trailers on; proxy_pass http://{up}; }"
                  "location /off { proxy_pass http://{up}; }", http="log_format t '$upstream_trailer_x_t';", up=up)
    with server.client() as client:
        on, off = client.get("/on", {"TE": "trailers"}), client.get("/off")
    assert on.trailers["X-T"] == "v" and not off.trailers.items
    assert server.access(1)[0] == "v"


@pytest.mark.weir_only("early_hints is newer than nginx 1.22")
def test_early_hints(weir, origin):  # U5.4
    up = origin(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + GOOD)
    client = weir("location / { early_hints $arg_h; proxy_pass http://{up}; }", up=up).client()
    client.send(build_request("GET", "/?h=1"))
    hint = client.read_response_head(interim=True)
    assert (hint.status, hint.headers["Link"]) == (103, "</x>")
    assert client.read_response().body == b"ok"
    assert client.get("/").body == b"ok"


def test_chunked_transfer_encoding_off(weir, origin):
    up = origin(OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
    resp = weir("chunked_transfer_encoding off; " + PASS, up=up).get("/")
    assert (resp.framing, resp.body) == ("close", b"ok")


def test_bind(weir, origin):  # U3.2
    seen = []

    def script(conn):
        seen.append(conn.sock.getpeername()[0])
        conn.read_request()
        conn.reply()
    server = weir("location / { proxy_bind 127.0.0.9; proxy_pass http://{up}; } location /v { proxy_bind $arg_a; proxy_pass http://{up}; }"
                  "location /off { proxy_bind off; proxy_pass http://{up}; }", up=origin(script))
    for target in ("/", "/v?a=127.0.0.8", "/off"):
        assert server.get(target, {"Connection": "close"}).text == "ok"
    assert seen == ["127.0.0.9", "127.0.0.8", "127.0.0.1"]


def test_pipelined_proxied_requests_in_order(weir, origin):
    def script(conn):
        for req in conn.requests():
            conn.reply(req.target.encode() * 100)
    client = weir(PASS, up=origin(script)).client()
    client.send(b"".join(build_request("GET", f"/{i}") for i in range(30)))
    for i in range(30):
        assert client.read_response().body == f"/{i}".encode() * 100


def test_pipelined_behind_a_slow_one(weir, origin):
    go = threading.Event()

    def script(conn):
        for req in conn.requests():
            if req.target == "/slow":
                conn.wait(go)
            conn.reply(req.target.encode())
    up = origin(script)
    client = weir(PASS, up=up).client()
    client.send(build_request("GET", "/slow") + build_request("GET", "/next"))
    up.wait_requests(1)
    client.expect_open()
    assert len(up.requests) == 1
    go.set()
    assert client.read_response().body == b"/slow"
    assert client.read_response().body == b"/next"


def test_client_without_host(weir, origin):
    up = origin(GOOD)
    server = weir("server_name own.name; location / { proxy_http_version 1.1; proxy_set_header Host $host; proxy_pass http://{up}; }", up=up)
    assert server.get("/", version="1.0", host=None).status == 200
    assert up.requests[0].headers["Host"] == "own.name"


def test_accept_encoding_and_cookies_pass(weir, origin):
    up = origin(GOOD)
    weir(PASS, up=up).get("/", [("Accept-Encoding", "gzip, br"), ("Cookie", "a=1"), ("Cookie", "b=2"),
                                ("Authorization", "Basic eA==")])
    head = up.requests[0].headers
    assert head["Accept-Encoding"] == "gzip, br" and head["Authorization"] == "Basic eA=="
    assert "; ".join(head.all("Cookie")) == "a=1; b=2"


def test_many_fields_pass(weir, origin):
    up = origin(GOOD)
    fields = [(f"X-Field-{i}", f"value-{i}" * 10) for i in range(150)]
    assert weir("large_client_header_buffers 4 32k; " + PASS, up=up).get("/", fields).status == 200
    assert [x for x in up.requests[0].headers.items if x[0].startswith("X-Field")] == fields


# several workers (threads)

def test_several_workers_serve(weir, origin):
    up = origin(GOOD)
    server = weir("location / { proxy_http_version 1.1; proxy_set_header Connection ''; proxy_pass http://g; }",
                  workers=4,
                  http="upstream g { server {up}; keepalive 8; }", up=up)
    problems = []

    def user():
        try:
            client = server.client()
            for _ in range(50):
                if client.get("/").text != "ok":
                    problems.append("wrong")
        except Exception as error:  # a thread's failure must reach the test
            problems.append(repr(error))
    threads = [threading.Thread(target=user) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems, problems[:3]


def test_zone_order_is_exact_over_workers(weir, origin):  # U2.8
    up = {n: origin(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + n.encode()) for n in "abc"}
    server = weir("location / { proxy_pass http://g; }", workers=4,
                  http="upstream g { zone z 64k; server {a} weight=5; server {b}; server {c}; }", **up)
    got = "".join(server.get("/").text for _ in range(21))
    assert got == "aabacaa" * 3


@pytest.mark.weir_only("U2.8: failure state is one per process; nginx without zone has one per worker")
def test_failures_are_seen_by_all_workers(weir, origin):
    bad, good = origin(lambda c: (c.read_request(), None)), origin(GOOD)
    server = weir("location / { proxy_pass http://g; }", workers=4,
                  http="upstream g { zone g 64k; server {bad} fail_timeout=1h; server {good}; }",
                  bad=bad, good=good)
    for _ in range(30):
        assert server.get("/").text == "ok"
    assert len(bad.requests) == 1


@pytest.mark.weir_only("U10.3: any thread takes a connection that another parked; nginx has a pool per worker")
def test_pool_is_shared_by_workers(weir, origin):
    up = origin(GOOD)
    server = weir(PASS.replace("{up}", "g"), workers=4, http="upstream g { server {up}; keepalive 8; }", up=up)
    for _ in range(12):
        assert server.get("/").text == "ok"

    def shared():
        # A parked connection is offered to the others after a second.
        before = up.connections
        for _ in range(12):
            server.get("/")
        return up.connections == before
    wait_for(shared, "requests of all threads over parked connections")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give it up")
def test_worker_gives_up_root(weir):
    server = weir("location / { return 200 $pid; }", main="user nobody nogroup;")
    pid = int(server.get("/").text)
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        uids = next(line for line in file if line.startswith("Uid:")).split()[1:]
    assert uids == [str(pwd.getpwnam("nobody").pw_uid)] * 4


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give it up")
def test_unreadable_file_is_403(weir):
    server = weir("root {dir}/w;", main="user nobody nogroup;", files={"w/f": b"x"})
    os.chmod(server.path("w/f"), 0o600)
    assert server.get("/f").status == 403
    server.wait_log(r'open\(\) "/.*/w/f" failed \(13: Permission denied\)')


def test_server_survives_odd_worker_counts(weir):
    server = weir("location / { return 200 x; }", main="worker_rlimit_nofile 1024; worker_shutdown_timeout 5s;",
                  workers="auto")
    assert server.get("/").text == "x"


@pytest.mark.weir_only("proxy_allow_upstream came with nginx 1.29.3")
class TestAllowUpstream:
    CONF = ("access_log {dir}/access.log a; location / { proxy_allow_upstream $arg_a $arg_b; proxy_pass http://g; } "
            "location /next { proxy_allow_upstream $arg_a; proxy_next_upstream denied; proxy_pass http://g; } "
            "location /any { proxy_allow_upstream 1 $upstream_last_addr; proxy_pass http://g; }")
    HTTP = ("log_format a '$status|$upstream_status|$upstream_why'; "
            "upstream g { zone g 64k; server {one} max_fails=1; server {two} max_fails=1; }")

    @pytest.mark.parametrize("query, status", [
        ("?a=1&b=yes", 200), ("?a=1&b=00", 200), ("?a=0&b=1", 502), ("?a=1&b=0", 502), ("?a=1&b=", 502), ("", 502)])
    def test_all_must_hold(self, weir, origin, query, status):
        one, two = origin(), origin()
        server = weir(self.CONF, http=self.HTTP, one=one, two=two, workers=1)
        assert server.get("/" + query).status == status
        assert one.connections + two.connections == (1 if status == 200 else 0)
        if status == 502:
            assert server.access(1) == [f"502|502|round_robin {one} new denied >stop:policy"]
            server.wait_log("access to upstream denied while connecting to upstream, client: .*why:")

    def test_the_next_peer(self, weir, origin):
        one, two = origin(), origin()
        server = weir(self.CONF, http=self.HTTP, one=one, two=two, workers=1)
        for _ in range(2):               # nobody is charged
            assert server.get("/next").status == 502
        lines = server.access(2)
        assert [line.split("|")[1] for line in lines] == ["502, 502"] * 2
        assert "denied >next" in lines[1] and "failed" not in lines[1]
        assert one.connections + two.connections == 0

    def test_the_peer_is_known(self, weir, origin):
        one, two = origin(), origin()
        server = weir(self.CONF, http=self.HTTP, one=one, two=two, workers=1)
        assert server.get("/any").status == 200


@pytest.mark.weir_only("`state` is of nginx's commercial version")
class TestState:
    CONF = "location / { proxy_pass http://g; }"
    HTTP = "upstream g { zone g 64k; state {dir}/g.state; }"

    def test_the_file_holds_the_servers(self, weir, origin):
        one, two = origin(), origin()
        server = weir(self.CONF, http=self.HTTP, workers=1, files={"g.state": f"server {one};\nserver {two} weight=2;\n".encode()})
        for _ in range(6):
            assert server.get("/").text == "ok"
        assert (len(one.requests), len(two.requests)) == (2, 4)

    def test_no_file_yet(self, weir, origin):
        up = origin()
        server = weir(self.CONF, http=self.HTTP, workers=1)
        assert server.get("/").status == 502
        server.wait_log("no live upstreams while connecting to upstream")
        server.write("g.state", f"server {up};\n".encode())
        server.signal("HUP")
        wait_for(lambda: server.get("/").status == 200, "the new configuration")

    def test_a_bad_line_names_the_file(self, command):
        server = command(self.CONF, http=self.HTTP, files={"g.state": b"\nserver 127.0.0.1:1 weight=0;\n"})
        got = server.command("-t")
        assert got.returncode == 1
        assert "g.state:2" in got.stderr and 'invalid parameter "weight=0"' in got.stderr

    def test_not_beside_servers(self, command):
        server = command(self.CONF, http="upstream g { server 127.0.0.1:1; state {dir}/g.state; }")
        got = server.command("-t")
        assert got.returncode == 1 and '"server" directive is not allowed beside "state"' in got.stderr
