#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Tries a Debian package in a Debian of its own: tools/deb-test.sh PACKAGE.deb
#
# Needs root, debootstrap, curl and ip. The first run fetches a small Debian (half a minute) into
# build/deb/base; later ones copy it. Each trial has namespaces of its own (files, processes,
# network), so that ports, services and files of this machine are not touched.
#
#   hand      without systemd: install, start, requests, reload, the same package again, remove,
#             install again, purge; no file may be left
#   systemd   a real systemd as process 1: what the unit allows and what not, READY, reload, a
#             reload that fails, rotation of the logs, a worker that is killed, the same package
#             again, a port that another server has, remove, purge; skipped where there is no cgroup v2
#
# Ends with "deb-test: N passed, N failed". What cannot be tried here is said: "skipped".
set -eu
tools=$(cd "$(dirname "$0")" && pwd)
if [ "$(id -u)" != 0 ] || ! command -v debootstrap >/dev/null 2>&1; then
    echo "deb-test: skipped, it needs root and debootstrap"
    exit 0
fi
deb=$(realpath "$1")
work=$(dirname "$deb")/deb
base=$work/base

# What the package needs, and what its trial does.
wanted=$(dpkg-deb -f "$deb" Depends | sed 's/([^)]*)//g; s/|[^,]*//g; s/ //g')
wanted="$wanted,curl,logrotate,systemd-sysv"
if [ "$(cat "$work/base.list" 2>/dev/null)" != "$wanted" ]; then
    rm -rf "$base" "$work/base.list"
    site=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep '/debian/*$' | head -1)
    codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
    debootstrap --variant=minbase --include="$wanted" "$codename" "$base" "$site" > "$work/log.txt" 2>&1 ||
        { tail -20 "$work/log.txt"; exit 1; }
    rm -f "$base"/var/cache/apt/archives/*.deb
    printf '%s\n' "$wanted" > "$work/base.list"
fi

# Prints the cgroup v2 mount, if there is one.
find_cgroup() {
    awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts
}

# try NAME: a fresh copy of the base, and tools/deb-test-NAME.sh in it.
try() {
    root=$work/root-$1
    rm -rf --one-file-system "$root"
    cp -a "$base" "$root"
    cp "$deb" "$root/root/weir.deb"
    cp "$tools/deb-test-lib.sh" "$tools/deb-test-$1.sh" "$root/root/"
    cgroup=$(find_cgroup)/weir-deb-test.$$
    mkdir "$cgroup"
    timeout -k 5 120 sh "$tools/deb-test-enter.sh" "$1" "$root" "$cgroup" > "$root/enter.log" 2>&1 < /dev/null ||
        true
    find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null || true
    if [ ! -e "$root/root/result" ]; then
        echo "deb-test: $1 did not begin:"
        tail -20 "$root/enter.log"
        echo "FAIL $1" > "$root/root/result"
    fi
    grep -v '^end$' "$root/root/result" | sed "s/^/  $1: /" || true
    grep -qx end "$root/root/result" || { echo "FAIL $1: it did not come to its end" | tee -a "$root/root/result"; }
    passed=$((passed + $(grep -c '^ok ' "$root/root/result" || true)))
    failed=$((failed + $(grep -c '^FAIL ' "$root/root/result" || true)))
}

passed=0
failed=0
if [ -z "$(find_cgroup)" ]; then
    echo "deb-test: skipped, there is no cgroup v2 here"
    exit 0
fi
for name in ${WEIR_DEB_TEST:-hand systemd}; do
    try "$name"
done
echo "deb-test: $passed passed, $failed failed"
[ $failed = 0 ]
