"""The TCP connections beside Catmint's: who is to hear of them, what begins, and what is on its way out."""

import os
import select

from libos.fabric import structs


class Leaving:
    """A connection that the program has closed: until all is said, its TCP connection tells the other end that we
    live. `sock`: None where there is none any more.
    """

    def __init__(self, libos, at, sock):
        self.libos = libos
        self.at = at
        self.sock = sock
        self.token = structs.connection(at).token
        if sock is not None:
            libos.device.watch(sock, self.heard)

    def told(self):
        self.libos.let_go(self.at)

    def heard(self):
        """The other end is gone."""
        self.libos.device.forget(self.sock)
        if not self.gone():
            self.libos.catmint.machine.lost(self.at)

    def gone(self):
        """Whether the record is somebody else's, or nobody's."""
        return structs.connection(self.at).token != self.token

    def said(self):
        """Whether the other end has everything, or never will."""
        c = structs.connection(self.at)
        return self.gone() or c.state == structs.BROKEN or c.flags & structs.END_HEARD != 0

    def end(self):
        if self.libos.by_record.get(self.at) is self:
            del self.libos.by_record[self.at]
        if self.sock is not None:
            self.libos.device.forget(self.sock)
            self.sock.close()


class Spines:
    """All of one Catmint. Everything is called under its lock."""

    def __init__(self, libos):
        self.owner = libos
        self.kernel = select.epoll()
        self.stir = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)  # for who sleeps since there was no connection
        self.kernel.register(self.stir, select.EPOLLIN)
        self.by_fd = {}  # who is to hear of a TCP connection
        self.openings = set()  # Answers and Calls that are not done
        self.leaving = set()

    def watch(self, sock, heard, writable=False):
        """Have `heard()` called when a TCP connection has something to be read, or can be written."""
        events = select.EPOLLIN | select.EPOLLRDHUP | (select.EPOLLOUT if writable else 0)
        if sock.fileno() in self.by_fd:
            self.kernel.modify(sock, events)
        else:
            self.kernel.register(sock, events)
        self.by_fd[sock.fileno()] = heard
        os.eventfd_write(self.stir, 1)

    def forget(self, sock):
        """Nobody is to hear of it any more; harmless to repeat."""
        if self.by_fd.pop(sock.fileno(), None) is not None:
            self.kernel.unregister(sock)

    def glance(self):
        """Hear what the kernel has to say, give up what has taken too long, and let go of what is over."""
        found = False
        for fd, _ in self.kernel.poll(0):
            heard = self.by_fd.get(fd)
            if heard is not None:
                found = True
                heard()
            elif fd == self.stir:
                os.eventfd_read(self.stir)
        now = self.owner.now()
        for opening in [one for one in self.openings if one.exchange.deadline <= now]:
            opening.expire()
        for one in [one for one in self.leaving if one.gone()]:
            self.leaving.remove(one)
            one.end()
        return found

    def close_spines(self):
        self.kernel.close()
        os.close(self.stir)
