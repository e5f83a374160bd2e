"""Offsets in the record of a file that is kept; compiled code takes them from kept.pxd.

64 bits each: the file, 0 while the record is nobody's; bytes of it that were durable when its journal began, and are
now; the ctime, in ns, up to which its metadata are durable; whether there is a journal; when it was made durable last;
a descriptor of ours to read it by, or 0; how many bytes there are of those before the end, and they. The record's
number is that of its journal's line (libos/log/straight.py).
"""

INODE = 0
START = 8
END = 16
CHANGED = 24
BEGUN = 32
USED = 40
READER = 48
LENGTH = 56
BYTES = 64
BEFORE = 256
SIZE = 320
NUMBERS = 65536  # descriptors that may be known to write one byte after the other
