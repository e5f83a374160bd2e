"""The client of the replicated store, without I/O: reads from one replica, commits at a majority.

Bytes go in by `receive` and out by `to_send`; `lost` and `timed_out` say that a replica is gone. What a client does is
a generator that yields when it has to wait for more to come in: `value = yield from coordinator.read(key)`.

A transaction is read without locks. To commit it, the replicas are asked to prepare it, and when a majority has voted
yes it is committed: two transactions that touch the same key can't both have one, since they would share a replica.
What is supposed: a replica or a client that fails is gone for good, and a connection ends only with one of its ends.
"""

from collections import deque

from examples.common.frames import Body, Frames, Malformed, frame
from examples.common.replica import (
    ABORT,
    ALIVE,
    COMMIT,
    COMMITTED,
    DONE,
    HELLO,
    INFORM,
    LAG,
    ORPHAN,
    PREPARE,
    PREPARED,
    READ,
    RESOLVE,
    STALE,
    STATE,
    STATUS,
    UNKNOWN,
    VALUE,
    VOTE,
    YES,
    flat,
    writes_of,
)

ANSWERS = {HELLO: DONE, READ: VALUE, PREPARE: VOTE, COMMIT: DONE, ABORT: DONE, STATUS: STATE, RESOLVE: DONE}


class NoQuorum(Exception):
    """Fewer than a majority of the replicas are left. Whether a transaction under way was committed isn't known."""


class Call:
    """A request to one replica. `answer`: the fields of its answer, None until it is there; `lost`: it never will."""

    def __init__(self, kind):
        self.kind = kind
        self.answer = None
        self.lost = False

    @property
    def waits(self):
        return self.answer is None and not self.lost


class Coordinator:
    """One client with one transaction at a time. `client`: a number that no other client has, below 2**64.

    `prefer`: the replica to read from; another one after each abort, since this one may be behind.
    """

    def __init__(self, client, prefer=0, replicas=3):
        self.client = client
        self.prefer = prefer
        self.quorum = replicas // 2 + 1
        self.alive = [True] * replicas
        self.frames = [Frames() for _ in range(replicas)]
        self.asked = [deque() for _ in range(replicas)]
        self.outbox = []
        self.number = 0

    # --- bytes ---

    def receive(self, replica, data):
        """Bytes from a replica. One that answers nonsense is lost."""
        self.frames[replica].receive(data)
        try:
            while self.alive[replica] and (body := self.frames[replica].next()):
                if not self.asked[replica]:
                    raise Malformed("an answer to nothing")
                call = self.asked[replica][0]
                call.answer = fields(call.kind, Body(body))
                self.asked[replica].popleft()
        except Malformed:
            self.lost(replica)

    def to_send(self):
        """(replica, bytes) in their order, each once."""
        sent, self.outbox = self.outbox, []
        return [(replica, data) for replica, data in sent if self.alive[replica]]

    def lost(self, replica):
        self.alive[replica] = False
        for call in self.asked[replica]:
            call.lost = True
        self.asked[replica].clear()

    def timed_out(self):
        """Nothing has come for too long: who owes an answer is lost."""
        for replica, asked in enumerate(self.asked):
            if asked:
                self.lost(replica)

    def ask(self, replica, kind, *fields):
        call = Call(kind)
        self.asked[replica].append(call)
        self.outbox.append((replica, frame(kind, *fields)))
        return call

    def ask_all(self, kind, *fields):
        """A call to each live replica. Raises NoQuorum."""
        self.check()
        return [self.ask(replica, kind, *fields) for replica, alive in enumerate(self.alive) if alive]

    def check(self):
        if sum(self.alive) < self.quorum:
            raise NoQuorum("fewer than a majority of the replicas are left")

    # --- what a client does: generators ---

    def hello(self):
        """Say who we are. All replicas must know before a transaction begins: who asks them whether we are gone gets
        no other answer. Raises NoQuorum.
        """
        calls = self.ask_all(HELLO, self.client)
        while any(call.waits for call in calls):
            yield
        self.check()

    def settle(self):
        """Wait until no replica owes an answer."""
        while any(self.asked):
            yield

    def read(self, key):
        """(version, value) of a key at one replica; version 0 when there is none. Raises NoQuorum."""
        while True:
            self.check()
            order = (replica % len(self.alive) for replica in range(self.prefer, self.prefer + len(self.alive)))
            call = self.ask(next(replica for replica in order if self.alive[replica]), READ, key)
            while call.waits:
                yield
            if not call.lost:
                return call.answer

    def commit(self, reads, writes):
        """Commit a transaction: `reads`, what was read: (version, value) by key; `writes`: values by key, all of which
        were read. True when it is committed, and applied by a majority; false when it is aborted. Raises NoQuorum.
        """
        while any(len(asked) > LAG for asked in self.asked):  # a replica remembers only so many
            yield
        self.number += 1
        rows = [(key, reads[key][0] + 1, value) for key, value in writes.items()]
        versions = [(key, version) for key, (version, _) in reads.items()]
        self.check()
        replicas = [replica for replica, alive in enumerate(self.alive) if alive]
        prepare = (PREPARE, self.number, len(versions), *flat(versions), *flat(rows))
        votes = {replica: self.ask(replica, *prepare) for replica in replicas}
        while True:
            yes = sum(vote_of(call) == YES for call in votes.values())
            undecided = sum(call.waits for call in votes.values())
            if yes >= self.quorum or yes + undecided < self.quorum:
                break
            yield
        if yes < self.quorum:
            yield from self.abort(votes, reads)
            return False
        calls = self.ask_all(COMMIT, self.number, *flat(rows))
        while sum(call.answer is not None for call in calls) < self.quorum:
            if sum(not call.lost for call in calls) < self.quorum:
                raise NoQuorum("replicas were lost during a commit")
            yield
        return True

    def abort(self, votes, reads):
        """Take a transaction back, and do something about what was in its way."""
        orphans = set()
        for replica, call in votes.items():
            if call.lost or not self.alive[replica]:
                continue
            vote = vote_of(call)
            if vote in (None, YES):
                self.ask(replica, ABORT, self.number)
            elif vote == STALE:  # it, or what we have read; all that was ever read is committed, so both may know
                known = [(key, version, value) for key, (version, value) in reads.items() if version]
                self.outbox.append((replica, frame(INFORM, *flat(known))))
            elif vote == ORPHAN:
                orphans.add(call.answer[2:])
        self.prefer += 1
        for client, number in orphans:
            yield from self.resolve(client, number)

    def resolve(self, client, number):
        """A client has gone with a transaction prepared: it is committed when it is at one replica, otherwise aborted.

        Only when all live replicas know that the client is gone: then nothing of it is under way any more.
        """
        calls = self.ask_all(STATUS, client, number)
        while any(call.waits for call in calls):
            yield
        self.check()
        states = [call.answer for call in calls if not call.lost]
        found = {state for state, _ in states}
        if PREPARED in found and not found & {ALIVE, UNKNOWN}:
            writes = next(writes for state, writes in states if state == PREPARED)
            self.ask_all(RESOLVE, client, number, int(COMMITTED in found), *flat(writes))


def vote_of(call):
    """The vote in the answer to a PREPARE; None while there is none."""
    return None if call.answer is None else call.answer[1]


def fields(kind, body):
    """The fields of the answer to a request of a kind. Raises Malformed."""
    if body.kind != ANSWERS[kind]:
        raise Malformed(f"an answer of kind {body.kind}")
    if body.kind == STATE:
        return body.number(), writes_of(body)
    if body.kind == VALUE:
        found = body.number(), body.data()
    else:
        found = tuple(body.number() for _ in range(4 if body.kind == VOTE else 1))
    body.end()
    return found
