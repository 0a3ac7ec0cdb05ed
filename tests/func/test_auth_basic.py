# SPDX-License-Identifier: Apache-2.0
"""auth_basic: forms of hashes, what a file may hold, satisfy, auth_delay, files that change or are root's, a login storm."""
import base64
import glob
import hashlib
import os
import selectors
import time

import pytest

from weirtest.server import IS_NGINX
from weirtest.timing import LIMIT, SLOW, in_time, wait_for

SHA = base64.b64encode(hashlib.sha1(b"pw").digest()).decode()
SSHA = base64.b64encode(hashlib.sha1(b"pwsalt").digest() + b"salt").decode()
BCRYPT12 = "$2y$12$abcdefghijklmnopqrstuunYdhHrPrQsWwVD7FJZar2U048CuDd2m"

USERS = f"""# comment:{{PLAIN}}pw
plain:{{PLAIN}}pw
sha:{{SHA}}{SHA}
ssha:{{SSHA}}{SSHA}
md5:$1$abcdefgh$IQtUouv7y7Q9dRWkQEPCc.
apr1:$apr1$abcdefgh$5VEbMkemELfbhC5ck.U.z1
apr1empty:$apr1$ab$S8K6Sgp3W8c9Jb6LxgywZ.
s5:$5$abcdefgh$ijtOJ//yvc/9bq1g0llFn9dB688BwBDRD90DlKKSKE1
s6:$6$abcdefgh$KQeXafAQAaOoKTevphVU215RvJdgzyfASRasIOuh12hO8u0r1bGW92ZnTmC9IjsiQ8VPiTXBiZF49dFL1U4wX/
bc:$2y$04$/jHAyxzoY4kynYnrh7IjNu2eB8GoUdcwqY076xAzqskp4B6vmgYvS
bc2a:$2a$04$abcdefghijklmnopqrstuuyvPXIbu7xe6/CED2DzX8z6Si09MlzlW
y:$y$j75$F5Jx5fExrKuPp53xLKQ..1$6z8bJ9aRId.8ArLYSYDplRF69XwusC3CguNEDPO713.
des:2QgDQCF8n2GDE
nohash
empty:
raw:pw
dup:{{PLAIN}}pw
dup:{{PLAIN}}two
cr:{{PLAIN}}pw\r
com:{{PLAIN}}pw:comment:x
 sp:{{PLAIN}}pw
lower:{{plain}}pw
sha2:{{SHA}}zzz
ssha2:{{SSHA}}AA==
star:*
bang:!
:{{PLAIN}}pw
unknown:$nope$x$y
long:{{PLAIN}}{"x" * 300}
last:{{PLAIN}}pw"""

SERVER = """
    root {dir}; auth_basic_user_file ht;
    location / { auth_basic "re$arg_r"; try_files /f =404; }
    location /none { auth_basic x; auth_basic_user_file nofile; try_files /f =404; }
    location /dir { auth_basic x; auth_basic_user_file {dir}/folder; try_files /f =404; }
    location /empty { auth_basic ""; try_files /f =404; }
    location /v { auth_basic $arg_x; auth_basic_user_file {dir}/$arg_f; try_files /f =404; }
    location /rel { auth_basic x; auth_basic_user_file $arg_f; try_files /f =404; }
    location /any { satisfy any; deny all; auth_basic a; try_files /f =404; }
    location /any2 { satisfy any; allow 127.0.0.1; deny all; auth_basic a; try_files /f =404; }
    location /any3 { satisfy any; deny 1.1.1.1; auth_basic a; try_files /f =404; }
    location /any4 { satisfy any; deny all; auth_basic a; auth_basic_user_file nofile; try_files /f =404; }
    location /all { deny all; auth_basic a; try_files /f =404; }
    location /all2 { allow all; auth_basic a; try_files /f =404; }
    location /page { auth_basic a; error_page 401 /pub; try_files /f =404; }
    location /page2 { auth_basic a; error_page 401 =403 /pub; try_files /f =404; }
    location /pub { return 200 "page"; }
    location /off { auth_basic a; try_files /f =404; location /off/x { auth_basic off; try_files /f =404; }
                    location /off/y { auth_basic b; try_files /f =404; } }
    location /only_post { limit_except GET { auth_basic p; } proxy_pass http://127.0.0.1:1; }
    location /delay { auth_delay 300ms; auth_basic a; try_files /f =404; }
    location /delay_any { satisfy any; deny all; auth_delay 300ms; auth_basic a; try_files /f =404; }
"""


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


GOOD, BAD = basic("plain", "pw"), basic("plain", "no")


@pytest.fixture(scope="module")
def server(weir_shared):
    return weir_shared.server(SERVER, files={"ht": USERS.encode(), "f": b"file", "folder/x": b"", "sub/ht": b"sub:{PLAIN}s\n"},
                              allow=[r'pread\(\) ".*" failed \(21: Is a directory\)', r'open\(\) ".*" failed \(21: Is a directory\)'])


# forms

@pytest.mark.parametrize("user,password", [
    ("plain", "pw"), ("sha", "pw"), ("ssha", "pw"), ("md5", "pw"), ("apr1", "pw"), ("apr1empty", ""), ("s5", "pw"), ("s6", "pw"),
    ("bc", "pw"), ("bc2a", "pw"), ("y", "pw"), ("des", "pw"), ("dup", "pw"), ("cr", "pw"), ("com", "pw"), (" sp", "pw"), ("last", "pw"),
    pytest.param("long", "x" * 300, id="long")])
def test_the_right_password_comes_in_and_others_do_not(server, user, password):
    for _ in range(2):  # the second time a costly one is known
        assert server.get("/", basic(user, password)).status == 200
    for wrong in (password + "x", password[:-1] if password else "y", password.upper() + "!"):
        assert server.get("/", basic(user, wrong)).status == 401


@pytest.mark.parametrize("user,password", [
    ("# comment", "pw"), ("nohash", ""), ("empty", ""), ("raw", "pw"), ("dup", "two"), ("sp", "pw"), ("lower", "pw"), ("sha2", "pw"),
    ("ssha2", "pw"), ("star", "*"), ("bang", "!"), ("", "pw"), ("unknown", "pw"), ("nobody", "pw"), ("PLAIN", "pw"), ("plain", ""),
    ("com", "pw:comment:x"), ("cr", "pw\r"), pytest.param("bc", "x" * 600, id="bc-long"),
    pytest.param("des", "pw" * 300, id="des-long"), pytest.param("plain", "x" * 900, id="plain-long")])
def test_who_does_not_come_in(server, user, password):
    response = server.get("/", basic(user, password))
    assert (response.status, response.headers.get("WWW-Authenticate")) == (401, 'Basic realm="re"')


@pytest.mark.parametrize("value,status", [
    ("Basic", 401), ("Basic ", 401), ("basic " + GOOD["Authorization"][6:], 200), ("Basic   " + GOOD["Authorization"][6:], 200),
    ("Basic " + GOOD["Authorization"][6:].rstrip("="), 200), ("Basic !!!", 401), ("Digest x", 401),
    ("Basic " + base64.b64encode(b"plain").decode(), 401), ("Basic " + base64.b64encode(b":pw").decode(), 401)])
def test_forms_of_the_field(server, value, status):
    assert server.get("/", {"Authorization": value}).status == status


@pytest.mark.weir_only("nginx takes a NUL for the end of the password, and what stands behind a blank for nothing")
def test_no_password_ends_early(server):
    for text in (b"plain:pw\0x", b"bc:pw\0"):
        assert server.get("/", {"Authorization": "Basic " + base64.b64encode(text).decode()}).status == 401
    assert server.get("/", {"Authorization": GOOD["Authorization"] + " x"}).status == 401


# what is asked where

@pytest.mark.parametrize("target,nothing,good,bad", [
    ("/", 401, 200, 401), ("/none", 401, 403, 403), ("/dir", 401, 500, 500), ("/empty", 401, 200, 401), ("/v?x=R&f=ht", 401, 200, 401),
    ("/v?x=off&f=ht", 200, 200, 200), ("/v?x=R", 401, 500, 500), ("/v?f=ht", 401, 200, 401), ("/v?f=nosuch", 401, 403, 403),
    ("/rel?f=ht", 401, 200, 401), ("/any", 401, 200, 401), ("/any2", 200, 200, 200), ("/any3", 401, 200, 401), ("/any4", 401, 403, 403),
    ("/all", 403, 403, 403), ("/all2", 401, 200, 401), ("/page", 401, 200, 401), ("/page2", 403, 200, 403), ("/off", 401, 200, 401),
    ("/off/x", 200, 200, 200), ("/off/y", 401, 200, 401), ("/only_post", 502, 502, 502)])
def test_status(server, target, nothing, good, bad):
    assert [server.get(target, h).status for h in ({}, GOOD, BAD)] == [nothing, good, bad]


def test_limit_except(server):
    assert [server.request("POST", "/only_post", h).status for h in ({}, GOOD, BAD)] == [401, 502, 401]


@pytest.mark.parametrize("target,realm", [("/?r=X", "reX"), ("/empty", ""), ("/off", "a"), ("/off/y", "b"), ("/any", "a"), ("/page2", "a")])
def test_realm(server, target, realm):
    assert server.get(target).headers.get("WWW-Authenticate") == f'Basic realm="{realm}"'


def test_the_question_goes_when_somebody_else_lets_the_client_in(server):
    assert server.get("/any2").headers.get("WWW-Authenticate") is None
    assert server.get("/all").headers.get("WWW-Authenticate") is None


@pytest.mark.weir_only("nginx follows it")
def test_a_name_with_variables_leads_nowhere_else(server):
    assert server.get("/v?x=R&f=sub/ht", basic("sub", "s")).status == 200
    assert server.get("/v?x=R&f=sub/../ht", GOOD).status == 403
    server.wait_log('"auth_basic_user_file" is refused')


def test_messages(server):
    server.get("/?m1")
    server.wait_log(r"\[info\].* no user/password was provided for basic authentication, .*/\?m1")
    server.get("/?m2", BAD)
    server.wait_log(r'\[error\].* user "plain": password mismatch, .*/\?m2')
    server.get("/?m3", basic("who", "x"))
    server.wait_log(r'\[error\].* user "who" was not found in "%s", .*/\?m3' % server.path("ht"))
    server.get("/none?m4", GOOD)
    server.wait_log(r'\[error\].* open\(\) "%s" failed \(2: No such file or directory\), .*/none\?m4' % server.path("nofile"))


@pytest.mark.parametrize("target", ["/delay", "/delay_any"])
def test_delay(server, target):
    assert in_time(lambda: server.get(target, GOOD), 0.3).status == 200
    for headers in ({}, BAD):
        began = time.monotonic()
        response = server.get(target, headers)
        assert response.status == 401 and response.headers.get("WWW-Authenticate") == 'Basic realm="a"'
        assert time.monotonic() - began >= 0.3
    server.wait_log("delaying unauthorized request")


def test_remote_user_in_the_log(weir):
    server = weir("access_log {dir}/a.log u; root {dir}; location / { auth_basic a; auth_basic_user_file ht; try_files /f =404; }",
                  http='log_format u "$remote_user $status";', files={"f": b"f", "ht": b"plain:{PLAIN}pw"})
    server.get("/", GOOD)
    server.get("/", basic("who", "x"))
    server.get("/")
    assert sorted(server.access(3, "a.log")) == ["- 401", "plain 200", "who 401"]


# files that change

CHANGING = "root {dir}; location / { auth_basic a; auth_basic_user_file ht; try_files /f =404; }"


def until(server, headers, status):
    wait_for(lambda: server.get("/", headers).status == status, f"status {status}")


def test_a_changed_file_counts(weir):
    server = weir(CHANGING, files={"f": b"f", "ht": b"plain:{PLAIN}pw\n"})
    assert [server.get("/", h).status for h in (GOOD, BAD)] == [200, 401]
    server.write("ht", b"plain:{PLAIN}no\n")  # in place, same length
    until(server, BAD, 200)
    assert server.get("/", GOOD).status == 401
    server.write("new", b"other:{PLAIN}x\n")
    os.rename(server.path("new"), server.path("ht"))
    until(server, basic("other", "x"), 200)
    assert server.get("/", BAD).status == 401
    os.unlink(server.path("ht"))
    until(server, GOOD, 403)
    server.write("ht", b"plain:{PLAIN}pw\n")
    until(server, GOOD, 200)


def test_a_remembered_password_ends_with_its_line(weir):
    server = weir(CHANGING, files={"f": b"f", "ht": b"bc:$2y$04$/jHAyxzoY4kynYnrh7IjNu2eB8GoUdcwqY076xAzqskp4B6vmgYvS\n"})
    assert [server.get("/", basic("bc", "pw")).status for _ in range(3)] == [200, 200, 200]
    server.write("ht", b"bc:$2a$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i\n")
    until(server, basic("bc", "pw"), 401)
    assert server.get("/", basic("bc", "x" * 72)).status == 200


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.weir_only("nginx reads the file as the worker's user")
def test_a_file_of_root(weir):
    server = weir(CHANGING, main="user nobody nogroup;", files={"f": b"f"}, start=False)
    path = server.write("ht", b"plain:{PLAIN}pw\n", mode=0o600)
    server.start(server.compose(CHANGING, main="user nobody nogroup;"))
    assert [server.get("/", h).status for h in (GOOD, BAD)] == [200, 401]
    server.wait_log(r'\[notice\].* "%s" cannot be read by this user: it is as it was at the last reload' % path)
    server.write("ht", b"plain:{PLAIN}no\n", mode=0o600)
    server.reload()
    until(server, BAD, 200)
    assert server.get("/", GOOD).status == 401


def test_reload_with_another_file(weir):
    server = weir(CHANGING, files={"f": b"f", "ht": b"plain:{PLAIN}pw\n", "ht2": b"plain:{PLAIN}no\n"})
    assert server.get("/", GOOD).status == 200
    server.write_conf(server.compose(CHANGING.replace("ht;", "ht2;")))
    server.signal("HUP")
    until(server, BAD, 200)


# many logins

STORM = """root {dir}; location / { auth_basic a; auth_basic_user_file ht; try_files /f =404; }
           location /open { return 200 open; }"""


@pytest.mark.weir_only("nginx computes the hash on the thread that serves")
def test_a_login_storm_holds_up_nobody(weir):
    """bcrypt of cost 12 takes a quarter of a second. Beside a storm of wrong ones small requests are answered as ever."""
    server = weir(STORM, files={"f": b"f", "ht": f"bc:{BCRYPT12}\n".encode()})
    began = time.monotonic()
    assert server.get("/", basic("bc", "pw")).status == 200  # known from now on
    one = time.monotonic() - began
    clients = [server.client() for _ in range(24)]
    for i, client in enumerate(clients):
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n\r\n"
                    % basic("bc", f"wrong{i}")["Authorization"].encode())
    took = []
    with server.client() as small:
        for i in range(60):
            began = time.monotonic()
            assert small.get("/open").status == 200
            if i % 3 == 0:
                assert small.get("/", basic("bc", "pw")).status == 200
            took.append(time.monotonic() - began)
    took.sort()
    assert took[len(took) // 2] < max(0.03 * SLOW, one / 3), (one, took)
    for client in clients:  # some are answered 401, those that waited for too long 503
        client.close()


@pytest.mark.weir_only("nginx computes each hash")
def test_one_password_at_once_is_computed_once(weir):
    """Many requests of a browser: computed each they would cost as many times what one costs."""
    server = weir(STORM, files={"f": b"f", "ht": f"bc:{BCRYPT12}\nbc2:{BCRYPT12[:-1]}n\n".encode()})
    began = cpu_of_workers(server)
    assert server.get("/", basic("bc2", "pw")).status == 401
    one = cpu_of_workers(server) - began
    clients = [server.client() for _ in range(16)]
    field = basic("bc", "pw")["Authorization"].encode()
    began = cpu_of_workers(server)
    for client in clients:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n\r\n" % field)
    assert {client.read_response("GET").status for client in clients} == {200}
    took = cpu_of_workers(server) - began
    assert one > 0.01 and took < one * 5, (one, took)


@pytest.mark.weir_only("nginx has no queue")
def test_too_many_wait(weir):
    server = weir(STORM, files={"f": b"f", "ht": f"bc:{BCRYPT12}\n".encode()}, connections=1024)
    clients = [server.client() for _ in range(330)]
    for i, client in enumerate(clients):
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n\r\n"
                    % basic("bc", f"wrong{i}")["Authorization"].encode())
    server.wait_log(r"\[error\].* too many passwords wait to be checked")
    with selectors.DefaultSelector() as ready:
        for client in clients:
            ready.register(client.sock, selectors.EVENT_READ, client)
        refused = []
        while 503 not in refused:  # which ones is up to the threads
            events = ready.select(LIMIT)
            assert events, refused
            for key, _ in events:
                refused.append(key.data.read_response("GET").status)
                ready.unregister(key.fileobj)
    for client in clients:
        client.close()
    wait_for(lambda: server.get("/", basic("bc", "pw")).status == 200, "the queue to be empty again")


def test_a_client_that_leaves(weir):
    server = weir(STORM, files={"f": b"f", "ht": f"bc:{BCRYPT12}\n".encode()})
    for _ in range(4):
        with server.client() as client:
            client.send(b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n\r\n" % basic("bc", "no")["Authorization"].encode())
    assert server.get("/", basic("bc", "pw")).status == 200


@pytest.mark.parametrize("how", ["QUIT", "TERM"])
def test_end_while_passwords_are_checked(weir, how):
    server = weir(STORM, files={"f": b"f", "ht": f"bc:{BCRYPT12}\n".encode()})
    clients = [server.client() for _ in range(3)]
    for client in clients:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n\r\n" % basic("bc", "no")["Authorization"].encode())
    server.get("/open")
    server.signal(how)
    assert server.wait_exit() == 0


def workers_of(server):
    with open(f"/proc/{server.process.pid}/task/{server.process.pid}/children", encoding="ascii") as file:
        return file.read().split()


def cpu_of_workers(server):
    """Seconds of CPU: a measure that a busy machine leaves alone."""
    ticks = 0
    for worker in workers_of(server):
        with open(f"/proc/{worker}/stat", encoding="latin-1") as file:
            ticks += sum(int(word) for word in file.read().rsplit(")", 1)[1].split()[11:13])
    return ticks / os.sysconf("SC_CLK_TCK")


def names_of_threads(pid):
    for path in glob.glob(f"/proc/{pid}/task/*/comm"):
        try:
            with open(path, encoding="ascii") as file:
                yield file.read().strip()
        except (FileNotFoundError, ProcessLookupError):
            continue


def has_pool(server):
    """Threads of a pool start with the first work, and take it at once."""
    return any(name == "offload" for worker in workers_of(server) for name in names_of_threads(worker))


@pytest.mark.weir_only("nginx computes it to its end")
def test_a_hash_that_takes_long_does_not_hold_up_the_end(weir):
    """Cost 20: a minute on a fast machine."""
    server = weir(STORM, files={"f": b"f", "ht": f"bc:$2y$20${BCRYPT12[7:]}\n".encode()})
    with server.client() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n\r\n" % basic("bc", "no")["Authorization"].encode())
        wait_for(lambda: has_pool(server), "the pool to have a thread")
        began = time.monotonic()
        server.signal("TERM")
        assert server.wait_exit() == 0
        assert time.monotonic() - began < 4.5 * SLOW


def test_reload_while_passwords_are_checked(weir):
    server = weir(STORM, files={"f": b"f", "ht": f"bc:{BCRYPT12}\n".encode()})
    client = server.client()
    assert client.get("/open").status == 200
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n\r\n" % basic("bc", "pw")["Authorization"].encode())
    if not IS_NGINX:
        wait_for(lambda: has_pool(server), "the pool to have the password")
    server.reload(server.compose("location / { return 204; }"))
    assert server.get("/").status == 204
    assert client.read_response("GET").status == 200


# what -t says

@pytest.mark.parametrize("server,message", [
    ("auth_basic;", 'invalid number of arguments in "auth_basic" directive'), ("auth_basic a b;", 'invalid number of arguments in "auth_basic"'),
    ("auth_basic a; auth_basic b;", '"auth_basic" directive is duplicate'), ('auth_basic "x$nosuch";', 'unknown "nosuch" variable'),
    ("auth_basic_user_file;", 'invalid number of arguments in "auth_basic_user_file" directive'),
    ("auth_basic_user_file a; auth_basic_user_file b;", '"auth_basic_user_file" directive is duplicate'),
    ("auth_basic_user_file $nosuch;", 'unknown "nosuch" variable'),
    ("location / { if ($uri) { auth_basic x; } }", '"auth_basic" directive is not allowed here'),
    ("location / { if ($uri) { auth_basic_user_file x; } }", '"auth_basic_user_file" directive is not allowed here')])
def test_refused(command, server, message):
    result = command(server).command("-t")
    assert result.returncode == 1 and message in result.stderr


@pytest.mark.parametrize("server", ["auth_basic off;", "auth_basic_user_file /none;", 'auth_basic ""; auth_basic_user_file "";', "auth_basic x;",
                                    "location / { limit_except GET { auth_basic x; auth_basic_user_file y; } }"])
def test_accepted(command, server):
    result = command(server).command("-t")
    assert result.returncode == 0 and "[warn]" not in result.stderr


@pytest.mark.weir_only("nginx says nothing")
def test_warning_where_nobody_is_asked(command):
    result = command("location / { auth_basic x; }").command("-t")
    assert result.returncode == 0 and 'no "auth_basic_user_file"' in result.stderr
