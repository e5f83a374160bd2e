"""Catnip as the configuration describes it: device, addresses, MTU, routes and neighbours."""

from libos.catnip import Catnip, words
from libos.devices.af_packet import AfPacket
from libos.devices.af_xdp import AfXdp
from libos.devices.dpdk import Dpdk
from libos.devices.interface import check_addresses
from libos.devices.segment import Segment
from libos.devices.tap import Tap
from libos.errors import Fail, Kind
from libos.knobs import DEVICE_KINDS as KINDS
from libos.net import neighbors
from libos.net import routes as tables
from libos.net_texts import Links
from libos.net_texts import neighbours as pairs

KNOBS = ("device", "addresses", "gateway", "routes", "mtu", "neighbours", "checksums")
NOUNS = {"tap": "a TAP interface", "af_packet": "an interface", "af_xdp": "an interface", "dpdk": "a port"}
MOST_QUEUES = 4096  # of an interface
USUAL = 1500  # the MTU of a segment that is made now, and of DPDK's ports, unless another is asked for


def make(device, addresses=None, gateway=None, routes=None, mtu=None, neighbours=None, checksums=None):
    """A Catnip of the values of those knobs (libos/knobs.py). Raises Fail, OSError."""
    kind, colon, name = device.partition(":")
    if not colon or not name or kind not in ("segment", *NOUNS):
        raise Fail(Kind.INVALID, f"device {device!r} is not possible; use {KINDS}")
    links = Links(addresses)
    if kind != "segment" and not links.own:
        raise Fail(Kind.INVALID, f"{device} needs addresses; {NOUNS[kind]} allots none")
    if kind not in ("segment", "tap"):
        check_addresses(device, links.own)
    made = opened(kind, name, mtu)
    try:
        return over(made, links.own or allotted(made), gateway, routes, mtu, neighbours, checksums)
    except BaseException:
        made.close()
        raise


def opened(kind, name, mtu):
    """The device of a kind and a name, which has to be right for the kind. Raises Fail, OSError."""
    if kind == "tap":
        return Tap(name)
    if kind == "af_packet":
        return AfPacket(name)
    if kind == "segment":
        return segment(name, mtu)
    if kind == "dpdk":
        return Dpdk(name, mtu or USUAL)
    name, colon, queue = name.partition(":")
    if colon and not (queue.isascii() and queue.isdecimal() and int(queue) < MOST_QUEUES):
        raise Fail(Kind.INVALID, f"device 'af_xdp:{name}:{queue}' is not possible; a queue is 0 to {MOST_QUEUES - 1}")
    return AfXdp(name, int(queue or 0))


def segment(name, mtu=None):
    """A port of a segment, which is made large enough where it is not there yet."""
    return Segment(name, mtu=max(mtu or 0, USUAL))


def allotted(port):
    """The addresses that come with a port."""
    return (port.ipv4, port.ipv4_prefix), (port.ipv6, 64)


def over(device, own, gateway=None, routes=None, mtu=None, neighbours=None, checksums=None):
    """A Catnip over a device, with `own` addresses and the values of those knobs. Raises Fail."""
    links = Links(own=own)
    ways, known = links.routes(gateway, routes), pairs(neighbours)
    catnip = Catnip(device, own, links.mtu(mtu, device.mtu), checksums == "none")
    try:
        for network, prefix, by in ways:
            tables.add(catnip.host, *words(network), prefix + 128 - 8 * len(network), *words(by))
        for address, mac in known:
            neighbors.add(catnip.host, *words(address), mac)
    except ValueError as error:  # no room
        raise Fail(Kind.INVALID, str(error))
    return catnip
