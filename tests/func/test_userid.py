# SPDX-License-Identifier: Apache-2.0
"""userid: the cookie and what is in it, what comes back, marks, resets, variables, what -t says."""
import base64
import re
import struct
import time

import pytest

SHOW = '"got=[$uid_got] set=[$uid_set] reset=[$uid_reset]"'
SERVER = f"""
    root {{dir}};
    location /on {{ userid on; return 200 {SHOW}; }}
    location /v1 {{ userid v1; return 200 {SHOW}; }}
    location /log {{ userid log; return 200 {SHOW}; }}
    location /off {{ userid off; return 200 {SHOW}; }}
    location /all {{ userid on; userid_name n; userid_domain d.com; userid_path /x; userid_expires 1d; userid_p3p 'policyref="/x"';
                     userid_service 12345; userid_flags secure httponly samesite=lax; return 200 {SHOW}; }}
    location /v1all {{ userid v1; userid_service 12345; return 200 {SHOW}; }}
    location /max {{ userid on; userid_expires max; return 200 {SHOW}; }}
    location /mark {{ userid on; userid_mark 9; return 200 {SHOW}; }}
    location /equal {{ userid on; userid_mark =; return 200 {SHOW}; }}
    location /reset {{ userid on; set $uid_reset 1; return 200 {SHOW}; }}
    location /keep {{ userid on; set $uid_reset 0; return 200 {SHOW}; }}
    location /told {{ userid on; set $uid_reset log; return 200 {SHOW}; }}
    location /f.txt {{ userid on; }}
    location /missing {{ userid on; return 404; }}
    location /page {{ userid on; error_page 404 /on; return 404; }}
    location /plain {{ userid on; userid_domain none; userid_p3p none; userid_expires off; userid_flags off; return 200 {SHOW}; }}
    location /strict {{ userid on; userid_flags samesite=strict; return 200 {SHOW}; }}
    location /outer {{ userid on; userid_name o; userid_path /o; location /outer/in {{ userid_path /i; return 200 {SHOW}; }}
                       location /outer/none {{ userid off; return 200 {SHOW}; }} }}
"""


@pytest.fixture(scope="module")
def server(weir_shared):
    return weir_shared.server(SERVER, files={"f.txt": b"file"})


def ask(server, target, cookie=None):
    response = server.get(target, {"Cookie": cookie} if cookie else {})
    found = re.match(r"got=\[(.*)\] set=\[(.*)\] reset=\[(.*)\]$", response.text)
    return response.headers.get("Set-Cookie"), found.groups() if found else None


def shown(name, raw):
    return name + "=" + "".join("%08X" % word for word in struct.unpack("<4I", raw))


def raw_of(cookie):
    return base64.b64decode(re.match(r"\w+=([^;]*)", cookie)[1])


def test_new(server):
    before = int(time.time())
    cookie, (got, given, reset) = ask(server, "/on")
    assert re.fullmatch(r"uid=[A-Za-z0-9+/]{22}==; path=/", cookie)
    raw = raw_of(cookie)
    assert (got, given, reset) == ("", shown("uid", raw), "")
    assert raw[:4] == b"\x7f\0\0\x01"
    assert before <= struct.unpack(">I", raw[4:8])[0] <= time.time() + 1
    assert len({ask(server, "/on")[0] for _ in range(50)}) == 50


def test_v1(server):
    before = int(time.time())
    cookie, (_, given, _) = ask(server, "/v1")
    raw = raw_of(cookie)
    assert raw[:4] == b"\0\0\0\0" and given == shown("uid", raw)
    assert before <= struct.unpack("<I", raw[4:8])[0] <= time.time() + 1
    assert raw_of(ask(server, "/v1all")[0])[:4] == struct.pack("<I", 12345)


@pytest.mark.parametrize("target", ["/log", "/off"])
def test_none_is_given(server, target):
    assert ask(server, target) == (None, ("", "", ""))


def test_known(server):
    cookie, (_, given, _) = ask(server, "/on")
    sent = cookie.split(";")[0]
    assert ask(server, "/on", sent) == (None, (given, "", ""))
    assert ask(server, "/v1", sent) == (None, (given, "", ""))
    assert ask(server, "/log", sent) == (None, (given, "", ""))
    assert ask(server, "/off", sent) == (None, ("", "", ""))
    assert ask(server, "/on", "x=1; " + sent + "; y=2") == (None, (given, "", ""))
    assert ask(server, "/on", sent[:-2]) == (None, (given, "", ""))
    assert ask(server, "/on", sent[:-2] + "xy") == (None, (given, "", ""))
    assert ask(server, "/all", sent)[0] is not None


@pytest.mark.parametrize("value", ["abc", "", "!!!!!!!!!!!!!!!!!!!!!!==", '"AAAAAAAAAAAAAAAAAAAAAA=="'])
def test_what_is_no_identifier(server, value):
    cookie, (got, given, _) = ask(server, "/on", "uid=" + value)
    assert cookie and got == "" and given == shown("uid", raw_of(cookie))


def test_messages(server):
    server.get("/on?1", {"Cookie": "uid=abc"})
    server.wait_log(r'client sent too short userid cookie "uid=abc')
    server.get("/on?2", {"Cookie": "uid=!!!!!!!!!!!!!!!!!!!!!!=="})
    server.wait_log(r'\[error\].* client sent invalid userid cookie "uid=!!!!')


def test_every_attribute(server):
    response = server.get("/all")
    pattern = r"n=[A-Za-z0-9+/]{22}==; expires=([^;]*); domain=d\.com; path=/x; secure; httponly; samesite=lax"
    found = re.fullmatch(pattern, response.headers.get("Set-Cookie"))
    assert found and response.headers.get("P3P") == 'policyref="/x"'
    for form in ("%a, %d %b %Y %H:%M:%S GMT", "%a, %d-%b-%y %H:%M:%S GMT"):  # RFC 6265; nginx
        try:
            ends = time.mktime(time.strptime(found[1], form)) - time.timezone
        except ValueError:
            continue
        break
    assert abs(ends - time.time() - 86400) < 10
    assert raw_of(response.headers.get("Set-Cookie"))[:4] == struct.pack(">I", 12345)
    assert ask(server, "/all")[1][1].startswith("n=39300000")


def test_other_attributes(server):
    assert re.fullmatch(r"uid=\S*; expires=Thu, 31[- ]Dec[- ](20)?37 23:55:55 GMT; path=/", server.get("/max").headers.get("Set-Cookie"))
    assert re.fullmatch(r"uid=\S*; path=/; samesite=strict", server.get("/strict").headers.get("Set-Cookie"))
    assert re.fullmatch(r"uid=\S*; path=/", server.get("/plain").headers.get("Set-Cookie"))
    assert server.get("/plain").headers.get("P3P") is None


@pytest.mark.parametrize("target,status", [("/f.txt", 200), ("/missing", 404), ("/nosuch", 404), ("/page", 404)])
def test_whatever_the_answer_is(server, target, status):
    response = server.get(target)
    assert response.status == status
    assert (response.headers.get("Set-Cookie") is not None) == (target != "/nosuch")


def test_mark(server):
    cookie, _ = ask(server, "/mark")
    assert re.fullmatch(r"uid=[A-Za-z0-9+/]{22}9=; path=/", cookie)
    sent = cookie.split(";")[0]
    given = shown("uid", base64.b64decode(sent[4:-2] + "=="))
    assert ask(server, "/mark", sent) == (None, (given, "", ""))
    for other in ("==", "8=", ""):
        assert ask(server, "/mark", sent[:-2] + other) == (sent + "; path=/", (given, given, ""))
    assert ask(server, "/equal", sent[:-2] + "==") == (None, (given, "", ""))
    assert ask(server, "/equal", sent)[0] == sent[:-2] + "==; path=/"


def test_reset(server):
    sent = ask(server, "/on")[0].split(";")[0]
    given = shown("uid", raw_of(sent))
    for target, value in (("/reset", "1"), ("/told", "log")):
        cookie, (got, now, reset) = ask(server, target, sent)
        assert cookie and got == given and now == shown("uid", raw_of(cookie)) != given and reset == value
    assert ask(server, "/keep", sent) == (None, (given, "", "0"))
    server.wait_log("userid cookie .*reset")


def test_inheritance(server):
    cookie, (_, given, _) = ask(server, "/outer/in")
    assert cookie.startswith("o=") and cookie.endswith("; path=/i") and given.startswith("o=")
    assert ask(server, "/outer/none")[0] is None


@pytest.mark.parametrize("text,message", [
    ("userid;", 'invalid number of arguments in "userid" directive'), ("userid x;", 'invalid value "x"'),
    ("userid on; userid off;", '"userid" directive is duplicate'), ("userid_name;", 'invalid number of arguments in "userid_name" directive'),
    ("userid_name a; userid_name b;", '"userid_name" directive is duplicate'), ("userid_path;", 'invalid number of arguments in "userid_path" directive'),
    ("userid_domain a; userid_domain b;", '"userid_domain" directive is duplicate'), ("userid_p3p;", 'invalid number of arguments'),
    ("userid_expires x;", '"userid_expires" directive invalid value'), ("userid_mark;", 'invalid number of arguments in "userid_mark" directive'),
    ("userid_mark aa;", '"userid_mark" directive value must be "off" or a single letter, digit or "="'),
    ("userid_mark -;", '"userid_mark" directive value must be'), ("userid_mark '';", '"userid_mark" directive value must be'),
    ("userid_service x;", 'invalid number'), ("userid_service -1;", 'invalid number'),
    ("userid_flags;", 'invalid number of arguments in "userid_flags" directive'), ("userid_flags foo;", 'invalid value "foo"'),
    ("userid_flags samesite;", 'invalid value "samesite"'), ("userid_flags samesite=x;", 'invalid value "samesite=x"'),
    ("location / { if ($uri) { userid on; } }", '"userid" directive is not allowed here')])
def test_refused(command, text, message):
    result = command(text).command("-t")
    assert result.returncode == 1 and message in result.stderr


@pytest.mark.parametrize("text,warning", [
    ("userid_name ''; userid_domain ''; userid_path ''; userid_p3p '';", None), ("userid_expires max; userid_mark off;", None),
    ("userid_flags off secure;", None), ("userid_flags secure; userid_flags httponly;", None), ("userid_service 4294967296;", None),
    ("userid_flags secure secure;", 'duplicate value "secure"'), ("userid_flags samesite=lax samesite=strict;", 'duplicate value "samesite=strict"')])
def test_accepted(command, text, warning):
    result = command(text).command("-t")
    assert result.returncode == 0
    assert ("[warn]" in result.stderr) == (warning is not None) and (warning or "") in result.stderr
