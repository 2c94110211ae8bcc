#!/bin/sh
# ufw and Docker on one host. ufw lets in ssh and nothing else; a container publishes 8080, another 5432, meant for
# 127.0.0.1 only. Makes docker-ufw.rules.
set -eu
. "$(dirname "$0")/room.sh"
needs "docker.io ufw iptables iproute2 busybox-static" -- \
    dockerd docker ufw busybox iptables-save ip nsenter unshare
room "$@"
. "$(dirname "$0")/dockerd.sh"

iptables_save='inside iptables-save'
start_daemon rfhost
inside ufw default deny incoming
inside ufw allow 22/tcp
inside ufw --force enable
run web -p 8080:80
run db -p 127.0.0.1:5432:5432
save docker-ufw
stop_daemon
