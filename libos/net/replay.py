"""A tape is read, and its calls are made once more on a stack like the one that it was taken of.

A tape is octets of memory here (`at`, `size`); how it is written is told in libos/net/recorder.py and
libos/tape_file.py.
"""

import ast
import ctypes
from dataclasses import dataclass

from libos import raw
from libos.net import octets, recorder, snapshot, structs
from libos.net.stack import Stack

MAGIC, VERSION = b"catflap tape ", b"1\n\0"
START = 32  # octets before the head
SECOND = 10**9
LARGEST = 1 << 24  # octets of a record that are believed
DONE = 1 << 16  # as the recorder has it
CUT = "where it was cut short"


class Unreadable(Exception):
    """It is no tape, or none that can be run here; the text says why."""


class Difference(Exception):
    """The text says what is not as it was, `record` where."""

    def __init__(self, record, what):
        super().__init__(f"{record}: {what}")
        self.record = record


@dataclass
class Record:
    """`time`: nanoseconds since the tape began. `arguments`: six. `size` octets at `at` came with it. `answer`: None
    where the process ended during the call.
    """

    number: int
    kind: int
    time: int
    arguments: tuple
    at: int
    size: int
    answer: int | None

    @property
    def name(self):
        return names()[self.kind]

    @property
    def frame(self):
        """The octets that came with it: a frame, or what a user sends."""
        kinds = (structs.CALL_RECEIVE, structs.CALL_SEND, structs.CALL_SEND_URGENT, structs.CALL_UDP_SEND)
        return ctypes.string_at(self.at, min(self.size, self.arguments[2])) if self.kind in kinds else b""

    def __str__(self):
        return f"record {self.number} ({self.name}) at {self.time / SECOND:.9f} s"


def names():
    """What a user calls each of the calls of a tape."""
    structs.CALL_END  # noqa: B018 - have them read
    return {value: name[5:].lower() for name, value in structs.KEPT.items() if name.startswith("CALL_")}


def head(at, size):
    """(what the tape says of itself, where the pages begin, where the records begin). Raises Unreadable."""
    start = ctypes.string_at(at, min(size, START))
    if not start.startswith(MAGIC):
        raise Unreadable("it is empty" if not size else "it is no tape")
    if start[len(MAGIC) : 16] != VERSION:
        raise Unreadable("it is of another version of Catflap; replay it with that one")
    length = int.from_bytes(start[16:24], "little")
    if size < START + length:
        raise Unreadable("it is cut short before its first record")
    try:
        told = ast.literal_eval(ctypes.string_at(at + START, length).decode())
        pages = START + length
        records = pages + len(told["pages"]) * snapshot.PAGE
        whole = size >= records
    except (ValueError, SyntaxError, KeyError, TypeError, MemoryError, RecursionError):
        raise Unreadable("its head is damaged")
    if not whole:
        raise Unreadable("it is cut short before its first record")
    if octets.remainder(at + START, records - START) != raw.load(at + 24):
        raise Unreadable("its head is damaged")
    if told["layout"] != snapshot.layout():
        raise Unreadable("it is of another version of Catflap; replay it with that one")
    return told, pages, records


class Replay:
    """`stack` is what it was when the tape began. Raises Unreadable.

    `ending`: after the last record, how the tape ended. `connections`: (time, names, who began).
    """

    def __init__(self, at, size):
        self.at, self.size = at, size
        self.head, pages, self.records_at = head(at, size)
        attributes = self.head["attributes"]
        pool, host, out = attributes["pool"], attributes["host"], attributes["out"]
        try:
            size = pool["room"], out["capacity"], pool["base"], host.get("cut", 0)
            self.stack = Stack(host["mac"], host["mtu"], bytes(16), *size)
        except MemoryError as error:
            raise Unreadable(str(error))
        if self.stack.host.pool.base != pool["base"]:
            self.stack.host.close()
            raise Unreadable("the place of the stack's memory is taken here; try once more")
        snapshot.put(self.stack, attributes, self.head["pages"], at + pages)
        self.buffer = ctypes.create_string_buffer(1 << 21)
        self.start = self.head["now"]
        self.time = self.done = self.frames_in = self.frames_out = 0
        self.connections = []
        self.ending = None
        self.sent = lambda record, frame: None  # is told of each frame that goes out

    def records(self):
        """Each Record but the last ones, which are no calls. Raises Difference for one that is damaged."""
        offset, number = self.records_at, 0
        while True:
            left = self.size - offset
            length = raw.load32(self.at + offset) if left >= 8 else 0
            if length == 0 and not (left >= 8 and raw.load32(self.at + offset + 4) & DONE):
                whole = left == 0 or left >= 8
                self.ending = "without a farewell: the program was killed, or has become another" if whole else CUT
                return
            number += 1
            if left < length <= LARGEST:
                self.ending = CUT
                return
            record = self.record(number, offset, length)
            offset += length
            if record.kind == structs.CALL_END:
                self.ending = "with the program"
                return
            if record.kind == structs.CALL_FULL:
                self.ending = f"where there was no room for more (errno {record.answer})"
                return
            yield record

    def record(self, number, offset, length):
        at = self.at + offset
        word = raw.load32(at + 4)
        kind, count, done = word & 0xFF, word >> 8 & 0xFF, word & DONE
        size = length - 32 - 8 * count
        behind = raw.load32(at + length) if offset + length + 8 <= self.size else 0
        time = raw.load(at + 8) - self.start if 32 <= length <= LARGEST else 0
        broken = length % 8 or length > LARGEST or count > 6 or size < 0 or kind not in names()
        if broken or (behind if not done else recorder.check(at, length) != raw.load(at + length - 8)):
            raise Difference(f"record {number} at {time / SECOND:.9f} s", "it is damaged, and not what was written")
        arguments = tuple(raw.load(at + 16 + 8 * i) if i < count else 0 for i in range(6))
        answer = ctypes.c_int64(raw.load(at + length - 16)).value if done else None
        return Record(number, kind, time, arguments, at + 16 + 8 * count, size, answer)

    def perform(self, record):
        """Make a call as it was made. Raises Difference."""
        self.time, self.done = record.time, record.number
        self.stack.host.now = self.start + record.time
        a, b, c, d, e, f = record.arguments
        if record.kind <= structs.CALL_CHANGED:
            b = record.at
        elif record.kind <= structs.CALL_UDP_RECEIVE_INTO:
            if c > len(self.buffer):
                self.buffer = ctypes.create_string_buffer(c)
            b = ctypes.addressof(self.buffer)
        if record.kind == structs.CALL_RECEIVE:
            self.frames_in += 1
        elif record.kind == structs.CALL_DROP:
            out = self.stack.host.out
            if a > out.count:
                raise Difference(record, f"{a} frames went out, there are {out.count}")
            self.frames_out += a
            for i in range(a):
                self.sent(record, ctypes.string_at(out.frame(i), out.length(i)))
        answer = recorder.perform(self.stack, record.kind, a, b, c, d, e, f)
        if record.answer is not None and answer != record.answer:
            raise Difference(record, self.said(record, answer))
        self.remember(record, answer)

    def said(self, record, answer):
        if record.kind == structs.CALL_STATE:
            return "the state is another"
        if record.kind == structs.CALL_DROP:
            return "other frames go out"
        return f"the answer was {record.answer}, and is {answer}"

    def remember(self, record, answer):
        if record.kind == structs.CALL_ACCEPT and answer > 0:
            self.connections.append((record.time, *named(answer), False))
        elif record.kind == structs.CALL_CONNECT and answer == -structs.IN_PROGRESS:
            self.connections.append((record.time, *named(record.arguments[0]), True))


def named(at):
    """(local high, low, port, remote high, low, port) of a connection's record."""
    c = structs.Tcb.from_address(at)
    return (c.local_high, c.local_low, c.local_port), (c.remote_high, c.remote_low, c.remote_port)
