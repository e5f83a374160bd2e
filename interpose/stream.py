"""Stream sockets: read, write and their kin on a connection (recv(2), send(2), sendfile(2))."""

from interpose import abi, description, linux
from interpose.description import Description
from libos import raw
from libos.runtime import instrument

COMPILED = __file__.endswith(".so")


class Stream(Description):
    """A TCP socket that is not listening."""

    def recv(self, address, size, flags, qt):
        # MSG_WAITALL and SO_RCVLOWAT promise more than one attempt can: on a blocking descriptor the kernel keeps them.
        if not flags & linux.MSG_DONTWAIT and self.sleeps() and (flags & linux.MSG_WAITALL or self.lowat > 1):
            return self.block(abi.CATFLAP_POP, qt)
        r = self.queue.pop_into(address, size, flags)
        if r > 0:
            if instrument.HOOKS.pop:
                return instrument.popped(self.queue.qd, address, r)
            return r
        if r == -linux.EAGAIN and not flags & linux.MSG_DONTWAIT and self.sleeps():
            return self.block(abi.CATFLAP_POP, qt)
        return description.stale(r)

    def send(self, address, size, flags, qt):
        # A push is a whole I/O: on a blocking descriptor it may have to wait half-way, so the kernel gets all of it.
        if instrument.HOOKS.push:
            instrument.pushed(self.queue.qd, address, size)
        if not flags & linux.MSG_DONTWAIT and self.sleeps():
            return self.block(abi.CATFLAP_PUSH, qt)
        return description.stale(self.queue.push_from(address, size, flags))

    def recvmsg(self, message, flags, qt):
        if not flags & linux.MSG_DONTWAIT and self.sleeps() and (flags & linux.MSG_WAITALL or self.lowat > 1):
            return self.block(abi.CATFLAP_POP, qt)
        r = self.queue.pop_message(message, flags)
        if r > 0:
            return self.observed(message, r)
        if r == -linux.EAGAIN and not flags & linux.MSG_DONTWAIT and self.sleeps():
            return self.block(abi.CATFLAP_POP, qt)
        return description.stale(r)

    def sendmsg(self, message, flags, qt):
        if instrument.HOOKS.push:
            description.observe_push(self.queue.qd, message)
        if not flags & linux.MSG_DONTWAIT and self.sleeps():
            return self.block(abi.CATFLAP_PUSH, qt)
        return description.stale(self.queue.push_message(message, flags))

    def sendfile(self, in_fd, offset, size, qt):
        # File pages are staged in a heap buffer and pushed from there; only what was pushed counts as read.
        if self.sleeps() or not offset or not size:
            return self.block(abi.CATFLAP_PUSH, qt)
        staged = description.PROCESS.heap.alloc(description.PROCESS.stage)
        if not staged:
            return self.block(abi.CATFLAP_PUSH, qt)
        sent = 0
        at = raw.load(offset)
        r = 0
        while size:
            room = size if size < description.PROCESS.stage else description.PROCESS.stage
            r = raw.syscall(linux.SYS_pread64, in_fd, staged, room, at, 0, 0)
            if r <= 0:
                break
            room = r
            if instrument.HOOKS.push:
                instrument.pushed(self.queue.qd, staged, room)
            r = self.queue.push_from(staged, room, 0)
            if r < 0:
                break
            sent += r
            at += r
            size -= r
            if r < room:
                break
        description.PROCESS.heap.free(staged)
        if sent:
            raw.store(offset, at)
            return sent
        # Nothing moved: not a file, or no room. The kernel's own call finds the right words for the first.
        if r < 0 and r != -linux.EAGAIN:
            return self.block(abi.CATFLAP_PUSH, qt)
        return r
