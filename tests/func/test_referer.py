# SPDX-License-Identifier: Apache-2.0
"""valid_referers: which words fit which Referer, server names, inheritance, what -t says."""
import pytest

LOCATIONS = r"""
    location /all { valid_referers none blocked *.example.com example.* www.foo.org/galleries/ ~\.google\. .dot.net "a.b:80" wild.org;
                    return 200 "[$invalid_referer]"; }
    location /none { valid_referers none zz; return 200 "[$invalid_referer]"; }
    location /blocked { valid_referers blocked zz; return 200 "[$invalid_referer]"; }
    location /nothing { return 200 "[$invalid_referer]"; }
    location /path { valid_referers *.e.com/p e.*/q .z.com/r; return 200 "[$invalid_referer]";
                     location /path/same { return 200 "[$invalid_referer]"; }
                     location /path/own { valid_referers other.com; return 200 "[$invalid_referer]"; } }
    location /regex { valid_referers ~^foo\.com/x ~CASE; return 200 "[$invalid_referer]"; }
    location /one { valid_referers a.com/x; return 200 "[$invalid_referer]"; }
    location /if { valid_referers wild.org; if ($invalid_referer) { return 403; } return 200 "[]"; }
    location /names { valid_referers server_names; return 200 "[$invalid_referer]"; }
    location /repeat { valid_referers a.com; valid_referers b.com none; return 200 "[$invalid_referer]"; }
"""
SERVER = r"server_name my.com *.star.com tail.* ~^re\d\.com .both.com;" + LOCATIONS


@pytest.fixture(scope="module")
def server(weir_shared):
    return weir_shared.server(SERVER)


def is_valid(server, target, referer):
    text = server.get(target, {} if referer is None else {"Referer": referer}).text
    assert text in ("[]", "[1]")
    return text == "[]"


@pytest.mark.parametrize("referer,expect", [
    (None, "all none nothing"), ("", "all blocked nothing"), ("-", "all blocked nothing"), ("foo", "all blocked nothing"),
    ("ftp://wild.org/", "all blocked nothing"), ("http:/wild.org", "all blocked nothing"), ("//wild.org/", "all blocked nothing"),
    ("http://example.com", "all nothing"), ("http://www.example.com/", "all nothing"), ("https://WWW.EXAMPLE.com/x", "all nothing"),
    ("http://example.org/", "all nothing"), ("http://example.co.uk/", "all nothing"), ("http://xexample.com/", "nothing"),
    ("http://www.foo.org/", "nothing"), ("http://www.foo.org/galleries/1", "all nothing"), ("http://www.foo.org/galleries", "nothing"),
    ("http://www.foo.org:81/galleries/", "all nothing"), ("http://www.google.com/", "all nothing"), ("http://x.dot.net/", "all nothing"),
    ("http://dot.net", "all nothing"), ("http://xdot.net/", "nothing"), ("http://wild.org.evil.com/", "nothing"),
    ("HTTP://wild.org/", "all nothing"), ("http://wild.org:8080", "all nothing"), ("http://a.b:80/", "nothing")])
def test_words(server, referer, expect):
    assert " ".join(name for name in ("all", "none", "blocked", "nothing") if is_valid(server, "/" + name, referer)) == expect


@pytest.mark.weir_only("nginx takes a short URL for a blocked one, a host to end at '/' or ':' only, and a user for a host")
@pytest.mark.parametrize("referer,expect", [
    ("http://", "nothing"), ("https://", "nothing"), ("http://x.y", "nothing"), ("http://wild.org?x", "all nothing"),
    ("http://wild.org#x", "all nothing"), ("http://wild.org:x@evil.com/", "nothing"), ("http://wild.org@evil.com/", "nothing")])
def test_forms_of_a_url(server, referer, expect):
    assert " ".join(name for name in ("all", "none", "blocked", "nothing") if is_valid(server, "/" + name, referer)) == expect


@pytest.mark.parametrize("target,referer,expect", [
    ("/path", "http://w.e.com/p", True), ("/path", "http://w.e.com/x", False), ("/path", "http://e.org/q1", True),
    ("/path", "http://e.org/", False), ("/path", "http://z.com/r", True), ("/path", "http://q.z.com/rr", True),
    ("/path", "http://z.com/", False), ("/path/same", "http://w.e.com/p", True), ("/path/same", "http://bad.com/", False),
    ("/path/own", "http://w.e.com/p", False), ("/path/own", "http://other.com/", True),
    ("/regex", "http://foo.com/x", True), ("/regex", "http://xfoo.com/x", False), ("/regex", "https://foo.com/xx", True),
    ("/regex", "http://aaaa/case", True), ("/regex", "http://aaaa/CASE", True), ("/one", "http://a.com/x", True),
    ("/one", "http://a.com/y", False), ("/repeat", "http://a.com/y", True), ("/repeat", "http://b.com/y", True), ("/repeat", None, True)])
def test_paths_and_regexes(server, target, referer, expect):
    assert is_valid(server, target, referer) == expect


@pytest.mark.parametrize("referer,expect", [
    ("http://my.com/", True), ("http://x.star.com/", True), ("http://star.com", False), ("http://tail.org", True),
    ("http://re1.com/", True), ("http://both.com", True), ("http://x.both.com/", True), ("http://other.com", False), (None, False)])
def test_server_names(server, referer, expect):
    assert is_valid(server, "/names", referer) == expect


@pytest.mark.weir_only("nginx calls it a conflict")
def test_name_that_the_list_has_too(weir):
    server = weir('server_name my.com *.star.com; location / { valid_referers server_names my.com/x *.star.com/x; return 200 "[$invalid_referer]"; }')
    assert [is_valid(server, "/", "http://my.com" + path) for path in ("/x", "/y")] == [True, True]


def test_refusal(server):
    assert [server.get("/if", {"Referer": r}).status for r in ("http://wild.org/", "http://evil.com/")] == [200, 403]


def test_of_the_server(weir):
    made = weir(r"""valid_referers a.com; location / { return 200 "[$invalid_referer]"; }
                    location /own { valid_referers b.com; return 200 "[$invalid_referer]"; }""")
    assert [is_valid(made, t, "http://a.com/x") for t in ("/", "/own")] == [True, False]


@pytest.mark.parametrize("text,message", [
    ("valid_referers;", 'invalid number of arguments in "valid_referers" directive'),
    ("location / { if ($uri) { valid_referers none; } }", '"valid_referers" directive is not allowed here'),
    ("valid_referers none none;", 'the "none" or "blocked" referers are specified in the "valid_referers" directive without any valid referer'),
    ("valid_referers none; valid_referers blocked;", "without any valid referer"),
    ("valid_referers a*b;", 'invalid hostname or wildcard "a*b"'), ("valid_referers *;", 'invalid hostname or wildcard "*"'),
    ("valid_referers *.;", 'invalid hostname or wildcard "*."'), ("valid_referers *.*;", 'invalid hostname or wildcard "*.*"'),
    ("valid_referers *a.com;", 'invalid hostname or wildcard "*a.com"'), ("valid_referers a..b;", 'invalid hostname or wildcard "a..b"'),
    ("valid_referers ~(;", 'in "("'), ("valid_referers a.com a.com;", 'conflicting parameter "a.com"'),
    ("valid_referers *.a.com *.a.com;", 'conflicting parameter "*.a.com"'), ("valid_referers a.com/x a.com;", 'conflicting parameter "a.com"'),
    ("valid_referers '';", 'invalid referer ""'), ("valid_referers ~;", 'empty regex in "~"'),
    ("referer_hash_max_size x;", "invalid number"), ("referer_hash_bucket_size 64; referer_hash_bucket_size 64;", '"referer_hash_bucket_size" directive is duplicate'),
    ("referer_hash_max_size;", 'invalid number of arguments in "referer_hash_max_size" directive')])
def test_refused(command, text, message):
    result = command(text).command("-t")
    assert result.returncode == 1 and message in result.stderr


@pytest.mark.parametrize("http", ["valid_referers a.com;", "referer_hash_max_size 100;", "referer_hash_bucket_size 100;"])
def test_not_in_http(command, http):
    result = command("", http=http).command("-t")
    assert result.returncode == 1 and "directive is not allowed here" in result.stderr


@pytest.mark.parametrize("text", ["valid_referers /x;", "valid_referers http://a.com;", "valid_referers server_names;",
                                  "referer_hash_max_size 2048; referer_hash_bucket_size 128; location / { referer_hash_max_size 1; }"])
def test_accepted(command, text):
    assert command(text).command("-t").returncode == 0
