"""Files under the mount prefix: fsync by way of a journal on a volume of Cattree (docs/cattree.md).

The files are the kernel's. A file whose writers only append is *kept*: what has come to its end since the last fsync(2)
goes to its journal, in one durable write, instead of the kernel's own way, which writes the file's data and then its
metadata. Whatever else happens to a file makes it the kernel's again, for which it has to be durable in its own place.
"""

import ctypes
import fcntl
import mmap
import os
import posix
from _thread import allocate_lock
from time import monotonic_ns

from interpose import abi, file_state, restoring
from interpose.entries import failed
from interpose.writers import Writers
from libos.blocks.waiting import function
from libos.errors import Fail, Kind
from libos.journals import MANY, PIECE, Journals, turn
from libos.memory_file import high

VOLUME = 64 << 20  # bytes of a volume's file that is made
MET = 1024  # files that are remembered
BEFORE = 256  # bytes before the end that are looked at again: other bytes there are another file's
PATIENCE = 10**9  # ns until a volume that could not be opened is tried again


class NotDurable(Exception):
    """The kernel's own fsync has failed, which it says once."""


def durable(fd):
    try:
        posix.fsync(fd)
    except OSError as error:
        raise NotDurable(error.errno)


class Kept:
    """A file (`key`: device and inode) whose bytes up to `end` are durable, those from `start` on by journal `number`;
    `before`: the last of them; `path`: below the prefix, when that began. `begun`: there is a journal. `changed`: the
    ctime up to which its metadata are. `doubt`: all this may be wrong.
    """

    __slots__ = ("key", "number", "path", "start", "end", "before", "begun", "changed", "doubt", "used")

    def __init__(self, key, number, path, size, before, changed):
        self.key = key
        self.number = number
        self.path = path
        self.start = self.end = size
        self.before = before
        self.changed = changed
        self.begun = self.doubt = False
        self.used = 0


class Files:
    """All of this process. `prefix`: the folder, without symbolic links. `bind(number, description, reason)` tells the
    preload what a number is; `log(what, error)`; `say(line)` for who wants to know more.
    """

    def __init__(self, volume, prefix, heap, bind, log, say):
        self.volume = volume
        self.prefix = os.fsencode(os.path.realpath(prefix))
        self.heap = heap
        self.bind = bind
        self.log = log
        self.say = say
        self.device = file_state.of_path(self.prefix).key[0]
        with open("/proc/sys/kernel/random/boot_id") as file:
            self.boot = file.read().strip()
        self.syncfs = function("syncfs", ctypes.c_int)
        self.left = set()  # files that are the kernel's
        self.journals = None
        self.elders = []  # pages that are shared with the processes that this one was forked from
        self.try_again = 0
        self.reader = None  # (key, descriptor) of the file that was read last
        self.tick = 0
        address = heap.alloc(PIECE)
        self.room = address
        self.view = memoryview((ctypes.c_char * PIECE).from_address(address)).cast("B")
        self.head = memoryview(bytearray(BEFORE))
        self.begun()
        self.restored()

    def begun(self):
        """This is another process than before: it has no volume, and what it inherited others may write to as well."""
        self.pid = posix.getpid()
        self.lock = allocate_lock()
        self.touched = mmap.mmap(-1, mmap.PAGESIZE)  # with forked children: not 0 once they may have written in place
        self.kept = {}
        self.met = set()  # files that were made durable once
        self.writers = Writers()
        self.close_reader()
        if self.journals is not None:
            self.journals.forsake()
            self.journals = None

    # --- the volume ---

    def restored(self):
        """Give back what a power cut has taken, before the program reads it; who has the volume now has done so."""
        try:
            with turn(self.volume):
                journals = Journals(self.volume, VOLUME, self.heap)
                try:
                    restoring.restore(journals, self.prefix, self.boot, self.log)
                finally:
                    journals.close()
        except (Fail, OSError) as error:
            tell = self.say if getattr(error, "kind", None) is Kind.IN_USE else self.log
            tell(f"{self.volume}: {error}: nothing is restored")

    def opened_volume(self):
        """Whether there is one. Its journals are empty: what they held is in its place."""
        if self.journals is None and monotonic_ns() >= self.try_again:
            try:
                with turn(self.volume):
                    journals = Journals(self.volume, VOLUME, self.heap)
                    try:
                        self.settled(journals)
                    except BaseException:
                        journals.close()
                        raise
                self.journals = journals
            except (Fail, OSError) as error:
                self.try_again = monotonic_ns() + PATIENCE
                self.say(f"{self.volume}: {error}: fsync is the kernel's for now, reason {abi.CATFLAP_KERNEL_VOLUME}")
        return self.journals is not None

    def settled(self, journals):
        restoring.restore(journals, self.prefix, self.boot, self.log)
        for number in journals.filled():
            _, inode, _, _, path = restoring.head_read(next(journals.records(number)))
            self.sync_file(path, inode)
            journals.empty(number)

    def sync_file(self, path, inode):
        """Make a file durable in its own place; whatever there is, where it has another name by now."""
        try:
            fd = posix.open(self.prefix + b"/" + path, posix.O_RDONLY | posix.O_NONBLOCK | posix.O_CLOEXEC)
        except OSError:
            return self.sync_all()
        try:
            if file_state.of_number(fd).key[1] != inode:
                return self.sync_all()
            posix.fsync(fd)
        finally:
            posix.close(fd)

    def sync_all(self):
        """Make everything durable that the prefix's file system has."""
        fd = posix.open(self.prefix, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
        try:
            if self.syncfs(fd) != 0:
                raise OSError(5, "syncfs")
        finally:
            posix.close(fd)

    # --- what the program does ---

    def told(self, fd, what, value):
        """One of CATFLAP_OPENED and so on, about a number of the program's. An answer to SYNC; never raises."""
        try:
            if posix.getpid() != self.pid:
                self.elders.append(self.touched)
                self.begun()
            with self.lock:
                if what == abi.CATFLAP_SYNC:
                    return self.synced(fd, value)
                if what == abi.CATFLAP_OPENED:
                    self.opened(fd, value)
                elif what == abi.CATFLAP_MOVED:
                    self.renamed() if fd < 0 else self.moved(fd, value)
                elif what == abi.CATFLAP_RESIZED:
                    self.resized(fd, value)
                elif what == abi.CATFLAP_CLOSED:
                    self.closed(fd)
        except NotDurable as error:
            self.doubted()
            return -error.args[0]
        except BaseException as error:
            self.doubted()
            failed("file", error)
        return abi.CATFLAP_STALE

    def doubted(self):
        for kept in self.kept.values():
            kept.doubt = True

    def opened(self, fd, stdio):
        found = file_state.of_number(fd)
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        access = flags & os.O_ACCMODE
        self.writers.sequential.pop(fd, None)
        if not found.regular or access == os.O_RDONLY:
            return
        kept = self.kept.get(found.key)
        if not found.size:
            self.left.discard(found.key)
            if kept:
                self.drop(kept, fd)
        if access == os.O_WRONLY:
            self.bind(fd, 0, abi.CATFLAP_FILE)
        if access == os.O_WRONLY and flags & os.O_APPEND:
            return
        if access == os.O_WRONLY and not stdio:
            self.writers.sequential[fd] = found.key
        if kept and found.size:
            self.leave(kept, fd)
        if access == os.O_RDWR:  # it may be mapped, and stay so when it is closed
            self.left.add(found.key)

    def renamed(self):
        """A file may have left the prefix, and nobody would look for it there after a power cut."""
        for kept in [kept for kept in self.kept.values() if kept.begun]:
            try:
                there = file_state.of_path(self.prefix + b"/" + kept.path).key == kept.key
            except OSError:
                there = False
            fd = -1 if there else self.writers.number_of(kept.key)
            if fd >= 0:
                self.drop(kept, fd)
            elif not there:
                self.sync_all()
                self.forget(kept)

    def moved(self, fd, offset):
        self.tell_elders()
        if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_APPEND:
            return
        kept = self.kept.get(file_state.of_number(fd).key)
        if kept and not 0 <= offset >= kept.end:
            self.leave(kept, fd)
        if offset < 0:
            self.writers.sequential.pop(fd, None)

    def tell_elders(self):
        for page in self.elders:
            page[0] = 1

    def resized(self, fd, size):
        self.tell_elders()
        kept = self.kept.get(file_state.of_number(fd).key)
        if kept and size < kept.end:
            self.drop(kept, fd)

    def closed(self, fd):
        self.writers.sequential.pop(fd, None)
        found = file_state.of_number(fd)
        if self.reader is not None and self.reader[0] == found.key:
            self.close_reader()
        if found.key in self.kept and not found.links:
            self.forget(self.kept[found.key])

    def synced(self, fd, data_only):
        """fsync(2), or fdatasync(2): 0 when that is done, STALE when it is the kernel's to do, or -errno."""
        found = file_state.of_number(fd, 0 if data_only else file_state.TIMES)
        key = found.key
        if self.touched[0]:
            self.touched[0] = 0
            self.doubted()
        kept = self.kept.get(key)
        try:
            if kept is None:
                return self.adopt(fd, found, key)
            if kept.doubt or found.size < kept.end or not self.writers.appends(fd, key):
                self.drop(kept, fd)
                return self.adopt(fd, found, key)
            if not data_only and found.changed not in (found.written, kept.changed):
                durable(fd)
                kept.changed = found.changed
            return self.pushed(kept, fd, found.size)
        except Fail as error:
            return self.failed_volume(error)

    # --- what becomes of a file ---

    def pushed(self, kept, fd, size):
        """Make the bytes up to `size` durable."""
        if not kept.begun and size == kept.end:
            return 0
        if size - kept.start > self.journals.room - PIECE:
            self.drop(kept, fd)
            return self.adopt(fd, file_state.of_number(fd), kept.key)
        kept.doubt = True  # unless all goes well
        while kept.doubt:
            length = min(size - kept.end, PIECE)
            before = len(kept.before)
            parts = [self.head[:before], self.view[:length]]
            if os.preadv(self.reading(kept.key, fd), parts, kept.end - before) != before + length:
                return abi.CATFLAP_STALE  # shorter by now
            if self.head[:before] != kept.before:
                self.drop(kept, fd)
                return self.adopt(fd, file_state.of_number(fd), kept.key)
            if length and not kept.begun:
                self.journals.begin(kept.number, self.head_of(kept, fd))
                kept.begun = True
            if length:
                self.journals.append(kept.number, self.room, length)
                self.journals.settle()
                kept.end += length
                kept.before = (kept.before + bytes(self.view[max(0, length - BEFORE) : length]))[-BEFORE:]
            kept.doubt = kept.end < size
        self.tick += 1
        kept.used = self.tick
        return 0

    def head_of(self, kept, fd):
        kept.path = posix.readlink(b"/proc/self/fd/%d" % fd)[len(self.prefix) + 1 :]
        born = file_state.of_number(fd, file_state.BIRTH).born
        return restoring.head_of(self.boot, kept.key[1], born, kept.start, kept.path)

    def adopt(self, fd, found, key):
        """The kernel makes the file durable once more, and from then on, if its writers append, its journal does. Not
        at the first time: many a file has no second.
        """
        if key in self.left or not found.regular or not found.links or key[0] != self.device:
            return abi.CATFLAP_STALE
        if key not in self.met:
            if len(self.met) >= MET:
                self.met.clear()
            self.met.add(key)
            return abi.CATFLAP_STALE
        path = posix.readlink(b"/proc/self/fd/%d" % fd)
        if not path.startswith(self.prefix + b"/"):
            return abi.CATFLAP_STALE
        if not (file_state.of_number(fd, file_state.BIRTH).born and self.writers.all_append(key, found.size)):
            self.left.add(key)
            self.say(f"{os.fsdecode(path)} stays on the kernel, reason {abi.CATFLAP_KERNEL_IN_PLACE}")
            return abi.CATFLAP_STALE
        if not self.opened_volume():
            return abi.CATFLAP_STALE
        before = bytearray(min(BEFORE, found.size))
        try:
            if os.preadv(self.reading(key, fd), [before], found.size - len(before)) != len(before):
                return abi.CATFLAP_STALE
        except OSError as error:  # it is not to be read
            self.left.add(key)
            self.say(f"{os.fsdecode(path)} stays on the kernel: {error}")
            return abi.CATFLAP_STALE
        durable(fd)
        self.met.discard(key)
        kept = Kept(key, self.number(), path, found.size, bytes(before), found.changed)
        self.kept[key] = kept
        return 0

    def number(self):
        """Of a journal that nobody uses; the file that was made durable longest ago gives its own up."""
        if len(self.kept) >= MANY:
            kept = min(self.kept.values(), key=lambda kept: kept.used)
            if kept.begun:
                self.sync_file(kept.path, kept.key[1])
            self.forget(kept)
        return next(number for number in range(MANY) if all(kept.number != number for kept in self.kept.values()))

    def drop(self, kept, fd):
        """Its journal is not right any more, or full: the file itself has to be durable first."""
        durable(fd)
        self.forget(kept)
        self.met.add(kept.key)

    def forget(self, kept):
        if kept.begun:
            self.journals.empty(kept.number)
        del self.kept[kept.key]

    def leave(self, kept, fd):
        """Somebody may write in place: the kernel's from now on."""
        self.drop(kept, fd)
        self.met.discard(kept.key)
        self.left.add(kept.key)
        self.say(f"inode {kept.key[1]} goes back to the kernel, reason {abi.CATFLAP_KERNEL_IN_PLACE}")

    def failed_volume(self, error):
        """Everything is the kernel's from now on."""
        self.log(f"{self.volume}: {error}: fsync is the kernel's, reason {abi.CATFLAP_KERNEL_VOLUME}")
        self.sync_all()
        self.kept.clear()
        self.journals.close()
        self.journals = None
        self.try_again = 1 << 63
        return abi.CATFLAP_STALE

    # --- what is asked of the kernel ---

    def reading(self, key, fd):
        """A descriptor of ours to read the file by: for as long as it is the last one that was made durable."""
        if self.reader is None or self.reader[0] != key:
            self.close_reader()
            self.reader = key, high(posix.open(f"/proc/self/fd/{fd}", posix.O_RDONLY | posix.O_CLOEXEC))
        return self.reader[1]

    def close_reader(self):
        reader, self.reader = self.reader, None
        if reader is not None:
            posix.close(reader[1])
