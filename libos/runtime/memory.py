"""The heap of I/O buffers: Hoard-like superblocks by size class in one region (SOSP '21, section 5.3).

One region, reserved at once and touched lazily, is what a device registers. A superblock is 1 MiB and holds objects
of one power-of-two size from 64 bytes to 1 MiB. Beside the region: a bitmap of free objects per superblock, and one
reference word per object: the top bit is the application's reference, the rest counts the libOS's. An object goes
back only when both have let go, so freeing a buffer in flight is safe. Lock-free, callable without the GIL and from
signal handlers.
"""

from libos import raw
from libos.runtime import wakers

COMPILED = __file__.endswith(".so")
SUPERBLOCK = 1 << 20
SMALLEST = 6  # 64 bytes
LARGEST = 20  # 1 MiB


class Heap:
    """A region of `superblocks` MiB. Addresses are integers; 0 is no memory, -1 a refused free."""

    def __init__(self, superblocks=1024):
        self.superblocks = superblocks
        self.app = raw.bit(32)
        self.base = wakers.reserve((superblocks + 1) * SUPERBLOCK)
        self.classes_at = wakers.reserve(superblocks * 8)  # size class of each superblock, 0 while unused
        self.free_at = wakers.reserve(superblocks * 2048)  # 16,384 bits each
        self.refs_at = wakers.reserve(superblocks * 131072)  # 16,384 words each
        self.current_at = wakers.reserve(4096)  # by class: number of the superblock to try first
        self.counters_at = wakers.reserve(4096)  # superblocks opened, allocs
        if not (self.base and self.classes_at and self.free_at and self.refs_at and self.counters_at):
            raise MemoryError(f"no address space for a heap of {superblocks} MiB")
        self.base = (self.base + SUPERBLOCK - 1) // SUPERBLOCK * SUPERBLOCK

    def class_of(self, size):
        """log2 of the object size that holds `size` bytes; 0 when none does."""
        if size <= 64:
            return 6
        return raw.width(size - 1) if size <= 1048576 else 0

    def alloc(self, size):
        """Address of a buffer of at least `size` bytes with the application's reference on it; 0 when there is none."""
        kind = self.class_of(size)
        if kind == 0:
            return 0
        while True:
            found = self.alloc_in(raw.load(self.current_at + kind * 8), kind)
            if found:
                return found
            i = 0
            block = raw.load(self.counters_at)
            while i < block and i < self.superblocks:
                found = self.alloc_in(i, kind)
                if found:
                    raw.store(self.current_at + kind * 8, i)
                    return found
                i += 1
            if not self.open_block(kind):  # the region is used up, but may have larger objects
                if kind >= LARGEST:
                    return 0
                kind += 1

    def alloc_in(self, block, kind):
        if block >= self.superblocks or raw.load(self.classes_at + block * 8) != kind:
            return 0
        words = (raw.bit(20 - kind) + 63) >> 6
        i = 0
        while i < words:
            at = self.free_at + block * 2048 + i * 8
            word = raw.load(at)
            while word:
                n = raw.ctz(word)
                if raw.compare_exchange_own(at, word, word & (word - 1)):
                    index = i * 64 + n
                    raw.store(self.refs_at + block * 131072 + index * 8, self.app)
                    # for who looks from outside: not worth an atomic step, so of several threads some are missed
                    raw.store(self.counters_at + 8, raw.load(self.counters_at + 8) + 1)
                    return self.base + block * 1048576 + (index << kind)
                word = raw.load(at)
            i += 1
        return 0

    def open_block(self, kind):
        """Give a size class one more superblock; false when the region is used up."""
        block = raw.fetch_add(self.counters_at, 1)
        if block >= self.superblocks:
            raw.store(self.counters_at, self.superblocks)
            return False
        count = raw.bit(20 - kind)
        words = (count + 63) >> 6
        i = 0
        while i < words:
            at = self.free_at + block * 2048 + i * 8
            raw.store(at, raw.bit(count) - 1 if count < 64 else raw.invert(0))
            i += 1
        raw.store(self.classes_at + block * 8, kind)
        raw.store(self.current_at + kind * 8, block)
        return True

    def refs_of(self, address):
        """Where an object's reference word is; 0 for an address that is no object of this heap."""
        block = (address - self.base) >> 20
        if address < self.base or block >= self.superblocks:
            return 0
        kind = raw.load(self.classes_at + block * 8)
        offset = (address - self.base) & 0xFFFFF
        if kind == 0 or offset & (raw.bit(kind) - 1):
            return 0
        return self.refs_at + block * 131072 + (offset >> kind) * 8

    def refs_around(self, address):
        """Where the reference word is of the object that a byte lies in; 0 outside of the heap."""
        block = (address - self.base) >> 20
        if address < self.base or block >= self.superblocks:
            return 0
        kind = raw.load(self.classes_at + block * 8)
        if kind == 0:
            return 0
        return self.refs_at + block * 131072 + (((address - self.base) & 0xFFFFF) >> kind) * 8

    def free(self, address):
        """The application lets go. -1 for a double free or an address that isn't ours."""
        at = self.refs_of(address)
        if at == 0:
            return -1
        while True:
            word = raw.load(at)
            if word < self.app:
                return -1
            if raw.compare_exchange_own(at, word, word - self.app):
                if word == self.app:
                    self.give_back(address)
                return 0

    def retain(self, address):
        """One more reference of the libOS, on an object that is alive. -1 otherwise."""
        at = self.refs_of(address)
        if at == 0:
            return -1
        while True:
            word = raw.load(at)
            if word == 0:
                return -1
            if raw.compare_exchange_own(at, word, word + 1):
                return 0

    def release(self, address):
        """The libOS gives a reference back. -1 when it has none."""
        at = self.refs_of(address)
        if at == 0:
            return -1
        while True:
            word = raw.load(at)
            if word & (self.app - 1) == 0:
                return -1
            if raw.compare_exchange_own(at, word, word - 1):
                if word == 1:
                    self.give_back(address)
                return 0

    def object_of(self, address):
        """The object that a byte lies in; 0 outside of the heap. Whether it is alive is not asked."""
        block = (address - self.base) >> 20
        if address < self.base or block >= self.superblocks:
            return 0
        kind = raw.load(self.classes_at + block * 8)
        if kind == 0:
            return 0
        return address - ((address - self.base) & (raw.bit(kind) - 1))

    def holds(self, address, size):
        """Whether these bytes are all in one object, and that one the application's."""
        at = self.refs_around(address)
        if at == 0 or raw.load(at) < self.app:
            return False
        room = raw.bit(raw.load(self.classes_at + ((address - self.base) >> 20) * 8))
        return size <= room - ((address - self.base) & (room - 1))

    def held(self, address):
        """Whether an object is the application's."""
        at = self.refs_of(address)
        return at != 0 and raw.load(at) >= self.app

    def hand_over(self, address):
        """A reference of the libOS becomes one of the application, to whom the object's byte at `address` goes."""
        at = self.refs_around(address)
        word = raw.load(at)
        while not raw.compare_exchange_own(at, word, word + self.app - 1):
            word = raw.load(at)

    def give_back(self, address):
        block = (address - self.base) >> 20
        index = ((address - self.base) & 0xFFFFF) >> raw.load(self.classes_at + block * 8)
        at = self.free_at + block * 2048 + (index >> 6) * 8
        word = raw.load(at)
        while not raw.compare_exchange_own(at, word, word | raw.bit(index & 63)):
            word = raw.load(at)

    def size_of(self, address):
        """Bytes usable at an object's address; 0 for an address that isn't ours."""
        if self.refs_of(address) == 0:
            return 0
        return raw.bit(raw.load(self.classes_at + ((address - self.base) >> 20) * 8))

    def count(self, counter):
        """0: superblocks opened, 1: allocs, of several threads about."""
        return raw.load(self.counters_at + counter * 8)

    def live(self):
        """Objects that somebody still holds: all of the opened superblocks that aren't free."""
        held = 0
        block = 0
        while block < self.count(0):
            kind = raw.load(self.classes_at + block * 8)
            count = raw.bit(20 - kind) if kind else 0  # 0: being opened
            held += count
            i = 0
            while i < (count + 63) >> 6:
                held -= raw.population(raw.load(self.free_at + block * 2048 + i * 8))
                i += 1
            block += 1
        return held
