"""Relays of Catmint without a fabric: what one program pushes the other pops, whatever comes when, whoever leaves."""

import ctypes
import os
import socket
from contextlib import contextmanager

import loops
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from libos import calls, layout, leaving, meeting, mint_relay, raw, rings
from libos.memory_file import private
from libos.mint_network import face
from libos.own_pairs import OwnPairs

BYTES = bytes(range(251))


def pattern(count, start):
    return (BYTES[start % 251 :] + BYTES * (count // 251 + 1))[:count] if count else b""


class Beyond(loops.Side):
    """An end with a relay beside it. `inbox`: messages on their way to it."""

    def __init__(self, sock, accepting):
        super().__init__(sock, accepting)
        family, records = self.catloop.family, self.catloop.records
        self.far = records.claim()
        face(family, OwnPairs(family, b"test", lambda beyond: True), self.end, self.far)
        self.relay, self.room = private(4096), private(8192)
        mint_relay.begin(self.relay, os.getpid())
        raw.store(self.relay + layout.R_FAR, self.far)
        raw.store(self.relay + layout.R_OWN, self.end)
        raw.store(self.far + layout.RELAY, self.relay)
        self.inbox = []

    def say(self, other):
        """Everything that there is to be said is on its way."""
        count = 0
        while length := mint_relay.next_message(self.relay, self.room):
            other.inbox.append(ctypes.string_at(self.room, length))
            count += 1
        return count

    def hear(self, count=1 << 30):
        """The oldest messages that are on their way have come. False where one can't be."""
        for message in self.inbox[:count]:
            kept = ctypes.create_string_buffer(message, len(message))
            if not mint_relay.arrived(self.relay, ctypes.addressof(kept), len(message)):
                return False
        del self.inbox[:count]
        rings.tell_receiver(self.far)
        return True

    def close(self):
        super().close()
        self.catloop.records.give_back(self.far)


def settled(left, right):
    """Until nobody has anything more to say."""
    for _ in range(100):
        if not left.say(right) + right.say(left) + len(left.inbox) + len(right.inbox):
            return
        assert left.hear() and right.hear()
    raise AssertionError("they go on for ever")


@contextmanager
def pair(agreed=True):
    a, b = loops.tcp_pair()
    left, right = Beyond(a, False), Beyond(b, True)
    try:
        if agreed:
            assert meeting.agree(left.end) and meeting.agree(right.end)
            settled(left, right)
        yield left, right
    finally:
        left.close()
        right.close()


def test_bytes_go_by_messages_and_none_by_the_kernel():
    with pair() as (left, right):
        for one, other in ((left, right), (right, left)):
            before = raw.kernel_sent(one.sock.fileno())
            assert one.push(b"by the ring") == 11
            settled(left, right)
            assert other.pop(100) == b"by the ring"
            assert raw.kernel_sent(one.sock.fileno()) == before


def test_what_the_kernel_has_at_the_mark_comes_first():
    with pair(agreed=False) as (left, right):
        left.sock.send(pattern(1000, 0))
        assert meeting.agree(right.end)
        settled(left, right)
        assert left.push(pattern(500, 1000)) == 500
        settled(left, right)
        assert right.drain(37) == pattern(1500, 0)


def test_the_end_on_the_spine_is_not_faster_than_the_last_bytes():
    with pair() as (left, right):
        left.push(b"first")
        settled(left, right)
        assert right.pop(100) == b"first"
        assert left.push(b"last words") == 10
        leaving.stop_sending(left.end, True)
        left.sock.shutdown(socket.SHUT_WR)
        assert right.pop(100, calls.LOOK_NOW) == -calls.EAGAIN
        settled(left, right)
        assert right.pop(100) == b"last words"
        assert right.pop(100, calls.LOOK_NOW) == b""


def test_the_end_of_who_has_never_moved():
    with pair(agreed=False) as (left, right):
        assert meeting.agree(right.end)
        left.sock.send(b"all there is")
        leaving.stop_sending(left.end, True)
        left.sock.shutdown(socket.SHUT_WR)
        assert right.pop(100) == b"all there is"
        assert right.pop(100) == -calls.EAGAIN
        settled(left, right)
        assert right.pop(100) == b""


def test_a_reader_that_leaves_gets_the_rest_by_the_kernel():
    with pair() as (left, right):
        assert left.push(pattern(900, 0)) == 900
        settled(left, right)
        assert right.pop(300) == pattern(300, 0)
        assert left.push(pattern(100, 900)) == 100  # on its way when it leaves
        left.say(right)
        assert leaving.leave(right.end)
        settled(left, right)
        assert right.drain() == pattern(700, 300)
        assert left.push(b"more") == 4 and right.drain() == b"more"
        assert not leaving.leave(right.end)


def test_a_sender_that_leaves_waits_for_the_other_side_to_know():
    with pair() as (left, right):
        assert left.push(pattern(500, 0)) == 500
        leaving.leave(left.end)
        assert left.push(b"x") == -calls.EAGAIN
        settled(left, right)
        assert left.push(pattern(100, 500)) == 100
        assert raw.load(left.end + layout.OUT_STATE) == layout.KERNEL
        assert right.drain() == pattern(600, 0)


def test_a_full_ring_goes_on_when_the_other_program_has_read():
    with pair() as (left, right):
        sent = got = 0
        while sent < 700_000:
            while (r := left.push(pattern(60_000, sent))) > 0:
                sent += r
                settled(left, right)
            assert r == -calls.EAGAIN
            part = right.drain(60_000)
            assert part == pattern(len(part), got)
            got += len(part)
            settled(left, right)
        assert right.drain() == pattern(sent - got, got)


@pytest.mark.parametrize("read_first", [True, False])
def test_little_that_was_taken_is_told_later(read_first):
    """Who has sent a few bytes hears that they were taken: at once where it is asked for, or when they are."""
    with pair() as (left, right):
        assert left.push(b"a few") == 5
        settled(left, right)
        if read_first:
            assert right.pop(100) == b"a few"
            settled(left, right)
        assert rings.outbound(left.end) == 5
        mint_relay.repay(right.relay)
        settled(left, right)
        if not read_first:
            assert rings.outbound(left.end) == 5
            assert right.pop(100) == b"a few"
            settled(left, right)
        assert rings.outbound(left.end) == 0


@pytest.mark.parametrize("known", [False, True])
def test_a_lost_connection_of_the_fabric(known):
    """What has come is read. Where the other process lives and may have had more, the program's connection is reset."""
    with pair() as (left, right):
        left.push(b"it has come")
        if known:
            leaving.stop_sending(left.end, True)
        settled(left, right)
        if known:
            leaving.stop_sending(right.end, True)
            settled(left, right)
        mint_relay.lose(right.relay)
        assert right.pop(100) == b"it has come"
        assert (raw.load32(right.end + layout.FAULT) == 0) == known


@pytest.mark.parametrize("message", [b"", bytes(15), bytes(8) + b"\xff" * 8, b"\x80" + bytes(15), bytes(5000)])
def test_messages_that_can_not_be(message):
    with pair() as (left, right):
        right.inbox.append(message)
        assert not right.hear()
        left.inbox.clear()


STEPS = st.lists(
    st.tuples(st.sampled_from(("push", "pop", "say", "hear", "leave", "end")), st.booleans(), st.integers(1, 70000)),
    max_size=60,
)


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(STEPS)
def test_whatever_the_order_nothing_is_lost_or_doubled(steps):
    with pair(agreed=False) as ends:
        sent, got, over = [0, 0], [b"", b""], [False, False]
        for k in (0, 1):
            meeting.agree(ends[k].end)
        for step, which, count in steps:
            k = int(which)
            me, other = ends[k], ends[1 - k]
            if step == "push" and not over[k]:
                sent[k] += max(me.push(pattern(count, sent[k])), 0)
            elif step == "pop":
                part = me.pop(count, calls.LOOK_NOW)
                assert part != b"" or over[1 - k]
                got[k] += part if isinstance(part, bytes) else b""
            elif step == "say":
                me.say(other)
            elif step == "hear":
                assert me.hear(count % 7 + 1)
            elif step == "leave" and count % 5 == 0:
                leaving.leave(me.end)
            elif step == "end" and count % 9 == 0 and not over[k]:
                over[k] = True
                leaving.stop_sending(me.end, True)
                me.sock.shutdown(socket.SHUT_WR)
        for k in (0, 1):
            for _ in range(200):
                settled(*ends)
                leaving.settle(ends[0].end), leaving.settle(ends[1].end)
                part = ends[k].drain()
                got[k] += part
                if len(got[k]) == sent[1 - k]:
                    break
            assert got[k] == pattern(sent[1 - k], 0)
            settled(*ends)
            if over[1 - k]:
                assert ends[k].pop(10, calls.LOOK_NOW) == b""
