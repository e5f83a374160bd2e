"""Catmint under the C face: how connections of a table's message queues begin and end (libos/core/messages.py).

All of it is done with the GIL, in the program's own calls: a socket's listen, connect and close, and, when something
asks for it, between two looks of a wait. Who is here has the `steps` first and then the table's lock, in this order, so
that who waits for either with the GIL does not keep it.
"""

import contextlib
import ctypes
import os
import socket as kernel
import threading

from libos import calls, raw
from libos.catmint import Catmint
from libos.core import driving, layout
from libos.core.messages import Messages
from libos.errors import Fail
from libos.mint_calls import MintCalls, endpoint
from libos.mint_queue import MintQueue
from libos.mint_spines import Spines
from libos.rendezvous import Card
from libos.sgarray import address_of
from libos.stack_native import LONGEST


class FaceQueue(MintQueue):
    """A queue's half that has the GIL, once it listens or calls. `record`: its other half in the table."""

    def __init__(self, libos, qd, fd):
        super().__init__(libos, kernel.socket(fileno=fd))
        self.socket.setblocking(False)
        self.qd = qd
        self.record = libos.table.queue_of(qd)
        self.offered = 0  # the qd that can be accepted next, or has been

    def join(self, at, peer_address):
        super().join(at, peer_address)
        self.libos.messages.join(self.record, at)

    def told(self):
        if self.alone:
            self.libos.messages.lost(self.record, calls.ECONNRESET)
        self.libos.messages.event(self.record)


class MintFace(MintCalls):
    """Over a table without queues, whose heap messages lie in. Raises UNSUPPORTED, DEVICE."""

    def __init__(self, table, provider="shm", node=""):
        super().__init__()
        self.table, self.heap = table, table.heap
        fabric, place = endpoint(provider, node)
        self.catmint = Catmint(fabric, self.heap)
        self.card = Card(provider, place, fabric.address)
        self.messages = Messages(table, self.catmint)
        self.messages.steward = table.loops = self
        self.device = Spines(self)
        self.queues: dict = {}
        self.listeners: set = set()
        self.steps = threading.RLock()
        self.depth = 0
        self.shut_down = False
        table.register(self.device.kernel.fileno(), calls.POLLIN, layout.STEWARD)
        if fabric.bell() >= 0:
            table.register(fabric.bell(), calls.POLLIN, layout.MESSAGE_BELL)
            threading.Thread(target=self.keep, name="catmint", daemon=True).start()

    @contextlib.contextmanager
    def held(self):
        """The lock, for Python."""
        with self.steps:
            self.depth += 1
            if self.depth == 1:
                self.table.lock()
            try:
                yield
            finally:
                self.depth -= 1
                self.messages.openings = len(self.device.openings)
                if self.depth == 0:
                    self.table.unlock()

    def survive_forks(self):
        """The lock is taken last of all before a fork, and what comes before it here first."""
        os.register_at_fork(
            before=self.steps.acquire, after_in_parent=self.steps.release, after_in_child=self.forget_all
        )

    def forget_all(self):
        """In a child: it has none of its parent's connections."""
        for queue in self.queues.values():
            queue.socket.close()
        for one in self.device.leaving:
            if one.sock is not None:
                one.sock.close()
        self.device.close_spines()
        self.shut_down = True
        self.steps = threading.RLock()

    def keep(self):
        """A provider that goes on in our calls only: peers are to have their answers while the program computes."""
        looks, rest = -1, threading.Event()
        while not rest.wait(LONGEST / 1000) and not self.shut_down:
            if looks == self.messages.looks:
                with self.held():
                    if not self.shut_down:
                        self.messages.look()
                self.step(0)
            looks = self.messages.looks

    # --- what the core asks for ---

    def step(self, qd):
        """Go on with what begins and ends."""
        with self.held():
            if self.shut_down:
                return
            for opening in list(self.device.openings):
                opening.told()
            self.device.glance()
            for queue in self.listeners:
                self.wake_inbound(queue)

    def of(self, qd):
        """The queue of a socket, whose half here is made when it is first needed."""
        if qd not in self.queues:
            self.queues[qd] = FaceQueue(self, qd, raw.load(self.table.queue_of(qd) + layout.FD))
        return self.queues[qd]

    def listen(self, qd, backlog):
        with self.held():
            if self.table.queue_of(qd) and not self.shut_down:
                self.listeners.add(self.of(qd))
                self.of(qd).listen(backlog)

    def connect(self, qd):
        """Begin the connect that waits."""
        with self.held():
            record = self.table.queue_of(qd)
            if self.shut_down or not record or not raw.load(record + layout.FIRST_OUT):
                return
            queue = self.of(qd)
            try:
                queue.call(self.address_of(record))
            except OSError as error:
                self.messages.settled(record, error.errno)
            else:
                self.wake_outbound(queue)

    def address_of(self, record):
        """The address of a record's first connect, as Python has it."""
        at = self.table.operations + (raw.load(record + layout.FIRST_OUT) - 1) * layout.OPERATION + layout.ADDRESS
        return name_of(ctypes.string_at(at, layout.NAME_6))

    def release(self, qd, fd):
        """A queue was closed: its connection goes its way."""
        with self.held():
            queue = self.queues.pop(qd, None)
            if queue is None:
                os.close(fd)
            elif self.shut_down:
                queue.socket.close()
            elif queue.at:
                self.leave(queue.at, queue.socket)
                if queue.alone:
                    self.device.forget(queue.socket)
            else:
                if queue.listening is not None:
                    queue.listening.close()
                elif queue.calling is not None:
                    queue.hang_up()
                self.device.forget(queue.socket)
                queue.socket.close()
            self.listeners.discard(queue)
            stranger = self.queues.get(queue.offered) if queue is not None else None
        if stranger is not None and not raw.load(stranger.record + layout.ACCEPTED):
            driving.close(self.table, stranger.qd)

    # --- what the rooms of openings ask for, under the lock ---

    def let_go(self, at):
        self.messages.let_go(at)

    def kernel(self, call, *arguments):
        """bind(2) and listen(2), which the core has made."""

    def send(self, at, data):
        self.checked(self.messages.say(at, address_of(memoryview(data)), len(data)))

    def wake_inbound(self, queue):
        """A listener may have connections: they are offered one at a time, so that its backlog counts the others."""
        if queue.listening is None or raw.load(queue.record + layout.FIRST_READY):
            return
        answer = queue.listening.take()
        if answer is None:
            return
        size = layout.NAME_4 if answer.sock.family == kernel.AF_INET else layout.NAME_6
        record = self.messages.add(answer.sock.fileno(), size)
        if not record:
            answer.expire()
            return
        qd = raw.load(record + layout.QUEUE_QD)
        other = self.queues[qd] = FaceQueue(self, qd, answer.sock.detach())
        other.join(answer.at, answer.peer)
        raw.store32(self.result_at, layout.NAME_6)
        raw.syscall(calls.SYS_getpeername, other.fileno(), record + layout.PEER_NAME, self.result_at, 0, 0, 0)
        queue.offered = qd
        self.messages.offer(queue.record, record)

    def wake_outbound(self, queue):
        """A call may go on."""
        if queue.calling is None:
            return
        try:
            if queue.advance():
                self.messages.settled(queue.record, 0)
        except (OSError, Fail) as error:
            number = error.number() if isinstance(error, Fail) else error.errno
            self.messages.settled(queue.record, number or calls.ECONNREFUSED)

    # --- the end ---

    def shut(self):
        """The process ends: what is open is reset, what was closed before is said to its end."""
        with self.held():
            if self.shut_down:
                return
            for queue in list(self.queues.values()):
                if queue.at:
                    self.catmint.machine.abort(queue.at)
                    self.leave(queue.at, queue.socket)
            self.linger(self.look)
            self.shut_down = True
            self.messages.here = False
            self.catmint.close()

    def look(self):
        found = self.messages.look() > 0
        return self.device.glance() or found


def name_of(room):
    """Python's address for the bytes of a struct sockaddr_in or sockaddr_in6."""
    family, port = int.from_bytes(room[:2], "little"), int.from_bytes(room[2:4], "big")
    if family == kernel.AF_INET:
        return kernel.inet_ntop(family, room[4:8]), port
    flow, scope = int.from_bytes(room[4:8], "big"), int.from_bytes(room[24:28], "little")
    return kernel.inet_ntop(family, room[8:24]), port, flow, scope
