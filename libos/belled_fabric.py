"""A fabric whose endpoint has nothing to wait on, with a bell beside it: who asks something of a peer that
sleeps wakes it.

For endpoints of one machine, libfabric's `shm`. Each process has a word in a page that its peers map for reading, which
says whether it sleeps and which bell, a Unix datagram socket, wakes it (libos/family.py): its keeper's, or that of a
thread of the program. A request that is out when its process sleeps is looked after now and then, as its peer may be
slow to answer.
"""

from libos import calls, raw
from libos.fabric.fabric import Fabric
from libos.memory_file import private

COMPILED = __file__.endswith(".so")
LOOK = 1000000  # ns between two looks at requests that are out
MOST = 64  # peers that are asked something in one turn and remembered
WORD, NAMES, ASKED, KNOWN = 0, 8, 16, 32  # of a peer: its word, its bells' names, whether it is among those; bytes


class BelledFabric(Fabric):
    """Over another endpoint, `inner`. `word`: the address of our word, in the line of our `bell`; `sock`: the number of
    a socket to ring bells by.
    """

    def __init__(self, inner, word, bell, sock):
        Fabric.__init__(
            self,
            inner.address,
            inner.capabilities,
            inner.receives,
            inner.requests,
            inner.segments,
            inner.peers,
        )
        self.injects = inner.injects
        self.inner = inner
        self.word = word
        self.bell_of = bell  # whom peers wake
        self.sock = sock
        self.known = private(inner.peers * KNOWN)
        self.asked = private(MOST * 8)
        self.count = 0

    def acquaint(self, peer, word, names):
        """A peer has bells: the addresses of the word that says which of them wakes it, and of their names by number
        (libos/family.py, write_names).
        """
        at = self.known + peer * KNOWN
        raw.store(at + WORD, word)
        raw.store(at + NAMES, names)

    def wake(self):
        """Ring for those that were asked something and sleep."""
        if self.count == 0:
            return
        raw.fence()
        while self.count:
            self.count -= 1
            at = self.known + raw.load(self.asked + self.count * 8) * KNOWN
            raw.store(at + ASKED, 0)
            word = raw.load(at + WORD)
            bell = raw.load(word) if word else 0
            if 0 < bell < 64:
                name = raw.load(at + NAMES) + bell * 64
                raw.syscall(calls.SYS_sendto, self.sock, name, 1, calls.DONTWAIT, name + 8, raw.load(name))

    def note(self, peer):
        """A request to it is out."""
        at = self.known + peer * KNOWN
        if raw.load(at + ASKED):
            return
        if self.count == MOST:
            self.wake()
        raw.store(at + ASKED, 1)
        raw.store(self.asked + self.count * 8, peer)
        self.count += 1

    def peer(self, address, length):
        return self.inner.peer(address, length)

    def forget(self, peer):
        self.inner.forget(peer)

    def register(self, address, length):
        return self.inner.register(address, length)

    def deregister(self, region):
        self.inner.deregister(region)

    def expose(self, region, address, length, access, peer):
        return self.inner.expose(region, address, length, access, peer)

    def key(self, window):
        return self.inner.key(window)

    def base(self, window):
        return self.inner.base(window)

    def withdraw(self, window):
        self.inner.withdraw(window)

    def post_receive(self, address, length, region, context):
        if self.inner.post_receive(address, length, region, context):
            return True
        self.refused += 1
        return False

    def out(self, peer, taken):
        """Whether a request of that peer was taken."""
        if taken:
            self.note(peer)
        else:
            self.refused += 1
        return taken

    def send(self, peer, pieces, count, context):
        return self.out(peer, self.inner.send(peer, pieces, count, context))

    def inject(self, peer, address, length):
        return self.out(peer, self.inner.inject(peer, address, length))

    def write(self, peer, pieces, count, remote, key, context):
        return self.out(peer, self.inner.write(peer, pieces, count, remote, key, context))

    def read(self, peer, pieces, count, remote, key, context):
        return self.out(peer, self.inner.read(peer, pieces, count, remote, key, context))

    def poll(self, completions, limit):
        n = self.inner.poll(completions, limit)
        self.failed = self.inner.failed
        return n

    def deadline(self, now):
        return now + LOOK if self.inner.requests_out or not self.word else -1

    def arm(self):
        if self.word:
            raw.store(self.word, self.bell_of)
            raw.fence()
        return True

    def disarm(self):
        if self.word:
            raw.store(self.word, 0)

    def bell(self):
        return -1

    def close(self):
        self.inner.close()
