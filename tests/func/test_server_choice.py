# SPDX-License-Identifier: Apache-2.0
"""Which server takes a request: listens, default_server, names exact, by wildcard and by regex."""
import pytest

NAMES = """
server { listen 127.0.0.1:{port}; server_name _; return 200 default; }
server { listen 127.0.0.1:{port}; server_name one.example ONE-B.example; return 200 exact; }
server { listen 127.0.0.1:{port}; server_name *.example; return 200 lead; }
server { listen 127.0.0.1:{port}; server_name *.long.example; return 200 longlead; }
server { listen 127.0.0.1:{port}; server_name www.*; return 200 trail; }
server { listen 127.0.0.1:{port}; server_name www.long.*; return 200 longtrail; }
server { listen 127.0.0.1:{port}; server_name .dot.test; return 200 dot; }
server { listen 127.0.0.1:{port}; server_name ~^re(?<num>\\d+)\\.(test|tset)$; return 200 "re-$num-$2"; }
server { listen 127.0.0.1:{port}; server_name ~^re.*; return 200 second; }
server { listen 127.0.0.1:{port}; server_name ~^UPPER\\.case$; return 200 upper; }
server { listen 127.0.0.1:{port}; server_name exact.dot.test; return 200 exactdot; }
server { listen 127.0.0.1:{port}; server_name ""; return 200 empty; }
"""

CASES = [
    ("one.example", "exact"), ("ONE.Example", "exact"), ("one-b.example", "exact"), ("one.example:80", "exact"),
    ("one.example.", "exact"), ("x.example", "lead"), ("x.y.example", "lead"), ("a.long.example", "longlead"),
    ("long.example", "lead"), ("www.example", "lead"), ("www.org", "trail"), ("www.a.b", "trail"),
         ("www.long.org", "longtrail"),
    ("dot.test", "dot"), ("a.dot.test", "dot"), ("a.b.dot.test", "dot"), ("exact.dot.test", "exactdot"),
    ("re12.test", "re-12-test"), ("re7.tset", "re-7-tset"), ("RE7.TEST", "re-7-test"), ("rexyz", "second"),
    ("upper.case", "upper"), ("example", "default"), ("other", "default"), ("127.0.0.1", "default"),
         ("[::1]", "default"),
    ("www", "default"),
]


@pytest.fixture(scope="module")
def names(weir_shared):
    return weir_shared.server(http=NAMES)


@pytest.mark.parametrize("host,expect", CASES)
def test_name(names, host, expect):
    assert names.get("/", {"Host": host}).text == expect


def test_absolute_form_beats_host(names):
    assert names.get("http://one.example/", {"Host": "www.org"}).text == "exact"


def test_empty_name_takes_requests_without_host(names):
    assert names.get("/", version="1.0", host=None).text == "empty"


def test_name_is_chosen_anew_for_each_request(names):
    client = names.client()
    for host, expect in (("one.example", "exact"), ("www.org", "trail"), ("one.example", "exact"),
                         ("nobody", "default")):
        assert client.get("/", {"Host": host}).text == expect


def test_default_server_parameter(weir):
    server = weir(http="""
        server { listen 127.0.0.1:{port}; server_name a; return 200 a; }
        server { listen 127.0.0.1:{port} default_server; server_name b; return 200 b; }""")
    assert server.get("/", {"Host": "a"}).text == "a"
    assert server.get("/", {"Host": "c"}).text == "b"


def test_first_server_is_default(weir):
    server = weir(http="""
        server { listen 127.0.0.1:{port}; server_name a; return 200 a; }
        server { listen 127.0.0.1:{port}; server_name b; return 200 b; }""")
    assert server.get("/", {"Host": "c"}).text == "a"


def test_names_belong_to_their_listen(weir):
    server = weir(http="""
        server { listen 127.0.0.1:{port}; server_name a; return 200 a1; }
        server { listen 127.0.0.1:{port2}; server_name a; return 200 a2; }
        server { listen 127.0.0.1:{port2}; server_name b; return 200 b2; }""")
    assert server.get("/", {"Host": "b"}).text == "a1"
    assert server.get("/", {"Host": "b"}, port="port2").text == "b2"
    assert server.get("/", {"Host": "a"}, port="port2").text == "a2"


def test_several_listens_of_one_server(weir):
    server = weir(http="server { listen 127.0.0.1:{port}; listen 127.0.0.1:{port2}; return 200 $server_port; }")
    assert server.get("/").text == str(server.port)
    assert server.get("/", port="port2").text == str(server.names["port2"])


def test_wildcard_and_exact_address(weir):
    # The address the connection came to decides first.
    server = weir(http="""
        server { listen *:{port}; return 200 any; }
        server { listen 127.0.0.1:{port}; return 200 exact; }""")
    assert server.get("/").text == "exact"
    with server.client(("127.0.0.2", server.port)) as client:
        assert client.get("/").text == "any"


def test_listen_port_only(weir):
    assert weir(http="server { listen {port}; return 200 $server_addr; }").get("/").text == "127.0.0.1"


def test_listen_unix(weir):
    server = weir(http='server { listen unix:{dir}/s.sock; return 200 "$server_addr|$remote_addr|$server_port"; }')
    with server.client(server.path("s.sock")) as client:
        assert client.get("/").text == f"unix:{server.path('s.sock')}|unix:|"


def test_listen_v6(weir):
    server = weir(http='server { listen [::1]:{port}; return 200 "$server_addr|$remote_addr|$host"; }')
    with server.client(("::1", server.port)) as client:
        assert client.get("/", {"Host": "[::1]:99"}).text == "::1|::1|[::1]"


def test_listen_v6_and_v4_on_one_port(weir):
    server = weir(http="""server { listen [::]:{port} ipv6only=on; return 200 six; }
                          server { listen {port}; return 200 four; }""")
    assert server.get("/").text == "four"
    with server.client(("::1", server.port)) as client:
        assert client.get("/").text == "six"


@pytest.mark.parametrize("options", ["backlog=64", "rcvbuf=64k sndbuf=64k", "reuseport", "so_keepalive=on",
                                     "so_keepalive=30m::10", "deferred", "fastopen=16",
                                     "reuseport backlog=128 default_server"])
def test_listen_options(weir, options):
    server = weir(http="server { listen 127.0.0.1:{port} " + options + "; return 200 ok; }")
    assert server.get("/").text == "ok"


def test_conflicting_name_is_a_warning(weir):
    server = weir(http="""
        server { listen 127.0.0.1:{port}; server_name a; return 200 first; }
        server { listen 127.0.0.1:{port}; server_name A; return 200 second; }""")
    assert f'[warn]' in server.log() or '[warn]' in server.output()
    assert f'conflicting server name "a" on 127.0.0.1:{server.port}, ignored' in server.log() + server.output()
    assert server.get("/", {"Host": "a"}).text == "first"


def test_server_name_variable(weir):
    server = weir(http="server { listen 127.0.0.1:{port}; server_name a b *.c; return 200 $server_name; }")
    assert server.get("/", {"Host": "b"}).text == "a"
    assert server.get("/", {"Host": "x.c"}).text == "a"


def test_hostname_in_server_name(weir):
    server = weir(http="""
        server { listen 127.0.0.1:{port}; return 200 default; }
        server { listen 127.0.0.1:{port}; server_name $hostname; return 200 "$hostname"; }""")
    import socket
    name = socket.gethostname().lower()
    assert server.get("/", {"Host": name}).text == name


def test_many_server_names(weir):
    blocks = "\n".join(f"server {{ listen 127.0.0.1:{{port}}; server_name h{i}.example; return 200 {i}; }}" for i in range(300))
    server = weir(http="server_names_hash_max_size 4096; server_names_hash_bucket_size 128;\n" + blocks)
    client = server.client()
    for i in range(0, 300, 7):
        assert client.get("/", {"Host": f"h{i}.example"}).text == str(i)
