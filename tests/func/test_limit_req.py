# SPDX-License-Identifier: Apache-2.0
"""limit_req: burst, nodelay, delay, several zones, dry run, log and status, clients that leave, threads, reload, what -t says."""
import itertools
import re
import threading
import time

import pytest

from weirtest.client import build_request
from weirtest.server import IS_NGINX
from weirtest.timing import LIMIT, in_time, wait_for

ZONES = """
    limit_req_zone $arg_k zone=slow:1m rate=1r/m;
    limit_req_zone $arg_k zone=two:1m rate=2r/s;
    limit_req_zone $arg_j zone=other:1m rate=1r/m;
    limit_req_zone $http_x_key$arg_long zone=text:1m rate=1r/m;
    log_format l "$uri $arg_k $status $limit_req_status";
"""
LOG = "access_log {dir}/access.log l;"


def statuses(server, target, count):
    client = server.client()
    return [client.get(target).status for _ in range(count)]


def limited(**params):
    """A location that answers by a file, as `return` would come before the limits."""
    return "keepalive_requests 1000000; root {dir}/www; error_page 404 = @none; location @none { return 404; }" + \
        " ".join(f"location /{name} {{ {text} }}" for name, text in params.items())


KEYS = itertools.count(1)


def timely(attempt, seconds):
    """What attempt(key) returned with a key of its own, within this time: requests that a busy machine brings later meet another
    state of the zone."""
    return in_time(lambda: attempt(f"t{next(KEYS)}"), seconds, "the requests")


FILES = {f"www/{name}": name.encode() for name in ("a", "b", "c", "d", "e", "f")}


def test_burst_nodelay_refuses_the_rest(weir):
    server = weir(limited(a="limit_req zone=slow burst=3 nodelay;", b="limit_req zone=slow;"), http=ZONES, files=FILES)
    assert statuses(server, "/a?k=1", 6) == [200] * 4 + [503] * 2
    assert statuses(server, "/b?k=2", 3) == [200, 503, 503]
    assert statuses(server, "/b?k=1", 1) == [503]       # the same zone: no burst left here
    lines = server.wait_log(r"\[error\].*limiting requests, excess: [34]\.\d{3} by zone \"slow\", client: 127\.0\.0\.1", 1)
    assert 'request: "GET /a?k=1 HTTP/1.1"' in lines[0]


def test_requests_without_a_key_are_not_counted(weir):
    server = weir(limited(a="limit_req zone=slow;"), http=ZONES, files=FILES)
    assert statuses(server, "/a", 3) + statuses(server, "/a?k=", 3) == [200] * 6
    assert statuses(server, "/a?k=x", 2) == [200, 503]


def test_key_of_several_variables_and_a_constant(weir):
    server = weir(limited(a="limit_req zone=text;", b="limit_req zone=const;"), files=FILES,
                  http=ZONES + 'limit_req_zone "same" zone=const:1m rate=1r/m;')
    assert [server.get("/a?long=b", {"X-Key": "a"}).status, server.get("/a?long=ab").status, server.get("/a?long=a", {"X-Key": "b"}).status] \
        == [200, 503, 200]
    assert [server.get("/b?k=1").status, server.get("/b?k=2").status] == [200, 503]


def test_delay(weir):
    server = weir(LOG + limited(a="limit_req zone=two burst=3;"), http=ZONES, files=FILES)

    def attempt(key):
        start = time.monotonic()
        client = server.client()
        client.send(build_request("GET", f"/a?k={key}") * 4)   # one connection: each waits for the one before
        assert [client.read_response("GET").status for _ in range(4)] == [200] * 4
        assert time.monotonic() - start > 1.4
        return key
    key = timely(attempt, 1.9)
    server.wait_log(rf"\[warn\].*delaying request, excess: (1\.000|0\.\d{{3}}), by zone \"two\", client:.*k={key} ", 3)

    def told():
        return sorted(line.split(" ", 2)[2] for line in server.read("access.log").splitlines() if f" {key} " in line)
    wait_for(lambda: told() == ["200 DELAYED"] * 3 + ["200 PASSED"], "the lines of the log")


def test_delays_add_up_over_connections(weir):
    server = weir(limited(a="limit_req zone=two burst=4;"), http=ZONES, files=FILES, main="worker_rlimit_nofile 1024;")

    def attempt(key):
        clients = [server.client() for _ in range(6)]
        start = time.monotonic()
        for client in clients:
            client.send(build_request("GET", f"/a?k={key}"))
        got = [client.read_response("GET").status for client in clients]
        return got, time.monotonic() - start
    got, took = timely(attempt, 2.4)     # the last one waits for two seconds
    assert got.count(503) == 1 and got.count(200) == 5 and took > 1.9


def test_two_stages(weir):
    """delay=: so many at once, further ones delayed, more than burst refused."""
    server = weir(LOG + limited(a="limit_req zone=two burst=4 delay=2;"), http=ZONES, files=FILES)

    def attempt(key):
        clients = [server.client() for _ in range(7)]
        for client in clients:
            client.send(build_request("GET", f"/a?k={key}"))
        return key, sorted(client.read_response("GET").status for client in clients)
    key, got = timely(attempt, 1.4)      # the last one waits for one second
    assert got == [200] * 5 + [503] * 2

    def told():
        return sorted(line.rsplit(" ", 1)[1] for line in server.read("access.log").splitlines() if f" {key} " in line)
    wait_for(lambda: told() == ["DELAYED"] * 2 + ["PASSED"] * 3 + ["REJECTED"] * 2, "the lines of the log")


def test_several_zones_and_refused_requests_count_nowhere(weir):
    server = weir(limited(a="limit_req zone=slow burst=2 nodelay; limit_req zone=other nodelay;"), http=ZONES, files=FILES)
    assert statuses(server, "/a?k=1&j=1", 4) == [200, 503, 503, 503]
    assert server.wait_log(r'by zone "other"', 3)
    # the refused ones were not counted in the first zone: two more fit there
    assert [server.get(f"/a?k=1&j={j}").status for j in (2, 3, 4)] == [200, 200, 503]
    server.wait_log(r'by zone "slow"')
    assert server.get("/a?k=9&j=4").status == 200          # nor in the second
    assert server.get("/a?j=5").status == 200 and server.get("/a?j=5").status == 503


def test_of_several_delays_the_longest(weir):
    server = weir(limited(a="limit_req zone=five burst=3; limit_req zone=two burst=3;"), files=FILES,
                  http=ZONES + "limit_req_zone $arg_k zone=five:1m rate=5r/s;")

    def attempt(key):
        start = time.monotonic()
        assert [server.get(f"/a?k={key}").status for _ in range(2)] == [200] * 2
        assert time.monotonic() - start > 0.45
        return key
    key = timely(attempt, 0.9)
    server.wait_log(rf'delaying request, excess: \d\.\d{{3}}, by zone "two".*k={key} ')


def test_dry_run(weir):
    server = weir(LOG + limited(a="limit_req zone=slow burst=1 nodelay; limit_req_dry_run on;", b="limit_req zone=slow2 burst=5; limit_req_dry_run on;"),
                  http=ZONES + "limit_req_zone $arg_k zone=slow2:1m rate=1r/m;", files=FILES)
    start = time.monotonic()
    assert statuses(server, "/a?k=1", 4) == [200] * 4
    assert statuses(server, "/b?k=1", 3) == [200] * 3
    assert time.monotonic() - start < 30        # one that waits would wait a minute
    server.wait_log(r'\[error\].*limiting requests, dry run, excess: [12]\.\d{3} by zone "slow"', 2)
    server.wait_log(r'\[warn\].*delaying request, dry run, excess: \d\.\d{3}, by zone "slow2"', 2)
    assert sorted(line.rsplit(" ", 1)[1] for line in server.access(7)) == \
        ["DELAYED_DRY_RUN"] * 2 + ["PASSED"] * 3 + ["REJECTED_DRY_RUN"] * 2


@pytest.mark.parametrize("level,refused,delayed", [("info", "info", "info"), ("notice", "notice", "info"), ("warn", "warn", "notice"),
                                                   ("error", "error", "warn")])
def test_log_level_and_status(weir, level, refused, delayed):
    server = weir(f"limit_req_log_level {level}; limit_req_status 429;" + limited(
        a="limit_req zone=slow;", b="limit_req zone=two burst=1;"), http=ZONES, files=FILES)
    assert statuses(server, "/a?k=1", 2) == [200, 429]
    assert timely(lambda key: statuses(server, f"/b?k={key}", 2), 0.9) == [200, 200]
    server.wait_log(rf"\[{refused}\].*limiting requests")
    server.wait_log(rf"\[{delayed}\].*delaying request")


def test_refusal_goes_through_error_page(weir):
    server = weir("error_page 503 =429 /busy; location /busy { return 200 busy; }" + limited(a="limit_req zone=slow;"), http=ZONES, files=FILES)
    server.get("/a?k=1")
    answer = server.get("/a?k=1")
    assert (answer.status, answer.text) == (429, "busy")


def test_a_request_is_counted_once(weir):
    """Redirects inside do not count again, nor in other zones."""
    server = weir(LOG + limited(a="limit_req zone=slow; try_files /nosuch /b;", b="limit_req zone=slow;", c="limit_req zone=other; try_files /nosuch /b;"),
                  http=ZONES, files=FILES)
    assert server.get("/a?k=1").status == 200
    assert server.get("/c?j=1&k=2").status == 200
    assert server.get("/b?k=2").status == 200       # it was not counted there
    assert server.get("/a?k=1").status == 503
    assert sorted(line.split()[0] for line in server.access(4)) == ["/a", "/b", "/b", "/b"]


def test_uncounted_request_has_no_status(weir):
    server = weir(LOG + limited(a="limit_req zone=slow;", b=""), http=ZONES, files=FILES)
    server.get("/a")
    server.get("/b?k=1")
    server.get("/a?k=1")
    assert sorted(server.access(3)) == ["/a - 200 -", "/a 1 200 PASSED", "/b 1 200 -"]


def test_inheritance(weir):
    server = weir("limit_req zone=slow; limit_req_status 429;" + limited(
        a="", b="limit_req zone=other;", c="limit_req_status 430;"), http=ZONES, files=FILES)
    assert statuses(server, "/a?k=1&j=1", 2) == [200, 429]
    assert statuses(server, "/b?k=1&j=1", 2) == [200, 429]   # its own limit takes the place of the server's
    assert statuses(server, "/c?k=1&j=2", 1) == [430]


def test_delayed_client_leaves(weir):
    """It is not served, and the log says so; those who wait stay."""
    server = weir(LOG + limited(a="limit_req zone=long burst=5;"), http=ZONES + "limit_req_zone $arg_k zone=long:1m rate=2r/m;", files=FILES)
    assert server.get("/a?k=1").status == 200
    client = server.client()
    client.send(build_request("GET", "/a?k=1"))
    server.wait_log("delaying request")
    client.close()
    # At once, not in half a minute when it would have been its turn; nginx looks then.
    wait_for(lambda: any(" 499 " in line for line in server.read("access.log").splitlines()), "the log line", 60 if IS_NGINX else min(LIMIT, 20))
    assert "/a 1 499 DELAYED" in server.access(2)
    server.wait_log("client prematurely closed connection")


def test_delayed_request_with_a_body(weir, origin):
    up = origin(lambda c: (c.read_request(), c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")))
    server = weir("location / { limit_req zone=half burst=5; proxy_pass http://{up}; }", http="limit_req_zone $arg_k zone=half:1m rate=30r/m;", up=up)
    client = server.client()
    assert client.request("POST", "/?k=1", body=b"x" * 1000).status == 200
    client.send(build_request("POST", "/?k=1", headers={"Content-Length": "70000"}), b"y" * 30000)
    server.wait_log("delaying request")
    client.send(b"y" * 40000)
    assert client.read_response("POST").status == 200


def test_quit_lets_delayed_requests_end(weir):
    server = weir(limited(a="limit_req zone=long burst=5;"), http="limit_req_zone $arg_k zone=long:1m rate=30r/m;", files=FILES)
    assert server.get("/a?k=1").status == 200
    client = server.client()
    client.send(build_request("GET", "/a?k=1"))
    server.wait_log("delaying request")
    server.signal("QUIT")
    assert client.read_response("GET").status == 200
    assert server.wait_exit() == 0


# several threads

def hammer(server, target, seconds, clients):
    """(passed, first and last time of a passed one as seen outside): (before it was sent, after it came)."""
    times, others = [], []

    def run():
        client = server.client()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            before = time.monotonic()
            status = client.get(target).status
            (times if status == 200 else others).append((before, time.monotonic()))
    threads = [threading.Thread(target=run) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert others
    return times, others


@pytest.mark.parametrize("workers", [1, 3])
def test_exact_rate(weir, workers):
    """Passed ones = rate * time + burst + 1, within 1, whatever the number of threads."""
    rate, burst, seconds = 50, 10, 3.4
    server = weir(limited(a=f"limit_req zone=exact burst={burst} nodelay; limit_req_log_level info;"), files=FILES, workers=workers,
                  http=f"limit_req_zone all zone=exact:1m rate={rate}r/s;")
    passed, others = hammer(server, "/a", seconds, 6)
    begin = min(passed)[0]
    latest = max(after for _, after in passed)
    assert len(passed) <= rate * (latest - begin) + burst + 1 + 1
    # Somebody asked all the time, so nothing that might have passed was missed: but for the time between two questions, and
    # for what did not fit into the burst meanwhile.
    gaps = [b[0] - a[0] for a, b in zip(sorted(passed + others), sorted(passed + others)[1:])]
    lost = max(gaps) + sum(max(0, gap - burst / rate) for gap in gaps)
    asked = max(before for before, _ in passed + others) - min(after for _, after in passed)
    assert len(passed) >= rate * (asked - lost) + burst + 1 - 1


def test_zone_is_kept_over_a_reload(weir):
    server = weir(limited(a="limit_req zone=slow burst=1 nodelay;"), http=ZONES, files=FILES)
    assert statuses(server, "/a?k=1", 3) == [200, 200, 503]
    text = server.read("nginx.conf")
    server.write("nginx.conf", text.replace("burst=1", "burst=2"))
    server.signal("HUP")
    wait_for(lambda: server.get("/a?k=1").status == 200, "the new burst")   # the bucket is as full as it was
    assert server.get("/a?k=1").status == 503


@pytest.mark.weir_only("nginx refuses to load a zone whose key changed")
def test_changed_key_or_size_begins_anew(weir):
    server = weir(limited(a="limit_req zone=slow;"), http=ZONES, files=FILES)
    assert statuses(server, "/a?k=1&j=1", 2) == [200, 503]
    text = server.read("nginx.conf")
    server.write("nginx.conf", text.replace("$arg_k zone=slow:1m", "$arg_k zone=slow:2m"))
    server.signal("HUP")
    wait_for(lambda: server.get("/a?k=1&j=1").status == 200, "the larger zone")
    server.write("nginx.conf", text.replace("$arg_k zone=slow:1m", "$arg_j zone=slow:2m"))
    server.signal("HUP")
    wait_for(lambda: server.get("/a?k=1&j=1").status == 200, "the other key")


def test_full_zone_refuses_nobody(weir):
    """Far more keys than fit: each new client passes, the oldest are forgotten."""
    server = weir(limited(a="limit_req zone=tiny;"), http="limit_req_zone $arg_k zone=tiny:32k rate=1r/m;", files=FILES)
    client = server.client()
    for i in range(1500):
        assert client.get(f"/a?k={i}").status == 200
    assert client.get("/a?k=1499").status == 503
    assert client.get("/a?k=0").status == 200


# configuration

Z = "limit_req_zone $arg_k zone=one:1m rate=1r/s;"


@pytest.mark.parametrize("http,message", [
    ("limit_req_zone;", 'invalid number of arguments in "limit_req_zone" directive'),
    ("limit_req_zone $host zone=one:1m;", 'invalid number of arguments in "limit_req_zone" directive'),
    ("limit_req_zone $host rate=1r/s zone=one;", 'invalid zone size "zone=one"'),
    ("limit_req_zone $host rate=1r/s zone=one:;", 'invalid zone size "zone=one:"'),
    ("limit_req_zone $host rate=1r/s zone=one:abc;", 'invalid zone size "zone=one:abc"'),
    ("limit_req_zone $host rate=1r/s zone=one:31k;", 'zone "zone=one:31k" is too small'),
    ("limit_req_zone $host rate=0r/s zone=one:1m;", 'invalid rate "rate=0r/s"'),
    ("limit_req_zone $host rate=1r/h zone=one:1m;", 'invalid rate "rate=1r/h"'),
    ("limit_req_zone $host rate=xr/s zone=one:1m;", 'invalid rate "rate=xr/s"'),
    ("limit_req_zone $host rate=-1r/m zone=one:1m;", 'invalid rate "rate=-1r/m"'),
    ("limit_req_zone $host rate= zone=one:1m;", 'invalid rate "rate="'),
    ("limit_req_zone $host x zone=one:1m;", 'invalid parameter "x"'),
    ("limit_req_zone $nosuch rate=1r/s zone=one:1m;", 'unknown "nosuch" variable'),
    ("limit_req_zone $host rate=1r/s zone=:1m;", '"limit_req_zone" must have "zone" parameter'),
    ("limit_req_zone $host rate=1r/s rate=2r/s;", '"limit_req_zone" must have "zone" parameter'),
    (Z + Z, 'limit_req_zone "one" is already bound to key "$arg_k"'),
    (Z + "limit_req_zone $host zone=one:2m rate=1r/s;", 'the size 2097152 of shared memory zone "one" conflicts with already declared size 1048576'),
    (Z + "limit_conn_zone $host zone=one:1m;", 'the shared memory zone "one" is already declared for a different use'),
    ("limit_req zone=nosuch;", 'zero size shared memory zone "nosuch"'),
    (Z + "limit_req zone=;", 'zero size shared memory zone ""'),
    (Z + "limit_req burst=5;", '"limit_req" must have "zone" parameter'),
    (Z + "limit_req zone=one burst=0;", 'invalid burst value "burst=0"'),
    (Z + "limit_req zone=one burst=-1;", 'invalid burst value "burst=-1"'),
    (Z + "limit_req zone=one burst=x;", 'invalid burst value "burst=x"'),
    (Z + "limit_req zone=one delay=0;", 'invalid delay value "delay=0"'),
    (Z + "limit_req zone=one delay=;", 'invalid delay value "delay="'),
    (Z + "limit_req zone=one x;", 'invalid parameter "x"'),
    (Z + "limit_req;", 'invalid number of arguments in "limit_req" directive'),
    (Z + "limit_req zone=one nodelay delay=5 burst=4;", 'invalid number of arguments in "limit_req" directive'),
    (Z + "limit_req zone=one burst=1; limit_req zone=one burst=2;", '"limit_req" directive is duplicate'),
    ("limit_req_status 399;", "value must be between 400 and 599"), ("limit_req_status 600;", "value must be between 400 and 599"),
    ("limit_req_status x;", '"limit_req_status" directive invalid number'), ("limit_req_status 404 405;", 'invalid number of arguments'),
    ("limit_req_status 404; limit_req_status 404;", '"limit_req_status" directive is duplicate'),
    ("limit_req_log_level debug;", 'invalid value "debug"'), ("limit_req_log_level;", "invalid number of arguments"),
    ("limit_req_dry_run x;", 'invalid value "x" in "limit_req_dry_run" directive, it must be "on" or "off"'),
    ("server { %s }" % Z, '"limit_req_zone" directive is not allowed here'),
    (Z + "server { if ($host) { limit_req zone=one; } }", '"limit_req" directive is not allowed here'),
    (Z + "server { location / { if ($host) { limit_req zone=one; } } }", '"limit_req" directive is not allowed here'),
    (Z + "server { location / { limit_except GET { limit_req zone=one; } } }", '"limit_req" directive is not allowed here'),
    ("server { if ($host) { limit_req_status 500; } }", '"limit_req_status" directive is not allowed here'),
    ("server { if ($host) { limit_req_dry_run on; } }", '"limit_req_dry_run" directive is not allowed here'),
])
def test_bad_directives(command, http, message):
    if "limit_except" in http and not IS_NGINX:
        pytest.skip("limit_except is no part of these directives")
    result = command("return 200;", http=http).command("-t")
    assert result.returncode == 1 and message in result.stderr, result.stderr


@pytest.mark.parametrize("http", [
    Z, Z + "limit_req zone=one;", "limit_req zone=one burst=5 nodelay;" + Z, Z + "limit_req zone=one delay=5;", Z + "limit_req burst=4 delay=2 zone=one;",
    "limit_req_zone $host rate=1 zone=one:1m;", 'limit_req_zone "" rate=7r/m zone=one:32k;', Z + "limit_req_zone $host zone=two:1m rate=1r/s; limit_req zone=one; limit_req zone=two;",
    "limit_req_status 400; limit_req_log_level info; limit_req_dry_run off;", Z + "server { limit_req zone=one; location / { limit_req zone=one; } }"])
def test_good_directives(command, http):
    result = command("return 200;", http=http).command("-t")
    assert result.returncode == 0, result.stderr


@pytest.mark.weir_only("our message has the place")
def test_unknown_zone_has_a_place(command):
    result = command("limit_req zone=nosuch;").command("-t")
    assert re.search(r'zero size shared memory zone "nosuch" in .*nginx\.conf:\d+', result.stderr)
