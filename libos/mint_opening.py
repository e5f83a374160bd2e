"""How connections of Catmint begin, step by step: a listener's answers to its callers, and a caller's call.

Each has `exchange`, whose deadline is its own, and `expire`, which is called when that has passed; `heard` is called
when its TCP connection has something, `told` when the core has.
"""

import os

from libos.errors import Fail, Kind
from libos.fabric import structs
from libos.rendezvous import NONCE, Card, Exchange


class Answer:
    """To one caller. `at` is the connection, which is the listener's to give away once its nonce was right."""

    def __init__(self, libos, listening, sock, peer):
        self.libos = libos
        self.listening = listening
        self.sock = sock
        self.peer = peer
        self.exchange = Exchange(sock, libos.now())
        self.nonce = os.urandom(NONCE)
        self.service_at = self.at = 0  # records of the core
        self.done = False

    def told(self):
        if self.done:
            return
        try:
            if self.step():
                self.done = True
                self.libos.device.forget(self.sock)
                self.listening.answered(self)
        except (ValueError, OSError, Fail):
            self.expire()

    def heard(self):
        self.told()

    def step(self):
        """What can be done now: whether it is done. Raises ValueError, OSError, Fail when nothing will come of it."""
        libos = self.libos
        if not self.service_at and not self.at:
            card = self.exchange.card()
            if card is None:
                return False
            self.welcome(card)
        if not self.at:
            self.at = libos.catmint.machine.accept(self.service_at)
            if not self.at:
                return False
            self.close_service()
            libos.by_record[self.at] = self
        first = libos.taken(self.at)
        if first is None:
            return False
        with first:
            if bytes(first) != self.nonce:
                raise ValueError("somebody else has come")
        return True

    def welcome(self, card):
        """Say where we are, and wait there for this caller."""
        libos = self.libos
        if libos.card.differs(card):
            self.exchange.say(libos.card)  # for the caller to say why
            raise ValueError("of another fabric")
        service = int.from_bytes(os.urandom(4), "big")
        self.service_at = libos.checked(libos.catmint.machine.listen(service, 1))
        libos.by_record[self.service_at] = self
        self.exchange.say(Card(card.provider, card.place, libos.card.address, service, self.nonce))

    def close_service(self):
        if self.service_at:
            del self.libos.by_record[self.service_at]
            self.libos.catmint.machine.close(self.service_at)
            self.service_at = 0

    def expire(self):
        """Nothing comes of it."""
        self.done = True
        self.listening.gave_up(self)
        self.close_service()
        self.libos.device.forget(self.sock)
        self.sock.close()
        if self.at:
            self.libos.catmint.machine.abort(self.at)
            self.libos.leave(self.at)


class Listening:
    """What a listening queue has: `answers` on their way, `ready` ones to be accepted, each at most `backlog`."""

    def __init__(self, libos, queue, backlog):
        self.libos = libos
        self.queue = queue
        self.backlog = max(backlog, 1)
        self.answers = set()
        self.ready = []
        self.watch()

    def watch(self):
        self.watching = True
        self.libos.device.watch(self.queue.socket, self.heard)

    def heard(self):
        """Callers have come: as many as there is room for; the kernel keeps the others."""
        while len(self.answers) + len(self.ready) < self.backlog:
            try:
                sock, peer = self.queue.socket.accept()
            except BlockingIOError:
                return
            except OSError:  # that caller has left, or there is no descriptor left
                break
            sock.setblocking(False)
            answer = Answer(self.libos, self, sock, peer)
            self.answers.add(answer)
            self.libos.device.openings.add(answer)
            self.libos.device.watch(sock, answer.heard)
            answer.told()
        if len(self.answers) + len(self.ready) >= self.backlog:
            self.watching = False
            self.libos.device.forget(self.queue.socket)

    def answered(self, answer):
        self.gave_up(answer)
        self.ready.append(answer)
        self.libos.wake_inbound(self.queue)

    def gave_up(self, answer):
        self.answers.discard(answer)
        self.libos.device.openings.discard(answer)
        self.more()

    def take(self):
        """The answer that has waited for longest; None where there is none."""
        answer = self.ready.pop(0) if self.ready else None
        self.more()
        return answer

    def more(self):
        """There may be room again."""
        if not self.watching and self.queue.listening is self:
            self.watch()

    def close(self):
        self.queue.listening = None
        self.libos.device.forget(self.queue.socket)
        for answer in [*self.answers, *self.ready]:
            answer.expire()


class Call:
    """Of a queue whose TCP connection is on its way. `at` is the connection."""

    def __init__(self, libos, queue):
        self.libos = libos
        self.queue = queue
        self.exchange = Exchange(queue.socket, libos.now())
        self.at = 0
        self.said = False
        self.nonce = b""
        libos.device.openings.add(self)

    def told(self):
        self.libos.wake_outbound(self.queue)

    def heard(self):
        self.libos.wake_outbound(self.queue)

    def expire(self):
        self.libos.wake_outbound(self.queue)

    def step(self):
        """What can be done now, with the TCP connection there: whether it is done. Raises Fail."""
        libos = self.libos
        try:
            if not self.said:
                self.said = True
                self.exchange.say(libos.card)
            if not self.at:
                card = self.exchange.card()
                if card is not None:
                    self.meet(card)
        except (ValueError, OSError):  # other words, or it has hung up
            raise Fail(Kind.REFUSED, "who listens there is not Catmint's")
        state = structs.connection(self.at).state if self.at else structs.CALLING
        if state == structs.BROKEN:
            libos.checked(-structs.connection(self.at).error)
        if state != structs.OPEN:
            if libos.now() >= self.exchange.deadline:
                raise Fail(Kind.TIMED_OUT, "who listens there does not answer as Catmint does")
            return False
        libos.send(self.at, self.nonce)
        return True

    def meet(self, card):
        """The listener has told where it is."""
        libos = self.libos
        if reason := libos.card.differs(card):
            raise Fail(Kind.REFUSED, f"who listens there can't be reached: {reason}")
        self.nonce = card.nonce
        self.at = libos.call(card.address, card.service)
        libos.by_record[self.at] = self

    def end(self):
        """It is done, or nothing comes of it."""
        self.libos.device.openings.discard(self)
