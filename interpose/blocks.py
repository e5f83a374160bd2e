"""Offsets of an epoll set's block and its entries in raw memory; compiled code takes them from blocks.pxd.

A block: how many entries were ever used, its lock, waits begun, entries whose connections may move to a ring, threads
that wait for it in the kernel, the bell armed for all of it, whether every entry is looked at at each scan, the free
entries, where the next scan begins, spins in vain, the descriptor, whether another set or poll(2) waits for it as a
descriptor, looks at the kernel in a row that found nothing, when the last was, whether a connection is ending, how
many numbers the set has, whether others may use the kernel's set, the next block without a set, whether bytes that a
reader has given back wait for room in the kernel, an event for epoll_ctl(2), under the lock; then one bit for each
entry that has to be looked at (TOP over READY), the entries by what the program recognises them by, the entries.
"""

COUNT = 0
LOCK = 8
TURN = 16
HOPES = 24
PLAIN = 32
ARMED = 40
LINEAR = 48
FREE = 56
CURSOR = 64
MISSES = 72
EP = 80
NESTED = 88
EMPTIES = 96
LOOKED = 104
ENDING = 112
NUMBERS = 120
SHARED = 128
SPARE = 136
REPLAYS = 144
SAID = 152
TOP = 192
READY = 320
BUCKETS = 8512
FIRST = 16960

# an entry: the end, the number it was added under, what is wanted, the program's data, what was reported last, the
# next entry of the end and of the bucket, the block, what the kernel is asked for, whether the program has removed it
# (HIDDEN while the kernel does not know that yet, REMOVED once it does)
END = 0
FD = 8
EVENTS = 16
DATA = 24
SEEN_TAIL = 32
SEEN_FULLS = 40
OF_END = 48
OF_BUCKET = 56
BLOCK = 64
KERNEL = 72
GONE = 80
SIZE = 88

HIDDEN = 1
REMOVED = 2
EPS = 65536
ENTRIES = 65536
EVENT = 12  # bytes of a struct epoll_event on x86-64
