"""The table of a libOS: its queues and operations in raw memory, who waits for what, and what is complete.

Everything here is under one lock, whose holders never sleep and never take the GIL. Lists are linked by record number
+ 1 (0: nobody), so that nothing is allocated for an operation; a record is found by the number in its qtoken.
"""

from libos import calls, raw, rings
from libos.core import layout
from libos.core.transport import Transport
from libos.runtime import wakers

COMPILED = __file__.endswith(".so")


class Table:
    """Up to 2,097,152 operations and 65,536 queues at a time, whose buffers are of `heap`."""

    def __init__(self, heap):
        self.heap = heap
        self.loops = self.stores = None  # what Catloop and Cattree do with the GIL
        self.transport = Transport()
        self.head = wakers.reserve(layout.HEAD_SIZE)
        self.operations = wakers.reserve(raw.bit(layout.SLOTS) * layout.OPERATION)
        self.queues = wakers.reserve(raw.bit(layout.QUEUES) * layout.QUEUE_RECORD)
        self.waiters = wakers.reserve(layout.WAITERS * layout.WAITER_RECORD)
        if not (self.waiters and self.head and self.operations and self.queues):
            raise MemoryError("no address space for a table of operations")

    def open(self):
        """Make the epoll set and the bell, an eventfd, of who sleeps. A negative error of the kernel."""
        epoll = raw.syscall(calls.SYS_epoll_create1, calls.CLOEXEC, 0, 0, 0, 0, 0)
        if epoll < 0:
            return epoll
        bell = raw.syscall(calls.SYS_eventfd2, 0, calls.OWN_SOCKET, 0, 0, 0, 0)
        if bell < 0:
            raw.syscall(calls.SYS_close, epoll, 0, 0, 0, 0, 0)
            return bell
        raw.store(self.head + layout.EPOLL, epoll + 1)
        raw.store(self.head + layout.BELL, bell + 1)
        return self.register(bell, calls.POLLIN, 0)

    def close(self):
        """Give back what `open` made. Every queue has been closed, and nobody waits."""
        raw.syscall(calls.SYS_close, self.epoll(), 0, 0, 0, 0, 0)
        raw.syscall(calls.SYS_close, self.bell(), 0, 0, 0, 0, 0)

    def epoll(self):
        return raw.load(self.head + layout.EPOLL) - 1

    def bell(self):
        return raw.load(self.head + layout.BELL) - 1

    def lock(self):
        if not raw.compare_exchange_own(self.head + layout.LOCK, 0, rings.HERE.pid):
            rings.lock(self.head + layout.LOCK)

    def unlock(self):
        raw.store(self.head + layout.LOCK, 0)

    def away(self):
        """Give the lock back for a system call, but not while a thread forks; `back` comes next."""
        while raw.load(self.head + layout.FORKING):
            self.unlock()
            raw.pause()
            self.lock()
        raw.store(self.head + layout.AWAY, raw.load(self.head + layout.AWAY) + 1)
        self.unlock()

    def back(self):
        self.lock()
        raw.store(self.head + layout.AWAY, raw.load(self.head + layout.AWAY) - 1)

    def count(self, counter):
        """One of the counters of layout.py."""
        return raw.load(self.head + layout.COUNTERS + counter * 8)

    def note(self, counter, n):
        """Under the lock."""
        at = self.head + layout.COUNTERS + counter * 8
        raw.store(at, raw.load(at) + n)

    def register(self, fd, events, qd):
        """Have the epoll set say `qd` for a descriptor's events (epoll_ctl(2))."""
        at = self.head + layout.SCRATCH
        raw.store32(at, events)
        raw.store(at + 4, qd)
        self.note(layout.SYSTEM_CALLS, 1)
        return raw.syscall(calls.SYS_epoll_ctl, self.epoll(), calls.EPOLL_ADD, fd, at, 0, 0)

    # --- operations ---

    def at(self, number):
        """The record of a number + 1."""
        return self.operations + (number - 1) * layout.OPERATION

    def number(self, operation):
        return ((operation - self.operations) >> 7) + 1  # OPERATION is 128

    def find(self, qtoken):
        """The record of a live qtoken; 0 for any other number."""
        at = self.record(qtoken)
        return at if qtoken and raw.load(at + layout.TOKEN) == qtoken else 0

    def record(self, qtoken):
        """Where the record of a qtoken lies, live or not any more."""
        return self.operations + (qtoken & (raw.bit(layout.SLOTS) - 1)) * layout.OPERATION

    def begin(self, opcode, queue):
        """A record for an operation on a queue; 0 when there is none left."""
        number = raw.load(self.head + layout.FREE)
        if number:
            at = self.at(number)
            raw.store(self.head + layout.FREE, raw.load(at + layout.NEXT))
        else:
            number = raw.load(self.head + layout.USED) + 1
            if number > raw.bit(layout.SLOTS):
                return 0
            raw.store(self.head + layout.USED, number)
            at = self.at(number)
        generation = raw.load(self.head + layout.GENERATION) + 1
        raw.store(self.head + layout.GENERATION, generation)
        raw.store(at + layout.TOKEN, generation << layout.SLOTS | (number - 1))
        raw.store(at + layout.WAITER, 0)
        raw.store32(at + layout.OPCODE, opcode)
        raw.store32(at + layout.QD, raw.load(queue + layout.QUEUE_QD))
        raw.store(at + layout.STATE, layout.WAITING)
        raw.store(at + layout.VALUE, 0)
        raw.store32(at + layout.ERROR, 0)
        raw.store(at + layout.COUNT, 0)
        return at

    def discard(self, operation):
        """The record is free again, and its qtoken not live any more."""
        raw.store(operation + layout.TOKEN, 0)
        raw.store(operation + layout.NEXT, raw.load(self.head + layout.FREE))
        raw.store(self.head + layout.FREE, self.number(operation))

    def link(self, first, operation):
        """To the end of the list whose ends are at `first` and `first` + 8."""
        number = self.number(operation)
        last = raw.load(first + 8)
        raw.store(operation + layout.NEXT, 0)
        raw.store(operation + layout.PREVIOUS, last)
        if last:
            raw.store(self.at(last) + layout.NEXT, number)
        else:
            raw.store(first, number)
        raw.store(first + 8, number)

    def unlink(self, first, operation):
        after = raw.load(operation + layout.NEXT)
        before = raw.load(operation + layout.PREVIOUS)
        if before:
            raw.store(self.at(before) + layout.NEXT, after)
        else:
            raw.store(first, after)
        if after:
            raw.store(self.at(after) + layout.PREVIOUS, before)
        else:
            raw.store(first + 8, before)

    def complete(self, operation, result):
        """An operation that is in no line has come to its end, with a count, or an error as the kernel gives them."""
        if result < 0:
            raw.store32(operation + layout.ERROR, -result)
            self.note(layout.FAILED_OPERATIONS, 1)
        else:
            self.note(layout.COMPLETED, 1)
        raw.store32(operation + layout.STATE, layout.DONE)
        self.link(self.head + layout.FIRST_DONE, operation)
        if raw.load(self.head + layout.SLEEPERS):
            self.tell(raw.load(operation + layout.WAITER))

    def take(self, operation):
        """A complete operation is the caller's: nobody else finds it. It ends with `dismiss`."""
        self.unlink(self.head + layout.FIRST_DONE, operation)
        raw.store32(operation + layout.STATE, layout.TAKEN)
        raw.store(operation + layout.NEXT, raw.load(operation + layout.TOKEN))  # for who has not asked by it
        raw.store(operation + layout.TOKEN, 0)

    def dismiss(self, operation):
        """The result of a taken operation has been read. Under the lock."""
        self.let_go(operation)
        self.discard(operation)

    def let_go(self, operation):
        """The list of segments beside the record, where there is one, is not needed any more."""
        if raw.load(operation + layout.COUNT) > 2:
            self.heap.release(raw.load(operation + layout.SEGMENTS))

    # --- who sleeps ---

    def fall_asleep(self, qtokens, count):
        """A waiter's record + 1 for the calling thread, and its number in what it waits for (count 0: for any); 0 when
        there is none left. Under the lock.
        """
        number = 1
        at = self.waiters
        while raw.load32(at + layout.WORD) != layout.AWAKE:
            number += 1
            at += layout.WAITER_RECORD
            if number > layout.WAITERS:
                return 0
        raw.store32(at + layout.WORD, layout.ASLEEP)
        raw.store(at + layout.WAITS_FOR_ANY, count == 0)
        raw.store(at + layout.WAITS_WITH_OTHERS, 0)
        while count:
            count -= 1
            self.mark(raw.load(qtokens + count * 8), number)
        raw.store(self.head + layout.SLEEPERS, raw.load(self.head + layout.SLEEPERS) + 1)
        if raw.load(at + layout.WAITS_FOR_ANY):
            raw.store(self.head + layout.SLEEPERS_ANY, raw.load(self.head + layout.SLEEPERS_ANY) + 1)
        return number

    def waiter(self, number):
        return self.waiters + (number - 1) * layout.WAITER_RECORD

    def mark(self, qtoken, number):
        operation = self.find(qtoken)
        if operation == 0:
            return
        other = raw.load(operation + layout.WAITER)
        if other and other != number and (other == layout.SEVERAL or self.sleeps(other)):
            raw.store(self.waiter(number) + layout.WAITS_WITH_OTHERS, 1)
            if other != layout.SEVERAL:
                raw.store(self.waiter(other) + layout.WAITS_WITH_OTHERS, 1)
            number = layout.SEVERAL
        raw.store(operation + layout.WAITER, number)

    def sleeps(self, number):
        return raw.load32(self.waiter(number) + layout.WORD) == layout.ASLEEP

    def awake(self, number):
        """The thread is back. Under the lock."""
        at = self.waiter(number)
        raw.store32(at + layout.WORD, layout.AWAKE)
        raw.store(self.head + layout.SLEEPERS, raw.load(self.head + layout.SLEEPERS) - 1)
        if raw.load(at + layout.WAITS_FOR_ANY):
            raw.store(self.head + layout.SLEEPERS_ANY, raw.load(self.head + layout.SLEEPERS_ANY) - 1)
        if raw.load(self.head + layout.WATCHER) == number:
            raw.store(self.head + layout.WATCHER, 0)

    def wake(self, number):
        """Wake a thread, once."""
        at = self.waiter(number)
        if not self.sleeps(number):
            return
        raw.store32(at + layout.WORD, layout.WOKEN)
        if raw.load(self.head + layout.WATCHER) == number:
            raw.store(self.head + layout.SCRATCH, 1)
            raw.syscall(calls.SYS_write, self.bell(), self.head + layout.SCRATCH, 8, 0, 0, 0)
        else:
            raw.syscall(calls.SYS_futex, at + layout.WORD, calls.FUTEX_WAKE, 1, 0, 0, 0)

    def tell(self, number):
        """Something that `number` waits for is complete: wake it, and one of those that wait for any."""
        if number and number != layout.SEVERAL:
            self.wake(number)
        if number == layout.SEVERAL:
            self.wake_first(layout.WAITS_WITH_OTHERS, True)
        if raw.load(self.head + layout.SLEEPERS_ANY):
            self.wake_first(layout.WAITS_FOR_ANY, False)

    def wake_first(self, of_those, all_of_them):
        """Wake a sleeper that has the word `of_those` set, or every one."""
        left = raw.load(self.head + layout.SLEEPERS)
        number = 1
        while left and number <= layout.WAITERS:
            if raw.load32(self.waiter(number) + layout.WORD) != layout.AWAKE:
                left -= 1
                if self.sleeps(number) and raw.load(self.waiter(number) + of_those):
                    self.wake(number)
                    if not all_of_them:
                        return
            number += 1

    def wake_watcher(self):
        """Who sleeps on the epoll set has something else to wait for. Under the lock."""
        if raw.load(self.head + layout.WATCHER):
            self.wake(raw.load(self.head + layout.WATCHER))

    def leave(self):
        """The calling thread stops waiting: another one has to sleep on the epoll set. Under the lock."""
        if raw.load(self.head + layout.SLEEPERS) and raw.load(self.head + layout.WATCHER) == 0:
            number = 1
            while number <= layout.WAITERS and not self.sleeps(number):
                number += 1
            if number <= layout.WAITERS:
                self.wake(number)

    # --- arrays ---

    def segments(self, array):
        """Where the segments lie, of the array at a record's COUNT or an element."""
        return array + 8 if raw.load(array) <= 2 else raw.load(array + 8)

    def room(self, operation, count):
        """Where to put the segments of an array of `count`; 0 when there is no memory."""
        at = operation + layout.SEGMENTS
        if count > 2:
            beside = self.heap.alloc(count * 16)
            if beside == 0:
                return 0
            self.heap.retain(beside)
            self.heap.free(beside)  # it is the libOS's alone
            raw.store(at, beside)
            at = beside
        raw.store(operation + layout.COUNT, count)
        return at

    def hold(self, operation):
        """The libOS has a reference on each buffer of an operation's array from now on, unless it has one already."""
        noted = raw.load32(operation + layout.NOTED)
        if noted & layout.HELD:
            return
        raw.store32(operation + layout.NOTED, noted | layout.HELD)
        at = self.segments(operation + layout.COUNT)
        last = at + raw.load(operation + layout.COUNT) * 16
        while at < last:
            self.heap.retain(self.heap.object_of(raw.load(at)))
            at += 16

    def release(self, array):
        """The libOS lets go of an array's buffers."""
        at = self.segments(array)
        last = at + raw.load(array) * 16
        while at < last:
            self.heap.release(self.heap.object_of(raw.load(at)))
            at += 16

    def hand_over(self, array):
        """An array's buffers are the application's from now on, each once however many segments lie in it."""
        first = self.segments(array)
        at = first + raw.load(array) * 16
        while at > first:
            at -= 16
            if at > first and self.repeated(first, at):
                self.heap.release(self.heap.object_of(raw.load(at)))
            else:
                self.heap.hand_over(raw.load(at))

    def repeated(self, first, at):
        """Whether a segment before the one at `at` lies in the same buffer."""
        buffer = self.heap.object_of(raw.load(at))
        while at > first:
            at -= 16
            if self.heap.object_of(raw.load(at)) == buffer:
                return True
        return False

    def length(self, array):
        """Bytes of all segments."""
        at = self.segments(array)
        last = at + raw.load(array) * 16
        total = 0
        while at < last:
            total += raw.load(at + 8)
            at += 16
        return total

    # --- queues ---

    def queue_of(self, qd):
        """The record of a queue descriptor; 0 when there is none."""
        number = qd - layout.FIRST_QD
        if number < 0:
            return 0
        at = self.queues + (number & (raw.bit(layout.QUEUES) - 1)) * layout.QUEUE_RECORD
        return at if raw.load(at + layout.QUEUE_QD) == qd else 0

    def add_queue(self, kind):
        """The record of a new queue, whose descriptor has not been used for long; 0 when there is none left."""
        number = raw.load(self.head + layout.FREE_QUEUE)
        if number:
            at = self.queues + (number - 1) * layout.QUEUE_RECORD
            raw.store(self.head + layout.FREE_QUEUE, raw.load(at + layout.NEXT_QUEUE))
        else:
            number = raw.load(self.head + layout.USED_QUEUES) + 1
            if number > raw.bit(layout.QUEUES):
                return 0
            raw.store(self.head + layout.USED_QUEUES, number)
            at = self.queues + (number - 1) * layout.QUEUE_RECORD
        qd = layout.FIRST_QD + number - 1 + (raw.load(at + layout.TURN) << layout.QUEUES)
        raw.store(at + layout.KIND, kind)
        raw.store(at + layout.FD, 0)
        raw.store(at + layout.SOCKET_STATE, layout.FRESH)
        raw.store(at + layout.END, 0)
        raw.store(at + layout.FAR, 0)
        raw.store(at + layout.QUEUE_QD, qd)
        return at

    def remove_queue(self, queue):
        """The descriptor of a queue without operations is not in use any more."""
        number = ((queue - self.queues) >> 8) + 1  # QUEUE_RECORD is 256
        raw.store(queue + layout.KIND, 0)
        raw.store(queue + layout.QUEUE_QD, 0)
        raw.store(queue + layout.TURN, (raw.load(queue + layout.TURN) + 1) & 0x3FFF)
        raw.store(queue + layout.NEXT_QUEUE, raw.load(self.head + layout.FREE_QUEUE))
        raw.store(self.head + layout.FREE_QUEUE, number)
