"""Lines that a trace writes, and that nothing that arrives breaks it."""

import pytest
from frame_host import Host, closing, unique
from hypothesis import given
from hypothesis import strategies as st

from libos.devices.describe import describe
from libos.devices.segment import Segment
from libos.devices.trace import Trace
from libos.runtime.clock import FakeClock

MACS = "020000000002 020000000001"
BETWEEN = "02:00:00:00:00:01 > 02:00:00:00:00:02 "
IP4 = "0800 4500{size:04x} 0001 {fragment:04x} 40{protocol:02x}0000 0a000001 0a000002"
IP6 = "86dd 60000000 {size:04x} {protocol:02x}40 fd000000000000000000000000000001 fd000000000000000000000000000002"
TCP = "0050 0fa0 00000001 00000002 5{flags:03x} 0200 0000 0000"


def ip4(protocol, body, fragment=0):
    return IP4.format(size=20 + len(bytes.fromhex(body)), protocol=protocol, fragment=fragment) + body


def ip6(protocol, body):
    return IP6.format(size=len(bytes.fromhex(body)), protocol=protocol) + body


@pytest.mark.parametrize(
    "text, line",
    [
        ("0806 0001080006040001 020000000001 0a000001 000000000000 0a000002", "ARP who has 10.0.0.2, tell 10.0.0.1"),
        ("0806 0001080006040002 020000000001 0a000001 000000000000 0a000002", "ARP 10.0.0.1 is at 02:00:00:00:00:01"),
        ("0806 0001080006040009 020000000001 0a000001 000000000000 0a000002", "ARP operation 9"),
        (ip4(6, TCP.format(flags=2)), "IPv4 10.0.0.1 > 10.0.0.2 TCP 80 > 4000 [S] seq 1 ack 2 win 512 len 0"),
        (ip4(6, TCP.format(flags=0x18) + "ff" * 5) + "00" * 6,  # the padding of a short frame does not count
         "IPv4 10.0.0.1 > 10.0.0.2 TCP 80 > 4000 [PA] seq 1 ack 2 win 512 len 5"),
        (ip4(17, "00350fa0000a00001122"), "IPv4 10.0.0.1 > 10.0.0.2 UDP 53 > 4000 len 2"),
        (ip4(1, "0800000000010001"), "IPv4 10.0.0.1 > 10.0.0.2 ICMP echo request code 0 len 8"),
        (ip4(17, "00350fa0000a00001122", 0x2000), "IPv4 10.0.0.1 > 10.0.0.2 more fragments UDP 53 > 4000 len 2"),
        (ip4(17, "1122334455667788", 0xB9), "IPv4 10.0.0.1 > 10.0.0.2 fragment at 1480 len 8"),
        (ip4(89, "1122"), "IPv4 10.0.0.1 > 10.0.0.2 protocol 89 len 2"),
        (ip6(6, TCP.format(flags=0x14)), "IPv6 fd00::1 > fd00::2 TCP 80 > 4000 [RA] seq 1 ack 2 win 512 len 0"),
        (ip6(58, "870000000000"), "IPv6 fd00::1 > fd00::2 ICMP neighbor solicitation code 0 len 6"),
        ("8100 0005 " + ip4(17, "00350fa0000a00001122"), "VLAN 5 IPv4 10.0.0.1 > 10.0.0.2 UDP 53 > 4000 len 2"),
        ("88b5 1122", "type 0x88b5 len 2"),
        (ip4(6, "0050"), "IPv4, cut off, len 22"),
    ],
)  # fmt: skip
def test_lines(text, line):
    assert describe(bytes.fromhex(MACS + text)) == BETWEEN + line


kinds = st.sampled_from([b"\x08\x06", b"\x08\x00", b"\x86\xdd", b"\x81\x00", b"\x88\xb5"])


@given(
    st.one_of(st.binary(max_size=100), st.tuples(kinds, st.binary(max_size=80)).map(lambda t: bytes(12) + b"".join(t)))
)
def test_every_frame_has_a_line(frame):
    text = describe(frame)
    assert text and "\n" not in text and text.isprintable()


def test_a_trace_says_when_and_which_way():
    name, clock, lines = unique(), FakeClock(10**9), []
    device, other = Trace(Segment(name, slots=64), lines.append, clock), Host(Segment(name))
    near = Host(device)
    with closing(device, other.device):
        near.say(other, b"a")
        clock.advance(1_500_000_000)
        other.say(near, b"bc")
        near.all()
        for _ in range(64):
            near.say(other, b"")
    between = f"{device.mac.hex(':')} > {other.device.mac.hex(':')} type 0x88b5 len"
    back = f"{other.device.mac.hex(':')} > {device.mac.hex(':')} type 0x88b5 len"
    assert lines[0] == f"0.000000 > {between} 1" and lines[1] == f"1.500000 < {back} 2"
    assert lines[-1] == f"1.500000 x {between} 0"
