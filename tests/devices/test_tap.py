"""A TAP interface, in a network namespace of the test's own."""

import os
import socket
import struct

import pytest
from frame_host import TYPE, Host, closing
from namespace import asked, ip, network_namespace

from libos.devices import layout
from libos.devices.tap import Tap


@pytest.fixture
def tap():
    with network_namespace():
        device = Tap("flap0")
        with closing(device):
            # what the kernel says by itself would come between
            with open("/proc/sys/net/ipv6/conf/flap0/disable_ipv6", "w") as file:
                file.write("1")
            ip("link set flap0 up")
            ip("address add 10.9.0.1/24 dev flap0")
            yield Host(device)


@pytest.fixture
def kernel(tap):
    """The kernel's end, as raw frames (packet(7))."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0xB588) as sock:  # TYPE, in network order
        sock.bind(("flap0", 0x88B5))
        sock.settimeout(5)
        yield sock


def test_frames_go_both_ways(tap, kernel):
    for size in (46, 500, 1500):
        frame = tap.device.mac + bytes(5) + b"\x02" + TYPE + os.urandom(size)
        kernel.send(frame)
        assert tap.rung(5) and tap.all() == [frame]
        assert tap.send(frame) and kernel.recv(2000) == frame
    assert tap.device.received == tap.device.transmitted == 3


def test_a_burst_ends_at_its_limit(tap, kernel):
    frames = [tap.device.mac + bytes(6) + TYPE + b"%d" % i for i in range(100)]
    for frame in frames:
        kernel.send(frame)
    assert tap.burst(10) == frames[:10] and len(tap.burst(1000)) == layout.BURST and tap.all() == frames[74:]


def test_the_bell_is_up_as_long_as_something_is_there(tap, kernel):
    assert tap.device.arm() and not tap.rung()
    kernel.send(tap.device.mac + bytes(6) + TYPE)
    assert tap.rung(5)
    tap.device.disarm()
    assert tap.rung() and tap.all() and not tap.rung()


def test_frames_that_are_too_long_for_the_device_are_errors(tap, kernel):
    ip("link set flap0 mtu 2000")
    kernel.send(tap.device.mac + bytes(6) + TYPE + bytes(1501))
    kernel.send(tap.device.mac + bytes(6) + TYPE + b"behind")
    assert tap.rung(5) and tap.heard() == [b"behind"] and tap.device.errors == 1
    assert tap.send(bytes(1515)) and tap.send(b"short") and tap.device.errors == 3


def test_an_interface_that_is_down_takes_no_frame(tap):
    ip("link set flap0 down")
    assert tap.say(b"\xff" * 6, b"x") and tap.device.errors == 1 and tap.device.transmitted == 0


def test_the_kernels_stack_is_at_the_other_end(tap):
    """A datagram out of a kernel socket, its receiver found by ARP; and one back."""
    mac = tap.device.mac
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(5)
        udp.bind(("10.9.0.1", 0))
        udp.sendto(b"hello", ("10.9.0.2", 4000))
        assert tap.rung(5)
        (question,) = tap.all()
        assert question[12:22] == b"\x08\x06\0\1\x08\0\x06\4\0\1" and question[38:42] == bytes([10, 9, 0, 2])
        kernel = question[6:12]
        tap.send(kernel + mac + b"\x08\x06\0\1\x08\0\x06\4\0\2" + mac + bytes([10, 9, 0, 2]) + question[22:32])
        assert tap.rung(5)
        (packet,) = tap.all()
        assert packet[:12] == mac + kernel and packet[42:] == b"hello"
        ports = struct.unpack(">HH", packet[34:38])
        head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 33, 0, 0, 64, 17, 0, packet[30:34], packet[26:30])
        total = sum(struct.unpack(">10H", head))
        total = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
        body = struct.pack(">HHHH", ports[1], ports[0], 13, 0) + b"world"
        assert tap.send(kernel + mac + b"\x08\0" + head[:10] + struct.pack(">H", total) + head[12:] + body)
        assert udp.recv(100) == b"world"


def test_closing_takes_the_interface_away(tap):
    assert asked("flap0", 0x8913)
    tap.device.close()
    tap.device.close()
    with pytest.raises(OSError):
        asked("flap0", 0x8913)  # SIOCGIFFLAGS
    assert tap.all() == []
    with pytest.raises(OSError):
        Tap("a/b")
