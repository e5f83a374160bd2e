"""Offsets of what lies in raw memory. Compiled code takes the same numbers from layout.pxd; a test compares the two.

The *record* of an end is ours alone; words of its two directions are on cache lines of their own. The *slot* of a
connection lies in the memfd that two processes share, a *pair* (libos/pair.py): a header (H_) for each direction, who
writes a word of it is on lines of its own, and the smallest rings. The *wait* (W_) is struct catflap_wait of
csrc/abi.h.
"""

# the record of an end
FD = 0
USERS = 8
BASE = 16
PAIR = 24
SLOT = 32
PEER_BELLS = 40
PEER_NAMES = 48
BELL_SOCKET = 56
IN = 64
IN_RING = 72
IN_MASK = 80
HEAD = 88
IN_LOCK = 96
IN_STATE = 104
POSITION = 112
LOOK_AT = 120  # from when on an empty ring has the spine asked
OUT = 128
OUT_RING = 136
OUT_MASK = 144
TAIL = 152
SEEN_HEAD = 160
OUT_LOCK = 168
OUT_STATE = 176
FULLS = 184
OUR_BELLS = 192
DIRTY = 200
MEETING = 208
STRANGERS_IN = 216
STRANGERS_OUT = 224
SCRATCH = 232
FULL_AT = 240
SET_SCRATCH = 248
MINT = 256  # 32 bits: 1, the peer is beyond a fabric, where the spine may be faster (mint_relay.py); 3, we are deaf
FAULT = 260  # 32 bits: the errno that ended a connection, where the spine can only be reset
IN_LEVEL = 264
OUT_LEVEL = 272
REGION_IN = 280
REGION_OUT = 288
KEPT = 296
LIMIT = 304
SPINS = 312
SLEEPS = 320
OWN_NAMES = 328
LOWAT = 336
REPLAY = 344
FULL_HEAD = 352
OWNER = 360
LEFT = 368
OPTION = 376
PIDS = 384
RECORD = 448
KNOWN = 8  # processes that a record has room for

# the table of records, in an area of its own size's alignment: what the family shares, then what each process has for
# itself
NOTES = 4096
NOTED = 65536
FIRST = NOTES + NOTED
ENDS = 32768
AREA = 1 << 24
PRIVATE = 15 << 20

# the header of a direction: the sender's line, the receiver's, the sender's marks, the receiver's wishes, the sender's
H_TAIL = 0
H_HEAD = 64
H_MARK = 128
H_GROWN = 136
H_RETURNED = 152
H_AGREED = 192
H_BELL = 200
H_WATCHED = 208
H_WINDOW = 216
H_DEAF = 224
H_NEWS = 232  # beyond a fabric: the spine has said something that the sender has not
H_HEARD = 240  # beyond a fabric: the receiver knows that the sender has left the ring
H_LEAVES = 248
H_ROOM_BELL = 256
H_ROOM_WATCHED = 264
H_GONE = 320
HEADER = 512

# of a slot and a pair
SLOT_SIZE = 4096
SMALL_RINGS = 1024
SMALL = 1024
MIDDLE = 1 << 18
BIG = 1 << 22
LEVELS = 3
SIDE = 2048
DIRTY_WORDS = 64
SLOTS = 4096

# states of a direction
PLAIN = 0
AGREED = 1
RING = 2
KERNEL = 3
REPLAYING = 4
PARTING = 7  # beyond a fabric: left, and the peer is to know that before the kernel has more (libos/leaving.py)
OPENING = 5  # to the ring as soon as the far end's own connection is there (libos/relay.py)
MESSAGES = 6  # inward: no ring, but datagrams in the queue of a stack of ours (libos/postbox.py)

# a UDP socket's record in that stack, 0 while it is not on the network: in the place of REPLAY
POST = 344

# the far end of a connection that a stack of ours carries on: its relay, in the place of SET_SCRATCH
RELAY = 248

# the relay between a stack's record and a far end (libos/relay.py)
R_AT = 0
R_FAR = 8
R_OWN = 16
R_FLAGS = 24
R_NEXT = 32
R_SIZE = 64
# R_FLAGS: the connection is not there yet; the program's end of stream was told to the network; the network's to the
# program; the program has closed its socket; the far end can be closed
R_OPENING, R_SAID, R_HEARD, R_RELEASED, R_OVER = 1, 2, 4, 8, 16

# struct catflap_wait
W_DONE = 8
W_DEADLINE = 16
W_PENDING = 24
W_BELL = 32
W_FD = 40
W_EVENTS = 48
W_TIMEOUT = 64

# ns between two times that looks into an empty ring have an end's spine asked
LOOK = 200000

# outside of what a small C constant can be
NEVER = 0x7FFFFFFFFFFFFFFF
# above a tail: the receiver has closed the ring, the sender has left it; CLOSED above a head: the sender has taken
# back the rest
CLOSED = 1 << 63
ENDED = 1 << 62
POSITIONS = (1 << 62) - 1
