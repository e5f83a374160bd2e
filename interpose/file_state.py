"""What the kernel says of a file, and no more than is asked (statx(2)): a file whose times somebody has looked at gets
new ones with its very next write, and that makes whatever is made durable then slower, on ext4 by half.
"""

import ctypes
import os
import stat
import struct

from libos.blocks.waiting import function

AT_FDCWD, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH = -100, 0x100, 0x1000  # fcntl.h
WHAT, TIMES, BIRTH = 0x307, 0xC0, 0x800  # linux/stat.h: TYPE, MODE, NLINK, INO and SIZE; CTIME and MTIME; BTIME
FIELDS = struct.Struct("<I12xI8xH2xQQ32xqI4xqI4xqI12xII")  # struct statx
WORDS = ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p
STATX = function("statx", *WORDS)
ROOM, SECOND = 256, 10**9


class FileState:
    """`key`: device and inode; `regular`, `links`, `size`. If they are asked for, in ns since 1970: `changed` and
    `written` by `times`, `born` by `birth`; 0 for a birth that the file system does not tell.
    """

    __slots__ = ("key", "regular", "links", "size", "changed", "written", "born")

    def __init__(self, fd, path, flags, more):
        room = ctypes.create_string_buffer(ROOM)
        if STATX(fd, path, flags, WHAT | more, ctypes.addressof(room)) != 0:
            raise FileNotFoundError(path)
        mask, links, mode, inode, size, *times, major, minor = FIELDS.unpack_from(room)
        self.key = os.makedev(major, minor), inode
        self.regular = stat.S_ISREG(mode)
        self.links = links
        self.size = size
        self.born, self.changed, self.written = (times[i] * SECOND + times[i + 1] for i in (0, 2, 4))
        if not mask & BIRTH:
            self.born = 0


def of_number(fd, more=0):
    """Of an open descriptor. `more`: TIMES, BIRTH. Raises FileNotFoundError where there is none."""
    return FileState(fd, b"", AT_EMPTY_PATH, more)


def of_path(path, more=0):
    """The same of a path (bytes); of a symbolic link itself."""
    return FileState(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, more)


def device_word(device):
    """A device number as a struct statx has it: the major number, then the minor one, 32 bits each."""
    return os.minor(device) << 32 | os.major(device)
