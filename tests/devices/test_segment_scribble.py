"""Senders that die half-way and processes that write anything anywhere: the ring comes back, others' frames arrive."""

import os
import subprocess
import sys
import time

import pytest
from frame_host import Host, closing, unique
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from libos import raw_ctypes as raw  # both modes: tests write to memory as a stranger would
from libos.devices import layout
from libos.devices.segment import Segment
from libos.errors import Fail


def record(device, port):
    return device.base + layout.S_RECORDS + port * layout.RECORD


def pair(**options):
    name = unique()
    return Host(Segment(name, **options)), Host(Segment(name))


def heard_within(host, seconds):
    """What comes until something has come, as a polling stack would hear it."""
    end, found = time.monotonic() + seconds, []
    while not found and time.monotonic() < end:
        host.device.deadline(time.monotonic_ns())
        found = host.heard(1)
    return found


def heard_again(sender, receiver, seconds=5):
    """Frames may be lost, but not for ever."""
    end = time.monotonic() + seconds
    while True:
        sender.say(receiver, b"whole")
        receiver.device.deadline(time.monotonic_ns())
        if b"whole" in receiver.heard():
            return
        assert time.monotonic() < end


def take_a_slot(sender, receiver, said=True):
    """What a sender does before it copies the frame; then it stops."""
    at = record(receiver.device, receiver.device.port)
    position = raw.load(at + layout.P_TAIL)
    if said:
        intent = receiver.device.port << 48 | position
        raw.store(record(sender.device, sender.device.port) + layout.P_INTENT, intent)
    raw.store(at + layout.P_TAIL, position + 1)


DYING = """
import sys
sys.path[:0] = ["tests/devices"]
from frame_host import Host
from test_segment_scribble import take_a_slot
from libos.devices.segment import Segment
a, b = Host(Segment(sys.argv[1])), Host(Segment(sys.argv[1]))
print(a.device.port, b.device.port, flush=True)
sys.stdin.readline()
b.device = type("Other", (), dict(port=int(sys.argv[2]), base=a.device.base))
take_a_slot(a, b)
print("taken", flush=True)
sys.stdin.read()
"""


def test_a_sender_killed_before_it_published_blocks_nobody():
    name = unique()
    receiver, sender = Host(Segment(name)), Host(Segment(name))
    with closing(receiver.device, sender.device):
        argv = [sys.executable, "-c", DYING, name, str(receiver.device.port)]
        env = os.environ | {"PYTHONPATH": os.getcwd()}
        dying = subprocess.Popen(argv, env=env, stdin=-1, stdout=-1, text=True)
        dying.stdout.readline()
        dying.stdin.write("\n")
        dying.stdin.flush()
        assert dying.stdout.readline() == "taken\n"
        assert sender.say(receiver, b"behind it")
        assert heard_within(receiver, 0.05) == []  # its sender lives: it may be slow
        dying.kill()
        dying.wait()
        assert heard_within(receiver, 5) == [b"behind it"]
        assert receiver.device.ring.lost == 1


def test_a_slot_that_nobody_took_is_passed_over():
    a, b = pair()
    with closing(a.device, b.device):
        for _ in range(3):
            take_a_slot(a, b, said=False)
        raw.store(record(a.device, a.device.port) + layout.P_INTENT, 0)
        assert a.say(b, b"behind")
        assert heard_within(b, 5) == [b"behind"] and b.device.ring.lost == 3


def test_a_sleeper_is_told_when_to_look_again():
    a, b = pair()
    with closing(a.device, b.device):
        assert b.device.deadline(0) == -1
        take_a_slot(a, b)
        before = time.monotonic_ns()
        assert b.device.arm() and before <= b.device.deadline(before) <= time.monotonic_ns() + layout.PATIENCE
        b.device.disarm()


@pytest.mark.parametrize("word", [layout.P_TAIL, layout.P_HEAD, layout.P_SLEEPER, layout.P_INTENT])
@pytest.mark.parametrize("value", [0, 1, 511, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])
def test_a_scribbled_record_heals(word, value):
    a, b = pair()
    with closing(a.device, b.device):
        for frames in (0, 1, 5):
            for i in range(frames):
                a.say(b, b"before %d" % i)
            raw.store(record(b.device, b.device.port) + word, value)
            b.all()
            heard_again(a, b)
            assert a.say(b, b"the next") and b.heard() == [b"the next"]


@pytest.mark.parametrize("length", [0, 1, 13, 1515, 1536, 0xFFFF])
def test_a_length_that_cant_be_is_passed_over(length):
    a, b = pair()
    with closing(a.device, b.device):
        a.say(b, b"x")
        slot = b.device.ring.slot(b.device.port, b.device.ring.head)
        raw.store(slot, raw.load(slot) & ~0xFFFF | length)
        a.say(b, b"behind")
        assert b.heard() == [b"behind"] and b.device.ring.torn == 1 and b.device.received == 1


words = st.one_of(
    st.integers(0, 600),
    st.integers(0, (1 << 64) - 1),
    st.sampled_from([1 << 63, (1 << 64) - 1, 1 << 32 | 0xFFFF, 1 << 32 | 64, 2 << 32 | 20]),
)
places = st.one_of(
    st.sampled_from([layout.P_TAIL, layout.P_HEAD, layout.P_SLEEPER, layout.P_PID, layout.P_INTENT]).map(
        lambda word: ("record", word)
    ),
    st.integers(0, 63).map(lambda slot: ("slot", slot)),
    st.sampled_from([layout.S_UP, layout.S_UP + 8, layout.S_NEXT, layout.S_MTU, layout.S_SLOTS]).map(
        lambda word: ("head", word)
    ),
)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(places, words, st.integers(0, 3)), max_size=12))
def test_whatever_is_scribbled_frames_stay_in_their_bounds_and_the_segment_comes_back(history):
    name = unique()
    a, b, c = (Host(Segment(name, slots=64)) for _ in range(3))
    with closing(a.device, b.device, c.device):
        kept = {at: raw.load(a.device.base + at) for at in range(0, 256, 8)}
        for (kind, index), value, sends in history:
            at = {"record": record(b.device, b.device.port) + index, "head": b.device.base + index,
                  "slot": b.device.ring.slot(b.device.port, index)}[kind]  # fmt: skip
            raw.store(at, value)
            for i in range(sends):
                a.say(b, b"%d" % i)
                a.say(b"\xff" * 6, b"all")
            b.device.arm()
            b.device.disarm()
            for frame in b.all(1) + c.all(1):
                assert layout.HEADER <= len(frame) <= 1514
        for at, value in kept.items():
            raw.store(a.device.base + at, value)
        for sender, receiver in ((a, b), (b, a), (c, b), (a, c)):
            heard_again(sender, receiver)


def test_a_damaged_head_is_refused_by_who_comes_then():
    name = unique()
    a = Segment(name)
    with closing(a):
        for word, value in ((layout.S_MAGIC, 7), (layout.S_MTU, 1 << 40), (layout.S_SLOTS, 0), (layout.S_PREFIX, 99)):
            before = raw.load(a.base + word)
            raw.store(a.base + word, value)
            with pytest.raises(Fail):
                Segment(name)
            raw.store(a.base + word, before)
        Segment(name).close()
