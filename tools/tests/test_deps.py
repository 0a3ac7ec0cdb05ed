# SPDX-License-Identifier: Apache-2.0
"""deps.sh names what is missing; root installs it, others get one command. No package is touched:
dpkg-query, apt-get, apt-cache and id are scripts of this test."""
import os
import subprocess

import pytest

from conftest import TOOLS

DEPS = os.path.join(TOOLS, "deps.sh")
FAKES = {
    # Installed is what has a file.
    "dpkg-query": 'for p; do :; done\n[ -e "$FAKE/have/$p" ] && printf installed || exit 1\n',
    "apt-get": 'echo "apt-get $*" >> "$FAKE/log"\n'
               'case "$*" in\n*" update"*) exit 0 ;;\nesac\n'
               '[ -e "$FAKE/broken" ] && exit 100\n'
               'for p; do\n    case $p in\n    -*|install|*=*) ;;\n    *) : > "$FAKE/have/$p" ;;\n'
               '    esac\ndone\n',
    "apt-cache": 'case "$2" in\nclang-format-14) echo "  Candidate: (none)" ;;\n'
                 '*) echo "  Candidate: 1.0" ;;\nesac\n',
    "id": 'echo "$FAKE_UID"\n',
}


class Machine:
    """A folder of fake commands in front of PATH."""

    def __init__(self, root):
        self.root = str(root)
        self.uid = "0"
        os.makedirs(os.path.join(self.root, "have"))
        for name, body in FAKES.items():
            path = os.path.join(self.root, name)
            with open(path, "w", encoding="ascii") as f:
                f.write("#!/bin/sh\n" + body)
            os.chmod(path, 0o755)

    def have(self, *packages):
        for p in packages:
            with open(os.path.join(self.root, "have", p), "w", encoding="ascii"):
                pass

    def run(self, *args, **env):
        full = dict(os.environ, PATH=self.root + ":" + os.environ["PATH"], FAKE=self.root,
                    FAKE_UID=self.uid, **env)
        if "WEIR_NO_DEPS" not in env:
            full.pop("WEIR_NO_DEPS", None)
        r = subprocess.run(["sh", DEPS, *args], env=full, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, check=False)
        return r.returncode, r.stdout.decode()

    def log(self):
        path = os.path.join(self.root, "log")
        if not os.path.exists(path):
            return ""
        with open(path, encoding="ascii") as f:
            return f.read()


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


BUILD = ["make", "gcc", "libc6-dev", "pkgconf", "libpcre2-dev", "zlib1g-dev", "libbrotli-dev", "libzstd-dev", "libjansson-dev", "libssl-dev", "libc-ares-dev", "libcrypt-dev"]


def test_nothing_missing(machine):
    machine.have(*BUILD)
    assert machine.run("build") == (0, "")
    assert machine.log() == ""


def test_root_installs(machine):
    machine.have("make", "gcc", "libc6-dev")
    status, out = machine.run("build")
    assert status == 0
    assert out.splitlines()[0] == "deps: missing packages: pkg-config libpcre2-dev zlib1g-dev libbrotli-dev libzstd-dev libjansson-dev libssl-dev libc-ares-dev libcrypt-dev"
    assert machine.log().splitlines()[-1].endswith("pkg-config libpcre2-dev zlib1g-dev libbrotli-dev libzstd-dev libjansson-dev libssl-dev libc-ares-dev libcrypt-dev")
    assert machine.run("build") == (0, "")


def test_user_gets_one_command(machine):
    machine.uid = "1000"
    machine.have(*BUILD[:-8])
    status, out = machine.run("build")
    assert status == 1
    assert "sudo apt-get update && sudo apt-get install -y --no-install-recommends libpcre2-dev zlib1g-dev libbrotli-dev libzstd-dev libjansson-dev libssl-dev libc-ares-dev libcrypt-dev\n" in out
    assert machine.log() == ""


def test_what_a_demonstration_needs(machine):
    machine.have(*BUILD)
    status, out = machine.run("build", "run")
    assert status == 0 and out.splitlines()[0] == "deps: missing packages: curl"
    assert machine.run("build", "run") == (0, "")


def test_failing_apt_is_an_error(machine):
    machine.have("broken")
    os.rename(os.path.join(machine.root, "have", "broken"), os.path.join(machine.root, "broken"))
    status, out = machine.run("build")
    assert status == 1 and "could not install" in out


def test_optional_packages_are_skipped_where_they_do_not_exist(machine):
    machine.have("clang", "clang-tidy", "clang-tools", "cppcheck", "libclang-rt-14-dev")
    status, out = machine.run("ci")
    assert status == 0 and "clang-format-14 does not exist here" in out
    assert "install" not in machine.log()


def test_list_unknown_and_off(machine):
    status, out = machine.run("--list", "build", "test")
    assert status == 0 and "libpcre2-dev" in out and "libcmocka-dev" in out
    assert machine.run("nothing")[0] == 2
    assert machine.run("build", WEIR_NO_DEPS="1") == (0, "")
