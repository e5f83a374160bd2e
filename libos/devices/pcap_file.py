"""A capture file as a device: what it holds is received, what is sent is written to another. Replays a conversation."""

from libos.devices import layout
from libos.devices.capture_file import PcapWriter, read
from libos.devices.frame_device import PythonDevice
from libos.devices.tray import Tray, taken


class PcapFile(PythonDevice):
    """Frames of the file `source` (pcap or pcapng; None: none) come, those sent go to the file `sink` (pcap; None:
    nowhere), with the times of `clock`.

    With `paced`, frames come as far apart as they were captured; otherwise at once. Frames longer than the MTU allows,
    and those that can't be written, are errors. Raises Fail and OSError.
    """

    def __init__(self, source, sink, clock, mac=b"\x02\0\0\0\0\x01", mtu=1500, paced=False):
        super().__init__(mac, mtu)
        self.clock = clock
        self.paced = paced
        self.largest = layout.HEADER + mtu
        self.tray = Tray(self.largest)
        self.frames = read(source) if source else iter(())
        self.ahead = next(self.frames, None)  # (time, frame) that comes next
        self.offset = clock.now() - self.ahead[0] if self.ahead else 0
        self.writer = PcapWriter(sink) if sink else None

    def due(self):
        """When the next frame comes; -1 for never."""
        if self.ahead is None:
            return -1
        return self.ahead[0] + self.offset if self.paced else 0

    def receive(self, frames, limit):
        found = []
        while len(found) < min(limit, layout.BURST) and 0 <= self.due() <= self.clock.now():
            frame = self.ahead[1]
            self.ahead = next(self.frames, None)
            if layout.HEADER <= len(frame) <= self.largest:
                found.append(frame)
            else:
                self.errors += 1
        self.received += len(found)
        return self.tray.lay(frames, found)

    def transmit(self, address, length):
        if not layout.HEADER <= length <= self.largest:
            self.errors += 1
            return True
        try:
            if self.writer:
                self.writer.write(self.clock.now(), taken(address, length))
            self.transmitted += 1
        except OSError:
            self.errors += 1
        return True

    def deadline(self, now):
        return self.due()

    def arm(self):
        return not 0 <= self.due() <= self.clock.now()

    def disarm(self):
        pass

    def close(self):
        self.frames, self.ahead = iter(()), None
        if self.writer:
            self.writer.close()
            self.writer = None
