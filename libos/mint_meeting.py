"""How the two ends of a program's TCP connection meet by Catmint's fabric: as Catloop's do (libos/meeting.py), by a
Unix socket, which says whose they are. There they tell each other where their endpoints are; the first message by the
fabric is a secret of that talk.
"""

import os
import struct

from libos import diagnostics, raw
from libos.meeting import SO_PEERCRED, Meeting, close_all, receive, send
from libos.refusal import Refused
from libos.rendezvous import NONCE, Card

VERSION = 1
HELLO = struct.Struct("=8sII16s")  # magic, version, the bell of the sender's keeper, the sender's family
MAGIC = b"catmint\0"
LOOKS = 200  # at the fabric in one step, for an answer that is on its way


def eight(word):
    return word.to_bytes(8, "little")


class MintMeeting(Meeting):
    """`relay`: what carries the bytes, once both have met."""

    place = b"\0catflap/mint/"

    def __init__(self, network, family, end, accepting):
        self.network = network
        self.service = self.at = 0  # records of the core
        self.nonce = b""
        self.process = 0  # at the other end
        Meeting.__init__(self, family, end, accepting)

    def close(self):
        Meeting.close(self)
        network = self.network
        if (self.service or (self.at and not self.relay)) and network.gateway is not None:
            with network.locked() as gateway:
                if self.service:
                    gateway.machine.close(self.service)
                if self.at and not self.relay:
                    gateway.machine.abort(self.at)
        self.service = 0
        if not self.relay:
            self.at = 0

    def parted(self):
        if self.relay and self.network.gateway is not None:
            self.network.released(self.relay)

    def greet(self, card):
        """Say who we are, and where by the fabric."""
        network = self.network
        text = HELLO.pack(MAGIC, VERSION, network.bell, self.family.key) + card.line()
        send(self.sock, text, self.family.page_fd)

    def greeting(self):
        """(the other end's card, its bell, its family, its page). Raises Refused, and BlockingIOError until then."""
        text, fds = receive(self.sock, 1)
        try:
            pid, uid, _ = struct.unpack("=iII", self.sock.getsockopt(diagnostics.SOL_SOCKET, SO_PEERCRED, 12))
            if uid != self.peer.uid or len(text) < HELLO.size:
                raise Refused("PEER_UID" if uid != self.peer.uid else "PEER_UNKNOWN")
            magic, version, bell, key = HELLO.unpack_from(text)
            if magic != MAGIC or version != VERSION:
                raise Refused("OTHER_VERSION")
            card = Card.of(text[HELLO.size :])
            if self.network.card.differs(card):
                if self.accepting:
                    self.greet(self.network.card)  # for the other end to know why
                raise Refused("FABRIC")
        except ValueError:
            close_all(fds)
            raise Refused("PEER_UNKNOWN")
        except BaseException:
            close_all(fds)
            raise
        self.process = pid
        return card, bell, key, fds

    def known(self, card, bell=0, key=b"", fds=()):
        """The address of the peer, which our endpoint knows from now on, and its bell, where it has one."""
        room = memoryview(card.address)
        try:
            with self.network.locked() as gateway:
                number = gateway.catmint.fabric.peer(raw.view_at(room), len(room))
            if number < 0:
                raise Refused("FABRIC")
            if fds:
                self.network.acquaint(number, key, bell, fds[0])
        finally:
            close_all(fds)
        return room

    def first_words(self, card):
        """The secret that is said first by the fabric."""
        return card.nonce

    def connect_step(self):
        network = self.network
        if self.sock is None:
            if network.lost:
                raise Refused("FABRIC")
            if not self.connect():
                return False
            network.open()
            self.family.start_bells()
            self.greet(network.card)
            return False
        if not self.at:
            card, *peer = self.greeting()
            room = self.known(card, *peer)
            self.nonce = self.first_words(card)
            with network.locked() as gateway:
                at = gateway.machine.connect(raw.view_at(room), len(room), card.service, raw.now())
            if at < 0:
                raise Refused("FABRIC")
            self.at = at
            self.begin()
        for _ in range(LOOKS):
            network.gateway.glance()
            opened = network.gateway.opened(self.at)
            if opened < 0:
                raise Refused("FABRIC")
            if opened:
                self.say_nonce()
                self.cross()
                return True
        return False

    def say_nonce(self):
        """The first message, in a room of the heap that the core gives back as any other."""
        network = self.network
        room = network.catloop.heap.alloc(4096)
        if not room:
            raise Refused("NO_MEMORY")
        for k in range(0, NONCE, 8):
            raw.store(room + k, int.from_bytes(self.nonce[k : k + 8], "little"))
        with network.locked() as gateway:
            if gateway.machine.push(self.at, room, NONCE, room) < 0:
                raise Refused("FABRIC")

    def accept_step(self):
        network = self.network
        if self.sock is None:
            self.accept()
        if not self.service and not self.at:
            if network.lost:
                raise Refused("FABRIC")
            network.open()
            self.family.start_bells()
            card, *peer = self.greeting()
            self.known(card, *peer)
            self.nonce = os.urandom(NONCE)
            number = int.from_bytes(os.urandom(4), "big")
            with network.locked() as gateway:
                at = gateway.machine.listen(number, 1)
            if at < 0:
                raise Refused("FABRIC")
            self.service = at
            self.greet(Card(card.provider, card.place, network.card.address, number, self.nonce))
            self.begin()
        for _ in range(LOOKS):
            network.gateway.glance()
            if self.arrived():
                self.cross()
                return True
        return False

    def arrived(self):
        """Whether who has come by the fabric is who has come by the socket. Raises Refused."""
        network = self.network
        with network.locked() as gateway:
            if not self.at:
                self.at = gateway.machine.accept(self.service)
                if not self.at:
                    return False
                gateway.machine.close(self.service)
                self.service = 0
            result = gateway.result
            r = gateway.machine.pop(self.at, result)
            if r == 1:
                at, length = raw.load(result + 8), raw.load(result + 16)
                said = b"".join(eight(raw.load(at + k)) for k in range(0, NONCE, 8)) if length == NONCE else b""
                network.catloop.heap.free(raw.load(result))
                if said != self.nonce:
                    raise Refused("PEER_UNKNOWN")
                return True
        if network.gateway.opened(self.at) < 0:
            raise Refused("FABRIC")
        return False

    def cross(self):
        self.relay = self.network.cross(self.end, self.at, self.process)
