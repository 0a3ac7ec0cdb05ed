#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Installs below a folder of its own and tries what came out: tools/install-test.sh MAKE FOLDER
set -eu
make_=$1
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
    usr/lib/systemd/system/weir.service etc/logrotate.d/weir; do
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
test -e "$root/dest/etc/weir/weir.conf" || { say "uninstall took the configuration"; exit 1; }

# In place: the configuration that was installed is a good one.
# shellcheck disable=SC2086 -- words on purpose
$make_ --no-print-directory install $dirs > "$root/log.txt" 2>&1 || { cat "$root/log.txt"; exit 1; }
"$root/usr/sbin/weir" -v
"$root/usr/sbin/weir" -t -c "$root/etc/weir/weir.conf"
if command -v groff >/dev/null 2>&1; then
    bad=$(groff -man -Tascii -ww -z "$root/usr/share/man/man8/weir.8" 2>&1)
    test -z "$bad" || { say "the man page: $bad"; exit 1; }
fi
if command -v systemd-analyze >/dev/null 2>&1; then
    systemd-analyze verify --man=no "$root/usr/lib/systemd/system/weir.service" ||
        { say "the unit is wrong"; exit 1; }
fi
if command -v logrotate >/dev/null 2>&1; then
    logrotate -d "$root/etc/logrotate.d/weir" > "$root/log.txt" 2>&1 || { cat "$root/log.txt"; exit 1; }
fi
say "ok"
