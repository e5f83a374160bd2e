"""What the knobs of Catnip's network say, read and checked before any device is opened: texts to packed addresses."""

import ipaddress

from libos.errors import Fail, Kind

LEAST6 = 1280  # what every link of IPv6 takes (RFC 8200, section 5)


def refuse(what, text, why):
    raise Fail(Kind.INVALID, f"{what} {text!r} is not possible: {why}")


def read(what, text, reader):
    """reader(text). Raises Fail."""
    try:
        if "%" in text:
            raise ValueError("there are no interfaces to name")
        return reader(text)
    except ValueError as error:
        refuse(what, text, error)


def parts(text):
    """The parts of a list, which stand between commas."""
    return [part.strip() for part in (text or "").split(",") if part.strip()]


class Links:
    """A host's own addresses, of the text `addresses`, or `own`: (packed, prefix length) of each."""

    def __init__(self, addresses="", own=()):
        found = [read("address", part, ipaddress.ip_interface) for part in parts(addresses)]
        self.own = tuple(own) or tuple((one.ip.packed, one.network.prefixlen) for one in found)

    def gateway(self, what, text):
        """The packed address of a gateway, which has to be a neighbour of ours."""
        found = read(what, text, ipaddress.ip_address)
        links = [(packed, ipaddress.ip_network((packed, prefix), False)) for packed, prefix in self.own]
        if not any(found in link and found.packed != packed for packed, link in links):
            refuse(what, text, "it is not a neighbour on a link of ours")
        return found.packed

    def routes(self, gateway="", routes=""):
        """[(packed network, prefix length, packed gateway)] of the two texts."""
        found = []
        for part in parts(gateway):
            packed = self.gateway("gateway", part)
            found.append((bytes(len(packed)), 0, packed))
        for part in parts(routes):
            words = part.split()
            if len(words) != 3 or words[1] != "via":
                refuse("route", part, "write NETWORK via GATEWAY")
            network = read("route", words[0], ipaddress.ip_network)
            packed = self.gateway("gateway", words[2])
            if len(packed) != len(network.network_address.packed):
                refuse("route", part, "its gateway is of the other family")
            found.append((network.network_address.packed, network.prefixlen, packed))
        for n, (network, prefix, _) in enumerate(found):
            if (network, prefix) in [other[:2] for other in found[:n]]:
                refuse("route", f"{ipaddress.ip_address(network)}/{prefix}", "there are two of it")
        return found

    def mtu(self, wanted, largest):
        """`wanted`, 0 or None for the device's own, which is `largest`."""
        mtu = wanted or largest
        if mtu > largest:
            refuse("mtu", mtu, f"the device takes {largest} at most")
        if mtu < LEAST6 and any(len(packed) == 16 for packed, _ in self.own):
            refuse("mtu", mtu, f"IPv6 needs {LEAST6}; give addresses of IPv4 alone")
        return mtu


def neighbours(text):
    """[(packed address, MAC as a number)] of ADDRESS=MAC, …"""
    found = []
    for part in parts(text):
        address, equals, mac = part.partition("=")
        if not equals:
            refuse("neighbour", part, "write ADDRESS=MAC")
        host = read("neighbour", address.strip(), ipaddress.ip_address)
        octets = mac.strip().replace("-", ":").split(":")
        if len(octets) != 6 or not all(1 <= len(o) <= 2 and set(o.lower()) <= set("0123456789abcdef") for o in octets):
            refuse("neighbour", part, "a MAC is six octets, as 02:00:00:00:00:01")
        number = int("".join(octet.zfill(2) for octet in octets), 16)
        if not number or number >> 40 & 1 or host.is_multicast or host.is_unspecified:
            refuse("neighbour", part, "address and MAC have to be of one host")
        found.append((host.packed, number))
    return found


def check(values):
    """Refuse what can be known to be wrong without the device. `values`: {knob: value}. Raises Fail."""
    links = Links(values["addresses"])
    if links.own:  # without, a segment allots them
        links.routes(values["gateway"], values["routes"])
    links.mtu(values["mtu"], 1 << 16)
    neighbours(values["neighbours"])
