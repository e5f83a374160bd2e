"""DPDK's ports beyond what every device does: what is there of it in the process, and what becomes of peers."""

import ctypes
import os
import subprocess
import sys
import time

import dpdk_ports
import pytest
from frame_host import Host, closing, unique
from namespace import wire

from libos import net_config
from libos.devices import dpdk_library, layout
from libos.errors import Fail

FAR = """
import os, sys
sys.path[:0] = ["tests/devices", "."]
from libos import mode
mode.install()
from frame_host import Host
from libos.devices.dpdk import Dpdk
host = Host(Dpdk(sys.argv[1]))
print(host.device.mac.hex(), flush=True)
"""
ECHO = """
while True:
    for frame in host.burst():
        host.say(frame[6:12], frame[14:])
"""


def far(place, role="server", code=ECHO):
    """Another process, with the other end; it says its MAC when it is there."""
    dpdk_ports.need()
    argv = [sys.executable, "-c", FAR + code, f"net_memif,role={role},socket=/{place}"]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
    process.mac = bytes.fromhex(process.stdout.readline().decode())
    return process


def killed(process):
    process.kill()
    said, complained = process.communicate()
    assert complained == b""


def until(true, seconds=20):
    end = time.monotonic() + seconds
    while not (answer := true()):
        assert time.monotonic() < end, f"not within {seconds} s"
    return answer


def answered(near, mac, text):
    """Say something until it is answered."""

    def heard():
        near.say(mac, text)
        return text in [frame[layout.HEADER :] for frame in near.settled(0.01)]

    until(heard)


@pytest.fixture
def ends(tmp_path):
    with dpdk_ports.memif(str(tmp_path)) as (near, other):
        yield Host(near), Host(other)


def test_a_full_ring_is_told_and_loses_nothing(ends):
    near, other = ends
    said = 0
    while near.say(other, b"%046d" % said):
        said += 1
    assert 200 < said <= 1024 and (near.device.transmitted, near.device.full) == (said, 1)
    assert other.heard() == [b"%046d" % n for n in range(said)]
    assert near.say(other, bytes(46)) and other.heard() == [bytes(46)]


def test_what_was_handed_out_stays_while_a_sleeper_is_looked_for(ends):
    """The thread that looks meanwhile takes frames from the driver, and disturbs none."""
    near, other = ends
    for n in range(100):
        assert other.say(near, b"%046d" % n)
    first = near.burst(3)
    assert not near.device.arm()
    near.device.disarm()
    assert [frame[14:] for frame in first + near.all()] == [b"%046d" % n for n in range(100)]
    assert near.device.arm() and other.say(near, bytes(46)) and near.rung(5)
    for n in range(100):
        assert other.say(near, b"%046d" % n)
    near.device.disarm()
    assert near.heard() == [bytes(46), *(b"%046d" % n for n in range(100))]


def test_an_mtu_that_the_driver_has_not_is_refused():
    with wire(), pytest.raises(Fail, match="dpdk:net_af_packet.*: Frame size .9018. > device max frame size"):
        dpdk_ports.opened("net_af_packet", "iface=ours", mtu=9000)


@pytest.mark.parametrize("words", [(), ("bsize=2048",)], ids=["a buffer for each", "several buffers"])
def test_long_frames_over_a_memif(tmp_path, words):
    """Of which the driver itself says that it has 1518 bytes for a frame."""
    with dpdk_ports.memif(str(tmp_path), *words, mtu=9000) as ports:
        near, other = map(Host, ports)
        for one, two in ((near, other), (other, near)):
            said = [os.urandom(n) for n in (46, 2047, 2048, 4096, 8999, 9000)]
            for text in said:
                assert one.say(two, text)
            assert two.heard() == said
            assert one.say(two, bytes(9001)) and one.device.errors == 1 and two.heard() == []


def array(*frames):
    """(address, keep) of an array of frames, as `receive` fills it; each is bytes, or (bytes, what is to be done)."""
    pairs = [frame if isinstance(frame, tuple) else (frame, 0) for frame in frames]
    buffers = [ctypes.create_string_buffer(frame, max(len(frame), 8)) for frame, _ in pairs]
    entries = (ctypes.c_uint64 * (2 * len(pairs)))()
    for i, (frame, task) in enumerate(pairs):
        entries[2 * i], entries[2 * i + 1] = ctypes.addressof(buffers[i]), len(frame) | task
    return ctypes.addressof(entries), (entries, buffers)


def test_a_burst_goes_out_as_far_as_there_is_room(ends):
    """In order; what can't be right is taken, dropped and counted wherever it stands."""
    near, other = ends
    frames = [near.frame(other, b"%046d" % n) for n in range(100)]
    at, _keep = array(*frames[:50], bytes(1515), b"short", *frames[50:])
    assert near.device.transmit_burst(at, 102) == 102
    assert (near.device.transmitted, near.device.errors, near.device.full) == (100, 2, 0)
    assert other.heard() == [b"%046d" % n for n in range(100)]
    at, _keep = array(*frames * 12)
    taken = near.device.transmit_burst(at, 1200)
    assert 200 < taken <= 1024 and near.device.full == 1
    assert other.heard(6) == [b"%046d" % (n % 100) for n in range(taken)]


def test_without_a_peer_frames_are_dropped_and_counted(tmp_path):
    near = Host(dpdk_ports.opened("net_memif", "role=client", f"socket=/{unique()}"))
    with closing(near.device):
        assert near.say(bytes(6), bytes(46)) and near.device.errors == 1 and near.device.transmitted == 0
        assert near.all() == [] and near.device.arm() and not near.rung(0.05)
        near.device.disarm()


@pytest.mark.parametrize("role", ["client", "server"])
def test_a_peer_that_is_killed_harms_nobody_and_another_takes_its_place(role):
    """While frames are on their way through memory that goes with it; whichever end waits for the other."""
    place = unique()
    near = Host(dpdk_ports.opened("net_memif", f"role={role}", f"socket=/{place}"))
    with closing(near.device):
        for turn in range(3):
            other = far(place, "server" if role == "client" else "client")
            answered(near, other.mac, b"%046d" % turn)
            other.kill()
            lost = near.device.errors
            until(lambda lost=lost: near.say(bytes(6), bytes(46)) and near.all(1) == [] and near.device.errors > lost)
            killed(other)


def test_a_peer_sees_a_port_close(tmp_path):
    place = unique()
    near = Host(dpdk_ports.opened("net_memif", "role=server", f"socket=/{place}"))
    with closing(near.device):
        other = Host(dpdk_ports.opened("net_memif", "role=client", f"socket=/{place}"))
        other.device.close()
        until(lambda: near.say(bytes(6), bytes(46)) and near.device.errors)


def test_a_child_has_a_port_that_does_nothing(ends):
    near, other = ends
    child = os.fork()
    if child == 0:
        silent = not near.say(other, bytes(46)) and near.all() == [] and near.device.arm()
        near.device.close()
        try:
            dpdk_ports.opened("net_memif", f"socket=/{unique()}")
        except Fail as error:
            os._exit(not (silent and "forked" in str(error)))
        os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert near.say(other, b"x" * 46) and other.heard() == [b"x" * 46]
    assert other.say(near, b"y" * 46) and near.heard() == [b"y" * 46]


INSIDE = """
import os, signal
tasks = [f"/proc/self/task/{task}" for task in os.listdir("/proc/self/task")]
names = sorted(open(f"{task}/comm").read().strip() for task in tasks)
blocked = [int(line.split()[1], 16) for task in tasks[1:] for line in open(f"{task}/status") if "SigBlk" in line]
print(names[:2], all(word | 1 << 8 | 1 << 18 | 3 << 31 == (1 << 64) - 1 for word in blocked), flush=True)
fds = [int(fd) for fd in os.listdir("/proc/self/fd")]
print([fd for fd in fds if 16 <= fd < 900], len(os.sched_getaffinity(0)), flush=True)
print([n for n in range(1, 65) if callable(signal.getsignal(n)) and n != signal.SIGINT], flush=True)
"""


def test_what_there_is_of_it_in_a_process():
    """Threads that take no signal, descriptors out of the way, the program's own cores and handlers; and at the end,
    nothing.
    """
    folders = [path for path in ("/run/dpdk", "/dev/hugepages") if os.path.isdir(path)]
    before = [os.listdir(path) for path in folders]
    other = far(unique(), code=INSIDE)
    lines, complained = other.communicate(timeout=30)
    cores = len(os.sched_getaffinity(0))
    expected = f"['catflap-dpdk', 'eal-intr-thread'] True\n[] {cores}\n[]\n"
    assert (lines.decode(), complained, other.returncode) == (expected, b"", 0)
    assert [os.listdir(path) for path in folders] == before


@pytest.mark.parametrize(
    "name, why",
    [
        ("memif", "is not possible; give a virtual device of DPDK's, as net_memif,role=client, or a PCI address"),
        ("net_nix", "there is no such driver here; there are net_memif, net_vhost, net_virtio_user, net_af_packet"),
        ("net_memif9,role=king", "Unknown role: king"),
        ("net_af_packet9,iface=absent", "No such device"),
        ("net_virtio_user9,path=/absent/socket", "No such file or directory"),
        ("0000:00:00.0", "DPDK was started for virtual devices; open this one first"),
    ],
)
def test_what_can_not_be_is_one_line(name, why):
    dpdk_ports.opened("net_memif", f"socket=/{unique()}").close()
    with pytest.raises(Fail) as refusal:
        net_config.make(f"dpdk:{name}", "10.9.0.2/24")
    text = str(refusal.value)
    assert why in text and "dpdk:" in text and "\n" not in text


def test_without_addresses_it_is_refused():
    with pytest.raises(Fail, match="dpdk:net_memif needs addresses; a port allots none"):
        net_config.make("dpdk:net_memif")


def test_the_same_name_twice_is_refused(ends):
    with pytest.raises(Fail, match="this process has that one open already"):
        net_config.make(f"dpdk:{ends[0].device.name}", "10.9.0.2/24")


def test_where_it_was_not_built_one_line_says_so(monkeypatch):
    monkeypatch.setattr(dpdk_library, "HERE", [])
    monkeypatch.setattr(dpdk_library, "PATH", "/absent/libcatflap_dpdk.so")
    with pytest.raises(Fail, match="dpdk:net_memif: Catflap was built without DPDK .*apt-get install libdpdk-dev"):
        net_config.make("dpdk:net_memif", "10.9.0.2/24")


def test_huge_pages_are_used_where_enough_are_free(tmp_path, monkeypatch):
    for size, free in (("2048kB", 31), ("1048576kB", 0)):
        (tmp_path / f"hugepages-{size}").mkdir()
        (tmp_path / f"hugepages-{size}" / "free_hugepages").write_text(f"{free}\n")
    assert dpdk_library.huge_pages_free(str(tmp_path)) == 31 << 21
    assert dpdk_library.huge_pages_free("/absent") == 0
    for free, words in ((dpdk_library.HUGE, "--in-memory --single-file-segments"), (0, "--no-huge --no-shconf -m 64")):
        monkeypatch.setattr(dpdk_library, "huge_pages_free", lambda free=free: free)
        assert " ".join(dpdk_library.arguments("")).endswith(words)
