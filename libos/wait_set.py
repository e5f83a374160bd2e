"""A persistent set of qtokens to wait for: what one wait costs does not depend on how many there are.

`wait_any` looks at every token that it is given; a server with many connections keeps their tokens here instead, adds
each once, and takes completions in the order in which they happened.
"""

from collections import deque

from libos.errors import Fail, Kind
from libos.operation import Result


class WaitSet:
    """Qtokens of one libOS. Of several threads that wait, each completion wakes one."""

    def __init__(self, libos):
        self.libos = libos
        self.complete = deque()
        self.waiting = set()

    def __len__(self) -> int:
        """Tokens that were added and not taken yet."""
        return len(self.waiting) + len(self.complete)

    def add(self, qtoken: int) -> None:
        """From now on `wait` returns this one's result; wait_any and the others don't know it any more.

        Raises INVALID for a token that isn't live, or is in a set already.
        """
        with self.libos.lock:
            result = self.libos.detach(qtoken, self.completed)
            if result is None:
                self.waiting.add(qtoken)
            else:
                self.complete.append(result)

    def completed(self, result):
        self.waiting.remove(result.qtoken)
        self.complete.append(result)

    def wait(self, timeout: float | None = None) -> Result:
        """The result that has been complete for longest. Raises TIMED_OUT after `timeout` seconds, INVALID when the set
        is empty.
        """
        return self.wait_n(1, timeout)[0]

    def wait_n(self, n: int, timeout: float | None = None) -> list[Result]:
        """Up to `n` results: at least one, and whatever else is complete by then."""
        if n < 1:
            raise Fail(Kind.INVALID, "wait for nothing")

        def taken():
            if not len(self):
                raise Fail(Kind.INVALID, "an empty set")
            return [self.complete.popleft() for _ in range(min(n, len(self.complete)))]

        return self.libos.until(taken, timeout)
