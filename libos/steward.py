"""The end of a process that has the stack of a tree (libos/tree.py): a process forked from it then, the *steward*,
goes on with all that it had, for the others, until there are none.

So nothing has to be handed over: memory, device, far ends and lines are what they were. Of what was the program's the
steward keeps nothing open, and where processes are listed it is called what it is.
"""

import os
import select
from time import sleep

from libos import layout, raw
from libos.memory_file import Announce

COMPILED = __file__.endswith(".so")
NAME = b"catnip steward"
ARGUMENTS = 45  # of the words behind the name in /proc/PID/stat: where they begin, and end (proc(5))


def others(network):
    """Whether another process may need the owner of the tree. At the end of the owner, whose own knocker goes."""
    network.tree.knocker.close()
    poll = select.poll()
    for door in network.doors:
        poll.register(door.sock.fileno(), 0)
    return len(poll.poll(0)) < len(network.doors)


def pass_on(network):
    """In the keeper: fork the steward, and be it in that process, where one is needed. Raises OSError."""
    if not others(network):
        return
    network.gateway.catnip.device.lend()
    if os.fork() == 0:
        withdraw(network)


def become(network):
    """In the steward, with the lock of the gateway: all that names a process names this one."""
    me, records = os.getpid(), network.catloop.records
    network.steward = True
    network.gateway.catnip.device.inherit()
    for crossing in network.crossings.values():
        raw.store(crossing.far + layout.PIDS, me)
        raw.store(crossing.far + layout.OWNER, me)
        if crossing.line is None:
            raw.store(crossing.relay + layout.R_OWN, 0)
    for bound in network.bounds.values():
        bound.kept = True
    kept = {bound.end for bound in network.bounds.values()}
    for queue in network.catloop.queues:
        queue.owner = None
        if queue.end not in kept:
            records.give_back(queue.end)
    network.catloop.queues.clear()
    network.catloop.shares.clear()
    network.bell.inherit()
    network.gateway.passing.share()
    network.tree.pass_on(me)


def withdraw(network):
    """Have nothing of the program's: its descriptors, its folder, its session, its name."""
    ours = Announce.numbers | {network.epoll.fileno()}
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in ours:
            try:
                os.close(int(name))
            except OSError:
                pass  # that of the listing itself
    os.chdir("/")
    os.setsid()
    try:
        rename()
    except OSError:
        pass  # the program has kept others, and with them itself, from looking into it (prctl(2), PR_SET_DUMPABLE)


def rename():
    with open("/proc/self/comm", "wb") as file:
        file.write(NAME)
    with open("/proc/self/stat", "rb") as file:
        words = file.read().rpartition(b")")[2].split()
    begin, end = (int(word) for word in words[ARGUMENTS : ARGUMENTS + 2])
    text = NAME.ljust(end - begin, b"\0")
    for at in (*range(0, end - begin - 7, 8), end - begin - 8):
        if at >= 0:
            raw.store(begin + at, int.from_bytes(text[at : at + 8], "little"))


def end(network):
    """Nobody of the tree is left: as the end of a process."""
    for crossing in tuple(network.crossings.values()):
        crossing.heard()
    while network.gateway.depart(0, False):
        sleep(0.001)
    network.gateway.finish()
    network.gateway.catnip.close()
    os._exit(0)
