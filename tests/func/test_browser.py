# SPDX-License-Identifier: Apache-2.0
"""modern_browser, ancient_browser, $msie: what counts as which age, inheritance, what -t says."""
import pytest

SHOW = '"$modern_browser,$ancient_browser,$msie"'
SERVER = f"""
    location /default {{ return 200 {SHOW}; }}
    location /many {{ ancient_browser Links Lynx netscape4; modern_browser msie 5.5; modern_browser gecko 1.0.0; modern_browser opera 9.0;
                      modern_browser safari 413; modern_browser konqueror 3.0; return 200 {SHOW}; }}
    location /unlisted {{ modern_browser unlisted; ancient_browser Links Lynx; return 200 {SHOW}; }}
    location /mixed {{ modern_browser unlisted; modern_browser msie 7.0; return 200 {SHOW}; }}
    location /old {{ ancient_browser Links; return 200 {SHOW}; }}
    location /netscape {{ modern_browser unlisted; ancient_browser netscape4; return 200 {SHOW}; }}
    location /value {{ modern_browser msie 7.0; modern_browser_value M; ancient_browser_value A; return 200 {SHOW};
                       location /value/x {{ ancient_browser Foo; return 200 {SHOW}; }}
                       location /value/y {{ ancient_browser_value B; modern_browser msie 9; return 200 {SHOW}; }} }}
"""
MSIE = "Mozilla/4.0 (compatible; MSIE %s; Windows NT 5.1)"
GECKO = "Mozilla/5.0 (X11; U; rv:%s) Gecko/20070322"
KHTML = "Mozilla/5.0 (Mac) AppleWebKit/420 (KHTML, like Gecko) Version/3.0 Safari/%s"


@pytest.fixture(scope="module")
def server(weir_shared):
    return weir_shared.server(SERVER)


def ages(server, target, agent):
    return server.get(target, {} if agent is None else {"User-Agent": agent}).text.split(",")


@pytest.mark.parametrize("agent,modern", [
    (None, "unlisted mixed netscape"), ("", "unlisted mixed netscape"), ("curl/7", "unlisted mixed netscape"), ("Links (2.1)", "mixed netscape"),
    (MSIE % "5.0", "unlisted"), (MSIE % "5.5", "many unlisted"), (MSIE % "6.0", "many unlisted"),
    (MSIE % "10.0", "many unlisted mixed value"), ("Mozilla/5.0 (X11; U) Gecko/20070322 Firefox/2.0", "unlisted mixed netscape"),
    (GECKO % "1.8.1", "many unlisted mixed netscape"), (GECKO % "0.9", "unlisted mixed netscape"), (GECKO % "109.0", "many unlisted mixed netscape"),
    (KHTML % "412", "unlisted mixed netscape"), (KHTML % "420", "many unlisted mixed netscape"), (KHTML % "537.36", "many unlisted mixed netscape"),
    ("Mozilla/5.0 (compatible; Konqueror/3.5; Linux)", "many unlisted mixed netscape"),
    ("Mozilla/5.0 (compatible; Konqueror/2.2; Linux)", "unlisted mixed netscape"), ("Mozilla/4.7 [en] (X11)", "unlisted mixed"),
    ("Mozilla/5.0 (Windows NT 10.0; Trident/7.0; rv:11.0) like Gecko", "many unlisted mixed netscape")])
def test_age(server, agent, modern):
    names = ("default", "many", "unlisted", "mixed", "old", "netscape", "value")
    found = [(name, ages(server, "/" + name, agent)) for name in names]
    assert " ".join(name for name, values in found if values[0]) == modern
    assert all(bool(values[0]) != bool(values[1]) for _, values in found)


def test_opera(server):
    for agent in ("Opera/9.0 (X11)", "Mozilla/4.0 (compatible; MSIE 6.0; X11) Opera 9.10"):
        assert ages(server, "/many", agent) == ["1", "", ""]
    for agent in ("Opera/8.5", "Mozilla/4.0 (compatible; MSIE 6.0) Opera 7.0"):
        assert ages(server, "/many", agent) == ["", "1", ""]


@pytest.mark.weir_only("nginx takes Opera for an ancient browser where only others are listed, and wants a fixed place for MSIE")
def test_what_is_not_listed_is_unlisted(server):
    assert ages(server, "/mixed", "Opera/9.0 (X11)")[0] == "1"
    assert ages(server, "/value", "Foo (MSIE 7.0)")[0] == "M"


@pytest.mark.parametrize("agent,expect", [(MSIE % "5.0", "1"), (MSIE % "10.0", "1"), ("curl/7", ""), (GECKO % "1", ""), (None, ""),
                                          ("Mozilla/4.0 (compatible; MSIE 6.0; X11) Opera 9.10", "")])
def test_msie(server, agent, expect):
    assert ages(server, "/default", agent)[2] == expect


def test_values_and_inheritance(server):
    assert [ages(server, "/value" + t, MSIE % "8.0")[:2] for t in ("", "/x", "/y")] == [["M", ""], ["M", ""], ["", "B"]]
    assert [ages(server, "/value" + t, "curl")[:2] for t in ("", "/x", "/y")] == [["", "A"], ["", "A"], ["", "B"]]


@pytest.mark.parametrize("text,message", [
    ("ancient_browser;", 'invalid number of arguments in "ancient_browser" directive'),
    ("ancient_browser_value;", 'invalid number of arguments'), ("ancient_browser_value a b;", 'invalid number of arguments'),
    ("modern_browser;", 'invalid number of arguments in "modern_browser" directive'), ("modern_browser msie 1.0 2.0;", 'invalid number of arguments'),
    ("modern_browser_value;", 'invalid number of arguments'), ("modern_browser unlisted x;", 'unknown browser name "unlisted"'),
    ("modern_browser foo 1.0;", 'unknown browser name "foo"'), ("modern_browser msie x;", 'invalid browser version "x"'),
    ("modern_browser msie 5.x;", 'invalid browser version "5.x"'),
    ("location / { if ($uri) { ancient_browser x; } }", '"ancient_browser" directive is not allowed here')])
def test_refused(command, text, message):
    result = command(text).command("-t")
    assert result.returncode == 1 and message in result.stderr


@pytest.mark.weir_only("nginx refuses it without a word")
def test_a_browser_needs_a_version(command):
    result = command("modern_browser msie;").command("-t")
    assert result.returncode == 1 and '"modern_browser msie" needs a version in' in result.stderr


@pytest.mark.parametrize("text", [
    "ancient_browser a; ancient_browser b netscape4;", "ancient_browser_value a; ancient_browser_value b;", "modern_browser msie 5.5.5.5;",
    "modern_browser MSIE 5; modern_browser msie 6;", "modern_browser unlisted; modern_browser unlisted;", "modern_browser msie '';"])
def test_accepted(command, text):
    assert command(text).command("-t").returncode == 0
