"""Frames as bytes for devices that are written in Python: memory that lasts from one `receive` to the next."""

import ctypes

from libos.devices import layout


def taken(address, length):
    """A copy of a frame in raw memory."""
    return ctypes.string_at(address, length)


def sent(device, frame):
    """Send bytes; what the device's `transmit` answers."""
    room = ctypes.create_string_buffer(frame, max(len(frame), 8))
    return bool(device.transmit(ctypes.addressof(room), len(frame)))


class Tray:
    """Room for one burst of frames of at most `largest` bytes."""

    def __init__(self, largest):
        self.stride = (layout.SPARE + largest + 63) & ~63
        self.room = ctypes.create_string_buffer(layout.BURST * self.stride)
        self.place = ctypes.addressof(self.room)

    def lay(self, frames, found):
        """Put the frames of a list into the array at `frames`, as FrameDevice.receive does; how many there are."""
        entries = (ctypes.c_uint64 * (2 * len(found))).from_address(frames)
        for i, frame in enumerate(found):
            at = self.place + i * self.stride + layout.SPARE
            ctypes.memmove(at, frame, len(frame))
            entries[2 * i], entries[2 * i + 1] = at, len(frame)
        return len(found)


class Basket:
    """Room for the entries of one burst of another device."""

    def __init__(self):
        self.entries = (ctypes.c_uint64 * (2 * layout.BURST))()
        self.at = ctypes.addressof(self.entries)

    def collect(self, device, limit=layout.BURST):
        """What a device has received, as a list of bytes."""
        return listed(self.at, device.receive(self.at, limit))


def listed(frames, count):
    """The first `count` frames of an array, as bytes."""
    entries = (ctypes.c_uint64 * (2 * count)).from_address(frames)
    return [taken(entries[2 * i], entries[2 * i + 1] & layout.LENGTH) for i in range(count)]
