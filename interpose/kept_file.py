"""A file that is kept, as files.py sees it: the face of its record, which syncing.py reads without the GIL."""

import posix

from interpose import kept, syncing
from libos.log import layout
from libos.memory_file import high


def reader_of(fd):
    """Another description of what the number stands for. Raises OSError where it is not to be read."""
    return high(posix.open(f"/proc/self/fd/{fd}", posix.O_RDONLY | posix.O_CLOEXEC))


def word(offset):
    def read(self):
        return syncing.read(self.at + offset)

    def write(self, value):
        syncing.write(self.at + offset, value)

    return property(read, write)


class Kept:
    """A file (`key`: device and inode) whose bytes up to `end` are durable, those from `start` on by journal `number`;
    `path`: below the prefix, when that began. `begun`: there is a journal. `changed`: the ctime up to which its
    metadata are. `at`, `line`: of its record, and its journal's.
    """

    __slots__ = ("key", "number", "path", "at", "line")

    start, end, changed = word(kept.START), word(kept.END), word(kept.CHANGED)
    begun, used, reader = word(kept.BEGUN), word(kept.USED), word(kept.READER)

    @property
    def doubt(self):
        """Whether all this may be wrong."""
        return bool(syncing.read(self.line + layout.L_DOUBT))

    @doubt.setter
    def doubt(self, value):
        syncing.write(self.line + layout.L_DOUBT, value)

    def __init__(self, key, number, path, at, line, found, before, reader):
        """`found`: its FileState, `before`: its last bytes; all of it is durable, and read by `reader`."""
        self.key = key
        self.number = number
        self.path = path
        self.at = at
        self.line = line
        self.start = self.end = found.size
        self.changed = found.changed
        self.begun = self.doubt = False
        self.used = 0
        self.reader = reader
        self.set_before(before)
        syncing.write(at + kept.INODE, key[1])

    def read_by(self, fd):
        """A descriptor of ours to read the file by, as the program's `fd` stands for it."""
        if not self.reader:
            self.reader = reader_of(fd)
        return self.reader

    def rest(self):
        """Keep no descriptor: the file may be unlinked, or locked (fcntl(2)), after the program has closed its own."""
        reader, self.reader = self.reader, 0
        if reader:
            posix.close(reader)

    def close(self):
        """The record is nobody's."""
        syncing.write(self.at + kept.INODE, 0)
        self.rest()

    def set_before(self, before):
        """The last bytes before the end, at most BEFORE."""
        for i in range(0, kept.BEFORE, 8):
            syncing.write(self.at + kept.BYTES + i, int.from_bytes(before[i : i + 8], "little"))
        syncing.write(self.at + kept.LENGTH, len(before))

    def before(self):
        parts = [syncing.read(self.at + kept.BYTES + i).to_bytes(8, "little") for i in range(0, kept.BEFORE, 8)]
        return b"".join(parts)[: syncing.read(self.at + kept.LENGTH)]
