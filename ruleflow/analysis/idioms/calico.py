"""Calico's rules (felix/rules of projectcalico): policies, kept with marks, in front of everything else."""

from collections.abc import Iterator

from ruleflow.analysis.explanation import Claim
from ruleflow.analysis.idioms.owner import Idiom, Owner, told
from ruleflow.analysis.idioms.shape import Shape, Shapes
from ruleflow.ruleset.values import Not

_HOOKS = ("INPUT", "FORWARD", "OUTPUT", "PREROUTING", "POSTROUTING")


def _owner(shapes: Shapes) -> Owner:
    signs = [
        one for hook in _HOOKS for table in ("raw", "mangle", "nat", "filter")
        for one in shapes.called(table, f"cali-{hook}") if one.ref.chain == hook and one.asks()
    ]  # fmt: skip
    signs += [
        one for chain in ("cali-from-wl-dispatch", "cali-to-wl-dispatch") for one in shapes.chain("filter", chain)
        if one.target == "goto" and (one.calls or "").startswith("cali-")
    ]  # fmt: skip
    return Owner("Calico", shapes, r"cali[a-z]*-.+", signs)


def claims(shapes: Shapes) -> Iterator[Claim]:
    """Claims about its rules."""
    owner = _owner(shapes)
    yield from told(owner, _IDIOMS)
    for one in shapes.chain("filter", "FORWARD") if owner.known else ():
        claim = behind(owner, one)
        if claim is not None:
            yield claim


def owners(shapes: Shapes) -> Iterator[tuple[tuple[str, str], str]]:
    """Its chains."""
    yield from _owner(shapes).owned()


def made(shapes: Shapes) -> Iterator[str]:
    """Calico, if its chains are there."""
    yield from _owner(shapes).sentence()


def entry(owner: Owner, one: Shape) -> Claim | None:
    """``FORWARD -j cali-FORWARD``: before all others."""
    hook = (one.calls or "").removeprefix("cali-")
    if one.ref.chain != hook or not one.asks():
        return None
    return owner.claim(
        "first",
        one,
        "Calico keeps its jump at the top of the chain, so that its policies decide before any other program's rules.",
        "to be asked first",
    )


_DISPATCH = {
    "cali-from-wl-dispatch": ("packets from pods", "The interface says which pod sent the packet; each pod has a chain of its own with the policies for what it may send."),
    "cali-to-wl-dispatch": ("packets to pods", "The interface says which pod the packet is for; each pod has a chain of its own with the policies for what it may get."),
    "cali-wl-to-host": ("packets from pods to this node", "What pods send to the node itself is judged by their own policies first, then by the setting for traffic to the host."),
    "cali-from-host-endpoint": ("policies for this node", "Policies for the node's own interfaces (host endpoints) stand there; without any the chain is empty."),
    "cali-to-host-endpoint": ("policies for this node", "Policies for the node's own interfaces (host endpoints) stand there; without any the chain is empty."),
    "cali-from-hep-forward": ("policies for forwarded traffic", "Policies for the node's own interfaces that also apply to what passes through."),
    "cali-to-hep-forward": ("policies for forwarded traffic", "Policies for the node's own interfaces that also apply to what passes through."),
    "cali-failsafe-in": ("to keep a way in", "Ports that must stay reachable whatever a policy says, so that nobody locks himself out (ssh, etcd, BGP, the API)."),
    "cali-failsafe-out": ("to keep a way out", "Ports that must stay reachable whatever a policy says (DNS, DHCP, etcd, BGP, the API)."),
    "cali-cidr-block": ("blocked networks", "Networks that pods must not reach, such as those that would loop back to this node."),
    "cali-rpf-skip": ("exceptions from source checking", "Interfaces that may send with other addresses than their own."),
    "cali-fip-dnat": ("floating addresses", "A floating address belongs to no interface; it is translated to the pod that it stands for."),
    "cali-fip-snat": ("floating addresses", "A pod with a floating address that talks to itself by it."),
    "cali-nat-outgoing": ("the way out", "Pods whose addresses nobody outside knows are masqueraded there."),
}  # fmt: skip


def dispatch(owner: Owner, one: Shape) -> Claim | None:
    """Jumps between Calico's own chains."""
    called = one.calls or ""
    words = _DISPATCH.get(called)
    if words is not None:
        return owner.claim(f"to-{called}", one, words[1], words[0])
    if called.startswith(("cali-fw-", "cali-tw-")) and isinstance(one.get("in") or one.get("out"), str):
        way = "comes from" if called.startswith("cali-fw-") else "goes to"
        side = one.get("in") or one.get("out")
        return owner.claim(
            "pod",
            one,
            f"{side} is this node's end of a pod's link: what {way} that pod is judged in its own chain, with no way back.",
            f"the pod behind {side}",
        )
    if called.startswith(("cali-pi-", "cali-po-")):
        return owner.claim(
            "policy",
            one,
            "A network policy that selects this pod. It marks the packet where it allows it, and the next rule looks at the mark.",
            "a network policy",
        )
    if called.startswith(("cali-pri-", "cali-pro-")):
        return owner.claim(
            "profile",
            one,
            "A profile of the pod (its namespace or service account): what is allowed where no policy selects the pod.",
            "a profile",
        )
    return None


def marks(owner: Owner, one: Shape) -> Claim | None:
    """The marks that carry a policy's answer."""
    if not owner.mine(one.ref.chain):
        return None
    if one.target == "MARK" and one.asks() and _clears(one):
        return owner.claim(
            "clear",
            one,
            "The bit that stands for an answer is cleared, so that no older answer counts.",
            "the answer of the policies",
        )
    if one.target == "MARK":
        return owner.claim(
            "allow",
            one,
            "A policy cannot let a packet pass by itself, since other chains come after it: it sets the mark that stands for allowed.",
            "the answer of a policy",
        )
    if one.verdict == "RETURN" and one.asks("mark") and one.mark is not None and one.mark.value:
        return owner.claim(
            "allowed",
            one,
            "The policy above allowed the packet, so nothing else is asked here.",
            "packets that are allowed",
        )
    if one.verdict == "ACCEPT" and one.asks("mark"):
        return owner.claim(
            "accepted",
            one,
            "The policies have allowed the packet, and this is the place where it may pass.",
            "packets that are allowed",
        )
    if one.verdict == "DROP" and one.asks("mark") and one.mark is not None and not one.mark.value:
        return owner.claim(
            "none-allowed",
            one,
            "Where a policy selects a pod, only what some policy allows may pass; no one allowed this.",
            "packets that no policy allows",
        )
    return None


def _clears(one: Shape) -> bool:
    """Whether the MARK target only clears bits: its value is 0."""
    value = getattr(one.rule.target, "mark", None)
    return getattr(value, "value", getattr(value, "xor", None)) == 0


def drops(owner: Owner, one: Shape) -> Claim | None:
    """What is dropped without a policy."""
    chain = one.ref.chain
    if one.verdict not in ("DROP", "REJECT") or not owner.mine(chain):
        return None
    if chain.endswith("-dispatch") and one.asks():
        return owner.claim(
            "unknown",
            one,
            "The interface is named as a pod's, but Calico knows no such pod (yet); without policies to ask, nothing may pass.",
            "unknown interfaces",
        )
    if chain.startswith(("cali-fw-", "cali-tw-")) and one.asks():
        return owner.claim(
            "no-profile",
            one,
            "Neither a policy nor a profile allowed the packet.",
            "packets that nothing allows",
        )
    if (
        chain.startswith("cali-fw-")
        and one.protocol in ("udp", "ipencap")
        and set(one.facts) <= {"protocol", "dport"}
    ):
        return owner.claim(
            "encapsulated",
            one,
            "Nodes trust each other's tunnels. A pod that could send such packets itself could smuggle traffic past the policies.",
            "forged tunnels",
        )
    return None


def masquerade(owner: Owner, one: Shape) -> Claim | None:
    """``cali-nat-outgoing -m set --match-set cali40masq-ipam-pools src -m set ! --match-set cali40all-ipam-pools dst -j MASQUERADE``."""
    if one.rewrites is None or one.rewrites.what != "source" or not owner.mine(one.ref.chain):
        return None
    if one.ref.chain == "cali-nat-outgoing":
        return owner.claim(
            "nat-outgoing",
            one,
            "Nodes know the way to each other's pods, the rest of the world does not: toward other than pods the node's address is used.",
            "the way out for pods",
        )
    if isinstance(one.get("out"), str) and isinstance(one.get("src_type"), Not):
        return owner.claim(
            "tunnel",
            one,
            f"What this node itself sends into the tunnel {one.get('out')} must carry the tunnel's address, or the answer takes another way.",
            "this node in a tunnel",
        )
    return None


def accepts(owner: Owner, one: Shape) -> Claim | None:
    """What passes without asking a policy."""
    chain = one.ref.chain
    if one.verdict == "ACCEPT" and owner.mine(chain) and one.asks("state") and "ESTABLISHED" in one.states:
        return owner.claim(
            "known",
            one,
            "Policies judge the first packet of a connection; what follows and the answers pass.",
            "known connections",
        )
    if one.verdict == "DROP" and chain.startswith(("cali-fw-", "cali-tw-")) and one.states == {"INVALID"}:
        return owner.claim(
            "invalid",
            one,
            "Packets that fit no connection can be judged by no policy.",
            "packets that fit no connection",
        )
    if chain == "cali-INPUT" and one.protocol in ("ipencap", "udp", "ipv6"):
        if one.verdict == "ACCEPT" and "set.lookup" in one.facts:
            return owner.claim(
                "tunnel-in",
                one,
                "Packets in a tunnel between the nodes are taken apart here and judged then; only nodes that Calico knows may send them.",
                "tunnels between nodes",
            )
        if one.verdict == "DROP" and one.asks("protocol"):
            return owner.claim(
                "tunnel-out",
                one,
                "A tunnel packet from anybody else could smuggle traffic past the policies.",
                "forged tunnels",
            )
    if chain == "cali-wl-to-host" and one.verdict in ("ACCEPT", "RETURN", "DROP") and one.asks():
        return owner.claim(
            "to-host",
            one,
            "What the pod's own policies allow it to send to its node is decided by one setting for all pods (DefaultEndpointToHostAction).",
            "packets from pods to this node",
        )
    if chain == "cali-OUTPUT" and one.verdict == "RETURN" and one.asks("out"):
        return owner.claim(
            "own-pods",
            one,
            "A node may always reach its own pods: the kubelet has to ask whether they are well.",
            "this node and its pods",
        )
    return None


def behind(owner: Owner, one: Shape) -> Claim | None:
    """The rules behind the jump in FORWARD, which work on Calico's mark."""
    jump = next(
        (other for other in owner.signs if other.ref.chain == "FORWARD" and other.ref.table == "filter"), None
    )
    used = {
        other.mark.mask
        for chain in ("cali-INPUT", "cali-FORWARD")
        for other in owner.shapes.chain("filter", chain)
        if other.mark
    }
    if jump is None or one.ref < jump.ref:
        return None
    if one.verdict == "ACCEPT" and one.asks("mark") and one.mark is not None and one.mark.mask in used:
        return owner.claim(
            "forwarded",
            one,
            "A policy of Calico has marked the packet as allowed, and may have the last word here.",
            "packets that a policy allows",
        )
    if one.target == "MARK" and one.asks() and not _clears(one) and one.ref.index == jump.ref.index + 2:
        return owner.claim(
            "default",
            one,
            "What no policy is about is marked too, so that rules behind this one can tell that Calico has nothing against it.",
            "packets without a policy",
        )
    return None


_IDIOMS: tuple[Idiom, ...] = (entry, dispatch, marks, accepts, drops, masquerade)
