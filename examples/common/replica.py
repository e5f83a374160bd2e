"""One replica of the replicated store, without I/O: versions, locks of prepared transactions, votes.

Requests, their fields, and the answers; a write is (key, version, value), a read (key, version):

    HELLO    client                    DONE 0                     first on each connection
    READ     key                       VALUE version value        version 0: there is none
    PREPARE  number reads-count reads writes   VOTE number vote client number    the last two: who is in the way
    COMMIT   number writes             DONE number                also to replicas that voted no
    ABORT    number                    DONE number
    STATUS   client number             STATE state writes         what became of a transaction of a client that is gone
    RESOLVE  client number commit writes   DONE number            and what has become of it after all
    INFORM   writes                    none                       committed before, missed by this replica

A transaction that is prepared holds its keys until it is decided, however long that takes: nobody but its client, or
another client that has asked all replicas once that one is gone, may say what became of it.
"""

from collections import OrderedDict, deque

from examples.common.frames import Body, Frames, Malformed, frame

HELLO, READ, PREPARE, COMMIT, ABORT, STATUS, RESOLVE, INFORM = range(1, 9)
DONE, VALUE, VOTE, STATE = range(101, 105)
YES, STALE, LOCKED, ORPHAN = range(4)  # votes: a version differs; a key is held; it is held by a client that is gone
UNKNOWN, ALIVE, PREPARED, COMMITTED, NEITHER = range(5)  # states
REMEMBERED = 64  # committed transactions of a client
LAG = REMEMBERED // 2  # transactions by which a client may be ahead of a replica
MOST_GONE = 1024  # clients that are remembered after they have gone


class Client:
    """A client as a replica knows it. `prepared`: the number of its prepared transaction and `keys`, `writes`."""

    def __init__(self):
        self.connected = True
        self.prepared = None
        self.keys = ()
        self.writes = ()
        self.committed = deque(maxlen=REMEMBERED)


class Replica:
    """`values`: version and value by key; `holders`: the id of the client that holds a key; `late`: committed writes
    for keys that are held.
    """

    def __init__(self):
        self.values = {}
        self.holders = {}
        self.late = {}
        self.clients = {}
        self.gone = OrderedDict()

    def version(self, key):
        return self.values.get(key, (0, b""))[0]

    def connect(self, client):
        if client in self.clients:
            raise Malformed("a client that was here before")
        self.clients[client] = Client()

    def disconnect(self, client):
        """A client's connection has ended, and everything that it had sent was looked at."""
        self.clients[client].connected = False
        self.forget(client)

    def forget(self, client):
        """A client that is gone and holds nothing is remembered for a while, for those who ask about it."""
        record = self.clients[client]
        if not record.connected and record.prepared is None:
            self.gone[client] = None
            while len(self.gone) > MOST_GONE:
                del self.clients[self.gone.popitem(last=False)[0]]

    def prepare(self, client, number, reads, writes):
        """Lock the keys of a transaction when all its versions are the newest here; returns vote and (client, number)
        of the one in the way. Raises Malformed when another one of the client's is prepared.
        """
        record = self.clients[client]
        if record.prepared is not None:
            raise Malformed("two prepared transactions of one client")
        keys = {key for key, _ in reads} | {key for key, _, _ in writes}
        for holder in (self.holders[key] for key in keys if key in self.holders):
            other = self.clients[holder]
            return LOCKED if other.connected else ORPHAN, holder, other.prepared
        if any(self.version(key) != version for key, version in reads):
            return STALE, 0, 0
        if any(version <= self.version(key) for key, version, _ in writes):
            return STALE, 0, 0
        record.prepared, record.keys, record.writes = number, keys, writes
        self.holders.update(dict.fromkeys(keys, client))
        return YES, 0, 0

    def commit(self, client, number, writes):
        record = self.clients[client]
        if number in record.committed:
            return
        record.committed.append(number)
        self.release(record, client, number, writes)

    def abort(self, client, number):
        self.release(self.clients[client], client, number, ())

    def release(self, record, client, number, writes):
        """A transaction is decided: its keys are free, and its writes, and those that waited for it, are applied."""
        keys = ()
        if record.prepared == number:
            keys = record.keys
            record.prepared, record.keys, record.writes = None, (), ()
            for key in keys:
                del self.holders[key]
        self.apply(writes)
        for key in keys:
            if key in self.late:
                self.apply([(key, *self.late.pop(key))])
        self.forget(client)

    def apply(self, writes):
        """Committed writes, each unless a newer one is here; those whose key is held wait for what becomes of that."""
        for key, version, value in writes:
            if key not in self.holders:
                if version > self.version(key):
                    self.values[key] = version, value
            elif version > self.late.get(key, (0, b""))[0]:
                self.late[key] = version, value

    def status(self, client, number):
        """State and writes of a transaction."""
        record = self.clients.get(client)
        if record is None:
            return UNKNOWN, ()
        if record.connected:
            return ALIVE, ()
        if record.prepared == number:
            return PREPARED, record.writes
        return COMMITTED if number in record.committed else NEITHER, ()

    def resolve(self, client, number, commit, writes):
        if client not in self.clients or self.clients[client].connected:
            return
        if commit:
            self.commit(client, number, writes)
        else:
            self.abort(client, number)


class Session:
    """One connection to a replica. A malformed request ends it."""

    def __init__(self, replica):
        self.replica = replica
        self.frames = Frames()
        self.client = None
        self.ended = False

    def receive(self, data):
        if not self.ended:
            self.frames.receive(data)

    def answers(self):
        """Answers to what was received, at most some 64 KiB at a time."""
        batch, size = [], 0
        try:
            while not self.ended and size < 65536 and (body := self.frames.next()):
                batch.append(self.answer(Body(body)))
                size += len(batch[-1])
        except Malformed:
            self.ended = True
        return b"".join(batch)

    def lost(self):
        if self.client is not None:
            self.replica.disconnect(self.client)
            self.client = None

    def answer(self, body):
        """The answer to one request. Raises Malformed."""
        replica = self.replica
        if (self.client is None) != (body.kind == HELLO):
            raise Malformed("HELLO comes first, and once")
        number = 0
        if body.kind == HELLO:
            client = body.number()
            body.end()
            replica.connect(client)
            self.client = client
        elif body.kind == READ:
            key = body.data()
            body.end()
            return frame(VALUE, *replica.values.get(key, (0, b"")))
        elif body.kind == PREPARE:
            number, count = body.number(), body.number()
            if count > len(body.body):
                raise Malformed("more reads than bytes")
            reads = [(body.data(), body.number()) for _ in range(count)]
            return frame(VOTE, number, *replica.prepare(self.client, number, reads, writes_of(body)))
        elif body.kind == COMMIT:
            number = body.number()
            replica.commit(self.client, number, writes_of(body))
        elif body.kind == ABORT:
            number = body.number()
            body.end()
            replica.abort(self.client, number)
        elif body.kind == STATUS:
            client, number = body.number(), body.number()
            body.end()
            state, writes = replica.status(client, number)
            return frame(STATE, state, *flat(writes))
        elif body.kind == RESOLVE:
            client, number, commit = body.number(), body.number(), body.number()
            replica.resolve(client, number, commit, writes_of(body))
        elif body.kind == INFORM:
            replica.apply(writes_of(body))
            return b""
        else:
            raise Malformed(f"a request of kind {body.kind}")
        return frame(DONE, number)


def writes_of(body):
    """The writes at the end of a body."""
    return body.many(body.data, body.number, body.data)


def flat(rows):
    return [field for row in rows for field in row]
