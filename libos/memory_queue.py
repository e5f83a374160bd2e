"""queue(): a light-weight in-memory queue of sgarrays, like a Go channel (SOSP '21, figure 2)."""

from libos.immediate import Immediate

COMPILED = __file__.endswith(".so")
INBOUND, OUTBOUND = 0, 1


class MemoryQueue(Immediate):
    """At most `capacity` elements; a push beyond that blocks. Elements are handed over, never copied."""

    def __init__(self, libos, capacity):
        Immediate.__init__(self)
        self.libos = libos
        self.capacity = capacity
        self.ring = [None] * 16  # doubled when it is full
        self.first = self.count = 0

    def put(self, sga):
        size = len(self.ring)
        if self.count == size:
            self.ring = self.ring[self.first :] + self.ring[: self.first] + [None] * size
            self.first = 0
            size *= 2
        self.ring[(self.first + self.count) & (size - 1)] = sga
        self.count += 1

    def take(self):
        """The first of the elements, of which there is one."""
        sga = self.ring[self.first]
        self.ring[self.first] = None
        self.first = (self.first + 1) & (len(self.ring) - 1)
        self.count -= 1
        return sga

    def at_once(self):
        if self.waiting[INBOUND] or self.waiting[OUTBOUND] or not self.count:
            return None
        return self.take().handed_over()

    def put_at_once(self, sga):
        if self.waiting[INBOUND] or self.waiting[OUTBOUND] or self.count >= self.capacity or not sga.alive:
            return -1
        if sga.length() == 0:
            return -1
        sga.retain()
        self.put(sga)
        return sga.length()

    def pushing(self, sga, address=None):
        def attempt():
            if self.count >= self.capacity:
                return None
            sga.retain()  # the element's own reference, until it is popped
            self.put(sga)
            self.libos.wake(self, INBOUND)
            return len(sga), None, None

        return attempt

    def popping(self, size):
        def attempt():
            if not self.count:
                return None
            sga = self.take()
            self.libos.wake(self, OUTBOUND)
            return 0, sga.handed_over(), None

        return attempt

    def ready(self, mask):
        return (mask & 1 if self.count else 0) | (mask & 2 if self.count < self.capacity else 0)

    def blocked(self, direction):
        """Whoever pushes or pops wakes us; there is no device to ask."""

    def close(self):
        while self.count:
            self.take().release()
