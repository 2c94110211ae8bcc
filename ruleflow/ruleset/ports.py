"""Ports and ranges of ports: by number or by service name."""

import functools
import socket

from ruleflow.ruleset.values import NumberRange, Range, Unreadable, number


@functools.lru_cache(maxsize=1024)
def port_number(text: str, protocol: str | None = None) -> int:
    """A port by number or by service name (/etc/services). Raises `Unreadable`."""
    try:
        return number(text, 0, 65535)
    except Unreadable:
        if text[:1].isdigit() or text[:1] == "-" or not text.isascii() or "\0" in text:
            raise
    try:
        return socket.getservbyname(text, protocol) if protocol else socket.getservbyname(text)
    except OSError:
        raise Unreadable(f"I do not know the service {text!r}", "write the port's number") from None


def resolved_port(text: str) -> int:
    """A port as getaddrinfo reads it: decimal, of which 16 bits count, or a service of any protocol. Raises `Unreadable`."""
    decimal = text.strip().removeprefix("+")
    if decimal.isascii() and decimal.isdigit():
        return int(decimal) & 0xFFFF
    if decimal[:2].lower() == "0x":
        raise Unreadable(f"{text!r} is no port", "write it in decimal")
    return port_number(text)


@functools.lru_cache(maxsize=1024)
def service_name(port: int) -> str | None:
    """The well-known service of a port, for sentences; a short list, the same on every machine."""
    return _SERVICES.get(port)


_SERVICES = {
    20: "ftp-data", 21: "ftp", 22: "ssh", 23: "telnet", 25: "smtp", 53: "dns", 67: "dhcp server",
    68: "dhcp client", 69: "tftp", 80: "http", 88: "kerberos", 110: "pop3", 111: "rpcbind", 123: "ntp",
    137: "netbios", 138: "netbios", 139: "netbios", 143: "imap", 161: "snmp", 162: "snmp trap", 179: "bgp",
    389: "ldap", 443: "https", 445: "smb", 465: "smtps", 500: "ike", 514: "syslog", 546: "dhcpv6 client",
    547: "dhcpv6 server", 587: "mail submission", 631: "ipp", 636: "ldaps", 853: "dns over tls", 873: "rsync",
    993: "imaps", 995: "pop3s", 1194: "openvpn", 1701: "l2tp", 1723: "pptp", 1812: "radius", 1900: "ssdp",
    2049: "nfs", 2375: "docker", 2376: "docker", 2379: "etcd", 3128: "squid", 3306: "mysql", 3389: "rdp",
    4500: "ipsec nat-t", 4789: "vxlan", 5060: "sip", 5353: "mdns", 5432: "postgresql", 5900: "vnc",
    6379: "redis", 6443: "kubernetes api", 8443: "https", 9100: "node exporter", 10250: "kubelet",
    27017: "mongodb", 51820: "wireguard",
}  # fmt: skip


def _port_help(text: str) -> str | None:
    """What to write instead of several ports in one word."""
    if "," in text:
        return f"several ports need -m multiport --dports {text}"
    low, dash, high = text.partition("-")
    return f"write a range as {low}:{high}" if dash and low.isdigit() and high.isdigit() else None


class Ports(NumberRange):
    """A port or a range of ports, by number or service name of ``protocol``; without one, as getaddrinfo reads them."""

    def __init__(self, protocol: str | None = None, *, separator: str = ":", ordered: bool = False) -> None:
        super().__init__(0, 65535, separator=separator, ordered=ordered)
        self.protocol = protocol

    def read_word(self, word: str, family: int) -> Range:
        if len(word) < 5 and word.isdecimal() and word.isascii() and word[0] != "0":  # the usual spelling
            port = int(word)
            return Range(port, port)
        return super().read_word(word, family)

    def end(self, text: str) -> int:
        try:
            return port_number(text, self.protocol) if self.protocol else resolved_port(text)
        except Unreadable as error:
            raise Unreadable(error.message, _port_help(text) or error.help) from None

    def say(self, value: Range) -> str:
        if value.low != value.high:
            return f"ports {value.low} to {value.high}"
        name = service_name(value.low)
        return f"port {value.low} ({name})" if name else f"port {value.low}"
