#!/bin/sh
# A real Docker with a machine outside, all in the namespaces this is started in (network, mount, process ids):
#   unshare --net --mount --pid --fork --mount-proc --kill-child daemon.sh PLACE PYTHON [dockerd options]
# PLACE is an empty directory. Says "ready" when everything runs, and ends when its input ends.
set -eu
here=$(dirname "$0"); place=$1; python=$2; shift 2
export DOCKER_HOST="unix://$place/socket"

# what `ip netns` keeps, and what dockerd writes, stays in here
mount -t tmpfs tmpfs /run
mkdir /run/netns

lift='net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0 net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0'
ip netns add outside
sysctl -qw $lift
ip netns exec outside sysctl -qw $lift
ip link set lo up
ip link add eth0 type veth peer name wire netns outside
ip addr add 192.0.2.10/24 dev eth0
ip addr add 2001:db8::10/64 dev eth0
ip link set eth0 up
ip route add default via 192.0.2.1
ip -n outside link set lo up
ip -n outside addr add 192.0.2.1/24 dev wire
ip -n outside addr add 2001:db8::1/64 dev wire
ip -n outside link set wire up
ip netns exec outside "$python" "$here/probe.py" serve outside 80 &

dockerd --host "$DOCKER_HOST" --data-root "$place/data" --exec-root "$place/exec" --pidfile "$place/pid" \
  --storage-driver vfs "$@" >"$place/log" 2>&1 &
daemon=$!
tries=0
until docker info >/dev/null 2>&1; do
  tries=$((tries + 1))
  [ $tries -lt 100 ] || { tail -5 "$place/log"; exit 1; }
  sleep 0.2
done

# the image is busybox alone: a container sleeps, and the probe is run in its network from here
mkdir -p "$place/image/bin"
cp "$(command -v busybox)" "$place/image/bin/busybox"
tar -C "$place/image" -c . | docker import - probe >/dev/null

start() {
  name=$1; shift
  docker run -d --name "$name" --sysctl net.ipv4.icmp_ratelimit=0 "$@" probe busybox sleep 600 >/dev/null
  nsenter -n -t "$(docker inspect -f '{{.State.Pid}}' "$name")" "$python" "$here/probe.py" serve "$name" 80 &
}
docker network create -o com.docker.network.bridge.name=rf-app app >/dev/null
docker network create -o com.docker.network.bridge.name=rf-inner --internal inner >/dev/null
start web -p 8080:80 -p 8080:80/udp
start local -p 127.0.0.1:8443:80
start far --network app -p 192.0.2.10:9001:80
start hidden --network inner
sleep 0.5
echo ready
cat >/dev/null

docker ps -aq | xargs docker rm -f >/dev/null
kill $daemon
wait $daemon || true
