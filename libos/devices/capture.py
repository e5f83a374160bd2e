"""The frames of a device, written to a pcapng file that tcpdump and Wireshark read, while they pass."""

import time

from libos.devices.capture_file import INBOUND, OUTBOUND, PcapngWriter
from libos.devices.wrapper import Wrapper


class Capture(Wrapper):
    """Written at once, each with its direction; times by `clock`, moved to the time of day (`day`: ns since 1970). A
    frame that the device had no room for is not written. A file that can't be written ends the capture (`failure`), not
    the traffic.
    """

    def __init__(self, inner, path, clock, day=None):
        super().__init__(inner)
        self.clock = clock
        self.offset = (time.time_ns() if day is None else day) - clock.now()
        self.failure = None
        self.writer = PcapngWriter(path)

    def write(self, frame, direction):
        if self.failure is None:
            try:
                self.writer.write(self.clock.now() + self.offset, frame, direction)
            except OSError as error:
                self.failure = error

    def came(self, frame):
        self.write(frame, INBOUND)

    def went(self, frame, done):
        if done:
            self.write(frame, OUTBOUND)

    def close(self):
        super().close()
        self.writer.close()
