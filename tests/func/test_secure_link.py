# SPDX-License-Identifier: Apache-2.0
"""secure_link: hashes with and without a time, secret words, which of the two forms a level has, what -t says."""
import base64
import hashlib
import time

import pytest

SHOW = '"l=[$secure_link] e=[$secure_link_expires]"'
SERVER = f"""
    location /time {{ secure_link $arg_md5,$arg_e; secure_link_md5 "$secure_link_expires$uri secret"; return 200 {SHOW}; }}
    location /plain {{ secure_link $arg_md5; secure_link_md5 "$uri secret"; return 200 {SHOW}; }}
    location /half {{ secure_link $arg_md5; return 200 {SHOW}; }}
    location /other_half {{ secure_link_md5 x; return 200 {SHOW}; }}
    location /none {{ return 200 {SHOW}; }}
    location /p/ {{ secure_link_secret word; return 200 {SHOW}; }}
    location ~ ^/re/ {{ secure_link_secret word; return 200 {SHOW}; }}
    location /in {{ secure_link $arg_md5; location /in/a {{ secure_link_md5 x; return 200 {SHOW}; }} }}
    location /w/ {{ secure_link_secret word; location /w/link/ {{ secure_link $arg_md5; secure_link_md5 x; return 200 {SHOW}; }}
                    location /w/same/ {{ return 200 {SHOW}; }} }}
    location /guard {{ secure_link $arg_md5,$arg_e; secure_link_md5 "$secure_link_expires$uri secret";
                       if ($secure_link = "") {{ return 403; }} if ($secure_link = "0") {{ return 410; }} return 204; }}
"""
NOW = int(time.time())


def md5(text):
    return base64.urlsafe_b64encode(hashlib.md5(text.encode()).digest()).decode().rstrip("=")


def word(text):
    return hashlib.md5(text.encode()).hexdigest()


@pytest.fixture(scope="module")
def server(weir_shared):
    return weir_shared.server(SERVER)


def show(server, target):
    return server.get(target).text


@pytest.mark.parametrize("when,link,expires", [
    (NOW + 1000, "1", NOW + 1000), (NOW - 1000, "0", NOW - 1000), (0, "", ""), ("abc", "", ""), ("", "", ""), (-5, "", ""), ("12x", "", ""),
    ("99999999999999999999", "", "")], ids=["later", "over", "zero", "word", "empty", "negative", "tail", "large"])
def test_time(server, when, link, expires):
    assert show(server, f"/time?md5={md5(f'{when}/time secret')}&e={when}") == f"l=[{link}] e=[{expires}]"


def test_wrong_hash_with_a_time(server):
    assert show(server, "/time?md5=x&e=1") == "l=[] e=[1]"
    assert show(server, f"/time?e={NOW + 1000}") == f"l=[] e=[{NOW + 1000}]"
    assert show(server, f"/time?md5={md5(f'{NOW}/time secret')}&e={NOW + 1000}") == f"l=[] e=[{NOW + 1000}]"
    assert show(server, f"/time?md5={md5('/time secret')}") == "l=[] e=[]"


@pytest.mark.parametrize("tail,link", [("", "1"), ("=", "1"), ("==", "1"), ("====", ""), ("A", ""), ("AAAA", "")])
def test_plain(server, tail, link):
    assert show(server, "/plain?md5=" + md5("/plain secret") + tail) == f"l=[{link}] e=[]"


def test_plain_wrong(server):
    good = md5("/plain secret")
    for bad in ("", good[:-1], "A" + good[1:], good[:10] + ("A" if good[10] != "A" else "B") + good[11:], md5("/plain secre"), "!" * 22):
        assert show(server, "/plain?md5=" + bad) == "l=[] e=[]"


@pytest.mark.parametrize("target", ["/half?md5=x", "/other_half", "/none"])
def test_not_whole(server, target):
    assert show(server, target) == "l=[] e=[]"


@pytest.mark.parametrize("target,link", [
    ("/p/%s/link" % word("linkword"), "link"), ("/p/%s/a/b" % word("a/bword"), "a/b"), ("/p/%s/" % word("word"), ""), ("/p/%s" % word("word"), ""),
    ("/p/x/link", ""), ("/p/%s/link" % word("linkwor"), ""), ("/p/%s/link" % word("linkword").upper(), "link"), ("/p/link", ""), ("/p/", ""),
    ("/p/%s/link?x=1" % word("linkword"), ""), ("/re/%s/link" % word("linkword"), "link"), ("/p/x/%s/link" % word("linkword"), ""),
    ("/p//%s/link" % word("linkword"), ""), ("/p/%s/li%%6ek" % word("linkword"), ""), ("/p/%s/li%%20nk" % word("li nkword"), ""),
    ("/p/%s/li%%20nk" % word("li%20nkword"), "li%20nk"), ("/p/%sx/link" % word("linkword"), ""), ("/p/%s/link" % ("g" * 32), "")])
def test_secret(server, target, link):
    assert show(server, target) == f"l=[{link}] e=[]"


def test_inheritance(server):
    assert show(server, "/in/a?md5=" + md5("x")) == "l=[1] e=[]"
    assert show(server, "/w/link/a?md5=" + md5("x")) == "l=[1] e=[]"
    assert show(server, "/w/link/%s/link" % word("linkword")) == "l=[] e=[]"


def test_guard(server):
    def status(when, secret="secret"):
        return server.get(f"/guard?md5={md5(f'{when}/guard {secret}')}&e={when}").status
    assert [status(NOW + 1000), status(NOW - 10), status(NOW + 1000, "other")] == [204, 410, 403]


@pytest.mark.parametrize("text,message", [
    ("secure_link;", 'invalid number of arguments in "secure_link" directive'), ("secure_link a b;", 'invalid number of arguments'),
    ("secure_link a; secure_link b;", '"secure_link" directive is duplicate'),
    ("secure_link_md5;", 'invalid number of arguments in "secure_link_md5" directive'),
    ("secure_link_md5 a; secure_link_md5 b;", '"secure_link_md5" directive is duplicate'),
    ("location / { secure_link_secret; }", 'invalid number of arguments in "secure_link_secret" directive'),
    ("location / { secure_link_secret a; secure_link_secret b; }", '"secure_link_secret" directive is duplicate'),
    ("location / { secure_link_secret x; secure_link a; }", '"secure_link_secret" cannot be mixed with "secure_link" and "secure_link_md5"'),
    ("location / { secure_link_md5 a; secure_link_secret x; }", '"secure_link_secret" cannot be mixed with'),
    ("secure_link $nosuch;", 'unknown "nosuch" variable'),
    ("location / { if ($uri) { secure_link a; } }", '"secure_link" directive is not allowed here'),
    ("location / { limit_except GET { secure_link_md5 a; } }", '"secure_link_md5" directive is not allowed here')])
def test_refused(command, text, message):
    result = command(text).command("-t")
    assert result.returncode == 1 and message in result.stderr


@pytest.mark.parametrize("text", [
    "secure_link a; secure_link_md5 b; location / { secure_link_secret x; }", "location / { secure_link_secret x; location /a { secure_link a; } }",
    "location / { secure_link_secret ''; }", "location / { secure_link_secret a; location /b { return 200 x; } }"])
def test_accepted(command, text):
    assert command(text, http="secure_link a;" if "location /a" in text else "").command("-t").returncode == 0
