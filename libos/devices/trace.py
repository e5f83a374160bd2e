"""One readable line for each frame of a device."""

from libos.devices.describe import describe
from libos.devices.wrapper import Wrapper


class Trace(Wrapper):
    """`write(line)` is called for every frame: seconds since the start by `clock`, its way, what it is.

    "<" is a frame that was received, ">" one that was sent, "x" one that the device had no room for.
    """

    def __init__(self, inner, write, clock):
        super().__init__(inner)
        self.write = write
        self.clock = clock
        self.start = clock.now()

    def line(self, way, frame):
        seconds, rest = divmod(self.clock.now() - self.start, 1_000_000_000)
        self.write(f"{seconds}.{rest // 1000:06} {way} {describe(frame)}")

    def came(self, frame):
        self.line("<", frame)

    def went(self, frame, done):
        self.line(">" if done else "x", frame)
