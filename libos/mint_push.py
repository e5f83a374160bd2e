"""A push on its way: what of it goes to the core straight from where it is, and what is gathered in the heap before."""

from libos import raw
from libos.errors import Fail, Kind
from libos.sgarray import address_of

MOST = 4  # pieces of an array that are out at a time


class Push:
    """Of a whole array: one message, or, where it is longer than messages can be, several of them.

    An array of one segment goes as it is, when it is small, which the core copies, or lies in the heap, where the other
    end reads it.
    """

    def __init__(self, libos, sga):
        self.libos = libos
        self.sga = sga
        self.left = [segment for segment in sga.segments if len(segment)]
        self.out = 0  # pieces that the core has
        self.error = 0

    def advance(self, at):
        """Give the connection `at` what it takes. True when it has let go of everything. Raises Fail."""
        libos = self.libos
        while self.left and self.out < MOST and self.one(at):
            pass
        libos.flush()
        libos.let_go(at)
        if self.error:
            libos.checked(-self.error)
        return not self.left and not self.out

    def one(self, at):
        """One piece more. False when there is no room for it now."""
        address, length, release = self.piece()
        token = self.libos.next_token()
        r = self.libos.catmint.machine.push(at, address, length, token)
        if r < 0:
            release()
            return self.libos.checked(r) is not None
        self.libos.kept[token] = self, release
        self.out += 1
        self.drop(length)
        return True

    def piece(self):
        """(address, length, what lets go of it) of the next one."""
        first, engine, heap = self.left[0], self.libos.catmint.engine, self.libos.heap
        if len(self.left) == 1 and len(first) <= engine.largest:
            address = address_of(first)
            if len(first) <= engine.eager or heap.object_of(address):
                self.sga.retain()
                return address, len(first), self.sga.release
        length = min(sum(len(segment) for segment in self.left), engine.largest)
        address = heap.alloc(length)
        if not address:
            raise Fail(Kind.NO_MEMORY, f"no heap object of {length} bytes")
        done = 0
        for segment in self.left:
            size = min(len(segment), length - done)
            raw.copy(address + done, address_of(segment), size)
            done += size
        return address, length, lambda: heap.free(address)

    def drop(self, length):
        """The first bytes are not ours to give any more."""
        while length:
            size = len(self.left[0])
            if length < size:
                self.left[0] = self.left[0][length:]
                return
            length -= size
            del self.left[0]

    def finished(self, status):
        """The core has let go of one piece; `status`: 0 or why it has failed."""
        self.out -= 1
        if status:
            self.error = status
