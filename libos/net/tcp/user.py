# cython: infer_types=True
"""What users of TCP call (RFC 9293, section 3.9.1), by the address of a connection's record.

Answers are counts of octets or 0, or one of the errors of structs.pxd, negative. The stack's lock is held by the
caller, and `host.now` is the time. A record is its user's until `close` or `abort`; after these its address means
nothing.
"""

from libos.net import host as hosts
from libos.net import linked, octets, ring, routes, seq, structs
from libos.net.tcp import closing, opening, ports, receiver, sender, timing


def open(t, family):
    """A new record of IPv4 (4) or IPv6 (6), 0 where there is no memory."""
    if t.host.tape.on:
        return t.host.tape.call(structs.CALL_OPEN, family, 0, 0, 0, 0, 0)
    c = t.create()
    if not c:
        return 0
    c.family = family
    return structs.self_of(c)


def bind(t, at, high, low, port):
    """Take a local address (0: any) and a port (0: any that is free)."""
    if t.host.tape.on:
        return t.host.tape.call(structs.CALL_BIND, at, high, low, port, 0, 0)
    c = structs.tcb(at)
    if c.state != structs.CLOSED or c.local_port:
        return -structs.INVALID
    if (high or low) and not t.host.mine(high, low):
        return -structs.ADDRESS_UNAVAILABLE
    c.local_high = high
    c.local_low = low
    if port == 0:
        port = ports.ephemeral(t, c, False)
        if port == 0:
            return -structs.IN_USE
    elif ports.conflict(t, c, port):
        c.local_high = c.local_low = 0
        return -structs.IN_USE
    else:
        c.flags |= structs.EXPLICIT
    c.local_port = port
    t.enter_port(c)
    return 0


def listen(t, at, backlog):
    """Have others connect to it; up to `backlog` and one more wait to be accepted (listen(2))."""
    if t.host.tape.on:
        return t.host.tape.call(structs.CALL_LISTEN, at, backlog, 0, 0, 0, 0)
    c = structs.tcb(at)
    if c.state == structs.LISTEN:
        c.backlog = backlog
        return 0
    if c.state != structs.CLOSED or c.flags & structs.ACTIVE:
        return -structs.INVALID
    if c.local_port == 0:
        error = bind(t, at, 0, 0, 0)
        if error < 0:
            return error
    elif ports.conflict(t, c, c.local_port):
        return -structs.IN_USE
    c.state = structs.LISTEN
    c.backlog = backlog
    t.enter_listeners(c)
    return 0


def connect(t, at, high, low, port):
    """Begin a connection: IN_PROGRESS, and the user is told when it is established or refused."""
    if t.host.tape.on:
        return t.host.tape.call(structs.CALL_CONNECT, at, high, low, port, 0, 0)
    c = structs.tcb(at)
    if c.state == structs.SYN_SENT or c.state == structs.SYN_RECEIVED:
        return -structs.ALREADY
    if c.state >= structs.ESTABLISHED:
        return -structs.IS_CONNECTED
    if c.state == structs.LISTEN:
        return -structs.IS_CONNECTED
    if c.error:
        return -take_error(t, at)
    if hosts.is_multicast(high, low) or t.host.broadcasts(high, low):
        return -structs.NETWORK_UNREACHABLE
    if not routes.find(t.host, high, low) or not t.host.source_for(high, low):
        return -structs.NETWORK_UNREACHABLE
    if c.local_high == 0 and c.local_low == 0:
        c.local_high = t.host.from_high
        c.local_low = t.host.from_low
    c.family = 4 if hosts.is4(high, low) else 6
    c.remote_high = high
    c.remote_low = low
    c.remote_port = port
    if c.local_port == 0:
        c.local_port = ports.ephemeral(t, c, True)
        if c.local_port == 0:
            return -structs.ADDRESS_UNAVAILABLE
        t.enter_port(c)
    elif not ports.clear_way(t, c, c.local_port):
        return -structs.ADDRESS_UNAVAILABLE
    c.flags |= structs.ACTIVE
    opening.start(t, c)
    c.state = structs.SYN_SENT
    if not opening.send_syn(t, c):
        closing.closed(t, c, 0)
        return -structs.NO_MEMORY
    return -structs.IN_PROGRESS


def accept(t, at):
    """Address of the record of a connection that has waited to be accepted."""
    if t.host.tape.on:
        return t.host.tape.call(structs.CALL_ACCEPT, at, 0, 0, 0, 0, 0)
    listener = structs.tcb(at)
    if listener.state != structs.LISTEN:
        return -structs.INVALID
    if listener.accepting.count == 0:
        return -structs.WOULD_BLOCK
    c = structs.tcb(linked.take(structs.accepting_of(listener)))
    c.options &= ~structs.REUSE_PORT
    return structs.self_of(c)


def pending_error(c):
    """The error that ended the connection, told once; 0 where there is none."""
    error = c.error
    c.error = 0
    return error


def send(t, at, address, size, more):
    """Take up to `size` octets into the buffer and send what may go out: how many were taken (RFC 9293, section
    3.10.2).

    `more`: a part of a segment may wait for what follows. All or as many as there is room for; WOULD_BLOCK for none.
    """
    if t.host.tape.on:
        return t.host.tape.call(structs.CALL_SEND, at, address, size, more, 0, 0)
    c = structs.tcb(at)
    if c.error:
        return -pending_error(c)
    if c.flags & structs.FIN_QUEUED or c.state == structs.CLOSED or c.state == structs.LISTEN:
        return -structs.BROKEN_PIPE
    if c.state == structs.SYN_SENT:
        return -structs.WOULD_BLOCK
    room = c.tx_limit - c.tx.used
    n = size if size < room else room
    if n <= 0:
        if size == 0:
            return 0
        c.flags |= structs.FULL
        return -structs.WOULD_BLOCK
    if not ring.hold(t.host, structs.tx_of(c), c.tx.used + n):
        return -structs.NO_MEMORY
    ring.put(structs.tx_of(c), c.tx.used, address, n)
    c.tx.used += n
    if n < size:
        c.flags |= structs.FULL
    if more:
        c.options |= structs.MORE
    else:
        c.options &= ~structs.MORE
    sender.transmit(t, c)
    return n


def send_urgent(t, at, address, size):
    """As `send`, and the last octet is urgent (RFC 9293, section 3.8.5)."""
    if t.host.tape.on:
        return t.host.tape.call(structs.CALL_SEND_URGENT, at, address, size, 0, 0, 0)
    n = send(t, at, address, size, True)
    if n < 0:
        return n
    c = structs.tcb(at)
    c.snd_up = seq.add(c.tx_seq, c.tx.used)
    c.flags |= structs.URGENT_OUT
    c.options &= ~structs.MORE
    sender.transmit(t, c)
    return n


def receive_into(t, at, address, size, peek):
    """Copy up to `size` octets that have arrived to `address`: how many; 0 when the peer has ended its stream."""
    if t.host.tape.on:
        return t.host.tape.call(structs.CALL_RECEIVE_INTO, at, address, size, peek, 0, 0)
    c = structs.tcb(at)
    if c.rx.used and size > 0:
        n = receiver.read(t, c, address, size, peek)
        t.arm(c)
        if n > 0:
            return n
    if c.error:
        return -pending_error(c)
    if c.flags & (structs.FIN_RECEIVED | structs.NO_MORE_READS):
        return 0
    if c.state == structs.CLOSED and c.remote_port:
        return 0
    if c.state <= structs.LISTEN:
        return -structs.NOT_CONNECTED
    if size == 0 and c.rx.used:
        return 0
    return -structs.WOULD_BLOCK


def oldest(t, at):
    """Address of the oldest octets that have arrived: `in_one_piece` of them lie there until the next call."""
    c = structs.tcb(at)
    return c.rx.at + c.rx.head


def in_one_piece(t, at):
    """How many octets can be read at `oldest`: up to the end of the buffer or the urgent mark."""
    c = structs.tcb(at)
    if receiver.at_mark(c) and not c.options & structs.OOB_INLINE:
        if t.host.tape.on:
            return t.host.tape.call(structs.CALL_IN_ONE_PIECE, at, 0, 0, 0, 0, 0)
        receiver.past_mark(c)
    n = receiver.until_mark(c, c.rx.used)
    return n if n < c.rx.size - c.rx.head else c.rx.size - c.rx.head


def taken(t, at, count):
    """The user has read `count` octets at `oldest`."""
    if t.host.tape.on:
        t.host.tape.call(structs.CALL_TAKEN, at, count, 0, 0, 0, 0)
        return
    c = structs.tcb(at)
    receiver.skip(t, c, count)
    t.arm(c)


def sendable(t, at):
    """Octets that `send` would take now; where there is none, the user is told when there is (SO_SNDLOWAT)."""
    c = structs.tcb(at)
    if c.tx.used < c.tx_limit:
        return c.tx_limit - c.tx.used
    if t.host.tape.on and not c.flags & structs.FULL:
        return t.host.tape.call(structs.CALL_SENDABLE, at, 0, 0, 0, 0, 0)
    c.flags |= structs.FULL
    return 0


def receive_urgent(t, at, address, peek):
    """The urgent octet (MSG_OOB of recv(2)): 1; INVALID where there is none, WOULD_BLOCK where it has not come yet."""
    if t.host.tape.on:
        return t.host.tape.call(structs.CALL_RECEIVE_URGENT, at, address, 1, peek, 0, 0)
    c = structs.tcb(at)
    if c.options & structs.OOB_INLINE or c.flags & structs.URGENT_READ:
        return -structs.INVALID
    if not c.flags & structs.URGENT_VALID:
        if not c.flags & structs.URGENT_IN:
            return -structs.INVALID
        if seq.diff(c.rcv_up, receiver.read_position(c)) >= c.rx.used:
            return -structs.WOULD_BLOCK
        # it lies in the stream, before it is read past
        if not peek:
            c.flags |= structs.URGENT_READ
        ring.get(structs.rx_of(c), seq.diff(c.rcv_up, receiver.read_position(c)), address, 1)
        return 1
    octets.copy(address, structs.urgent_of(c), 1)
    if not peek:
        c.flags &= ~structs.URGENT_VALID
    return 1


def at_mark(t, at):
    """Whether the next octet to be read is the urgent one (sockatmark(3))."""
    c = structs.tcb(at)
    return c.flags & structs.URGENT_IN and c.rcv_up == receiver.read_position(c)


def shutdown(t, at, reading, writing):
    """End one's own stream, or say that nothing more will be read (shutdown(2))."""
    if t.host.tape.on:
        return t.host.tape.call(structs.CALL_SHUTDOWN, at, reading, writing, 0, 0, 0)
    c = structs.tcb(at)
    if c.state == structs.LISTEN and reading:
        # On Linux a listener that is shut is closed, and keeps its port.
        closing.drop_children(t, c)
        t.leave_listeners(c)
        c.state = structs.CLOSED
        t.tell(c)
        return 0
    if c.state < structs.SYN_RECEIVED:
        return -structs.NOT_CONNECTED
    if reading:
        c.flags |= structs.NO_MORE_READS
        t.tell(c)
    if writing:
        closing.shut(t, c)
        t.tell(c)
        t.arm(c)
    return 0


def close(t, at):
    """Let go of the record: what was sent still arrives, unless SO_LINGER says otherwise."""
    if t.host.tape.on:
        t.host.tape.call(structs.CALL_CLOSE, at, 0, 0, 0, 0, 0)
        return
    closing.close(t, structs.tcb(at))


def abort(t, at):
    """Let go of the record, and reset the connection."""
    if t.host.tape.on:
        t.host.tape.call(structs.CALL_ABORT, at, 0, 0, 0, 0, 0)
        return
    c = structs.tcb(at)
    c.flags |= structs.ORPHAN
    if c.state == structs.LISTEN:
        closing.close(t, c)
    else:
        closing.abort(t, c)


def ready(t, at):
    """What poll(2) would say of the connection or listener."""
    c = structs.tcb(at)
    mask = 0
    if c.state == structs.LISTEN:
        return structs.READABLE if c.accepting.count else 0
    if c.rx.used or c.flags & (structs.FIN_RECEIVED | structs.NO_MORE_READS):
        mask |= structs.READABLE
    if c.flags & (structs.FIN_RECEIVED | structs.NO_MORE_READS):
        mask |= structs.PEER_CLOSED
    if c.flags & (structs.URGENT_IN | structs.URGENT_VALID) and not c.flags & structs.URGENT_READ:
        mask |= structs.PRIORITY
    if c.error:
        mask |= structs.FAILED | structs.READABLE | structs.WRITABLE
    if c.state == structs.CLOSED or (c.flags & structs.FIN_QUEUED and c.flags & structs.FIN_RECEIVED):
        mask |= structs.HANGUP | structs.WRITABLE
        if c.flags & structs.ACTIVE or c.flags & structs.FIN_QUEUED:
            mask |= structs.READABLE | structs.PEER_CLOSED
    elif c.flags & structs.FIN_QUEUED:
        mask |= structs.WRITABLE
    elif c.state >= structs.ESTABLISHED:
        if c.tx.used * 3 <= c.tx_limit * 2:
            mask |= structs.WRITABLE
        elif t.host.tape.on and not c.flags & structs.FULL:
            return t.host.tape.call(structs.CALL_READY, at, 0, 0, 0, 0, 0)
        else:
            c.flags |= structs.FULL
    return mask


def take_error(t, at):
    """SO_ERROR: the error of the connection, which is then told; 0 where there is none."""
    if t.host.tape.on:
        return t.host.tape.call(structs.CALL_TAKE_ERROR, at, 0, 0, 0, 0, 0)
    return pending_error(structs.tcb(at))


def set_option(t, at, option, on):
    """Turn one of the options of structs.pxd on or off."""
    if t.host.tape.on:
        return t.host.tape.call(structs.CALL_SET_OPTION, at, option, on, 0, 0, 0)
    c = structs.tcb(at)
    if on:
        c.options |= option
    else:
        c.options &= ~option
    if option == structs.KEEPALIVE:
        timing.keep(t, c)
    if (option == structs.NODELAY and on) or (option == structs.CORK and not on):
        # What was held back goes out: tcp(7).
        c.cork_at = 0
        sender.transmit(t, c)
    if c.state >= structs.SYN_SENT:
        t.arm(c)
    return 0


def renew(t, at):
    """Something was changed in the record that lies in the headers: time to live, traffic class, MSS."""
    if t.host.tape.on:
        t.host.tape.call(structs.CALL_RENEW, at, 0, 0, 0, 0, 0)
        return
    structs.tcb(at).generation = 0


def readable(t, at):
    """Octets that can be read (SIOCINQ)."""
    return structs.tcb(at).rx.used


def unacknowledged(t, at):
    """Octets that the peer has not acknowledged (SIOCOUTQ)."""
    return structs.tcb(at).tx.used
