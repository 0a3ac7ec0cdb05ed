#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# For deb-test.sh: deb-test-enter.sh NAME ROOT CGROUP enters namespaces of its own with ROOT as the
# root, and starts there the script of the trial (hand) or systemd, which starts it (systemd).
set -eu
name=$1
root=$2
if [ "${3:-}" != inside ]; then
    echo $$ > "$3/cgroup.procs"
    exec unshare --mount --pid --fork --net --uts --ipc --cgroup --kill-child sh "$0" "$name" "$root" inside
fi
mount --make-rprivate /
ip link set lo up
hostname weir-deb-test
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for d in null zero full random urandom tty; do
    touch "$root/dev/$d"
    mount --bind "/dev/$d" "$root/dev/$d"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
cd "$root"
mkdir -p mnt/old
pivot_root . mnt/old
umount -l /mnt/old
rmdir /mnt/old
path=/usr/sbin:/usr/bin:/sbin:/bin
if [ "$name" = systemd ]; then
    systemctl mask -q systemd-udevd.service systemd-logind.service console-getty.service getty.target
    cat > /etc/systemd/system/trial.service <<'END'
[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/sh /root/deb-test-systemd.sh
StandardOutput=file:/root/trial.log
StandardError=inherit
ExecStopPost=/bin/systemctl --no-block --force poweroff
[Install]
WantedBy=multi-user.target
END
    systemctl enable -q trial.service
    exec env -i container=weir-deb-test PATH=$path /lib/systemd/systemd
fi
exec env -i PATH=$path LC_ALL=C sh "/root/deb-test-$name.sh"
