"""The segment as a switch, within one process: each host has a port of its own."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from frame_host import Host, closing, names, unique

from libos import raw
from libos.devices import addresses, layout
from libos.devices.segment import Segment
from libos.devices.segment_names import Names
from libos.errors import Fail, Kind

BROADCAST = b"\xff" * 6


@pytest.fixture
def segment():
    """`segment(**options)`: another host of one segment."""
    made, name = [], unique()

    def host(**options):
        made.append(Segment(name, **options))
        return Host(made[-1])

    host.name = name
    yield host
    for device in made:
        device.close()
    assert names(name) == []


def test_unicast_goes_to_its_host_only(segment):
    a, b, c = segment(), segment(), segment()
    assert a.say(b, b"to b")
    assert b.heard() == [b"to b"] and a.all() == c.all() == []


@pytest.mark.parametrize("target", [BROADCAST, bytes.fromhex("01005e000001"), bytes.fromhex("333300000001")])
def test_what_has_a_group_address_goes_to_all_others(segment, target):
    a, b, c = segment(), segment(), segment()
    assert a.say(target, b"to all")
    assert b.heard() == c.heard() == [b"to all"] and a.all() == []


def test_frames_arrive_as_they_were_sent(segment):
    a, b = segment(), segment()
    for size in [*range(0, 130), 1499, 1500]:
        frame = b.device.mac + a.device.mac + b"\x08\x00" + os.urandom(size)
        assert a.send(frame)
        assert b.all() == [frame]


def test_a_frame_that_could_never_be_sent_is_an_error(segment):
    a, b = segment(), segment()
    assert a.say(b, bytes(1501)) and a.send(b.device.mac + b"1234567")
    assert a.device.errors == 2 and b.all() == []


def test_jumbo_frames_where_the_segment_was_made_for_them(segment):
    a, b = segment(mtu=9000), segment()
    assert b.device.mtu == 9000
    assert a.say(b, bytes(range(256)) * 35)
    assert b.heard() == [bytes(range(256)) * 35]


def test_a_full_ring_refuses_and_counts(segment):
    a, b, c = segment(slots=64), segment(), segment()
    for i in range(64):
        assert a.say(b, b"%d" % i)
    assert not a.say(b, b"no") and a.device.full == 1
    assert a.say(c, b"others") and c.heard() == [b"others"]  # have room
    assert a.say(BROADCAST, b"all") and a.device.full == 2  # who has none goes without
    assert b.heard() == [b"%d" % i for i in range(64)] and c.heard() == [b"all"]
    assert a.say(b, b"again") and b.heard() == [b"again"]


def test_bursts_end_at_their_limit(segment):
    a, b = segment(), segment()
    for i in range(100):
        a.say(b, b"%d" % i)
    assert [len(b.burst(n)) for n in (0, 1, 7, 1000)] == [0, 1, 7, layout.BURST]
    assert b.heard()[-1] == b"99"


def test_frames_for_nobody_are_dropped(segment):
    a, b = segment(), segment()
    b.device.close()
    assert a.say(b, b"gone") and a.say(a, b"me") and a.device.unknown == 2


def test_foreign_addresses_are_learned(segment):
    bridge, a, b = segment(), segment(), segment()
    foreign = bytes.fromhex("525400123456")
    assert a.say(foreign, b"where?") and bridge.heard() == b.heard() == [b"where?"]
    assert bridge.say(a, b"here", source=foreign) and a.heard() == [b"here"]
    assert a.say(foreign, b"found") and bridge.heard() == [b"found"] and b.all() == []
    assert b.say(a, b"moved", source=foreign) and a.heard() == [b"moved"]
    assert a.say(foreign, b"follow") and b.heard() == [b"follow"] and bridge.all() == []


def test_addresses_are_unique_and_of_the_network(segment):
    hosts = [segment(network="192.168.4.0/22") for _ in range(20)]
    for kind in ("mac", "ipv4", "ipv6", "port"):
        assert len({getattr(host.device, kind) for host in hosts}) == 20
    for host in hosts:
        assert host.device.ipv4[:2] == bytes([192, 168]) and host.device.ipv4_prefix == 22
        assert host.device.mac[0] & 3 == 2 and len(host.device.mac) == 6  # unicast, locally administered
        assert host.device.ipv6[0] == 0xFD and len(host.device.ipv6) == 16


def test_a_small_network_has_few_ports(segment):
    hosts = [segment(network="10.0.0.0/29") for _ in range(6)]
    assert sorted(host.device.ipv4[3] for host in hosts) == [1, 2, 3, 4, 5, 6]
    with pytest.raises(Fail) as raised:
        segment()
    assert raised.value.kind is Kind.IN_USE
    hosts[2].device.close()
    assert segment().device.port == hosts[2].device.port


def test_an_address_is_not_soon_given_again(segment):
    a, b = segment(), segment()
    b.device.close()
    assert segment().device.port not in (a.device.port, b.device.port)


def test_a_host_may_ask_for_its_port(segment):
    a = segment(port=41)
    assert a.device.ipv4 == bytes([10, 77, 0, 42])
    with pytest.raises(Fail) as raised:
        segment(port=41)
    assert raised.value.kind is Kind.IN_USE
    assert a.say(segment(port=7), b"x")


@pytest.mark.parametrize(
    "options",
    [{"mtu": 67}, {"mtu": 9001}, {"slots": 100}, {"slots": 32}, {"network": "10.0.0.0/31"}, {"network": "10.0.0.1/8"},
     {"network": "x"}, {"port": 256}, {"port": -1}, {"name": "a/b"}, {"name": ""}, {"name": "a\nb"}],
)  # fmt: skip
def test_options_that_cant_be_are_refused(options):
    name = unique()
    with pytest.raises(Fail) as raised:
        Segment(**{"name": name} | options)
    assert raised.value.kind is Kind.INVALID
    assert names(name) == []


def test_segments_do_not_hear_each_other():
    a, b = Host(Segment(unique())), Host(Segment(unique()))
    with closing(a.device, b.device):
        assert a.say(BROADCAST, b"x") and b.all() == []


def test_a_sleeper_is_rung_once(segment):
    a, b = segment(), segment()
    assert not b.rung() and a.say(b, b"1") and not b.rung()
    assert not b.device.arm()  # something is there
    assert b.heard() == [b"1"]
    assert b.device.arm() and a.say(b, b"2") and a.say(b, b"3")
    assert b.rung(1) and a.device.ring.rung == 1
    b.device.disarm()
    assert not b.rung() and b.heard() == [b"2", b"3"]
    assert a.say(b, b"4") and not b.rung()


def test_nobody_else_can_keep_a_bell_ringing(segment):
    b = segment()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM, 0, os.dup(b.device.bell()))
        with bell:
            for _ in range(5):
                stranger.sendto(b"ring", bell.getsockname())
    assert b.rung()
    b.device.disarm()
    assert not b.rung()


def test_memory_is_given_back_when_a_port_is(segment):
    a, b = segment(), segment()
    before = os.fstat(a.device.fds[0]).st_blocks
    for _ in range(512):
        a.say(b, bytes(1500))
    used = os.fstat(a.device.fds[0]).st_blocks
    b.device.close()
    assert used - before > 1400 and os.fstat(a.device.fds[0]).st_blocks - before < 100


def test_a_child_finds_a_dead_device_and_leaves_the_parents_alone(segment):
    a, b = segment(), segment()
    child = os.fork()
    if child == 0:
        ok = not b.say(a, b"child") and a.all() == [] and a.device.arm() and a.device.deadline(0) == -1
        a.device.close()
        b.device.close()
        os._exit(0 if ok else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert a.say(b, b"still here") and b.heard() == [b"still here"]


def test_a_child_has_the_device_when_it_is_lent(segment):
    """It receives and sends as before; its parent finds a dead one, and others find the segment by the child."""
    a, b = segment(), segment()
    assert a.say(b, b"before")
    asked, answered = os.pipe(), os.pipe()
    b.device.lend()
    child = os.fork()
    if child == 0:
        b.device.inherit()
        os.read(asked[0], 1)
        ok = sorted(b.heard()) == [b"after", b"before"] and b.say(a, b"from the child")
        os.write(answered[1], b"x")
        os.read(asked[0], 1)
        os._exit(0 if ok else 1)
    b.device.given()
    assert not b.say(a, b"parent") and b.all() == [] and a.say(b, b"after")
    os.write(asked[1], b"x")
    os.read(answered[0], 1)
    assert a.heard() == [b"from the child"]
    assert {(at[0], at[2]) for at in Names(segment.name).announced()} == {
        (pid, os.fstat(a.device.fds[0]).st_ino) for pid in (os.getpid(), child)
    }
    os.write(asked[1], b"x")
    assert os.waitpid(child, 0)[1] == 0
    for fd in (*asked, *answered):
        os.close(fd)


def test_closing_twice_and_using_what_is_closed(segment):
    a, b = segment(), segment()
    a.device.close()
    a.device.close()
    assert not a.say(b, b"x") and a.all() == []
    a.device.disarm()


def test_a_new_program_in_the_same_process_leaves_the_segment(segment):
    a, name = segment(), segment.name
    script = f"""
import os, sys
from libos.devices.segment import Segment
s = Segment({name!r}); print(s.port, flush=True)
os.execv("/bin/cat", ["cat"])"""
    env = os.environ | {"PYTHONPATH": os.getcwd()}
    other = subprocess.Popen([sys.executable, "-c", script], env=env, stdin=-1, stdout=-1, text=True)
    port = other.stdout.readline().strip()
    other.stdin.write("cat\n")
    other.stdin.flush()
    assert other.stdout.readline() == "cat\n"
    assert port not in names(name) and str(a.device.port) in names(name)
    other.communicate()


def test_an_announcement_of_another_file_is_passed_over(segment):
    """As of a process whose number has been given again."""
    a, name = segment(), unique()
    inode = os.fstat(a.device.fds[0]).st_ino
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stale:
        stale.bind(Names(name).address(f"at/{os.getpid()}/{a.device.fds[0]}/{inode + 1}"))
        other = Segment(name)
        with closing(other):
            assert os.fstat(other.fds[0]).st_ino != inode


def test_a_file_of_another_user_is_not_joined(segment, monkeypatch):
    a = segment()
    real = os.fstat
    os.fchmod(a.device.fds[0], 0o666)
    b = Segment(segment.name)
    with closing(b):
        assert real(b.fds[0]).st_ino != real(a.device.fds[0]).st_ino
    os.fchmod(a.device.fds[0], 0o600)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_root_does_not_join_another_users_segment():
    name = unique()
    script = f"""
import os, sys
os.setgid(65534); os.setuid(65534)
from libos.devices.segment import Segment
from libos.devices.segment_names import Names
s = Segment({name!r}); print(s.ring.base != 0, os.fstat(s.fds[0]).st_mode & 0o777, flush=True)
sys.stdin.read()"""
    # a host of uid 65534 whose names say uid 0 would be refused by the file's owner
    env = os.environ | {"PYTHONPATH": os.getcwd()}
    other = subprocess.Popen([sys.executable, "-c", script], env=env, stdin=-1, stdout=-1, text=True)
    assert other.stdout.readline().split() == ["True", str(0o600)]
    path = f"/proc/{other.pid}/fd/"
    number = next(n for n in os.listdir(path) if "catflap-segment" in os.readlink(path + n))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as liar:
        inode = os.stat(path + number).st_ino
        liar.bind(Names(name).address(f"at/{other.pid}/{number}/{inode}"))
        mine = Segment(name)
        with closing(mine):
            assert os.fstat(mine.fds[0]).st_uid == 0
    other.communicate()


def test_nothing_is_left_after_kill(segment):
    name = unique()
    script = f"""
from libos.devices.segment import Segment
from libos.devices.segment_names import Names
import time
s = Segment({name!r}); print("up", flush=True); time.sleep(60)"""
    env = os.environ | {"PYTHONPATH": os.getcwd()}
    before = set(os.listdir("/dev/shm"))
    hosts = [subprocess.Popen([sys.executable, "-c", script], env=env, stdout=-1, text=True) for _ in range(3)]
    for host in hosts:
        assert host.stdout.readline() == "up\n"
    mine = Segment(name)
    with closing(mine):
        for host in hosts:
            host.kill()
            host.wait()
        again = Segment(name)  # sweeps
        up = bin(sum(raw.load(mine.base + layout.S_UP + 8 * i) << 64 * i for i in range(4))).count("1")
        assert up == 2
        again.close()
    assert names(name) == [] and set(os.listdir("/dev/shm")) == before


def test_the_layout_is_the_same_in_compiled_code():
    text = Path(layout.__file__).with_suffix(".pxd").read_text()
    found = re.findall(r'(?:int|long) (\w+) "([^"]+)"', text)
    rows = {name: eval(re.sub(r"(?i)(?<=[0-9a-f])ull", "", value)) for name, value in found}
    assert rows == {name: value for name, value in vars(layout).items() if name.isupper()}


def test_areas_of_the_layout_do_not_overlap():
    assert layout.S_RECORDS + layout.PORTS * layout.RECORD <= layout.S_RINGS
    assert layout.M_HEADS + layout.PORTS * 8 <= layout.M_LEARNED
    assert layout.M_LEARNED + 256 * 8 <= layout.M_NAMES
    assert layout.M_NAMES + layout.PORTS * layout.M_NAME <= layout.M_FRAMES
    assert layout.S_RINGS % 4096 == 0 and layout.PORTS == 256
    assert addresses.ports(16) == layout.PORTS and addresses.ports(29) == 6
