"""A queue of an interface (AF_XDP), on a wire in a network namespace of the test's own."""

import contextlib
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time

import pytest
from frame_host import TYPE, Host, closing
from namespace import Wiretap, await_carrier, ip, mac, network_namespace, wire

from libos import net_config
from libos.devices import layout, xdp_program
from libos.devices.af_xdp import AfXdp
from libos.errors import Fail


@pytest.fixture(params=["driver", "generic"])
def host(request, monkeypatch):
    if request.param == "generic":
        monkeypatch.setattr(xdp_program, "DRIVER", xdp_program.GENERIC)
    with wire():
        device = AfXdp("ours")
        with closing(device):
            yield Host(device)


@pytest.fixture
def other(host):
    with Wiretap("theirs") as tap:
        yield tap


def attached():
    """How a program is attached to "ours", as ip(8) has it; none: an empty text."""
    words = subprocess.run(["ip", "link", "show", "ours"], capture_output=True, text=True, check=True).stdout
    return " ".join(re.findall(r"\b(xdp\w*)\b", words.partition("\n")[0]))


def gone():
    """Whether it goes: that may take a moment."""
    end = time.monotonic() + 5
    while attached() and time.monotonic() < end:
        time.sleep(0.01)
    return not attached()


def test_who_it_is_on_the_wire(host):
    """The interface itself: its MAC, its MTU; the program is where it was asked to be."""
    assert host.device.mac == mac("ours") and host.device.mtu == 1500
    assert attached() == ("xdp" if host.device.way == 4 else "xdpgeneric")


def test_frames_go_both_ways(host, other):
    for size in (46, 500, 1500):
        frame = host.device.mac + bytes(5) + b"\x02" + TYPE + os.urandom(size)
        other.send(frame)
        assert host.woken(5) and host.all() == [frame]
        assert host.send(frame) and other.wait(1) == [frame]
    assert host.device.received == host.device.transmitted == 3


def test_more_frames_than_there_are_chunks(host, other):
    """Every chunk of both halves is used again and again."""
    for i in range(3 * layout.X_CHUNKS):
        payload = i.to_bytes(2, "big") * 23
        other.send(host.device.mac + bytes(6) + TYPE + payload)
        assert (host.woken(5) and host.heard(1)) == [payload]
        assert host.say(b"\xff" * 6, payload) and other.wait(1)[0][14:] == payload
    assert host.device.full == host.device.errors == 0


def test_the_kernel_hears_nothing_of_it(host, other):
    """Its stack does not answer at the same address, as it does once the device is closed."""
    ip("address add 10.9.0.1/24 dev ours")
    question = b"\0\1\x08\0\6\4\0\1" + b"\2\0\0\0\0\x09" + bytes([10, 9, 0, 9]) + bytes(6) + bytes([10, 9, 0, 1])
    frame = b"\xff" * 6 + b"\2\0\0\0\0\x09" + b"\x08\6" + question
    other.send(frame)
    assert host.settled() == [frame] and other.heard() == []
    host.device.close()
    assert gone()
    other.send(frame)
    assert other.wait(1)[0][12:22] == b"\x08\6\0\1\x08\0\6\4\0\2"


def test_what_finds_no_room_is_counted(host, other):
    for i in range(3000):
        other.send(host.device.mac + bytes(6) + TYPE + i.to_bytes(2, "big"))
    time.sleep(0.1)
    host.device.arm()
    lost = host.device.full
    host.device.arm()
    got = [int.from_bytes(payload[:2], "big") for payload in host.heard()]
    assert host.device.full == lost and 0 < lost < 3000 and len(got) == layout.X_CHUNKS == 3000 - lost
    assert got == sorted(got)


def test_frames_that_cant_be(host, other):
    ip("link set ours mtu 1600")
    ip("link set theirs mtu 1600")
    other.send(host.device.mac + bytes(6) + TYPE + bytes(1501))
    other.send(host.device.mac + bytes(6) + TYPE + b"behind")
    assert [frame[14:] for frame in host.settled()] == [b"behind"] and host.device.errors == 1
    assert host.send(bytes(1515)) and host.send(b"short") and host.device.errors == 3


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_checksums_that_the_kernel_left_out_are_there(host, other, family):
    """Datagrams of a kernel socket on the other end; nothing says that its interface has promised to see to them."""
    if family == socket.AF_INET:
        target, begin, head, ends = "10.9.0.2", 34, slice(14, 34), slice(26, 34)
        ip("address add 10.9.0.1/24 dev theirs")
    else:
        target, begin, head, ends = "fd09::2", 54, slice(0, 0), slice(22, 54)
        with open("/proc/sys/net/ipv6/conf/theirs/disable_ipv6", "w") as file:
            file.write("0")
        ip("address add fd09::1/64 dev theirs nodad")
    ip(f"neighbour add {target} lladdr {host.device.mac.hex(':')} dev theirs")
    host.settled()
    payloads = [os.urandom(n) for n in (1, 2, 99, 1400)]
    with socket.socket(family, socket.SOCK_DGRAM) as udp:
        for payload in payloads:
            udp.sendto(payload, (target, 4000))
    frames = [frame for frame in host.settled() if frame[:1] != b"\x33"]
    assert [frame[begin + 8 :] for frame in frames] == payloads
    for frame in frames:
        body = frame[begin:]
        whole = frame[ends] + struct.pack(">HH", 17, len(body)) + body + bytes(len(body) % 2)
        assert sum(struct.unpack(f">{len(whole) // 2}H", whole)) % 0xFFFF == 0
        assert sum(struct.unpack(f">{len(frame[head]) // 2}H", frame[head])) % 0xFFFF == 0


def test_a_wrong_checksum_stays_wrong(host, other):
    """Only what is the pseudo-header's sum to the bit is taken for unfinished."""
    ends = bytes([10, 9, 0, 1, 10, 9, 0, 2])
    start = sum(struct.unpack(">4H", ends)) + 17 + 12
    for wrong in (1, 0xFFFF - start, start + 1):
        packet = struct.pack(">BBHHHBBH", 0x45, 0, 32, 0, 0, 64, 17, 0) + ends
        packet += struct.pack(">HHHH", 4000, 5000, 12, wrong) + b"data"
        frame = host.device.mac + bytes(6) + b"\x08\0" + packet
        other.send(frame)
        assert host.woken(5) and host.all() == [frame]


def test_an_interface_that_is_down_takes_no_frame(host, other):
    ip("link set ours down")
    assert host.say(b"\xff" * 6, b"x") and host.device.errors == 1 and host.device.transmitted == 0
    assert host.device.deadline(0) == -1 and host.device.arm() and not host.rung()
    ip("link set ours up")
    await_carrier()
    other.send(host.device.mac + bytes(6) + TYPE + b"again")
    assert host.woken(5) and host.heard() == [b"again"]
    assert host.say(b"\xff" * 6, b"y" * 46) and other.wait(1)[-1][14:15] == b"y"


def test_an_interface_that_goes_away(host):
    ip("link del ours")
    assert host.say(b"\xff" * 6, b"x") and host.device.errors == 1 and host.all() == []
    assert host.device.deadline(0) == -1 and host.device.arm() and not host.rung()


def test_closing_takes_the_program_away(host):
    assert attached()
    host.device.close()
    host.device.close()
    assert gone() and host.all() == [] and not host.say(b"\xff" * 6, b"x")
    for _ in range(5):  # the queue is free for the next
        device = AfXdp("ours")
        with closing(device):
            assert attached()


HOLDS = """
from libos.devices.af_xdp import AfXdp
import time
device = AfXdp("ours")
print("up", flush=True)
time.sleep(60)
"""


@contextlib.contextmanager
def holder():
    """Another process that has the queue."""
    process = subprocess.Popen([sys.executable, "-c", HOLDS], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "up\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_who_is_killed_leaves_nothing():
    with wire():
        with holder() as process:
            assert attached()
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert gone()
        AfXdp("ours").close()


def refused(*arguments):
    with pytest.raises(Fail) as caught:
        net_config.make(*arguments)
    return str(caught.value)


def test_what_cant_be_is_refused_in_a_line():
    own = "10.9.0.2/24"
    with network_namespace():
        ip("link set lo up")
        ip("link add ours type veth peer name theirs")
        assert refused("af_xdp:absent", own) == "af_xdp:absent:0: there is no interface 'absent' (No such device)"
        assert refused("af_xdp:ours", own) == "af_xdp:ours:0: ours is down; ip link set ours up"
        assert "lo is not an Ethernet interface" in refused("af_xdp:lo", own)
        assert refused("af_xdp:ours") == "af_xdp:ours needs addresses; an interface allots none"
        assert "a queue is 0 to" in refused("af_xdp:ours:x", own)
        assert "a queue is 0 to" in refused("af_xdp:ours:-1", own)
        ip("link set ours up")
        assert refused("af_xdp:ours:9", own) == "af_xdp:ours:9: ours has no queue 9"
        net_config.make("af_xdp:ours:0", own).close()
        with holder():
            assert refused("af_xdp:ours", own).startswith("af_xdp:ours:0: another process has the queue")
        ip("link set ours mtu 9000")
        assert refused("af_xdp:ours", own).endswith("an MTU of 9000 is more than 3824; ip link set ours mtu 3824")


def test_its_mtu_is_the_interfaces():
    with wire("mtu 3000"), Wiretap("theirs") as other, closing(device := AfXdp("ours")):
        host = Host(device)
        frame = device.mac + bytes(6) + TYPE + os.urandom(3000)
        other.send(frame)
        assert device.mtu == 3000 and host.woken(5) and host.all() == [frame]
        assert host.send(frame) and other.wait(1) == [frame]


def test_an_interface_that_has_a_program_is_refused_in_a_line():
    """On another queue: there is one program for all of them."""
    with network_namespace():
        ip("link add ours numrxqueues 2 numtxqueues 2 type veth peer name theirs numrxqueues 2 numtxqueues 2")
        ip("link set ours up")
        with holder():
            said = refused("af_xdp:ours:1", "10.9.0.2/24")
        assert said == "af_xdp:ours:1: ours has an XDP program already; end the process whose it is"


BARE = """
from libos import net_config
try:
    net_config.make("af_xdp:ours", "10.9.0.2/24")
except Exception as error:
    print(error)
"""


@pytest.mark.parametrize("missing", ["net_raw", "bpf,-sys_admin", "net_admin,-sys_admin"])
def test_who_may_not_is_told_in_a_line(missing):
    with wire():
        argv = ["setpriv", f"--bounding-set=-{missing}", f"--inh-caps=-{missing}", sys.executable, "-c", BARE]
        result = subprocess.run(argv, capture_output=True, text=True)
        assert not attached()
    said = "af_xdp:ours:0: needs CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF; run as root or give the program"
    assert result.stdout.startswith(said) and result.stderr == "", result
