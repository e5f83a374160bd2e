"""Stream sockets of a program that has a network of its own: as loop_stream.py, and connect(2) may lead there."""

from interpose import description, linux
from interpose.loop_stream import LoopStream
from libos import calls, driver, layout, raw, records, rings, spine

COMPILED = __file__.endswith(".so")
NOT_OURS = 1


class NetStream(LoopStream):
    """A TCP socket that is not listening. `driven`: it is on the network, and we drive its stack."""

    def __init__(self, queue, number, nonblock):
        LoopStream.__init__(self, queue, number, nonblock)
        self.driven = False
        self.relay = 0
        self.opening = False  # connect(2) has not said yet how it ended

    def recv(self, address, size, flags, qt):
        return self.told(LoopStream.recv(self, address, size, flags, qt))

    def send(self, address, size, flags, qt):
        return self.told(LoopStream.send(self, address, size, flags, qt))

    def recvmsg(self, message, flags, qt):
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

    def connect(self, address, length, qt):
        if self.opening:
            if raw.load(qt + layout.W_DEADLINE) == 0 and self.waits():
                return -calls.EALREADY
        else:
            r = begun(self, address, length)
            if r == NOT_OURS:
                return LoopStream.connect(self, address, length, qt)
            if r:
                return r
            self.opening = True
            if not self.blocks():
                return -calls.EINPROGRESS
        while self.waits():
            if not self.blocks():
                return -calls.EINPROGRESS
            if not self.spun(2, qt):
                r = self.doze(2, qt, self.send_timeout)
                if r:
                    return -calls.EINPROGRESS if r == -linux.EAGAIN else r
        self.opening = False
        r = raw.load32(self.end + layout.FAULT)
        if r:
            spine.asked_error(self.end)  # told once
        return -r

    def ended(self):
        if driver.HERE.on:
            driver.HERE.driver.pass_on()
        r = LoopStream.ended(self)
        if not self.driven or not driver.HERE.on or not records.all_gone(self.end, rings.HERE.pid):
            return r
        unread = self.loop.beside(False) != 0
        raw.syscall(linux.SYS_shutdown, self.queue.fd, linux.SHUT_WR, 0, 0, 0, 0)
        return 1 if driver.HERE.driver.depart(self.relay, unread) or r else 0

    def waits(self):
        """Whether the connection is neither there nor refused."""
        return raw.load(self.end + layout.OUT_STATE) == layout.OPENING and not spine.lost(self.end)


def begun(d, address, length):
    """abroad.connect, from where there is no GIL."""
    try:
        return description.PROCESS.abroad.connect(d, address, length)
    except BaseException as error:
        description.PROCESS.log("connect", error)
        return -linux.EIO
