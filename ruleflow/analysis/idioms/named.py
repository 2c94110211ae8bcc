"""Programs that are known again by the names of their chains or by their comments, and what each chain is for.

A table for programs of which no more is told: the sources are theirs (firewall3's zones.c and utils.c; csf.pl; neutron's
iptables_manager.py and iptables_firewall.py; cilium's pkg/datapath/iptables; flannel's pkg/trafficmngr/iptables; weave's
npc and net; antrea's pkg/agent/route; kube-router's pkg/controllers/netpol; pve-firewall's PVE/Firewall.pm; istio's
tools/istio-iptables; linkerd2-proxy-init; mwan3's lib/mwan3; miniupnpd's netfilter scripts; netbird's client/firewall;
OpenVPN Access Server; sshuttle's methods/nat.py; LXD's internal/server/firewall; wg-quick(8); aws-vpc-cni's networkutils;
ip-masq-agent; libnetwork's service_linux.go).
"""

import functools
import re
from collections.abc import Iterator

import msgspec

from ruleflow.analysis.explanation import Claim
from ruleflow.analysis.idioms.owner import Owner
from ruleflow.analysis.idioms.shape import Shape, Shapes


class Program(msgspec.Struct, frozen=True, dict=True):
    """A program by its name: how its chains are called, what its comments say, and what each chain is for.

    A row of ``chains`` is a pattern and words, in which ``{0}`` is the pattern's first group. Jumps to chains that fit
    ``shown`` show the program (others it calls as anybody might); ``needed`` is how many different places must do so.
    """

    name: str
    chains: tuple[tuple[str, str], ...] = ()
    comment: str = ""
    needed: int = 2
    shown: str = ".*"

    @functools.cached_property
    def pattern(self) -> str:
        """What fits any of its chains; nothing where it makes none."""
        return "|".join(f"(?:{pattern})" for pattern, _ in self.chains) or "(?!)"

    def purpose(self, chain: str) -> str:
        """What a chain of it is for."""
        for pattern, words in self.chains:
            found = re.fullmatch(pattern, chain)
            if found is not None:
                return words.format(*found.groups())
        return ""


_PROGRAMS = (
    Program("OpenWrt (firewall3)", (
        (r"zone_(.+)_input", "what arrives for this host from the zone {0}"),
        (r"zone_(.+)_output", "what this host sends into the zone {0}"),
        (r"zone_(.+)_forward", "what passes through, coming from the zone {0}"),
        (r"zone_(.+)_src_(ACCEPT|REJECT|DROP)", "the last word on what comes from the zone {0}: {1}"),
        (r"zone_(.+)_dest_(ACCEPT|REJECT|DROP)", "the word on what leaves into the zone {0}: {1}"),
        (r"zone_(.+)_prerouting", "new destinations for what comes from the zone {0}"),
        (r"zone_(.+)_postrouting", "new sources for what leaves into the zone {0}"),
        (r"zone_(.+)_helper", "helpers for connections from the zone {0}"),
        (r"(?:input|output|forwarding|prerouting|postrouting)_(?:.+_)?rule", "left to the administrator's own rules"),
        (r"reject", "refuses: tcp by a reset, everything else by an error"),
        (r"syn_flood", "lets so many new connections through in a second, and drops the others"),
    ), r"!fw3.*", shown=r"zone_.+"),
    Program("csf (ConfigServer Firewall)", (
        (r"LOCALINPUT", "lists of addresses for what arrives: allowed ones first, then denied ones"),
        (r"LOCALOUTPUT", "lists of addresses for what is sent: allowed ones first, then denied ones"),
        (r"G?ALLOW(?:IN|OUT|DYNIN|DYNOUT)", "addresses that are allowed"),
        (r"G?DENY(?:IN|OUT)|GDENY.*", "addresses that are blocked"),
        (r"LOGDROP(?:IN|OUT)", "logs what no other rule let pass, and stops it"),
        (r"INVALID", "packets that no honest program sends"),
        (r"INVDROP", "drops them"),
        (r"PORTFLOOD|SYNFLOOD|UDPFLOOD|CONNLIMIT|SMTPOUTPUT|ACC?LOG|BOGON|CC_.*", "one of its limits or lists"),
    ), shown=r"LOCAL(?:IN|OUT)PUT|LOGDROP(?:IN|OUT)"),
    Program("OpenStack Neutron", (
        (r"neutron-.+-i([0-9a-f-]+)", "the security groups' rules for what goes to the port {0}"),
        (r"neutron-.+-o([0-9a-f-]+)", "the security groups' rules for what comes from the port {0}"),
        (r"neutron-.+-s([0-9a-f-]+)", "keeps the port {0} to its own addresses"),
        (r"neutron-.+-sg-chain", "sends what concerns a port to the chains of that port"),
        (r"neutron-.+-sg-fallback", "what no security group's rule let pass"),
        (r"neutron-.+-float-snat", "floating addresses as source"),
        (r"neutron-.+-snat|neutron-postrouting-bottom", "the router's own address as source"),
        (r"neutron-.+-(PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING)", "its own rules at {0}"),
        (r"neutron-filter-top|neutron-.+-local", "for rules that must come first"),
        (r"neutron-.+", "its own rules"),
    )),
    Program("Cilium", (
        (r"(?:OLD_)?CILIUM_PRE_.+", "its rules for what arrives"),
        (r"(?:OLD_)?CILIUM_POST_.+", "its rules for what leaves: among them masquerading what leaves the cluster"),
        (r"(?:OLD_)?CILIUM_.+", "its own rules; most is done outside of iptables, by eBPF"),
    )),
    Program("flannel", (
        (r"FLANNEL-POSTRTG", "masquerades what leaves the pods' network"),
        (r"FLANNEL-FWD", "lets the pods' packets through"),
    )),
    Program("Weave Net", (
        (r"WEAVE-NPC-INGRESS", "what network policies let go to pods"),
        (r"WEAVE-NPC-DEFAULT", "pods that no network policy chooses"),
        (r"WEAVE-NPC-EGRESS.*", "what network policies let come from pods"),
        (r"WEAVE-NPC", "network policies for what goes to pods"),
        (r"WEAVE-IPSEC-.+", "marks what must be encrypted between nodes"),
        (r"WEAVE", "masquerades what leaves the pods' network"),
        (r"WEAVE-(?:EXPOSE|CANARY)", "its own rules"),
    )),
    Program("Antrea", ((r"ANTREA-(PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING)", "its rules at {0}"), (r"ANTREA-.+", "its own rules"))),
    Program("kube-router", (
        (r"KUBE-ROUTER-(INPUT|FORWARD|OUTPUT)", "network policies at {0}"),
        (r"KUBE-POD-FW-.+", "the network policies of one pod"),
        (r"KUBE-NWPLCY-.+", "one network policy: it marks what the policy lets pass"),
    )),
    Program("Proxmox VE's firewall", (
        (r"PVEFW-(INPUT|OUTPUT|FORWARD|PREROUTING)", "its rules at {0}"),
        (r"PVEFW-HOST-IN", "what arrives for the node itself"),
        (r"PVEFW-HOST-OUT", "what the node itself sends"),
        (r"PVEFW-FWBR-IN", "what goes to a guest"),
        (r"PVEFW-FWBR-OUT", "what comes from a guest"),
        (r"PVEFW-(?:Drop|Reject)", "common noise, before the policy"),
        (r"PVEFW-SET-ACCEPT-MARK", "marks what a guest may send"),
        (r"(?:tap|veth)(\d+)i(\d+)-IN", "the rules for what goes to interface {1} of guest {0}"),
        (r"(?:tap|veth)(\d+)i(\d+)-OUT", "the rules for what comes from interface {1} of guest {0}"),
        (r"GROUP-(.+)-(?:IN|OUT)", "the security group {0}"),
        (r"PVEFW-.+", "its own rules"),
    ), needed=1),
    Program("Istio", (
        (r"ISTIO_INBOUND", "what arrives for the pod goes to its proxy"),
        (r"ISTIO_OUTPUT", "what the pod sends goes to its proxy, the proxy's own packets apart"),
        (r"ISTIO_IN_REDIRECT", "to the proxy's port for what arrives"),
        (r"ISTIO_REDIRECT", "to the proxy's port for what is sent"),
        (r"ISTIO_.+", "its own rules"),
    )),
    Program("Linkerd (proxy-init)", (
        (r"PROXY_INIT_REDIRECT", "what arrives for the pod goes to its proxy"),
        (r"PROXY_INIT_OUTPUT", "what the pod sends goes to its proxy, the proxy's own packets apart"),
    )),
    Program("mwan3", (
        (r"mwan3_hook", "chooses the uplink of a connection once, and keeps it in the mark"),
        (r"mwan3_(?:connected|custom|dynamic)(?:_.+)?", "networks that are reached directly"),
        (r"mwan3_ifaces_in", "connections that come in are answered by the same uplink"),
        (r"mwan3_iface_in_(.+)", "what came in by the uplink {0}"),
        (r"mwan3_policy_(.+)", "the policy {0}: which uplinks, in which shares"),
        (r"mwan3_rules?(?:_.+)?", "which traffic takes which policy"),
    )),
    Program("miniupnpd", (
        (r"MINIUPNPD(?:-PCP)?", "ports that machines inside asked to be opened (UPnP, NAT-PMP)"),
        (r"MINIUPNPD-(?:PCP-)?(?:PEER|POSTROUTING)", "the sources of what leaves by such ports"),
    )),
    Program("NetBird", ((r"NETBIRD-ACL-.+", "which peers may do what"), (r"NETBIRD-RT-.+", "networks routed for peers"), (r"NETBIRD-.+", "its own rules"))),
    Program("OpenVPN Access Server", ((r"AS0_.+", "its own rules"),)),
    Program("sshuttle", ((r"sshuttle-(?:.-)?(\d+)", "connections that go by the tunnel: to its program on port {0}"),)),
    Program("Docker Swarm", ((r"DOCKER-INGRESS", "services published by the swarm: to its load balancer"),)),
    Program("LXD or Incus", comment=r"generated for (?:LXD|Incus) .*"),
    Program("MicroK8s", comment=r"generated for MicroK8s .*"),
    Program("wg-quick", comment=r"wg-quick\(8\) rule for .*"),
    Program("the NodeLocal DNS Cache", comment=r"NodeLocal DNS Cache: .*"),
    Program("the AWS VPC CNI", ((r"AWS-SNAT-CHAIN-\d+", "the node's address for what leaves the VPC"), (r"AWS-CONNMARK-CHAIN-\d+", "marks connections that leave the VPC"))),
    Program("ip-masq-agent", ((r"IP-MASQ(?:-AGENT)?", "masquerades what leaves the cluster's networks"),), needed=1),
)  # fmt: skip


def _owners(shapes: Shapes) -> list[tuple[Program, Owner]]:
    """The programs that show themselves."""
    made = (
        (
            program,
            Owner(program.name, shapes, program.pattern, _signs(shapes, program), needed=program.needed),
        )
        for program in _likely(shapes)
    )
    return [(program, owner) for program, owner in made if owner.known]


def _likely(shapes: Shapes) -> Iterator[Program]:
    """Those with a chain or a comment of the right look: the others need no closer look."""
    chains = " ".join(chain for _, chain in shapes.chains)
    comments = {one.comment for rules in shapes.chains.values() for one in rules if one.comment}
    for program in _PROGRAMS:
        named = any(re.search(rf"(?<!\S)(?:{pattern})(?!\S)", chains) for pattern, _ in program.chains)
        if named or (program.comment and any(re.fullmatch(program.comment, text) for text in comments)):
            yield program


def _signs(shapes: Shapes, program: Program) -> list[Shape]:
    """The jumps into its chains from those of others, and rules with its comment."""
    pattern = re.compile(program.pattern)
    found = []
    for (_, chain), rules in shapes.chains.items():
        for one in rules:
            into = one.calls or ""
            jump = (
                pattern.fullmatch(into) and re.fullmatch(program.shown, into) and not pattern.fullmatch(chain)
            )
            if jump or (program.comment and one.comment and re.fullmatch(program.comment, one.comment)):
                found.append(one)
    return found


def claims(shapes: Shapes) -> Iterator[Claim]:
    """None about single rules: what a chain is for is said in its heading."""
    del shapes
    yield from ()


def owners(shapes: Shapes) -> Iterator[tuple[tuple[str, str], str]]:
    """Their chains, and what each is for."""
    for program, owner in _owners(shapes):
        for key, words in owner.owned():
            purpose = program.purpose(key[1])
            yield key, f"{words}: {purpose}" if purpose else words


def made(shapes: Shapes) -> Iterator[str]:
    """One sentence on each."""
    for program, owner in _owners(shapes):
        if program.chains:
            yield from owner.sentence()
        else:
            yield from owner.sentence(evidence="by the comments of its rules")
