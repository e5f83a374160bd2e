"""An interface shared with the kernel (AF_PACKET), on a wire in a network namespace of the test's own."""

import os
import re
import socket
import struct
import subprocess
import sys
import time

import pytest
from frame_host import TYPE, Host, closing
from namespace import Wiretap, await_carrier, ip, mac, network_namespace, wire

from libos import net_config
from libos.devices import layout
from libos.devices.af_packet import AfPacket
from libos.errors import Fail

UDP_SEGMENT = 103
VNET_HDR = (263, 15, 1)  # SOL_PACKET, PACKET_VNET_HDR


@pytest.fixture
def host():
    with wire():
        device = AfPacket("ours")
        with closing(device):
            yield Host(device)


@pytest.fixture
def other(host):
    with Wiretap("theirs") as tap:
        yield tap


def sums(frame):
    """Whether the checksums of a frame of IP are right, by RFC 1071 in a second wording."""

    def folds(data):
        return sum(struct.unpack(f">{len(data) // 2}H", data)) % 0xFFFF == 0

    packet = frame[14:]
    if packet[0] >> 4 == 4:
        size, protocol = struct.unpack_from(">H", packet, 2)[0], packet[9]
        head, body, ends = packet[:20], packet[20:size], packet[12:20]
    else:
        size, protocol = struct.unpack_from(">H", packet, 4)[0], packet[6]
        head, body, ends = b"", packet[40 : 40 + size], packet[8:40]
    return folds(head) and folds(ends + struct.pack(">HH", protocol, len(body)) + body + bytes(len(body) % 2))


def test_who_it_is_on_the_wire(host):
    """A MAC that anyone may give out, not the kernel's, the same each time; the interface takes it as its own."""
    assert host.device.mac != mac("ours") and host.device.mac[0] & 3 == 2
    with closing(again := AfPacket("ours"), chosen := AfPacket("ours", mac("ours"))):
        assert again.mac == host.device.mac and chosen.mac == mac("ours")
    assert host.device.mtu == 1500


def test_frames_go_both_ways(host, other):
    for size in (46, 500, 1500):
        frame = host.device.mac + bytes(5) + b"\x02" + TYPE + os.urandom(size)
        other.send(frame)
        assert host.woken(5) and host.all() == [frame]
        assert host.send(frame) and other.wait(1) == [frame]
    assert host.all() == [] and host.device.received == host.device.transmitted == 3  # nothing of what it sent itself


def test_what_is_for_others_is_not_heard(host, other):
    """Other hosts' frames and those of virtual LANs stay in the kernel; groups and a tag without a number do not."""
    source = b"\x02\0\0\0\0\x09"
    for target, tag, payload in (
        (mac("ours"), b"", b"kernel"),
        (host.device.mac[:5] + bytes([host.device.mac[5] ^ 1]), b"", b"stranger"),
        (host.device.mac, b"\x81\x00\x00\x06", b"tagged"),
        (host.device.mac, b"\x81\x00\xe0\x00", b"of priority"),
        (b"\xff" * 6, b"", b"all"),
        (b"\x33\x33\0\0\0\1", b"", b"group"),
    ):
        other.send(target + source + tag + TYPE + payload)
    assert [frame[14:] for frame in host.settled()] == [b"of priority", b"all", b"group"]


def test_the_kernel_does_not_answer_for_us(host, other):
    """What is sent to the interface's own MAC has an answer (it asks for the way back), what is sent to ours none."""
    ip("address add 10.9.0.1/24 dev ours")
    body = b"\x08\0" + struct.pack(">H", 0xFFFF - 0x0800 - 7) + b"\0\0\0\7"
    head = bytearray(struct.pack(">BBHHHBBH4B4B", 0x45, 0, 28, 0, 0, 64, 1, 0, 10, 9, 0, 9, 10, 9, 0, 1))
    total = sum(struct.unpack(">10H", head)) % 0xFFFF
    head[10:12] = struct.pack(">H", 0xFFFF - total)
    for target, answers in ((host.device.mac, False), (mac("ours"), True)):
        other.send(target + b"\x02\0\0\0\0\x09" + b"\x08\0" + head + body)
        time.sleep(0.1)
        assert bool(other.heard()) == answers


def test_a_burst_ends_at_its_limit(host, other):
    frames = [host.device.mac + bytes(6) + TYPE + b"%d" % i for i in range(100)]
    for frame in frames:
        other.send(frame)
    assert host.burst(10) == frames[:10] and len(host.burst(1000)) == layout.BURST and host.all() == frames[74:]


def test_frames_that_are_too_long_for_the_device_are_errors(host, other):
    ip("link set ours mtu 2000")
    ip("link set theirs mtu 2000")
    other.send(host.device.mac + bytes(6) + TYPE + bytes(1501))
    other.send(host.device.mac + bytes(6) + TYPE + b"behind")
    assert [frame[14:] for frame in host.settled()] == [b"behind"] and host.device.errors == 1
    assert host.send(bytes(1515)) and host.send(b"short") and host.device.errors == 3


def test_what_finds_no_room_is_counted(host, other):
    for _ in range(6000):
        other.send(host.device.mac + bytes(6) + TYPE + bytes(1400))
    host.device.arm()
    lost = host.device.full
    assert 0 < lost < 6000 and len(host.all()) == 6000 - lost


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_checksums_that_the_kernel_left_out_are_there(host, other, family):
    """Datagrams of a kernel socket on the other end of the wire: its interface has promised to see to them."""
    datagrams(host, family, 0, [os.urandom(n) for n in (1, 2, 99, 1400)])


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_datagrams_of_one_call_are_many(host, other, family):
    """UDP_SEGMENT (udp(7)): one frame for the interface, which would make several of it; more than fit a burst."""
    data = os.urandom(60 * 1000 + 77)
    datagrams(host, family, 1000, [data[i : i + 1000] for i in range(0, len(data), 1000)])


def datagrams(host, family, segment, payloads):
    if family == socket.AF_INET:
        ip("address add 10.9.0.1/24 dev theirs")
        target, begin = "10.9.0.2", 42
    else:
        with open("/proc/sys/net/ipv6/conf/theirs/disable_ipv6", "w") as file:
            file.write("0")
        ip("address add fd09::1/64 dev theirs nodad")
        target, begin = "fd09::2", 62
    ip(f"neighbour add {target} lladdr {host.device.mac.hex(':')} dev theirs")
    host.settled()
    with socket.socket(family, socket.SOCK_DGRAM) as udp:
        if segment:
            udp.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, segment)
            udp.sendto(b"".join(payloads), (target, 4000))
        else:
            for payload in payloads:
                udp.sendto(payload, (target, 4000))
    frames = [frame for frame in host.settled() if frame[:1] != b"\x33"]
    assert [frame[begin:] for frame in frames] == payloads
    assert all(map(sums, frames)) and host.device.errors == 0


def segments(family, kind, size, payload):
    """A frame of several segments as the kernel takes it (PACKET_VNET_HDR), the pseudo-header's sum in its checksum."""
    if kind == 5:
        transport = struct.pack(">HHHH", 4000, 5000, 8 + len(payload), 0)
        protocol, offset = 17, 6
    else:
        # options, so that its header is long; CWR, PSH and FIN
        transport = (
            struct.pack(">HHIIBBHHH", 4000, 5000, 0xFFFFFF00, 7, 0x80, 0x99, 512, 0, 0) + b"\1\1\x08\x0a" + bytes(8)
        )
        protocol, offset = 6, 16
    inner = len(transport) + len(payload)
    if family == 4:
        ends = bytes([10, 9, 0, 1, 10, 9, 0, 2])
        head = bytearray(struct.pack(">BBHHHBBH", 0x45, 0, 20 + inner, 0xFFFE, 0, 64, protocol, 0) + ends)
        head[10:12] = struct.pack(">H", 0xFFFF - sum(struct.unpack(">10H", head)) % 0xFFFF)
    else:
        ends = bytes.fromhex("fd09 0000 0000 0000 0000 0000 0000 0001 fd09 0000 0000 0000 0000 0000 0000 0002")
        head = struct.pack(">IHBB", 0x60000000, inner, protocol, 64) + ends
    total = sum(struct.unpack(f">{len(ends) // 2}H", ends)) + protocol + inner
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    transport = transport[:offset] + struct.pack(">H", total) + transport[offset + 2 :]
    start = 14 + len(head)
    header = struct.pack("=BBHHHH", 1, kind, start + len(transport), size, start, offset)
    return header, {4: b"\x08\0", 6: b"\x86\xdd"}[family] + head + transport + payload


@pytest.mark.parametrize("size, length", [(1000, 5000), (1400, 60001), (536, 537), (999, 12345)])
@pytest.mark.parametrize("family, kind", [(4, 1), (4, 0x81), (6, 4), (6, 0x84), (4, 5), (6, 5)])
def test_what_is_cut_is_cut_as_the_kernel_does(host, other, family, kind, size, length):
    """Of an interface that promises to cut the device has one frame; of one that does not the kernel has cut it."""
    header, rest = segments(family, kind, size, os.urandom(length))
    frame = header + host.device.mac + b"\x02\0\0\0\0\x09" + rest
    got = []
    for able in ("on", "off"):
        words = ["tso", "gso", "tx-udp-segmentation", "tx-checksumming"]
        command = ["ethtool", "-K", "theirs", *[word for name in words for word in (name, able)]]
        subprocess.run(command, check=True, capture_output=True)
        with Wiretap("theirs") as sender:
            sender.sock.setsockopt(*VNET_HDR)
            assert sender.send(frame) == len(frame)
        got.append(host.settled())
    assert len(got[0]) == -(-length // size) and got[0] == got[1]
    assert all(map(sums, got[0])) and host.device.errors == 0


def test_segments_that_are_too_long_for_the_device_are_errors(host, other):
    header, rest = segments(4, 1, 3000, bytes(9000))
    with Wiretap("theirs") as sender:
        sender.sock.setsockopt(*VNET_HDR)
        ip("link set theirs mtu 4000")
        ip("link set ours mtu 4000")
        sender.send(header + host.device.mac + bytes(6) + rest)
    other.send(host.device.mac + bytes(6) + TYPE + b"behind")
    assert [frame[14:] for frame in host.settled()] == [b"behind"] and host.device.errors == 1


def test_more_than_a_burst_is_not_slept_on(host, other):
    """What has been cut and not yet handed out rings no bell: there is no sleep."""
    header, rest = segments(4, 1, 100, bytes(50000))
    with Wiretap("theirs") as sender:
        sender.sock.setsockopt(*VNET_HDR)
        sender.send(header + host.device.mac + bytes(6) + rest)
    assert len(host.burst(7)) == 7 and not host.device.arm()
    assert len(host.all()) == 493 and host.device.arm()


def test_nobody_is_woken_who_does_not_sleep(host, other):
    """The bell is silent while others look (frame_device.py): only what comes after `arm` is heard, until `disarm`."""
    other.send(host.device.mac + bytes(6) + TYPE)
    assert host.woken(5) and not host.rung()
    host.all()
    assert host.device.arm() and not host.rung()
    other.send(host.device.mac + bytes(6) + TYPE)
    assert host.rung(5)
    host.device.disarm()
    assert not host.rung() and host.all()


def test_its_mtu_is_the_interfaces():
    with wire("mtu 9000"), Wiretap("theirs") as other, closing(device := AfPacket("ours")):
        host = Host(device)
        frame = device.mac + bytes(6) + TYPE + os.urandom(9000)
        other.send(frame)
        assert device.mtu == 9000 and host.all() == [frame] and host.send(frame) and other.wait(1) == [frame]


def test_an_interface_that_goes_down_or_away(host, other):
    ip("link set ours down")
    assert host.say(b"\xff" * 6, b"x") and host.device.errors == 1 and host.all() == []
    assert host.rung() and host.device.arm() and not host.rung()  # the kernel's error rings once
    ip("link set ours up")
    await_carrier()
    other.send(host.device.mac + bytes(6) + TYPE + b"again")
    assert host.woken(5) and host.heard() == [b"again"]
    ip("link del ours")
    assert host.say(b"\xff" * 6, b"x") and host.device.errors == 2 and host.all() == []
    assert host.device.arm() and not host.rung()


def test_closing_lets_go_of_the_interface(host):
    def promiscuity():
        words = subprocess.run(["ip", "-d", "link", "show", "ours"], capture_output=True, text=True, check=True).stdout
        return re.search(r"allmulti (\d+)", words)[1]

    before = promiscuity()
    host.device.close()
    host.device.close()
    assert (before, promiscuity()) == ("1", "0") and host.all() == []


def refused(*arguments):
    with pytest.raises(Fail) as caught:
        net_config.make(*arguments)
    return str(caught.value)


def test_what_cant_be_is_refused_in_a_line():
    with network_namespace():
        ip("link set lo up")
        ip("link add ours type veth peer name theirs")
        ip("tuntap add tunnel mode tun")
        own = "10.9.0.2/24"
        assert refused("af_packet:absent", own) == "af_packet:absent: there is no interface 'absent' (No such device)"
        assert "there is no interface" in refused("af_packet:" + "x" * 99, own)
        assert refused("af_packet:ours", own) == "af_packet:ours: ours is down; ip link set ours up"
        assert refused("af_packet:tunnel", own) == "af_packet:tunnel: tunnel is not an Ethernet interface"
        assert "lo is not an Ethernet interface" in refused("af_packet:lo", own)
        assert refused("af_packet:ours") == "af_packet:ours needs addresses; an interface allots none"
        ip("link set ours up")
        ip("address add 10.9.0.1/24 dev ours")
        assert refused("af_packet:ours", "10.9.0.1/24").startswith("af_packet:ours: the kernel has 10.9.0.1 itself")
        assert "use segment:NAME, tap:NAME" in refused("packet:ours", own)
        net_config.make("af_packet:ours", own).close()


BARE = """
from libos import net_config
try:
    net_config.make("af_packet:ours", "10.9.0.2/24")
except Exception as error:
    print(error)
"""


def test_who_may_not_is_told_in_a_line():
    with wire():
        argv = ["setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw", sys.executable, "-c", BARE]
        result = subprocess.run(argv, capture_output=True, text=True)
    said = "af_packet:ours: needs CAP_NET_RAW; run as root or give the program that capability\n"
    assert (result.stdout, result.stderr) == (said, "")
