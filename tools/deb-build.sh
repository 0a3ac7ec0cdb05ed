#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Builds a Debian package: tools/deb-build.sh MAKE VERSION BUILD-FOLDER
#
# The result is BUILD-FOLDER/weir_VERSION_ARCH.deb. DEB_MAINTAINER is who signs for it,
# SOURCE_DATE_EPOCH its date (the last commit's by default): the same tree gives the same package.
set -eu
make_=$1
version=$2
build=$3
maintainer=${DEB_MAINTAINER:-weir maintainers <maintainers@weir.invalid>}
here=packaging/deb
work=$build/deb
root=$work/root
umask 022

for tool in dpkg-deb dpkg-shlibdeps; do
    command -v $tool >/dev/null 2>&1 || { echo "deb: there is no $tool here" >&2; exit 1; }
done
if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
    SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)
fi
export SOURCE_DATE_EPOCH
arch=$(dpkg --print-architecture)
rm -rf "$root" "$work/debian"
mkdir -p "$root" "$work/debian"

# Objects of their own: the paths are compiled in.
$make_ --no-print-directory B="$work/obj" DESTDIR="$(pwd)/$root" prefix=/usr sysconfdir=/etc \
    zshdir=/usr/share/zsh/vendor-completions install > "$work/log.txt" 2>&1 ||
    { tail -50 "$work/log.txt"; exit 1; }
strip --strip-unneeded --remove-section=.comment --remove-section=.note "$root/usr/sbin/weir"

doc=$root/usr/share/doc/weir
mkdir -p "$doc/examples"
mv "$root/etc/weir/weir.conf.default" "$doc/examples/weir.conf"
cp $here/copyright "$doc/copyright"
cp README.md docs/differences.md docs/directives.md "$doc/"
gzip -9n < CHANGELOG.md > "$doc/NEWS.gz"
{
    printf 'weir (%s) unstable; urgency=medium\n\n  * What is new: NEWS.gz\n\n' "$version"
    printf ' -- %s  %s\n' "$maintainer" "$(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")"
} | gzip -9n > "$doc/changelog.gz"
find "$root/usr/share/man" -type f -exec gzip -9n {} +
# Made by tmpfiles, with the owner that they need.
rm -r "$root/var/log"
ln -sfn ../../log/weir "$root/var/lib/weir/logs"
if [ -e $here/lintian-overrides ]; then
    mkdir -p "$root/usr/share/lintian/overrides"
    cp $here/lintian-overrides "$root/usr/share/lintian/overrides/weir"
fi

mkdir "$root/DEBIAN"
printf 'Source: weir\n\nPackage: weir\nArchitecture: any\n' > "$work/debian/control"
depends=$(cd "$work" && dpkg-shlibdeps -O root/usr/sbin/weir 2>/dev/null | sed -n 's/^shlibs:Depends=//p')
test -n "$depends" || { echo "deb: dpkg-shlibdeps found no libraries" >&2; exit 1; }
sed -e "s|@VERSION@|$version|" -e "s|@ARCH@|$arch|" -e "s|@MAINTAINER@|$maintainer|" \
    -e "s|@SIZE@|$(du -sk --exclude=DEBIAN "$root" | cut -f1)|" -e "s|@DEPENDS@|$depends|" \
    $here/control > "$root/DEBIAN/control"
for script in postinst prerm postrm; do
    install -m 755 $here/$script "$root/DEBIAN/$script"
done
(cd "$root" && find etc -type f | sort | sed 's|^|/|') > "$root/DEBIAN/conffiles"
(cd "$root" && find usr -type f | LC_ALL=C sort | xargs md5sum) > "$root/DEBIAN/md5sums"
rm -f "$build"/weir_*.deb
dpkg-deb --root-owner-group -b "$root" "$build/weir_${version}_$arch.deb" > "$work/log.txt"
if command -v lintian >/dev/null 2>&1; then
    # Nobody has filed an intent to package it.
    lintian --fail-on error --allow-root --suppress-tags initial-upload-closes-no-bugs \
        "$build/weir_${version}_$arch.deb"
else
    echo "deb: lintian is not here, the package was not checked by it"
fi
echo "deb: $build/weir_${version}_$arch.deb"
