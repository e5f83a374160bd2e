# cython: infer_types=True
"""Catmint's core: reliable messages of many connections over one endpoint of a fabric.

No clock, no thread, no system call. The caller polls the fabric and hands over what is completed (`receive`), has the
machine do what there is to do (`poll`), and comes back at `next_deadline` at the latest; both are told the time. The
user's calls are those of `sending`, `receiving`, `opening` and `closing`, here under one roof; `next_event` says whom
they concern. One lock guards it all, and the caller holds it.
"""

from libos.fabric import closing, opening, receiving, sending, structs, turns
from libos.net import linked


class Machine:
    """Over an Engine."""

    def __init__(self, engine):
        self.engine = engine

    def receive(self, completions, count, now):
        """Deal with the `count` completions at `completions`."""
        turns.receive(self.engine, completions, count, now)

    def poll(self, now):
        """Everything that can be done now, for each connection in its turn."""
        turns.poll(self.engine, now)

    def next_deadline(self):
        """When `poll` has something to do though nothing is completed; -1 for never."""
        return turns.next_deadline(self.engine)

    # --- the user's calls ---

    def listen(self, service, backlog):
        return opening.listen(self.engine, service, backlog)

    def accept(self, at):
        return opening.accept(self.engine, at)

    def connect(self, address, length, service, now):
        self.engine.now = now
        return opening.connect(self.engine, address, length, service)

    def push(self, at, address, length, token):
        return sending.push(self.engine, at, address, length, token)

    def push_at_once(self, at, address, length):
        return sending.push_at_once(self.engine, at, address, length)

    def pressed(self):
        """Whether `poll` has something to do that somebody waits for."""
        return self.engine.stuck != 0 or linked.first(self.engine.work) != 0

    def doubt(self, at):
        turns.doubt(self.engine, at)

    def at_rest(self):
        """Whether it has nothing to do but what time brings."""
        return self.engine.receives.spare == 0 and not self.pressed()

    def finished(self, at, result):
        return sending.finished(self.engine, at, result)

    def pop(self, at, result):
        return receiving.pop(self.engine, at, result)

    def shutdown(self, at):
        """Nothing more is sent; what was pushed still is."""
        c = structs.connection(at)
        if c.state == structs.OPEN:
            closing.shut(self.engine, c)

    def close(self, at):
        """Let go of it. Pushes that are not finished still come back by `finished`; the record lives as long as that
        takes.
        """
        c = structs.connection(at)
        if c.state == structs.LISTENING:
            opening.unlisten(self.engine, c)
        else:
            closing.close(self.engine, c)

    def abort(self, at):
        """Break it, and let go of it."""
        closing.fail(self.engine, structs.connection(at), structs.RESET, True)
        closing.close(self.engine, structs.connection(at))

    def lost(self, at):
        """The peer is known to be gone: it is broken, and nothing more is said to the peer."""
        closing.fail(self.engine, structs.connection(at), structs.RESET, False)

    def pending(self, at):
        """Bytes of the messages that can be popped now."""
        return receiving.pending(structs.connection(at))

    def next_event(self):
        """Address of a connection or listener whose readiness may have changed, 0 where there is none left."""
        return linked.take(self.engine.events)

    def ready(self, at):
        """Its readiness: READABLE and so on."""
        c = structs.connection(at)
        if c.state == structs.LISTENING:
            return structs.READABLE if c.accepting.count else 0
        if c.state == structs.BROKEN:
            return structs.READABLE | structs.WRITABLE | structs.FAILED
        if c.state != structs.OPEN:
            return 0
        mask = structs.READABLE if receiving.ready(c) else 0
        if c.flags & structs.PEER_ENDED:
            mask |= structs.PEER_CLOSED
            if c.messages.count == 0:
                mask |= structs.READABLE
        if c.pushes.count < structs.PUSHES and not c.flags & structs.ENDING:
            mask |= structs.WRITABLE
        return mask
