"""Queues of messages over Catmint: attempts at their operations under the table's lock, which is Catmint's lock too.

How connections begin and end needs Python, and is done by the `steward` (libos/mint_face.py) between two calls of the
program, with the GIL. Nothing here takes it: a steward has the GIL when it asks for the lock.
"""

from libos import calls, raw
from libos.core import driving, layout
from libos.core.transport import Transport
from libos.fabric import structs

COMPILED = __file__.endswith(".so")
GLANCE = 63  # of the looks while a connection begins, one of so many and one more has the steward go on
TOKEN_OBJECT, TOKEN_NUMBER = 24, 45  # bits of a token below the operation's number, and below its generation


class Messages(Transport):
    """Of `catmint` under `table`, whose heap is Catmint's. `openings`: connections that are on their way."""

    def __init__(self, table, catmint):
        Transport.__init__(self)
        self.table = table
        self.catmint = catmint
        self.steward = None
        self.result = table.head + layout.MESSAGE_SCRATCH
        self.openings = 0
        self.looks = 0
        self.heard_at = 0  # when anything had come, about
        self.blind = catmint.fabric.bell() < 0
        self.here = True
        raw.store(table.head + layout.MESSAGING, 1)
        table.transport = self

    # --- queues ---

    def make(self, family, kind):
        """Only its address is the kernel's, and its operations are not."""
        if kind != calls.SOCK_STREAM or not self.here:
            return -calls.UNSUPPORTED
        fd = raw.syscall(calls.SYS_socket, family, kind | calls.OWN_SOCKET, 0, 0, 0, 0)
        if fd < 0:
            return fd
        at = self.table.head + layout.SCRATCH
        raw.store(at, 1)
        raw.syscall(calls.SYS_setsockopt, fd, calls.SOL_SOCKET, calls.SO_REUSEADDR, at, 4, 0)
        queue = self.add(fd, layout.NAME_4 if family == calls.AF_INET else layout.NAME_6)
        if queue == 0:
            raw.syscall(calls.SYS_close, fd, 0, 0, 0, 0, 0)
            return -calls.EMFILE
        return queue

    def add(self, fd, size):
        """The record of a queue beside a socket whose names have `size` bytes; 0 where there is none left."""
        queue = self.table.add_queue(layout.MESSAGES)
        if queue:
            raw.store(queue + layout.FD, fd)
            raw.store(queue + layout.SOCKET_TYPE, calls.SOCK_STREAM)
            raw.store(queue + layout.NAME_SIZE, size)
            raw.store(queue + layout.CONNECTION, 0)
            raw.store(queue + layout.FAILED_WITH, 0)
            raw.store(queue + layout.FIRST_READY, 0)
            raw.store(queue + layout.LAST_READY, 0)
            raw.store(queue + layout.FIRST_LENT, 0)
            raw.store(queue + layout.LAST_LENT, 0)
            raw.store(queue + layout.ACCEPTED, 0)
        return queue

    def join(self, queue, at):
        """It has a connection now, that at `at`."""
        structs.connection(at).user = queue
        raw.store(queue + layout.CONNECTION, at)
        raw.store(queue + layout.SOCKET_STATE, layout.CONNECTED)

    def offer(self, queue, other):
        """`other`, a connection, can be accepted at `queue`, which listens."""
        last = raw.load(queue + layout.LAST_READY)
        raw.store(other + layout.LOOP_NEXT, 0)
        if last:
            raw.store(last + layout.LOOP_NEXT, other)
        else:
            raw.store(queue + layout.FIRST_READY, other)
        raw.store(queue + layout.LAST_READY, other)
        driving.drive(self.table, queue, queue + layout.FIRST_IN)

    def offered(self, queue):
        """Take a connection that could be accepted; 0 where there is none."""
        other = raw.load(queue + layout.FIRST_READY)
        if other:
            after = raw.load(other + layout.LOOP_NEXT)
            raw.store(queue + layout.FIRST_READY, after)
            if after == 0:
                raw.store(queue + layout.LAST_READY, 0)
        return other

    def settled(self, queue, error):
        """A connect has come to its end."""
        if error:
            raw.store(queue + layout.FAILED_WITH, error)
        driving.drive(self.table, queue, queue + layout.FIRST_OUT)

    def lost(self, queue, error):
        """Nothing more can be pushed: the other end has gone after its last word."""
        raw.store(queue + layout.FAILED_WITH, error)

    def event(self, queue):
        """Something may have changed for who waits."""
        self.let_go(raw.load(queue + layout.CONNECTION))
        if raw.load(queue + layout.FIRST_IN):
            driving.drive(self.table, queue, queue + layout.FIRST_IN)
        if raw.load(queue + layout.FIRST_OUT):
            driving.drive(self.table, queue, queue + layout.FIRST_OUT)

    def shut(self, queue):
        at = raw.load(queue + layout.CONNECTION)
        if at:
            structs.connection(at).user = 0
            if raw.load(queue + layout.FAILED_WITH):
                self.catmint.machine.lost(at)
            self.catmint.machine.close(at)
            self.catmint.flush()

    def kept(self):
        return self.catmint.engine.receives.posted + self.catmint.engine.receives.spares

    def forked(self):
        self.here = False

    def say(self, at, address, length):
        """Push a few bytes of our own: 0, or what is wrong, negative."""
        buffer = self.table.heap.alloc(length)
        if buffer == 0:
            return -structs.NO_MEMORY
        raw.copy(buffer, address, length)
        self.table.heap.retain(buffer)
        self.table.heap.free(buffer)
        r = self.catmint.machine.push(at, buffer, length, (buffer - self.table.heap.base) >> 6)  # of no operation
        if r < 0:
            self.table.heap.release(buffer)
        self.catmint.flush()
        return r

    # --- attempts ---

    def attempt(self, queue, operation):
        opcode = raw.load32(operation + layout.OPCODE)
        at = raw.load(queue + layout.CONNECTION)
        if at and opcode == layout.POP:
            return self.pop(at, operation)
        if at and opcode == layout.PUSH:
            return self.push(queue, at, operation)
        if opcode == layout.ACCEPT:
            return self.accept(queue, operation)
        if raw.load(queue + layout.SOCKET_STATE) == layout.CONNECTING:
            return self.connected(queue) if opcode == layout.CONNECT else -calls.EAGAIN
        return 0 if opcode == layout.CONNECT else -calls.ENOTCONN

    def pop(self, at, operation):
        """The next message, in the buffer that it came in or, a small one, in one of its size."""
        r = self.catmint.machine.pop(at, self.result)
        if r < 0:
            return -calls.EAGAIN if r == -structs.WOULD_BLOCK else -errno_of(-r)
        length = 0
        if r == 1:
            length = raw.load(self.result + 16)
            if length <= layout.SMALL:
                self.table.note(layout.COPIED, length)
        else:  # the end
            raw.store(self.result + 8, self.table.heap.alloc(0))
        raw.store(operation + layout.COUNT, 1)
        raw.store(operation + layout.SEGMENTS, raw.load(self.result + 8))
        raw.store(operation + layout.SEGMENTS + 8, length)
        return length

    def push(self, queue, at, operation):
        """All of an array, as one message or, where it is too long, as several."""
        if raw.load(queue + layout.FAILED_WITH):
            return -raw.load(queue + layout.FAILED_WITH)
        if raw.load(operation + layout.COUNT) == 1 and raw.load(operation + layout.VALUE) == 0:
            length = raw.load(operation + layout.SEGMENTS + 8)
            if self.catmint.machine.push_at_once(at, raw.load(operation + layout.SEGMENTS), length):
                return length
        return self.push_pieces(at, operation)

    def push_pieces(self, at, operation):
        """What is left of it, as far as the core takes it; each piece keeps the buffer that it lies in."""
        total = self.table.length(operation + layout.COUNT)
        done = raw.load(operation + layout.VALUE)
        if done == 0:
            raw.store(operation + layout.PIECES, 0)
            raw.store(operation + layout.PIECE_ERROR, 0)
        while done < total:
            size = total - done
            if size > self.catmint.engine.largest:
                size = self.catmint.engine.largest
            address = self.piece(operation, done, size)
            if address == 0:
                return -calls.ENOMEM
            r = self.catmint.machine.push(at, address, size, self.token(operation, address))
            if r < 0:
                self.table.heap.release(self.table.heap.object_of(address))
                self.catmint.flush()
                self.let_go(at)
                return -calls.EAGAIN if r == -structs.WOULD_BLOCK else -errno_of(-r)
            done += size
            raw.store(operation + layout.VALUE, done)
            raw.store(operation + layout.PIECES, raw.load(operation + layout.PIECES) + 1)
        self.catmint.flush()
        self.let_go(at)
        if raw.load(operation + layout.PIECES):
            raw.store32(operation + layout.NOTED, raw.load32(operation + layout.NOTED) | layout.LENT)
            return -calls.EINPROGRESS
        error = raw.load(operation + layout.PIECE_ERROR)
        return -error if error else total

    def piece(self, operation, done, size):
        """Where `size` bytes behind the first `done` of an array lie: where they are, or gathered. 0: no memory. The
        libOS has a reference on the buffer.
        """
        at = self.table.segments(operation + layout.COUNT)
        while done >= raw.load(at + 8):
            done -= raw.load(at + 8)
            at += 16
        if raw.load(at + 8) - done >= size:
            self.table.heap.retain(self.table.heap.object_of(raw.load(at)))
            return raw.load(at) + done
        made = self.table.heap.alloc(size)
        if made == 0:
            return 0
        self.table.heap.retain(made)
        self.table.heap.free(made)
        filled = 0
        while filled < size:
            part = raw.load(at + 8) - done
            if part > size - filled:
                part = size - filled
            raw.copy(made + filled, raw.load(at) + done, part)
            filled += part
            done = 0
            at += 16
        self.table.note(layout.COPIED, size)
        return made

    def token(self, operation, address):
        """By which the core names a piece: the operation, and the buffer that is kept for it."""
        token = raw.load(operation + layout.TOKEN)
        number = token & (raw.bit(layout.SLOTS) - 1)
        generation = (token >> layout.SLOTS) & (raw.bit(64 - TOKEN_NUMBER) - 1)
        buffer = (self.table.heap.object_of(address) - self.table.heap.base) >> 6
        return generation << TOKEN_NUMBER | number << TOKEN_OBJECT | buffer

    def let_go(self, at):
        """Let go of what the core has let go of, of one connection's pushes; who has nothing more out is complete."""
        while self.catmint.machine.finished(at, self.result):
            token = raw.load(self.result)
            buffer = self.table.heap.base + ((token & (raw.bit(TOKEN_OBJECT) - 1)) << 6)
            self.table.heap.release(buffer)
            self.arrived(token, raw.load(self.result + 8))

    def arrived(self, token, status):
        """One piece of a push, if that is still there: it may have been given up."""
        operation = self.table.record((token >> TOKEN_OBJECT) & (raw.bit(layout.SLOTS) - 1))
        generation = (raw.load(operation + layout.TOKEN) >> layout.SLOTS) & (raw.bit(64 - TOKEN_NUMBER) - 1)
        if generation != token >> TOKEN_NUMBER or raw.load32(operation + layout.STATE) != layout.WAITING:
            return
        left = raw.load(operation + layout.PIECES) - 1
        raw.store(operation + layout.PIECES, left)
        if status:
            raw.store(operation + layout.PIECE_ERROR, errno_of(status))
        if left == 0 and raw.load32(operation + layout.NOTED) & layout.LENT:
            queue = self.table.queue_of(raw.load32(operation + layout.QD))
            error = raw.load(operation + layout.PIECE_ERROR)
            result = raw.load(operation + layout.VALUE)
            if error:
                result = -error
            self.table.unlink(queue + layout.FIRST_LENT, operation)
            driving.end(self.table, queue, operation, result)

    def accept(self, queue, operation):
        other = self.offered(queue)
        if other == 0:
            return -calls.EAGAIN
        raw.store(other + layout.ACCEPTED, 1)
        raw.store(self.table.head + layout.ATTENTION, layout.STEWARD)  # there may be more
        raw.store(operation + layout.VALUE, raw.load(other + layout.QUEUE_QD))
        raw.copy(operation + layout.ADDRESS, other + layout.PEER_NAME, layout.NAME_6)
        return 0

    def connected(self, queue):
        """What became of a call."""
        error = raw.load(queue + layout.FAILED_WITH)
        if error == 0:
            return -calls.EAGAIN
        raw.store(queue + layout.FAILED_WITH, 0)
        raw.store(queue + layout.SOCKET_STATE, layout.FRESH)
        return -error

    # --- the device ---

    def look(self):
        if not self.here:
            return -1
        found = 0
        self.looks += 1
        if self.openings and self.looks & GLANCE == 0:
            raw.store(self.table.head + layout.ATTENTION, layout.STEWARD)
        if self.catmint.engine.connections.used == 0:
            return -1
        if self.catmint.turn():
            self.heard_at = self.catmint.now
            found += self.events()
        return found

    def events(self):
        """Tell who waits what the core has news of."""
        found = 0
        at = self.catmint.machine.next_event()
        while at:
            queue = structs.connection(at).user
            found += 1
            if structs.connection(at).state > structs.LISTENING and queue:
                self.event(queue)
            else:
                self.let_go(at)
                raw.store(self.table.head + layout.ATTENTION, layout.STEWARD)
            at = self.catmint.machine.next_event()
        self.catmint.flush()
        return found

    def doze(self):
        if not self.here:
            return -1
        if not self.catmint.fabric.arm() or self.look() > 0:
            return 0
        now = raw.now()
        due = self.catmint.deadline(now)
        if self.openings and (due < 0 or due > now + layout.OPENING_LOOK):
            due = now + layout.OPENING_LOOK
        soon = now + ((now - self.heard_at) >> 2)
        if self.blind and due > soon:  # nothing rings: the longer it is quiet, the less often
            due = soon
        if due < 0:
            return -1
        return due - now if due > now else 0

    def rouse(self):
        if self.here:
            self.catmint.fabric.disarm()

    # --- with the GIL ---

    def listen(self, qd, backlog):
        self.steward.listen(qd, backlog)

    def call(self, qd):
        self.steward.connect(qd)

    def release(self, qd, fd):
        self.steward.release(qd, fd)


def errno_of(error):
    """What the kernel calls an error of the core's (structs.pxd)."""
    if error == structs.CONNECTION_REFUSED:
        return calls.ECONNREFUSED
    if error == structs.RESET:
        return calls.ECONNRESET
    if error == structs.TIMED_OUT:
        return calls.ETIMEDOUT
    if error == structs.NOT_CONNECTED:
        return calls.ENOTCONN
    if error == structs.BROKEN_PIPE:
        return calls.EPIPE
    if error == structs.NO_MEMORY:
        return calls.ENOMEM
    return calls.EMSGSIZE if error == structs.MESSAGE_TOO_LONG else calls.EINVAL
