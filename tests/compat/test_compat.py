# SPDX-License-Identifier: Apache-2.0
"""The same configuration and the same requests for Debian's nginx and for weir, side by side: status line, fields (but Server
and Date, and in no order) and body must be equal, and so must the error_page, rewrite and proxy requests that peers see.

What differs on purpose is not asked here; it stands in docs/differences.md. Run: make func, or pytest tests/compat."""
import gzip
import itertools
import os
import re
import shutil
import socket
import sys
import threading

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "func"))

from weirtest.peer import Origin  # noqa: E402
from weirtest.server import BINARY, Server  # noqa: E402
from weirtest.timing import LIMIT  # noqa: E402

NGINX = os.environ.get("NGINX_BIN") or shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
pytestmark = pytest.mark.skipif(NGINX is None, reason="Debian's nginx is not here to be compared with")

CONF = r"""
daemon off; worker_processes 1; %(user)s
pid {dir}/server.pid; error_log {dir}/error.log info;
events { worker_connections 256; }
http {
    access_log off; server_tokens off; default_type application/octet-stream;
    types { text/html html; text/plain txt; text/css css; application/javascript js; image/png png; }
    client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3; uwsgi_temp_path {dir}/t4;
    scgi_temp_path {dir}/t5;
    map $arg_k $mapped { default none; a one; ~^b two; "~*^C(?<rest>.*)" "three-$rest"; *.example.com wild; hostnames; }
    map $http_x_many $many { volatile; default 0; 1 yes; }
    geo $arg_ip $area { default far; 10.0.0.0/8 ten; 10.1.0.0/16 ten-one; 2001:db8::/32 six; }
    split_clients "${arg_s}x" $part { 30%% low; 50%% mid; * high; }
    upstream app { server %(origin)s; keepalive 4; }
    server {
        listen 127.0.0.1:{port}; server_name localhost;
        root %(root)s; absolute_redirect off;
        location = / { return 200 "root\n"; }
        location = /exact { return 200 "exact\n"; }
        location /prefix/ { return 200 "prefix $uri\n"; }
        location ^~ /strong/ { return 200 "strong\n"; }
        location ~ \.php$ { return 200 "php $uri\n"; }
        location ~* \.(GIF|jpe?g)$ { return 200 "image $1\n"; }
        location /code/204 { return 204; }
        location /code/301 { return 301 /to?a=$arg_a; }
        location /code/302 { return 302 http://other.test/x; }
        location /code/307 { return 307 /y; }
        location /code/404 { return 404; }
        location /code/404t { return 404 "no\n"; }
        location /code/503 { return 503; }
        location /code/url { return https://other.test/; }
        location /pages/ { error_page 404 /page404.html; error_page 403 =200 /page404.html; error_page 500 502 @named;
            location /pages/403 { return 403; } location /pages/500 { return 500; } location /pages/none { root /nonexistent; } }
        location = /page404.html { internal; return 200 "page of $status $uri\n"; }
        location @named { return 200 "named $uri\n"; }
        location /files/ { alias %(root)s/f/; index index.html; }
        location /noetag/ { alias %(root)s/f/; etag off; if_modified_since before; }
        location /norange/ { alias %(root)s/f/; max_ranges 0; }
        location /tworanges/ { alias %(root)s/f/; max_ranges 2; }
        location /list/ { alias %(root)s/l/; autoindex on; }
        location /listjson/ { alias %(root)s/l/; autoindex on; autoindex_format json; }
        location /listxml/ { alias %(root)s/l/; autoindex on; autoindex_format xml; autoindex_exact_size off; }
        location /try/ { try_files /f$arg_p /f/page.txt =404; }
        location /trycode/ { try_files /nothing =410; }
        location /trynamed/ { try_files /nothing @named; }
        location /head/ { alias %(root)s/f/; add_header X-A "a $arg_k"; add_header X-B b always; expires 1h; }
        location /head/none/ { return 404; }
        location /exp/max/ { alias %(root)s/f/; expires max; }
        location /exp/epoch/ { alias %(root)s/f/; expires epoch; }
        location /exp/off/ { alias %(root)s/f/; expires -1; add_header Cache-Control private; }
        location /vars/ { return 200 "$request_method|$uri|$args|$query_string|$is_args|$arg_k|$host|$http_x_many|$cookie_c|$remote_addr|$scheme|$server_protocol|$content_type|$content_length|$request_uri|$document_uri|$server_name|$https|$request_completion|$nginx_version_is_not_asked_here\n"; }
        location /map/ { return 200 "$mapped $many $area $part\n"; }
        location /rw/ {
            rewrite ^/rw/one/(.*)$ /vars/$1 last; rewrite ^/rw/two$ /vars/?k=new last; rewrite ^/rw/drop /vars/? last;
            rewrite ^/rw/r$ /gone redirect; rewrite ^/rw/p$ /gone permanent; rewrite ^/rw/ext http://other.test/$arg_k;
            rewrite ^/rw/brk/(.*) /f/$1 break; rewrite ^/rw/esc/(.*)$ /vars/$1?x=$1 last; return 200 "rw $uri\n"; }
        location /if/ {
            set $v start; if ($arg_k) { set $v "$v-k"; } if ($arg_k = a) { set $v "$v-a"; } if ($arg_k != a) { set $v "$v-not"; }
            if ($arg_k ~ ^b(.*)) { set $v "$v-$1"; } if ($request_method = POST) { return 405; } if (-f %(root)s/f/$arg_f) { set $v "$v-file"; }
            if (!-e %(root)s/f/$arg_f) { set $v "$v-missing"; } return 200 "$v\n"; }
        location /gz/ { alias %(root)s/f/; gzip on; gzip_min_length 10; gzip_types text/plain; gzip_vary on; }
        location /gzs/ { alias %(root)s/f/; gzip_static on; }
        location /gun/ { alias %(root)s/f/; gzip_static always; gunzip on; }
        location /sub/ { alias %(root)s/f/; sub_filter line LINE; sub_filter_once off; sub_filter_types text/plain; }
        location /cs/ { alias %(root)s/f/; charset utf-8; }
        location /auth/ { auth_basic "who $arg_k"; auth_basic_user_file %(root)s/users; alias %(root)s/f/; }
        location /deny/ { deny 127.0.0.1; alias %(root)s/f/; }
        location /allow/ { allow 127.0.0.0/8; deny all; alias %(root)s/f/; }
        location /any/ { satisfy any; deny all; auth_basic w; auth_basic_user_file %(root)s/users; alias %(root)s/f/; }
        location /except/ { limit_except GET { deny all; } return 200 "in\n"; }
        location /ref/ { valid_referers none *.example.com; if ($invalid_referer) { return 403; } return 200 "ok\n"; }
        location /gif { empty_gif; }
        location /add/ { alias %(root)s/f/; add_before_body /prefix/b; add_after_body /prefix/a; addition_types text/plain; }
        location /ssi/ { ssi on; alias %(root)s/s/; }
        location /authr/ { auth_request /sub401; alias %(root)s/f/; }
        location /authok/ { auth_request /sub204; auth_request_set $got $upstream_http_x_peer; add_header X-Got "$got"; alias %(root)s/f/; }
        location = /sub401 { internal; return 401; }
        location = /sub204 { internal; proxy_pass http://app/plain; proxy_pass_request_body off; proxy_set_header Content-Length ""; }
        location /small/ { client_max_body_size 10; proxy_pass http://app; }
        location /up/ { proxy_pass http://app/; }
        location /same/ { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; }
        location /upset/ { proxy_pass http://app/x?y=; proxy_set_header Host fixed; proxy_set_header X-Real $remote_addr; proxy_set_header Accept ""; proxy_method POST; proxy_set_body "body $arg_k"; }
        location /upre/ { proxy_pass http://app/redirect; proxy_redirect http://inner/ /outer/; proxy_cookie_path / /c; proxy_cookie_domain inner.test outer.test; }
        location /uphide/ { proxy_pass http://app/many; proxy_hide_header X-Hide; proxy_pass_header Server; proxy_ignore_headers X-Accel-Expires; }
        location /upint/ { proxy_pass http://app; proxy_intercept_errors on; error_page 404 500 /page404.html; }
        location /upaccel/ { proxy_pass http://app/accel; }
        location /secret/ { internal; alias %(root)s/f/; }
        location /upbuf/ { proxy_buffering off; proxy_pass http://app/; }
        location /uprange/ { proxy_force_ranges on; proxy_pass http://app/; }
        location /dead/ { proxy_pass http://127.0.0.1:%(dead)s; }
        location /deadpage/ { error_page 502 =200 @named; proxy_pass http://127.0.0.1:%(dead)s; }
    }
    server { listen 127.0.0.1:{port}; server_name *.wild.test; return 200 "wild $host\n"; }
    server { listen 127.0.0.1:{port}; server_name ~^(?<who>.+)\.re\.test$; return 200 "re $who\n"; }
    server { listen 127.0.0.1:{port}; server_name first.* .dot.test; return 200 "other $host $server_name\n"; }
}
"""

TEXT = "".join(f"line {n} of a text\n" for n in range(200)).encode()


def answer(status, body=b"", fields=()):
    return (f"HTTP/1.1 {status}\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fields) + f"Content-Length: {len(body)}\r\n\r\n").encode() + body


PEER = {
    "/plain": answer("200 OK", b"plain", [("X-Peer", "p")]),
    "/many": answer("200 Fine", b"many", [("Server", "theirs"), ("X-Hide", "h"), ("X-Show", "1"), ("X-Show", "2"), ("X-Accel-Expires", "5"),
                                         ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("Cache-Control", "no-store"), ("Vary", "X")]),
    "/redirect": answer("302 Found", b"", [("Location", "http://inner/z"), ("Refresh", "1; url=http://inner/q"),
                                           ("Set-Cookie", "s=1; path=/; domain=inner.test"), ("Set-Cookie", "t=2; Path=/x")]),
    "/accel": answer("200 OK", b"unseen", [("X-Accel-Redirect", "/secret/page.txt"), ("X-Other", "o"), ("Content-Type", "text/x")]),
    "/404": answer("404 Not Found", b"their 404"),
    "/500": answer("500 Oops", b"their 500"),
    "/204": b"HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n",
    "/304": b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n",
    "/chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n5\r\ndefgh\r\n0\r\n\r\n",
    "/range": answer("200 OK", b"0123456789", [("Content-Type", "text/plain")]),
    "/invalid": b"not http at all\r\n\r\n",
    "/nobody": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
}


class Both:
    """nginx and weir with one folder of files and one peer; what the peer saw, by server."""

    def __init__(self, folder):
        self.root = str(folder)
        self.seen = []
        self.lock = threading.Lock()
        self.peer = Origin(self.script)
        self.nobody = socket.socket()        # nobody listens there, and nobody else gets the port
        self.nobody.bind(("127.0.0.1", 0))
        self.dead = self.nobody.getsockname()[1]
        self.write_files()
        self.servers = [self.start(NGINX), self.start(BINARY)]

    def write_files(self):
        files = {"f/index.html": b"<html>index</html>", "f/page.txt": TEXT, "f/empty.txt": b"", "f/a b&c.txt": b"odd", "f/s.css": b"a{}" * 50,
                 "f/page.txt.gz": gzip.compress(TEXT, mtime=0), "f/dir/index.html": b"deeper", "f/d2/x.txt": b"x", "l/one.txt": b"1" * 2000,
                 "l/two & three.html": b"23", "l/sub/x": b"", "l/.hidden": b"h",
                 "s/page.html": b'<!--#set var="v" value="1" -->v=<!--#echo var="v" --><!--#if expr="$v = 1" -->yes<!--#else -->no<!--#endif -->'
                                b'[<!--#include virtual="/prefix/inc" -->][<!--#echo var="none" default="d" -->]'}
        for name, data in files.items():
            path = os.path.join(self.root, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(data)
            os.utime(path, (1700000000, 1700000000))
        for name in ("f", "f/dir", "f/d2", "l", "l/sub", "s"):
            os.utime(os.path.join(self.root, name), (1700000000, 1700000000))
        with open(os.path.join(self.root, "users"), "w", encoding="ascii") as file:
            file.write("ann:{PLAIN}secret\nbob:$apr1$abcdefgh$MzJgzN6lEfXLGp/rMs7FQ1\n")
        for folder, _, _ in os.walk(self.root):
            os.chmod(folder, 0o755)

    def start(self, binary):
        server = Server()
        server.binary = binary
        text = CONF % {"user": "user root;" if os.geteuid() == 0 else "", "root": self.root, "origin": str(self.peer), "dead": self.dead}
        server.start(text.replace("|$nginx_version_is_not_asked_here", ""))
        return server

    def script(self, conn):
        for req in conn.requests():
            with self.lock:
                self.seen.append((req.method, req.target, sorted((k.lower(), v) for k, v in req.headers.items()), req.body))
            path = req.target.partition("?")[0]
            data = PEER.get(path, answer("200 OK", f"{req.method} {req.target} {req.body!r}".encode(), [("Content-Type", "text/plain")]))
            if req.method == "HEAD":
                data = data[:data.index(b"\r\n\r\n") + 4]
            conn.send(data)
            if path == "/invalid" or b"Connection: close" in req.raw_head:
                return

    def stop(self):
        for server in self.servers:
            server.stop()
            server.remove()
        self.peer.stop()
        self.nobody.close()


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    made = Both(tmp_path_factory.mktemp("compat"))
    yield made
    made.stop()


def talk(server, data):
    with socket.create_connection(("127.0.0.1", server.names["port"]), timeout=LIMIT) as sock:
        sock.sendall(data)
        got = b""
        while True:
            piece = sock.recv(65536)
            if not piece:
                return got
            got += piece


def dechunk(body):
    out = b""
    while True:
        size, _, body = body.partition(b"\r\n")
        n = int(size.split(b";")[0], 16)
        if n == 0:
            return out
        out, body = out + body[:n], body[n + 2:]


def parse(server, data, is_head=False):
    """(status line, fields, body) with what differs by nature made equal."""
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").replace(str(server.names["port"]), "PORT").split("\r\n")
    fields = sorted((name.strip().lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines[1:])
                    if name.lower() not in ("server", "date"))
    for field in fields:
        if field == ("transfer-encoding", "chunked"):
            body = dechunk(body)
    kinds = dict(fields)
    if kinds.get("content-encoding") == "gzip" and body:
        body = gzip.decompress(body)
    if "multipart/byteranges" in kinds.get("content-type", ""):
        mark = kinds["content-type"].split("boundary=")[1]
        body = body.replace(mark.encode(), b"MARK")
        fields = [(k, v.replace(mark, "MARK")) for k, v in fields]
    if "expires" in kinds and "max-age" in kinds.get("cache-control", ""):
        fields = [(k, "SOON" if k == "expires" else v) for k, v in fields]  # one of them may be a second later
    body = re.sub(rb"<center>(nginx|weir)</center>", b"<center>SERVER</center>", body.replace(str(server.names["port"]).encode(), b"PORT"))
    if b"<center>SERVER</center>" in body or is_head and lines[0].split()[1] >= "300":  # a built-in page names the server
        fields = [(k, v) for k, v in fields if k != "content-length"]
    if kinds.get("connection") in ("close", "keep-alive"):
        fields = [(k, v) for k, v in fields if k != "connection"]
    assert not (is_head and body), body
    return lines[0], fields, body


def compare(both, data, is_head=False):
    results, seen = [], []
    for server in both.servers:
        both.seen.clear()
        results.append(parse(server, talk(server, data), is_head))
        seen.append(list(both.seen))
    theirs, ours = results
    assert ours[0] == theirs[0]
    assert ours[1] == theirs[1]
    assert ours[2] == theirs[2]
    assert seen[1] == seen[0]


def request(method, target, fields=(), body=b"", version="1.1"):
    lines = [f"{method} {target} HTTP/{version}", *(() if any(k == "Host" for k, _ in fields) else ("Host: localhost",)),
             "Connection: close", *(f"{k}: {v}" for k, v in fields)]
    if body or method in ("POST", "PUT"):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


PATHS = """/ /exact /exactly /prefix/x /prefix /prefix/a%20b /prefix/%2e%2e/exact /prefix//x /prefix/./y /strong/a.php /a.php /x/y.GIF /x.jpg
/code/204 /code/301?a=1 /code/302 /code/307 /code/404 /code/404t /code/503 /code/url /pages/x /pages/403 /pages/500 /pages/none /page404.html
/files/ /files /files/page.txt /files/empty.txt /files/a%20b%26c.txt /files/none /files/dir /files/dir/ /files/d2/ /files/s.css /noetag/page.txt
/norange/page.txt /list/ /list/sub/ /list /listjson/ /listxml/ /try/?p=/s.css /try/?p=/no /trycode/x /trynamed/x /head/page.txt?k=v /head/none/x
/exp/max/page.txt /exp/epoch/page.txt /exp/off/page.txt /vars/?k=1&b=%20x /vars/a%3fb?k=%41 /vars/x?k /map/?k=a&ip=10.2.3.4&s=1 /map/?k=bee&ip=10.1.9.9&s=7
/map/?k=Cat&ip=::1&s=abc /map/?k=www.example.com&ip=2001:db8::5&s=zz /map/?k=&ip=bad&s= /rw/one/x?q=1 /rw/two?k=old /rw/drop?k=old /rw/r?x=1 /rw/p /rw/ext?k=z
/rw/brk/page.txt /rw/esc/a%20b /rw/else /if/ /if/?k=a /if/?k=bcd&f=page.txt /if/?f=none /gz/page.txt /gz/s.css /gzs/page.txt /gun/page.txt /sub/page.txt /cs/page.txt
/auth/page.txt /deny/page.txt /allow/page.txt /any/page.txt /except/x /ref/x /gif /add/page.txt /ssi/page.html /authr/page.txt /authok/page.txt
/up/plain /up/many /up/redirect /up/404 /up/500 /up/204 /up/304 /up/chunked /up/range /up/invalid /up/nobody /up/a%20b?c=d%26 /up/x/../y /up//z /same/a%2fb?c
/upset/?k=v /upre/ /uphide/ /upint/404 /upint/500 /upint/ok /upaccel/ /upbuf/chunked /upbuf/plain /uprange/range /dead/x /deadpage/x /secret/page.txt /none /none.html""".split()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("target", PATHS)
def test_paths(both, target, method):
    compare(both, request(method, target), method == "HEAD")


FILES = ["/files/page.txt", "/noetag/page.txt", "/norange/page.txt", "/tworanges/page.txt", "/gz/page.txt", "/gzs/page.txt", "/up/range", "/uprange/range",
         "/head/page.txt", "/sub/page.txt"]
CONDITIONS = [[("Range", "bytes=0-9")], [("Range", "bytes=-5")], [("Range", "bytes=10-")], [("Range", "bytes=99999-")], [("Range", "bytes=0-1,5-9")],
              [("Range", "bytes=0-1,5-9,20-21")], [("Range", "bytes=9-0")], [("Range", "lines=1-2")], [("Range", "bytes=0-0"), ("If-Range", '"x"')],
              [("If-Modified-Since", "Tue, 14 Nov 2023 22:13:20 GMT")], [("If-Modified-Since", "Tue, 14 Nov 2023 22:13:19 GMT")],
              [("If-Modified-Since", "Fri, 14 Nov 2025 22:13:20 GMT")], [("If-Unmodified-Since", "Tue, 14 Nov 2023 22:13:19 GMT")],
              [("If-Unmodified-Since", "Tue, 14 Nov 2023 22:13:20 GMT")], [("If-None-Match", "*")], [("If-None-Match", '"a", "b"')], [("If-Match", '"a"')],
              [("If-Match", "*")], [("If-Modified-Since", "nonsense")], [("Accept-Encoding", "gzip")], [("Accept-Encoding", "gzip;q=0")],
              [("Accept-Encoding", "deflate, gzip;q=0.5")], [("Accept-Encoding", "gzip"), ("Range", "bytes=0-3")]]


@pytest.mark.parametrize("fields", CONDITIONS, ids=lambda f: " ".join(f"{k}:{v}" for k, v in f))
@pytest.mark.parametrize("target", FILES)
def test_conditions(both, target, fields):
    if fields[0][1] in ("bytes=99999-", "bytes=9-0") and target in ("/gz/page.txt", "/head/page.txt"):
        pytest.skip("on purpose: fields of the file do not go along with a 416")
    compare(both, request("GET", target, fields))


METHODS = list(itertools.product(["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "FOO"],
                                 ["/exact", "/files/page.txt", "/files/", "/code/301", "/except/x", "/if/", "/up/x", "/upset/?k=1", "/authok/page.txt", "/list/"]))


@pytest.mark.parametrize("method,target", METHODS)
def test_methods(both, method, target):
    compare(both, request(method, target, [("Content-Type", "text/x")], b"some body" if method in ("POST", "PUT", "PATCH") else b""))


HOSTS = ["a.wild.test", "b.a.wild.test", "wild.test", "bob.re.test", "first.com", "dot.test", "x.dot.test", "LOCALHOST", "localhost:8080", "unknown.test", "127.0.0.1",
         "localhost.", "[::1]"]


@pytest.mark.parametrize("host", HOSTS)
def test_hosts(both, host):
    compare(both, request("GET", "/vars/", [("Host", host)]))


OTHER = {
    "password": request("GET", "/auth/page.txt", [("Authorization", "Basic YW5uOnNlY3JldA==")]),
    "wrong password": request("GET", "/auth/page.txt?k=v", [("Authorization", "Basic YW5uOnNlY3JldDA=")]),
    "no base64": request("GET", "/auth/page.txt", [("Authorization", "Basic !!")]),
    "bearer": request("GET", "/auth/page.txt", [("Authorization", "Bearer x")]),
    "any with password": request("GET", "/any/page.txt", [("Authorization", "Basic YW5uOnNlY3JldA==")]),
    "good referer": request("GET", "/ref/x", [("Referer", "http://www.example.com/")]),
    "bad referer": request("GET", "/ref/x", [("Referer", "http://evil.test/")]),
    "HTTP/1.0": b"GET /vars/?k=1 HTTP/1.0\r\n\r\n",
    "HTTP/1.0 with host": b"GET /up/chunked HTTP/1.0\r\nHost: localhost\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
    "absolute": b"GET http://localhost/vars/?k=2 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "absolute other": b"GET http://a.wild.test/x HTTP/1.1\r\nHost: a.wild.test\r\nConnection: close\r\n\r\n",
    "no path": b"GET ? HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "escaped slash": request("GET", "/files%2fpage.txt"),
    "nul": request("GET", "/files/%00"),
    "dots outside": request("GET", "/../../etc/passwd"),
    "half escape": request("GET", "/vars/%4"),
    "large uri": request("GET", "/vars/?" + "x" * 9000),
    "large field": request("GET", "/vars/", [("X-Large", "x" * 9000)]),
    "many fields": request("GET", "/exact", [(f"X-{n}", "v") for n in range(60)]),
    "empty value": request("GET", "/vars/", [("X-Many", "")]),
    "cookies": request("GET", "/vars/", [("Cookie", "a=1; c=two; d=3")]),
    "volatile": request("GET", "/map/", [("X-Many", "1")]),
    "underscore": request("GET", "/up/x", [("X_Under", "1"), ("X-Ok", "2")]),
    "body too large": request("POST", "/small/x", body=b"x" * 11),
    "body fits": request("POST", "/small/x", body=b"x" * 10),
    "chunked body": b"POST /up/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
    "chunked too large": b"POST /small/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nxxxxxxxxxxx\r\n0\r\n\r\n",
    "bad chunk": b"POST /up/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "bad length": b"POST /up/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "unknown version": b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
    "lower method": b"get / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "trace": request("TRACE", "/exact"),
    "hop by hop": request("GET", "/same/x", [("Keep-Alive", "5"), ("TE", "gzip"), ("X-Normal", "n")]),
    "forwarded": request("GET", "/up/x", [("X-Forwarded-For", "1.2.3.4"), ("Via", "1.1 x")]),
    "large upload": request("POST", "/up/x", body=b"z" * 100000),
    "line feeds only": b"GET /exact HTTP/1.1\nHost: localhost\nConnection: close\n\n",
}


@pytest.mark.parametrize("name", OTHER)
def test_others(both, name):
    compare(both, OTHER[name])


PIPELINES = [["/exact", "/vars/?k=1"], ["/files/page.txt", "/code/204", "/up/plain"], ["/up/chunked", "/up/chunked"], ["/code/404", "/exact"],
             ["/gif", "/ssi/page.html", "/exact"]]


@pytest.mark.parametrize("targets", PIPELINES, ids=" ".join)
def test_pipelines(both, targets):
    """Several requests at once on a connection: as many answers, in order, and the connection is kept."""
    data = b"".join(f"GET {t} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() for t in targets[:-1]) + request("GET", targets[-1])
    theirs, ours = [re.findall(rb"HTTP/1\.1 \d+ [^\r]*", talk(server, data)) for server in both.servers]
    assert ours == theirs and len(ours) == len(targets)
