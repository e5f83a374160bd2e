"""Datagram sockets of a program that has a network of its own: on the kernel, on the network, or on both.

What the network has comes first; the kernel is asked for what may have come there. A datagram is sent inline, and goes
out at once.
"""

from interpose import abi, description, linux, watching
from interpose.loop_stream import LoopStream
from libos import calls, driver, endpoint, layout, letters, postbox, raw
from libos.runtime import instrument

COMPILED = __file__.endswith(".so")
NOT_OURS, ASK = 1, 2


class NetDatagram(LoopStream):
    """A UDP socket. `gateway`: of the network that it is or was on; `away`: nothing comes by way of the kernel."""

    def __init__(self, queue, number, nonblock):
        LoopStream.__init__(self, queue, number, nonblock)
        self.gateway = None
        self.abroad = False  # on the network
        self.away = False
        self.connected = False  # there
        # an address that was asked about, when the socket was not on the network, and whether it is the kernel's
        self.to_high = self.to_low = self.to_port = 0
        self.asked = self.refused = False

    def recv(self, address, size, flags, qt):
        r = self.received(0, address, size, flags, qt)
        if r > 0 and instrument.HOOKS.pop:
            # with MSG_TRUNC the length of the datagram is answered, of which `size` octets at most were stored
            instrument.popped(self.queue.qd, address, r if r < size else size)
        return r

    def recvmsg(self, message, flags, qt):
        r = self.received(message, 0, 0, flags, qt)
        return self.observed(message, r) if r > 0 else r

    def received(self, message, address, size, flags, qt):
        watching.awake(qt)
        while True:
            r = self.attempt(message, address, size, flags, qt)
            if r != -linux.EAGAIN or flags & linux.MSG_DONTWAIT or not self.blocks():
                return description.stale(r)
            if self.shut & 1:
                return 0
            if not (self.abroad and not self.by_letter() and self.spun(1, qt)):
                r = self.doze(1, qt, self.receive_timeout)
                if r:
                    return r

    def attempt(self, message, address, size, flags, qt):
        """One look at the network, and one at the kernel where that may have something."""
        if self.by_letter() and not flags & linux.MSG_ERRQUEUE:
            raw.store(self.end + layout.LOOK_AT, 1)
            post = raw.load(self.end + layout.POST)
            return letters.receive(self.queue.fd, post, self.away, message, address, size, flags)
        if self.abroad and not flags & linux.MSG_ERRQUEUE:
            if self.gateway.left:
                return -calls.ENETDOWN
            if not endpoint.ready(self.end, 1):
                self.gateway.look()
            if endpoint.ready(self.end, 1):
                r = self.gateway.receive(self.end, message, address, size, flags)
                if r != -linux.EAGAIN:
                    return r
            if not self.asks_kernel(flags, qt):
                return -linux.EAGAIN
        raw.store(self.end + layout.LOOK_AT, 1)
        if message:
            return raw.syscall(calls.SYS_recvmsg, self.queue.fd, message, flags | linux.MSG_DONTWAIT, 0, 0, 0)
        return raw.syscall(calls.SYS_recvfrom, self.queue.fd, address, size, flags | linux.MSG_DONTWAIT, 0, 0)

    def by_letter(self):
        """Whether another process has the stack, or shares the socket: so that the kernel has its datagrams."""
        return self.abroad and letters.is_letters(raw.load(self.end + layout.POST))

    def asks_kernel(self, flags, qt):
        """Whether the kernel may have something: it has said so, or nobody has looked since a sleep; who waits looks
        there before it sleeps.
        """
        if raw.load(self.end + layout.LOOK_AT) == 0 or raw.load(qt + layout.W_DEADLINE):
            return True
        return not self.away and (flags & linux.MSG_DONTWAIT or self.nonblock)

    def send(self, address, size, flags, qt):
        if instrument.HOOKS.push:
            instrument.pushed(self.queue.qd, address, size)
        if not self.connected:
            return self.sent(
                raw.syscall(calls.SYS_sendto, self.queue.fd, address, size, flags | linux.MSG_DONTWAIT, 0, 0), flags, qt
            )
        return self.posted(0, address, size, 0)

    def sendmsg(self, message, flags, qt):
        if instrument.HOOKS.push:
            description.observe_push(self.queue.qd, message)
        name = raw.load(message)
        r = self.routed(name, raw.load32(message + 8)) if name else 0 if self.connected else NOT_OURS
        if r == ASK:
            return abi.CATFLAP_ATTEND
        if r == NOT_OURS:
            return self.sent(
                raw.syscall(calls.SYS_sendmsg, self.queue.fd, message, flags | linux.MSG_DONTWAIT, 0, 0, 0), flags, qt
            )
        if raw.load(message + 24) == 1 and raw.load(message + 40) == 0 and raw.load(message + 16) >= 65536:
            return self.posted(0, raw.load(raw.load(message + 16)), raw.load(raw.load(message + 16) + 8), name)
        return self.posted(message, 0, 0, name)

    def posted(self, message, address, size, name):
        """Send by the network."""
        if self.by_letter():
            if self.shut & 2:
                return -calls.EPIPE
            return letters.send(self.queue.fd, raw.load(self.end + layout.POST), message, address, size, name)
        if self.gateway.left:
            return -calls.ENETDOWN
        if self.shut & 2:
            return -calls.EPIPE
        if size > postbox.LONGEST:
            return -calls.EMSGSIZE
        r = self.gateway.send(self.end, message, address, size, name)
        return self.posted(message, address, size, name) if r == -linux.EAGAIN and self.by_letter() else r

    def sent(self, r, flags, qt):
        """The outcome of the kernel's own call, which waits where it may."""
        if r == -linux.EAGAIN and not flags & linux.MSG_DONTWAIT and self.sleeps():
            return description.Description.block(self, 2, qt)
        return description.stale(r)

    def routed(self, name, length):
        """0 where a sockaddr is the network's, NOT_OURS where it is the kernel's, ASK where nobody knows yet."""
        if not postbox.readable(name, length):
            return NOT_OURS
        if self.abroad and self.away and not self.connected and not description.PROCESS.ruled:
            return 0  # by its own address only, which the stack knows
        if self.gateway is not None and not self.gateway.left and not description.PROCESS.ruled:
            if not self.gateway.reaches(name):
                return NOT_OURS
            if self.abroad:
                return 0
        high, low, port = postbox.high_of(name), postbox.low_of(name), postbox.port_of(name)
        if self.to_high != high or self.to_low != low or self.to_port != port:
            self.to_high, self.to_low, self.to_port = high, low, port
            self.asked = False
        if self.asked:
            return NOT_OURS if self.refused else 0
        return NOT_OURS if postbox.at_home(high, low) else ASK

    def connect(self, address, length, qt):
        r = begun(self, address, length)
        if r != NOT_OURS:
            return r
        return description.stale(raw.syscall(calls.SYS_connect, self.queue.fd, address, length, 0, 0, 0))

    def shutdown(self, how):
        r = raw.syscall(linux.SYS_shutdown, self.queue.fd, how, 0, 0, 0, 0)
        if how <= 2 and (r == 0 or r == -calls.ENOTCONN):
            self.shut |= how + 1
        endpoint.look_next(self.end)
        return description.stale(r)

    def sendfile(self, in_fd, offset, size, qt):
        return description.Description.sendfile(self, in_fd, offset, size, qt)

    def bounds(self):
        """SO_RCVBUF is the record's to know (libos/net_socket.py)."""

    def ended(self):
        """Other processes may go on with the network."""
        if driver.HERE.on:
            driver.HERE.driver.pass_on()
        return 0

    def leave(self):
        return 2  # it can't


def begun(d, address, length):
    """abroad_datagram.connect, from where there is no GIL."""
    try:
        return description.PROCESS.datagrams.connect(d, address, length)
    except BaseException as error:
        description.PROCESS.log("connect", error)
        return -linux.EIO
