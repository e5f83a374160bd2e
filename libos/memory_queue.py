"""queue(): a light-weight in-memory queue of sgarrays, like a Go channel (SOSP '21, figure 2)."""

from collections import deque

INBOUND, OUTBOUND = 0, 1


class MemoryQueue:
    """At most `capacity` elements; a push beyond that blocks. Elements are handed over, never copied."""

    def __init__(self, libos, capacity):
        self.libos = libos
        self.capacity = capacity
        self.elements = deque()

    def pushing(self, sga, address=None):
        def attempt():
            if len(self.elements) >= self.capacity:
                return None
            sga.hold()  # the element's own reference, until it is popped
            self.elements.append(sga)
            self.libos.wake(self, INBOUND)
            return len(sga), None, None

        return attempt

    def popping(self, size):
        def attempt():
            if not self.elements:
                return None
            sga = self.elements.popleft()
            self.libos.wake(self, OUTBOUND)
            return 0, sga.handed_over(), None

        return attempt

    def ready(self, mask):
        return (mask & 1 if self.elements else 0) | (mask & 2 if len(self.elements) < self.capacity else 0)

    def blocked(self, direction):
        """Whoever pushes or pops wakes us; there is no device to ask."""

    def close(self):
        for sga in self.elements:
            sga.release()
        self.elements.clear()
