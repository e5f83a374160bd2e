"""What drivers have in common that carry the bytes of a program's sockets to something of our own: one lock, held for a
turn only, the pairs whose far side is ours, relays between both, and the keeper that goes on while the program sleeps.

Who does not get the lock leaves a bit behind, and who has it looks for bits after letting go.
"""

from libos import at_exit, calls, driver, layout, raw, rings
from libos.driver import Driver
from libos.memory_file import private
from libos.passing import Passing

COMPILED = __file__.endswith(".so")
AREA = 4096
PAIRS = (AREA - 128) // 8
RELAYS = 16384
ASLEEP, AWAKE, CALLED = 0, 1, 2  # the keeper
LONGEST = 60000000000  # ns that the end of a process waits for what is on its way


class Carrier(Driver):
    """`call` is an eventfd that wakes the keeper. `stage`: bytes that are moved at once, for which there is room at
    `stage`; `size`: bytes of a relay. Derived ones have `turn`,
    `carried`, `arm` and `remind`.
    """

    def __init__(self, call, stage, size):
        self.call = call
        area = private(AREA + stage + RELAYS * size)
        self.lock_at = area
        self.armed_at = area + 64  # a bell is rung for the keeper
        self.called_at = area + 72  # whether the keeper has to be woken
        self.one_at = area + 80  # behind it: whether a relay has come to its end
        self.passing = Passing(area + 96)
        self.pairs_at = area + 128  # blocks of the far ends' side
        self.stage = area + AREA
        self.relays = self.stage + stage
        self.size = size
        self.pairs = 0
        self.free = self.used = 0
        self.looks = 0
        self.relieved = False  # a thread of the program takes turns again: the keeper has to see that it goes on
        self.seen_at = 0  # the time of the last look
        self.wakes_at = 0  # when the keeper looks by itself
        self.left = False  # this process is a forked child: all of it is the parent's
        raw.store(self.one_at, 1)
        raw.store(self.called_at, AWAKE)
        at_exit.call(last)

    def turn(self, now):
        """Under the lock: everything that can be done now. True when there was anything."""
        return False

    def carried(self, at):
        """Under the lock: move what a relay can move, both ways."""

    def arm(self):
        """Under the lock: have the keeper woken by what comes. False when there is something already."""
        return True

    def remind(self):
        """Under the lock: see that the keeper, if it sleeps, wakes in time for what is due."""

    def look(self):
        self.seen_at = raw.now()
        return self.take_turns()

    def look_again(self):
        if self.take_turns():
            return True
        self.seen_at = raw.now()  # now, when nobody waits for it, and not when something comes
        return False

    def take_turns(self):
        """As long as there is something to do, at the time that was last seen."""
        found = False
        while raw.load(self.lock_at) == 0 and self.enter():
            if self.turn(self.seen_at):
                found = True
            self.leave()
            if not self.soiled():
                break
        return found

    def carry(self):
        while self.soiled() and self.enter():
            self.turn(raw.now())
            self.leave()

    def rest(self, bell):
        """Have what rings ring for the keeper, and see that it wakes in time."""
        if not self.enter():
            self.relieved = False
            self.wake_keeper()  # it arms when the lock is free
            return
        if not raw.load(self.armed_at):
            self.turn(raw.now())
            if not self.arm():
                self.relieved = False
                self.wake_keeper()
        self.remind()
        self.leave()
        self.carry()

    def enter(self):
        """Take the lock if it is free. Who has the GIL must not wait for it otherwise: its holder may want that."""
        return raw.compare_exchange(self.lock_at, 0, rings.HERE.pid)

    def leave(self):
        raw.store(self.lock_at, 0)
        raw.fence()

    def hold(self):
        """Take the lock, by all means: for who has no GIL."""
        turns = 0
        while not self.enter():
            turns += 1
            if turns & 63 == 0:
                raw.syscall(calls.SYS_sched_yield, 0, 0, 0, 0, 0, 0)
            raw.pause()

    def lock(self):
        """As `enter`: these five are for interpreted rooms."""
        return self.enter()

    def unlock(self):
        self.leave()

    def glance(self):
        return self.look()

    def carry_on(self):
        self.carry()

    def move(self, at):
        self.pump(at)

    def wake_keeper(self):
        if raw.exchange(self.called_at, CALLED) == ASLEEP:
            raw.syscall(calls.SYS_write, self.call, self.one_at, 8, 0, 0, 0)

    def keeper_sleeps(self):
        """From now on it has to be woken; false when it was called meanwhile."""
        return raw.exchange(self.called_at, ASLEEP) != CALLED

    def keeper_is_awake(self):
        """What it was called for it looks at next."""
        self.relieved = False
        raw.store(self.called_at, AWAKE)
        self.wakes_at = 0

    def drain_also(self, block):
        """One more pair whose other side may soil it; false when there are too many. Under the lock."""
        if self.pairs == PAIRS:
            return False
        raw.store(self.pairs_at + self.pairs * 8, block)
        self.pairs += 1
        return True

    def drain_no_more(self, block):
        """Under the lock."""
        for i in range(self.pairs):
            if raw.load(self.pairs_at + i * 8) == block:
                self.pairs -= 1
                raw.store(self.pairs_at + i * 8, raw.load(self.pairs_at + self.pairs * 8))
                return

    def soiled(self):
        """Whether a program's end has something to be carried on."""
        i = 0
        while i < self.pairs:
            if raw.load(raw.load(raw.load(self.pairs_at + i * 8))):
                return True
            i += 1
        return False

    def drain(self):
        """Carry on what the program's ends have soiled."""
        found = False
        i = 0
        while i < self.pairs:
            block = raw.load(self.pairs_at + i * 8)
            if raw.load(raw.load(block)):
                found = True
                self.drain_pair(block, raw.load(block))
            i += 1
        return found

    def drain_pair(self, block, area):
        summary = raw.exchange(area, 0)
        while summary:
            i = raw.ctz(summary)
            summary &= summary - 1
            soiled = raw.exchange(area + layout.DIRTY_WORDS + i * 8, 0)
            while soiled:
                far = raw.load(block + 64 + (i * 64 + raw.ctz(soiled)) * 8)
                soiled &= soiled - 1
                if far:
                    self.pump(raw.load(far + layout.RELAY))

    def pump(self, at):
        if at:
            self.carried(at)
            if raw.load(at + layout.R_FLAGS) & layout.R_OVER:
                raw.store(self.one_at + 8, 1)
                self.wake_keeper()

    def any_over(self):
        """Whether there are relays that have come to their end: the keeper, who asks, closes their far ends."""
        return raw.exchange(self.one_at + 8, 0) != 0

    def take(self, record, far, flags):
        """A relay between `record` and a far end, under the lock; 0 when there are too many."""
        at = self.free
        if at:
            self.free = raw.load(at + layout.R_NEXT)
        elif self.used < RELAYS:
            at = self.relays + self.used * self.size
            self.used += 1
        else:
            return 0
        raw.store(at + layout.R_AT, record)
        raw.store(at + layout.R_FAR, far)
        raw.store(at + layout.R_OWN, 0)
        raw.store(at + layout.R_FLAGS, flags)
        raw.store(far + layout.RELAY, at)
        return at

    def end(self, at):
        """The keeper has closed the far end: the relay is free for another one. Under the lock."""
        raw.store(at + layout.R_NEXT, self.free)
        self.free = at


def last(nothing):
    """What the program has closed already, or has not, is to arrive: nobody will send it once more."""
    limit = raw.now() + LONGEST
    if driver.HERE.on and driver.HERE.driver.pass_on():
        return
    while driver.HERE.on and driver.HERE.driver.depart(0, False) and raw.now() < limit:
        raw.syscall(calls.SYS_poll, 0, 0, 1, 0, 0, 0)
    if driver.HERE.on:
        driver.HERE.driver.finish()
