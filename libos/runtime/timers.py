"""Timers: what is to be woken when. A binary heap with lazy cancellation; time is an argument."""

import heapq
from itertools import count


class Timers:
    """Deadlines in nanoseconds of whatever clock the caller reads."""

    def __init__(self):
        self.heap = []
        self.order = count()
        self.live = {}

    def set(self, deadline, wake):
        """Call `wake()` once `deadline` has passed. Returns a handle for `cancel`."""
        handle = next(self.order)
        self.live[handle] = wake
        heapq.heappush(self.heap, (deadline, handle))
        return handle

    def cancel(self, handle):
        """Forget a timer; false when it has fired or never was."""
        return self.live.pop(handle, None) is not None

    def next_deadline(self):
        """The earliest deadline, or None."""
        while self.heap and self.heap[0][1] not in self.live:
            heapq.heappop(self.heap)
        return self.heap[0][0] if self.heap else None

    def fire(self, now):
        """Wake everything due at `now`, earliest first and in setting order; returns how many."""
        fired = 0
        while self.heap and self.heap[0][0] <= now:
            wake = self.live.pop(heapq.heappop(self.heap)[1], None)
            if wake is not None:
                wake()
                fired += 1
        return fired
