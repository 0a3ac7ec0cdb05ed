# SPDX-License-Identifier: Apache-2.0
"""A stock configuration, as Debian's nginx has it, works as it is: its tree, its modules, the files it includes."""
import os
import re
import shutil
import subprocess

import pytest

from weirtest.server import IS_NGINX, ROOT
from weirtest.timing import wait_for

DIST = os.path.join(ROOT, "dist")
STOCK = "/etc/nginx"
INCLUDES = ["mime.types", "proxy_params", "fastcgi_params", "fastcgi.conf", "scgi_params", "uwsgi_params", "koi-utf",
            "koi-win", "win-utf"]

# The shape of the stock tree: what its files say, in the order in which they say it.
MAIN = """user root;
worker_processes auto;
pid {dir}/nginx.pid;
error_log {dir}/error.log;
include {dir}/modules-enabled/*.conf;
events {
\tworker_connections 768;
}
http {
\tsendfile on;
\ttcp_nopush on;
\ttypes_hash_max_size 2048;
\tinclude mime.types;
\tdefault_type application/octet-stream;
\tssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3; # Dropping SSLv3, ref: POODLE
\tssl_prefer_server_ciphers on;
\taccess_log {dir}/access.log;
\tgzip on;
\tinclude {dir}/conf.d/*.conf;
\tinclude {dir}/sites-enabled/*;
}
"""
SITE = """server {
\tlisten 127.0.0.1:{port} default_server;
\tlisten [::1]:{port} default_server;
\troot {dir}/html;
\tindex index.html index.htm index.nginx-debian.html;
\tserver_name _;
\tlocation / {
\t\ttry_files $uri $uri/ =404;
\t}
\tlocation /app/ {
\t\tinclude proxy_params;
\t\tproxy_pass http://{up};
\t}
}
"""
PAGES = {"html/index.nginx-debian.html": b"welcome", "html/a.css": b"a{}", "html/sub/index.html": b"sub",
         "html/x.unknown": b"?"}
# Ours, except where nginx reads the configuration: then the test proves our files on it.
OURS = {name: open(os.path.join(DIST, name), "rb").read() for name in INCLUDES}


def stock_tree(made):
    """sites-enabled is a link to sites-available, as the package makes it."""
    for folder in ("modules-enabled", "conf.d", "sites-enabled"):
        os.makedirs(made.path(folder), exist_ok=True)
    made.write("sites-available/default", SITE)
    os.symlink(made.path("sites-available/default"), made.path("sites-enabled/default"))


def foreground(made):
    """Only what a test needs to hold the process."""
    return "daemon off;\n" + made.expand(MAIN)


@pytest.fixture
def stock(command):
    def make(**more):
        made = command(files={**PAGES, **OURS}, **more)
        stock_tree(made)
        made.write_conf(MAIN)
        return made
    return make


def test_the_file_is_good(stock):
    made = stock(up="127.0.0.1:1")
    result = made.command("-t")
    assert result.returncode == 0, result.stderr
    assert "test is successful" in result.stderr and "[emerg]" not in result.stderr
    if not IS_NGINX:
        warned = set(re.findall(r'\[warn\] the "(\w+)" directive of (\w+) is not supported yet, ignored', result.stderr))
        known = {("gzip", "ngx_http_gzip_module")}
        assert warned <= known and result.stderr.count("[warn]") == len(warned)


def test_it_serves(stock, origin):
    up = origin()
    made = stock(up=up)
    made.start(foreground(made), wait=False)

    def answers():
        try:
            return made.get("/a.css")
        except (ConnectionError, AssertionError):
            return None
    resp = wait_for(answers, "the site")
    assert resp.status == 200 and resp.headers["Content-Type"] == "text/css"
    assert made.get("/").text == "welcome"
    assert made.get("/sub").status == 301
    assert made.get("/sub/").text == "sub"
    assert made.get("/x.unknown").headers["Content-Type"] == "application/octet-stream"
    assert made.get("/none").status == 404
    with made.client(("::1", made.port)) as client:
        assert client.get("/").text == "welcome"
    assert made.get("/app/x", headers=[("Host", "site.example:99")]).text == "ok"
    sent = up.requests[0].headers
    assert sent["Host"] == "site.example" and sent["X-Real-IP"] == "127.0.0.1"
    assert sent["X-Forwarded-For"] == "127.0.0.1" and sent["X-Forwarded-Proto"] == "http"
    wait_for(lambda: any('"GET /none HTTP/1.1" 404 ' in line for line in made.access(1)), "its line")


MODULES = [
    ("http-echo", "modules/ngx_http_echo_module.so", "ngx_http_echo_module", "libnginx-mod-http-echo"),
    ("http-geoip", "modules/ngx_http_geoip_module.so", "ngx_http_geoip_module", "libnginx-mod-http-geoip"),
    ("mail", "modules/ngx_mail_module.so", "ngx_mail_module", "libnginx-mod-mail"),
]


@pytest.mark.weir_only("modules built for nginx cannot be loaded")
def test_a_module_that_is_not_there_says_whose_it_is(stock):
    made = stock(up="127.0.0.1:1")
    for name, path, _, _ in MODULES:
        made.write(f"modules-enabled/50-mod-{name}.conf", f"load_module {path};\n")
    made.write("modules-enabled/70-mine.conf", "load_module modules/mine.so;\n")
    result = made.command("-t")
    assert result.returncode == 1
    for name, path, module, package in MODULES:
        place = re.escape(made.path(f"modules-enabled/50-mod-{name}.conf"))
        assert re.search(rf'\[emerg\] cannot load "{path}": it is the file of {module}, .*{package}\b.* in {place}:1',
                         result.stderr), result.stderr
    assert f'cannot load "{made.path("modules/mine.so")}": open() failed (2: No such file or directory)' in result.stderr


def test_load_module_behind_a_block_is_too_late(command):
    made = command(text="events {}\nload_module modules/ngx_mail_module.so;\n")
    result = made.command("-t")
    assert result.returncode == 1
    assert f'"load_module" directive is specified too late in {made.conf}:2' in result.stderr


def test_load_module_elsewhere(command):
    made = command(text="events { load_module x.so; }\n")
    result = made.command("-t")
    assert result.returncode == 1 and '"load_module" directive is not allowed here' in result.stderr


@pytest.mark.parametrize("name", INCLUDES)
def test_files_that_are_included_by_name(command, name):
    """They are found beside the main file, whatever the prefix, and hold what they should."""
    text = "events {}\nhttp { %s server { listen 127.0.0.1:{port}; location / { %s } } }\n"
    is_http = name in ("mime.types", "koi-utf", "koi-win", "win-utf")
    line = f"include {name};"
    made = command(text=text % ((line, "") if is_http else ("", line)), files={name: OURS[name], "empty/x": b""})
    result = made.command("-t", "-p", made.path("empty/"))
    assert f'"{name}"' not in result.stderr, result.stderr  # not: open() "..." failed
    if IS_NGINX:
        assert result.returncode == 0, result.stderr
    else:
        # Errors name a module that is still to come, never the form of a line.
        errors = [x for x in result.stderr.splitlines() if "[emerg]" in x]
        assert all('"charset_map" directive of ngx_http_charset_module is not supported yet' in x for x in errors), errors


def test_snippets(command):
    if not IS_NGINX:
        pytest.skip("weir has no FastCGI and no TLS yet")
    files = {"snippets/" + n: open(os.path.join(DIST, "snippets", n), "rb").read()
             for n in os.listdir(os.path.join(DIST, "snippets"))}
    made = command("location ~ \\.php { include snippets/fastcgi-php.conf; fastcgi_pass 127.0.0.1:1; }",
                   files={**OURS, **files})
    result = made.command("-t")
    assert result.returncode == 0, result.stderr


def test_charset_maps_are_those_of_the_tool(tmp_path):
    tool = os.path.join(ROOT, "tools", "charset-maps.py")
    subprocess.run(["/usr/bin/python3", tool, str(tmp_path)], check=True)
    for name in ("koi-utf", "koi-win", "win-utf"):
        assert (tmp_path / name).read_bytes() == OURS[name], name


@pytest.mark.skipif(not os.path.isfile(STOCK + "/nginx.conf"), reason="no nginx is installed here")
class TestInstalled:
    """The files of the nginx that is installed here, as they are."""

    @pytest.mark.weir_only("one of its modules may not be there")
    def test_only_modules_are_refused(self, command):
        """Nothing but a module file of somebody else stands in the way."""
        result = command().command("-t", "-c", STOCK + "/nginx.conf", conf=False)
        errors = [x for x in result.stderr.splitlines() if "[emerg]" in x]
        assert all("cannot load " in x and "it is the file of ngx_" in x for x in errors), errors
        assert (result.returncode == 0) == (not errors)

    def test_a_copy_serves(self, command):
        """The whole tree, other paths and ports, without modules."""
        made = command()
        shutil.copytree(STOCK, made.path("etc"), symlinks=False, ignore=shutil.ignore_patterns("modules-*"))
        made.write("html/index.html", "stock page")
        for folder, _, names in os.walk(made.path("etc")):
            for name in names:
                path = os.path.join(folder, name)
                with open(path, encoding="latin-1") as file:
                    text = file.read()
                text = text.replace("/etc/nginx", made.path("etc")).replace("/var/log/nginx", made.dir)
                text = text.replace("/run/nginx.pid", made.path("pid")).replace("/var/www/html", made.path("html"))
                text = re.sub(r"^user .*", "user root;", text, flags=re.M) if os.geteuid() == 0 else text
                text = re.sub(r"listen (\[::\]:)?80 ", lambda m: f"listen {m[1] or ''}{made.expand('{port}')} ", text)
                with open(path, "w", encoding="latin-1") as file:
                    file.write(text)
        made.conf = made.path("etc/nginx.conf")
        with open(made.conf, encoding="latin-1") as file:
            made.start("daemon off;\n" + file.read(), wait=False)

        def answers():
            try:
                return made.get("/")
            except (ConnectionError, AssertionError):
                return None
        assert wait_for(answers, "the stock site").text == "stock page"
        assert made.get("/none").status == 404
