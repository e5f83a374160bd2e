"""What every device does, whichever it is (libos/devices/frame_device.py)."""

import contextlib
import ctypes
import os
import socket
import time

import dpdk_ports
import pytest
from frame_host import TYPE, Host, closing, unique
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from namespace import Wiretap, ip, network_namespace, wire

from libos import raw
from libos.devices import layout
from libos.devices.af_packet import AfPacket
from libos.devices.af_xdp import AfXdp
from libos.devices.capture import Capture
from libos.devices.capture_file import PcapWriter, read
from libos.devices.dpdk import Dpdk
from libos.devices.impair import Impair
from libos.devices.pcap_file import PcapFile
from libos.devices.segment import Segment
from libos.devices.tap import Tap
from libos.devices.trace import Trace
from libos.devices.wrapper import Wrapper
from libos.runtime.clock import Clock

CLOCK = Clock()


class Far:
    """The other end of a device: `send(frame)`, `heard()`."""

    def __init__(self, send, heard):
        self.send, self.heard = send, heard


@contextlib.contextmanager
def segment(around, folder):
    name = unique()
    near, far = around(Segment(name)), Host(Segment(name))
    with closing(near, far.device):
        yield near, Far(lambda frame: far.send(near.mac + frame[6:]), far.all), far.device.mac


@contextlib.contextmanager
def tap(around, folder):
    with network_namespace():
        near = around(Tap("flap1"))
        with closing(near), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0xB588) as sock:
            with open("/proc/sys/net/ipv6/conf/flap1/disable_ipv6", "w") as file:
                file.write("1")
            ip("link set flap1 up")
            sock.bind(("flap1", 0x88B5))

            def heard():
                found = []
                with contextlib.suppress(BlockingIOError):
                    while True:
                        found.append(sock.recv(70000, socket.MSG_DONTWAIT))
                return found

            yield near, Far(sock.send, heard), b"\x02\0\0\0\0\x09"


@contextlib.contextmanager
def af_packet(around, folder, kind=AfPacket):
    """The kernel may carry a frame over a wire after the call that has sent it: it is waited for."""
    with wire(), Wiretap("theirs", 0x88B5) as other, Wiretap("ours", 0x88B5) as witness:
        device = kind("ours")
        near = around(device)
        count, come = 0, [0]

        def send(frame):
            other.send(frame)
            if kind is not AfXdp:
                witness.wait(1)  # it has the frame after the device, which asks for every type
            else:
                come[0] += 1
                until(lambda: raw.load32(device.rx.filled) == come[0] & 0xFFFFFFFF)

        def heard():
            nonlocal count
            found = other.wait(device.transmitted - count)
            count += len(found)
            return found

        with closing(near):
            yield near, Far(send, heard), b"\x02\0\0\0\0\x09"


def af_xdp(around, folder):
    return af_packet(around, folder, AfXdp)


def dpdk(around, folder):
    """DPDK's own driver of such interfaces."""
    return af_packet(around, folder, dpdk_ports.over)


@contextlib.contextmanager
def pair(around, folder, ports):
    with ports(folder) as (inner, other):
        near, far = around(inner), Host(other)
        with closing(near):
            yield near, Far(far.send, far.all), other.mac


def memif(around, folder):
    return pair(around, folder, dpdk_ports.memif)


def vhost(around, folder):
    return pair(around, folder, dpdk_ports.vhost)


def until(there):
    end = time.monotonic() + 5
    while not there() and time.monotonic() < end:
        time.sleep(0)


@contextlib.contextmanager
def files(around, folder):
    """The file that is read grows, and the device is told to read on."""
    source, sink = os.path.join(folder, unique()), os.path.join(folder, unique())
    writer = PcapWriter(source)
    device = PcapFile(source, sink, CLOCK)
    near = around(device)
    heard_before = 0

    def send(frame):
        writer.write(0, frame)
        left = list(read(source))[device.received :]
        device.ahead, device.frames = left[0], iter(left[1:])
        device.offset = 0

    def heard():
        nonlocal heard_before
        found = [frame for _, frame in read(sink)][heard_before:]
        heard_before += len(found)
        return found

    with closing(near, writer):
        yield near, Far(send, heard), b"\x02\0\0\0\0\x09"


AROUND = {
    "bare": lambda device, folder: device,
    "wrapper": lambda device, folder: Wrapper(device),
    "trace": lambda device, folder: Trace(device, [].append, CLOCK),
    "capture": lambda device, folder: Capture(device, os.path.join(folder, unique()), CLOCK),
    "impair": lambda device, folder: Impair(device, CLOCK),
    "all": lambda device, folder: Impair(
        Trace(Capture(device, os.path.join(folder, unique()), CLOCK), [].append, CLOCK), CLOCK
    ),
}
INNERMOST = {"segment": segment, "tap": tap, "af_packet": af_packet, "af_xdp": af_xdp, "files": files}
BARE = {"memif": memif, "vhost": vhost, "dpdk": dpdk}  # one kind, of which several drivers are held to it
CHOICES = [f"{a}-{d}" for d in INNERMOST for a in AROUND] + [f"bare-{d}" for d in BARE] + ["all-memif"]


@pytest.fixture(params=CHOICES)
def ends(request, tmp_path):
    around, device = request.param.split("-")
    make = (INNERMOST | BARE)[device]
    with make(lambda inner: AROUND[around](inner, str(tmp_path)), str(tmp_path)) as (near, far, mac):
        yield Host(near), far, mac


def test_what_it_is(ends):
    near, _, _ = ends
    device = near.device
    assert isinstance(device.mac, bytes) and len(device.mac) == 6 and not device.mac[0] & 1
    assert 68 <= device.mtu <= 9000 and device.capabilities & ~3 == 0
    assert device.bell() >= -1


def test_nothing_comes_of_nothing(ends):
    near, far, _ = ends
    assert near.all() == [] and far.heard() == []
    assert near.device.received == near.device.transmitted == near.device.full == near.device.errors == 0


def test_every_byte_arrives_in_order_and_counts(ends):
    near, far, mac = ends
    frames = [near.device.mac + mac + TYPE + os.urandom(n) for n in (46, 47, 100, 1000, 1499, 1500)]
    for frame in frames:
        far.send(frame)
    assert near.all() == frames and near.device.received == len(frames)
    out = [mac + near.device.mac + TYPE + os.urandom(n) for n in (46, 47, 100, 1000, 1499, 1500)]
    for frame in out:
        assert near.send(frame)
    assert far.heard() == out and near.device.transmitted == len(out)


def test_the_caller_may_reuse_what_it_has_sent(ends):
    near, far, mac = ends
    frame = mac + near.device.mac + TYPE + bytes(100)
    room = ctypes.create_string_buffer(frame, len(frame))
    assert near.device.transmit(ctypes.addressof(room), len(frame))
    ctypes.memset(room, 0xEE, len(frame))
    assert far.heard() == [frame]


def test_a_burst_is_whole_until_the_next(ends):
    near, far, mac = ends
    sent = [near.device.mac + mac + TYPE + bytes([i]) * 60 for i in range(2 * layout.BURST)]
    for frame in sent:
        far.send(frame)
    got = near.device.receive(near.at, layout.BURST)
    assert 0 < got <= layout.BURST
    entries = [(near.array[2 * i], near.array[2 * i + 1]) for i in range(got)]
    for address, _ in entries:
        # the IP header begins at a multiple of 4; where DPDK's drivers put it, 2 behind one
        assert address % 4 == (0 if isinstance(near.device, Dpdk) else 2)
    assert [ctypes.string_at(*entry) for entry in entries] == sent[:got]


def test_a_limit_is_kept_and_nothing_behind_is_touched(ends):
    near, far, mac = ends
    for i in range(10):
        far.send(near.device.mac + mac + TYPE + bytes([i]) * 46)
    near.array[6] = near.array[7] = 0xABCD
    assert len(near.burst(0)) == 0 and len(near.burst(3)) == 3
    assert near.array[6] == near.array[7] == 0xABCD
    assert [frame[14] for frame in near.all()] == list(range(3, 10))


def test_frames_that_cant_be_are_dropped_and_counted(ends):
    near, far, mac = ends
    assert near.send(mac + near.device.mac + TYPE + bytes(near.device.mtu + 1)) and near.send(b"short")
    assert far.heard() == [] and near.device.errors == 2 and near.device.transmitted == 0


def test_who_sleeps_is_woken(ends):
    near, far, mac = ends
    assert near.all() == []
    if near.device.bell() < 0:
        pytest.skip("this device never rings")
    assert near.device.arm()
    far.send(near.device.mac + mac + TYPE + bytes(46))
    assert near.rung(5)
    near.device.disarm()
    assert len(near.all()) == 1


def test_no_sleep_while_something_is_there(ends):
    near, far, mac = ends
    far.send(near.device.mac + mac + TYPE + bytes(46))
    assert not near.device.arm() or near.rung()
    near.device.disarm()
    assert len(near.all()) == 1 and near.device.deadline(time.monotonic_ns()) == -1


def test_close_may_be_repeated(ends):
    near, _, _ = ends
    near.device.close()
    near.device.close()


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.booleans(), st.binary(min_size=46, max_size=1500), st.integers(1, 70)), max_size=40))
def test_random_conversations(ends, history):
    near, far, mac = ends
    near.all(), far.heard()
    coming, heard = [], []
    for outward, payload, limit in history:
        if outward:
            frame = mac + near.device.mac + TYPE + payload
            assert near.send(frame) and far.heard() == [frame]
        else:
            frame = near.device.mac + mac + TYPE + payload
            far.send(frame)
            coming.append(frame)
        if limit % 3 == 0:
            heard += near.burst(limit)
    assert heard + near.all() == coming
