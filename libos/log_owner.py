"""The owner of a shared volume: it serves the processes that have connected, in a thread of its own.

Each guest has a connection of Catloop's, on which its messages come (libos/log_wire.py). What a guest says is checked
before it is done; one that says nonsense is put out, and what it had open is closed, as when it dies.
"""

import hmac
import os
import socket
import threading

from libos.cattree_native import CattreeLibOS
from libos.errors import Fail
from libos.factory import native
from libos.log_guest import Guest
from libos.log_rendezvous import Door
from libos.pdpix import ACCEPT
from libos.sgarray import SGArray

FAREWELL = 1  # seconds that guests are waited for when the owner goes; some may be busy with other things


class Owner:
    """Owns the volume of `path` and serves it from now on. Raises Fail: IN_USE when another process does."""

    def __init__(self, path, size):
        self.store = CattreeLibOS(path=path, size=size)
        try:
            self.net = native("catloop", beside=self.store)
            self.listener = self.net.socket(socket.AF_INET, socket.SOCK_STREAM)
            self.net.bind(self.listener, ("127.0.0.1", 0))
            self.net.listen(self.listener, 64)
            self.secret = os.urandom(16)
            self.door = Door(self.store.file.fd, self.net.getsockname(self.listener)[1], self.secret)
        except BaseException:
            self.store.shut()
            raise
        self.guests = {}  # by qd of their connections
        self.going = {}  # by qtoken: what is to be called with its result
        self.waiting = self.store.wait_set()
        self.bell = self.store.queue()
        self.thread = threading.Thread(target=self.run, name="catflap-log-owner", daemon=True)
        self.thread.start()

    def when(self, qtoken, then):
        """Have `then(result)` called."""
        self.going[qtoken] = then
        self.waiting.add(qtoken)

    def run(self):
        try:
            self.serve()
            self.farewell()
        finally:  # whatever has happened, the volume is for others to take
            for guest in list(self.guests.values()):
                guest.leave()
            self.door.close()
            self.store.shut()

    def serve(self):
        ringing = self.store.pop(self.bell)
        self.when(ringing, None)
        self.accept()
        while True:
            result = self.waiting.wait()
            if result.qtoken == ringing:
                return
            self.going.pop(result.qtoken)(result)

    def accept(self):
        self.when(self.net.accept(self.listener), self.accepted)

    def accepted(self, result):
        if result.opcode == ACCEPT:
            self.guests[result.value] = Guest(self, result.value)
        elif result.qd not in self.net.queues:
            return
        self.accept()

    def secret_is(self, text):
        return hmac.compare_digest(self.secret, text)

    def farewell(self):
        """Answer what has been asked, and say that this was all."""
        self.net.close(self.listener)
        for guest in list(self.guests.values()):
            guest.say_goodbye()
        limit = self.store.clock.now() + FAREWELL * 10**9
        while self.guests:
            try:
                result = self.waiting.wait((limit - self.store.clock.now()) / 1e9)
            except Fail:
                return
            self.going.pop(result.qtoken)(result)

    def orphaned(self):
        """In a forked child: all this is its parent's, and the volume no longer in use once that has ended."""
        for queue in self.store.queues.values():
            if queue.libos is self.net:
                queue.socket.close()
        self.door.socket.close()

    def close(self):
        """Let go of the volume: its guests find another owner among themselves."""
        self.store.push(self.bell, SGArray.of(b"\0"))
        self.thread.join()
