"""Every seventh frame that a host of Catnip sends is lost, from now on: by `install(libos)` in a program written for
PDPIX, by `catflap run --libos catnip --hook examples/drop_seventh.py PROGRAM` in any other.

What is lost is sent again by the stack, and the program sees nothing of it. `Wrapper` has what else can be done to
frames on their way.
"""

from libos.devices.wrapper import Wrapper


class DropSeventh(Wrapper):
    def transmit(self, address, length):
        if self.transmitted % 7 < 6:
            return super().transmit(address, length)
        self.transmitted += 1
        return True


def install(where):
    where.install("device", DropSeventh)
