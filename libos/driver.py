"""The contract of a stack that runs in the program itself: who waits drives it.

The threads of the program take its turns while they look for something to do; before they sleep they say so, and the
stack's own thread, the keeper, goes on in their place.
"""

COMPILED = __file__.endswith(".so")


class Driver:
    """Base of what can be driven; this one has nothing to do. No call waits, none needs the GIL when compiled."""

    def look(self):
        """One turn: what has come in, what is due, what goes out. True when there was any of it."""
        return False

    def look_again(self):
        """As `look`, straight after one that has found nothing: no time has passed since then."""
        return False

    def carry(self):
        """A call of the program has given bytes to a connection, or has taken some: take them on."""

    def rest(self, bell):
        """The calling thread is about to sleep; what it waits for may be here already and has rung its bell then.
        `bell`: by which it can be woken, 0 where by none.
        """

    def depart(self, relay, reset):
        """The process ends and with it the program's end of a connection; `reset`: with bytes unread. True while
        something of ours is on its way.
        """
        return False

    def pass_on(self):
        """The process ends, by whichever way: whether another has the stack from now on, for those that share it."""
        return False

    def finish(self):
        """Nothing more happens in this process."""


class Driving:
    """The driver of this process. `on`: there is one."""

    def __init__(self):
        self.on = False
        self.driver = Driver()


HERE = Driving()


def here():
    """The one Driving, for interpreted rooms."""
    return HERE
