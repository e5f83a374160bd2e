"""Datagram sockets: an operation moves one whole datagram or none, so every one is tried inline first (udp(7))."""

from interpose import abi, description, linux
from interpose.description import Description
from libos.runtime import instrument

COMPILED = __file__.endswith(".so")


class Datagram(Description):
    """A UDP socket, connected or not."""

    def popped(self, r, flags, qt):
        # the outcome of an inline pop that moved nothing
        if r == -linux.EAGAIN and not flags & linux.MSG_DONTWAIT and self.sleeps():
            return self.block(abi.CATFLAP_POP, qt)
        return description.stale(r)

    def pushed(self, r, flags, qt):
        if r == -linux.EAGAIN and not flags & linux.MSG_DONTWAIT and self.sleeps():
            return self.block(abi.CATFLAP_PUSH, qt)
        return description.stale(r)

    def recv(self, address, size, flags, qt):
        r = self.queue.pop_into(address, size, flags)
        if r <= 0:
            return self.popped(r, flags, qt)
        if instrument.HOOKS.pop:
            # with MSG_TRUNC the length of the datagram is answered, of which `size` bytes at most were stored
            instrument.popped(self.queue.qd, address, r if r < size else size)
        return r

    def send(self, address, size, flags, qt):
        if instrument.HOOKS.push:
            instrument.pushed(self.queue.qd, address, size)
        return self.pushed(self.queue.push_from(address, size, flags), flags, qt)

    def recvmsg(self, message, flags, qt):
        r = self.queue.pop_message(message, flags)
        return self.observed(message, r) if r > 0 else self.popped(r, flags, qt)

    def sendmsg(self, message, flags, qt):
        if instrument.HOOKS.push:
            description.observe_push(self.queue.qd, message)
        return self.pushed(self.queue.push_message(message, flags), flags, qt)
