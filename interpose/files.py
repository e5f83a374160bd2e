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
from contextlib import contextmanager
from time import monotonic_ns

from interpose import abi, file_state, restoring, syncing, writers
from interpose.entries import failed
from interpose.in_place import NotDurable, Places, durable
from interpose.kept import BEFORE, SIZE
from interpose.kept_file import Kept, reader_of
from libos import calls
from libos.blocks.waiting import function
from libos.errors import Fail, Kind
from libos.journals import MANY, MOST, PIECE, Journals, turn

VOLUME = 64 << 20  # bytes of a volume's file that is made
MET = 1024  # files that are remembered
FEW = 8  # files that share the volume if there are not more
PATIENCE = 10**9  # ns until a volume that could not be opened is tried again


class Files:
    """All of this process. `prefix`: the folder, without symbolic links. `bind(number, description, reason)` tells the
    preload what a number is; `forks_at`: the address of its count of forks; `log(what, error)`; `say(line)` for who
    wants to know more.
    """

    def __init__(self, volume, prefix, heap, bind, forks_at, log, say):
        self.volume = volume
        self.prefix = os.fsencode(os.path.realpath(prefix))
        self.heap = heap
        self.bind = bind
        self.forks_at = forks_at
        self.log = log
        self.say = say
        self.places = Places(self.prefix)
        self.device = file_state.of_path(self.prefix).key[0]
        self.futex = function("syscall", *[ctypes.c_long] * 7)  # without the GIL
        with open("/proc/sys/kernel/random/boot_id") as file:
            self.boot = file.read().strip()
        self.left = set()  # files that are the kernel's
        self.kept = {}
        self.journals = None
        self.elders = []  # pages that are shared with the processes that this one was forked from
        self.try_again = 0
        address = heap.alloc(PIECE)
        self.room = address
        self.view = memoryview((ctypes.c_char * PIECE).from_address(address)).cast("B")
        self.hot = syncing.here()
        self.begun()
        self.restored()

    def begun(self):
        """This is another process than before: it has no volume, and what it inherited others may write to as well."""
        self.pid = posix.getpid()
        self.lock = allocate_lock()
        self.touched = mmap.mmap(-1, mmap.PAGESIZE)  # with forked children: not 0 once they may have written in place
        for kept in self.kept.values():
            kept.rest()
        self.kept = {}
        self.met = set()  # files that were made durable once
        syncing.begin(self.heap, MANY, self.forks_at)
        self.hot.device = file_state.device_word(self.device)
        self.hot.touched = ctypes.addressof(ctypes.c_char.from_buffer(self.touched))
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
                self.hot.straight = journals.straight()
                self.hot.commit.use(self.hot.straight, journals.file.fd, journals.file.write_through, journals.largest)
            except (Fail, OSError) as error:
                self.try_again = monotonic_ns() + PATIENCE
                self.say(f"{self.volume}: {error}: fsync is the kernel's for now, reason {abi.CATFLAP_KERNEL_VOLUME}")
        return self.journals is not None

    def settled(self, journals):
        restoring.restore(journals, self.prefix, self.boot, self.log)
        for number in journals.filled():
            _, inode, _, _, path = restoring.head_read(next(journals.records(number)))
            self.places.sync_file(path, inode)
            journals.empty(number)

    # --- what the program does ---

    def told(self, fd, what, value):
        """One of CATFLAP_OPENED and so on, about a number of the program's. An answer to SYNC; never raises."""
        try:
            if posix.getpid() != self.pid:
                self.elders.append(self.touched)
                self.begun()
            with self.lock, self.alone():
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

    @contextmanager
    def alone(self):
        """While nobody makes anything durable without the GIL (syncing.py)."""
        try:
            self.take()
            yield
        finally:
            self.let_go()

    def take(self):
        """The volume's machine has the volume."""
        commit, hot = self.hot.commit, self.hot
        commit.claim()
        while True:
            seen = commit.turned()
            if commit.alone():
                break
            self.futex(calls.SYS_futex, commit.turn_at, calls.FUTEX_WAIT, seen, 0, 0, 0)
        if self.journals is not None:
            hot.straight.end()
        syncing.look_at_forks()

    def let_go(self):
        hot = self.hot
        hot.ready = self.journals is not None
        if hot.ready:
            hot.straight.begin()
            hot.room, hot.piece = self.room_of_one(), PIECE
        hot.commit.release()

    def durable(self, fd):
        """By the kernel: others go on meanwhile."""
        self.let_go()
        try:
            durable(fd)
        finally:
            self.take()

    def doubted(self):
        for kept in self.kept.values():
            kept.doubt = True

    def opened(self, fd, stdio):
        found = file_state.of_number(fd)
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        access = flags & os.O_ACCMODE
        syncing.follow(fd, 0)
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
            syncing.follow(fd, found.key[1])
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
            fd = -1 if there else writers.number_of(kept.key)
            if fd >= 0:
                self.drop(kept, fd)
            elif not there:
                self.places.sync_all()
                self.forget(kept)

    def moved(self, fd, offset):
        self.tell_elders()
        if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_APPEND:
            return
        kept = self.kept.get(file_state.of_number(fd).key)
        if kept and not 0 <= offset >= kept.end:
            self.leave(kept, fd)
        if offset < 0:
            syncing.follow(fd, 0)

    def tell_elders(self):
        for page in self.elders:
            page[0] = 1

    def resized(self, fd, size):
        self.tell_elders()
        kept = self.kept.get(file_state.of_number(fd).key)
        if kept and size < kept.end:
            self.drop(kept, fd)

    def closed(self, fd):
        syncing.follow(fd, 0)
        found = file_state.of_number(fd)
        if kept := self.kept.get(found.key):
            kept.rest() if found.links else self.forget(kept)

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
            if kept.doubt or found.size < kept.end or not syncing.appends(fd, key[1]):
                self.drop(kept, fd)
                return self.adopt(fd, found, key)
            if not data_only and found.changed not in (found.written, kept.changed):
                self.durable(fd)
                kept.changed = found.changed
                return self.synced(fd, data_only)  # others have gone on meanwhile
            return self.pushed(kept, fd, found.size)
        except Fail as error:
            return self.failed_volume(error)

    # --- what becomes of a file ---

    def pushed(self, kept, fd, size):
        """Make the bytes up to `size` durable."""
        if not kept.begun and size == kept.end:
            return 0
        if size - kept.start > self.room_of_one():
            self.drop(kept, fd)
            return self.adopt(fd, file_state.of_number(fd), kept.key)
        kept.doubt = True  # unless all goes well
        while kept.doubt:
            length = min(size - kept.end, PIECE)
            before = kept.before()
            there = bytearray(len(before))
            if os.preadv(kept.read_by(fd), [there, self.view[:length]], kept.end - len(before)) != len(before) + length:
                return abi.CATFLAP_STALE  # shorter by now
            if there != before:
                self.drop(kept, fd)
                return self.adopt(fd, file_state.of_number(fd), kept.key)
            if length and not kept.begun:
                self.journals.begin(kept.number, self.head_of(kept, fd))
                self.hot.straight.bind(kept.number, self.journals.log_of(kept.number))
                kept.begun = True
            if length:
                self.journals.append(kept.number, self.room, length)
                self.journals.settle()
                kept.end += length
                kept.set_before((before + bytes(self.view[max(0, length - BEFORE) : length]))[-BEFORE:])
            kept.doubt = kept.end < size
        self.hot.tick += 1
        kept.used = self.hot.tick
        return 0

    def room_of_one(self):
        """Bytes that a journal may hold before its file is made durable in its own place."""
        return min(MOST, self.journals.half // max(len(self.kept), FEW)) - PIECE

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
        if not (file_state.of_number(fd, file_state.BIRTH).born and writers.all_append(key, found.size)):
            self.left.add(key)
            self.say(f"{os.fsdecode(path)} stays on the kernel, reason {abi.CATFLAP_KERNEL_IN_PLACE}")
            return abi.CATFLAP_STALE
        if not self.opened_volume():
            return abi.CATFLAP_STALE
        before = bytearray(min(BEFORE, found.size))
        try:
            reader = reader_of(fd)
        except OSError as error:  # it is not to be read
            self.left.add(key)
            self.say(f"{os.fsdecode(path)} stays on the kernel: {error}")
            return abi.CATFLAP_STALE
        try:
            if os.preadv(reader, [before], found.size - len(before)) != len(before):
                return abi.CATFLAP_STALE
            self.durable(fd)
            self.met.discard(key)
            number = self.number()
            at, line = self.hot.records + number * SIZE, self.hot.straight.line(number)
            self.kept[key] = Kept(key, number, path, at, line, found, bytes(before), reader)
            reader = -1
        finally:
            if reader >= 0:
                posix.close(reader)
        return 0

    def number(self):
        """Of a journal that nobody uses; the file that was made durable longest ago gives its own up."""
        if len(self.kept) >= min(MANY, max(FEW, self.journals.half // (2 * PIECE))):
            kept = min(self.kept.values(), key=lambda kept: kept.used)
            if kept.begun:
                self.places.sync_file(kept.path, kept.key[1])
            self.forget(kept)
        return next(number for number in range(MANY) if all(kept.number != number for kept in self.kept.values()))

    def drop(self, kept, fd):
        """Its journal is not right any more, or full: the file itself has to be durable first."""
        kept.doubt = True
        self.durable(fd)
        self.forget(kept)
        self.met.add(kept.key)

    def forget(self, kept):
        if kept.begun:
            self.journals.empty(kept.number)
        del self.kept[kept.key]
        kept.close()

    def leave(self, kept, fd):
        """Somebody may write in place: the kernel's from now on."""
        self.drop(kept, fd)
        self.met.discard(kept.key)
        self.left.add(kept.key)
        self.say(f"inode {kept.key[1]} goes back to the kernel, reason {abi.CATFLAP_KERNEL_IN_PLACE}")

    def failed_volume(self, error):
        """Everything is the kernel's from now on."""
        self.log(f"{self.volume}: {error}: fsync is the kernel's, reason {abi.CATFLAP_KERNEL_VOLUME}")
        self.places.sync_all()
        for kept in self.kept.values():
            kept.close()
        self.kept.clear()
        self.hot.straight.close()
        self.journals.close()
        self.journals = None
        self.try_again = 1 << 63
        return abi.CATFLAP_STALE
