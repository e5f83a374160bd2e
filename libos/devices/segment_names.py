"""How hosts of one machine find their segment, and each its port in it: no daemon, no file, no root.

The names are abstract Unix ones (unix(7)), which the kernel gives back when their holder ends, however that comes:

  .../lock             is held for the moments in which a segment is made or joined
  .../PORT             a port's bell; who has this name has the port, and the addresses that follow from its number
  .../at/PID/FD/INODE  where the file in memory of a living host is found, under /proc

They begin with the uid, the PID namespace and the segment's name. Anyone may bind such a name, so it proves nothing: a
file is used if it is ours, closed to others and sealed.
"""

import _socket
import os
import re
import stat
import time

from libos import own_socket
from libos.errors import Fail, Kind
from libos.memory_file import high

NAME = re.compile(r"[A-Za-z0-9._-]{1,32}")
PATIENCE = 5.0  # seconds: a holder of the lock that is stopped holds up whoever comes then


class Names:
    """The names of one segment, `name` as the user calls it. Raises INVALID for a name that can't be."""

    def __init__(self, name):
        if not NAME.fullmatch(name):
            raise Fail(Kind.INVALID, f"a segment's name has 1 to 32 letters, digits and ._-, not {name!r}")
        space = os.stat("/proc/self/ns/pid").st_ino
        self.base = f"catflap/ethernet/{os.geteuid()}/{space}/{name}/"

    def bound(self, leaf):
        """The descriptor of a datagram socket of that name, which nobody else has meanwhile; -1 where somebody has."""
        sock = own_socket.made(_socket.AF_UNIX, _socket.SOCK_DGRAM)
        try:
            sock.bind(self.address(leaf))
        except OSError as error:
            sock.close()
            if error.errno == 98:  # EADDRINUSE
                return -1
            raise
        return high(sock.detach())

    def address(self, leaf):
        return b"\0" + f"{self.base}{leaf}".encode()

    def lock(self):
        """The descriptor whose closing gives the lock back. Raises IN_USE when somebody keeps it."""
        end = time.monotonic() + PATIENCE
        while True:
            held = self.bound("lock")
            if held >= 0:
                return held
            if time.monotonic() > end:
                raise Fail(Kind.IN_USE, f"another process keeps the Unix name @{self.base}lock")
            time.sleep(0.001)

    def announced(self):
        """(process, descriptor, inode) of each place where somebody says that the file is found."""
        pattern = re.compile(re.escape(f"@{self.base}at/") + r"(\d{1,10})/(\d{1,10})/(\d{1,20})$")
        with open("/proc/net/unix", errors="replace") as file:
            for line in file:
                found = pattern.search(line.rstrip("\n"))
                if found:
                    yield tuple(int(word) for word in found.groups())

    def file(self):
        """A descriptor of the segment's file, held by a living host; -1 where there is none."""
        for process, number, inode in self.announced():
            path = f"/proc/{process}/fd/{number}"
            try:
                if not private(os.stat(path), inode):
                    continue
                fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
            except OSError:
                continue
            if private(os.fstat(fd), inode):
                return high(fd)
            os.close(fd)
        return -1


def private(facts, inode):
    """Whether what stat(2) says is of that inode, a regular file of ours that is closed to others."""
    return (
        facts.st_ino == inode
        and stat.S_ISREG(facts.st_mode)
        and facts.st_uid == os.geteuid()
        and not facts.st_mode & 0o077
    )
