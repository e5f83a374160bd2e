"""What a stack leaves to its device: checksums, and frames of several segments. Here the device is a cutter of ours."""

import ctypes
import subprocess
import sys

import flap
import pytest
from pair import ADDRESSES, Pair, Wire
from test_pair import WIRES, stream, transfer

from libos.devices import layout, offload
from libos.net import octets, structs
from libos.net.tcp import user
from libos.tape_file import TapeFile

MTU, LONGEST = 1500, 65535


class Card:
    """Completes and cuts what goes out of a stack."""

    def __init__(self):
        self.cutter = offload.Cutter()
        self.room = ctypes.create_string_buffer(LONGEST + MTU)
        self.longest = 0

    def frames(self, out):
        entries = (ctypes.c_uint64 * 512)()
        for i in range(out.listed(ctypes.addressof(entries), 256)):
            at, word = entries[2 * i], entries[2 * i + 1]
            yield from self.done(at, word & layout.LENGTH, word >> 48)
        out.drop(out.count)

    def done(self, frame, length, size):
        self.longest = max(self.longest, length)
        buffer = ctypes.create_string_buffer(ctypes.string_at(frame, length), length)
        at = ctypes.addressof(buffer)
        four = octets.get16(at + 12) == 0x0800
        start = 34 if four else 54
        if octets.get16(at + 12) not in (0x0800, 0x86DD) or octets.get8(at + (23 if four else 20)) != 6:
            return [ctypes.string_at(at, length)]
        field = at + start + layout.TCP_SUM
        assert octets.get16(field) == 0, "it was left to the card"
        ends = octets.sum(at + (26 if four else 22), 8 if four else 32, 6 + length - start)
        octets.put16(field, ends)
        if not size:
            assert length <= MTU + 14 and offload.complete(at, length, start, layout.TCP_SUM)
            return [ctypes.string_at(at, length)]
        kind = layout.V_TCP4 if four else layout.V_TCP6
        assert self.cutter.begin(at, length, kind, size, start)
        found = []
        while self.cutter.rest:
            n = self.cutter.cut(ctypes.addressof(self.room))
            found.append(ctypes.string_at(self.room, n))
        assert len(found) > 1 and {len(frame) for frame in found[:-1]} == {MTU + 14}
        return found


class Offloading(Pair):
    """Both hosts have such a card; each looks at all sums that come."""

    def __init__(self, wire, family=4, cut=LONGEST):
        super().__init__(wire, family, cut=cut)
        self.cards = [Card(), Card()]
        for stack in self.stacks:
            stack.host.leave_checksums = True

    def flush(self):
        for i, stack in enumerate(self.stacks):
            stack.poll(self.now)
            for frame in self.cards[i].frames(stack.host.out):
                self.wire.send(1 - i, frame, self.now)


class Witness(Wire):
    """Remembers what went to b."""

    def __init__(self, seed, **more):
        super().__init__(seed, **more)
        self.seen = []

    def send(self, to, frame, now):
        if to == 1:
            self.seen.append((now, frame))
        super().send(to, frame, now)


@pytest.mark.parametrize("family", ADDRESSES)
@pytest.mark.parametrize("wire", ["clean", "loss 2 %", "all at once", "narrow"])
def test_a_stream_that_a_card_cuts_arrives_whole(wire, family):
    pair = Offloading(Wire(7, **WIRES[wire]), family)
    client, server = pair.connected()
    data = stream(wire)
    assert transfer(pair, client, server, data) == data
    assert pair.cards[0].longest > 2 * MTU
    assert pair.stacks[1].tcp.bad_segments == pair.stacks[1].host.refused == 0
    pair.close()


@pytest.mark.parametrize("family", ADDRESSES)
def test_what_is_cut_is_what_would_have_been_sent(family):
    """The same segments at the same times, octet for octet, and the same numbers of them."""
    seen, counted = [], []
    for cut in (LONGEST, 0):
        wire = Witness(7)
        pair = Offloading(wire, family, cut)
        client, server = pair.connected()
        assert transfer(pair, client, server, stream("cut")) == stream("cut")
        assert (pair.cards[0].longest > 4 * MTU) == (cut > 0)
        seen.append(wire.seen)
        counted.append((pair.stacks[0].tcp.segments_out, pair.stacks[1].tcp.segments_in))
        pair.close()
    assert counted[0] == counted[1]
    assert seen[0] == seen[1]


def test_what_has_an_urgent_mark_is_not_cut():
    """Each segment says how far away the mark is."""
    pair = Offloading(Wire(7))
    client, server = pair.connected()
    client.send(stream("before", 20_000))  # more than goes out at once
    pair.flush()
    assert pair.cards[0].longest > 2 * MTU
    pair.cards[0].longest = 0
    ctypes.memmove(client.at, stream("urgent"), 8000)
    assert user.send_urgent(client.tcp, client.address, client.at, 8000) == 8000
    assert pair.run(5, lambda: server.record.rx.used >= 27_999)
    assert 0 < pair.cards[0].longest <= MTU + 14
    pair.close()


def arrived(pair, damaged, vouched):
    """How many octets the server of a connection has of a segment, damaged or not, that a card vouches for or not."""
    client, server = pair.connected()
    client.send(b"question")
    stack = pair.stacks[1]
    pair.stacks[0].poll(pair.now)
    (frame,) = pair.stacks[0].host.out.contents()
    if damaged:
        frame = frame[:-1] + bytes([frame[-1] ^ 1])
    stack.host.trust_checksums = vouched
    buffer = ctypes.create_string_buffer(frame, len(frame))
    stack.receive(ctypes.addressof(buffer), len(frame), pair.now)
    return len(server.receive() or b"")


@pytest.mark.parametrize("damaged, vouched, octets", [(False, False, 8), (True, False, 0), (True, True, 8)])
def test_only_what_a_card_vouches_for_is_not_looked_at(damaged, vouched, octets):
    pair = Pair(Wire(7))
    assert arrived(pair, damaged, vouched) == octets
    pair.close()


def test_hosts_that_agree_on_it_write_no_sum_and_look_at_none():
    wire = Witness(7)
    pair = Pair(wire)
    for stack in pair.stacks:
        stack.host.leave_checksums = stack.host.trust_checksums = True
    client, server = pair.connected()
    assert transfer(pair, client, server, stream("none")) == stream("none")
    for _, frame in wire.seen:
        at = ctypes.create_string_buffer(frame, len(frame))
        assert frame[50:52] == b"\0\0" and octets.sum(ctypes.addressof(at) + 14, 20, 0) == 0xFFFF
    pair.close()


def test_a_host_hears_itself_without_sums():
    pair = Offloading(Wire(7))
    host = pair.stacks[0]
    pair.address = lambda i: ip_words(host)
    listener = pair.listen(0)
    client = pair.connect(0)
    assert pair.run(1, lambda: client.state >= structs.ESTABLISHED and listener.ready)
    server = listener.accept()
    client.send(b"x" * 30_000)
    got = bytearray()

    def all_there():
        got.extend(server.receive() or b"")
        return len(got) == 30_000

    assert pair.run(5, all_there)
    pair.close()


def ip_words(stack):
    a = structs.Address.from_address(stack.host.addresses_at)
    return a.high, a.low


def replayed(tape):
    """The status of a replay in a process of its own, in which the place of the stack's memory is hardly ever taken."""
    for _ in range(5):
        command = [sys.executable, "-m", "shim", "replay", str(tape)]
        done = subprocess.run(command, cwd=flap.INSTALLED, capture_output=True, text=True)
        if "try once more" not in done.stderr:
            break
    assert not done.returncode, done.stderr
    return done.returncode


def test_a_tape_has_what_was_left_to_the_card(tmp_path):
    """Replay meets the same frames with the same answers, though some were vouched for and damaged."""
    pair = Offloading(Wire(7, loss=0.02))
    for i, stack in enumerate(pair.stacks):
        TapeFile(stack, str(tmp_path / str(i)), {"pid": 0, "program": "none"})
    client, server = pair.connected()
    assert transfer(pair, client, server, stream("tape")) == stream("tape")
    pair.stacks[1].host.trust_checksums = True
    client.close(), server.close()
    pair.run(200)
    for stack in pair.stacks:
        stack.host.tape.finish()
    pair.close()
    for i in (0, 1):
        assert replayed(tmp_path / str(i)) == 0
