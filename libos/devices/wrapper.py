"""A device around a device: the base of those that watch or hurt the traffic. Nothing inside knows of it."""

from libos.devices import layout
from libos.devices.frame_device import PythonDevice
from libos.devices.tray import listed, taken


class Wrapper(PythonDevice):
    """Passes everything on to `inner`; what else a device has, such as its addresses, is the inner one's."""

    def __init__(self, inner):
        super().__init__(inner.mac, inner.mtu)  # nothing is left to the device: what is shown is whole
        self.inner = inner

    def __getattr__(self, name):
        if name == "inner":
            raise AttributeError(name)  # before __init__
        return getattr(self.inner, name)

    def receive(self, frames, limit):
        n = self.inner.receive(frames, limit)
        self.received += n
        for frame in listed(frames, n):
            self.came(frame)
        return n

    def transmit(self, address, length):
        if not layout.HEADER <= length <= layout.HEADER + self.mtu:
            self.errors += 1
            return True
        done = bool(self.inner.transmit(address, length))
        if done:
            self.transmitted += 1
        else:
            self.full += 1
        self.went(taken(address, length), done)
        return done

    def came(self, frame):
        """A frame was received."""

    def went(self, frame, done):
        """A frame was sent, or (not `done`) refused for want of room."""

    def deadline(self, now):
        return self.inner.deadline(now)

    def arm(self):
        return self.inner.arm()

    def disarm(self):
        self.inner.disarm()

    def bell(self):
        return self.inner.bell()

    def close(self):
        self.inner.close()
