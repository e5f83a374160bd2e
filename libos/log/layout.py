"""Numbers of the format on the device (docs/cattree.md). Compiled code takes some from layout.pxd; a test compares."""

VERSION = 3  # what is written
VERSIONS = (1, 2, 3)  # what is read
SUPERBLOCK = 512  # bytes of it that mean something
COPIES = 4096  # from one copy to the other
SEGMENTS = 8192  # where the segments begin
SEGMENT = 1048576  # bytes of each, by default
NONE = 0xFFFFFFFF  # no segment: a hole is there

GROUP_MAGIC = 0x47746143  # "CatG"
G_CRC = 4
G_SEQUENCE = 8
G_PREVIOUS = 16
G_NEXT = 24
G_BLOCKS = 28
G_HEAD = 32
G_COUNT = 36
G_VOLUME = 40
G_SEGMENT = 48
G_OFFSET = 52
HEADER = 64

R_KIND = 0
R_LOG = 4
R_OFFSET = 8
R_LENGTH = 16
R_CRC = 20
R_PLACE = 24
R_ZERO = 28
RECORD = 32

DATA, NAME, TRUNCATE, RESET, MOVED, CHECKPOINT, UNLINK, END = 1, 2, 3, 4, 5, 6, 7, 8

LARGE = 4096  # payloads from this size on are written from where they lie
LARGEST = 524288  # bytes of an element
SHARE = 262144  # bytes of a group, unless one element alone needs more
SPARING = 8  # times its own size is written before there is another checkpoint
MANY = 200  # large payloads in a group: each takes two of the 1024 places of a vector (IOV_MAX)

# a line of straight.py: the log's number; offset of what comes next; bytes that the machine does not know of yet;
# whether something has failed; the group that has the last of them
L_LOG = 0
L_GIVEN = 8
L_SINCE = 16
L_DOUBT = 24
L_GROUP = 32
LINE = 40
STRAIGHT_ROOM = 524288  # bytes of a group
STRAIGHT_MOST = 64  # records of one
