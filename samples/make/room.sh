# The throw-away room in which a sample is made; sourced by the scripts beside it, never run by itself.
#
#   . "$(dirname "$0")/room.sh"
#   room "$@"                 # from here on the script runs inside; "$out" is the directory the dumps go to
#
# A room has its own network, process, mount, IPC and host-name namespaces. Its /etc, /var and /run are overlays, so
# whatever a tool writes there is gone afterwards, and its processes end with it: the process namespace dies with
# its first process, and `timeout` bounds that one. Nothing outside the room sees a packet, a rule or a file of it,
# except the dumps, which `save` puts into the samples directory (or into the directory given as the first argument).

seconds=${ROOM_SECONDS:-120}

needs() {  # needs PACKAGES -- COMMAND...: say how to install what is missing, install nothing
    packages=$1; shift 2
    for command; do
        command -v "$command" >/dev/null || {
            echo "$0: $command is missing; install it with: apt-get install --no-install-recommends $packages" >&2
            exit 2
        }
    done
}

room() {  # room [DIRECTORY]: run this script again inside a fresh room, or furnish it if we are inside
    if [ -z "${ROOM_OUT:-}" ]; then
        [ "$(id -u)" = 0 ] || { echo "$0: run me as root" >&2; exit 2; }
        out=${1:-$(dirname "$0")/..}
        mkdir -p "$out" && out=$(cd "$out" && pwd -P) || exit 2
        case $out/ in
            /etc/*|/var/*|/run/*|/media/*) echo "$0: $out is hidden inside the room; choose another place" >&2; exit 2 ;;
        esac
        # -i: no name or path of this machine's environment reaches the tools.
        exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C HOME=/ ROOM_OUT="$out" \
            timeout -k 5 "$seconds" unshare --net --mount --pid --ipc --uts --fork --mount-proc "$0"
    fi
    out=$ROOM_OUT
    hostname gateway.example
    mount -t tmpfs tmpfs /media
    mkdir /media/cgroup
    mount --rbind /sys/fs/cgroup /media/cgroup   # a fresh /sys knows the room's interfaces, but has no cgroups
    mount -t sysfs sysfs /sys
    mount --rbind /media/cgroup /sys/fs/cgroup
    for part in etc var run; do
        mkdir -p "/media/$part" "/media/$part.work"
        mount -t overlay overlay -o "lowerdir=/$part,upperdir=/media/$part,workdir=/media/$part.work" "/$part"
    done
    echo gateway.example >/etc/hostname
    echo '127.0.0.1 localhost gateway.example' >/etc/hosts
    echo 'nameserver 192.0.2.53' >/etc/resolv.conf
    # A link without its automatic IPv6 address sends nothing by itself, so fewer counters change between two runs.
    for scope in all default; do echo 1 >/proc/sys/net/ipv6/conf/$scope/addr_gen_mode 2>/dev/null || true; done
    ip link set lo up
    ip netns add rfoutside
}

link() {  # link NAME [ADDRESS/LENGTH...]: an interface whose other end is in the namespace rfoutside
    name=$1; shift
    ip link add "$name" type veth peer name "$name" netns rfoutside
    ip -n rfoutside link set "$name" up
    ip link set "$name" up
    for address; do
        case $address in
            *:*) ip address add "$address" dev "$name" nodad ;;
            *) ip address add "$address" dev "$name" ;;
        esac
    done
}

await() {  # await COMMAND...: until it succeeds, 30 seconds at most
    tries=0
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ $tries -lt 150 ] || { echo "$0: waited in vain for: $*" >&2; exit 1; }
        sleep 0.2
    done
}

save() {  # save NAME: what iptables-save prints, unchanged
    ${iptables_save:-iptables-save} >"$out/$1.rules"
}

save6() {  # save6 NAME: what ip6tables-save prints, unchanged
    ${ip6tables_save:-ip6tables-save} >"$out/$1-ipv6.rules"
}
