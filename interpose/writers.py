"""Who writes to a file in this process, and whether all of them only append: by what the kernel says of each number,
and by what we have seen of those that write one byte after the other.
"""

import fcntl
import os
import posix

from interpose import file_state


class Writers:
    """`sequential`: by number, the file (device and inode) that it was opened to write to without O_APPEND."""

    def __init__(self):
        self.sequential = {}

    def appends(self, fd, key):
        """Whether what is written by this number comes to the file's end, as far as we can see."""
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        access = flags & os.O_ACCMODE
        if access == os.O_RDONLY or (access == os.O_WRONLY and flags & os.O_APPEND):
            return True
        return self.sequential.get(fd) == key

    def number_of(self, key):
        """A number that this process has for the file; -1 when there is none."""
        for name in posix.listdir("/proc/self/fd"):
            try:
                if file_state.of_number(int(name)).key == key:
                    return int(name)
            except OSError:
                continue
        return -1

    def all_append(self, key, size):
        """The same of every number that this process has for the file, of `size` bytes."""
        for name in posix.listdir("/proc/self/fd"):
            fd = int(name)
            try:
                if file_state.of_number(fd).key != key:
                    continue
                if not self.appends(fd, key):
                    return False
                if self.sequential.get(fd) == key and os.lseek(fd, 0, os.SEEK_CUR) < size:
                    return False
            except OSError:  # closed meanwhile, as the listing's own
                continue
        return True
