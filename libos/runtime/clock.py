"""Clocks: monotonic nanoseconds, real or faked. Nobody below the libOS reads time by itself."""

from time import monotonic_ns


class Clock:
    """The machine's monotonic clock."""

    def now(self):
        """Nanoseconds, never going back."""
        return monotonic_ns()


class FakeClock:
    """A clock that a test moves; idle time is jumped over instead of slept."""

    def __init__(self, start=0):
        self.time = start

    def now(self):
        return self.time

    def advance(self, nanoseconds):
        """Move on; time never goes back."""
        if nanoseconds < 0:
            raise ValueError("a monotonic clock does not go back")
        self.time += nanoseconds
