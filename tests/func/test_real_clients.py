# SPDX-License-Identifier: Apache-2.0
"""The clients that people use: curl, wrk, ab, Python's http.client. What each of them says about the server counts.

A test is left out, with a warning, only where its tool is not installed."""
import hashlib
import http.client
import os
import re
import subprocess

import pytest

from weirtest.load import PATTERN, PeerProcess, body_of, mark_of, need_tool
from weirtest.timing import LIMIT

MB = 1 << 20


@pytest.fixture
def mixed():
    with PeerProcess("mixed") as up:
        yield up


@pytest.fixture
def fixed():
    with PeerProcess("fixed") as up:
        yield up


def proxy(weir, up, more="", **names):
    """A proxy with a pool of connections; the first segment of the path is dropped by the peer."""
    return weir("client_max_body_size 0; root {dir}/files; location /static/ { } location / { proxy_http_version 1.1;"
                "proxy_set_header Connection ''; " + more + " proxy_pass http://pool; }",
                http="upstream pool { server {up}; keepalive 64; }", up=up, **names)


def run(*argv):
    """A client's run to its end, without a proxy of the environment between."""
    env = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    env["LC_ALL"] = "C"
    return subprocess.run([str(arg) for arg in argv], stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT * 3,
                          check=False, env=env)


def curl(*args):
    """curl must succeed; returns (body, what -v says, lower case)."""
    result = run(need_tool("curl", "curl"), "-q", "-sS", "-v", "--max-time", LIMIT * 2, *args)
    talk = result.stderr.decode("latin-1").lower()
    assert result.returncode == 0, f"curl {args} ended with {result.returncode}:\n{talk}"
    return result.stdout, talk


def url(server, path):
    return f"http://127.0.0.1:{server.port}{path}"


def assert_answered(talk, status, version="1.1"):
    assert re.search(rf"^< http/{re.escape(version)} {status}\b", talk, re.M), talk


# ---- curl --------------------------------------------------------------------------------------------------------

def test_curl_get(weir, mixed):
    server = proxy(weir, mixed)
    for kind in "bc":
        for size in (0, 1, 1000, 100000, MB):
            body, talk = curl(url(server, f"/x/{kind}/0/{size}"))
            assert body == body_of(0, size)
            assert_answered(talk, 200)


def test_curl_keeps_the_connection(weir, mixed):
    server = proxy(weir, mixed)
    addresses = [url(server, f"/x/{kind}/{seed}/5000") for seed in (1, 2, 3) for kind in "bc"]
    body, talk = curl(*addresses, "-w", "<%{num_connects}>")
    assert body == b"".join(body_of(seed, 5000) + (b"<1>" if (seed, kind) == (1, "b") else b"<0>")
                            for seed in (1, 2, 3) for kind in "bc"), talk


def test_curl_in_parallel(weir, mixed):
    server = proxy(weir, mixed)
    argv = []
    for seed in range(20):
        argv += ["-o", server.path(f"{seed}.out"), url(server, f"/x/b/{seed}/{50000 + seed}")]
    curl("-Z", *argv)
    for seed in range(20):
        assert server.read(f"{seed}.out").encode("latin-1") == body_of(seed, 50000 + seed)


def test_curl_head(weir, mixed):
    server = proxy(weir, mixed, files={"files/static/f": b"x" * 777})
    for path, size in (("/x/b/0/12345", 12345), ("/static/f", 777)):
        body, talk = curl("-I", url(server, path))
        assert f"content-length: {size}\r\n".encode() in body.lower() and body.endswith(b"\r\n\r\n")
        assert_answered(talk, 200)


@pytest.mark.parametrize("buffering", ["on", "off"])
def test_curl_post(weir, mixed, buffering):
    server = proxy(weir, mixed, f"proxy_request_buffering {buffering};", files={"upload.bin": PATTERN})
    file = "@" + server.path("upload.bin")
    for args, data in ((["-d", "a=b&c=d"], b"a=b&c=d"), (["--data-binary", file], PATTERN),
                       (["-H", "Transfer-Encoding: chunked", "--data-binary", file], PATTERN),
                       (["-d", ""], b"")):
        body, talk = curl(*args, url(server, "/x/mark"))
        assert body == mark_of(data)
        assert_answered(talk, 200)


@pytest.mark.parametrize("buffering", ["on", "off"])
def test_curl_upload(weir, mixed, buffering):
    server = proxy(weir, mixed, f"proxy_request_buffering {buffering};", files={"upload.bin": PATTERN * 4})
    want = f"{4 * MB}:{hashlib.sha256(PATTERN * 4).hexdigest()}".encode()
    for args in ([], ["-H", "Transfer-Encoding: chunked"]):
        body, talk = curl("-T", server.path("upload.bin"), *args, url(server, "/x/digest"))
        assert body == want
        assert_answered(talk, 200)


@pytest.mark.parametrize("buffering", ["on", "off"])
def test_curl_expects_100_continue(weir, mixed, buffering):
    server = proxy(weir, mixed, f"proxy_request_buffering {buffering};", files={"upload.bin": PATTERN})
    # Without an interim answer curl would wait for 9 s and say so.
    body, talk = curl("-H", "Expect: 100-continue", "--expect100-timeout", "9", "--data-binary",
                      "@" + server.path("upload.bin"), url(server, "/x/mark"))
    assert body == mark_of(PATTERN)
    assert_answered(talk, 100)
    assert_answered(talk, 200)
    assert "done waiting for 100-continue" not in talk


@pytest.mark.parametrize("buffering", ["on", "off"])
def test_curl_http10(weir, mixed, buffering):
    server = proxy(weir, mixed, f"proxy_buffering {buffering};")
    for kind in "bc":                    # --raw: chunks would be seen
        body, talk = curl("--http1.0", "--raw", url(server, f"/x/{kind}/0/100000"))
        assert body == body_of(0, 100000)
        assert_answered(talk, 200)
        assert "transfer-encoding" not in talk


def test_curl_ranges_of_a_file(weir, mixed):
    server = proxy(weir, mixed, files={"files/static/f": PATTERN})
    for asked, first, last in (("0-0", 0, 0), ("0-99", 0, 99), ("1000-", 1000, MB - 1), ("-50", MB - 50, MB - 1),
                               ("500000-99999999", 500000, MB - 1)):
        body, talk = curl("-r", asked, url(server, "/static/f"))
        assert body == PATTERN[first:last + 1]
        assert_answered(talk, 206)
        assert f"< content-range: bytes {first}-{last}/{MB}\r\n" in talk
    body, talk = curl("-r", f"{MB}-", url(server, "/static/f"))
    assert_answered(talk, 416)
    assert f"< content-range: bytes */{MB}\r\n" in talk


def test_curl_resumes_a_download(weir, mixed):
    server = proxy(weir, mixed, files={"files/static/f": PATTERN, "part": PATTERN[:300000]})
    _, talk = curl("-C", "-", "-o", server.path("part"), url(server, "/static/f"))
    assert_answered(talk, 206)
    assert server.read("part").encode("latin-1") == PATTERN


def test_curl_asks_for_what_changed(weir, mixed):
    server = proxy(weir, mixed, files={"files/static/f": PATTERN})
    os.utime(server.path("files/static/f"), (10 ** 9, 10 ** 9))
    _, talk = curl("--etag-save", server.path("etag"), "-R", "-o", server.path("copy"), url(server, "/static/f"))
    assert_answered(talk, 200)
    for args in (["-z", server.path("copy")], ["--etag-compare", server.path("etag")]):
        body, talk = curl(*args, url(server, "/static/f"))
        assert_answered(talk, 304)
        assert body == b""


@pytest.mark.parametrize("path", ["/x/b/0/600000", "/x/c/0/600000", "/static/f"])
def test_curl_slow_download(weir, mixed, path):
    server = proxy(weir, mixed, files={"files/static/f": PATTERN[:600000]})
    body, talk = curl("--limit-rate", "600k", url(server, path))
    assert body == body_of(0, 600000)
    assert_answered(talk, 200)


def test_curl_leaves_early(weir, mixed):
    server = proxy(weir, mixed)
    for limit in ("1000", "100000"):     # gives up with 63 or 28
        result = run(need_tool("curl", "curl"), "-q", "-sS", "--max-filesize", limit, url(server, "/x/b/0/1000000"))
        assert result.returncode == 63, result
    result = run(need_tool("curl", "curl"), "-q", "-sS", "--max-time", "0.1", url(server, "/x/slow/400"))
    assert result.returncode == 28, result
    assert curl(url(server, "/x/b/0/10"))[0] == body_of(0, 10)


# ---- wrk and ab --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("path", ["/", "/static/f"])
def test_wrk(weir, fixed, path):
    wrk = need_tool("wrk", "wrk")
    server = proxy(weir, fixed, files={"files/static/f": PATTERN[:1024]})
    result = run(wrk, "-t", "2", "-c", "64", "-d", "2s", "--timeout", f"{LIMIT:.0f}s", url(server, path))
    text = result.stdout.decode()
    print(text)
    assert result.returncode == 0 and "Socket errors" not in text and "Non-2xx" not in text, text
    assert int(re.search(r"(\d+) requests in", text)[1]) > 100, text


def test_wrk_posts(weir, mixed):
    wrk = need_tool("wrk", "wrk")
    script = 'wrk.method = "POST"\nwrk.body = string.rep("0123456789abcdef", 256)\n'
    server = proxy(weir, mixed, files={"post.lua": script.encode()})
    result = run(wrk, "-t", "2", "-c", "16", "-d", "1s", "--timeout", f"{LIMIT:.0f}s", "-s", server.path("post.lua"),
                 url(server, "/x/mark"))
    text = result.stdout.decode()
    assert result.returncode == 0 and "Socket errors" not in text and "Non-2xx" not in text, text
    assert int(re.search(r"(\d+) requests in", text)[1]) > 10, text


def ab(count, *args):
    """ab must be content: all done, none failed; returns its table."""
    result = run(need_tool("ab", "apache2-utils"), "-q", "-n", count, "-c", "32", "-s", "10", *args)
    text = result.stdout.decode("latin-1")
    assert result.returncode == 0, f"{text}\n{result.stderr.decode('latin-1')}"
    found = dict(re.findall(r"^([A-Z][\w -]*):\s+(\d+)", text, re.M))
    assert found["Complete requests"] == str(count) and found["Failed requests"] == "0", text
    assert "Write errors" not in found and "Non-2xx responses" not in found, text
    return found


@pytest.mark.parametrize("path", ["/", "/static/f"])
def test_ab(weir, fixed, path):
    server = proxy(weir, fixed, files={"files/static/f": PATTERN[:1024]})
    found = ab(2000, url(server, path))
    assert found["Document Length"] == "1024" and found["HTML transferred"] == str(2000 * 1024)


@pytest.mark.parametrize("path", ["/", "/static/f"])
def test_ab_keepalive(weir, fixed, path):
    server = proxy(weir, fixed, files={"files/static/f": PATTERN[:1024]})
    found = ab(2000, "-k", url(server, path))
    assert found["HTML transferred"] == str(2000 * 1024)
    # ab speaks HTTP/1.0: it keeps only what the server offers to keep.
    assert int(found["Keep-Alive requests"]) >= 1990, found


def test_ab_posts(weir, mixed):
    server = proxy(weir, mixed, files={"upload.bin": PATTERN[:30000]})
    for more in ([], ["-k"]):
        found = ab(300, *more, "-p", server.path("upload.bin"), "-T", "text/plain", url(server, "/x/mark"))
        assert found["HTML transferred"] == str(300 * len(mark_of(PATTERN[:30000])))


# ---- http.client -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("buffering", ["on", "off"])
def test_http_client(weir, mixed, buffering):
    server = proxy(weir, mixed, f"proxy_buffering {buffering}; proxy_request_buffering {buffering};")
    conn = http.client.HTTPConnection("127.0.0.1", server.port, timeout=LIMIT)
    conn.connect()
    sock = conn.sock

    def ask(method, path, want, status=200, **more):
        conn.request(method, path, **more)
        resp = conn.getresponse()
        assert (resp.status, resp.read()) == (status, want)
        assert conn.sock is sock, "the connection was not kept"

    def parts():
        for at in range(0, MB, 70001):
            yield PATTERN[at:at + 70001]
    for _ in range(3):
        ask("GET", "/x/b/5/1000", body_of(5, 1000))
        ask("GET", "/x/c/5/300000", body_of(5, 300000))
        ask("HEAD", "/x/b/5/1000", b"")
        ask("POST", "/x/mark", mark_of(PATTERN[:50000]), body=PATTERN[:50000])
        ask("PUT", "/x/mark", mark_of(PATTERN), body=parts(), encode_chunked=True,
            headers={"Transfer-Encoding": "chunked"})
        ask("DELETE", "/x/mark", mark_of(b""))
    conn.close()


def test_http_client_reads_in_pieces(weir, mixed):
    server = proxy(weir, mixed)
    conn = http.client.HTTPConnection("127.0.0.1", server.port, timeout=LIMIT)
    conn.request("GET", "/x/c/0/1000000")
    resp = conn.getresponse()
    got = b""
    while True:
        data = resp.read(7777)
        if not data:
            break
        got += data
    assert got == body_of(0, 1000000)
    conn.close()
