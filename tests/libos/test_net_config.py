"""Catnip as the knobs describe it: routes, MTU, neighbours; what is wrong with them in one line."""

import ctypes
import ipaddress
import os

import pytest

from libos import net_config, net_texts
from libos.catnip import words
from libos.config import Config
from libos.devices.frame_device import RECEIVE_CHECKSUM, TRANSMIT_CHECKSUM, FrameDevice
from libos.devices.wrapper import Wrapper
from libos.errors import Fail
from libos.net import routes
from libos.net.tcp import user

OWN, OWN6 = "10.9.0.2/24", "fd00:9::2/64"
NEIGHBOUR, MAC = "10.9.0.7", "02:00:00:00:00:07"


class Wire(FrameDevice):
    """A device that nothing comes from."""

    def __init__(self, mtu=1500):
        FrameDevice.__init__(self, b"\2\0\0\0\0\2", mtu)


def packed(text):
    return ipaddress.ip_address(text).packed


def made(addresses=f"{OWN}, {OWN6}", mtu=None, device=None, **knobs):
    return net_config.over(device or Wire(), net_texts.Links(addresses).own, mtu=mtu, **knobs)


def hop(catnip, address):
    """The next hop to an address; None where there is no way."""
    host = catnip.host
    if not routes.find(host, *words(packed(address))):
        return None
    found = ipaddress.IPv6Address(host.hop_high << 64 | host.hop_low)
    return str(found.ipv4_mapped or found)


def test_the_smaller_network_decides():
    catnip = made(
        gateway="10.9.0.1",
        routes="10.0.0.0/8 via 10.9.0.3, 10.1.0.0/16 via 10.9.0.4,10.1.2.3/32 via 10.9.0.5, fd00::/16 via fd00:9::9",
    )
    for address, by in {
        "10.9.0.77": "10.9.0.77",
        "10.2.0.1": "10.9.0.3",
        "10.1.0.1": "10.9.0.4",
        "10.1.2.3": "10.9.0.5",
        "192.0.2.1": "10.9.0.1",
        "fd00:9::77": "fd00:9::77",
        "fd00:8::1": "fd00:9::9",
        "2001:db8::1": None,
    }.items():
        assert hop(catnip, address) == by, address


def test_what_no_route_leads_to_is_not_reached():
    catnip = made(routes="192.0.2.0/24 via 10.9.0.1")
    assert (hop(catnip, "192.0.2.200"), hop(catnip, "192.0.3.1")) == ("10.9.0.1", None)


def test_a_route_on_the_link_has_no_gateway_of_a_larger_one():
    catnip = made(routes="10.0.0.0/8 via 10.9.0.1")
    routes.add(catnip.host, *words(packed("10.8.0.0")), 112)
    assert hop(catnip, "10.8.0.1") == "10.8.0.1"


def first_frame(catnip, address):
    """What a connection to an address begins with."""
    tcp, host = catnip.stack.tcp, catnip.host
    catnip.tick()
    user.connect(tcp, user.open(tcp, 6 if ":" in address else 4), *words(packed(address)), 80)
    catnip.stack.poll(host.now)
    return ctypes.string_at(host.out.frame(0), host.out.length(0))


@pytest.mark.parametrize("address,text", [(NEIGHBOUR, MAC), ("fd00:9::7", "2-0-0-0-0-7")])
def test_a_neighbour_that_is_known_is_not_asked_for(address, text):
    asked = first_frame(made(), address)
    assert asked[12:14] == b"\x08\x06" or asked[20] == 58  # ARP, or ICMPv6
    frame = first_frame(made(neighbours=f"10.9.0.8=02:00:00:00:00:08,{address} = {text}"), address)
    assert frame[:6] == bytes.fromhex(MAC.replace(":", ""))
    assert frame[12:14] == (b"\x86\xdd" if ":" in address else b"\x08\x00")


@pytest.mark.parametrize("mtu,device,largest", [(None, 1500, 1500), (576, 1500, 576), (9000, 9000, 9000)])
def test_mtu(mtu, device, largest):
    catnip = made(OWN, mtu, Wire(device), neighbours=f"{NEIGHBOUR}={MAC}")
    assert catnip.host.mtu == largest
    options = first_frame(catnip, NEIGHBOUR)[54:]
    assert options[:4] == b"\2\4" + (largest - 40).to_bytes(2, "big")


@pytest.mark.parametrize("checksums, left", [(None, False), ("full", False), ("none", True)])
def test_checksums(checksums, left):
    catnip = made(OWN, neighbours=f"{NEIGHBOUR}={MAC}", checksums=checksums)
    frame = first_frame(catnip, NEIGHBOUR)
    assert (frame[50:52] == b"\0\0") == left and frame[24:26] != b"\0\0"  # TCP's; the IP header has its own
    assert bool(catnip.host.trust_checksums) == left


class Card(Wire):
    """A device to which checksums and segments may be left."""

    def __init__(self):
        super().__init__()
        self.capabilities = TRANSMIT_CHECKSUM | RECEIVE_CHECKSUM
        self.cuts = 65535


def test_what_a_device_can_do_is_left_to_it_until_another_takes_its_place():
    """A wrapper shows whole frames: the stack makes them."""
    catnip = made(OWN, device=Card(), neighbours=f"{NEIGHBOUR}={MAC}")
    assert (catnip.host.leave_checksums, catnip.host.trust_checksums, catnip.host.cut) == (True, False, 65535)
    assert first_frame(catnip, NEIGHBOUR)[50:52] == b"\0\0"
    catnip.device = Wrapper(catnip.device)
    catnip.settle()
    assert (catnip.host.leave_checksums, catnip.host.trust_checksums, catnip.host.cut) == (False, False, 0)


def test_a_segment_is_made_large_enough():
    catnip = net_config.make(f"segment:t{os.getpid()}-mtu", mtu=9000)
    try:
        assert (catnip.host.mtu, catnip.device.mtu, len(catnip.addresses)) == (9000, 9000, 2)
    finally:
        catnip.close()


@pytest.mark.parametrize(
    "knobs,message",
    [
        ({"addresses": "10.9.0.2/33"}, "address '10.9.0.2/33' is not possible: '10.9.0.2/33' does not appear to be"),
        ({"addresses": "fe80::1%eth0/64"}, "address 'fe80::1%eth0/64' is not possible: there are no interfaces to"),
        ({"gateway": "10.8.0.1"}, "gateway '10.8.0.1' is not possible: it is not a neighbour on a link of ours"),
        ({"gateway": "10.9.0.2"}, "gateway '10.9.0.2' is not possible: it is not a neighbour on a link of ours"),
        ({"gateway": "10.9.0.1,10.9.0.3"}, "route '0.0.0.0/0' is not possible: there are two of it"),
        ({"routes": "10.0.0.0/8"}, "route '10.0.0.0/8' is not possible: write NETWORK via GATEWAY"),
        ({"routes": "10.0.0.0/8 by 10.9.0.1"}, "route '10.0.0.0/8 by 10.9.0.1' is not possible: write NETWORK via"),
        ({"routes": "10.0.0.1/8 via 10.9.0.1"}, "route '10.0.0.1/8' is not possible: 10.0.0.1/8 has host bits set"),
        ({"routes": "10.0.0.0/8 via x"}, "gateway 'x' is not possible: 'x' does not appear to be"),
        ({"routes": "fd00::/8 via 10.9.0.1"}, "route 'fd00::/8 via 10.9.0.1' is not possible: its gateway is of the"),
        ({"mtu": 1000}, "mtu 1000 is not possible: IPv6 needs 1280; give addresses of IPv4 alone"),
        ({"neighbours": "10.9.0.7"}, "neighbour '10.9.0.7' is not possible: write ADDRESS=MAC"),
        ({"neighbours": "10.9.0.7=02:00"}, "neighbour '10.9.0.7=02:00' is not possible: a MAC is six octets"),
        ({"neighbours": f"10.9.0.7={MAC}0"}, "a MAC is six octets, as 02:00:00:00:00:01"),
        ({"neighbours": f"224.0.0.1={MAC}"}, "address and MAC have to be of one host"),
        ({"neighbours": "10.9.0.7=ff:ff:ff:ff:ff:ff"}, "address and MAC have to be of one host"),
        ({"neighbours": f"10.9.0.700={MAC}"}, "neighbour '10.9.0.700' is not possible: '10.9.0.700' does not appear"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(knobs, message):
    values = Config().values | {"addresses": f"{OWN},{OWN6}"} | knobs
    with pytest.raises(Fail) as caught:
        net_texts.check(values)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "knobs,message",
    [
        ({"mtu": 9000}, "mtu 9000 is not possible: the device takes 1500 at most"),
        ({"routes": ",".join(f"10.{n}.0.0/16 via 10.9.0.1" for n in range(33))}, "too many routes"),
    ],
)
def test_what_only_the_device_knows(knobs, message):
    with pytest.raises(Fail, match=message):
        made(**knobs)
