"""The only things that ever yield to the scheduler.

What is yielded tells it when to run the coroutine again: BLOCKED, when its waker bit is set; AGAIN, at its next turn.
A coroutine makes its suspension once and awaits it as often as it likes, so that a switch allocates nothing.
"""

COMPILED = __file__.endswith(".so")
BLOCKED = None
AGAIN = True


class Suspension:
    """An awaitable of one coroutine that yields `word` once each time it is awaited."""

    def __init__(self, word):
        self.word = word
        self.given = False

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        if self.given:
            self.given = False
            raise StopIteration
        self.given = True
        return self.word


def until_woken():
    """Block until somebody wakes this coroutine."""
    return Suspension(BLOCKED)


def until_next_turn():
    """Let the others run."""
    return Suspension(AGAIN)
