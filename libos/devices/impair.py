"""A bad wire: loss, delay, reordering, duplication, corruption and a rate, as tc-netem(8) names them.

Everything follows from the seed and the clock: the same frames at the same times meet the same fate. Each direction
has chances of its own, and draws the same number of them for each frame: what one setting does is not moved by others.
"""

import heapq
import random
from dataclasses import dataclass

from libos.devices import layout
from libos.devices.tray import Basket, Tray, sent, taken
from libos.devices.wrapper import Wrapper


@dataclass(frozen=True)
class Harm:
    """What happens to the frames of one direction."""

    loss: float = 0.0  # probability that a frame is lost
    duplicate: float = 0.0  # that it comes twice
    corrupt: float = 0.0  # that one of its bits is turned over
    reorder: float = 0.0  # that it is not delayed, and so overtakes
    delay: int = 0  # ns
    jitter: int = 0  # ns, at most, more or less than that; order is kept
    rate: int = 0  # bits a second, 0 for no limit
    limit: int = 1000  # frames on the way; what comes then is lost


class Lane:
    """One direction. `put` takes frames, `take` gives those that are due; no clock, no device."""

    def __init__(self, harm, seed):
        self.harm = harm
        self.chance = random.Random(seed)
        self.frames = []  # heap of (due, number, frame)
        self.number = 0
        self.free_at = 0  # when the wire has carried what went before
        self.latest = 0  # due time that those in order come after
        self.lost = 0

    def put(self, frame, now):
        harm = self.harm
        lose, twice, corrupt, reorder, jitter, bit = (self.chance.random() for _ in range(6))
        if lose < harm.loss:
            self.lost += 1
            return
        if corrupt < harm.corrupt and frame:
            damaged = bytearray(frame)
            at = int(bit * len(frame) * 8)
            damaged[at >> 3] ^= 1 << (at & 7)
            frame = bytes(damaged)
        for _ in range(2 if twice < harm.duplicate else 1):
            if len(self.frames) >= harm.limit:
                self.lost += 1
                return
            carried = now
            if harm.rate:
                self.free_at = carried = max(now, self.free_at) + len(frame) * 8 * 1_000_000_000 // harm.rate
            if reorder < harm.reorder:
                due = carried
            else:
                due = max(carried, carried + harm.delay + round((2 * jitter - 1) * harm.jitter), self.latest)
                self.latest = due
            self.number += 1
            heapq.heappush(self.frames, (due, self.number, frame))

    def due(self):
        """When the next frame arrives, -1 for never."""
        return self.frames[0][0] if self.frames else -1

    def take(self, now):
        """The next frame that has arrived, or None."""
        if self.frames and self.frames[0][0] <= now:
            return heapq.heappop(self.frames)[2]
        return None

    def give_back(self, frame, now):
        """It could not go on yet."""
        heapq.heappush(self.frames, (now, 0, frame))


class Impair(Wrapper):
    """`outward` and `inward` say what happens to frames that are sent and received; None: nothing."""

    def __init__(self, inner, clock, seed=0, outward=None, inward=None):
        super().__init__(inner)
        self.capabilities = 0  # a frame may be damaged: no checksum is left out
        self.clock = clock
        self.out = Lane(outward or Harm(), f"{seed} out")
        self.into = Lane(inward or Harm(), f"{seed} in")
        self.basket = Basket()
        self.tray = Tray(layout.HEADER + inner.mtu)

    def transmit(self, address, length):
        if not layout.HEADER <= length <= layout.HEADER + self.mtu:
            self.errors += 1
            return True
        self.transmitted += 1
        self.out.put(taken(address, length), self.clock.now())
        self.forward()
        return True

    def forward(self):
        """Send what has come to the end of its way out."""
        now = self.clock.now()
        while (frame := self.out.take(now)) is not None:
            if not sent(self.inner, frame):
                self.full += 1
                self.out.give_back(frame, now)
                break

    def receive(self, frames, limit):
        self.forward()
        now = self.clock.now()
        for frame in self.basket.collect(self.inner):
            self.into.put(frame, now)
        found = []
        while len(found) < min(limit, layout.BURST) and (frame := self.into.take(now)) is not None:
            found.append(frame)
        self.received += len(found)
        return self.tray.lay(frames, found)

    def deadline(self, now):
        times = [time for time in (self.out.due(), self.into.due(), self.inner.deadline(now)) if time >= 0]
        return min(times, default=-1)

    def arm(self):
        now = self.clock.now()
        if any(0 <= lane.due() <= now for lane in (self.out, self.into)):
            return False
        return self.inner.arm()
