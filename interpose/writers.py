"""Who writes to a file in this process, and whether all of them only append: by what the kernel says of each number,
and by what we have seen of those that write one byte after the other.
"""

import os
import posix

from interpose import file_state, syncing


def number_of(key):
    """A number that this process has for the file; -1 when there is none."""
    for name in posix.listdir("/proc/self/fd"):
        try:
            if file_state.of_number(int(name)).key == key:
                return int(name)
        except OSError:
            continue
    return -1


def all_append(key, size):
    """The same of every number that this process has for the file, of `size` bytes."""
    for name in posix.listdir("/proc/self/fd"):
        fd = int(name)
        try:
            if file_state.of_number(fd).key != key:
                continue
            if not syncing.appends(fd, key[1]):
                return False
            if syncing.follows(fd, key[1]) and os.lseek(fd, 0, os.SEEK_CUR) < size:
                return False
        except OSError:  # closed meanwhile, as the listing's own
            continue
    return True
