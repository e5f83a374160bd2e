"""The contract of what carries queues of messages (KIND MESSAGES) under a table: what it is to the rooms of the core.

Calls are made under the table's lock and without the GIL, but for the last three, which are made without the lock and
with the GIL. `libos/core/messages.py` is Catmint's.
"""

COMPILED = __file__.endswith(".so")


class Transport:
    """Base of all; by itself there is none."""

    def __init__(self):
        self.here = False

    def make(self, family, kind):
        """The record of a new socket's queue, or a negative error (socket(2))."""
        return 0

    def attempt(self, queue, operation):
        """One try: a count, -EAGAIN, -EINPROGRESS for a push that is on its way whole, or another error."""
        return 0

    def look(self):
        """Go on with what has come: how many queues it concerned; -1 when nothing can come but by the epoll set."""
        return -1

    def doze(self):
        """Before a thread sleeps: ns after which to look again, -1: never; 0 when there is something."""
        return -1

    def rouse(self):
        """The thread is awake."""

    def shut(self, queue):
        """The queue is closed: nobody hears of it any more."""

    def kept(self):
        """Objects of the heap that are nobody's but ours: posted for what is to come."""
        return 0

    def forked(self):
        """In a child: there is none any more."""

    def listen(self, qd, backlog):
        """Callers may come."""

    def call(self, qd):
        """A connect has begun."""

    def release(self, qd, fd):
        """A queue was closed, and its socket is not yet."""
