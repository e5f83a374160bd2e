"""Numbers of the frame devices and of the shared segment's memory. Compiled code takes them from layout.pxd; a test
compares the two.

A *segment* is one file in memory: a head page, for each port a record (P_) whose words lie on lines apart by who writes
them, and for each port a ring of slots, of which a page takes memory once it was used.
"""

HEADER = 14  # bytes of an Ethernet header (IEEE 802.3, 3.1.1)
BURST = 64  # no device hands out more frames at a time
FRAME = 16  # bytes of an entry of the array that `receive` fills: address, length
SPARE = 2  # free bytes before a frame handed out, so that its IP header begins at a multiple of 4

# the head of a segment
PORTS = 256
S_MAGIC = 0
S_MTU = 8
S_SLOTS = 16
S_NETWORK = 24
S_PREFIX = 32
S_ID = 40
S_NEXT = 64
S_UP = 128
S_RECORDS = 4096
S_RINGS = 135168

# the record of a port
P_TAIL = 0  # position of the next slot that a sender takes
P_HEAD = 128  # positions before it have been read
P_SLEEPER = 256  # whoever fills a slot rings the bell
P_PID = 264
P_INTENT = 384  # the last slot that this port took as a sender: receiver << 48 | position
RECORD = 512

# the word of a slot: turn << 32 | sender << 16 | length; then the frame
S_FRAME = 8
S_BESIDE = 56  # bytes of the frame that lie in the word's cache line
PATIENCE = 1000000  # ns that a slot may be taken and not filled before its sender is looked for

# the private memory of a port, which a forked child finds zeroed
M_OURS = 0
M_SCRATCH = 8
M_HEADS = 4096
M_LEARNED = 6144
M_NAMES = 8192
M_NAME = 128
M_FRAMES = 40960

# the header before a frame that says what its sender's kernel has left undone (struct virtio_net_hdr)
V_BEFORE = 10
V_UNDONE = 1  # a checksum is to be completed
V_SEGMENTS = 0xFF00  # more segments than one
V_KIND = 0x7F  # of them, by ECN or not
V_TCP4 = 1
V_TCP6 = 4
V_UDP = 5
UDP_SUM = 6
TCP_SUM = 16

# of an AF_PACKET device: what comes before a frame in a slot of its ring, at most, what a slot's status says
# (TP_STATUS_USER, TP_STATUS_COPY), and its own memory: room for a frame of any size, and for what is cut out of it
A_FRAME = 96
A_FILLED = 1
A_BESIDE = 2
A_BIG = 1042
A_LARGEST = 65553  # an IP packet, and a header with a tag
A_PIECES = 69632
ENOBUFS = 105

# of an AF_XDP device: entries of each ring, as many chunks to receive into as to send from; its own memory: chunks that
# are handed out, and that are free; ns after which the kernel is asked again to send
X_CHUNKS = 1024
X_SCRATCH = 0
X_HELD = 128
X_FREE = 1024
X_SIZE = 12288
X_AGAIN = 50000

# outside of what a small C constant can be
LENGTH = (1 << 32) - 1  # of a frame, in the second word of an entry
VOUCHED = 1 << 32  # with it: the device vouches for the frame's checksums
MAC = (1 << 48) - 1
OUI = (1 << 40) - 1  # of a MAC read as a little-endian number: all but the last byte
POSITIONS = (1 << 48) - 1
TURNS = (1 << 32) - 1
