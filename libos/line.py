"""What the owner of a network does for the members of its tree (libos/tree.py), in its keeper, with the GIL."""

import marshal
import os
import struct

from libos import errand, layout, net_socket, own_socket, raw, steward
from libos.errand import Errand, message
from libos.meeting import close_all, receive, send
from libos.memory_file import SYS_munmap, high, high_copy, mapped
from libos.pair import Pair
from libos.posts import Post
from libos.refusal import Refusal, Refused

COMPILED = __file__.endswith(".so")
EINVAL, ENOMEM, ENETDOWN, EBADMSG = 22, 12, 100, 74


class Door:
    """Where members leave their end of a line: the tree's, and one for each program that was let in (libos/gate.py)."""

    def __init__(self, network, sock):
        self.network = network
        self.sock = sock
        network.doors.add(self)
        network.watch(sock, self)

    def heard(self):
        while True:
            try:
                who, (fd, memory, *family) = receive(self.sock, 4)
            except EOFError:  # all who had it have ended, or never were there when the owner does
                self.network.unwatch(self.sock)
                self.network.doors.discard(self)
                self.sock.close()
                return steward.end(self.network) if self.network.steward and not self.network.doors else None
            except (BlockingIOError, Refused):
                return
            try:
                sock = own_socket.standing_for(high(fd))
                Line(self.network, sock, memory, self.stranger(*marshal.loads(who), *family))
            except OSError as error:
                self.network.log("a process of ours is not served", error)
            finally:
                close_all((memory, *family))

    def stranger(self, key, table, memory, page):
        """The Stranger that a member's family is; None for our own. Raises OSError."""
        if key == self.network.catloop.family.key:
            return None
        strangers = self.network.strangers
        if key not in strangers:
            strangers[key] = Stranger(key, table, memory, page)
        return strangers[key]


class Stranger:
    """A family of programs that were executed, whose records of ends are elsewhere in its memory: at `table`. Raises
    OSError.
    """

    def __init__(self, key, table, memory, page):
        self.key = key
        self.size = layout.FIRST + layout.ENDS * layout.RECORD
        self.table = mapped(memory, self.size, self.size, 0, True)
        self.shift = self.table - table
        self.page = high_copy(page)

    def close(self):
        raw.syscall(SYS_munmap, self.table, self.size, 0, 0, 0, 0)
        os.close(self.page)


class Line:
    """To one member. `beyond`: our side of the rings of its connections; `stranger`: its family, None for ours."""

    def __init__(self, network, sock, memory, stranger):
        self.network = network
        self.sock = sock
        self.stranger = stranger
        family = network.catloop.family
        self.key, self.page = (stranger.key, stranger.page) if stranger else (family.key, family.page_fd)
        send(sock, family.key, family.page_fd)
        self.called = {}  # connections on their way: by record
        self.beyond = Pair(high_copy(memory), 0)
        self.beyond.live += 1  # kept while there is no connection
        network.catloop.family.by_block[self.beyond.block] = self.beyond
        self.paired = network.drain(self.beyond)
        network.lines.add(self)
        network.watch(sock, self)

    def heard(self):
        while True:
            try:
                text, _ = receive(self.sock, 0)
            except BlockingIOError:
                return
            except (EOFError, OSError, Refused):
                return self.close()
            answer = self.answer(text)
            if answer:
                try:
                    send(self.sock, answer)
                except OSError:  # it takes no answers any more
                    return self.close()

    def answer(self, text):
        try:
            asked = Errand(text)
            if self.stranger and asked.end:
                asked.end += self.stranger.shift
            return SERVICES[asked.kind](self, asked)
        except (struct.error, KeyError):
            return message(EBADMSG)
        except Refusal as refusal:
            return message(refusal.errno)
        except Refused:
            return message(ENOMEM)
        except OSError as error:
            return message(error.errno or ENETDOWN)

    def close(self):
        """The member has ended, or has executed another program."""
        network = self.network
        network.unwatch(self.sock)
        network.lines.discard(self)
        self.sock.close()
        for crossing in self.called.values():
            network.hang_up(crossing)
        for crossing in tuple(network.crossings.values()):
            if crossing.line is self:
                crossing.let_go(False)
        for post in tuple(network.posts.values()):
            if post.line is self and not post.where:
                post.over()
        self.beyond.live -= 1
        self.over()
        network.sweep()
        network.sweep_posts()
        if self.stranger and all(line.stranger is not self.stranger for line in network.lines):
            del network.strangers[self.key]
            self.stranger.close()

    def over(self):
        """The pair goes with the last connection in it, once there is no member."""
        if self.beyond.live or self in self.network.lines:
            return
        self.network.drain_no_more(self.beyond)
        self.network.catloop.family.by_block.pop(self.beyond.block, None)
        self.beyond.close()

    def reaches(self, asked):
        return message(0, number=self.network.reaches(asked.name[0]))

    def owns(self, asked):
        return message(0, number=self.network.owns(asked.name[0]))

    def bind(self, asked):
        bound = self.network.bind(asked, *asked.name, asked.end)
        bound.keep(self)
        return message(0, handle=bound.record, name=bound.local)

    def listen(self, asked):
        bound = self.network.bounds[asked.handle] if asked.handle else None
        listener = self.network.listen(bound, asked, asked.name[1], asked.number, asked.end)
        if bound is None:
            listener.keep(self)
        return message(0, handle=listener.record)

    def connect(self, asked):
        bound = self.network.bounds[asked.handle] if asked.handle else None
        crossing = self.network.dial(asked, bound, *asked.name)
        self.called[crossing.record] = crossing
        landing = self.network.landings.of(asked.family)
        return message(0, handle=crossing.record, number=landing.getsockname()[1], name=crossing.local)

    def landed(self, asked):
        """Its socket has been connected to the landing, or could not be, where it has no port."""
        crossing = self.called.pop(asked.handle)
        if asked.name[1] == 0:
            self.network.hang_up(crossing)
            return b""
        self.network.land(crossing, asked.name[1])
        return message(0, handle=crossing.handle)

    def attach(self, asked):
        crossing = self.network.crossing(asked.handle)
        free = asked.slot < layout.SLOTS and not raw.load(self.beyond.block + 64 + asked.slot * 8)
        if crossing is None or raw.load(crossing.far + layout.IN) or not free or not self.paired:
            raise Refusal(EINVAL)
        crossing.line = self
        crossing.meet(asked.end, self.beyond, asked.slot, self.network.bell.number)
        return message(0)

    def options(self, asked):
        subject = self.network.crossing(asked.handle) or self.network.bounds.get(asked.handle)
        if subject is not None:
            subject.options(asked, tuple(asked.options))
        return b""

    def post(self, asked):
        record = net_socket.open_record(self.network, asked, 0, tuple(asked.options))
        try:
            post = Post(self.network, record, asked.family, self)
        except OSError:
            net_socket.close_record(self.network, record)
            raise
        return message(0, handle=record, number=post.port)

    def posted(self, asked):
        """The record that is spoken of."""
        if asked.handle not in self.network.posts:
            raise Refusal(EINVAL)
        return asked.handle

    def post_bind(self, asked):
        return message(0, name=net_socket.bind_record(self.network, self.posted(asked), *asked.name))

    def post_connect(self, asked):
        return message(0, name=net_socket.connect_record(self.network, self.posted(asked), *asked.name))

    def post_dissolve(self, asked):
        net_socket.dissolve_record(self.network, self.posted(asked), asked.number)
        return message(0)

    def post_group(self, asked):
        net_socket.group_record(self.network, self.posted(asked), asked.name[0], asked.number)
        return message(0)

    def post_options(self, asked):
        """With an answer: what is sent next has them."""
        net_socket.set_options(self.network, self.posted(asked), asked, tuple(asked.options))
        return message(0)

    def post_reach(self, asked):
        self.network.posts[self.posted(asked)].reach(asked.number)
        return message(0)

    def released(self, asked):
        crossing = self.network.crossing(asked.handle)
        if crossing is not None:
            crossing.let_go(asked.number)
            return b""
        post = self.network.posts.get(asked.handle)
        if post is not None:
            if asked.number:
                post.over()
            return b""
        bound = self.network.bounds.get(asked.handle)
        if bound is not None and asked.number:
            bound.left = True
        self.network.sweep()
        return b""


SERVICES = {
    errand.REACHES: Line.reaches,
    errand.OWNS: Line.owns,
    errand.BIND: Line.bind,
    errand.LISTEN: Line.listen,
    errand.CONNECT: Line.connect,
    errand.LANDED: Line.landed,
    errand.ATTACH: Line.attach,
    errand.OPTIONS: Line.options,
    errand.RELEASED: Line.released,
    errand.POST: Line.post,
    errand.POST_BIND: Line.post_bind,
    errand.POST_CONNECT: Line.post_connect,
    errand.POST_DISSOLVE: Line.post_dissolve,
    errand.POST_GROUP: Line.post_group,
    errand.POST_REACH: Line.post_reach,
    errand.POST_OPTIONS: Line.post_options,
}


class Bell:
    """By which members wake the keeper: for what is in their rings."""

    def __init__(self, network):
        self.family = network.catloop.family
        self.number, fd = self.family.new_bell()
        if fd < 0:
            raise OSError(ENOMEM, "no bell is left")
        self.sock = own_socket.standing_for(fd)
        network.watch(self.sock, self)

    def word(self):
        """Address of the word that says whether it is to be rung."""
        return self.family.page + self.number * 64

    def inherit(self):
        """It is this process's, which was forked for that."""
        raw.store(self.word() + 8, os.getpid())

    def heard(self):
        try:
            while self.sock.recv(8):
                pass
        except BlockingIOError:
            pass
