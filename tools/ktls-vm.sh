#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs a command on a kernel that has TLS (kTLS), where this machine's has not: in a virtual machine
# that sees this machine's files. What the command writes stays in the virtual machine, but for
# $KTLS_OUT, a folder that is build/ktls-vm/out here.
#
#   tools/ktls-vm.sh COMMAND...        as root, in the present folder; the exit status is COMMAND's
#   tools/ktls-vm.sh --without CMD...  the module is not loaded there
#
# Needed: the Debian package qemu-system-x86. Debian's kernel (linux-image-amd64) and busybox-static
# are downloaded by apt-get and unpacked in build/ktls-vm, nothing is installed. No KVM is needed;
# without it the machine is some twenty times slower than this one: WEIR_TEST_SLOW=10 or so.
#
#   KTLS_VM_DIR    instead of build/ktls-vm        KTLS_VM_ACCEL   kvm instead of tcg
#   KTLS_VM_MB     memory, 2048                    KTLS_VM_SEC     most seconds it may take, 1800
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
dir=${KTLS_VM_DIR:-$here/build/ktls-vm}
# What is needed of the kernel, dependencies come by themselves.
modules="virtio_pci 9pnet_virtio 9p overlay tls gcm ccm ghash-generic aesni-intel chacha_generic
         poly1305_generic chacha20poly1305
         ghash-clmulni-intel crypto_simd"

die()
{
    echo "ktls-vm: $*" >&2
    exit 125
}

# unpack PACKAGE FOLDER
unpack()
{
    mkdir -p "$dir/debs"
    (cd "$dir/debs" && rm -f "$1"_*.deb && apt-get -q download "$1" >&2) || die "cannot download $1"
    mkdir -p "$2"
    dpkg -x "$dir/debs/$1"_*.deb "$2"
    rm -f "$dir/debs/$1"_*.deb
}

# The kernel and the first file system, once.
prepare()
{
    command -v qemu-system-x86_64 >/dev/null || die "the package qemu-system-x86 is not installed"
    [ -z "$(find "$dir/initrd" -newer "$0" 2>/dev/null)" ] || return 0
    busybox=$dir/busybox/bin/busybox
    [ -x "$busybox" ] || unpack busybox-static "$dir/busybox"
    if [ ! -d "$dir/kernel" ]; then
        image=$(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: \(linux-image-.*\)/\1/p' | head -n 1)
        [ -n "$image" ] || die "apt-cache knows no linux-image-amd64"
        rm -rf "$dir/kernel.new"
        unpack "$image" "$dir/kernel.new"
        mv "$dir/kernel.new" "$dir/kernel"
    fi
    make_initrd
}

# add_module NAME: behind those that it needs, each once. modules.dep: path: path path ...
add_module()
{
    name=$(echo "$1" | tr - _)
    line=$(sed -n "s,^\(.*/\),\1,p" "$base/modules.dep" | awk -v want="$name" '
        { f = $1; sub(/:$/, "", f); n = f; sub(/.*\//, "", n); sub(/\.ko.*/, "", n); gsub(/-/, "_", n)
          if (n == want) { s = f; for (i = 2; i <= NF; i++) s = $i " " s; print s; exit } }')
    for f in $line; do
        [ -e "$dir/root/mod/$(basename "$f")" ] && continue
        cp "$base/$f" "$dir/root/mod/"
        basename "$f" >>"$dir/root/mod/order"
    done
}

make_initrd()
{
    version=$(ls "$dir/kernel/lib/modules")
    base=$dir/kernel/lib/modules/$version
    "$busybox" depmod -b "$dir/kernel" "$version" 2>/dev/null || die "depmod failed"
    rm -rf "$dir/root"
    mkdir -p "$dir/root/bin" "$dir/root/mod" "$dir/root/proc" "$dir/root/sys" "$dir/root/dev" \
        "$dir/root/host" "$dir/root/top" "$dir/root/new"
    cp "$busybox" "$dir/root/bin/busybox"
    : >"$dir/root/mod/order"
    for m in $modules; do
        add_module "$m"
    done
    write_init >"$dir/root/init"
    chmod 755 "$dir/root/init"
    (cd "$dir/root" && find . | "$busybox" cpio -o -H newc 2>/dev/null) | gzip -1 >"$dir/initrd.new"
    cp "$dir/kernel/boot/vmlinuz-$version" "$dir/vmlinuz"
    mv "$dir/initrd.new" "$dir/initrd"
}

write_init()
{
    cat <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin:/usr/bin:/sbin:/usr/sbin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
fail() { echo "ktls-vm: $*"; poweroff -f; }
grep -q no_tls /proc/cmdline && skip=tls.ko
for m in $(cat /mod/order); do
    [ "$m" = "${skip:-}" ] || insmod "/mod/$m" 2>/dev/null
done
opts=trans=virtio,version=9p2000.L,msize=512000
mount -t 9p -o "ro,cache=loose,$opts" host /host || fail "no files of the host"
mount -t tmpfs -o size=80% top /top
mkdir /top/up /top/work
mount -t overlay -o lowerdir=/host,upperdir=/top/up,workdir=/top/work over /new || fail "no overlay"
mkdir -p /new/ktls-out
mount -t 9p -o "cache=none,$opts" out /new/ktls-out || fail "no folder for results"
for d in proc sys dev; do mount -o bind "/$d" "/new/$d"; done
mkdir -p /new/dev/pts /new/dev/shm
mount -t devpts devpts /new/dev/pts
mount -t tmpfs shm /new/dev/shm
mount -t tmpfs run /new/run
ifconfig lo 127.0.0.1 up
echo 0 >/proc/sys/kernel/printk
chroot /new /bin/sh /ktls-out/job
echo $? >/new/ktls-out/rc
sync
poweroff -f
INIT
}

# One word that the shell reads as it is.
quote()
{
    printf "'%s' " "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"
}

extra=
if [ "${1:-}" = --without ]; then
    extra=no_tls
    shift
fi
[ $# -gt 0 ] || die "what is to be run?"
prepare
out=$dir/out
mkdir -p "$out"
rm -f "$out/rc"
{
    echo "export HOME=/root TERM=dumb LANG=C.UTF-8 KTLS_OUT=/ktls-out"
    echo "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    env | grep '^WEIR_' | while IFS='=' read -r k v; do
        printf 'export %s=%s\n' "$k" "$(quote "$v")"
    done
    printf 'cd %s\n' "$(quote "$(pwd)")"
    for a in "$@"; do
        quote "$a"
    done
    echo
} >"$out/job"
accel=${KTLS_VM_ACCEL:-tcg,thread=multi}
timeout "${KTLS_VM_SEC:-1800}" qemu-system-x86_64 -accel "$accel" -cpu max -smp 2 \
    -m "${KTLS_VM_MB:-2048}" -display none -monitor none -serial stdio -no-reboot -nodefaults \
    -kernel "$dir/vmlinuz" -initrd "$dir/initrd" \
    -append "console=ttyS0 quiet panic=-1 mitigations=off $extra" \
    -fsdev local,id=host,path=/,security_model=none,readonly=on,multidevs=remap \
    -device virtio-9p-pci,fsdev=host,mount_tag=host \
    -fsdev "local,id=out,path=$out,security_model=none" \
    -device virtio-9p-pci,fsdev=out,mount_tag=out </dev/null | sed -u 's,\r$,,'
[ -e "$out/rc" ] || die "the machine ended before the command did"
exit "$(cat "$out/rc")"
