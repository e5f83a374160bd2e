"""A process that shares a volume, as its owner sees it: a connection, the logs it has open, what it has asked."""

import os

from libos import log_wire as wire
from libos.errors import Fail, Kind
from libos.sgarray import SGArray

ROOM = 65536  # bytes asked for by a pop
REQUESTS, BYTES = 256, 8 << 20  # that may be under way before a guest is not listened to for a while


class Guest:
    """`qd`: its connection. `logs`: by number the qd of each log that it has open, and how often it has."""

    def __init__(self, owner, qd):
        self.owner = owner
        self.store = owner.store
        self.qd = qd
        self.inbox = wire.Inbox()
        self.outbox = []
        self.logs = {}
        self.watches = set()  # qtokens
        self.requests = self.bytes = self.unsaid = 0
        self.known = self.popping = self.pushing = self.gone = self.leaving = False
        self.listen()

    # --- what it says ---

    @property
    def busy(self):
        """There is enough of it to do."""
        return self.requests >= REQUESTS or self.bytes >= BYTES

    def listen(self):
        """Take what it has said, and ask for more, as long as there is not enough of it to do."""
        self.digest()
        if not (self.popping or self.gone) and (self.leaving or not self.busy):
            self.popping = True
            self.owner.when(self.owner.net.pop(self.qd, ROOM), self.heard)

    def digest(self):
        """Do what it asks; nothing more when the owner goes."""
        try:
            while not (self.busy or self.leaving or self.gone):
                message = self.inbox.next()
                if message is None:
                    break
                self.take(*message)
        except ValueError:  # it is no guest of ours
            self.leave()

    def heard(self, result):
        self.popping = False
        more = b""
        if result.sga is not None:
            with result.sga as sga:
                more = bytes(sga)
        if not more:
            self.leave()
        if not self.gone:
            self.inbox.add(more)
            self.listen()

    def take(self, kind, number, log, first, second, payload):
        if kind == wire.HELLO:
            self.known = self.owner.secret_is(payload)
        if not self.known or kind not in CALLS:
            raise ValueError(f"a message of kind {kind}")
        self.requests += 1
        self.bytes += len(payload) + second
        try:
            CALLS[kind](self, (kind, number, second + len(payload)), log, first, second, payload)
        except Fail as fail:
            self.answer((kind, number, second + len(payload)), fail=fail)

    # --- what it is answered ---

    def answer(self, request, log=0, first=0, second=0, payload=b"", fail=None):
        """Say what has become of a request: (kind, id, bytes that it may keep)."""
        _, number, room = request
        self.requests -= 1
        self.bytes -= room
        if fail is not None:
            payload = str(fail).encode()
        self.send(wire.DONE if fail is None else wire.failure(fail), number, log, first, second, payload)

    def send(self, kind, number=0, log=0, first=0, second=0, payload=b""):
        if not self.gone:
            self.outbox += [wire.packed(kind, number, log, first, second, len(payload)), payload]
            self.bytes += len(payload)
            self.unsaid += len(payload)
            self.flush()

    def flush(self):
        """One push at a time takes all that there is to say."""
        if not self.pushing and self.outbox:
            pieces, self.outbox = [piece for piece in self.outbox if piece], []
            said, self.unsaid = self.unsaid, 0
            self.pushing = True
            self.owner.when(self.owner.net.push(self.qd, SGArray.of(*pieces)), lambda result: self.said(result, said))

    def said(self, result, said):
        self.pushing = False
        self.bytes -= said
        if result.error is not None:
            self.leave()
            return
        self.flush()
        self.listen()
        self.farewell()

    # --- calls ---

    def hello(self, request, log, first, second, payload):
        self.answer(request)

    def open(self, request, log, first, second, payload):
        kind = request[0]
        if kind == wire.REOPEN:
            qd = self.store.open_number(log)
        elif kind == wire.CREAT:
            qd = self.store.creat(os.fsdecode(payload))
        else:
            qd = self.store.open(os.fsdecode(payload), bool(first))
        number = self.store.log_queue(qd).log.number
        if number in self.logs:
            self.logs[number][1] += 1
            self.store.close(qd)
        else:
            self.logs[number] = [qd, 1]
        self.answer(request, number, *self.store.bounds(self.logs[number][0]))

    def close(self, request, log, first, second, payload):
        if self.log(log) is not None:
            self.logs[log][1] -= 1
            if not self.logs[log][1]:
                self.store.close(self.logs.pop(log)[0])
        self.answer(request)

    def log(self, number):
        """The qd of a log that it has open. Raises Fail."""
        if number not in self.logs:
            raise Fail(Kind.BAD_QUEUE, f"log {number} is not open")
        return self.logs[number][0]

    def push(self, request, log, first, second, payload):
        qd = self.log(log)
        with SGArray.alloc(self.store.heap, len(payload)) as sga:
            sga.segments[0][:] = payload
            token = self.store.push(qd, sga)

        def pushed(result):
            self.answer(request, log, fail=result.error)
            self.listen()
            self.farewell()

        self.owner.when(token, pushed)

    def read(self, request, log, first, second, payload):
        read = self.store.pop_at if request[0] == wire.POP else self.store.pread

        def done(result):
            data = b""
            if result.sga is not None:
                with result.sga as sga:
                    data = bytes(sga)
            self.answer(request, log, payload=data, fail=result.error)
            self.listen()
            self.farewell()

        self.owner.when(read(self.log(log), second, first), done)

    def watch(self, request, log, first, second, payload):
        def done(result):
            self.watches.discard(result.qtoken)
            if self.leaving and result.error is not None:  # not answered: it is asked of the next owner
                self.requests -= 1
            else:
                self.answer(request, log, fail=result.error)
            self.listen()
            self.farewell()

        token = self.store.watch_behind(self.log(log), first)
        self.watches.add(token)
        self.owner.when(token, done)

    def bounds(self, request, log, first, second, payload):
        self.answer(request, log, *self.store.bounds(self.log(log)))

    def truncate(self, request, log, first, second, payload):
        call = self.store.truncate if request[0] == wire.TRUNCATE else self.store.ftruncate
        call(self.log(log), first)
        self.answer(request, log)

    def unlink(self, request, log, first, second, payload):
        self.store.unlink(os.fsdecode(payload))
        self.answer(request)

    def rename(self, request, log, first, second, payload):
        self.store.rename(os.fsdecode(payload[:first]), os.fsdecode(payload[first:]))
        self.answer(request)

    def list(self, request, log, first, second, payload):
        found = []
        for name, (head, end) in self.store.logs(os.fsdecode(payload)).items():
            found += [wire.ENTRY.pack(head, end, len(os.fsencode(name))), os.fsencode(name)]
        self.answer(request, payload=b"".join(found))

    # --- the end ---

    def say_goodbye(self):
        """The owner goes: what it has begun it ends, and says then that this was all. The guest closes."""
        self.leaving = True
        for token in list(self.watches):
            self.store.cancel(token)
        if self.known:
            self.listen()
            self.farewell()
        else:
            self.leave()

    def farewell(self):
        if self.leaving and self.known and not self.requests:
            self.known = False
            self.send(wire.BYE)

    def leave(self):
        """It is gone, or put out: nothing that it had open stays so."""
        if self.gone:
            return
        self.gone = True
        del self.owner.guests[self.qd]
        self.owner.net.close(self.qd)
        for qd, _ in self.logs.values():
            self.store.close(qd)
        self.logs.clear()


CALLS = {
    wire.HELLO: Guest.hello,
    wire.OPEN: Guest.open,
    wire.CREAT: Guest.open,
    wire.REOPEN: Guest.open,
    wire.CLOSE: Guest.close,
    wire.PUSH: Guest.push,
    wire.POP: Guest.read,
    wire.PREAD: Guest.read,
    wire.WATCH: Guest.watch,
    wire.BOUNDS: Guest.bounds,
    wire.TRUNCATE: Guest.truncate,
    wire.FTRUNCATE: Guest.truncate,
    wire.UNLINK: Guest.unlink,
    wire.RENAME: Guest.rename,
    wire.LIST: Guest.list,
}
