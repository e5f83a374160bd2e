"""After a power cut: what files have lost, out of their journals.

The kernel's file is right wherever it holds something; bytes come back where it holds nothing: behind its end, or
zeros up to the end of a sector.
"""

import os
import posix

from interpose import file_state

SECTOR = 512


def head_of(boot, inode, born, start, path):
    """The head of a journal: of which boot of the machine, whose (inode, birth in ns, path below the prefix, bytes),
    from which byte on.
    """
    return f"{boot} {inode} {born} {start}".encode() + b"\0" + path


def head_read(head):
    text, _, path = head.partition(b"\0")
    boot, inode, born, start = text.decode().split(" ")
    return boot, int(inode), int(born), int(start), path


def restore(journals, prefix, boot, say):
    """Give back what is missing to all files below `prefix` (bytes), and empty their journals. Those of this `boot`
    of the machine are left: nothing can be missing yet.
    """
    for number in journals.filled():
        records = journals.records(number)
        then, inode, birth, start, path = head_read(next(records))
        if then == boot:
            continue
        found = sought(prefix, path, inode, birth)
        if found is not None:
            given, differs = give_back(found, start, records)
            if given:
                say(f"{os.fsdecode(found)}: {given} bytes are back after a power cut")
            if differs:
                say(f"{os.fsdecode(found)}: written to after a power cut, so that nothing could be given back")
        journals.empty(number)


def sought(prefix, path, inode, birth):
    """Where the file is by now; None when it is not there any more."""

    def same(place):
        try:
            found = file_state.of_path(place, file_state.BIRTH)
            return (found.key[1], found.born) == (inode, birth)
        except OSError:
            return False

    if same(prefix + b"/" + path):
        return prefix + b"/" + path
    for folder, _, names in os.walk(prefix):
        for name in names:
            if same(folder + b"/" + name):
                return folder + b"/" + name
    return None


def give_back(path, offset, records):
    """(bytes given back, bytes that differ) of a file, whose bytes from `offset` on were `records`. One in which any
    differ is left as it is: somebody has written to it since.
    """
    given = differs = 0
    changes = []
    fd = posix.open(path, posix.O_RDWR | posix.O_CLOEXEC)
    try:
        for record in records:
            there, more, other = merged(posix.pread(fd, len(record), offset), record, offset)
            if more:
                changes.append((there, offset))
            given, differs = given + more, differs + other
            offset += len(record)
        if differs:
            return 0, differs
        for there, place in changes:
            posix.pwrite(fd, there, place)
        if changes:
            posix.fsync(fd)
        return given, 0
    finally:
        posix.close(fd)


def merged(have, record, offset):
    """(what a file holds at `offset`, with what is missing; how many bytes that is; how many are others than the
    journal's).
    """
    if have == record:
        return have, 0, 0
    parts, given, differs, at = [], 0, 0, 0
    while at < len(record):
        end = at + SECTOR - (offset + at) % SECTOR
        mine, theirs = record[at:end], have[at:end]
        same = len(os.path.commonprefix((mine, theirs)))
        if any(theirs[same:]):
            differs += sum(a != b for a, b in zip(mine, theirs, strict=False))
        given += len(mine) - same
        parts.append(mine)
        at = end
    return b"".join(parts), given, differs
