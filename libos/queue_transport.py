"""A connection of a libOS as asyncio's transport: what comes is popped, what is written is pushed, in whole arrays."""

import asyncio
import os
import socket
from asyncio import transports
from collections import deque

from libos.errors import Kind
from libos.sgarray import SGArray

ROOM = 65536  # bytes asked for by a pop
HIGH = 65536  # bytes written and not taken from which on the protocol is asked to pause
SEGMENTS = 64  # writes that become one array


def as_oserror(fail):
    """The OSError that asyncio's own loop would have raised."""
    number = fail.number()
    return OSError(str(fail)) if number is None else OSError(number, os.strerror(number))


class QueueSocket:
    """What programs ask `get_extra_info("socket")` for: names and options of the queue's socket."""

    def __init__(self, libos, qd):
        self.libos = libos
        self.qd = qd
        self.family = libos.queue_of(qd).domain
        self.type, self.proto = socket.SOCK_STREAM, socket.IPPROTO_TCP

    def fileno(self):
        """The number of the kernel socket below, -1 where there is none; its bytes are the libOS's."""
        return self.libos.queue_of(self.qd).fileno()

    def getsockname(self):
        return self.libos.getsockname(self.qd)

    def getpeername(self):
        return self.libos.getpeername(self.qd)

    def setsockopt(self, level, option, value):
        self.libos.setsockopt(self.qd, level, option, value)

    def getsockopt(self, level, option, size=0):
        return self.libos.getsockopt(self.qd, level, option, size)


class QueueTransport(transports.Transport):
    """As asyncio's socket transport (asyncio.Transport); `server` counts the connections that it has accepted."""

    def __init__(self, loop, libos, qd, protocol, server=None):
        sock = QueueSocket(libos, qd)
        super().__init__({"socket": sock, "sockname": sock.getsockname(), "peername": sock.getpeername()})
        self.loop, self.libos, self.qd, self.protocol, self.server = loop, libos, qd, protocol, server
        self.out = deque()
        self.buffered = 0
        self.high, self.low = HIGH, HIGH // 4
        self.popping = None  # the qtoken of the pop in flight
        self.pushing = self.reading_paused = self.writing_paused = False
        self.ended = self.eof_written = self.closing = self.lost = False
        loop.call_soon(protocol.connection_made, self)
        loop.call_soon(self.pop)

    # --- reading ---

    def pop(self):
        if self.popping is None and not (self.closing or self.ended or self.reading_paused or self.lost):
            self.popping = self.libos.pop(self.qd, ROOM)
            self.loop.when(self.libos, self.popping, self.popped)

    def popped(self, result):
        self.popping = None
        if result.error is not None:
            return None if result.error.kind is Kind.CANCELED else self.fail(result.error)
        with result.sga as sga:
            if self.lost or self.closing:
                return
            if not len(sga):
                return self.end()
            try:
                self.deliver(sga)
            except Exception as error:
                return self.fatal(error)
        self.pop()

    def deliver(self, sga):
        if not isinstance(self.protocol, asyncio.BufferedProtocol):
            return self.protocol.data_received(bytes(sga))
        for segment in sga.segments:
            while len(segment):
                room = self.protocol.get_buffer(len(segment))
                taken = min(len(room), len(segment))
                room[:taken] = segment[:taken]
                self.protocol.buffer_updated(taken)
                segment = segment[taken:]

    def end(self):
        self.ended = True
        if not self.protocol.eof_received():
            self.close()

    def is_reading(self):
        return not (self.reading_paused or self.closing)

    def pause_reading(self):
        self.reading_paused = True
        if self.popping is not None:
            self.libos.cancel(self.popping)

    def resume_reading(self):
        self.reading_paused = False
        self.loop.call_soon(self.pop)

    # --- writing ---

    def write(self, data):
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}")
        if self.eof_written:
            raise RuntimeError("Cannot call write() after write_eof()")
        if not len(data) or self.lost or self.closing:
            return
        self.out.append(bytes(data))
        self.buffered += len(data)
        self.push()
        if self.buffered > self.high and not self.writing_paused:
            self.writing_paused = True
            self.protocol.pause_writing()

    def writelines(self, pieces):
        self.write(b"".join(pieces))

    def push(self):
        if self.pushing or not self.out:
            return
        pieces = [self.out.popleft() for _ in range(min(len(self.out), SEGMENTS))]
        self.pushing = True
        self.loop.when(self.libos, self.libos.push(self.qd, SGArray.of(*pieces)), self.pushed)

    def pushed(self, result):
        self.pushing = False
        if result.error is not None:
            return None if self.lost else self.fail(result.error)
        self.buffered -= result.value
        if self.writing_paused and self.buffered <= self.low:
            self.writing_paused = False
            self.protocol.resume_writing()
        if self.out:
            self.push()
        elif not self.pushing:
            self.flushed()

    def flushed(self):
        """All that was written has been taken."""
        if self.closing:
            self.lose(None)
        elif self.eof_written:
            self.libos.shutdown(self.qd, socket.SHUT_WR)

    def write_eof(self):
        if not (self.eof_written or self.closing):
            self.eof_written = True
            if not self.buffered:
                self.flushed()

    def can_write_eof(self):
        return True

    def set_write_buffer_limits(self, high=None, low=None):
        self.high = high if high is not None else HIGH if low is None else 4 * low
        self.low = low if low is not None else self.high // 4

    def get_write_buffer_limits(self):
        return self.low, self.high

    def get_write_buffer_size(self):
        return self.buffered

    # --- the end ---

    def close(self):
        if self.closing or self.lost:
            return
        self.closing = True
        if self.popping is not None:
            self.libos.cancel(self.popping)
        if not self.buffered:
            self.loop.call_soon(self.lose, None)

    def is_closing(self):
        return self.closing or self.lost

    def abort(self):
        self.lose(None)

    def fail(self, failure):
        """The connection has failed: an error of the network ends it as it does asyncio's own."""
        self.lose(as_oserror(failure))

    def fatal(self, error):
        """The protocol has failed."""
        context = {"message": "Fatal error: protocol.data_received() call failed.", "exception": error}
        self.loop.call_exception_handler(context | {"transport": self, "protocol": self.protocol})
        self.lose(error)

    def lose(self, error):
        if self.lost:
            return
        self.lost = self.closing = True
        self.out.clear()
        self.libos.close(self.qd)
        self.loop.call_soon(self.protocol.connection_lost, error)
        if self.server is not None:
            self.loop.call_soon(self.server.left)

    def set_protocol(self, protocol):
        self.protocol = protocol

    def get_protocol(self):
        return self.protocol
