#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Makes sure that the packages a make target needs are there (Debian 12 or newer, Ubuntu).
#
#   tools/deps.sh build [run] [test] [ci] [deb]   the groups below
#   tools/deps.sh --list build ...       prints the packages and does nothing
#
# What is missing is named first, then installed with apt by root; anybody else is told the one
# command to type, and the exit status is 1. WEIR_NO_DEPS=1 skips all of it.
set -eu
LC_ALL=C
export LC_ALL

# The one list of packages. "?" in front: taken where the distribution has it, skipped elsewhere.
BUILD='make gcc libc6-dev pkg-config|pkgconf libpcre2-dev zlib1g-dev libbrotli-dev libzstd-dev libjansson-dev libssl-dev libc-ares-dev libcrypt-dev'
# What `make run` tells to try.
RUN='curl'
TEST='python3 python3-pytest python3-pytest-xdist ?python3-pytest-rerunfailures libcmocka-dev curl wrk apache2-utils strace openssl brotli zstd ?php-fpm ?php-cgi ?spawn-fcgi ?uwsgi-core ?uwsgi-plugin-python3 ?memcached'
CI='clang ?clang-format-14 clang-tidy clang-tools cppcheck'
DEB='dpkg-dev debootstrap curl iproute2'
# The sanitizers' runtime of clang has clang's version in its name.
RUNTIME='?libclang-rt-%s-dev'

list_only=no
if [ "${1:-}" = --list ]; then
    list_only=yes
    shift
fi
if [ $# -eq 0 ]; then
    set -- build
fi
wanted=
for group in "$@"; do
    case $group in
    build) wanted="$wanted $BUILD" ;;
    run) wanted="$wanted $RUN" ;;
    test) wanted="$wanted $TEST" ;;
    ci) wanted="$wanted $CI" ;;
    deb) wanted="$wanted $DEB" ;;
    *)
        echo "deps: unknown group \"$group\": build, run, test, ci, deb" >&2
        exit 2
        ;;
    esac
done
if [ $list_only = yes ]; then
    for p in $wanted; do
        echo "$p"
    done
    exit 0
fi
if [ "${WEIR_NO_DEPS:-0}" = 1 ]; then
    exit 0
fi
if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "deps: this is not Debian or Ubuntu; the equivalents of these packages are needed:$wanted"
    exit 0
fi

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null | head -c 9)" = installed ]
}

# Prints what is missing. "a|b" is satisfied by either.
find_missing() {
    for want in $wanted; do
        found=no
        for p in $(echo "${want#\?}" | tr '|' ' '); do
            if is_installed "$p"; then
                found=yes
                break
            fi
        done
        [ $found = yes ] || echo "${want%%|*}"
    done
}

run_apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 "$@"
}

# Installs what of $wanted is missing, or says what to type and ends with 1.
ensure() {
    required=
    optional=
    for p in $(find_missing); do
        case $p in
        \?*) optional="$optional ${p#\?}" ;;
        *) required="$required $p" ;;
        esac
    done
    if [ -z "$required$optional" ]; then
        return 0
    fi
    if [ "$(id -u)" = 0 ] && [ -n "$required" ]; then
        echo "deps: missing packages:$required$optional"
        # The lists of a new machine were never fetched.
        run_apt update -qq || echo "deps: apt-get update failed; trying with the lists at hand" >&2
    fi
    for p in $optional; do
        if apt-cache policy "$p" 2>/dev/null | grep -q 'Candidate: [^(]'; then
            required="$required $p"
        else
            echo "deps: $p does not exist here; what needs it is skipped"
        fi
    done
    if [ -z "$required" ]; then
        return 0
    fi
    if [ "$(id -u)" != 0 ]; then
        echo "deps: missing packages:$required" >&2
        echo "deps: please type" >&2
        echo "    sudo apt-get update && sudo apt-get install -y --no-install-recommends$required" >&2
        exit 1
    fi
    echo "deps: installing:$required"
    # shellcheck disable=SC2086 -- a list of words on purpose
    if ! run_apt install -y -qq --no-install-recommends $required; then
        echo "deps: apt-get could not install:$required" >&2
        exit 1
    fi
    for p in $required; do
        if ! is_installed "$p"; then
            echo "deps: $p is still missing after the installation" >&2
            exit 1
        fi
    done
}

ensure
case " $* " in
*" ci "*)
    major=$(clang -dumpversion 2>/dev/null | cut -d. -f1)
    if [ -n "$major" ]; then
        # shellcheck disable=SC2059 -- the format is ours
        wanted=$(printf "$RUNTIME" "$major")
        ensure
    fi
    ;;
esac
