"""Catnap: PDPIX over kernel sockets (SOSP '21, section 6.1)."""

from libos.kernel_queue import KernelQueue
from libos.runtime.memory import Heap
from libos.runtime.qtokens import Qtokens

FIRST_QD = 500


class Catnap:
    """Composition: kernel queues, blocked qtokens, heap."""

    def __init__(self):
        self.qtokens = Qtokens()
        self.heap = Heap()
        self.next_qd = FIRST_QD

    def adopt(self, fd, kind):
        """A queue over a program's own descriptor of socket type `kind`; makes no system call."""
        qd, self.next_qd = self.next_qd, self.next_qd + 1
        return KernelQueue(qd, fd)

    def release(self, queue):
        """The program has closed the last number of an adopted queue."""
