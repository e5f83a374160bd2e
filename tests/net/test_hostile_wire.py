"""A wire that means harm: each attack has an end that is stated. Nothing raises, no memory grows for ever, and nobody
gets more than was spent.
"""

import random
import struct

import pytest
import script
from frames import TCP, Segment, checksum, ip, pseudo, read_segment
from pair import SECOND, Pair, Wire
from soundness import M32, sound

from libos.net import structs

MS = 10**6
MANY = 2000


class Victim(script.Runner):
    """A host with a listener on port 8080 and, when `options` are given, one established connection, 4."""

    def __init__(self, *options):
        super().__init__()
        if options:
            self.call_accepted(*options)
        else:
            self.call_socket()
            self.call_bind("3", "8080")
            self.call_listen("3", "5")
        self.used = self.stack.host.pool.used
        self.octets_in = 0

    @property
    def c(self):
        return structs.Tcb.from_address(self.sockets[4])

    def attack(self, flags, seq, ack=0, payload=b"", win=65535, source=script.PEER, ports=None, options=()):
        """A forged segment: what goes out at once."""
        segment = Segment(flags, seq % M32, ack % M32, win, 0, payload, list(options), 0, ports or self.ports)
        return self.take(segment.packet(source, script.US))

    def take(self, packet):
        before = len(self.out)
        self.octets_in += 14 + len(packet)
        self.inject(packet)
        return self.out[before:]

    def octets_out(self):
        return sum(len(frame) for _, frame in self.out)


def test_a_flood_of_syns():
    """Who was never heard again takes a bounded memory and gets no more than was spent; others still get in."""
    victim, dice = Victim(), random.Random(1)
    for i in range(MANY):
        source = f"192.168.{dice.randrange(1, 250)}.{dice.randrange(1, 250)}"
        victim.attack("S", dice.randrange(M32), source=source, ports=(1024 + i, 8080), options=[("mss", 1460)])
    listener = structs.Tcb.from_address(victim.sockets[3])
    assert listener.half_open <= 256
    assert victim.stack.host.pool.used - victim.used < 2 << 20
    # addresses are asked for, and answered SYNs are a little longer than themselves; not more than that
    assert victim.octets_out() < 1.5 * victim.octets_in
    # the true peer's answer is known by its cookie: RFC 4987, section 3.6
    victim.out.clear()
    victim.run(
        "+0 < S 0:0(0) win 1000 <mss 1000>\n+0 > S. 0:0(0) ack 1\n+.1 < . 1:1(0) ack 1 win 1000\n+0 accept(3) = 4"
    )
    victim.advance(victim.now + 300 * SECOND)
    assert listener.half_open == 0 and victim.tcp.connections == 2
    # a half-open connection is told five times more, RFC 6298's way, and given up
    assert victim.octets_out() < 10 * 256 * 80
    victim.close()


def test_a_blind_reset():
    """RFC 5961, section 3: only the one sequence number that is next resets; guesses are answered so many times a
    second."""
    victim, dice = Victim("mss 1000", "sackOK"), random.Random(2)
    answers = 0
    for _ in range(MANY):
        seq = dice.randrange(M32)
        answers += len(victim.attack("R", seq if seq != victim.c.rcv_nxt else seq + 1))
        inside = victim.c.rcv_nxt + dice.randrange(1, 60_000)
        answers += len(victim.attack("R", inside))
    assert victim.c.state == structs.ESTABLISHED and 0 < answers <= 1011
    assert all(read_segment(frame).flags == "." for _, frame in victim.out)
    victim.attack("R", victim.c.rcv_nxt)
    assert victim.c.error == structs.RESET
    victim.close()


def test_blind_syns_and_data():
    """RFC 5961, sections 4 and 5: a SYN never ends a connection, and data needs an acknowledgment that can be."""
    victim, dice = Victim("mss 1000", "sackOK"), random.Random(3)
    for _ in range(MANY):
        victim.attack(dice.choice(["S", "S."]), dice.randrange(M32), dice.randrange(M32))
        far = victim.c.snd_una + dice.randrange(1 << 20, M32 - (1 << 20))
        victim.attack("P.", victim.c.rcv_nxt, far, b"forged")
    assert victim.c.state == structs.ESTABLISHED and victim.c.rx.used == 0
    assert len(victim.out) <= 2 * 1011
    sound(victim.c)
    victim.close()


def test_a_storm_of_acknowledgments():
    """Both ends think that the other is wrong, and say so; that ends (Linux, tcp_invalid_ratelimit)."""
    pair = Pair(Wire(1))
    client, server = pair.connected()
    for end in (client, server):  # each has had octets that the other has not sent
        end.record.rcv_nxt = (end.record.rcv_nxt + 10) % M32
        end.record.last_ack = end.record.rcv_nxt
    carried = pair.wire.carried
    client.send(b"x" * 5)
    server.send(b"y" * 5)
    pair.run(60)
    assert 5 < pair.wire.carried - carried < 60 * 2 * 3  # two challenges a second each, and what is sent again
    assert pair.run(1800, lambda: client.record.error and server.record.error)
    pair.close()


def fragments(packet, sizes, overlap=0, ident=7):
    """An IPv4 packet in pieces of so many octets of its payload."""
    payload, at, pieces = packet[20:], 0, []
    source, target = (".".join(str(n) for n in packet[i : i + 4]) for i in (12, 16))
    for size in sizes:
        start = max(0, at - overlap)
        last = at + size >= len(payload)
        piece = payload[start : at + size]
        pieces.append(ip(source, target, TCP, piece, ident=ident, fragment=start // 8 | (0 if last else 0x2000)))
        at += size
    return pieces


def data(victim, payload):
    segment = Segment("P.", victim.c.rcv_nxt, victim.c.snd_nxt, 65535, 0, payload, [], 0, victim.ports)
    return segment.packet(script.PEER, script.US)


def test_tiny_fragments():
    """A header in pieces of eight octets is a header; half of one is never looked at (RFC 1858, section 3)."""
    victim = Victim("mss 1000")
    packet = data(victim, b"a" * 20)
    pieces = fragments(packet, [8] * 5)
    for piece in pieces[:-1]:
        assert victim.take(piece) == [] and victim.c.rx.used == 0
    victim.take(pieces[-1])
    assert victim.c.rx.used == 20
    held = victim.stack.host.pool.used
    for i in range(MANY):  # beginnings that nothing follows
        victim.take(fragments(packet, [8, 32], ident=100 + i)[0])
    assert victim.stack.host.pool.used - held <= structs.REASSEMBLIES * (1 << 17)
    victim.advance(victim.now + 120 * SECOND)
    victim.collect()
    assert victim.stack.host.pool.used <= held and len(victim.out) == 1  # the delayed ACK of those 20
    victim.close()


def test_overlapping_fragments():
    """No header is changed behind a filter (RFC 3128): a piece of what is there changes nothing, as on Linux, and one
    that reaches into it ends the datagram (RFC 5722).
    """
    victim = Victim("mss 1000")
    packet = data(victim, b"b" * 60)
    first, second = fragments(packet, [40, 40])
    reset = bytearray(packet[20:40])
    reset[13] = 4  # RST where the first piece had PSH, ACK
    over = ip(script.PEER, script.US, TCP, bytes(reset) + packet[40:44], ident=7, fragment=0x2000)
    for piece in (first, over, second):
        victim.take(piece)
    assert victim.c.state == structs.ESTABLISHED and victim.c.rx.used == 60
    for piece in fragments(data(victim, b"c" * 60), [40, 40], overlap=8, ident=8):
        victim.take(piece)
    assert victim.c.rx.used == 60
    victim.close()


@pytest.mark.parametrize("behind", [1, 700, 5000])
def test_sequence_numbers_pass_their_end(behind):
    """Both directions count past 2^32 in the middle of a stream, with loss."""
    pair = Pair(Wire(4, loss=0.02))
    client, server = pair.connected()
    for one, other in ((client.record, server.record), (server.record, client.record)):
        move(one, other, -behind % M32)
    sent = random.Random(5).randbytes(60_000)
    got = [bytearray(), bytearray()]
    left = [sent, sent]

    def turn():
        for i, end in enumerate((client, server)):
            if left[i]:
                n = end.send(left[i][:9000])
                left[i] = left[i][max(n, 0) :]
            while part := end.receive():
                got[1 - i] += part
        return len(got[0]) == len(got[1]) == len(sent)

    assert pair.run(600, turn) and got[0] == got[1] == sent
    assert client.record.snd_una < 1 << 17  # it has begun anew
    pair.close()


def move(one, other, start):
    """Have an idle connection's sequence numbers of `one` begin at `start`."""
    shift = start - one.snd_nxt
    for (
        name
    ) in "iss snd_una snd_nxt snd_up snd_wl2 tx_seq recover rack_end probe_end fack rack_round small_end".split():
        if getattr(one, name):
            setattr(one, name, (getattr(one, name) + shift) % M32)
    for name in "irs rcv_nxt rcv_adv rcv_up last_ack snd_wl1".split():
        if getattr(other, name):
            setattr(other, name, (getattr(other, name) + shift) % M32)
    one.generation = other.generation = 0  # headers are made anew


def test_a_window_that_shrinks():
    """What was promised is taken back (RFC 9293, section 3.8.6: SHOULD NOT, but be robust): all octets arrive in the
    end."""
    victim = Victim("mss 1000", "win 20000")
    victim.call_write("4", "20000")
    for window in (19_000, 5000, 100, 1, 0):
        victim.attack(".", victim.c.rcv_nxt, victim.c.snd_una, win=window)
        sound(victim.c)
    victim.advance(victim.now + 60 * SECOND)
    assert victim.c.state == structs.ESTABLISHED and len(victim.out) < 100
    for _ in range(200):
        if victim.c.snd_una == victim.c.snd_nxt and victim.c.tx.used == 0:
            break
        victim.attack(".", victim.c.rcv_nxt, victim.c.snd_una + min(1000, victim.c.tx.used), win=3000)
        victim.advance(victim.now + 500 * MS)
        sound(victim.c)
    assert victim.c.tx.used == 0
    victim.close()


def test_a_window_that_is_shut_for_a_week():
    """It is asked about every two minutes at most often, and what the user writes meanwhile is bounded."""
    victim = Victim("mss 1000", "win 1000")
    victim.call_write("4", "1000")
    victim.attack(".", victim.c.rcv_nxt, victim.c.snd_nxt, win=0)
    while victim.call_write("4", "100000") > 0:
        pass
    victim.out.clear()
    end = victim.now + 7 * 24 * 3600 * SECOND
    probes = 0
    while victim.now < end:
        victim.advance(min(victim.stack.next_deadline(), end))
        victim.collect()
        probes += len(victim.out)
        victim.out.clear()
        victim.attack(".", victim.c.rcv_nxt, victim.c.snd_una, win=0)
    assert victim.c.state == structs.ESTABLISHED and 7 * 24 * 30 <= probes < 7 * 24 * 30 + 20
    assert victim.c.tx.used == victim.c.tx_limit
    assert victim.stack.host.pool.used - victim.used <= 2 * victim.c.tx_limit
    victim.close()


def test_nothing_is_amplified():
    """Whatever one forged frame is, what is sent at once to whom it names is not longer, but for a SYN's answer."""
    victim, dice = Victim("mss 1000", "sackOK"), random.Random(6)
    for i in range(MANY):
        body = dice.randbytes(dice.randrange(20, 60))
        port = dice.choice((8080, 9, victim.ports[1]))
        head = struct.pack(
            ">HHIIBB", dice.randrange(1024, 65536), port, dice.randrange(M32), 0, 5 << 4, dice.randrange(64)
        )
        segment = head + body[:2] + b"\0\0" + body[4:]
        total = checksum(pseudo(script.PEER, script.US, TCP, len(segment)) + segment)
        segment = segment[:16] + struct.pack(">H", total) + segment[18:]
        kind = dice.choice((TCP, TCP, 17, 1, 99))
        packet = ip(script.PEER, script.US, kind, segment, ident=i)
        answer = victim.take(packet)
        extra = 12 if kind == TCP else 0
        assert sum(len(frame) for _, frame in answer) <= 14 + max(len(packet), 40) + 28 + extra
    victim.close()
