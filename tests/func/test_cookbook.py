# SPDX-License-Identifier: Apache-2.0
"""Every recipe of docs/cookbook.md, as it stands there, with curl as the client.

Only addresses and paths are exchanged: port 80 and 443 for free ones (curl --connect-to keeps the URLs), 10.0.0.11:8080 and
so on for scripted peers, /srv, /etc/weir and /var/log/weir for folders of the test."""
import json
import os
import re
import subprocess
import time

import pytest

from weirtest.load import need_tool
from weirtest.server import ROOT, WORKERS
from weirtest.timing import LIMIT, wait_for

pytestmark = pytest.mark.weir_only("the cookbook is weir's; some recipes need what nginx 1.22 has not")

FRAME = f"""daemon off;
worker_processes {{threads}};
{"user root;" if os.geteuid() == 0 else ""}
pid {{dir}}/server.pid;
error_log {{dir}}/error.log info;
events {{ worker_connections 512; }}
http {{
include {{mime}};
access_log {{dir}}/var/log/weir/access.log;
client_body_temp_path {{dir}}/body;
proxy_temp_path {{dir}}/proxy;
RECIPE
}}
"""
LETTER = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"
SITE = "example.com"


def recipes():
    """Title to text of its block."""
    with open(os.path.join(ROOT, "docs", "cookbook.md"), encoding="utf-8") as file:
        parts = re.split(r"^## (.+)$", file.read(), flags=re.M)[1:]
    found = {title: re.findall(r"^```nginx\n(.*?)^```$", text, re.M | re.S) for title, text in zip(parts[::2], parts[1::2])}
    assert all(len(blocks) == 1 for blocks in found.values()), found
    return {title: blocks[0] for title, blocks in found.items()}


def letter(name):
    return LETTER + name.encode()


class Kitchen:
    """A running recipe, and curl."""

    def __init__(self, server):
        self.server = server
        self.names = server.names

    def command(self, *args, host=SITE):
        to = []
        for name, port in ((80, "port"), (443, "port_tls")):
            if port in self.names:
                to += ["--connect-to", f"{host}:{name}:127.0.0.1:{self.names[port]}"]
        return [need_tool("curl", "curl"), "-q", "-sS", "--noproxy", "*", "--max-time", str(LIMIT * 2), *to, *args]

    def curl(self, url, *args, code=0):
        """(status, fields with small names, body)."""
        done = subprocess.run(self.command("-i", url if "://" in url else f"http://{SITE}{url}", *args), capture_output=True,
                              timeout=LIMIT * 3, check=False)
        assert done.returncode == code, done.stderr
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        fields = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            fields[name.lower()] = fields.get(name.lower(), "") + ("," if name.lower() in fields else "") + value.strip()
        return int(lines[0].split()[1]), fields, body.decode("latin-1")


@pytest.fixture
def cook(weir, origin):
    def make(title, ups=(), files=None, change=None, workers=WORKERS):
        text = recipes()[title]
        text = text.replace("listen 80;", "listen 127.0.0.1:{port};").replace("listen 443 ssl;", "listen 127.0.0.1:{port_tls} ssl;")
        peers = []
        for n, script in enumerate(ups):
            peers.append(origin(letter(script) if isinstance(script, str) else script))
            text = text.replace(f"10.0.0.{11 + n}:8080", str(peers[-1]))
        assert "10.0.0.1" not in text.replace("10.0.0.0/8", ""), text
        for folder in ("/srv/www", "/etc/weir", "/var/log/weir"):
            text = text.replace(folder, "{dir}" + folder)
        for old, new in (change or {}).items():
            assert old in text
            text = text.replace(old, new)
        files = {"var/log/weir/access.log": b"", **(files or {})}
        kitchen = Kitchen(weir(text=FRAME.replace("RECIPE", text), files=files, threads=workers,
                               mime=os.path.join(ROOT, "dist", "mime.types")))
        kitchen.peers = peers
        return kitchen
    return make


def test_every_recipe_is_tried():
    with open(__file__, encoding="utf-8") as file:
        tried = set(re.findall(r'^    \w+ = cook\("([^"]+)"', file.read(), re.M))
    assert tried == set(recipes()) and len(tried) > 5


def test_tls_site(cook, pki):
    pair = pki.issue("site", SITE)
    with open(pair.cert, "rb") as cert, open(pair.key, "rb") as key:
        files = {"etc/weir/tls/example.com.pem": cert.read(), "etc/weir/tls/example.com.key": key.read()}
    site = cook("A site with TLS", ["a", "a"], files)
    status, fields, _ = site.curl("/x?y=1")
    assert (status, fields["location"]) == (301, f"https://{SITE}/x?y=1")
    status, fields, body = site.curl(f"https://{SITE}/x?y=1", "--cacert", pki.ca)
    assert (status, body, fields["strict-transport-security"]) == (200, "a", "max-age=31536000")
    seen = (site.peers[0].requests + site.peers[1].requests)[0]
    assert [seen.headers[name] for name in ("Host", "X-Forwarded-Proto", "X-Forwarded-For", "X-Real-IP")] == \
        [SITE, "https", "127.0.0.1", "127.0.0.1"]
    body = subprocess.run(site.command("-L", f"http://{SITE}/", "--cacert", pki.ca), capture_output=True, timeout=LIMIT * 3, check=True)
    assert body.stdout == b"a"  # the redirect is followed


def test_websockets(cook):
    def chat(conn):
        for req in conn.requests():
            if "Upgrade" not in req.headers:
                conn.reply(b"page")
                continue
            assert (req.headers["Upgrade"], req.headers["Connection"].lower()) == ("websocket", "upgrade")
            conn.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x05hello")
            return
    site = cook("WebSockets", [chat], workers=1)  # a thread keeps connections for itself first; each curl is a connection
    assert site.curl("/ws/page")[2] == "page"
    assert site.curl("/ws/page")[2] == "page"
    assert site.peers[0].connections == 1  # kept
    status, fields, body = site.curl("/ws/room", "--http1.1", "-H", "Connection: Upgrade", "-H", "Upgrade: websocket")
    assert (status, fields["upgrade"], body) == (101, "websocket", "\x81\x05hello")


def test_events(cook):
    go = {}

    def events(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        for n in range(3):
            conn.send(b"data: %d\n\n" % n)
            wait_for(lambda n=n: go.get(n), "the client to have the event")
    site = cook("Server-sent events", [events])
    with subprocess.Popen(site.command("-N", f"http://{SITE}/events"), stdout=subprocess.PIPE) as curl:
        for n in range(3):
            assert curl.stdout.readline() == b"data: %d\n" % n  # the next is sent only when this one is here
            assert curl.stdout.readline() == b"\n"
            go[n] = True
        assert curl.stdout.read() == b"" and curl.wait(LIMIT) == 0


def test_single_page_application(cook):
    script = b"console.log('x');" * 100
    site = cook("A single-page application with its API", ["a", "b"],
                {"srv/www/app/index.html": b"<title>app</title>", "srv/www/app/assets/app.1234.js": script})
    for path in ("/", "/some/route", "/index.html"):
        status, fields, body = site.curl(path)
        assert (status, body, fields["cache-control"]) == (200, "<title>app</title>", "no-cache"), path
    status, fields, body = site.curl("/assets/app.1234.js")
    assert (status, body) == (200, script.decode())
    assert "max-age=31536000" in fields["cache-control"] and "immutable" in fields["cache-control"]
    assert site.curl("/assets/none.js")[0] == 404
    assert site.curl("/api/users?id=1")[2] == "a"
    assert [(r.target, r.headers["Host"]) for r in site.peers[0].requests] == [("/users?id=1", SITE)]
    status, fields, _ = site.curl("/assets/app.1234.js", "-H", "Accept-Encoding: gzip", "-o", "/dev/null", "-D", "-")
    assert status == 200


def test_limit(cook):
    site = cook("A limit on requests", ["a"])
    began = time.monotonic()
    done = [site.curl("/login")[0] for _ in range(5)]
    more = int((time.monotonic() - began) / 10)   # six a minute
    assert done[:3] == [200] * 3 and set(done) == {200, 429} and done.count(200) <= 3 + more or more >= 2, done
    began = time.monotonic()
    urls = " ".join(f"http://{SITE}/{n}" for n in range(60)).split()
    many = subprocess.run(site.command("-w", "%{http_code}\n", "-o", "/dev/null", *sum((["-o", "/dev/null", u] for u in urls), [])),
                          capture_output=True, text=True, timeout=LIMIT * 3, check=True).stdout.split()
    passed = many.count("200")
    assert set(many) == {"200", "429"} and 21 <= passed <= 22 + 10 * (time.monotonic() - began), many


def test_password(cook):
    hashed = subprocess.run([need_tool("htpasswd", "apache2-utils"), "-nbB", "ann", "secret"], capture_output=True, check=True).stdout
    site = cook("A password", ["a"], {"etc/weir/staging.passwd": hashed})
    status, fields, _ = site.curl("/")
    assert (status, fields["www-authenticate"]) == (401, 'Basic realm="Staging"')
    assert site.curl("/", "-u", "ann:wrong")[0] == 401
    assert not site.peers[0].requests
    assert site.curl("/", "-u", "ann:secret")[::2] == (200, "a")
    seen = site.peers[0].requests[0].headers
    assert seen["X-User"] == "ann" and "Authorization" not in seen


def test_password_office(cook):
    site = cook("A password", ["a"], {"etc/weir/staging.passwd": b""}, {"192.0.2.0/24": "127.0.0.0/8"})
    assert site.curl("/")[::2] == (200, "a")


def test_blue_and_green(cook):
    site = cook("Blue and green", ["b", "g"])
    assert site.curl("/")[1]["x-release"] == "blue"
    assert site.curl("/", "-b", "release=green")[::2] == (200, "g")
    assert site.curl("/", "-b", "release=none")[::2] == (200, "b")
    text = site.server.read("nginx.conf")
    site.server.write_conf(text.replace("default blue;", "default green;"))
    result = site.server.command("-s", "reload")
    assert (result.returncode, result.stderr) == (0, "")
    assert site.curl("/")[::2] == (200, "g")
    assert site.curl("/", "-b", "release=blue")[::2] == (200, "b")


def test_canary(cook):
    site = cook("A canary", ["s", "c"])
    agents = {f"agent-{n}": site.curl("/", "-A", f"agent-{n}")[2] for n in range(200)}
    share = list(agents.values()).count("c")
    assert 1 <= share <= 30 and set(agents.values()) == {"s", "c"}
    chosen = [agent for agent, body in agents.items() if body == "c"]
    assert all(site.curl("/", "-A", agent)[2] == "c" for agent in chosen)  # the same ones


def test_behind_another(cook):
    site = cook("Behind another balancer", ["a"])
    assert site.curl("/", "-H", "X-Forwarded-For: 198.51.100.7, 203.0.113.9, 10.1.2.3")[0] == 200
    assert site.peers[0].requests[0].headers["X-Real-IP"] == "203.0.113.9"


def test_peers_that_fail(cook):
    def broken(conn):
        for _ in conn.requests():
            conn.reply(status="503 Service Unavailable")
    site = cook("Peers that fail", [broken, "b", "c"], {"srv/www/errors/sorry.html": b"sorry"})
    assert [site.curl("/")[::2] for _ in range(10)] == [(200, "b")] * 10
    assert len(site.peers[0].requests) == 2  # then it is left alone
    assert site.curl("/sorry.html")[0] == 404
    for peer in site.peers[1:]:
        peer.stop()
    assert site.curl("/")[::2] == (502, "sorry")


def test_maintenance(cook):
    site = cook("Closed for maintenance", ["a"], {"srv/www/errors/closed.html": b"back soon"})
    assert site.curl("/x")[::2] == (200, "a")
    site.server.write("srv/www/errors/closed")
    status, fields, body = site.curl("/x")
    assert (status, body, fields["retry-after"]) == (503, "back soon", "600")
    os.remove(site.server.path("srv/www/errors/closed"))
    assert site.curl("/x")[0] == 200


def test_maintenance_office(cook):
    site = cook("Closed for maintenance", ["a"], {"srv/www/errors/closed": b""}, {"192.0.2.0/24 1": "127.0.0.0/8 1"})
    assert site.curl("/x")[::2] == (200, "a")


def test_large_bodies(cook, tmp_path):
    data = os.urandom(1 << 20) * 20

    def store(conn):
        for req in conn.requests():
            assert req.body == data
            conn.reply(req.body)
    site = cook("Large uploads and downloads", [store])
    (tmp_path / "big").write_bytes(data)
    done = subprocess.run(site.command("-T", str(tmp_path / "big"), f"http://{SITE}/files/big", "-o", str(tmp_path / "back")),
                          capture_output=True, timeout=LIMIT * 6, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "back").read_bytes() == data
    wait_for(lambda: not os.listdir(site.server.path("body")) and not os.listdir(site.server.path("proxy")), "its files to be gone")


def test_logs(cook):
    site = cook("Logs for machines", ["a"])
    site.curl("/healthz")
    site.curl("/a%22b?q=\u00e9", "-A", 'say "hi"\\')
    line = site.server.access(1, "var/log/weir/access.json")
    record = json.loads(line[0])
    assert len(line) == 1 and record["status"] == 200 and record["agent"] == 'say "hi"\\' and record["uri"].startswith("/a%22b")
    assert record["peer"] == str(site.peers[0]) and record["bytes"] == 1 and "why" in record
