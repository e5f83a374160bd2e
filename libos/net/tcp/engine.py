# cython: infer_types=True
"""All connections of a host: their records, who is found by which segment, who has something to send, to tell or to
wait for.
"""

from libos import raw
from libos.net import linked, octets, ring, seq, structs
from libos.net.tcp.deadlines import Deadlines

SECOND = 10**9
CHALLENGE_AGAIN = 500  # ms


class Engine:
    """The records of TCP. `congestion`: what new connections use; `ecn`: 0 never, 1 always, 2 when the peer asks."""

    def __init__(self, host):
        self.host = host
        self.deadlines = Deadlines(host.pool)
        self.bucket_count = 256
        self.buckets = host.pool.take(self.bucket_count * 8)
        self.ports = host.pool.take(1024 * 8)
        self.listening = host.pool.take(256 * 8)
        self.connections = self.listeners = 0
        self.pending = host.pool.take(structs.queue_size())
        self.events = host.pool.take(structs.queue_size())
        self.time_waits = host.pool.take(structs.queue_size())
        self.challenges = self.challenges_at = 0
        self.congestion = structs.CUBIC
        self.ecn = 2
        self.port_low, self.port_high = 32768, 60999
        self.rx_limit = self.tx_limit = 1 << 20
        self.half_open_limit = 256
        self.time_wait_limit = host.pool.room // 4096  # a quarter of all memory; Linux' tcp_max_tw_buckets
        self.segments_in = self.segments_out = self.retransmitted = self.resets_out = self.cookies_out = 0
        self.bad_segments = 0

    def create(self):
        """A record with the defaults of RFC 1122 and of Linux; a null one where there is no memory."""
        at = self.host.pool.take(structs.tcb_size())
        c = structs.tcb(at)
        if at == 0:
            return c
        c.congestion = self.congestion
        c.rx_limit = self.rx_limit
        c.tx_limit = self.tx_limit
        c.time_to_live = 64
        c.keep_idle = 7200
        c.keep_interval = 75
        c.keep_count = 9
        c.rto = SECOND
        c.rack_steps = 1
        self.connections += 1
        return c

    def facing(self, p):
        """The same with the two sockets of a segment that came: ours is its target."""
        c = self.create()
        if c:
            c.local_high = p.target_high
            c.local_low = p.target_low
            c.remote_high = p.source_high
            c.remote_low = p.source_low
            c.local_port = p.target_port
            c.remote_port = p.source_port
            c.family = p.family
            c.peer_mss = 536
        return c

    def destroy(self, c):
        """Give a record back. Nobody may know its address any more."""
        self.leave(c)
        self.leave_port(c)
        linked.remove(self.pending, structs.pending_of(c))
        linked.remove(self.events, structs.event_of(c))
        self.deadlines.drop(c)
        buffers_back(self, c)
        self.connections -= 1
        self.host.pool.give(structs.self_of(c), structs.tcb_size())

    def bucket(self, remote_high, remote_low, remote_port, local_port):
        h = self.host.mix(remote_high, remote_low, local_port * 65536 + remote_port)
        return self.buckets + (h & (self.bucket_count - 1)) * 8

    def bucket_of(self, c):
        return self.bucket(c.remote_high, c.remote_low, c.remote_port, c.local_port)

    def secret(self, c, purpose):
        """A number that always goes with a pair of sockets, and that nobody can guess; another for each purpose."""
        pair = octets.hash(
            self.host.key0,
            self.host.key1,
            c.local_high,
            c.local_low,
            c.remote_high,
            c.remote_low,
            seq.words(c.local_port, c.remote_port),
            purpose,
        )
        return seq.low32(pair)

    def enter(self, c):
        """From now on segments of this pair of sockets find the record."""
        if self.connections > self.bucket_count:
            self.rehash()
        linked.chain(self.bucket_of(c), structs.self_of(c))
        c.flags |= structs.HASHED

    def leave(self, c):
        if c.flags & structs.HASHED:
            c.flags ^= structs.HASHED
            linked.unchain(self.bucket_of(c), structs.self_of(c))

    def rehash(self):
        old = self.buckets
        count = self.bucket_count
        at = self.host.pool.take(count * 4 * 8)
        if at == 0:
            return
        self.buckets = at
        self.bucket_count = count * 4
        for i in range(count):
            chained = raw.load(old + i * 8)
            while chained:
                c = structs.tcb(chained)
                chained = c.chain
                linked.chain(self.bucket_of(c), structs.self_of(c))
        self.host.pool.give(old, count * 8)

    def find(self, local_high, local_low, local_port, remote_high, remote_low, remote_port):
        """Address of the connection between two sockets, 0 where there is none."""
        at = raw.load(self.bucket(remote_high, remote_low, remote_port, local_port))
        while at:
            c = structs.tcb(at)
            if (
                c.remote_low == remote_low
                and c.local_low == local_low
                and c.remote_port == remote_port
                and c.local_port == local_port
                and c.remote_high == remote_high
                and c.local_high == local_high
            ):
                return at
            at = c.chain
        return 0

    def port_list(self, port):
        return self.ports + (port & 1023) * 8

    def enter_port(self, c):
        """The record holds its local port."""
        at = self.port_list(c.local_port)
        c.bound = raw.load(at)
        c.bound_before = 0
        if c.bound:
            structs.tcb(c.bound).bound_before = structs.self_of(c)
        raw.store(at, structs.self_of(c))
        c.flags |= structs.BOUND

    def leave_port(self, c):
        if not c.flags & structs.BOUND:
            return
        c.flags ^= structs.BOUND
        if c.bound:
            structs.tcb(c.bound).bound_before = c.bound_before
        if c.bound_before:
            structs.tcb(c.bound_before).bound = c.bound
        else:
            raw.store(self.port_list(c.local_port), c.bound)

    def listener_list(self, port):
        return self.listening + (port & 255) * 8

    def enter_listeners(self, c):
        """The record listens. It is in no table of connections, so that its link there is free."""
        linked.chain(self.listener_list(c.local_port), structs.self_of(c))
        self.listeners += 1

    def leave_listeners(self, c):
        linked.unchain(self.listener_list(c.local_port), structs.self_of(c))
        self.listeners -= 1

    def listener(self, p):
        """Who listens for a segment: the most exact address; among several with REUSE_PORT the peer's address
        decides.
        """
        best = 0
        chosen = 0
        order = self.host.mix(p.source_high, p.source_low, p.source_port)
        lot = 0
        at = raw.load(self.listener_list(p.target_port))
        while at:
            c = structs.tcb(at)
            at = c.chain
            if c.local_port != p.target_port:
                continue
            rank = 0
            if c.local_low == p.target_low and c.local_high == p.target_high:
                rank = 3
            elif c.local_low == 0 and c.local_high == 0:
                if c.family == p.family:
                    rank = 2
                elif c.family == 6 and not c.options & structs.V6_ONLY:
                    rank = 1
            if rank == 0 or rank < best:
                continue
            draw = self.host.mix(order, structs.self_of(c) - self.host.pool.base, 0)
            if rank > best or draw > lot:
                best = rank
                lot = draw
                chosen = structs.self_of(c)
        return chosen

    def pend(self, c):
        """`c` has something to send at the next poll."""
        linked.append(self.pending, structs.pending_of(c), structs.self_of(c))

    def tell(self, c):
        """Something has happened that the user of `c` may wait for."""
        if not c.flags & structs.ORPHAN:
            linked.append(self.events, structs.event_of(c), structs.self_of(c))

    def next_event(self):
        """Take the address of a connection whose readiness may have changed, 0 where there is none left."""
        if self.host.tape.on and structs.queue(self.events).count:
            return self.host.tape.call(structs.CALL_NEXT_EVENT, 0, 0, 0, 0, 0, 0)
        return linked.take(self.events)

    def arm(self, c):
        """Have the earliest of the connection's timers looked at."""
        soonest = seq.earlier(c.retransmit_at, c.ack_at)
        if c.reorder_at or c.cork_at:
            soonest = seq.earlier(soonest, seq.earlier(c.reorder_at, c.cork_at))
        if c.keep_at or c.end_at:
            soonest = seq.earlier(soonest, seq.earlier(c.keep_at, c.end_at))
        if c.trim_at:
            soonest = seq.earlier(soonest, c.trim_at)
        if soonest:
            self.deadlines.arm(c, soonest)
        else:
            c.deadline = 0

    def challenged(self, c, p):
        """Whether one more challenge ACK may be sent in this second (RFC 5961, section 7).

        Of a connection twice a second, but for data: two ends that think each other wrong would go on for ever (Linux,
        tcp_invalid_ratelimit). The limit of all is drawn anew each second, so that nobody counts ours to find out about
        others (CVE-2016-5696).
        """
        now = self.host.now
        if p.payload_length == 0:
            ms = seq.low32(now // 1000000)
            if c.told_at and seq.diff(ms, c.told_at) < CHALLENGE_AGAIN:
                return False
            c.told_at = ms
        if now - self.challenges_at >= SECOND or self.challenges_at == 0:
            self.challenges_at = now
            self.challenges = 500 + seq.number(self.host.random() & 511)
        if self.challenges <= 0:
            return False
        self.challenges -= 1
        return True


def buffers_back(t, c):
    """A connection that carries nothing any more needs no buffers."""
    ring.release(t.host, structs.rx_of(c))
    sending_back(t, c)


def sending_back(t, c):
    """Nor for sending one that sends nothing any more."""
    ring.release(t.host, structs.tx_of(c))
    if c.sent_size:
        t.host.pool.give(c.sent_at, c.sent_size * structs.sent_size())
    c.sent_at = 0
    c.sent_size = c.sent_head = c.sent_count = 0
    c.flight = c.sacked = c.lost = 0
