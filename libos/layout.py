"""Offsets of what lies in raw memory. Compiled code takes the same numbers from layout.pxd; a test compares the two.

The *record* of an end is ours alone. The *header* (H_) of a direction lies in the segment that the peer maps too; who
writes a word of it is on cache lines of its own. The *wait* (W_) is struct catflap_wait of csrc/abi.h.
"""

FD = 0
MASK = 8
PEER_BELLS = 16
OUR_BELLS = 24
PEER_NAMES = 32
BELL_SOCKET = 40
USERS = 48
BASE = 56
IN = 64
IN_RING = 72
IN_LOCK = 80
HEAD = 88
IN_STATE = 104
POSITION = 112
EMPTY = 120
OUT = 128
OUT_RING = 136
OUT_LOCK = 144
TAIL = 152
SEEN_HEAD = 160
OUT_STATE = 168
STRANGERS_IN = 176
STRANGERS_OUT = 184
FULLS = 192
SCRATCH = 200
H_TAIL = 0
H_HEAD = 64
H_MARK = 128
H_AGREED = 192
H_BELL = 200
H_CLOSED = 208
H_ROOM_BELL = 256
PLAIN = 0
AGREED = 1
RING = 2
KERNEL = 3
W_DONE = 8
W_DEADLINE = 16
W_PENDING = 24
W_BELL = 32
W_FD = 40
W_EVENTS = 48
W_ATTEND = 56
W_TIMEOUT = 64
NEVER = 0x7FFFFFFFFFFFFFFF
RECORD = 256
LOOK = 64
