"""Offsets of the core's records. Compiled code takes the same numbers from layout.pxd; a test compares the two.

An *operation* is two cache lines: what is to be done, then its result, until a wait takes it. A *queue* has two lines
of blocked operations, inbound and outbound. A segment is an address and a length, as in struct iovec (readv(2)).
"""

# an operation
OPERATION = 128
TOKEN = 0  # its qtoken; 0 while the record is free
NEXT = 8  # in a queue's line, among the complete or among the free ones: the neighbours' numbers + 1
PREVIOUS = 16
WAITER = 24  # who sleeps until it is complete; SEVERAL when more than one does
OPCODE = 32  # 32 bits each
QD = 36
STATE = 40
NOTED = 44  # of these
# a connect; a push with an address; one whose buffers have a reference of its own; one that is on its way whole
STARTED, ADDRESSED, HELD, LENT = 1, 2, 4, 8
VALUE = 48  # bytes moved, the new qd of an accept
COUNT = 56  # of segments
SEGMENTS = 64  # two, or, when there are more, the address of all of them
ADDRESS = 96  # struct sockaddr_in or sockaddr_in6 of the peer: where to, where from
PIECES = 96  # of a push of messages: how many are out, and why one of them failed
PIECE_ERROR = 104
ERROR = 124  # errno, 0: none; 32 bits

# an element of a queue in memory: what an operation has from COUNT on
ELEMENT = 64
ARRAY = 40  # bytes of COUNT and SEGMENTS

# a queue
QUEUE_RECORD = 256
KIND = 0  # of these
MEMORY, SOCKET, LOG, MESSAGES = 1, 2, 3, 4
QUEUE_QD = 8  # 0: free, or closed
FD = 16
FIRST_IN = 24  # a line: its ends, and who tries its operations
LAST_IN = 32
DRIVEN_IN = 40  # of these
ALONE, DRIVEN, ONCE_MORE = 0, 1, 2
FIRST_OUT = 48
LAST_OUT = 56
DRIVEN_OUT = 64
RING = 72
MASK = 80
HEAD = 88
TAIL = 96
CAPACITY = 104
SOCKET_TYPE = 112
SOCKET_STATE = 120  # of these
FRESH, BOUND, LISTENING, CONNECTING, CONNECTED = 0, 1, 2, 3, 4
END = 128  # the connection's record of Catloop (libos/endpoint.py), 0: it has none
NEXT_QUEUE = 136  # among the free ones
TURN = 144  # generation of its number
USES = 152  # attempts, and how many make the next step of its way to the rings due
NEXT_STEP = 160
ACCEPTED = 168
LOOP_NEXT = 176  # among those with an END: addresses
LOOP_PREVIOUS = 184
NAME_SIZE = 192  # bytes of its family's struct sockaddr, of these
NAME_4, NAME_6 = 16, 28
FAR = 200  # its peer says when there is something: not every look looks at it
LOG_LINE = 208  # a log's line (libos/log/straight.py)
UNJOINED = 216  # the first of its pushes that is in no group yet
LOG_NEXT = 224  # among the logs: addresses

# a queue of messages has these instead of a ring
FIRST_LENT = 72  # its pushes that are on their way whole: a line
LAST_LENT = 80
FIRST_READY = 88  # connections that can be accepted, by their LOOP_NEXT: addresses
LAST_READY = 96
CONNECTION = 104  # its record in Catmint's core, 0: it has none
FAILED_WITH = 208  # errno of a call, or of pushes to who has gone
PEER_NAME = 216  # NAME_6 bytes

# the head of the table
LOCK = 0
AWAY = 8  # threads that have given the lock back for a system call of theirs
LOOKING = 16  # one of them asks the kernel what has changed
FORKING = 24  # nobody goes away
FREE = 64  # first free operation, how many were ever used; the same of queues
USED = 72
FREE_QUEUE = 80
USED_QUEUES = 88
FIRST_DONE = 96
LAST_DONE = 104
SLEEPERS = 112  # threads asleep, of them those that wait for any operation
SLEEPERS_ANY = 176
WATCHER = 168  # number + 1 of the one of them that sleeps on the epoll set
BELL = 120  # eventfd + 1, which wakes it
EPOLL = 128  # epoll set + 1
GENERATION = 144
FIRST_LOOP = 152
WORTH = 160  # uses of a connection before Catloop looks for its other end; 0: Catnap
ATTENTION = 184  # the qd of one whose next step is due
LOOP_BELL = 136  # number of the bell that peers ring
LOOP_BELL_FD = 456
SPIN = 464  # ns that a wait looks before it sleeps
SLEEP_WORD = 448  # address of the word that tells them to
LINEAR = 472  # 1: every look looks at all connections with rings
NEAR = 480  # four words: connections that every look looks at
NEARS = 4
FARS = 32  # how many others there are
FIRST_PAIR = 40  # block of the first pair (libos/pair.py) in which peers say so
FIRST_LOG = 272
LOGS = 280  # whose the volume is for them, of these; 0: there is none
OWNED, SHARED = 1, 2
LOG_WANTED = 288  # something is its machine's to do (libos/core/stores.py)
LOG_CLAIMED = 296  # which is doing it
LOG_WRITING = 304  # a group is on its way
SOCKETS = 312  # how many queues are sockets
QUEUE_OF_END = 48  # address of a word for each end: its queue
ENDS_AT = 56  # where the ends lie
COUNTERS = 192  # words
SCRATCH = 512  # for one system call under the lock
EVENT_SCRATCH = 2048
ROTATIONS = 3072  # 64 words: where the next wait on an array of qtokens begins, by the array's address
MESSAGING = 3584  # whether the queues are of messages: the table has a transport
MESSAGE_SCRATCH = 3648  # what the core says of a message
HEAD_SIZE = 4096
STEWARD, MESSAGE_BELL = 1, 2  # what the epoll set and ATTENTION say of the two; no queue has these numbers
OPENING_LOOK = 1000000  # ns between two looks at connections that begin

# a waiter
WAITERS = 1024
WAITER_RECORD = 64
WORD = 0  # futex(2), of these
AWAKE, ASLEEP, WOKEN = 0, 1, 2
WAITS_FOR_ANY = 8
WAITS_WITH_OTHERS = 16
LIMIT = 24  # of its sleep, struct timespec
EVENT = 40  # what it has slept for, struct epoll_event
SEVERAL = 65536

# counters
INLINE, BLOCKED, COMPLETED, FAILED_OPERATIONS, COPIED, SYSTEM_CALLS, LOOKS, SLEPT, RINGS = 0, 1, 2, 3, 4, 5, 6, 7, 8

# opcodes, as in demi/types.h, and states
PUSH, POP, ACCEPT, CONNECT, CLOSE, FAILED = 1, 2, 3, 4, 5, 6
WAITING, DONE, TAKEN = 1, 2, 3

FIRST_QD = 500
LOG_BELL = 499  # no qd: in the epoll set, the device of the logs
SLOTS = 21  # bits of a qtoken that number its record
QUEUES = 16  # bits of qd - FIRST_QD that number its record
SEGMENTS_MAX = 20
SMALL = 1024  # bytes up to which copying is cheaper than keeping
POP_SIZE = 65536
