"""The queue algebra: queues made of queues. An element is one scatter-gather array; none is copied.

A derived queue takes from its sources only while somebody pops it, one element of each at a time: a consumer that is
slow, or gone, leaves everything where it is, and the windows of TCP connections below close. Elements keep the order of
their source. A source that ends (an empty array), or is closed, ends for the derived queue too, and when all have ended
so does that one; any other failure of a source fails one pop, and the source counts as ended. Closing a derived queue
leaves its sources open. What it had taken and nobody popped is freed.

The calls are those of the early designs (datacenter-os slides 2017, Zeus 2018, HotOS 2019), which never had them all.
"""

from bisect import insort
from collections import deque
from functools import cmp_to_key
from itertools import count

from libos import function_pointer
from libos.errors import Fail, Kind
from libos.immediate import Passage, misled
from libos.native_function import Change, Order, Predicate
from libos.sgarray import SGArray

INBOUND, OUTBOUND = 0, 1
READABLE, WRITABLE = 1, 2
END = object()
PIECE = 65536  # at most this much of a stream is one element


def gone(libos, queue):
    """Whether a queue has been closed."""
    return libos.queues.get(queue.qd) is not queue


class Source:
    """One of the queues below, and our pop of it that is under way."""

    def __init__(self, libos, queue, arrived):
        self.libos = libos
        self.queue = queue
        self.arrived = arrived
        self.qtoken = None
        self.asking = False
        self.withdrawn = False
        self.ended = False

    def ask(self):
        """Pop, unless that is under way already; what is there arrives before this returns."""
        if self.ended or self.asking:
            return
        if gone(self.libos, self.queue):  # closed while nothing was under way
            self.ended = True
            self.arrived(None, None, None, None)
            return
        self.asking = True
        self.qtoken = None
        qtoken = self.libos.start("POP", self.queue, INBOUND, self.queue.popping(PIECE), done=self.complete)
        if self.asking:
            self.qtoken = qtoken

    def complete(self, result):
        self.asking = False
        if self.withdrawn:
            self.withdrawn = False
        elif result.error is not None:
            self.ended = True
            self.arrived(None, None, None, None if result.error.kind is Kind.CANCELED else result.error)
        elif not len(result.sga):
            self.ended = True
            result.sga.free()
            self.arrived(None, None, None, None)
        else:
            origin = result.value if isinstance(self.queue, Derived) else self.queue.qd
            self.arrived(origin, result.sga, result.address, None)

    def withdraw(self):
        """Nobody pops at the moment: what comes now is to be left where it is."""
        if self.asking and not self.ended:
            self.withdrawn = True
            self.libos.cancel(self.qtoken)

    def leave(self):
        """Nobody wants its elements any more."""
        self.ended = True
        if self.asking and self.qtoken is not None:
            self.libos.cancel(self.qtoken)


class Derived:
    """What all derived queues share: elements that have arrived, and pops that wait for more."""

    def __init__(self, libos, queues):
        if not queues:
            raise Fail(Kind.INVALID, "a queue of no queues")
        self.libos = libos
        self.sources = [Source(libos, queue, self.arrived) for queue in queues]
        self.turn = 0
        self.failed = deque()
        self.closed = False
        self.room = None  # the qtoken of our wait for it

    def arrived(self, origin, sga, address, error):
        """An element, first popped from the queue `origin`; or the end of a source."""
        if self.closed:
            if sga is not None:
                sga.free()
            return
        if error is not None:
            self.failed.append(error)
        elif sga is not None:
            try:
                self.put(origin, sga, address)
            except Exception as wrong:  # the application's own function
                sga.free()
                self.failed.append(misled(wrong))
        self.libos.wake(self, INBOUND)

    def pull(self):
        """Ask the sources, each in its turn first, until there is enough or all that is left is to wait."""
        n = len(self.sources)
        while not self.full() and not self.failed:
            self.turn = (self.turn + 1) % n
            came = False
            for step in range(n):
                source = self.sources[(self.turn + step) % n]
                source.ask()
                came |= not source.asking and not source.ended
                if self.full():
                    return
            if not came:
                return

    def popping(self, size):
        def attempt():
            if not len(self) or self.eager:
                self.pull()
            if len(self):
                if self.eager:
                    self.sources[0].withdraw()
                return self.take()
            if self.failed:
                raise self.failed.popleft()
            if all(source.ended for source in self.sources):
                return 0, SGArray([]), None
            return None

        return attempt

    def pushing(self, sga, address=None):
        """What is pushed into a queue of one other goes there as it is."""
        if len(self.sources) != 1:
            raise Fail(Kind.UNSUPPORTED, "a push into several queues")
        queue = self.sources[0].queue
        push = queue.pushing(sga, address)

        def attempt():
            if gone(self.libos, queue):
                raise Fail(Kind.CANCELED)
            outcome = push()
            if outcome is None and self.waiting[OUTBOUND]:
                self.await_room()
            return outcome

        return attempt

    def await_room(self):
        """Have our pushes tried again when the queue below may have room."""
        if self.room is None:
            queue = self.sources[0].queue

            def writable():
                return (WRITABLE, None, None) if queue.ready(WRITABLE) else None

            def there(result):
                self.room = None
                self.libos.wake(self, OUTBOUND)

            qtoken = self.libos.start("WATCH", queue, OUTBOUND, writable, done=there)
            self.room = qtoken if qtoken in self.libos.operations else None

    def ready(self, mask):
        """Which of `mask` would not block: elements are looked for as a pop would."""
        if mask & READABLE and not len(self):
            self.pull()
        there = len(self) or self.failed or all(source.ended for source in self.sources)
        return (mask & READABLE if there else 0) | (
            mask & WRITABLE and len(self.sources) == 1 and self.sources[0].queue.ready(WRITABLE)
        )

    def blocked(self, direction):
        """The sources have been asked; a push waits for room in the only one."""
        if direction == OUTBOUND:
            self.await_room()

    def close(self):
        self.closed = True
        if self.room is not None:
            self.libos.cancel(self.room)
        for source in self.sources:
            source.leave()
        while len(self):
            self.take()[1].free()


class Merged(Derived):
    """The elements of several queues, as they come; sources that have some take turns."""

    eager = False

    def __init__(self, libos, queues):
        super().__init__(libos, queues)
        self.elements = deque()

    def __len__(self):
        return len(self.elements)

    def full(self):
        return bool(self.elements)

    def put(self, origin, sga, address):
        self.elements.append((origin, sga, address))

    def take(self):
        return self.elements.popleft()


class Passing(Merged, Passage):
    """What `passed(sga)` makes of each element; None stands for one that it has freed."""

    def __init__(self, libos, queue, passed, native=None):
        Merged.__init__(self, libos, [queue])
        Passage.__init__(self, queue, native)
        self.passed = passed

    def put(self, origin, sga, address):
        passed = self.passed(sga)
        if passed is not None:
            super().put(origin, passed, address)


def filtered(libos, queue, keeps, context=None):
    """The elements that a predicate keeps."""
    native = native_or_none(Predicate, keeps, context)
    if native:
        return Passing(libos, queue, native.passed, native)

    def passed(sga):
        if keeps(sga):
            return sga
        sga.free()

    return Passing(libos, queue, passed)


def mapped(libos, queue, makes, context=None):
    """What a function makes of each element."""
    native = native_or_none(Change, makes, context)
    if native:
        return Passing(libos, queue, native.passed, native)

    def passed(sga):
        made = makes(sga)
        if not isinstance(made, SGArray) or not len(made):
            raise TypeError("it has to return a scatter-gather array with bytes in it")
        if made is not sga:
            sga.free()
        return made

    return Passing(libos, queue, passed)


def native_or_none(kind, function, context):
    """The native function that a program gives, None for one of Python. Raises INVALID for what is neither."""
    address = function_pointer.address_of(function, kind.POINTERS)
    if address is not None:
        return kind(address, context, function)
    if context is not None:
        raise Fail(Kind.INVALID, "a context is for native functions; one of Python has its own variables")


class Sorted(Derived):
    """The smallest first, of those that are there when somebody pops; equal ones in the order in which they came."""

    eager = True

    def __init__(self, libos, queue, key, capacity, context=None):
        if capacity < 1:
            raise Fail(Kind.INVALID, "room for no element")
        super().__init__(libos, [queue])
        native = native_or_none(Order, key, context)
        self.key = cmp_to_key(native.compared) if native else key
        self.capacity = capacity
        self.ordered = []
        self.order = count()

    def __len__(self):
        return len(self.ordered)

    def full(self):
        return len(self.ordered) >= self.capacity

    def put(self, origin, sga, address):
        # unlike a heap it is as it was when a comparison raises
        insort(self.ordered, (self.key(sga), next(self.order), origin, sga, address))

    def take(self):
        return self.ordered.pop(0)[2:]


class Connection:
    """One element at a time from a source to a sink: the next is taken when the sink has all of the last."""

    def __init__(self, libos, source, sink):
        self.libos = libos
        self.sink = sink
        self.source = Source(libos, source, self.arrived)
        self.pushing_now = self.moving = False
        self.outcome = None  # of the whole: None while it lasts, then END or a Fail
        self.move()

    def move(self):
        """Take and give until one of the two has to be waited for."""
        if self.moving:  # what completes inline is seen by the loop below us
            return
        self.moving = True
        while self.outcome is None and not self.source.asking and not self.pushing_now:
            self.source.ask()
        self.moving = False

    def arrived(self, origin, sga, address, error):
        if sga is None:
            return self.over(error or END)
        try:
            if gone(self.libos, self.sink):
                raise Fail(Kind.CANCELED)
            attempt = self.sink.pushing(sga, address)
        except Fail as failure:
            sga.free()
            return self.over(failure)

        def pushed(result):
            self.pushing_now = False
            sga.free()
            if result.error is not None:
                self.over(result.error)
            self.move()

        self.pushing_now = True
        self.libos.start("PUSH", self.sink, OUTBOUND, attempt, sga.hold(), pushed)
        self.move()

    def over(self, outcome):
        if self.outcome is None:
            self.outcome = outcome
            self.source.leave()
            if hasattr(self, "waiting"):
                self.libos.wake(self, INBOUND)

    def popping(self, size):
        def attempt():
            if self.outcome is None or self.pushing_now:
                return None
            if self.outcome is not END:
                raise self.outcome
            return 0, SGArray([]), None

        return attempt

    def pushing(self, sga, address=None):
        raise Fail(Kind.UNSUPPORTED, "a push into a connection of two queues")

    def ready(self, mask):
        return mask & READABLE if self.outcome is not None and not self.pushing_now else 0

    def blocked(self, direction):
        """The two queues wake us."""

    def close(self):
        self.over(Fail(Kind.CANCELED))
