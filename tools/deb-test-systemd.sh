#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# For deb-test.sh: the package and its unit under a real systemd, which runs this as a service.
set -u
. /root/deb-test-lib.sh
: > /root/result
list_files > /root/before
echo '127.0.0.1 localhost' > /etc/hosts

is_state() {
    [ "$(systemctl show -P ActiveState weir)/$(systemctl show -P SubState weir)" = "$1" ]
}

main_pid() {
    systemctl show -P MainPID weir
}

worker_pid() {
    tr -d ' ' < "/proc/$(main_pid)/task/$(main_pid)/children"
}

# The supervisor that the pid file names is the service's, and not process $1.
is_replaced() {
    [ -s /run/weir.pid ] && [ "$(cat /run/weir.pid)" != "$1" ] && [ "$(main_pid)" = "$(cat /run/weir.pid)" ]
}

check "installs" dpkg -i /root/weir.deb
check "is enabled" systemctl is-enabled weir
check "was started, and says READY" until_ok is_state active/running
check "tells what it serves" sh -c 'systemctl show -P StatusText weir | grep -q "configuration 1 is being served"'
check "the main process is the one of the pid file" sh -c '[ "$(cat /run/weir.pid)" = "$(systemctl show -P MainPID weir)" ]'
check "folder of logs" owner_is /var/log/weir root:adm:755
check "nothing was refused" sh -c '! grep -E "failed|\[(warn|error|alert|emerg)\]" /var/log/weir/error.log'
check "no complaint in the journal" sh -c '! journalctl -q -u weir | grep -Ei "failed|warn|error|alert|emerg|not permitted|read-only"'
check "no new privileges" grep -q 'NoNewPrivs:.1' "/proc/$(worker_pid)/status"
check "calls are filtered" grep -q 'Seccomp:.2' "/proc/$(worker_pid)/status"
check "the worker is www-data" sh -c "[ \"\$(stat -c %U /proc/$(worker_pid))\" = www-data ]"

# A site that needs what the sandbox might take away.
install -d -m 700 /etc/weir/secret /srv/www /home/user /var/cache/weir/x
echo 'location /secret { return 200 secret; }' > /etc/weir/secret/part
chmod 600 /etc/weir/secret/part
chmod 755 /srv/www /home/user
echo file > /srv/www/file
echo home > /home/user/file
cat > /etc/weir/conf.d/trial.conf <<'END'
server {
    listen 127.0.0.1:8080;
    listen unix:/run/trial.sock;
    client_max_body_size 64m;
    client_body_buffer_size 1k;
    include secret/*;
    location ~ ^/re/(a|b)+$ { return 200 regex; }
    location /one { return 200 one; }
    location / { root /srv/www; }
    location /home/ { alias /home/user/; }
    location /up { proxy_pass http://localhost:8081; }
}
server { listen 127.0.0.1:8081; client_max_body_size 64m; location / { return 200 up; } }
END
check "reloads" systemctl reload weir
check "serves at once when the reload is over" answers one http://127.0.0.1/one
check "port 80" answers one http://127.0.0.1:80/one
check "a file that only root can read" answers secret http://127.0.0.1:8080/secret
check "regular expressions" answers regex http://127.0.0.1:8080/re/abab
check "a file of /srv" answers file http://127.0.0.1:8080/file
check "a file of /home" answers home http://127.0.0.1:8080/home/file
check "a name looked up" answers up http://127.0.0.1:8080/up
check "a listening socket in /run" sh -c '[ "$(curl -s --unix-socket /run/trial.sock http://x/one)" = one ]'
head -c 20000000 /dev/zero > /root/body
check "a body on the disk" sh -c '[ "$(curl -s -H Expect: --data-binary @/root/body http://127.0.0.1:8080/up)" = up ]'
rm /root/body
check "nothing was refused meanwhile" sh -c '! grep -E "\[(warn|alert|emerg)\]" /var/log/weir/error.log | grep -v "buffered to a temp"'

# A reload that fails.
worker=$(worker_pid)
echo 'server { no_such_directive; }' > /etc/weir/conf.d/bad.conf
check "a bad file: reload fails" fails systemctl reload weir
check "a bad file: still running" is_state active/running
kill -HUP "$(main_pid)"
check "a bad file by HUP: told" until_ok grep -q no_such_directive /var/log/weir/error.log
check "a bad file by HUP: running again" until_ok is_state active/running
check "a bad file: still serving" answers one http://127.0.0.1/one
rm /etc/weir/conf.d/bad.conf
check "reloads again" systemctl reload weir
check "the worker is the same" [ "$(worker_pid)" = "$worker" ]

# Rotation with traffic.
check "logrotate likes its file" sh -c 'logrotate -d /etc/logrotate.d/weir > /root/rotate.log 2>&1 && ! grep "^error" /root/rotate.log'
: > /root/codes
sh -c 'i=0; while [ $i -lt 300 ]; do curl -s -o /dev/null -w "%{http_code}\n" "http://127.0.0.1/rot/$i" >> /root/codes; i=$((i + 1)); done; echo >> /root/traffic-ended' &
until_ok grep -q /rot/3 /var/log/weir/access.log
check "rotates" logrotate -f /etc/logrotate.d/weir
until_ok test -s /var/log/weir/access.log
check "rotates again" logrotate -f /etc/logrotate.d/weir
until_ok test -e /root/traffic-ended
check "every request has its line" until_ok sh -c \
    '[ "$(zcat -f /var/log/weir/access.log* | grep -o "/rot/[0-9]* " | sort -u | wc -l)" = 300 ]'
check "the new log has lines" test -s /var/log/weir/access.log
check "the new log is root's" owner_is /var/log/weir/access.log root:adm:640
check "the old one too" owner_is /var/log/weir/access.log.1 root:adm:640

# Death of the worker is weir's affair, of the supervisor systemd's.
worker=$(worker_pid)
kill -KILL "$worker"
check "a dead worker is replaced" until_ok answers one http://127.0.0.1/one
check "and the service goes on" sh -c '[ "$(systemctl show -P NRestarts weir)" = 0 ]'
kill -KILL "$(main_pid)"
check "a dead supervisor is replaced" until_ok sh -c '[ "$(systemctl show -P NRestarts weir)" = 1 ]'
check "and serves again" until_ok answers one http://127.0.0.1/one
until_ok is_state active/running

# The upgrade of the program; what the operator takes back; what the operator goes through with.
old=$(main_pid)
kill -USR2 "$old"
check "upgrade: the new supervisor is the service's" until_ok is_replaced "$old"
check "upgrade: the old one waits" test "$(cat /run/weir.pid.oldbin)" = "$old"
new=$(cat /run/weir.pid)
kill -QUIT "$new"
check "taken back: the old supervisor is the service's" until_ok is_replaced "$new"
check "taken back: running" is_state active/running
check "taken back: reloads" systemctl reload weir
check "taken back: serves" answers one http://127.0.0.1/one
old=$(main_pid)
kill -USR2 "$old"
check "upgrade again" until_ok is_replaced "$old"
kill -QUIT "$old"
check "the old one ends" until_ok test ! -e "/proc/$old"
check "upgraded: running" is_state active/running
check "upgraded: serves" answers one http://127.0.0.1/one
check "upgraded: reloads" systemctl reload weir
check "upgraded: was not started again" sh -c '[ "$(systemctl show -P NRestarts weir)" = 1 ]'

main=$(main_pid)
head -c 3000000 /dev/urandom > /srv/www/big
curl -s --limit-rate 500k -o /root/big http://127.0.0.1:8080/big &
download=$!
until_ok test -s /root/big
check "the same package again" dpkg -i /root/weir.deb
check "a new process takes over" is_replaced "$main"
check "is running" is_state active/running
check "was not started again" sh -c '[ "$(systemctl show -P NRestarts weir)" = 1 ]'
check "a download goes on" wait $download
check "and is whole" cmp /root/big /srv/www/big
check "then the old one ends" until_ok test ! -e "/proc/$main"
check "serves on" answers one http://127.0.0.1/one
check "stops" systemctl stop weir
check "is not a failure" is_state inactive/dead
check "no process is left" has_no_process
check "no pid file is left" test ! -e /run/weir.pid

# Somebody else has the port: here weir itself, without the unit.
rm /etc/weir/conf.d/trial.conf
dpkg -P weir > /dev/null 2>&1
check "no file is left" sh -c 'rm -rf /srv/www /home/user /etc/weir /etc/hosts; . /root/deb-test-lib.sh; list_files > /root/after; diff /root/before /root/after'
dpkg-deb -x /root/weir.deb /run/other
mount -o remount,exec /run 2>/dev/null
/run/other/usr/sbin/weir proxy --to http://127.0.0.1:1 --listen 0.0.0.0:80 > /root/other.log 2>&1 &
other=$!
until_ok sh -c 'curl -s -o /dev/null http://127.0.0.1/'
check "installs when the port is taken" dpkg -i /root/weir.deb
cp /root/check.out /root/installed.out
check "and says that it did not start" grep -q 'did not start' /root/installed.out
check "is not running" fails is_state active/running
kill $other
wait $other
check "starts when the port is free" sh -c 'systemctl reset-failed weir; systemctl start weir'
check "removes" dpkg -r weir
check "removal ends it" until_ok has_no_process
check "purges" dpkg -P weir
list_files > /root/after
check "no file is left at the end" diff /root/before /root/after
echo end >> /root/result
