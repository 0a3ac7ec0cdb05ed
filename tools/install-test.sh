#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Installs below a folder of its own and tries what came out: tools/install-test.sh MAKE FOLDER
set -eu
# Objects of their own, since the paths are compiled in.
make_="$1 B=$2/obj"
root=$2
rm -rf "$root"
mkdir -p "$root"
say() {
    echo "install-test: $*"
}
dirs="prefix=$root/usr sysconfdir=$root/etc rotatedir=$root/etc/logrotate.d logdir=$root/log \
statedir=$root/state pidfile=$root/weir.pid"

# With DESTDIR every path is moved, and nothing outside is touched.
# shellcheck disable=SC2086 -- words on purpose
$make_ --no-print-directory install DESTDIR="$root/dest" prefix=/usr sysconfdir=/etc > "$root/log.txt" 2>&1 ||
    { cat "$root/log.txt"; exit 1; }
for f in usr/sbin/weir etc/weir/weir.conf etc/weir/mime.types etc/weir/proxy_params etc/weir/fastcgi_params \
    etc/weir/fastcgi.conf etc/weir/scgi_params etc/weir/uwsgi_params etc/weir/koi-utf etc/weir/koi-win \
    etc/weir/win-utf etc/weir/snippets/fastcgi-php.conf etc/weir/snippets/snakeoil.conf usr/share/man/man8/weir.8 \
    usr/share/man/man5/weir.conf.5 usr/lib/systemd/system/weir.service etc/logrotate.d/weir \
    usr/lib/sysusers.d/weir.conf usr/lib/tmpfiles.d/weir.conf \
    usr/share/bash-completion/completions/weir usr/share/zsh/site-functions/_weir \
    usr/include/weir/interface.h usr/include/weir/http/loadable.h usr/include/weir/base/tbl/status.h \
    usr/share/pkgconfig/weir.pc; do
    test -s "$root/dest/$f" || { say "$f is missing"; exit 1; }
    if [ "$f" != usr/sbin/weir ] && grep -q '@[A-Z]*@' "$root/dest/$f"; then
        say "$f has an unfilled @NAME@"
        exit 1
    fi
done
# A second installation keeps an edited configuration.
echo '# mine' >> "$root/dest/etc/weir/weir.conf"
$make_ --no-print-directory install DESTDIR="$root/dest" prefix=/usr sysconfdir=/etc > "$root/log.txt" 2>&1
tail -1 "$root/dest/etc/weir/weir.conf" | grep -q '^# mine$' || { say "the configuration was overwritten"; exit 1; }
$make_ --no-print-directory uninstall DESTDIR="$root/dest" prefix=/usr sysconfdir=/etc > /dev/null
test ! -e "$root/dest/usr/sbin/weir" || { say "uninstall left the program"; exit 1; }
left=$(cd "$root/dest" && find usr lib -type f 2>/dev/null || true)
test -z "$left" || { say "uninstall left $left"; exit 1; }
test -e "$root/dest/etc/weir/weir.conf" || { say "uninstall took the configuration"; exit 1; }

# In place: the configuration that was installed is a good one.
# shellcheck disable=SC2086 -- words on purpose
$make_ --no-print-directory install $dirs > "$root/log.txt" 2>&1 || { cat "$root/log.txt"; exit 1; }
"$root/usr/sbin/weir" -v
"$root/usr/sbin/weir" -t -c "$root/etc/weir/weir.conf"
man=$root/usr/share/man
if command -v groff >/dev/null 2>&1; then
    for f in man8/weir.8 man5/weir.conf.5; do
        bad=$(groff -man -Tascii -ww -z "$man/$f" 2>&1)
        test -z "$bad" || { say "the man page $f: $bad"; exit 1; }
    done
else
    say "skipped the man pages, groff is not here"
fi

# A module from a copy outside of the tree, with nothing but what was installed.
cp -r examples/search "$root/search"
PKG_CONFIG_PATH=$root/usr/share/pkgconfig ${1%% *} -C "$root/search" install MAKEFLAGS= > "$root/log.txt" 2>&1 ||
    { cat "$root/log.txt"; say "the example does not build"; exit 1; }
cat > "$root/module.conf" <<EOF
load_module modules/search.so;
events { }
http { server { listen 127.0.0.1:1; location /test { search_pass 127.0.0.1:2; } } }
EOF
"$root/usr/sbin/weir" -t -q -c "$root/module.conf" || { say "the example does not load"; exit 1; }

# Each option, command and signal of the help is in the manual and in the completions.
bash_file=$root/usr/share/bash-completion/completions/weir
zsh_file=$root/usr/share/zsh/site-functions/_weir
"$root/usr/sbin/weir" -h 2> "$root/help.txt"
sed 's/\\-/-/g' "$man/man8/weir.8" > "$root/man.txt"
words=$(sed -n -e 's/^  \(-[a-zA-Z]\)[ ,].*/\1/p' -e 's/^  \(--[a-z]*\).*/\1/p' -e 's/^  \([a-z]*\)  *: .*/\1/p' "$root/help.txt")
words="$words $(sed -n 's/^  -s signal .*: send signal to a running weir: //p' "$root/help.txt" | tr -d ,)"
test "$(echo "$words" | wc -w)" -ge 16 || { say "the help has another form than this test knows"; exit 1; }
for word in $words; do
    for f in "$root/man.txt" "$bash_file" "$zsh_file"; do
        grep -q "\(^\|[^a-z-]\)$word\([^a-z-]\|\$\)" "$f" ||
            { say "\"$word\" is in the help, but not in $f"; exit 1; }
    done
done

# offers WORD...: $got is what bash would offer behind these words.
offers() {
    # shellcheck disable=SC2016 -- of the inner shell
    got=$(bash -c '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _weir; echo "${COMPREPLY[*]}"' \
        bash "$bash_file" "$@")
}
if command -v bash >/dev/null 2>&1; then
    offers weir -s re
    test "$got" = "reload reopen" || { say "bash offers for -s re: $got"; exit 1; }
    offers weir p
    test "$got" = proxy || { say "bash offers for p: $got"; exit 1; }
    offers weir proxy --l
    test "$got" = --listen || { say "bash offers for proxy --l: $got"; exit 1; }
    offers weir st
    test "$got" = status || { say "bash offers for st: $got"; exit 1; }
    offers weir trace --c
    test "$got" = --client || { say "bash offers for trace --c: $got"; exit 1; }
    offers weir -c "$root/etc/weir/weir.c"
    case " $got " in
    *" $root/etc/weir/weir.conf "*) ;;
    *) say "bash offers for -c: $got"; exit 1 ;;
    esac
fi
if command -v zsh >/dev/null 2>&1; then
    zsh -n "$zsh_file" || { say "the completion for zsh is wrong"; exit 1; }
fi

if command -v systemd-analyze >/dev/null 2>&1; then
    unit=$root/usr/lib/systemd/system/weir.service
    systemd-analyze verify --man=no "$unit" || { say "the unit is wrong"; exit 1; }
    if systemd-analyze --help | grep -q -e --offline; then
        # 3.2 of 10; deb-test tries it.
        systemd-analyze security --offline=yes --threshold=35 "$unit" > "$root/log.txt" ||
            { tail -1 "$root/log.txt"; say "the unit allows more than it did"; exit 1; }
    fi
else
    say "skipped the unit, systemd-analyze is not here"
fi
if command -v systemd-sysusers >/dev/null 2>&1 && systemd-sysusers --help | grep -q -e --dry-run; then
    systemd-sysusers --dry-run "$root/usr/lib/sysusers.d/weir.conf" > "$root/log.txt" 2>&1 ||
        { cat "$root/log.txt"; say "the sysusers file is wrong"; exit 1; }
fi
if command -v systemd-tmpfiles >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    # Its paths are all below our own folder.
    rm -rf "$root/log" "$root/state"
    systemd-tmpfiles --create "$root/usr/lib/tmpfiles.d/weir.conf" ||
        { say "the tmpfiles file is wrong"; exit 1; }
    test "$(stat -c %U:%G:%a "$root/log/access.log")" = root:adm:640 || { say "tmpfiles: the log's owner"; exit 1; }
fi
if command -v logrotate >/dev/null 2>&1; then
    logrotate -d "$root/etc/logrotate.d/weir" > "$root/log.txt" 2>&1 || { cat "$root/log.txt"; exit 1; }
fi
say "ok"
