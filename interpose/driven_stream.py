"""Stream sockets whose bytes a stack of our own carries on, in this process: as loop_stream.py, and each call takes the
stack's turns (libos/driver.py).
"""

from interpose import linux
from interpose.loop_stream import LoopStream
from libos import calls, driver, layout, raw, records, rings

COMPILED = __file__.endswith(".so")
SOON = 20000000  # ns


class DrivenStream(LoopStream):
    """A TCP socket that is not listening. `driven`: its bytes are carried by us, by that `relay`."""

    def __init__(self, queue, number, nonblock):
        LoopStream.__init__(self, queue, number, nonblock)
        self.driven = False
        self.relay = 0

    def met(self):
        """Its two ends have met, and its bytes are ours to carry."""
        self.relay = self.loop.meeting.relay
        self.driven = True

    def woken(self, qt):
        """Before a receive goes on: what has woken it, if it has slept, may still have to be carried here."""
        if self.driven and raw.load(qt + layout.W_DEADLINE) and driver.HERE.on:
            driver.HERE.driver.look()

    def recv(self, address, size, flags, qt):
        self.woken(qt)
        return self.told(LoopStream.recv(self, address, size, flags, qt))

    def send(self, address, size, flags, qt):
        return self.told(LoopStream.send(self, address, size, flags, qt))

    def recvmsg(self, message, flags, qt):
        self.woken(qt)
        return self.told(LoopStream.recvmsg(self, message, flags, qt))

    def sendmsg(self, message, flags, qt):
        return self.told(LoopStream.sendmsg(self, message, flags, qt))

    def sendfile(self, in_fd, offset, size, qt):
        return self.told(LoopStream.sendfile(self, in_fd, offset, size, qt))

    def told(self, r):
        """The result of an attempt; the spine can only be reset, so that why is in our record."""
        if not self.driven:
            return r
        if not driver.HERE.on:  # another process has the stack
            pass
        elif r == -linux.EAGAIN:
            driver.HERE.driver.look()  # who asks without waiting may ask in a loop, and drives the stack too
        else:
            driver.HERE.driver.carry()
        if r == -calls.ECONNRESET:
            why = raw.load32(self.end + layout.FAULT)
            if why:
                return -why
        return r

    def leave(self):
        """As LoopStream's: what has to be heard from the other side first is there soon."""
        r = LoopStream.leave(self)
        limit = raw.now() + SOON
        while r and self.driven and driver.HERE.on and raw.now() < limit:
            driver.HERE.driver.look()
            raw.pause()
            r = LoopStream.leave(self)
        return r

    def shutdown(self, how):
        if how != linux.SHUT_WR and raw.load32(self.end + layout.MINT):
            raw.store32(self.end + layout.MINT, 3)  # what the spine says then it says by itself
        r = LoopStream.shutdown(self, how)
        if self.driven and driver.HERE.on:
            driver.HERE.driver.carry()
        return r

    def ended(self):
        if driver.HERE.on:
            driver.HERE.driver.pass_on()
        r = LoopStream.ended(self)
        if not self.driven or not driver.HERE.on or not records.all_gone(self.end, rings.HERE.pid):
            return r
        return 1 if self.departs() or r else 0

    def departs(self):
        """At the end of the process: whether something of it is on its way."""
        return driver.HERE.driver.depart(self.relay, False)
