"""fsync(2) of a file that is kept, without the GIL: what has come to its end joins a group of its volume.

Whatever is not as it is most of the time is files.py's to do: then the answer is ATTEND. Records of files change there
only while nobody is in here (libos/group_commit.py).
"""

from interpose import abi, kept, linux
from libos import group_commit, raw
from libos.log import layout
from libos.runtime import wakers

COMPILED = __file__.endswith(".so")
WHAT, TIMES = 0x307, 0xC0  # linux/stat.h: TYPE, MODE, NLINK, INO and SIZE; CTIME and MTIME
X_INODE, X_SIZE, X_CHANGED, X_WRITTEN, X_DEVICE = 32, 40, 96, 112, 136  # struct statx
VECTOR, LOOKED_AT, EMPTY, SCRATCH = 256, 320, 704, 1024  # behind it
SECOND = 1000000000
STRETCH = 1048576  # bytes of a file that the kernel begins to write together
AGAIN = -1


class Syncing:
    """What there is to know for that. `ready`: there is a volume; `room`: bytes of a file that a journal takes,
    `piece`: at a time; `device`: of the files, as statx(2) writes it; `sequential`: by number, the inode of the file
    that it writes to from beginning to end; `touched`: address of a word that is not 0 when a process of this family
    may have written in place. Of the last walk: `found`, the record; `group`, which has to be over; `early`, the first
    byte of `ahead` bytes that the kernel may begin to write.
    """

    def __init__(self):
        self.commit = None
        self.straight = None
        self.ready = False
        self.many = 0
        self.room = self.piece = self.tick = 0
        self.device = 0
        self.forks = self.forks_at = 0
        self.touched = 0
        self.records = self.sequential = self.scratch = 0
        self.found = self.group = self.early = self.ahead = 0


HERE = Syncing()


def here():
    """The one Syncing, for interpreted rooms."""
    return HERE


def begin(heap, many, forks_at):
    """Make what is needed for `many` files."""
    HERE.commit = group_commit.GroupCommit(heap)
    HERE.many = many
    HERE.forks_at = forks_at
    HERE.forks = raw.load32(forks_at)
    HERE.ready = False
    HERE.records = wakers.reserve(many * kept.SIZE)
    HERE.sequential = wakers.reserve(kept.NUMBERS * 8)
    HERE.scratch = heap.alloc(SCRATCH)
    if not (HERE.records and HERE.sequential and HERE.scratch):
        raise MemoryError("no memory for files")
    raw.store(HERE.scratch + EMPTY, 0)


def sync(fd, data_only):
    """0 when that is done; ATTEND: ask the other entry."""
    if not HERE.ready or raw.load32(HERE.forks_at) != HERE.forks:
        return abi.CATFLAP_ATTEND
    HERE.commit.enter()
    r = AGAIN
    while r == AGAIN:
        r = abi.CATFLAP_ATTEND
        if not HERE.ready:  # the volume was given up meanwhile
            break
        HERE.commit.lock()
        r = joined(fd, data_only)
        number, line, early, ahead = HERE.group, HERE.straight.line(HERE.found), HERE.early, HERE.ahead
        reader = raw.load(HERE.records + HERE.found * kept.SIZE + kept.READER)
        HERE.commit.unlock()
        if number and r != abi.CATFLAP_ATTEND:
            HERE.commit.committed(number)
            if r == 0 and raw.load(line + layout.L_DOUBT):
                r = abi.CATFLAP_ATTEND
        if ahead:  # so that there is less to wait for when the journal is full
            raw.syscall(linux.SYS_sync_file_range, reader, early, ahead, linux.SYNC_FILE_RANGE_WRITE, 0, 0)
    HERE.commit.leave()
    return r


def joined(fd, data_only):
    """Put what is not durable yet into the group that is being filled: 0. AGAIN: once the one that is full is over."""
    found = HERE.scratch
    HERE.group = HERE.found = HERE.ahead = 0
    what = WHAT if data_only else WHAT | TIMES
    if raw.load(HERE.touched):
        return abi.CATFLAP_ATTEND
    if raw.syscall(linux.SYS_statx, fd, found + EMPTY, linux.AT_EMPTY_PATH, what, found, 0) != 0:
        return abi.CATFLAP_ATTEND
    if raw.load(found + X_DEVICE) != HERE.device:
        return abi.CATFLAP_ATTEND
    inode, size = raw.load(found + X_INODE), raw.load(found + X_SIZE)
    i = 0
    while i < HERE.many and raw.load(HERE.records + i * kept.SIZE) != inode:
        i += 1
    if i == HERE.many:
        return abi.CATFLAP_ATTEND
    at = HERE.records + i * kept.SIZE
    line = HERE.straight.line(i)
    end = raw.load(at + kept.END)
    if raw.load(line + layout.L_DOUBT) or size < end or not appends(fd, inode):
        return abi.CATFLAP_ATTEND
    if not data_only and not unchanged(found, raw.load(at + kept.CHANGED)):
        return abi.CATFLAP_ATTEND
    HERE.found = i
    begun = raw.load(at + kept.BEGUN)
    if size == end:
        HERE.group = raw.load(line + layout.L_GROUP) if begun else 0
        return 0
    length = size - end
    if (
        not begun
        or not raw.load(at + kept.READER)
        or length > HERE.piece
        or size - raw.load(at + kept.START) > HERE.room
    ):
        return abi.CATFLAP_ATTEND
    place = HERE.straight.place(length, HERE.commit.inside())
    if place < 0:
        return abi.CATFLAP_ATTEND
    HERE.group = HERE.straight.number
    if place == 0:
        return AGAIN
    if not fetched(at, HERE.straight.room() + place, end, length):
        raw.store(line + layout.L_DOUBT, 1)
        return abi.CATFLAP_ATTEND
    remember(at, HERE.straight.room() + place, length)
    HERE.straight.put(i, place, length)
    raw.store(at + kept.END, size)
    HERE.early = end // STRETCH * STRETCH
    HERE.ahead = size // STRETCH * STRETCH - HERE.early
    HERE.tick += 1
    raw.store(at + kept.USED, HERE.tick)
    return 0


def appends(fd, inode):
    """Whether what is written by this number comes to the file's end, as far as we can see."""
    flags = raw.syscall(linux.SYS_fcntl, fd, linux.F_GETFL, 0, 0, 0, 0)
    if flags < 0:  # closed meanwhile
        return True
    access = flags & linux.O_ACCMODE
    return access == 0 or (access == linux.O_WRONLY and flags & linux.O_APPEND != 0) or follows(fd, inode)


def follow(fd, inode):
    """This number writes to a file from its beginning on; 0: to none."""
    if fd < kept.NUMBERS:
        raw.store(HERE.sequential + fd * 8, inode)


def follows(fd, inode):
    return fd < kept.NUMBERS and raw.load(HERE.sequential + fd * 8) == inode


def unchanged(found, changed):
    """Whether mode, owner and times are those that are durable, or have come with bytes."""
    nanoseconds = raw.load32(found + X_CHANGED + 8)
    if raw.load(found + X_CHANGED) == raw.load(found + X_WRITTEN) and nanoseconds == raw.load32(found + X_WRITTEN + 8):
        return True
    return raw.load(found + X_CHANGED) * SECOND + nanoseconds == changed


def fetched(at, to, end, length):
    """Read a file's new bytes, and those before them once more. False: these are others, or there are fewer."""
    before = raw.load(at + kept.LENGTH)
    vector, looked_at = HERE.scratch + VECTOR, HERE.scratch + LOOKED_AT
    raw.store(vector, looked_at)
    raw.store(vector + 8, before)
    raw.store(vector + 16, to)
    raw.store(vector + 24, length)
    fd = raw.load(at + kept.READER)
    if raw.syscall(linux.SYS_preadv, fd, vector, 2, end - before, 0, 0) != before + length:
        return False
    i = 0
    while i + 8 <= before:
        if raw.load(looked_at + i) != raw.load(at + kept.BYTES + i):
            return False
        i += 8
    if i == before:
        return True
    return (raw.load(looked_at + i) ^ raw.load(at + kept.BYTES + i)) & (raw.bit((before - i) * 8) - 1) == 0


def remember(at, new, length):
    """The last bytes before the end are others now."""
    if length >= kept.BEFORE:
        raw.copy(at + kept.BYTES, new + length - kept.BEFORE, kept.BEFORE)
        raw.store(at + kept.LENGTH, kept.BEFORE)
        return
    before = raw.load(at + kept.LENGTH)
    stay = min(before, kept.BEFORE - length)
    raw.copy(at + kept.BYTES, HERE.scratch + LOOKED_AT + before - stay, stay)
    raw.copy(at + kept.BYTES + stay, new, length)
    raw.store(at + kept.LENGTH, stay + length)


def look_at_forks():
    """This process is known to be the one that it was."""
    HERE.forks = raw.load32(HERE.forks_at)


def read(at):
    """A word of a record, for interpreted rooms."""
    return raw.load(at)


def write(at, value):
    raw.store(at, value)


def native():
    """{operation: native address} of what is here, empty when this module is interpreted."""
    return {"sync": raw.address_of(sync)} if COMPILED else {}
