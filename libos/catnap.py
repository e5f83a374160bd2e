"""Catnap: PDPIX over kernel sockets (SOSP '21, section 6.1).

Two faces over the same sockets. `adopt` gives the POSIX layer a queue over a program's own descriptor: every attempt
one non-blocking system call, no table, no epoll set. The PDPIX calls make sockets of their own; a blocked operation
is an application coroutine, woken by one fast-path coroutine that polls an epoll set. What is only used natively is
only imported and built natively.
"""

from libos.kernel_queue import KernelQueue
from libos.runtime.memory import Heap
from libos.runtime.qtokens import Qtokens

FIRST_QD = 500


class Catnap:
    """The composition: blocked qtokens and heap for the POSIX layer; `native` is the PDPIX libOS, made at first use."""

    def __init__(self):
        self.qtokens = Qtokens()
        self.heap = Heap()
        self.next_qd = FIRST_QD
        self.made = None

    def adopt(self, fd, kind):
        """A queue over a program's own descriptor of socket type `kind`; makes no system call."""
        qd, self.next_qd = self.next_qd, self.next_qd + 1
        return KernelQueue(qd, fd)

    def release(self, queue):
        """The program has closed the last number of an adopted queue."""

    @property
    def native(self):
        if self.made is None:
            from libos.catnap_native import CatnapLibOS

            self.made = CatnapLibOS(self.heap)
        return self.made

    def __getattr__(self, name):
        """The PDPIX calls: Catnap().socket(...), push, pop, wait and the others."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.native, name)
