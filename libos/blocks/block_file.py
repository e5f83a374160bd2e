"""Files and block devices, opened for direct I/O: one owner, no more metadata to change."""

import ctypes
import fcntl
import os
import stat
import struct

from libos.errors import Fail, Kind

CHUNK = 1 << 20
AT_EMPTY_PATH, STATX_DIOALIGN = 0x1000, 0x2000  # linux/stat.h; statx(2)
BLKGETSIZE64, BLKSSZGET = 0x80081272, 0x1268  # linux/fs.h


class BlockFile:
    """`fd`, `size`, `whole`: it is a block device; of direct I/O: `block`, `align`; `write_through`: the device has no
    volatile cache.
    """

    def __init__(self, path, size=None):
        """Make the file of `size` bytes if it is not there. Raises Fail: IN_USE, INVALID, NO_SPACE, DEVICE."""
        try:
            self.fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if size else 0), 0o600)
        except OSError as error:
            raise Fail.of_kernel(error)
        try:
            self.prepare(path, size)
        except OSError as error:
            os.close(self.fd)
            raise Fail.of_kernel(error)
        except Fail:
            os.close(self.fd)
            raise

    def prepare(self, path, size):
        found = os.fstat(self.fd)
        whole = self.whole = stat.S_ISBLK(found.st_mode)
        if not (whole or stat.S_ISREG(found.st_mode)):
            raise Fail(Kind.INVALID, f"{path} is neither a file nor a block device")
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Fail(Kind.IN_USE, f"{path} is in use: a device of Cattree has one owner")
        if whole:
            word = bytearray(8)
            fcntl.ioctl(self.fd, BLKGETSIZE64, word)
            (self.size,) = struct.unpack("<Q", word)
        else:
            if not found.st_size:
                fill(self.fd, size)
            self.size = os.fstat(self.fd).st_size
        fcntl.fcntl(self.fd, fcntl.F_SETFL, fcntl.fcntl(self.fd, fcntl.F_GETFL) | os.O_DIRECT)
        self.align, self.block = alignment(self.fd)
        if whole:
            word = bytearray(4)
            fcntl.ioctl(self.fd, BLKSSZGET, word)
            self.align = self.block = max(struct.unpack("<I", word)[0], 512)
        number = found.st_rdev if whole else found.st_dev
        self.write_through = cached(number) == "write through"


def fill(fd, size):
    """Give a file its blocks, and have them written once: later writes change no metadata."""
    os.posix_fallocate(fd, 0, size)
    zeros = bytes(CHUNK)
    for offset in range(0, size, CHUNK):
        os.pwrite(fd, zeros[: size - offset], offset)
    os.fsync(fd)


def alignment(fd):
    """(of memory, of offsets and lengths) for direct I/O: as the file system says, or a page (statx(2))."""
    found = ctypes.create_string_buffer(256)
    if ctypes.CDLL(None).statx(fd, b"", AT_EMPTY_PATH, STATX_DIOALIGN, found) == 0:
        mask, memory, offset = struct.unpack_from("<I", found, 0)[0], *struct.unpack_from("<II", found, 152)
        if mask & STATX_DIOALIGN and 0 < offset <= 4096:
            return max(memory, 8), max(offset, 512)
    return 4096, 4096


def cached(number):
    """What the kernel says of a block device's cache: "write back", "write through", or "" for nothing."""
    place = f"/sys/dev/block/{os.major(number)}:{os.minor(number)}"
    for folder in (place, place + "/.."):  # a partition has its disk above it
        try:
            with open(folder + "/queue/write_cache") as file:
                return file.read().strip()
        except OSError:
            continue
    return ""
