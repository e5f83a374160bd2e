"""Catnip as the configuration describes it: device, addresses, gateways."""

import ipaddress

from libos.catnip import Catnip, words
from libos.devices.segment import Segment
from libos.devices.tap import Tap
from libos.errors import Fail, Kind
from libos.net import routes


def make(device, addresses, gateway):
    """A Catnip of the texts of those knobs (libos/config.py). Raises Fail, OSError."""
    kind, colon, name = device.partition(":")
    if not colon or not name or kind not in ("segment", "tap"):
        raise Fail(Kind.INVALID, f"device {device!r} is not possible; use segment:NAME or tap:NAME")
    own = [interface(text) for text in addresses.split(",") if text.strip()]
    if kind == "segment":
        made = Segment(name)
        own = own or [(made.ipv4, made.ipv4_prefix), (made.ipv6, 64)]
    else:
        if not own:
            raise Fail(Kind.INVALID, f"{device} needs addresses; a TAP interface allots none")
        made = Tap(name)
    catnip = Catnip(made, own)
    for text in gateway.split(","):
        if text.strip():
            by_default(catnip.host, text.strip())
    return catnip


def interface(text):
    """(packed address, prefix length) of 10.0.0.2/24."""
    try:
        made = ipaddress.ip_interface(text.strip())
    except ValueError as error:
        raise Fail(Kind.INVALID, f"address {text!r} is not possible: {error}")
    return made.ip.packed, made.network.prefixlen


def by_default(host, text):
    """What no other route leads to goes by this gateway."""
    try:
        packed = ipaddress.ip_address(text).packed
    except ValueError as error:
        raise Fail(Kind.INVALID, f"gateway {text!r} is not possible: {error}")
    four = len(packed) == 4
    routes.add(host, 0, 0xFFFF << 32 if four else 0, 96 if four else 0, *words(packed))
