# SPDX-License-Identifier: Apache-2.0
"""Real servers behind FastCGI, uwsgi and memcached (U12.2): php-fpm, php-cgi by spawn-fcgi, uwsgi with a Python program, and
memcached, with configurations of the shape that WordPress and Django are served by. What is not installed is skipped: the
packages are in tools/deps.sh."""
import glob
import hashlib
import json
import os
import shutil
import socket
import subprocess
import time

import pytest

from weirtest.client import build_request
from weirtest.server import IS_NGINX, reserve_port
from weirtest.timing import LIMIT, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
DIST = "/etc/nginx" if IS_NGINX else os.path.join(HERE, "..", "..", "dist")


def find(package, *patterns):
    for pattern in patterns:
        found = sorted(glob.glob(pattern))
        if found:
            return found[-1]
    pytest.skip(f"package {package} is not installed")


def can_connect(address):
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as s:
        try:
            s.connect(address)
            return True
        except OSError:
            return False


@pytest.fixture
def run(tmp_path_factory):
    """Starts a program and waits until it listens; ended with the test."""
    started = []

    def start(args, address, **more):
        log = open(tmp_path_factory.mktemp("log") / "out", "w+b")
        process = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, **more)
        started.append((process, log))

        def is_there():
            assert process.poll() is None, open(log.name, errors="replace").read()
            return can_connect(address)
        wait_for(is_there, f"{args[0]} to listen")
        return process
    yield start
    for process, log in started:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
        log.close()


@pytest.fixture
def folder():
    """A short path, for sockets, that other users may enter."""
    path = f"/tmp/wr-app-{os.getpid()}-{time.monotonic_ns() % 100000}"
    os.makedirs(path)
    os.chmod(path, 0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def put(folder, name, text):
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


# --- PHP ---

WORDPRESS = {
    "index.php": "<?php header('X-Front: yes'); echo 'front ', $_SERVER['REQUEST_URI'], ' ', $_GET['p'] ?? '-';",
    "wp-admin/index.php": "<?php echo 'admin ', $_SERVER['SCRIPT_NAME'];",
    "info.php": "<?php header('Content-Type: application/json'); $s = $_SERVER; unset($s['argv'], $s['argc']); "
                "echo json_encode(['s' => $s, 'body' => md5(file_get_contents('php://input')), 'post' => $_POST]);",
    "error.php": "<?php error_log('told to the log'); http_response_code(503); echo 'sorry';",
    "redirect.php": "<?php header('Location: /elsewhere');",
    "cookies.php": "<?php setcookie('a', '1'); setcookie('b', '2'); echo 'set';",
    "big.php": "<?php for ($i = 0; $i < 2000; $i++) echo str_repeat(chr(97 + $i % 26), 1024);",
    "length.php": "<?php header('Content-Length: 5'); echo 'hello';",
    "slow.php": "<?php while (ob_get_level()) ob_end_flush(); echo 'first'; flush(); usleep(1000000); echo 'second';",
    "upload.php": "<?php echo $_FILES['f']['name'], ' ', $_FILES['f']['size'], ' ', md5_file($_FILES['f']['tmp_name']);",
    "static.css": "body {}",
}

WORDPRESS_CONF = """
    root {www};
    index index.php;
    client_max_body_size 20m;
    location / { try_files $uri $uri/ /index.php?$args; }
    location = /favicon.ico { log_not_found off; access_log off; }
    location ~ /\\. { return 404; }
    location ~ \\.php(/|$) {
        include {dist}/snippets/fastcgi-php.conf;
        fastcgi_pass {peer};
        fastcgi_buffers 16 16k;
        fastcgi_buffer_size 32k;
        fastcgi_intercept_errors off;
        {more}
    }
    location ~* \\.css$ { }
"""


def php_fpm(run, folder):
    binary = find("php-fpm", "/usr/sbin/php-fpm*")
    sock = os.path.join(folder, "fpm.sock")
    conf = put(folder, "fpm.conf", f"""[global]
error_log = {folder}/fpm.log
daemonize = no
[www]
user = nobody
group = nogroup
listen = {sock}
listen.mode = 0666
pm = static
pm.max_children = 2
catch_workers_output = no
php_admin_flag[log_errors] = on
""")
    run([binary, "-F", "-R", "-y", conf], sock)
    return f"unix:{sock}"


def php_cgi(run, folder):
    spawn, binary = find("spawn-fcgi", "/usr/bin/spawn-fcgi"), find("php-cgi", "/usr/bin/php-cgi")
    sock = os.path.join(folder, "cgi.sock")
    env = dict(os.environ, PHP_FCGI_CHILDREN="2", PHP_FCGI_MAX_REQUESTS="1000")
    run([spawn, "-n", "-s", sock, "-M", "0666", "--", binary, "-d", "log_errors=1", "-d", "error_log="], sock, env=env)
    return f"unix:{sock}"


@pytest.fixture(params=[php_fpm, php_cgi], ids=["php-fpm", "spawn-fcgi"])
def site(request, weir, run, folder):
    """A function that starts a server in front of PHP with the files of WORDPRESS."""
    if os.geteuid() != 0:
        pytest.skip("php-fpm is started as root")
    www = os.path.join(folder, "www")
    for name, text in WORDPRESS.items():
        put(www, name, text)
    peer = request.param(run, folder)

    def start(more="", **names):
        conf = open(os.path.join(DIST, "fastcgi.conf"), "rb").read()
        return weir(WORDPRESS_CONF, www=www, dist=DIST, peer=peer, more=more, files={"fastcgi.conf": conf}, **names)
    return start


def test_wordpress(site):
    server = site()
    res = server.get("/")
    assert (res.status, res.text, res.headers["X-Front"]) == (200, "front / -", "yes")
    assert res.headers["Content-Type"].startswith("text/html")
    assert server.get("/a/page/?p=7").text == "front /a/page/?p=7 7"
    assert server.get("/wp-admin/").text == "admin /wp-admin/index.php"
    assert server.get("/static.css").text == "body {}"
    assert server.get("/none.php").status == 404
    assert server.get("/.htaccess").status == 404
    res = server.get("/redirect.php")
    assert (res.status, res.headers["Location"]) == (302, "/elsewhere")
    assert len(server.get("/cookies.php").headers.all("Set-Cookie")) == 2
    res = server.get("/length.php")
    assert res.text == "hello" and res.headers["Content-Length"] == "5"
    big = server.get("/big.php").body
    assert len(big) == 2000 * 1024 and big[1024:1026] == b"bb"
    head = server.request("HEAD", "/index.php")
    assert head.status == 200 and head.headers["X-Front"] == "yes"


def test_php_is_told(site):
    server = site()
    told = json.loads(server.get("/info.php/more/info?x=1&y=2", [("X-Own", "a b"), ("Cookie", "c=d")]).body)["s"]
    assert told["SCRIPT_NAME"] == "/info.php" and told["PATH_INFO"] == "/more/info" and told["QUERY_STRING"] == "x=1&y=2"
    assert told["REQUEST_METHOD"] == "GET" and told["HTTP_X_OWN"] == "a b" and told["HTTP_COOKIE"] == "c=d"
    assert told["HTTP_HOST"] == "localhost" and told["REMOTE_ADDR"] == "127.0.0.1"
    body = os.urandom(3000000)
    assert json.loads(server.request("POST", "/info.php", [("Content-Type", "x/y")], body).body)["body"] == hashlib.md5(body).hexdigest()
    form = json.loads(server.request("POST", "/info.php", [("Content-Type", "application/x-www-form-urlencoded")], b"a=1&b=2").body)
    assert form["post"] == {"a": "1", "b": "2"}
    with server.client() as c:
        c.send(b"POST /info.php HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Type: x/y\r\n\r\n"
               b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
        assert json.loads(c.read_response("POST").body)["body"] == hashlib.md5(b"hello world").hexdigest()


def test_php_upload(site):
    data = os.urandom(1500000)
    body = b"--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.bin\"\r\nContent-Type: x/y\r\n\r\n" + data + b"\r\n--B--\r\n"
    for more in ("", "fastcgi_request_buffering off;"):
        res = site(more).request("POST", "/upload.php", [("Content-Type", "multipart/form-data; boundary=B")], body)
        assert res.text == f"a.bin {len(data)} {hashlib.md5(data).hexdigest()}"


def test_php_errors(site):
    server = site()
    res = server.get("/error.php")
    assert (res.status, res.text) == (503, "sorry")
    server.wait_log(r'\[error\] .*FastCGI sent in stderr: ".*told to the log')


def test_php_keeps_connections(site):
    server = site("fastcgi_keep_conn on;")
    with server.client() as c:
        for i in range(20):
            assert c.get(f"/x?p={i}").text == f"front /x?p={i} {i}"


def test_php_without_buffering(site):
    server = site("fastcgi_buffering off;")

    def attempt():
        with server.client() as c:
            began = time.monotonic()
            c.send(build_request("GET", "/slow.php"))
            c.read_until(b"first")
            took = time.monotonic() - began
            c.read_until(b"second")
        return took < 0.9
    wait_for(attempt, "the first part at once", limit=3 * LIMIT)


# --- uwsgi ---

DJANGO = '''
import hashlib
def application(environ, start_response):
    size = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(size)
    path = environ["PATH_INFO"]
    if path == "/redirect":
        start_response("302 Found", [("Location", "/login"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
        return [b""]
    if path == "/big":
        start_response("200 OK", [("Content-Type", "x/y")])
        return (bytes([97 + i % 26]) * 1000 for i in range(1000))
    text = "|".join([environ["REQUEST_METHOD"], path, environ["QUERY_STRING"], environ.get("HTTP_X_OWN", ""),
                     environ["wsgi.url_scheme"], environ["HTTP_HOST"], hashlib.md5(body).hexdigest()])
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
    return [text.encode()]
'''

DJANGO_CONF = """
    client_max_body_size 20m;
    location /static/ { alias {www}/static/; }
    location / {
        include {dist}/uwsgi_params;
        uwsgi_pass django;
        {more}
    }
"""


def test_django(weir, run, folder):
    binary = find("uwsgi-core", "/usr/bin/uwsgi-core", "/usr/bin/uwsgi_python3", "/usr/bin/uwsgi")
    find("uwsgi-plugin-python3", "/usr/lib/uwsgi/plugins/python3*_plugin.so")
    app = put(folder, "app.py", DJANGO)
    put(folder, "www/static/a.css", "css")
    sock = os.path.join(folder, "uwsgi.sock")
    run([binary, "--plugin", "python3", "--socket", sock, "--chmod-socket=666", "--wsgi-file", app, "--master", "--processes", "2",
         "--die-on-term", "--need-app"], sock)
    server = weir(DJANGO_CONF, http="upstream django { server unix:{sock}; }", www=os.path.join(folder, "www"), dist=DIST, sock=sock,
                  more="")
    empty = hashlib.md5(b"").hexdigest()
    assert server.get("/a%20b/?x=1", [("X-Own", "v")]).text == f"GET|/a b/|x=1|v|http|localhost|{empty}"
    body = os.urandom(500000)
    assert server.request("POST", "/p", body=body).text == f"POST|/p|||http|localhost|{hashlib.md5(body).hexdigest()}"
    res = server.get("/redirect")
    assert (res.status, res.headers["Location"], res.headers.all("Set-Cookie")) == (302, "/login", ["a=1", "b=2"])
    big = server.get("/big").body
    assert len(big) == 1000000 and big[999:1001] == b"ab"
    assert server.get("/static/a.css").text == "css"
    with server.client() as c:
        c.send(b"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        assert c.read_response("POST").text.endswith(hashlib.md5(b"abc").hexdigest())


# --- memcached ---

def test_memcached(weir, run):
    binary = find("memcached", "/usr/bin/memcached")
    reserved, port = reserve_port()
    reserved.close()
    args = [binary, "-l", "127.0.0.1", "-p", str(port), "-U", "0"] + (["-u", "nobody"] if os.geteuid() == 0 else [])
    run(args, ("127.0.0.1", port))
    values = {b"/page.html": (b"<p>kept</p>", 0), b"/zip": (b"packed", 2), b"/big": (b"x" * 900000, 0), b"/a%20b?c": (b"odd", 0)}
    with socket.create_connection(("127.0.0.1", port)) as s:
        for key, (data, flags) in values.items():
            s.sendall(b"set %s %d 0 %d\r\n" % (key, flags, len(data)) + data + b"\r\n")
            assert s.recv(100) == b"STORED\r\n"
    server = weir("default_type text/plain; types { text/html html; } location / { set $memcached_key $uri$is_args$args; memcached_pass m; "
                  "memcached_gzip_flag 2; error_page 404 = @app; } location @app { return 200 \"made $uri\"; }",
                  http=f"upstream m {{ server 127.0.0.1:{port}; keepalive 4; }}")
    with server.client() as c:
        for _ in range(3):
            res = c.get("/page.html")
            assert (res.status, res.text, res.headers["Content-Type"]) == (200, "<p>kept</p>", "text/html")
            assert c.get("/other").text == "made /other"
            assert c.get("/zip").headers["Content-Encoding"] == "gzip"
            assert len(c.get("/big").body) == 900000
            assert c.get("/a%20b?c").text == "odd"
