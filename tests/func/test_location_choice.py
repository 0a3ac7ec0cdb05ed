# SPDX-License-Identifier: Apache-2.0
"""Which location takes a request, nested and named ones, internal, limit of recursion."""
import pytest

LOCATIONS = """
    location / { return 200 root; }
    location = / { return 200 exact-root; }
    location = /exact { return 200 exact; }
    location /exact { return 200 prefix-exact; }
    location /images/ { return 200 images; }
    location ^~ /images/fast/ { return 200 fast; }
    location ~ \\.(gif|jpg)$ { return 200 "re-$1"; }
    location ~* \\.PNG$ { return 200 png; }
    location ~ ^/user/(?<name>[a-z]+)/(\\d+)$ { return 200 "user-$name-$2-$1"; }
    location /documents/ { return 200 documents; }
    location /documents/private { return 200 private; }
    location /sp%20ace { return 200 literal; }
    location "/a b" { return 200 space; }
    location ~ ^/quant/a{2,3}$ { return 200 never; }
    location /nest/ {
        return 200 nest;
        location /nest/in/ {
            return 200 in;
            location = /nest/in/exact { return 200 in-exact; }
            location ~ \\.in$ { return 200 in-re; }
        }
        location ~ \\.gif$ { return 200 nest-gif; }
    }
    location ^~ /stop/ {
        location ~ \\.gif$ { return 200 stop-gif; }
        return 200 stop;
    }
"""
LOCATIONS = LOCATIONS.replace("location ~ ^/quant/a{2,3}$", 'location ~ "^/quant/a{2,3}$"')

CASES = [
    ("/", "exact-root"), ("/index", "root"), ("/exact", "exact"), ("/exact/", "prefix-exact"),
         ("/exactly", "prefix-exact"),
    ("/images/x", "images"), ("/images/x.gif", "re-gif"), ("/images/fast/x.gif", "fast"), ("/images/fast", "images"),
    ("/x.jpg", "re-jpg"), ("/x.JPG", "root"), ("/x.png", "png"), ("/x.pNg", "png"), ("/user/bob/42", "user-bob-42-bob"),
    ("/user/Bob/42", "root"), ("/documents/x", "documents"), ("/documents/private/x", "private"),
         ("/documents", "root"),
    ("/a%20b", "space"), ("/a%20b/c", "space"), ("/quant/aaa", "never"), ("/quant/a", "root"),
    ("/nest/x", "nest"), ("/nest/in/x", "in"), ("/nest/in/exact", "in-exact"), ("/nest/in/x.in", "in-re"),
    ("/nest/x.gif", "nest-gif"), ("/nest/in/x.gif", "nest-gif"), ("/stop/x.gif", "stop-gif"), ("/stop/x.jpg", "stop"),
    ("/EXACT", "root"), ("/images//fast//x.gif", "fast"), ("/x/../exact", "exact"), ("/%65xact", "exact"),
    ("/exact?a=b", "exact"), ("/x.gif?y", "re-gif"),
]


@pytest.fixture(scope="module")
def locations(weir_shared):
    return weir_shared.server(LOCATIONS)


@pytest.mark.parametrize("target,expect", CASES)
def test_location(locations, target, expect):
    assert locations.get(target).text == expect


def test_regexes_in_order_of_the_file(weir):
    server = weir("location ~ /a { return 200 first; } location ~ /ab { return 200 second; }")
    assert server.get("/ab").text == "first"
    assert server.get("/b").status == 404


def test_no_location_matches(weir):
    assert weir("location /a { return 200 a; }").get("/b").status == 404


def test_return_in_server_comes_first(weir):
    assert weir("return 200 server; location / { return 200 location; }").get("/").text == "server"


def test_internal_is_404_from_outside(weir):
    server = weir("""location /in { internal; return 200 inside; }
                     location /out { error_page 404 = /in; return 404; }""")
    assert server.get("/in").status == 404
    assert (server.get("/out").status, server.get("/out").text) == (200, "inside")


def test_named_location(weir):
    server = weir("""location / { error_page 418 = @named; return 418; }
                     location @named { return 200 "named $uri $args"; }""")
    assert server.get("/x?y=z").text == "named /x y=z"
    assert server.get("/@named").text == "named /@named "


def test_redirection_cycle_ends(weir):
    server = weir("""recursive_error_pages on;
        location / { error_page 404 = /again; return 404; }""")
    assert server.get("/x").status == 500
    server.wait_log("rewrite or internal redirection cycle")


def test_many_locations(weir):
    blocks = "\n".join(f"location /p{i}/ {{ return 200 p{i}; }} location = /e{i} {{ return 200 e{i}; }}" for i in range(200))
    client = weir(blocks + "location / { return 200 other; }").client()
    for i in range(0, 200, 9):
        assert client.get(f"/p{i}/x").text == f"p{i}"
        assert client.get(f"/e{i}").text == f"e{i}"
        assert client.get(f"/e{i}x").text == "other"
        assert client.get(f"/p{i}").text == "other"


def test_location_inherits_from_its_server(weir):
    server = weir("""default_type a/b; location / { return 200 x; } location /own { default_type c/d; return 200 x;
                     location /own/deep { return 200 x; } }""", http="default_type e/f;")
    assert server.get("/").headers["Content-Type"] == "a/b"
    assert server.get("/own").headers["Content-Type"] == "c/d"
    assert server.get("/own/deep").headers["Content-Type"] == "c/d"
