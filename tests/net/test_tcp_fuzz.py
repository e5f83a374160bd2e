"""Any segments at any time, and any calls: the record stays sound, and all memory comes back."""

import random

import script
from frames import Segment
from hypothesis import given, settings
from hypothesis import strategies as st
from soundness import M32, gap, sound

from libos.net import structs
from libos.net.tcp import user


class Storm:
    def __init__(self, seed, options):
        self.random = random.Random(seed)
        self.runner = script.Runner()
        self.before = self.runner.stack.host.pool.used
        self.runner.call_accepted(*options)
        self.stamps = "TS" in options
        self.fd = 4
        self.closed = False

    @property
    def c(self):
        return structs.Tcb.from_address(self.runner.sockets[self.fd])

    def near(self, value, spread):
        return (value + self.random.choice([0, 0, 0, 1, -1, self.random.randint(-spread, spread)])) % M32

    def segment(self):
        c, r = self.c, self.random
        flags = r.choice([".", ".", ".", ".", ".", "P.", "P.", "U.", "E.", "C."])
        if r.random() < 0.03:
            flags = r.choice(["R", "R.", "S", "S.", "F.", "", "FSRP.UEC"])
        options = []
        if self.stamps and r.random() < 0.95:
            options.append(("TS", (self.near(c.ts_recent, 10), self.near(c.ts_offset, 1000))))
        if r.random() < 0.4:
            span = max(gap(c.snd_nxt, c.snd_una), 1)
            edges = sorted((c.snd_una + r.randint(-5, span + 5)) % M32 for _ in range(2 * r.randint(1, 3)))
            options.append(("sack", list(zip(edges[::2], edges[1::2], strict=True))))
        ahead = r.choice([0, 0, 0, r.randint(0, max(gap(c.snd_nxt, c.snd_una), 0))])
        if r.random() < 0.05:
            ahead = r.randint(-3000, 3000)
        ack = (c.snd_una + ahead) % M32
        window = r.choice([0, 1, 500, 5000, 65535, 65535])
        length = r.choice([0, 0, 1, 100, 1000])
        packet = Segment(
            flags, self.near(c.rcv_nxt, 70_000 if r.random() < 0.1 else 4000), ack, window, r.randrange(50),
            b"x" * length, options, r.choice([0, 2, 3]), self.runner.ports,
        )  # fmt: skip
        self.runner.inject(packet.packet(script.PEER, script.US))

    def call(self):
        r, tcp, at = self.random, self.runner.tcp, self.runner.sockets[self.fd]
        what = r.randrange(8)
        if what < 3:
            user.send(tcp, at, self.runner.at, r.choice([1, 100, 1000, 30_000]), r.random() < 0.2)
        elif what < 6:
            user.receive_into(tcp, at, self.runner.at, r.choice([1, 100, 100_000]), r.random() < 0.2)
        elif what == 6:
            user.set_option(tcp, at, r.choice(list(script.OPTIONS.values())), r.random() < 0.5)
        elif r.random() < 0.1:
            user.shutdown(tcp, at, r.random() < 0.5, r.random() < 0.7)
        elif r.random() < 0.2:
            user.send_urgent(tcp, at, self.runner.at, 10)

    def step(self):
        roll = self.random.random()
        if roll < 0.6:
            self.segment()
        elif roll < 0.85:
            self.call()
            self.runner.collect()
        else:
            self.runner.advance(self.runner.now + self.random.choice([10**6, 5 * 10**7, 3 * 10**8, 10**10]))
        self.runner.out.clear()
        sound(self.c)

    def end(self):
        user.abort(self.runner.tcp, self.runner.sockets.pop(4))
        user.close(self.runner.tcp, self.runner.sockets.pop(3))
        self.runner.advance(self.runner.now + 200 * script.SECOND)
        assert self.runner.tcp.connections == 0
        heap = self.runner.tcp.deadlines
        assert heap.count == 0 and self.runner.stack.host.pool.used - self.before == max(heap.size * 8, 0)
        self.runner.close()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.booleans(), st.booleans(), st.booleans())
def test_a_storm(seed, sack, stamps, scale):
    options = ["mss 1000"] + ["sackOK"] * sack + ["TS"] * stamps + ["wscale 2"] * scale
    storm = Storm(seed, options)
    for _ in range(150):
        storm.step()
    storm.end()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0, 2, 100]))
def test_a_storm_of_beginnings(seed, half_open):
    """Several peers, a listener, connections of our own: whatever comes when, nothing is left of it in the end."""
    r = random.Random(seed)
    runner = script.Runner()
    tcp, host = runner.tcp, runner.stack.host
    before = host.pool.used
    tcp.half_open_limit = half_open
    listener = user.open(tcp, 4)
    assert user.bind(tcp, listener, 0, 0, 8080) == 0 and user.listen(tcp, listener, 3) == 0
    held, seen = [], {}
    for _ in range(200):
        roll = r.random()
        if roll < 0.75:
            ours = [8080, 8080, 8080, 9999] + [structs.Tcb.from_address(c).local_port for c in held]
            ports = (r.choice([1001, 1002, 1003]), r.choice(ours))
            seq, ack = seen.get(ports, (0, 0))
            flags = r.choice(["S", "S", ".", ".", ".", "S.", "R", "R.", "F.", "SEC", "FS", ""])
            options = (
                [("mss", 1000)] + [("sackOK", None)] * r.randrange(2) + [("TS", (r.randrange(5), 0))] * r.randrange(2)
            )
            number = r.choice([0, 1, ack, ack, r.randrange(M32)])
            acked = r.choice([seq + 1, seq + 1, seq, r.randrange(M32)]) % M32
            packet = Segment(flags, number, acked, 1000, 0, b"x" * r.choice([0, 0, 9]), options, ports=ports)
            runner.inject(packet.packet(script.PEER, script.US))
        elif roll < 0.85:
            c = user.open(tcp, 4)
            if user.connect(tcp, c, *script.words(script.PEER), r.choice([1001, 1002])) == -structs.IN_PROGRESS:
                held.append(c)
            else:
                user.close(tcp, c)
        elif roll < 0.92:
            c = user.accept(tcp, listener)
            if c > 0:
                held.append(c)
        elif held:
            c = held.pop(r.randrange(len(held)))
            r.choice([user.close, user.abort])(tcp, c)
        else:
            runner.advance(runner.now + r.choice([10**7, 10**9, 10**10]))
        runner.collect()
        for _, frame in runner.out:
            segment = script.read_segment(frame)
            if "S" in segment.flags:
                seen[segment.ports[::-1]] = (segment.seq, segment.ack)
        runner.out.clear()
        for c in held:
            sound(structs.Tcb.from_address(c))
    for c in [*held, listener]:
        user.abort(tcp, c)
    runner.advance(runner.now + 3000 * script.SECOND)  # a FIN is repeated eight times, two minutes apart in the end
    assert tcp.connections == tcp.listeners == tcp.deadlines.count == 0
    tables = tcp.deadlines.size * 8
    assert host.pool.used - before == tables
    runner.close()
