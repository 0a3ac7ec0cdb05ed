# SPDX-License-Identifier: Apache-2.0
"""Who the worker is, what it may do, and what only the supervisor can read; with root and without."""
import grp
import os
import pwd
import shutil
import stat
import subprocess

import pytest

from weirtest.server import BINARY, IS_NGINX
from weirtest.timing import LIMIT, wait_for

USER = "nobody"
GROUP = grp.getgrgid(pwd.getpwnam(USER).pw_gid).gr_name
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="root only")
ONE, TWO = "location / { return 200 '$pid one'; }", "location / { return 200 '$pid two'; }"
MAIN = f"user {USER} {GROUP};"


def status_of(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def worker_of(server):
    return server.get("/").text.split()[0]


@as_root
def test_worker_is_the_user(weir):
    server = weir(ONE, main=MAIN)
    uid, gid = str(pwd.getpwnam(USER).pw_uid), str(grp.getgrnam(GROUP).gr_gid)
    status = status_of(worker_of(server))
    assert status["Uid"].split() == [uid] * 4
    assert status["Gid"].split() == [gid] * 4
    assert "0" not in status["Groups"].split()
    assert status_of(server.process.pid)["Uid"].split() == ["0"] * 4


@as_root
@pytest.mark.weir_only("nginx keeps the bounding set, and sets no no_new_privs")
def test_worker_has_no_capabilities(weir):
    status = status_of(worker_of(weir(ONE, main=MAIN)))
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[name], 16) == 0, name
    assert status["NoNewPrivs"] == "1"


@pytest.mark.weir_only("nginx sets no no_new_privs")
def test_worker_gains_no_rights(weir):
    """Whoever it runs as."""
    assert status_of(worker_of(weir(ONE)))["NoNewPrivs"] == "1"


@as_root
@pytest.mark.weir_only("nginx's workers open logs again themselves, and may not")
def test_files_that_only_root_can_read(weir):
    """Includes and logs in folders of root, at the start and at a reload."""
    logs = "access_log {dir}/secret/access.log; error_log {dir}/secret/e.log;"
    server = weir(main=MAIN, http="include {dir}/secret/*.conf;", start=False,
                  files={"secret/a.conf": "server { listen 127.0.0.1:{port}; " + logs + ONE + " }"})
    os.chmod(server.path("secret"), 0o700)
    os.chmod(server.path("secret/a.conf"), 0o600)
    with open(server.conf, encoding="utf-8") as file:
        server.start(file.read())
    wait_for(lambda: serves(server, "one"), "the included server")
    server.write("secret/a.conf", "server { listen 127.0.0.1:{port}; " + logs + TWO + " }", mode=0o600)
    server.signal("HUP")
    wait_for(lambda: serves(server, "two"), "the new file")
    wait_for(lambda: os.stat(server.path("secret/access.log")).st_size > 0, "a line in the log")
    os.rename(server.path("secret/access.log"), server.path("secret/old.log"))
    server.signal("USR1")
    wait_for(lambda: serves(server, "two") and os.path.exists(server.path("secret/access.log")), "the new log")


def serves(server, text):
    try:
        return server.get("/").text.endswith(text)
    except ConnectionRefusedError:
        return False


@as_root
def test_temp_folders_belong_to_the_user(weir, origin):
    up = origin()
    server = weir("client_body_buffer_size 1k; location / { proxy_pass http://{up}; }", main=MAIN, up=up)
    uid = pwd.getpwnam(USER).pw_uid
    for name in ("body", "proxy"):
        st = os.stat(server.path(name))
        assert st.st_uid == uid and stat.S_IMODE(st.st_mode) == 0o700, name
    assert server.request("POST", "/", body=b"x" * 100000).status == 200


@as_root
def test_limits(weir):
    server = weir(ONE, main=MAIN + "worker_rlimit_nofile 3333; worker_rlimit_core 1m;")
    with open(f"/proc/{worker_of(server)}/limits", encoding="utf-8") as file:
        limits = file.read()
    assert [line.split()[3:5] for line in limits.splitlines() if line.startswith("Max open files")] == [["3333"] * 2]
    # the soft limit is zero when a sanitizer is in the program
    assert [line.split()[5] for line in limits.splitlines() if line.startswith("Max core file size")] == [str(1 << 20)]


@as_root
@pytest.mark.weir_only("nginx starts new workers for it")
def test_descriptor_limit_of_a_running_worker(weir):
    """It is raised where the supervisor may, else a second worker takes over."""
    server = weir(ONE, main=MAIN + "worker_rlimit_nofile 3333;")
    server.write_conf(server.compose(TWO, main=MAIN + "worker_rlimit_nofile 4444;"))
    server.signal("HUP")
    wait_for(lambda: serves(server, "two"), "the new file")
    with open(f"/proc/{worker_of(server)}/limits", encoding="utf-8") as file:
        assert [line.split()[3:5] for line in file if line.startswith("Max open files")] == [["4444"] * 2]


@as_root
def test_working_directory(weir):
    server = weir(ONE, main=MAIN + "working_directory {dir}/wd;", files={"wd/x": b""})
    assert os.readlink(f"/proc/{worker_of(server)}/cwd") == server.path("wd")


def reachable_binary(server):
    """The program where everybody may start it: the tree may lie in a folder of root."""
    if IS_NGINX:
        return BINARY
    return shutil.copy(BINARY, server.path("weir"))


@as_root
def test_without_root(weir, tmp_path_factory):
    """A start by an ordinary user: `user` is ignored with a warning, everything else works, reload and reopen too."""
    server = weir(ONE, start=False, main="user root;")
    text = server.write_conf(server.compose("access_log {dir}/access.log; " + ONE, main="user root;"))
    entry = pwd.getpwnam(USER)
    subprocess.run(["chown", "-R", f"{entry.pw_uid}:{entry.pw_gid}", server.dir], check=True)
    with open(server.path("stderr.txt"), "wb") as out:
        server.process = subprocess.Popen(
            [reachable_binary(server), "-p", server.dir, "-c", server.conf, "-e", server.log_path],
            stdout=out, stderr=out, stdin=subprocess.DEVNULL, user=entry.pw_uid, group=entry.pw_gid, extra_groups=[],
            start_new_session=True)
    wait_for(lambda: server._reachable(("127.0.0.1", server.names["port"])), "the start")
    assert 'the "user" directive makes sense only if the master process runs with super-user privileges' \
        in server.output() + server.log()
    status = status_of(worker_of(server))
    assert status["Uid"].split() == [str(entry.pw_uid)] * 4
    if not IS_NGINX:
        assert int(status["CapEff"], 16) == 0 and status["NoNewPrivs"] == "1"
    server.write_conf(text.replace("one", "two"))
    server.signal("HUP")
    wait_for(lambda: serves(server, "two"), "the new file")
    os.rename(server.path("access.log"), server.path("old.log"))
    server.signal("USR1")
    wait_for(lambda: serves(server, "two") and os.path.exists(server.path("access.log")), "the new log")


@as_root
@pytest.mark.weir_only("nginx dies; that a low port needs root is said either way")
def test_without_root_low_port(weir):
    """The error names what could not be bound."""
    entry = pwd.getpwnam(USER)
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="utf-8") as file:
        if int(file.read()) <= 81:
            pytest.skip("every port is free for all here")
    server = weir(start=False, text="daemon off; pid {dir}/p; events {} http { server { listen 127.0.0.1:81; } }")
    os.chown(server.dir, entry.pw_uid, entry.pw_gid)
    done = subprocess.run([reachable_binary(server), "-p", server.dir, "-c", server.conf, "-e", "stderr"],
                          capture_output=True, text=True, user=entry.pw_uid, group=entry.pw_gid, extra_groups=[],
                          check=False, timeout=2 * LIMIT)
    assert done.returncode == 1
    assert "bind() to 127.0.0.1:81 failed (13: Permission denied)" in done.stderr


@as_root
@pytest.mark.weir_only("nginx makes the last folder only")
def test_temp_folder_below_a_missing_one(weir):
    server = weir(ONE, main=MAIN, http="server { listen 127.0.0.1:{port2}; client_body_temp_path {dir}/new/body; }")
    st = os.stat(server.path("new/body"))
    assert st.st_uid == pwd.getpwnam(USER).pw_uid and stat.S_IMODE(st.st_mode) == 0o700
    assert stat.S_IMODE(os.stat(server.path("new")).st_mode) == 0o755
