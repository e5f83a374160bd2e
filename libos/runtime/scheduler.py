"""The coroutine scheduler (SOSP '21, section 5.4).

Three kinds of coroutine: application (one per blocked qtoken), background, and fast-path I/O. Priority is in that
order, round-robin inside a kind. A coroutine runs only when its waker bit is set; nothing is allocated for a switch.
Coroutines are anything with `send`: `async def` or generators, interpreted or compiled.
"""

from libos.runtime import resume
from libos.runtime.wakers import Wakers

COMPILED = __file__.endswith(".so")
APPLICATION, BACKGROUND, FAST_PATH = 0, 1, 2


class Scheduler:
    """`capacity` application coroutines, and a quarter of that of each other kind."""

    def __init__(self, capacity=1 << 16):
        self.application = Wakers(capacity)
        self.background = Wakers(capacity // 4 + 1)
        self.fast_path = Wakers(64)
        self.applications = []
        self.backgrounds = []
        self.fast_paths = []
        self.on_error = None
        self.steps = 0

    def spawn(self, kind, coroutine, ready=True):
        """Add a coroutine, ready to run or waiting for its first wake. Returns its slot. Raises MemoryError."""
        wakers, coroutines = self.of(kind)
        slot = wakers.claim()
        if slot < 0:
            raise MemoryError("too many coroutines")
        while len(coroutines) <= slot:
            coroutines.append(None)
        coroutines[slot] = coroutine
        if ready:
            wakers.wake(slot)
        return slot

    def of(self, kind):
        """(wakers, coroutines) of a kind."""
        if kind == 0:
            return self.application, self.applications
        if kind == 1:
            return self.background, self.backgrounds
        return self.fast_path, self.fast_paths

    def wake(self, kind, slot):
        """Make a coroutine ready to run."""
        if kind == 0:
            self.application.wake(slot)
        elif kind == 1:
            self.background.wake(slot)
        else:
            self.fast_path.wake(slot)

    def cancel(self, kind, slot):
        """Close a coroutine where it stands and forget it."""
        wakers, coroutines = self.of(kind)
        coroutine = coroutines[slot]
        coroutines[slot] = None
        wakers.release(slot)
        if coroutine is not None:
            coroutine.close()

    def run_one(self, idle):
        """Run the next ready coroutine; with `idle` also a fast-path one. False when there was none."""
        slot = self.application.next()
        if slot >= 0:
            return self.step(self.application, self.applications, slot)
        slot = self.background.next()
        if slot >= 0:
            return self.step(self.background, self.backgrounds, slot)
        if idle:
            slot = self.fast_path.next()
            if slot >= 0:
                return self.step(self.fast_path, self.fast_paths, slot)
        return False

    def run(self, limit, idle=False):
        """Run up to `limit` ready coroutines; returns how many there were."""
        done = 0
        while done < limit and self.run_one(idle):
            done += 1
        return done

    def step(self, wakers, coroutines, slot):
        coroutine = coroutines[slot]
        if coroutine is None:
            return True
        self.steps += 1
        try:
            yielded = resume.send(coroutine)
        except Exception as error:
            coroutines[slot] = None
            wakers.release(slot)
            if self.on_error is None:
                raise
            self.on_error(error)
            return True
        if yielded is None:
            return True
        if yielded is ...:
            coroutines[slot] = None
            wakers.release(slot)
        else:
            wakers.wake(slot)
        return True
