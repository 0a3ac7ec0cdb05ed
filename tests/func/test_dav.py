# SPDX-License-Identifier: Apache-2.0
"""dav: PUT, DELETE, MKCOL, COPY, MOVE: answers and what is on the disk afterwards; what -t says."""
import hashlib
import os
import stat
import threading

import pytest

from weirtest.server import IS_NGINX
from weirtest.timing import wait_for

SERVER = """
    root {dir}/root; dav_methods PUT DELETE MKCOL COPY MOVE; client_max_body_size 0; client_body_buffer_size 16k;
    location /full/ { alias {dir}/root/; create_full_put_path on; }
    location /access/ { alias {dir}/root/; dav_access user:rw group:rw all:r; }
    location /off/ { alias {dir}/root/; dav_methods off; }
    location /put/ { alias {dir}/root/; dav_methods PUT; }
    location /deep/ { alias {dir}/root/; min_delete_depth 3; }
    location /al/ { alias {dir}/root/; }
    location /small/ { alias {dir}/root/; client_max_body_size 2k; }
    location /nolinks/ { alias {dir}/root/; disable_symlinks on from={dir}/root; }
"""
FILES = {"root/a.txt": b"A", "root/b.txt": b"B", "root/f/x": b"X", "root/f/g/y": b"Y", "root/o/z": b"Z"}
REFUSED = ["[error]"]


def open_up(server):
    """Workers of another user may change the folder."""
    for folder, _, names in os.walk(server.path("root")):
        os.chmod(folder, 0o777)
        for name in names:
            os.chmod(os.path.join(folder, name), 0o666)


@pytest.fixture
def server(weir):
    made = weir(SERVER, files=FILES)
    os.makedirs(made.path("root/empty"))
    open_up(made)
    return made


def tree(server):
    made = {}
    root = server.path("root")
    for folder, folders, names in os.walk(root):
        for name in folders + names:
            path = os.path.join(folder, name)
            key = os.path.relpath(path, root)
            if os.path.islink(path):
                made[key] = "-> " + os.readlink(path)
            elif os.path.isdir(path):
                made[key + "/"] = None
            else:
                try:
                    with open(path, "rb") as file:
                        made[key] = file.read()
                except FileNotFoundError:
                    pass  # gone since the folder was read
    return made


def content(server, name):
    with open(server.path(name), "rb") as file:
        return file.read()


def changes(server, *args, **more):
    """The answer, and {name: new content, or "gone"} of what it changed."""
    before = tree(server)
    resp = server.request(*args, **more)
    after = tree(server)
    found = {name: data for name, data in after.items() if name not in before or before[name] != data}
    found.update({name: "gone" for name in before if name not in after})
    return resp, found


F_GONE = {"f/": "gone", "f/x": "gone", "f/g/": "gone", "f/g/y": "gone"}


def to(path, **more):
    fields = {"Destination": "http://h" + path, "Host": "h"}
    fields.update(more)
    return fields


@pytest.mark.parametrize("target,body,status,found", [
    ("/new.txt", b"hello", 201, {"new.txt": b"hello"}), ("/a.txt", b"other", 204, {"a.txt": b"other"}),
    ("/sp%20ace", b"x", 201, {"sp ace": b"x"}), ("/e", b"", 201, {"e": b""}), ("/full/n/m/x", b"x", 201, {"n/": None, "n/m/": None, "n/m/x": b"x"}),
    ("/newdir/", b"x", 409, {}), ("/f", b"x", 409, {}), ("/al/n", b"x", 201, {"n": b"x"}), ("/put/n", b"x", 201, {"n": b"x"}),
    ("/off/n", b"x", 405, {}), ("/small/n", b"x" * 3000, 413, {})])
def test_put(server, target, body, status, found):
    resp, made = changes(server, "PUT", target, body=body)
    assert (resp.status, made) == (status, found)
    if status == 201:
        assert resp.headers["Location"].endswith(target) and resp.headers["Content-Length"] == "0"


@pytest.mark.weir_only("nginx answers 500")
@pytest.mark.parametrize("target", ["/no/such", "/a.txt/x"])
def test_put_below_nothing(server, target):
    resp, made = changes(server, "PUT", target, body=b"x")
    assert (resp.status, made) == (409, {})


@pytest.mark.weir_only("nginx answers 500")
def test_put_without_body(server):
    resp, made = changes(server, "PUT", "/n")
    assert (resp.status, made) == (201, {"n": b""})


@pytest.mark.parametrize("size", [1, 16384, 16385, 300000, 5 << 20])
def test_put_of_any_size(server, size):
    data = os.urandom(size)
    assert server.request("PUT", "/n", body=data).status == 201
    assert content(server, "root/n") == data
    assert server.get("/n").body == data


def test_put_chunked(server):
    client = server.client()
    client.send(b"PUT /n HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
    data = [os.urandom(n) for n in (1, 5000, 70000, 3)]
    for piece in data:
        client.send(b"%x\r\n%s\r\n" % (len(piece), piece))
    assert client.raw(b"0\r\n\r\n", method="PUT").status == 201
    assert content(server, "root/n") == b"".join(data)
    assert client.get("/a.txt").body == b"A"


def test_put_is_seen_whole_or_not_at_all(server):
    """A reader meanwhile has the old file; the new one takes its place at once."""
    client = server.client()
    client.send(b"PUT /a.txt HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n" + b"n" * 150000)
    for _ in range(20):
        assert server.get("/a.txt").body == b"A"
    assert client.raw(b"n" * 50000, method="PUT").status == 204
    assert server.get("/a.txt").body == b"n" * 200000


def test_put_broken_off_leaves_nothing(server):
    before = tree(server)
    client = server.client()
    client.send(b"PUT /a.txt HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n" + b"n" * 150000)
    if not IS_NGINX:
        wait_for(lambda: tree(server) != before, "a file is being made")
    client.close()
    wait_for(lambda: tree(server) == before, "nothing of it is left")


def test_put_of_too_many_chunks(server):
    before = tree(server)
    client = server.client()
    client.send(b"PUT /small/n HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n" + b"x" * 1024 + b"\r\n")
    assert client.raw(b"400\r\n" + b"x" * 1024 + b"\r\n400\r\n" + b"x" * 1024 + b"\r\n0\r\n\r\n", method="PUT").status == 413
    wait_for(lambda: tree(server) == before, "nothing of it is left")


def test_put_bad_chunks(server):
    before = tree(server)
    client = server.client()
    client.send(b"PUT /n HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    assert client.raw(b"zz\r\n", method="PUT").status == 400
    wait_for(lambda: tree(server) == before, "nothing of it is left")


def test_put_that_waits_for_100(server):
    client = server.client()
    client.send(b"PUT /n HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
    assert client.read_head().startswith(b"HTTP/1.1 100 ")
    assert client.raw(b"abc", method="PUT").status == 201 and content(server, "root/n") == b"abc"


def test_put_of_many_at_once(server):
    """One file by several clients: it is that of one of them."""
    bodies = [bytes([65 + i]) * 100000 for i in range(4)]
    statuses = []

    def put(body):
        with server.client() as client:
            statuses.append(client.request("PUT", "/n", body=body).status)
    threads = [threading.Thread(target=put, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(statuses) <= {201, 204} and content(server, "root/n") in bodies
    assert not [name for name in tree(server) if name.startswith(".")]


def test_put_with_date(server):
    server.request("PUT", "/n", {"Date": "Fri, 14 Jul 2017 02:40:00 GMT"}, body=b"x")
    assert os.stat(server.path("root/n")).st_mtime == 1500000000
    server.request("PUT", "/m", {"Date": "rubbish"}, body=b"x")
    assert os.stat(server.path("root/m")).st_mtime > 1500000000


def test_put_range_is_refused(server):
    resp, made = changes(server, "PUT", "/a.txt", {"Content-Range": "bytes 0-0/1"}, body=b"x")
    assert (resp.status, made) == (501, {})


@pytest.mark.parametrize("target,mode", [("/n", 0o600), ("/access/n", 0o664)])
def test_access_of_files(server, target, mode):
    server.request("PUT", target, body=b"x")
    assert stat.S_IMODE(os.stat(server.path("root/n")).st_mode) == mode


@pytest.mark.weir_only("nginx lets its umask take the group's right to write")
@pytest.mark.parametrize("target,mode", [("/n/", 0o700), ("/access/n/", 0o775)])
def test_access_of_folders(server, target, mode):
    server.request("MKCOL", target)
    assert stat.S_IMODE(os.stat(server.path("root/n")).st_mode) == mode


@pytest.mark.weir_only("nginx heeds no preconditions here")
@pytest.mark.parametrize("method,target,fields,status", [
    ("PUT", "/n", {"If-Match": "*"}, 412), ("PUT", "/a.txt", {"If-None-Match": "*"}, 412), ("PUT", "/n", {"If-None-Match": "*"}, 201),
    ("PUT", "/a.txt", {"If-Match": "*"}, 204), ("PUT", "/a.txt", {"If-Match": '"x"'}, 412), ("DELETE", "/a.txt", {"If-Match": '"x"'}, 412),
    ("PUT", "/a.txt", {"If-Unmodified-Since": "Fri, 14 Jul 2017 02:40:00 GMT"}, 412), ("MOVE", "/a.txt", to("/c", **{"If-Match": '"x"'}), 412)])
def test_preconditions(server, method, target, fields, status):
    resp, made = changes(server, method, target, fields, body=b"x" if method == "PUT" else None)
    assert resp.status == status and bool(made) == (status < 300)


@pytest.mark.weir_only("nginx heeds no preconditions here")
def test_lost_update(server):
    tag = server.get("/a.txt").headers["ETag"]
    assert server.request("PUT", "/a.txt", {"If-Match": tag}, body=b"first").status == 204
    assert server.request("PUT", "/a.txt", {"If-Match": tag}, body=b"second").status == 412
    assert content(server, "root/a.txt") == b"first"


@pytest.mark.parametrize("target,fields,status,found", [
    ("/a.txt", {}, 204, {"a.txt": "gone"}), ("/none", {}, 404, {}), ("/none/", {}, 404, {}), ("/f", {}, 409, {}), ("/f/", {}, 204, F_GONE),
    ("/f/", {"Depth": "infinity"}, 204, F_GONE), ("/f/", {"Depth": "0"}, 400, {}), ("/f/", {"Depth": "1"}, 400, {}), ("/empty/", {}, 204, {"empty/": "gone"}),
    ("/a.txt", {"Depth": "0"}, 204, {"a.txt": "gone"}), ("/a.txt", {"Depth": "1"}, 400, {}), ("/a.txt", {"Depth": "x"}, 400, {}),
    ("/a.txt/", {}, 409, {}), ("/deep/a.txt", {}, 409, {}), ("/deep/f/x", {}, 204, {"f/x": "gone"}), ("/put/a.txt", {}, 405, {})])
def test_delete(server, target, fields, status, found):
    resp, made = changes(server, "DELETE", target, fields)
    assert (resp.status, made) == (status, found)


def test_delete_with_body(server):
    resp, made = changes(server, "DELETE", "/a.txt", body=b"x")
    assert (resp.status, made) == (415, {})


def test_delete_of_a_link(server):
    os.symlink("a.txt", server.path("root/ln"))
    resp, made = changes(server, "DELETE", "/ln")
    assert (resp.status, made) == (204, {"ln": "gone"})


@pytest.mark.weir_only("nginx empties the folder that the link leads to")
def test_delete_of_a_link_to_a_folder(server):
    os.symlink("f", server.path("root/ln"))
    resp, made = changes(server, "DELETE", "/ln/")
    assert (resp.status, made) == (204, {"ln": "gone"})


@pytest.mark.weir_only("nginx removes what it can and answers 500")
@pytest.mark.parametrize("target", ["/", "/al/"])
def test_the_root_is_not_removed(server, target):
    resp, made = changes(server, "DELETE", target)
    assert (resp.status, made) == (403, {})
    assert changes(server, "MOVE", target, to("/f/o/"))[1] == {}


def test_delete_of_a_large_tree(server):
    for i in range(30):
        for k in range(40):
            server.write(f"root/big/{i}/{k}", b"x")
    deep = server.path("root/big/" + "d/" * 60)
    os.makedirs(deep)
    open_up(server)
    assert server.request("DELETE", "/big/").status == 204 and not os.path.exists(server.path("root/big"))


@pytest.mark.parametrize("target,status,found", [
    ("/n/", 201, {"n/": None}), ("/n", 409, {}), ("/f/", 405, {}), ("/a.txt/", 405, {}), ("/no/such/", 409, {}), ("/full/no/such/", 409, {}),
    ("/sp%20c/", 201, {"sp c/": None}), ("/al/n/", 201, {"n/": None})])
def test_mkcol(server, target, status, found):
    resp, made = changes(server, "MKCOL", target)
    assert (resp.status, made) == (status, found)
    if status == 201:
        assert resp.headers["Location"].endswith(target)


def test_mkcol_with_body(server):
    assert server.request("MKCOL", "/n/", body=b"x").status == 415


N_MADE = {"n/": None, "n/x": b"X", "n/g/": None, "n/g/y": b"Y"}
O_MADE = {"o/z": "gone", "o/x": b"X", "o/g/": None, "o/g/y": b"Y"}
DONE = (201, 204)  # nginx does not tell apart whether something was there


@pytest.mark.parametrize("target,fields,status,found", [
    ("/a.txt", to("/c"), DONE, {"c": b"A"}), ("/a.txt", to("/b.txt"), DONE, {"b.txt": b"A"}), ("/a.txt", to("/b.txt", Overwrite="F"), (412,), {}),
    ("/a.txt", to("/b.txt", Overwrite="T"), DONE, {"b.txt": b"A"}), ("/a.txt", to("/b.txt", Overwrite="x"), (400,), {}),
    ("/a.txt", {}, (400,), {}), ("/a.txt", {"Host": "h", "Destination": "/c"}, DONE, {"c": b"A"}), ("/a.txt", {"Destination": "http://other/c"}, (400,), {}),
    ("/a.txt", {"Destination": "ftp://h/c", "Host": "h"}, (400,), {}), ("/a.txt", {"Destination": "http://h", "Host": "h"}, (400,), {}),
    ("/a.txt", to("/../../c"), (400,), {}), ("/a.txt", to("/c%20d"), DONE, {"c d": b"A"}), ("/a.txt", to("/c?x=1"), DONE, {"c": b"A"}),
    ("/a.txt", to("/f/"), (409,), {}), ("/a.txt", to("/f"), (409,), {}), ("/none", to("/c"), (404,), {}), ("/a.txt", to("/c", Depth="0"), DONE, {"c": b"A"}),
    ("/a.txt", to("/c", Depth="1"), (400,), {}), ("/f/", to("/n/"), (201,), N_MADE), ("/f/", to("/n"), (409,), {}), ("/f", to("/n/"), (409,), {}),
    ("/f", to("/n"), (400,), {}), ("/f/", to("/o/"), DONE, O_MADE), ("/f/", to("/o/", Overwrite="F"), (412,), {}), ("/f/", to("/n/", Depth="1"), (400,), {}),
    ("/al/a.txt", to("/al/c"), DONE, {"c": b"A"}), ("/put/a.txt", to("/put/c"), (405,), {})])
def test_copy(server, target, fields, status, found):
    resp, made = changes(server, "COPY", target, fields)
    assert resp.status in status and made == found


@pytest.mark.parametrize("target,fields,status,found", [
    ("/a.txt", to("/c"), DONE, {"c": b"A", "a.txt": "gone"}), ("/a.txt", to("/b.txt"), DONE, {"b.txt": b"A", "a.txt": "gone"}),
    ("/a.txt", to("/b.txt", Overwrite="F"), (412,), {}), ("/f/", to("/n/"), (201,), {**N_MADE, **F_GONE}), ("/f/", to("/o/"), DONE, {**O_MADE, **F_GONE}),
    ("/f/", to("/empty/"), DONE, {**{"empty/" + k[2:]: v for k, v in N_MADE.items() if k != "n/"}, **F_GONE}),
    ("/f/", to("/n"), (409,), {}), ("/f/", to("/n/", Depth="0"), (400,), {}), ("/f/", to("/n/", Depth="infinity"), (201,), {**N_MADE, **F_GONE}),
    ("/a.txt", to("/c", Depth="0"), (400,), {}), ("/none", to("/c"), (404,), {}), ("/none/", to("/c/"), (404,), {})])
def test_move(server, target, fields, status, found):
    resp, made = changes(server, "MOVE", target, fields)
    assert resp.status in status and made == found


@pytest.mark.weir_only("nginx: never ends, or loses what was to be copied or moved")
@pytest.mark.parametrize("method", ["COPY", "MOVE"])
@pytest.mark.parametrize("target,where,status", [
    ("/a.txt", "/a.txt", 403), ("/f/", "/f/", 403), ("/f/", "/f/g/", 409), ("/f/", "/f/new/", 409), ("/f/g/", "/f/", 409), ("/f//", "/f/n/", 409)])
def test_into_itself(server, method, target, where, status):
    resp, made = changes(server, method, target, to(where))
    assert (resp.status, made) == (status, {})


@pytest.mark.weir_only("nginx: 500, or folders without create_full_put_path")
@pytest.mark.parametrize("method", ["COPY", "MOVE"])
def test_folders_that_are_missing(server, method):
    assert (409, {}) == tuple(getattr(x, "status", x) for x in changes(server, method, "/a.txt", to("/no/such")))
    resp, made = changes(server, method, "/full/a.txt", to("/full/no/such"))
    assert resp.status == 201 and made["no/such"] == b"A" and ("a.txt" in made) == (method == "MOVE")


@pytest.mark.weir_only("nginx: 204 for a file, 201 for a folder; https is refused; below another alias it makes names up")
def test_copy_says_what_was_there(server):
    assert server.request("COPY", "/a.txt", to("/c")).status == 201
    assert server.request("COPY", "/a.txt", to("/c")).status == 204
    assert server.request("COPY", "/f/", to("/o/")).status == 204
    assert server.request("COPY", "/f/", to("/alone/", Depth="0")).status == 201 and os.listdir(server.path("root/alone")) == []
    assert server.request("COPY", "/a.txt", {"Host": "h", "Destination": "https://h/tls"}).status == 201
    assert changes(server, "COPY", "/al/a.txt", to("/elsewhere"))[1] == {}


@pytest.mark.weir_only("nginx copies what a link leads to, or fails")
def test_links_are_copied_as_links(server):
    os.symlink("x", server.path("root/f/ln"))
    assert server.request("COPY", "/f/", to("/n/")).status == 201
    assert os.readlink(server.path("root/n/ln")) == "x"


@pytest.mark.weir_only("nginx does not look at disable_symlinks here")
def test_disable_symlinks(server):
    os.symlink("f", server.path("root/ln"))
    for method, target, fields in (("PUT", "/nolinks/ln/n", {}), ("DELETE", "/nolinks/ln/x", {}), ("MKCOL", "/nolinks/ln/n/", {}),
                                   ("COPY", "/nolinks/a.txt", to("/nolinks/ln/n"))):
        resp, made = changes(server, method, target, fields, body=b"x" if method == "PUT" else None)
        assert (resp.status, made) == (403, {}), method
    assert server.request("PUT", "/nolinks/f/n", body=b"x").status == 201


def test_large_copy_is_the_same(server):
    data = os.urandom(3 << 20)
    server.write("root/big", data, mode=0o644)
    server.request("COPY", "/big", to("/c"))
    assert hashlib.sha256(content(server, "root/c")).digest() == hashlib.sha256(data).digest()
    assert os.stat(server.path("root/c")).st_mode & 0o444 == 0o444


@pytest.mark.parametrize("method", ["PROPFIND", "OPTIONS", "POST"])
def test_other_methods(server, method):
    assert server.request(method, "/a.txt", body=b"" if method == "POST" else None).status == 405


@pytest.mark.parametrize("text,message", [
    ("dav_methods FOO;", 'invalid value "FOO"'), ("dav_methods PUT GET;", 'invalid value "GET"'), ("dav_methods;", 'invalid number of arguments in "dav_methods"'),
    ("dav_access user:rx;", 'invalid value "user:rx"'), ("dav_access foo:r;", 'invalid value "foo:r"'), ("dav_access user:rw group:rw all;", 'invalid value "all"'),
    ("dav_access user:r group:r all:r all:r;", 'invalid number of arguments in "dav_access"'), ("min_delete_depth x;", '"min_delete_depth" directive invalid number'),
    ("create_full_put_path x;", 'invalid value "x" in "create_full_put_path" directive, it must be "on" or "off"'),
    ("if ($host) { dav_methods PUT; }", '"dav_methods" directive is not allowed here'), ("min_delete_depth 1; min_delete_depth 1;", "is duplicate")])
def test_refused(command, text, message):
    result = command(text).command("-t")
    assert result.returncode == 1 and message in result.stderr


def test_inherited_and_replaced(weir):
    server = weir("root {dir}/root; dav_methods PUT; location /f/ { } location /o/ { dav_methods DELETE; }", files=FILES)
    open_up(server)
    assert server.request("PUT", "/f/n", body=b"x").status == 201 and server.request("DELETE", "/f/n").status == 405
    assert server.request("PUT", "/o/n", body=b"x").status == 405 and server.request("DELETE", "/o/z").status == 204
