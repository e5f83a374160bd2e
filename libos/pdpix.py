"""PDPIX: queues, queue tokens, scatter-gather arrays; push, pop and wait (SOSP '21, section 4 and figure 2).

`LibOS` is what every libOS has in common: the table of queues, the table of operations, the wait family. A libOS
gives it queues whose operations can be attempted and a device that can be polled. An operation is tried inline when
it is made; only one that blocks gets a coroutine. Results, failures too, come back from wait*; only misuse raises at
once.
"""

from collections.abc import Callable, Sequence
from typing import Any

from libos import algebra
from libos.device import Device, poll_all
from libos.errors import Fail, Kind
from libos.function_pointer import Addressed
from libos.inline import Inline
from libos.operation import Operation, Result, Shared
from libos.runtime import scheduler, suspend
from libos.runtime.clock import Clock
from libos.runtime.memory import Heap
from libos.sgarray import SGArray
from libos.wait_set import WaitSet

PUSH, POP, ACCEPT, CONNECT, WATCH, FAILED = "PUSH", "POP", "ACCEPT", "CONNECT", "WATCH", "FAILED"
READABLE, WRITABLE = 1, 2
INBOUND, OUTBOUND = 0, 1


class LibOS(Inline):
    """The calls of PDPIX over one device. Usable from several threads: one completion wakes exactly one waiter.

    `beside`: another libOS. Then both have one table of queues and one of qtokens, and either's calls, wait* too, take
    those of both.
    """

    def __init__(self, heap: Heap | None = None, clock=None, device=None, beside: "LibOS | None" = None) -> None:
        self.heap = heap or Heap()
        self.clock: Any = clock or (beside.clock if beside else Clock())
        super().__init__(beside.shared if beside else Shared())
        self.operations: dict = self.shared.operations
        self.scheduler, self.timers = self.shared.scheduler, self.shared.timers
        self.device: Any = device or (beside.device if beside else Device())
        self.queues = self.shared.queues
        self.rotation = 0
        self.tally = {"inline": 0, "blocked": 0, "completed": 0, "failed": 0}

    @property
    def counters(self) -> dict[str, int]:
        """Operations by what became of them: inline, blocked; completed, failed."""
        return {
            "inline": self.tally["inline"] + self.inlined,
            "blocked": self.tally["blocked"] + self.blocked,
            "completed": self.tally["completed"] + self.inlined + self.awaited_ones,
            "failed": self.tally["failed"],
        }

    @property
    def sleepers(self) -> int:
        """Threads that sleep until a device says something."""
        return self.shared.sleepers

    def over(self, device):
        """The device that this libOS polls, with those of the libOSes beside it."""
        self.device = device
        self.shared.devices.append(device)

    # --- memory ---

    def sgaalloc(self, size: int) -> SGArray:
        """A scatter-gather array of one heap segment of `size` bytes (1 to 1 MiB). Raises NO_MEMORY."""
        return SGArray.alloc(self.heap, size)

    def sgafree(self, sga: SGArray) -> None:
        """The application lets go of an array; safe while a push of it is in flight. Raises INVALID if freed before."""
        sga.free()

    def wait_set(self) -> WaitSet:
        """A set of qtokens that lasts: the cost of a wait does not depend on how many are in it."""
        return WaitSet(self)

    # --- queues ---

    def add(self, queue):
        """Enter a queue into the table; returns its new qd."""
        with self.lock:
            queue.qd = self.shared.next_qd()
            self.queues[queue.qd] = queue
        queue.waiting = ([], [])  # deques would be ten times as large, and are rarely longer than one
        return queue.qd

    def queue_of(self, qd):
        """The queue of `qd`. Raises BAD_QUEUE."""
        try:
            return self.queues[qd]
        except (KeyError, TypeError):
            raise Fail(Kind.BAD_QUEUE, f"no queue {qd!r}")

    def queue(self, capacity: int = 1024) -> int:
        """An in-memory queue of sgarrays, like a Go channel. Returns its qd."""
        from libos.memory_queue import MemoryQueue

        return self.add(MemoryQueue(self, capacity))

    def merge(self, *qds: int) -> int:
        """A queue of the elements of several, as they come; `value` of a pop is the qd of its source."""
        return self.add(algebra.Merged(self, [self.queue_of(qd) for qd in qds]))

    # The functions of these may be native ones, which get the address of `context` (libos/native_function.py). Raise
    # INVALID for what can't be a function.

    def filter(self, qd: int, keeps: Callable[[SGArray], bool] | Addressed, context: Any = None) -> int:
        """A queue of those elements of which `keeps(sga)` is true; the others are freed."""
        return self.add(algebra.filtered(self, self.queue_of(qd), keeps, context))

    def map(self, qd: int, makes: Callable[[SGArray], SGArray] | Addressed, context: Any = None) -> int:
        """A queue of `makes(sga)` for each element: the same array, or a new one for which it is freed."""
        return self.add(algebra.mapped(self, self.queue_of(qd), makes, context))

    def sort(
        self, qd: int, key: Callable[[SGArray], Any] | Addressed, capacity: int = 1024, context: Any = None
    ) -> int:
        """A queue whose pop takes the smallest, by `key(sga)`, of the at most `capacity` that are there; a native `key`
        compares two."""
        return self.add(algebra.Sorted(self, self.queue_of(qd), key, capacity, context))

    def qconnect(self, source: int, sink: int) -> int:
        """From now on what comes out of one queue goes into another. Returns a qd: its pop completes at the end of the
        source, or fails as the connection does; closing it takes the two apart.
        """
        return self.add(algebra.Connection(self, self.queue_of(source), self.queue_of(sink)))

    def close(self, qd: int) -> None:
        """Close a queue; what is pending on it completes as FAILED with CANCELED. Raises BAD_QUEUE."""
        with self.lock:
            queue = self.queue_of(qd)
            del self.queues[qd]
            queue.close()
            for line in queue.waiting:
                while line:
                    self.give_up(line, line[0])

    # --- operations ---

    def push_in_turn(self, qd, sga):
        """A push that may have to wait."""
        queue = self.queue_of(qd)
        self.check(sga)
        return self.start(PUSH, queue, OUTBOUND, queue.pushing(sga), sga.hold())

    def pushto(self, qd: int, sga: SGArray, address: tuple) -> int:
        """As push, for a datagram to `address`. Raises UNSUPPORTED on other queues."""
        queue = self.queue_of(qd)
        self.check(sga)
        return self.start(PUSH, queue, OUTBOUND, queue.pushing(sga, address), sga.hold())

    def pop_in_turn(self, qd, size):
        """A pop that may have to wait."""
        queue = self.queue_of(qd)
        if size <= 0:
            raise Fail(Kind.INVALID, "pop of nothing")
        return self.start(POP, queue, INBOUND, queue.popping(size))

    def watch(self, qd: int, mask: int) -> int:
        """A qtoken that completes when the queue is ready for what `mask` asks (READABLE, WRITABLE); takes nothing."""
        queue = self.queue_of(qd)
        if mask not in (READABLE, WRITABLE):
            raise Fail(Kind.INVALID, f"bad mask {mask!r}")

        def attempt():
            ready = queue.ready(mask)
            return (ready, None, None) if ready else None

        return self.start(WATCH, queue, INBOUND if mask == READABLE else OUTBOUND, attempt)

    def ready(self, qd: int, mask: int) -> int:
        """Which of `mask` would not block now."""
        with self.lock:
            return self.queue_of(qd).ready(mask)

    def check(self, sga):
        if not isinstance(sga, SGArray) or not sga.alive or not len(sga):
            raise Fail(Kind.INVALID, "not a scatter-gather array with bytes in it")

    def start(self, opcode, queue, direction, attempt, undo=None, done=None):
        """Try an operation inline; a blocked one gets its place in the queue's line and an application coroutine.

        Nobody waits for one with `done`: that is called with its result.
        """
        with self.lock:
            operation = Operation(opcode, queue, attempt, undo, done)
            operation.qtoken = self.shared.next_qtoken(queue.qd)
            self.operations[operation.qtoken] = operation
            line = queue.waiting[direction]
            if (not line or opcode == WATCH) and self.attempted(operation):
                self.tally["inline"] += 1
                return operation.qtoken
            self.tally["blocked"] += 1
            line.append(operation)
            operation.slot = self.scheduler.spawn(scheduler.APPLICATION, self.drive(operation, line), False)
            queue.blocked(direction)
            return operation.qtoken

    def drive(self, operation, line):
        """The application coroutine of one blocked operation: first in line, tried again at each wake."""
        woken = suspend.until_woken()
        while True:
            first = operation.opcode == WATCH or line[0] is operation
            if first and self.attempted(operation):
                break
            yield from woken
        line.remove(operation)
        operation.slot = None
        self.wake_first(line)

    def wake_first(self, line):
        """The first in a line may go on; without a coroutine it is told when there is something (`wake`)."""
        if line and line[0].slot is not None:
            self.scheduler.wake(scheduler.APPLICATION, line[0].slot)

    def attempted(self, operation):
        """One attempt. True when the operation is done, well or not."""
        try:
            outcome = operation.attempt()
        except OSError as error:
            self.finish(operation, error=Fail.of_kernel(error))
            return True
        except Fail as error:
            self.finish(operation, error=error)
            return True
        if outcome is None:
            return False
        self.finish(operation, *outcome)
        return True

    def finish(self, operation, value=0, sga=None, address=None, error=None):
        """Write an operation's result and let go of what it held."""
        opcode = operation.opcode if error is None else FAILED
        operation.result = Result(opcode, operation.queue.qd, operation.qtoken, value, sga, address, error)
        self.tally["completed" if error is None else "failed"] += 1
        if self.sleepers:
            self.device.ring(self.sleepers)
        if operation.undo is not None:
            operation.undo()
            operation.undo = None
        if operation.done is not None:
            del self.operations[operation.qtoken]
            operation.done(operation.result)

    def detach(self, qtoken: int, completed: Callable[[Result], None]) -> Result | None:
        """Have `completed(result)` called, under the lock, when an operation is complete, and no wait find it; its
        result at once if it is. Raises INVALID for a token that isn't live, or is detached.
        """
        with self.lock:
            operation = self.operations.get(qtoken)
            if operation is None or operation.done is not None:
                raise Fail(Kind.INVALID, f"qtoken {qtoken!r} is not live, or in a set")
            if operation.result is not None:
                return self.operations.pop(qtoken).result
            operation.done = completed
            return None

    def cancel(self, qtoken: int) -> bool:
        """Take back an operation that has not begun: a blocked pop has taken nothing. False when it is complete."""
        with self.lock:
            operation = self.operations.get(qtoken)
            if operation is None or operation.result is not None:
                return False
            line = next(line for line in operation.queue.waiting if operation in line)
            self.give_up(line, operation)
            self.wake_first(line)
            return True

    def give_up(self, line, operation):
        """A blocked operation completes as CANCELED."""
        line.remove(operation)
        if operation.slot is not None:
            self.scheduler.cancel(scheduler.APPLICATION, operation.slot)
        self.finish(operation, error=Fail(Kind.CANCELED))

    def wake(self, queue, direction):
        """The device says that a queue may have become ready."""
        line = queue.waiting[direction]
        if line and line[0].slot is None and self.attempted(line[0]):  # one without a coroutine is alone in that
            del line[0]
        for operation in line:
            if operation.slot is not None and (operation is line[0] or operation.opcode == WATCH):
                self.scheduler.wake(scheduler.APPLICATION, operation.slot)

    # --- waiting ---

    def within(self, qtoken: int, timeout: float) -> Result | None:
        """As wait; when the operation is not complete by then it is taken back, and None says so."""
        try:
            return self.wait(qtoken, timeout)
        except Fail as fail:
            if fail.kind is not Kind.TIMED_OUT:
                raise
        taken_back = self.cancel(qtoken)
        result = self.wait(qtoken, 0)  # it may have become complete meanwhile
        return None if taken_back else result

    def wait_any(self, qtokens: Sequence[int], timeout: float | None = None) -> tuple[int, Result]:
        """(index, result) of one completed operation; round robin over the list, so that none starves."""
        found = self.collect(qtokens, 1, timeout)
        return found[0]

    def wait_all(self, qtokens: Sequence[int], timeout: float | None = None) -> list[Result]:
        """The results of all, in the order of the list. On TIMED_OUT none is consumed."""
        found = self.collect(qtokens, len(set(qtokens)), timeout)
        by_index = dict(found)
        return [by_index[i] for i in range(len(qtokens))]

    def wait_next_n(self, qtokens: Sequence[int], n: int, timeout: float | None = None) -> list[tuple[int, Result]]:
        """Up to `n` (index, result) pairs: at least one, and whatever else is complete by then."""
        if n < 1:
            raise Fail(Kind.INVALID, "wait for nothing")
        return self.collect(qtokens, 1, timeout, n)

    def collect(self, qtokens, enough, timeout, most=None):
        """Wait until `enough` of the tokens are complete; consume and return up to `most` of them (default: enough)."""
        if not qtokens:
            raise Fail(Kind.INVALID, "no qtokens")

        def taken():
            done = self.completed(qtokens)
            if len(done) < enough:
                return None
            return [(i, self.operations.pop(qtokens[i]).result) for i in done[: most or enough]]

        return self.until(taken, timeout)

    def until(self, taken, timeout):
        """Run what is ready until `taken()`, called under the lock, returns something. Raises TIMED_OUT."""
        deadline = None if timeout is None else self.clock.now() + int(timeout * 1e9)
        looked = False
        while True:
            with self.lock:
                found = taken()
                if found:
                    return found
                progressed = self.turn()
                if not progressed:
                    self.shared.sleepers += 1  # whoever completes something from here on rings
            if progressed:
                continue
            try:
                now = self.clock.now()
                if looked and deadline is not None and now >= deadline:
                    raise Fail(Kind.TIMED_OUT)
                looked = True
                self.idle(now, deadline)
            finally:
                with self.lock:
                    self.shared.sleepers -= 1

    def completed(self, qtokens):
        """Indexes of the complete ones, starting at a place that moves on with every wait. Raises INVALID."""
        done, n = [], len(qtokens)
        self.rotation = (self.rotation + 1) % n
        for step in range(n):
            i = (self.rotation + step) % n
            operation = self.operations.get(qtokens[i])
            if operation is None:
                raise Fail(Kind.INVALID, f"qtoken {qtokens[i]!r} is not live")
            if operation.result is not None:
                done.append(i)
        return done

    def turn(self):
        """Fire the timers due and run what is ready, at most 64 coroutines. True when something ran."""
        return bool(self.timers.fire(self.clock.now()) + self.scheduler.run(64))

    def idle(self, now, deadline):
        """Nothing is ready: let the device look, until the earlier of the caller's and the timers' deadline."""
        due = self.timers.next_deadline()
        until = min((d for d in (due, deadline) if d is not None), default=None)
        left = None if until is None else max(0, until - now)
        if len(self.shared.devices) > 1:
            poll_all(self.shared.devices, left)
        else:
            self.device.poll(left)
