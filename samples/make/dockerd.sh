# A Docker daemon inside a room; sourced by docker.sh and docker-ufw.sh.

inside() {  # inside COMMAND...: in the network namespace of the daemon
    nsenter --net="/run/netns/$namespace" "$@"
}

start_daemon() {  # start_daemon NAMESPACE [OPTIONS of dockerd...]: make the namespace unless it is there, start, wait
    namespace=$1; shift
    [ -e "/run/netns/$namespace" ] || ip netns add "$namespace"
    inside ip link set lo up
    inside ip link show eth0 >/dev/null 2>&1 || {
        inside ip link add eth0 type veth peer name "$namespace" netns rfoutside
        inside ip link set eth0 up
        inside ip address add 192.0.2.10/24 dev eth0
    }
    export DOCKER_HOST="unix:///run/$namespace.sock"
    inside dockerd --host "$DOCKER_HOST" --pidfile "/run/$namespace.pid" --data-root "/media/$namespace" \
        --exec-root "/run/$namespace" --storage-driver vfs --cgroup-parent /rfdocker "$@" >"/run/$namespace.log" 2>&1 &
    await docker info
    mkdir -p "/media/image/bin"
    cp "$(command -v busybox)" /media/image/bin/busybox
    tar -C /media/image -c . | docker import - nothing >/dev/null
}

run() {  # run NAME [OPTIONS of docker run...]: a container that sleeps
    container=$1; shift
    docker run --detach --name "$container" "$@" nothing /bin/busybox sleep 600 >/dev/null
}

stop_daemon() {  # stop_daemon: containers first, so that nothing of theirs stays in the cgroups
    docker ps --all --quiet | xargs -r docker rm --force >/dev/null
    kill "$(cat "/run/$namespace.pid")"
    wait
    rmdir /sys/fs/cgroup/*/rfdocker /sys/fs/cgroup/rfdocker 2>/dev/null || true   # cgroups outlive the room
}
