"""What a fork means for a network of our own: the child is the same host, and asks its parent (libos/tree.py)."""

import os
from _thread import allocate_lock, get_ident, start_new_thread
from time import sleep

from libos import calls, driver, letters, raw, steward
from libos.line import Bell, Door
from libos.member import Member
from libos.refusal import Refusal
from libos.tree import Tree

COMPILED = __file__.endswith(".so")


class Forks:
    """Of one Network. `passing`: the thread that forks a steward, which has the stack from then on."""

    def __init__(self, network):
        self.network = network
        self.passing = 0
        self.past = []  # epoll sets of parents
        self.growing = allocate_lock()

    def begin(self):
        """Behind all others that hear of forks: before one this comes first."""
        os.register_at_fork(before=self.before, after_in_parent=self.in_parent, after_in_child=self.in_child)

    def aside(self, work):
        """Perhaps it is the program's own Python that forks: a thread of ours does the work, whose calls are ours."""
        done = allocate_lock()
        done.acquire()
        start_new_thread(self.do_aside, (work, done.release))
        done.acquire()

    def do_aside(self, work, done):
        try:
            self.network.own_thread()
            work()
        finally:
            done()

    def grow_once(self):
        """What the tree shares, made by the first who needs it. Where there is no room for what it takes, others have
        no network of ours.
        """
        network = self.network
        with self.growing:
            if network.tree is not None:
                return
            try:
                network.catloop.family.start_bells()  # one page and one name for all of them
                network.tree = Tree(os.getpid() if network.gateway else 0)
                if network.gateway is not None:
                    self.open_door()
            except OSError as error:
                network.log("other processes can't share the network", error)

    def open_door(self):
        """Members of the tree are served from now on."""
        network = self.network
        Door(network, network.tree.door)
        network.bell = Bell(network)
        with network.locked() as gateway:
            gateway.passing.share()
            gateway.bell_at = network.bell.word()
        for crossing in network.crossings.values():
            crossing.introduce()
        network.arrivals.announce(network.tree)

    def before(self):
        """The stack stays with the parent: what a child shares goes through the kernel from now on."""
        network = self.network
        if network.tree is None:
            self.aside(self.grow_once)
        if network.gateway is None:
            return
        for crossing in tuple(network.crossings.values()):
            crossing.go_plain()
        if network.sockets:
            self.aside(self.share_sockets)
        while not network.gateway.lock():
            sleep(0)

    def share_sockets(self):
        for socket in tuple(self.network.sockets):
            try:
                socket.share()
            except (OSError, Refusal) as error:
                self.network.log("a child does not share a datagram socket", error)

    def in_parent(self):
        network = self.network
        if network.gateway is not None:
            network.gateway.unlock()
            if self.passing == get_ident():
                network.gateway.catnip.device.given()
                self.part()

    def in_child(self):
        """The stack is the parent's, unless the parent ends and this is its steward."""
        network = self.network
        network.opening = allocate_lock()
        self.growing = allocate_lock()
        letters.here().forked()
        if self.passing == get_ident():
            steward.become(network)
            network.gateway.unlock()
        else:
            self.part()

    def part(self):
        """Far ends, landings and device are another process's alone."""
        network = self.network
        if network.member is not None and network.member.sock is not None:
            shut((network.member.sock.detach(),))
        if network.tree is not None and (network.member is not None or network.gateway is not None):
            network.member = Member(network)
        if network.gateway is None:
            return
        driver.here().on = False
        network.gateway.catnip.host.tape.on = False  # nor is what is recorded
        # not the tree's own door, which a child may come to hear at
        doors = [door for door in network.doors if door.sock is not network.tree.door]
        ours = (*network.crossings.values(), *network.posts.values(), *network.lines, *doors)
        shut(one.sock.detach() for one in ours)
        shut((*network.landings.forget(), network.epoll.fileno(), network.call))
        if network.bell is not None:
            shut((network.bell.sock.detach(),))
        if network.gate is not None:
            shut((network.gate.detach(),))
        self.past.append(network.epoll)  # it would close its number once more
        network.gateway.left = True
        network.gateway = None
        network.forget()

    def pass_on(self):
        """In the keeper: the process ends."""
        network, gateway = self.network, self.network.gateway
        self.passing = get_ident()
        try:
            steward.pass_on(network)
        except OSError as error:
            network.log("the network ends with a process that others share it with", error)
        self.passing = 0
        network.keeper.ended = network.gateway is None
        if not network.steward:
            gateway.passing.settle(network.gateway is None)

    def passed_on(self):
        """The process ends, a program's own Python with it: whether another has the stack from now on."""
        network = self.network
        return network.gateway.pass_on()


def shut(numbers):
    """Close descriptors of ours; libc's close may be the program's own fork's."""
    for fd in numbers:
        raw.syscall(calls.SYS_close, fd, 0, 0, 0, 0, 0)
