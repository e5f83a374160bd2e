"""Datagrams from a stack's queue into a program's memory, and what the socket's end says of them (libos/postbox.py)."""

import ctypes
import errno
import struct

import frames
import pytest
from frames import words
from hypothesis import given, settings
from hypothesis import strategies as st

from libos import ancillary, calls, layout, postbox, raw, rings
from libos.net import structs, udp_user

PEEK, TRUNC, CTRUNC = calls.PEEK, calls.TRUNC, 8
EMPTY = -errno.EAGAIN


class Mailbox:
    """A socket of a bench's stack with the record of an end, and a program's memory."""

    def __init__(self, bench, family=4):
        self.bench, self.udp = bench, bench.stack.udp
        self.memory = ctypes.create_string_buffer(layout.RECORD + layout.HEADER)
        self.end = ctypes.addressof(self.memory)
        raw.store(self.end + layout.IN, self.end + layout.RECORD)
        raw.store(self.end + layout.IN_STATE, layout.MESSAGES)
        self.at = bench.socket(5000, family)
        structs.Udp.from_address(self.at).user = self.end
        self.room = ctypes.create_string_buffer(70000)
        self.scratch = ctypes.create_string_buffer(32)

    def arrive(self, data, peer="10.0.0.2", us="10.0.0.1"):
        self.bench.feed(frames.udp(peer, us, (9, 5000), data))
        self.hear()

    def hear(self):
        while at := self.udp.next_event():
            postbox.heard(at)

    def take(self, size, flags=0):
        """(answer, bytes that were written)."""
        ctypes.memset(self.room, 0xEE, size + 1)
        r = postbox.take(self.udp, self.at, 0, ctypes.addressof(self.room), size, flags, 0)
        assert self.room.raw[size] == 0xEE
        return r, self.room.raw[: min(max(r, 0), size)]

    def state(self):
        """What the end says: datagrams' octets with their headers, the length of the first, the error."""
        first = raw.load(self.end + layout.POSITION)
        return rings.inbound(self.end), first, raw.load32(self.end + layout.FAULT)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("arrive"), st.binary(max_size=1400)),
        st.tuples(st.just("take"), st.integers(0, 1500), st.sampled_from([0, PEEK, TRUNC, PEEK | TRUNC])),
        st.tuples(st.just("limit"), st.integers(0, 5000)),
    ),
    max_size=30,
)


@given(STEPS)
@settings(max_examples=60, deadline=None)
def test_what_comes_is_what_was_sent_within_bounds(steps):
    from bench import Bench

    bench = Bench()
    box, queue, limit = Mailbox(bench), [], 212992
    head = structs.datagram_size()
    for what, value, *more in steps:
        if what == "limit":
            limit = value
            structs.Udp.from_address(box.at).limit = limit
        elif what == "arrive":
            if sum(map(len, queue)) + head * len(queue) + head + len(value) <= limit:
                queue.append(value)
            box.arrive(value)
        elif not queue:
            assert box.take(value, *more)[0] == EMPTY
        else:
            whole = queue[0] if more[0] & PEEK else queue.pop(0)
            assert box.take(value, *more) == (len(whole) if more[0] & TRUNC else min(len(whole), value), whole[:value])
        waits = sum(map(len, queue)) + head * len(queue)
        assert box.state() == (waits, len(queue[0]) if queue else 0, 0)
    bench.host.close()


@pytest.mark.parametrize("family, us, peer", [(4, "10.0.0.1", "10.0.0.2"), (6, "fd00::1", "fd00::2")])
def test_a_message_has_segments_a_name_and_flags(bench, family, us, peer):
    box = Mailbox(bench, family)
    box.arrive(b"seven sins", peer, us)
    segments = struct.pack("=4Q", ctypes.addressof(box.room), 3, ctypes.addressof(box.room) + 10, 4)
    vector, name = ctypes.create_string_buffer(segments, 32), ctypes.create_string_buffer(b"\xee" * 32, 32)
    message = struct.pack(
        "=QIIQQQQII", ctypes.addressof(name), 6 if family == 4 else 32, 0, ctypes.addressof(vector), 2, 0, 9, 7, 0
    )
    header = ctypes.create_string_buffer(message, 56)
    assert postbox.take(box.udp, box.at, ctypes.addressof(header), 0, 0, 0, ctypes.addressof(box.scratch)) == 7
    assert (box.room.raw[:3], box.room.raw[10:14]) == (b"sev", b"en s")
    _, length, _, _, _, _, control, flags, _ = struct.unpack("=QIIQQQQII", header.raw)
    assert (length, control, flags) == (16 if family == 4 else 28, 0, TRUNC)
    if family == 4:  # cut off at what there was room for
        assert name.raw[:7] == struct.pack("=H", 2) + struct.pack("!H", 9) + bytes((10, 0)) + b"\xee"
    else:
        high, low = words(peer)
        assert name.raw[:28] == struct.pack("=H", 10) + struct.pack("!HIQQI", 9, 0, high, low, 0)


@pytest.mark.parametrize("family, us, peer", [(4, "10.0.0.1", "10.0.0.2"), (6, "fd00::1", "fd00::2")])
def test_control_messages_have_no_more_room_than_there_is(bench, family, us, peer):
    """Each size: what is there is a beginning of all, and not an octet beyond."""
    box = Mailbox(bench, family)
    options = ((0, 8), (0, 12), (0, 13)) if family == 4 else ((41, 49), (41, 51), (41, 66))
    for option in options:
        structs.Udp.from_address(box.at).options |= ancillary.wanted(*option)
    vector = ctypes.create_string_buffer(struct.pack("=2Q", ctypes.addressof(box.room), 9), 16)
    told = []
    for room in (200, *range(120)):
        box.arrive(b"seven", peer, us)
        control = ctypes.create_string_buffer(b"\xee" * 200, 200)
        at = ctypes.addressof(control)
        message = struct.pack("=QIIQQQQII", 0, 0, 0, ctypes.addressof(vector), 1, at, room, 7, 0)
        header = ctypes.create_string_buffer(message, 56)
        assert postbox.take(box.udp, box.at, ctypes.addressof(header), 0, 0, 0, ctypes.addressof(box.scratch)) == 5
        used, flags = struct.unpack("=QI", header.raw[40:52])
        told.append(control.raw)
        assert used <= room and control.raw[room:] == b"\xee" * (200 - room)
        assert bool(flags & CTRUNC) == (room < (73 if family == 4 else 84))
    assert told[0][:16] == struct.pack("=QII", 28 if family == 4 else 36, *((0, 8) if family == 4 else (41, 50)))


@pytest.mark.parametrize("family, us, peer", [(4, "10.0.0.1", "10.0.0.2"), (6, "fd00::1", "fd00::2")])
def test_a_message_that_is_sent_changes_nothing_for_the_next(bench, family, us, peer):
    box = Mailbox(bench, family)
    assert udp_user.connect(box.udp, box.at, *words(peer), 9) == 0
    before = bytes(structs.Udp.from_address(box.at))
    vector = ctypes.create_string_buffer(struct.pack("=2Q", ctypes.addressof(box.room), 9), 16)
    level, kinds = (0, (2, 1)) if family == 4 else (41, (52, 67))
    for value, wanted in ((7, 9), (256, -errno.EINVAL)):
        text = b"".join(struct.pack("=QIIiI", 20, level, kind, value, 0) for kind in kinds)
        control = ctypes.create_string_buffer(text, len(text))
        at = ctypes.addressof(control)
        message = struct.pack("=QIIQQQQII", 0, 0, 0, ctypes.addressof(vector), 1, at, len(text), 0, 0)
        header, stage = ctypes.create_string_buffer(message, 56), ctypes.create_string_buffer(65536)
        r = postbox.send(box.udp, box.at, ctypes.addressof(header), 0, 0, 0, ctypes.addressof(stage))
        assert r == wanted and bytes(structs.Udp.from_address(box.at)) == before
    broken = ctypes.create_string_buffer(struct.pack("=QIIQQQQII", 0, 0, 0, 8, 1, 0, 0, 0, 0), 56)
    assert postbox.send(box.udp, box.at, ctypes.addressof(broken), 0, 0, 0, ctypes.addressof(stage)) == -errno.EFAULT


def test_an_error_is_an_edge_and_is_told_once(bench):
    box = Mailbox(bench)
    assert udp_user.connect(box.udp, box.at, *words("10.0.0.2"), 7) == 0
    before = raw.load(raw.load(box.end + layout.IN) + layout.H_TAIL)
    structs.Udp.from_address(box.at).error = structs.REFUSED
    postbox.heard(box.at)
    assert box.state() == (0, 0, errno.ECONNREFUSED)
    assert raw.load(raw.load(box.end + layout.IN) + layout.H_TAIL) != before
    assert box.take(10)[0] == -errno.ECONNREFUSED and box.take(10)[0] == EMPTY
    assert box.state() == (0, 0, 0) and postbox.error(box.udp, box.at) == 0


def test_no_memory_is_read_that_can_not_be_mapped(bench):
    box = Mailbox(bench)
    box.arrive(b"x")
    assert postbox.take(box.udp, box.at, 0, 8, 1, 0, 0) == -errno.EFAULT
    assert postbox.send(box.udp, box.at, 0, 8, 1, 0, 0) == -errno.EFAULT
    assert postbox.send(box.udp, box.at, 0, 0, 65536, 0, 0) == -errno.EMSGSIZE
    assert not postbox.readable(8, 16) and not postbox.readable(box.end, 15)
