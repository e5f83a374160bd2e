"""The way of one process to the owner of a shared volume, whoever that is at the moment.

While nobody owns it, whoever comes first does: Owner then runs in that process, and is reached as from any other. When
the owner goes, each process looks for the next one, has its logs opened there by their numbers, and asks again what it
may ask again: reads, what was never sent, and everything that an owner which took its leave has not answered. What was
sent to an owner that died fails with RESET: an element has nothing by which it could be told from another one like it,
so that nobody can know whether it is there, and to push it again might put it there twice.
"""

import socket
from collections import deque

from libos import log_wire as wire
from libos.errors import Fail, Kind
from libos.factory import native
from libos.log_owner import Owner
from libos.log_rendezvous import owner_of
from libos.sgarray import SGArray

ROOM = 1 << 18  # bytes asked for by a pop, and pushed at a time, unless one request alone has more
AGAIN = 2_000_000  # ns until the next look for an owner
PATIENCE = 5_000_000_000  # ns that one is looked for before everything fails


class Request:
    """`done`: answered, by `failure` or by `answer` = (number, first, second, payload). `payload`: the pieces of it.
    `then()` is called at that time.
    """

    def __init__(self, kind, values, payload, then):
        self.kind = kind
        self.values = values
        self.payload = payload
        self.then = then
        self.sent = self.done = False
        self.failure = None
        self.answer = (0, 0, 0, b"")

    def pieces(self, number):
        size = sum(map(len, self.payload))
        return [wire.packed(self.kind, number, *self.values, size), *self.payload]


class Link:
    """`opened()` tells the numbers of the logs that are open. `waiting`: by id what has no answer yet."""

    def __init__(self, libos, path, size, opened):
        self.libos = libos
        self.path = path
        self.size = size
        self.opened = opened
        self.net = native("catloop", beside=libos)
        self.owner = None
        self.waiting = {}
        self.outbox = deque()  # ids
        self.last = 0
        self.qd = self.left = -1
        self.inbox = wire.Inbox()
        self.connected = self.pushing = self.farewell = False
        self.since = libos.clock.now()
        self.timer = None

    def ask(self, kind, log=0, first=0, second=0, payload=(), then=None, at_once=False):
        """A new request; `at_once`: before all that waits to be sent."""
        self.last += 1
        request = self.waiting[self.last] = Request(kind, (log, first, second), payload, then)
        if at_once:
            self.outbox.appendleft(self.last)
        else:
            self.outbox.append(self.last)
            self.flush()
        if self.qd < 0 and self.timer is None:  # there was no owner to be found for those before
            self.since = self.libos.clock.now()
            self.timer = self.libos.timers.set(self.since, self.look)
        return request

    def flush(self):
        """One push at a time takes what there is to say."""
        pieces, size = [], 0
        while self.connected and not self.pushing and self.outbox and size < ROOM:
            number = self.outbox.popleft()
            request = self.waiting.get(number)
            if request is not None:
                request.sent = True
                some = [piece for piece in request.pieces(number) if len(piece)]
                pieces += some
                size += sum(map(len, some))
        if pieces:
            self.pushing = True
            self.when(self.net.push(self.qd, SGArray.of(*pieces)), self.said)

    def when(self, qtoken, then):
        result = self.libos.detach(qtoken, then)
        if result is not None:
            then(result)

    def said(self, result):
        if result.qd == self.qd:
            self.pushing = False
            if result.error is None:
                self.flush()  # who reads finds out about errors

    def listen(self, qd):
        """Take answers as long as there are any."""
        while qd == self.qd:
            result = self.libos.detach(self.net.pop(qd, ROOM), lambda result: self.heard(result) and self.listen(qd))
            if result is None or not self.heard(result):
                return

    def heard(self, result):
        """False when the owner is gone."""
        more = b""
        if result.sga is not None:
            with result.sga as sga:
                more = bytes(sga)
        if result.qd != self.qd:
            return False
        self.inbox.add(more)
        while message := self.inbox.next():
            kind, number, *answer = message
            if kind == wire.BYE:
                self.farewell = True
            else:
                self.answered(number, kind, answer)
        if more and not self.farewell:
            return True
        self.lost()
        return False

    def answered(self, number, kind, answer):
        request = self.waiting.pop(number, None)
        if request is not None:
            request.answer = answer
            self.end(request, wire.failed(kind, answer[3]) if kind != wire.DONE else None)

    def end(self, request, failure):
        request.failure = failure
        request.done = True
        if self.libos.sleepers:
            self.libos.device.ring(self.libos.sleepers)
        if request.then is not None:
            request.then()

    # --- owners that come and go ---

    def reach(self):
        """Find the owner, or be it. Raises Fail when there can't be one."""
        self.timer = None
        try:
            port, secret = self.found()
        except OSError as error:
            if self.libos.clock.now() - self.since > PATIENCE:
                raise Fail(Kind.IN_USE, f"{self.path} is in use, and its owner does not share it: {error}")
            self.timer = self.libos.timers.set(self.libos.clock.now() + AGAIN, self.look)
            return
        qd = self.qd = self.net.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.when(self.net.connect(qd, ("127.0.0.1", port)), lambda result: self.came(result, secret))

    def found(self):
        """(port, secret) of the owner. Raises OSError when it is to be looked for again."""
        try:
            return owner_of(self.path)
        except PermissionError:
            raise
        except OSError:  # nobody is there, or no longer, or not yet
            try:
                self.owner = Owner(self.path, self.size)
            except Fail as fail:
                if fail.kind is not Kind.IN_USE:
                    raise
                raise BlockingIOError(str(fail))
            return owner_of(self.path)

    def look(self):
        """As `reach`, for those who wait already: they fail when there can't be an owner."""
        self.leave()
        try:
            self.reach()
        except Fail as fail:
            waiting, self.waiting = self.waiting, {}
            self.outbox.clear()
            for request in waiting.values():
                self.end(request, fail)

    def leave(self):
        """Close the connection to an owner that is gone."""
        left, self.left = self.left, -1
        if left >= 0:
            self.net.close(left)

    def came(self, result, secret):
        if result.qd != self.qd:
            return
        if result.error is not None:
            self.lost()
            return
        self.connected = True
        for number in self.opened():
            self.ask(wire.REOPEN, number, at_once=True)
        self.ask(wire.HELLO, payload=[secret], at_once=True)
        self.flush()
        self.listen(self.qd)

    def lost(self):
        """The owner is gone: see what becomes of what it was asked, and look for the next."""
        self.left, self.qd = self.qd, -1  # closed a little later: its operation may be what calls this
        now = due = self.libos.clock.now()
        if self.connected:
            self.since = now
        else:
            due += AGAIN
        self.connected, self.pushing, self.inbox = False, False, wire.Inbox()
        died, self.farewell = not self.farewell, False
        waiting, self.waiting = self.waiting, {}
        self.outbox.clear()
        failed = []
        for number, request in waiting.items():
            if request.kind in (wire.HELLO, wire.REOPEN):
                continue
            if request.sent and died and request.kind not in wire.READS:
                failed.append(request)
            elif request.kind != wire.CLOSE:
                request.sent = False
                self.waiting[number] = request
                self.outbox.append(number)
        self.timer = self.libos.timers.set(due, self.look)
        for request in failed:
            self.end(request, Fail(Kind.RESET, "the owner of the volume has died: it may be there or not"))

    def close(self):
        """Leave; if the owner is here, another process is the next."""
        if self.qd >= 0:
            self.lost()
        if self.timer is not None:
            self.libos.timers.cancel(self.timer)
        self.leave()
        self.libos.shared.devices.remove(self.net.device)
        if self.owner is not None:
            self.owner.close()
