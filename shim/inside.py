"""What a running process shows of its Catflap from outside: its mappings, the preload's words, its records.

Nothing in it is changed or stopped. A record that changes while it is read may be told half old, half new.
"""

import os
import re
from functools import lru_cache

import psutil

from libos import config, layout
from libos.family import MAGIC
from libos.layout import ENDS, FIRST, NOTED, NOTES

PAGE = 4096
SHOWN = ("FD", "OWNER", "IN_STATE", "OUT_STATE", "HEAD", "TAIL", "IN_LEVEL", "OUT_LEVEL", "SPINS", "SLEEPS", "FULLS",
         "MEETING", "LEFT", "IN", "RELAY", "MINT")  # fmt: skip
PAGE_BITS = 10  # csrc/trap.h, as the two below
HOST_STATES = ("off", "cold", "booting", "up", "dead")
WORDS = ("host_state", "kernel_reason", "descriptor_pages")
OBJECT = 160  # bytes of a description that are looked at
AT_SECURE = 23  # getauxval(3)
# csrc/abi.h: a listener of the kernel's, whose connections are looked at by themselves; a descriptor of Catflap's own
LISTENING, OWN = 254, 255
SCOPE = "/proc/sys/kernel/yama/ptrace_scope"


class Unreadable(Exception):
    """A process that can't be looked into; str() says why."""

    def __init__(self, why, remedy):
        super().__init__(why)
        self.remedy = remedy


def alive(pid):
    """Whether a process is there and has not ended; its parent may still have to take note of that."""
    try:
        return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


def refused(pid, error):
    """The Unreadable for what the kernel answered when process `pid` was looked at."""
    if isinstance(error, (FileNotFoundError, ProcessLookupError)):
        return Unreadable("no such process", "see 'ps -e' for those there are")
    if not isinstance(error, PermissionError):
        return Unreadable("it changes at this moment", "ask again")
    why = "its memory can't be read"
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return Unreadable("the process has ended", "its parent has yet to take note of it")
        if process.uids().effective != os.geteuid():
            return Unreadable(f"{why}: it is {process.username()}'s", "run as root")
    except psutil.Error:
        return Unreadable(why, "run as root")
    what = "the kernel lets debuggers read their children only" if os.path.exists(SCOPE) else "the kernel forbids it"
    return Unreadable(f"{why}: {what}", "run as root or set kernel.yama.ptrace_scope=0")


@lru_cache(16)
def symbols(path, inode):
    """{name: offset} of the preload's words in the file at `path`; those of a stripped one are missing."""
    from elftools.elf.elffile import ELFFile

    with open(path, "rb") as file:
        table = ELFFile(file).get_section_by_name(".symtab")
        found = {name: table.get_symbol_by_name(name) for name in WORDS} if table else {}
        return {name: entries[0]["st_value"] for name, entries in found.items() if entries}


class Process:
    """One process from outside. Making it raises Unreadable; so does whatever looks into its memory."""

    def __init__(self, pid):
        self.pid = pid
        self.preload = None  # (address, path, inode) of libcatflap.so
        self.host = False
        self.table = 0
        self.family = None  # inode of the table: who shares it shows the same
        try:
            with open(f"/proc/{pid}/maps", errors="surrogateescape") as file:
                for line in file:
                    self.note_mapping(line)
        except OSError as error:
            raise refused(pid, error)
        self.memory = None
        self.words = None
        self.pages = {}

    def note_mapping(self, line):
        if "catflap" not in line:
            return
        span, _, offset, _, inode, path = line.rstrip("\n").split(None, 5)
        begin = int(span.partition("-")[0], 16)
        leaf = path.rpartition("/")[2].removesuffix(" (deleted)")
        if leaf == "libcatflap.so" and int(offset, 16) == 0:
            self.preload = (begin, path, int(inode))
        elif leaf == "libcatflap_host.so":
            self.host = True
        elif path.startswith("/memfd:catflap-ends") and begin % layout.AREA == 0:  # others' lie anywhere
            self.table, self.family = begin, int(inode)

    def text(self, leaf):
        """One file of /proc/PID, as bytes; empty when it can't be read."""
        try:
            with open(f"/proc/{self.pid}/{leaf}", "rb") as file:
                return file.read()
        except OSError:
            return b""

    @property
    def program(self):
        try:
            return psutil.Process(self.pid).name()
        except psutil.Error:
            return "?"

    def environ(self):
        """The environment that it was started with."""
        entries = (os.fsdecode(entry).partition("=") for entry in self.text("environ").split(b"\0") if entry)
        return {name: value for name, _, value in entries}

    def settings(self):
        """The configuration that it was started with, or None when that can't be read any more."""
        try:
            return config.load(self.environ()).for_program(os.readlink(f"/proc/{self.pid}/exe"))
        except (config.ConfigError, OSError):
            return None

    def secure(self):
        """Whether it gained privileges at its start, so that its loader ignored LD_PRELOAD (ld.so(8))."""
        words = memoryview(self.text("auxv")).cast("Q").tolist()
        return bool(dict(zip(words[::2], words[1::2], strict=True)).get(AT_SECURE))

    def descriptors(self):
        """{number: what it is, as in /proc/PID/fd}."""
        found = {}
        try:
            for number in os.listdir(f"/proc/{self.pid}/fd"):
                try:
                    found[int(number)] = os.readlink(f"/proc/{self.pid}/fd/{number}")
                except FileNotFoundError:
                    continue
        except OSError as error:
            raise refused(self.pid, error)
        return found

    def read(self, address, size):
        """`size` bytes of its memory."""
        try:
            if self.memory is None:
                self.memory = os.open(f"/proc/{self.pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
            found = os.pread(self.memory, size, address)
        except (OSError, OverflowError) as error:  # what was read there may be no address
            raise refused(self.pid, error)
        if len(found) < size:
            raise refused(self.pid, ProcessLookupError())
        return found

    def number(self, address, size=8):
        return int.from_bytes(self.read(address, size), "little")

    def close(self):
        if self.memory is not None:
            os.close(self.memory)
            self.memory = None

    # --- the preload's words ---

    def word(self, name):
        """Address of a variable of its libcatflap.so, or 0 when that file is gone or stripped."""
        if self.words is None:
            begin, path, inode = self.preload
            path = f"/proc/{self.pid}/root{path}"
            try:
                same = os.stat(path).st_ino == inode
                offsets = symbols(path, inode) if same else {}
            except OSError:
                offsets = {}
            self.words = {name: begin + offset for name, offset in offsets.items()}
        return self.words.get(name, 0)

    def host_state(self):
        """One of HOST_STATES; what can be guessed without the preload's words."""
        at = self.word("host_state")
        if at:
            return HOST_STATES[min(self.number(at, 4), len(HOST_STATES) - 1)]
        if self.table or self.host:
            return "up"
        return "off" if self.environ().get("CATFLAP_LIBOS") == "kernel" else "cold"

    def kernel_reason(self):
        """The code of why its host is off."""
        at = self.word("kernel_reason")
        return self.number(at, 4) if at else 2

    def entry(self, fd):
        """(whether Catflap serves it, reason code) of a descriptor number; (None, code) when only its note is known."""
        if not self.word("descriptor_pages"):
            noted = self.table and fd < NOTED
            return None, self.number(self.table + NOTES + fd, 1) if noted else 0
        description, reason = self.described(fd)
        return description != 0, reason

    def young(self, fd):
        """Whether the preload only counts the uses of a descriptor yet (csrc/young.c)."""
        return self.value(fd) & 3 == 3

    def described(self, fd):
        """(address of the description that a number stands for, reason code); zeros where nothing is known."""
        value = self.value(fd)
        return (value, 0) if not value & 1 else (0, value >> 2 if not value & 2 else 0)

    def value(self, fd):
        """The entry of a descriptor number (csrc/descriptors.c)."""
        pages, index = self.word("descriptor_pages"), fd >> PAGE_BITS
        if not pages or index >= 1 << 16:
            return 0
        if index not in self.pages:
            at = self.number(pages + index * 8)
            self.pages[index] = memoryview(self.read(at, 8 << PAGE_BITS)).cast("Q") if at else None
        entries = self.pages[index]
        return entries[fd & (1 << PAGE_BITS) - 1] if entries else 0

    # --- the records of its family ---

    def touched(self):
        """Which pages of the table this process has touched (pagemap): reading others would give them memory."""
        count = -(-(FIRST + ENDS * layout.RECORD) // PAGE)
        try:
            with open(f"/proc/{self.pid}/pagemap", "rb", buffering=0) as file:
                file.seek(self.table // PAGE * 8)
                entries = file.read(count * 8)
        except OSError as error:
            raise refused(self.pid, error)
        return {page for page, entry in enumerate(memoryview(entries).cast("Q")) if entry >> 62}

    def records(self, pages):
        """The records in use on these pages of the table, as {name of a word: value}; AT is the address."""
        if self.number(self.table) != MAGIC or self.number(self.table + 8) != layout.RECORD:
            raise Unreadable("its Catflap is of another version", "ask with the catflap that started it")
        wanted = set()
        for page in pages:
            first = max(page * PAGE - FIRST, 0)
            last = page * PAGE + PAGE - 1 - FIRST
            if last >= 0:
                wanted.update(range(first // layout.RECORD, min(last // layout.RECORD, ENDS - 1) + 1))
        found = []
        for run in runs(sorted(wanted)):
            begin = self.table + FIRST + run.start * layout.RECORD
            block = memoryview(self.read(begin, len(run) * layout.RECORD))
            for offset in range(0, len(block), layout.RECORD):
                words = block[offset : offset + layout.RECORD].cast("Q")
                if words[layout.USERS // 8]:
                    found.append(named(begin + offset, words))
        return found

    def record(self, at):
        """The record at an address."""
        return named(at, memoryview(self.read(at, layout.RECORD)).cast("Q"))

    def end_of(self, fd):
        """Address of a descriptor's record, as its compiled description holds it; 0 for an interpreted one."""
        if not self.table:
            return 0
        at, _ = self.described(fd)
        arena = self.table + FIRST
        for word in memoryview(self.read(at, OBJECT)).cast("Q") if at else ():
            if 0 <= word - arena < ENDS * layout.RECORD and (word - arena) % layout.RECORD == 0:
                return word
        return 0


def named(at, words):
    return {"AT": at, **{name: words[getattr(layout, name) // 8] for name in SHOWN}}


def written(host="", port=0):
    """`host:port`, IPv6 in brackets; "" for none."""
    return f"[{host}]:{port}" if ":" in host else host and f"{host}:{port}"


def runs(numbers):
    """Sorted whole numbers as ranges without gaps."""
    begin = 0
    for i in range(1, len(numbers) + 1):
        if i == len(numbers) or numbers[i] != numbers[i - 1] + 1:
            yield range(numbers[begin], numbers[i - 1] + 1)
            begin = i


def catflapped():
    """All processes under Catflap whose mappings may be looked at."""
    found = []
    for pid in psutil.pids():
        try:
            process = Process(pid)
        except Unreadable:
            continue  # another user's, or gone: nothing is known of it
        if process.preload:
            found.append(process)
    return found


def link(pid, fd):
    """What a descriptor is, as in /proc/PID/fd; "" when it is closed or not ours to see."""
    try:
        return os.readlink(f"/proc/{pid}/fd/{fd}")
    except OSError:
        return ""


def protocol(pid, fd):
    """ "tcp", "tcp6", "udp", "udp6", or "" for what is none of them: asked of the socket itself."""
    try:
        said = os.getxattr(f"/proc/{pid}/fd/{fd}", "system.sockprotoname")
    except OSError:
        return ""
    found = re.fullmatch(r"(tcp|udp)(?:v(6))?", said.rstrip(b"\0").decode().lower())
    return found[1] + (found[2] or "") if found else ""
