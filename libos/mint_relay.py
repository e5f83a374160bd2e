"""A relay of Catmint carries one connection between a program's rings and a connection of the fabric's core.

The program's end has rings beside its kernel connection, as Catloop's ends do, and so has the end of the program at the
other side; in place of Catloop's shared memory, two relays lie between. Each says what its program has put into its
header words (libos/layout.py) and sends the bytes of its ring; the other one puts that where its program looks.
Positions are the same at both sides, and bytes stay in their ring until the other program has taken them: so what a
program gives back is still there, and no ring is ever too small for what comes.

A message begins with two words: flags below, and above bit 32 after how many bytes taken the sender wants to hear of
it; then the position up to which the sender's program has taken. With STATED two more follow, the mark and the bytes
of a SO_RCVBUF that the program has set; without it, bytes of the stream.

Everything here is called under the gateway's lock.
"""

from libos import calls, layout, leaving, raw, rings, spine

COMPILED = __file__.endswith(".so")
PLAIN, STATED = 16, 32  # bytes of a message before the stream's, and of one that has none
PIECE = 4040  # bytes of the stream in a message: with all headers 4 KiB, which `shm` carries without a second thought
# flags of a message: the program reads from its ring; the mark is there; it sends no more by its ring; it reads no more
# from its ring; nor anywhere; all that it had back is sent again; the other's LEFT has come; the two words follow
AGREED, MARKED, LEFT, CLOSED, DEAF, RETURNED, HEARD, STATE = 1, 2, 4, 8, 16, 32, 64, 128
# of a relay, behind what it has in common with Catnip's (libos/layout.py): the flags, the SO_RCVBUF, the position and
# the wish that were told last; the other's wish; the process at the other side
SAID, WINDOW, TOLD, WISH, WISHED, PEER, SIZE = 40, 48, 56, 64, 72, 80, 128
# flags of it (R_FLAGS): the connection of the core is lost; the other side has said LEFT; the spine has said something
# that the other side has not, and may be dead; bytes have come, of which the other side will hear later that they were
# taken; it hears when all of them are
R_BROKEN, R_HEARD, R_SUSPECT, R_OWING, R_LATE = 32, 64, 128, 256, 512


def begin(relay, peer):
    """A new relay, whose other side is the process `peer`, 0 for one of another machine."""
    for offset in range(SAID, SIZE, 8):
        raw.store(relay + offset, 0)
    raw.store(relay + PEER, peer)


def has(relay, flag):
    return raw.load(relay + layout.R_FLAGS) & flag != 0


def mark(relay, flag):
    raw.store(relay + layout.R_FLAGS, raw.load(relay + layout.R_FLAGS) | flag)


def unmark(relay, flag):
    raw.store(relay + layout.R_FLAGS, raw.load(relay + layout.R_FLAGS) & raw.invert(flag))


def quarter(far):
    """After how many bytes taken a sender wants to hear of it: a quarter of what may be in flight."""
    own = raw.load(raw.load(far + layout.RELAY) + layout.R_OWN)
    if own:
        return rings.capacity(own) // 4 + 1
    return 0


def head_of(far):
    """Up to where our program has taken what came."""
    return raw.load(raw.load(far + layout.OUT) + layout.H_HEAD) & layout.POSITIONS


def flags_of(relay, far):
    """What there is to say of our program's side."""
    inward = raw.load(far + layout.OUT)
    outward = raw.load(far + layout.IN)
    flags = 0
    if raw.load(inward + layout.H_AGREED):
        flags |= AGREED
    if raw.load(inward + layout.H_TAIL) & layout.CLOSED:
        flags |= CLOSED
        if raw.load(inward + layout.H_DEAF):
            flags |= DEAF
    if raw.load(outward + layout.H_MARK):
        flags |= MARKED
    if raw.load(outward + layout.H_RETURNED):
        flags |= RETURNED
    if has(relay, R_HEARD):
        flags |= HEARD
    tail = raw.load(outward + layout.H_TAIL)
    if tail & layout.ENDED and (tail & layout.CLOSED or tail & layout.POSITIONS == raw.load(far + layout.HEAD)):
        flags |= LEFT
    return flags


def write(relay, far, at, flags):
    """The two words that every message begins with, at `at`."""
    head, wish = head_of(far), quarter(far)
    raw.store(at, flags | wish << 32)
    raw.store(at + 8, head)
    raw.store(relay + TOLD, head)
    raw.store(relay + WISH, wish)


def state(relay, far, at, flags):
    """A message of words only, at `at`: its bytes."""
    window = raw.load(raw.load(far + layout.OUT) + layout.H_WINDOW)
    write(relay, far, at, flags | STATE)
    raw.store(at + 16, raw.load(raw.load(far + layout.IN) + layout.H_MARK))
    raw.store(at + 24, window)
    raw.store(relay + SAID, flags)
    raw.store(relay + WINDOW, window)
    return STATED


def next_message(relay, at):
    """What is to be sent next, written to `at`: its bytes, 0 for nothing. It counts as said."""
    far = raw.load(relay + layout.R_FAR)
    if not raw.load(far + layout.IN):
        return 0
    flags = flags_of(relay, far)
    window = raw.load(raw.load(far + layout.OUT) + layout.H_WINDOW)
    if flags != raw.load(relay + SAID) or window != raw.load(relay + WINDOW):
        return state(relay, far, at, flags)
    there = 0
    if flags & MARKED and not raw.load(raw.load(far + layout.IN) + layout.H_TAIL) & layout.CLOSED:
        there = rings.inbound_here(far)
    if there:
        if there > PIECE:
            there = PIECE
        head = raw.load(far + layout.HEAD)
        write(relay, far, at, 0)
        rings.span(raw.load(far + layout.IN_RING), raw.load(far + layout.IN_MASK), head, at + PLAIN, there, True)
        raw.store(far + layout.HEAD, head + there)
        return PLAIN + there
    if taken(relay, far) or quarter(far) * 2 < raw.load(relay + WISH):
        write(relay, far, at, 0)
        return PLAIN
    return 0


def taken(relay, far):
    """Whether our program has taken so much that the other side wants to hear of it. Its reads tell us, when it may."""
    wish = raw.load(relay + WISHED)
    told = raw.load(relay + TOLD)
    word = raw.load(far + layout.OUT) + layout.H_ROOM_WATCHED
    late = has(relay, R_LATE)
    if late:
        raw.store(word, 1)
        raw.fence()
        if head_of(far) == raw.load(far + layout.TAIL):
            unmark(relay, R_LATE)
            return head_of(far) != told
    if wish == 0 or raw.load(far + layout.TAIL) - told < wish:
        if not late:
            raw.store(word, 0)
        return False
    raw.store(word, 1)
    raw.fence()
    return head_of(far) - told >= wish


def repay(relay):
    """The other side is told what our program has taken, though it is little: who asks what is on its way still hears
    of it (tcp(7), SIOCOUTQ). Where bytes are unread, when they are read.
    """
    unmark(relay, R_OWING)
    mark(relay, R_LATE)


def arrived(relay, at, length):
    """A message of the other side: false where it can't be."""
    far = raw.load(relay + layout.R_FAR)
    if length < PLAIN:
        return False
    flags = raw.load(at)
    if not progressed(far, raw.load(at + 8)):
        return False
    raw.store(relay + WISHED, flags >> 32)
    if flags & STATE:
        return length == STATED and stated(relay, far, flags, raw.load(at + 16), raw.load(at + 24))
    return length == PLAIN or deposit(relay, far, at + PLAIN, length - PLAIN)


def progressed(far, head):
    """The other program has taken up to there what ours has sent: false where that can't be."""
    header = raw.load(far + layout.IN)
    known = raw.load(header + layout.H_HEAD)
    if head > raw.load(far + layout.HEAD):
        return False
    if not known & layout.CLOSED and head > known and raw.compare_exchange(header + layout.H_HEAD, known, head):
        rings.tell_sender(far)
    return True


def stated(relay, far, flags, position, window):
    inward = raw.load(far + layout.OUT)
    outward = raw.load(far + layout.IN)
    if flags & AGREED:
        raw.store(outward + layout.H_WINDOW, window)
        raw.store(outward + layout.H_AGREED, 1)
    if flags & MARKED and not raw.load(inward + layout.H_MARK):
        raw.store(inward + layout.H_MARK, position)
        rings.tell_receiver(far)
    if flags & RETURNED:
        raw.store(inward + layout.H_RETURNED, 1)
        rings.tell_receiver(far)
    if flags & LEFT and not has(relay, R_HEARD):
        finished(relay, far)
    if flags & HEARD:
        raw.store(outward + layout.H_HEARD, 1)
        tell_all(far)
        settle(relay)
    if flags & CLOSED and not raw.load(outward + layout.H_TAIL) & layout.CLOSED:
        if flags & DEAF:
            raw.store(outward + layout.H_DEAF, 1)
        unread(far)
        settle(relay)
    return True


def settle(relay):
    """Do for our program what the other side's leaving asks of it: it may not call again for long."""
    own = raw.load(relay + layout.R_OWN)
    if own and raw.load(own + layout.OWNER) == rings.HERE.pid:
        leaving.settle(own)


def finished(relay, far):
    """All that comes to our program by the ring is there."""
    mark(relay, R_HEARD)
    unmark(relay, R_SUSPECT)
    raw.fetch_or(raw.load(far + layout.OUT) + layout.H_TAIL, layout.ENDED)
    rings.tell_receiver(far)


def unread(far):
    """The other program takes no more: ours, and whoever of it sleeps, has something to do (leaving.close_inward)."""
    leaving.shut(raw.load(far + layout.IN))
    tell_all(far)


def tell_all(far):
    """Whoever of our program waits for its connection, whatever for, has something to do."""
    rings.soil(far)
    rings.ring_bell(far, raw.load(far + layout.IN) + layout.H_ROOM_BELL)
    rings.ring_bell(far, raw.load(far + layout.OUT) + layout.H_BELL)


def deposit(relay, far, at, count):
    """Bytes of the stream, for our program: false where there can't be so many."""
    header = raw.load(far + layout.OUT)
    tail = raw.load(far + layout.TAIL)
    if raw.load(header + layout.H_TAIL) & layout.CLOSED:
        return True  # it has left the ring, and gets them by the kernel
    if has(relay, R_HEARD) or not raw.load(header + layout.H_MARK):
        return False
    while rings.room(far) < count and rings.growable(far):
        rings.grow(far)
    if rings.room(far) < count:
        return False
    rings.span(raw.load(far + layout.OUT_RING), raw.load(far + layout.OUT_MASK), tail, at, count, False)
    if raw.compare_exchange(header + layout.H_TAIL, tail, tail + count):
        raw.store(far + layout.TAIL, tail + count)
        mark(relay, R_OWING)
    return True


def lose(relay):
    """The connection of the core is no more. What has come can be read; where the other side's end has not, and its
    process lives, or is one of another machine, nobody knows what it has: the program's connection is reset.
    """
    if has(relay, R_BROKEN):
        return
    mark(relay, R_BROKEN)
    far = raw.load(relay + layout.R_FAR)
    if not raw.load(far + layout.IN):
        return
    own = raw.load(relay + layout.R_OWN)
    outward = raw.load(far + layout.IN)
    whole = has(relay, R_HEARD) and (
        raw.load(outward + layout.H_HEARD) or raw.load(outward + layout.H_TAIL) & layout.CLOSED
    )
    if own and not whole and not raw.ended(raw.load(relay + PEER)):
        raw.store32(own + layout.FAULT, calls.ECONNRESET)
        raw.store(far + layout.OPTION, 0)  # AF_UNSPEC dissolves a connection, at once (connect(2))
        raw.syscall(calls.SYS_connect, spine.fd_of(own), far + layout.OPTION, 8, 0, 0, 0)
    if not has(relay, R_HEARD):
        finished(relay, far)
    raw.store(outward + layout.H_HEARD, 1)
    unread(far)


def spine_spoke(relay):
    """Whether our program has found something at the spine that the other side has not said here. Then that is told."""
    word = raw.load(raw.load(relay + layout.R_FAR) + layout.OUT) + layout.H_NEWS
    if not raw.load(word):
        return False
    raw.store(word, 0)
    return not has(relay, R_HEARD)


def done(relay):
    """Whether the program has let go of its connection, and all is said."""
    if not has(relay, layout.R_RELEASED):
        return False
    if has(relay, R_BROKEN):
        return True
    far = raw.load(relay + layout.R_FAR)
    return raw.load(raw.load(far + layout.IN) + layout.H_HEARD) != 0
