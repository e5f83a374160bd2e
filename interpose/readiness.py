"""Waiting: the blocked qtokens of the program's threads, and readiness over mixed sets (poll(2), select(2), epoll(7)).

A thread that has to wait holds one blocked qtoken. While it sleeps in its own kernel call nothing of ours is on its
stack; when the call returns, the completion sets the qtoken's bit in its waker block and the thread takes it.
"""

from interpose import abi, description, watching
from libos import layout, raw
from libos.runtime import instrument

COMPILED = __file__.endswith(".so")


def ready(ep, events, n, qt):
    """Begin a wait over a set that holds at least one descriptor of ours; `ep` is -1 for poll(2) and select(2).

    Where all devices of this process are kernel objects, the kernel's own set call sees every source at once.
    """
    if description.PROCESS.watched:
        if ep >= 0:
            return watching.wait(ep, events, n, qt)
    if raw.load(qt + layout.W_DEADLINE) == 1:
        return abi.CATFLAP_SLEEP  # it will not sleep at all
    raw.store(qt, description.PROCESS.qtokens.block(abi.CATFLAP_READY, 0))
    return abi.CATFLAP_SLEEP


def woke(qtoken, op, data, result):
    """The kernel call that a blocked qtoken stood for has returned `result` (or -errno): complete it and take it."""
    if description.PROCESS.watched:
        watching.ended(description.PROCESS.qtokens.about(qtoken))
    description.PROCESS.qtokens.complete(qtoken)
    description.PROCESS.qtokens.take(qtoken)
    if result > 0 and instrument.HOOKS.pop:
        if op == abi.CATFLAP_POP and data:
            return instrument.popped(0, data, result)
        if op == abi.CATFLAP_POP_MESSAGE and data:
            return description.observe(0, data, result)
    return result


def dropped(qtoken):
    """A thread jumped out of its wait or was cancelled: nobody will take this qtoken."""
    if description.PROCESS.watched:
        watching.ended(description.PROCESS.qtokens.about(qtoken))
    description.PROCESS.qtokens.drop(qtoken)
    return 0
