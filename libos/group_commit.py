"""Durable appends of many threads, without the GIL: who comes while a group is being written joins the next one, and
whoever finds the device free writes for all that wait.

A thread is *inside* from enter() to leave(). Whoever needs the volume for itself, for what takes the interpreter, says
so (`claim`), and has it once nobody is inside any more.
"""

from libos import calls, raw

COMPILED = __file__.endswith(".so")
# the words, 64 bits each: threads inside; whether somebody wants to be alone; a futex that changes with every group,
# and how many sleep on it; whether a group is on its way; a lock, 2 while somebody waits for it
INSIDE, CLAIMED, TURN, SLEEPERS, WRITING, DOOR = 0, 8, 16, 24, 32, 40
ROOM = 128
LIMIT = 64  # where a struct rlimit64 goes
ALL = 0x7FFFFFFF


class GroupCommit:
    """`straight`: what is written, to the descriptor `fd` (`use`). `largest`: how far this process has to be allowed to
    write (setrlimit(2)).
    """

    def __init__(self, heap):
        self.heap = heap
        self.words = heap.alloc(ROOM)
        if not self.words:
            raise MemoryError("no heap for a lock")
        for at in range(self.words, self.words + ROOM, 8):
            raw.store(at, 0)
        self.turn_at = self.words + TURN
        self.straight = None
        self.fd = self.flags = self.largest = 0

    def use(self, straight, fd, write_through, largest):
        """Write to another volume from now on; by who is alone."""
        self.straight = straight
        self.fd = fd
        self.flags = 0 if write_through else calls.RWF_DSYNC
        self.largest = largest

    # --- to be alone ---

    def claim(self):
        """Nobody comes in any more; who is inside already ends what it is at."""
        raw.exchange(self.words + CLAIMED, 1)

    def turned(self):
        """What the futex at `turn_at` shows."""
        return raw.load32(self.turn_at)

    def alone(self):
        """Whether nobody is inside any more. Else that may have changed once the futex has."""
        return raw.load(self.words + INSIDE) == 0

    def release(self):
        raw.exchange(self.words + CLAIMED, 0)
        self.turn()

    # --- of the threads that append ---

    def enter(self):
        while True:
            raw.fetch_add(self.words + INSIDE, 1)
            if raw.load(self.words + CLAIMED) == 0:
                return
            self.leave()
            seen = raw.load32(self.turn_at)
            if raw.load(self.words + CLAIMED):
                self.sleep(seen)

    def leave(self):
        if raw.fetch_add(self.words + INSIDE, raw.invert(0)) == 1 and raw.load(self.words + CLAIMED):
            self.turn()

    def inside(self):
        """How many threads are."""
        return raw.load(self.words + INSIDE)

    def lock(self):
        """For the time that it takes to fill a group, or to say that it is over."""
        if not raw.compare_exchange(self.words + DOOR, 0, 1):
            while raw.exchange(self.words + DOOR, 2):
                raw.syscall(calls.SYS_futex, self.words + DOOR, calls.FUTEX_WAIT, 2, 0, 0, 0)

    def unlock(self):
        if raw.exchange(self.words + DOOR, 0) == 2:
            raw.syscall(calls.SYS_futex, self.words + DOOR, calls.FUTEX_WAKE, 1, 0, 0, 0)

    def sleep(self, seen):
        raw.fetch_add(self.words + SLEEPERS, 1)
        raw.syscall(calls.SYS_futex, self.turn_at, calls.FUTEX_WAIT, seen, 0, 0, 0)
        raw.fetch_add(self.words + SLEEPERS, raw.invert(0))

    def turn(self):
        raw.fetch_add(self.turn_at, 1)
        if raw.load(self.words + SLEEPERS) or raw.load(self.words + CLAIMED):
            raw.syscall(calls.SYS_futex, self.turn_at, calls.FUTEX_WAKE, ALL, 0, 0, 0)

    def committed(self, number):
        """Until the group of that number is over."""
        while self.straight.done < number:
            seen = raw.load32(self.turn_at)
            if self.straight.done >= number:
                return
            if raw.compare_exchange(self.words + WRITING, 0, 1):
                if self.straight.done < number:
                    self.write()
                raw.exchange(self.words + WRITING, 0)
                self.turn()
            else:
                self.sleep(seen)

    def write(self):
        """The group that is being filled goes out, and is over."""
        self.lock()
        if not self.straight.open or self.limited():
            self.straight.refuse()
            self.unlock()
            return
        place = self.straight.sealed()
        self.unlock()
        result = raw.syscall(calls.SYS_pwritev2, self.fd, self.straight.vector, 1, place, 0, self.flags)
        self.lock()
        self.straight.over(result)
        self.unlock()

    def limited(self):
        """Whether a signal would tell this process that it may not write that far."""
        if self.largest == 0:
            return False
        raw.syscall(calls.SYS_prlimit64, 0, calls.RLIMIT_FSIZE, 0, self.words + LIMIT, 0, 0)
        return raw.load(self.words + LIMIT) < self.largest

    def close(self):
        self.heap.free(self.words)
