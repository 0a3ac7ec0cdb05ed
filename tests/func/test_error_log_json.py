# SPDX-License-Identifier: Apache-2.0
"""error_log ... format=json and error_log_tag: one object a line, whatever is in it; fields of their own; losses too."""
import json
import os
import re
import subprocess

import pytest

from weirtest.client import build_request
from weirtest.timing import LIMIT, wait_for

pytestmark = pytest.mark.weir_only("nginx has it in its commercial version only, with no words about the fields")

MISSING = "location / { root {dir}/none; }"


def records(server, name="e.json"):
    """Each line is an object without a key twice."""
    def unique(pairs):
        assert len(dict(pairs)) == len(pairs), pairs
        return dict(pairs)
    with open(server.path(name), "rb") as file:
        whole = file.read().rpartition(b"\n")[0]  # of the last line there may be a part only
    return [json.loads(line, object_pairs_hook=unique) for line in whole.decode("utf-8").splitlines()]


def wait_record(server, text, name="e.json"):
    return wait_for(lambda: [r for r in records(server, name) if text in r["message"]], f"{text!r} in {name}")[0]


def test_fields(weir):
    server = weir("server_name s.example; " + MISSING, http="error_log {dir}/e.json error format=json;")
    server.get("/x", {"Host": "h.example", "Referer": 'http://r/"q"'})
    r = wait_record(server, "none/x")
    assert list(r) == ["time", "level", "pid", "tid", "connection", "message", "client", "server", "request", "host",
                       "referrer"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d", r["time"])
    assert r["level"] == "error" and r["connection"] > 0 and r["pid"] > 1 and isinstance(r["tid"], int)
    assert r["message"] == f'open() "{server.dir}/none/x" failed (2: No such file or directory)'
    assert (r["client"], r["server"], r["host"]) == ("127.0.0.1", "s.example", "h.example")
    assert (r["request"], r["referrer"]) == ("GET /x HTTP/1.1", 'http://r/"q"')


def test_upstream_and_why(weir):
    server = weir("location / { proxy_pass http://127.0.0.1:{port_dead}/to; access_log {dir}/a.log w; }",
                  http="error_log {dir}/e.json format=json; log_format w $upstream_why;")
    assert server.get("/x?y").status == 502
    r = wait_record(server, "connect() failed (111: Connection refused) while connecting to upstream")
    assert r["upstream"] == f"http://127.0.0.1:{server.names['port_dead']}/to?y" or \
        r["upstream"] == f"http://127.0.0.1:{server.names['port_dead']}/tox?y"
    assert "message" in r and ", client:" not in r["message"]


def test_both_formats_beside_each_other(weir):
    server = weir("error_log {dir}/e.json format=json; error_log {dir}/e.txt format=text; " + MISSING)
    server.get("/x")
    r = wait_record(server, "none/x")
    text = wait_for(lambda: server.read("e.txt"), "the text")
    assert re.search(r" \[error\] %d#%d: \*%d " % (r["pid"], r["tid"], r["connection"]), text)
    assert r["message"] in text and 'request: "GET /x HTTP/1.1"' in text


def test_main_level_and_the_word_json(weir):
    """nginx's word; lines of the process have no connection."""
    server = weir(MISSING, main="error_log {dir}/e.json notice json;")
    server.get("/x")
    wait_record(server, "none/x")
    server.signal("HUP")
    own = wait_for(lambda: [r for r in records(server) if "connection" not in r], "a line of the process")[0]
    assert list(own) == ["time", "level", "pid", "tid", "message"]


@pytest.mark.parametrize("raw,want", [
    (b'q"b\\s', 'q"b\\s'), (b"\xc3\xa9\xf0\x9f\x98\x80", "\u00e9\U0001f600"), (b"\xff\xc3(", "\u00ff\u00c3("),
    (b"a\tb", "a\tb"), (b"\xed\xa0\x80", "\u00ed\u00a0\u0080")])
def test_odd_bytes(weir, raw, want):
    server = weir(MISSING, http="error_log {dir}/e.json format=json;")
    with server.client() as client:
        client.send(b"GET /odd%0A HTTP/1.1\r\nHost: x\r\nReferer: " + raw + b"\r\nConnection: close\r\n\r\n")
        client.read_to_end()
    r = wait_record(server, "none/odd\n")
    assert r["referrer"] == want


def test_long_values_are_cut_and_said(weir):
    server = weir(MISSING + " large_client_header_buffers 4 32k; client_header_buffer_size 32k;",
                  http="error_log {dir}/e.json format=json;")
    server.get("/" + "\u00e9".encode().hex() + "%C3%A9" * 2000, {"Referer": "r" * 9000, "Host": "h"})
    line = wait_for(lambda: server.read("e.json"), "a line")
    assert line.count("\n") == 1 and len(line) <= 4096
    r = records(server)[0]
    assert r["truncated"] is True and r["host"] == "h" and set(r["referrer"]) <= {"r"}
    assert r["request"].startswith("GET /c3a9%C3%A9")


def test_syslog_and_levels(weir):
    import socket
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.settimeout(LIMIT)
    server = weir("location / { root {dir}/none; error_log syslog:server=127.0.0.1:{to},nohostname,tag=t error format=json; }",
                  to=sock.getsockname()[1])
    server.get("/x")
    head, body = sock.recv(70000).decode().split(" t: ", 1)
    assert head.startswith("<187>") and json.loads(body)["message"].startswith("open()")
    sock.close()


def test_flood_is_told_in_json(weir):
    server = weir(MISSING, workers=1, main="error_log {dir}/e.json format=json;")

    def told():
        with server.client() as client:          # more than a hundred in a second, sooner or later
            client.send(build_request("GET", "/x") * 200)
            assert [client.read_response().status for _ in range(200)] == [404] * 200
        return [r for r in records(server) if re.match(r'\.\.\. \d+ more of "', r["message"])]
    wait_for(told, "how many were left out")


def test_full_disk_is_told_in_json(weir, tmp_path):
    os.chmod(tmp_path, 0o755)
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=0777", "none", tmp_path],
                                           check=False, capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount")
    try:
        server = weir("location / { return 200 x; error_log {to}/e.json debug format=json; }", to=str(tmp_path), workers=1)
        server.get("/a")
        fill = os.path.join(tmp_path, "fill")
        with open(fill, "wb", buffering=0) as file:
            try:
                while file.write(b"x" * 4096):
                    pass
            except OSError:
                pass  # the disk is full
        with server.client() as client:
            for _ in range(100):
                assert client.get("/b").status == 200
        os.unlink(fill)
        server.get("/c")
        name = str(tmp_path / "e.json")
        lines = wait_for(lambda: re.search("lost here.*\n", server.read(name)) and server.read(name).splitlines(), "the number")
        lost = [line for line in lines if "lost here" in line]
        assert len(lost) == 1
        said = json.loads(lost[0])
        assert said["level"] == "alert" and re.fullmatch(
            r"\d+ lines were lost here \(28: No space left on device\)", said["message"])
        whole = 0
        for line in lines:  # at most one was cut by the end of the disk
            try:
                json.loads(line)
                whole += 1
            except ValueError:
                pass
        assert whole >= len(lines) - 1
    finally:
        subprocess.run(["umount", "-l", tmp_path], check=True)


# error_log_tag

def test_tags(weir):
    server = weir("""error_log_tag id $request_id; error_log_tag zone eu-1;
        location / { root {dir}/none; access_log {dir}/a.log t; }
        location /own { root {dir}/none; error_log_tag zone "$arg_z-$zone"; }""",
                  http="error_log {dir}/e.json format=json; error_log_tag x y; log_format t $request_id; map $uri $zone { default m; }")
    server.get("/x")
    r = wait_record(server, "none/x")
    assert r["id"] == server.access(1, "a.log")[0] and r["zone"] == "eu-1" and "x" not in r
    server.get("/own/y?z=%22")
    r = wait_record(server, "none/own")
    assert r["zone"] == "%22-m" and "id" not in r


def test_tags_are_not_in_text(weir):
    server = weir("error_log_tag zone eu-1; error_log {dir}/e.txt; " + MISSING)
    server.get("/x")
    wait_for(lambda: "none/x" in server.read("e.txt"), "a line")
    assert "eu-1" not in server.read("e.txt")


def test_tag_whose_value_logs(weir):
    """A warning while a tag is evaluated is a line without tags, no endless tale."""
    server = weir("""set $never $arg_no; error_log_tag bad "<$unset>"; location / { root {dir}/none; }
        location /set { set $unset x; return 200 x; }""", http="error_log {dir}/e.json warn format=json;")
    server.get("/x")
    r = wait_record(server, "none/x")
    assert r["bad"] == "<>"
    warned = wait_record(server, 'using uninitialized "unset" variable')
    assert "bad" not in warned


@pytest.mark.parametrize("text, words", [
    ("error_log x format=xml;", 'invalid log format "xml"'),
    ("error_log x format=;", 'invalid log format ""'),
    ("error_log x json error crit;", 'duplicate log level "crit"'),
    ("error_log x error format=json foo;", 'invalid log level "foo"'),
    ("error_log memory:32k error format=json;", "memory logs are text"),
    ("http { error_log_tag a; }", 'invalid number of arguments in "error_log_tag" directive'),
    ("http { error_log_tag a b c; }", 'invalid number of arguments in "error_log_tag" directive'),
    ("error_log_tag a b;", '"error_log_tag" directive is not allowed here'),
    ("http { upstream u { error_log_tag a b; } }", '"error_log_tag" directive is not allowed here'),
    ("http { error_log_tag time b; }", 'invalid tag name "time"'),
    ('http { error_log_tag "a b" b; }', 'invalid tag name "a b"'),
    ("http { error_log_tag a b; error_log_tag a c; }", 'duplicate tag "a"'),
    ("http { error_log_tag a $nothing; }", 'unknown "nothing" variable'),
])
def test_words(command, text, words):
    server = command(text="pid {dir}/p; events {}\n%s\n" % text)
    done = server.command("-t", "-e", "stderr")
    assert done.returncode == 1
    assert words in done.stderr
