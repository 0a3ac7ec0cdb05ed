#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# For deb-test.sh: the package where there is no systemd.
set -u
. /root/deb-test-lib.sh
: > /root/result
list_files > /root/before

check "installs" dpkg -i /root/weir.deb
check "is whole" sh -c '[ -z "$(dpkg --verify weir)" ]'
check "the configuration is a good one" weir -t
check "folder of logs" owner_is /var/log/weir root:adm:755
check "logs" owner_is /var/log/weir/access.log root:adm:640
check "nothing was started" has_no_process

put_site one
check "starts" weir
check "serves" until_ok answers one http://127.0.0.1/
check "writes the log" until_ok grep -q 'GET / HTTP/1.1' /var/log/weir/access.log
check "the log keeps its owner" owner_is /var/log/weir/access.log root:adm:640
check "the worker is www-data" sh -c \
    '[ "$(stat -c %U /proc/"$(cat /proc/$(cat /run/weir.pid)/task/*/children | tr -d " ")")" = www-data ]'
put_site two
check "reload" weir -s reload
check "serves the new one" until_ok answers two http://127.0.0.1/

echo '# mine' >> /etc/weir/weir.conf
check "the same package again" dpkg -i /root/weir.deb
check "an edited configuration stays" grep -qx '# mine' /etc/weir/weir.conf
check "serves meanwhile" answers two http://127.0.0.1/

check "removes" dpkg -r weir
check "removal ends it" until_ok has_no_process
check "the pid file is gone" test ! -e /run/weir.pid
check "the configuration stays" grep -qx '# mine' /etc/weir/weir.conf
check "the logs stay" test -s /var/log/weir/access.log
check "the program is gone" test ! -e /usr/sbin/weir

check "installs again" dpkg -i /root/weir.deb
check "with the edited configuration" grep -qx '# mine' /etc/weir/weir.conf
check "starts again" weir
check "serves again" until_ok answers two http://127.0.0.1/
rm /etc/weir/conf.d/trial.conf
check "purges" dpkg -P weir
check "purging ends it" until_ok has_no_process
list_files > /root/after
check "no file is left" diff /root/before /root/after
echo end >> /root/result
