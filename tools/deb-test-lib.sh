# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
#
# For the trials of deb-test.sh, inside the chroot. Results are lines "ok WHAT" and "FAIL WHAT" of
# /root/result.

LC_ALL=C
DEBIAN_FRONTEND=noninteractive
export LC_ALL DEBIAN_FRONTEND

# check WHAT COMMAND...
check() {
    what=$1
    shift
    if "$@" > /root/check.out 2>&1; then
        echo "ok $what" >> /root/result
    else
        { echo "FAIL $what"; sed 's/^/    /' /root/check.out; } >> /root/result
    fi
}

# until_ok COMMAND...: within 15 seconds.
until_ok() {
    n=0
    until "$@"; do
        n=$((n + 1))
        [ $n -lt 150 ] || return 1
        sleep 0.1
    done
}

fails() {
    ! "$@"
}

# answers TEXT URL
answers() {
    [ "$(curl -s -m 5 "$2")" = "$1" ]
}

put_site() {
    cat > /etc/weir/conf.d/trial.conf <<END
server { listen 127.0.0.1:8080; location / { return 200 $1; } }
END
}

# All files but those of the system's own records.
list_files() {
    find / -xdev \( -path /root -o -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp \
        -o -path /var/log/journal -o -path /var/lib/dpkg -o -path /var/cache/ldconfig \) -prune -o -print | LC_ALL=C sort |
        grep -v -x -e /var/log/dpkg.log -e /var/lib/logrotate/status -e '/var/lib/systemd/.*' -e /enter.log
}

owner_is() {
    [ "$(stat -c %U:%G:%a "$1")" = "$2" ]
}

# The pids of processes called weir that are not dead.
count_processes() {
    n=0
    for p in /proc/[0-9]*; do
        case $(readlink "$p/exe" 2>/dev/null) in
        /usr/sbin/weir*) n=$((n + 1)) ;;
        esac
    done
    echo $n
}

has_no_process() {
    [ "$(count_processes)" = 0 ]
}
