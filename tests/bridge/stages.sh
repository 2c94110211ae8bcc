# Sourced by ../shared/capture/capture.sh instead of its own stages: only the rules are kept.
stage() { mkdir -p "$out/$1"; sleep 0.1; iptables-save > "$out/$1/iptables.save"; ip6tables-save > "$out/$1/ip6tables.save"; }
net() { local name=$1; shift; docker network create -o com.docker.network.bridge.name="$name" "$@" "$name" >/dev/null; }
opt=com.docker.network
six=; case " $* " in *" --ip6tables "*) six="--ipv6 --subnet fd00:18::/64";; esac

stage 1-daemon
run first -p 80:80 -p 443:443 -p 8443:8080;                                              stage 2-three-ports
# shellcheck disable=SC2086
net br-app $six; run web --network br-app -p 8080:80 -p 8080:80/udp -p 127.0.0.1:8081:80 -p 192.0.2.10:8082:80
stage 3-host-addresses
net br-inner --internal; run in1 --network br-inner -p 7000:80;                          stage 4-internal
net br-quiet -o $opt.bridge.enable_icc=false; run qq --network br-quiet -p 5353:53/udp -p 5353:53/tcp; stage 5-icc-off
net br-inq --internal -o $opt.bridge.enable_icc=false;                                   stage 6-internal-icc-off
net br-plain -o $opt.bridge.enable_ip_masquerade=false; run pl --network br-plain -p 6000:80; stage 7-no-masquerade
net br-snat -o $opt.host_ipv4=192.0.2.10; run ss --network br-snat -p 6001:80;           stage 8-outbound-address
net br-bind -o $opt.bridge.host_binding_ipv4=192.0.2.10; run bb --network br-bind -p 6002:80; stage 9-host-binding
docker rm -f first >/dev/null;                                                           stage A-removed
