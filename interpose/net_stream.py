"""Stream sockets of a program that has a network of its own: as driven_stream.py, and connect(2) may lead there."""

from interpose import description, linux
from interpose.driven_stream import DrivenStream
from interpose.loop_stream import LoopStream
from libos import calls, driver, layout, raw, spine

COMPILED = __file__.endswith(".so")
NOT_OURS = 1


class NetStream(DrivenStream):
    """A TCP socket that is not listening. `driven`: it is on the network, and we drive its stack."""

    def __init__(self, queue, number, nonblock):
        DrivenStream.__init__(self, queue, number, nonblock)
        self.opening = False  # connect(2) has not said yet how it ended

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

    def departs(self):
        unread = self.loop.beside(False) != 0
        raw.syscall(linux.SYS_shutdown, self.queue.fd, linux.SHUT_WR, 0, 0, 0, 0)
        return driver.HERE.driver.depart(self.relay, unread)

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
