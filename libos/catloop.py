"""Catloop: same-host TCP through shared memory, under an unmodified program's kernel sockets.

Every Catloop socket is a real kernel TCP socket, the spine. A connection that has shown itself worth it and whose
other end is under Catflap too is upgraded: its bytes go through a ring in shared memory, and everything else (names,
options, the end of the stream, the death of the peer) stays the kernel's.
"""

from _thread import RLock
from posix import register_at_fork
from time import sleep

from libos import layout, leaving, meeting, raw, rings, spine
from libos.family import Family
from libos.loop_queue import NOBODY, LoopQueue
from libos.runtime.memory import Heap
from libos.runtime.qtokens import Qtokens

COMPILED = __file__.endswith(".so")
FIRST_QD = 500
STREAM = 1
PATIENCE = 5000  # milliseconds
NEVER = (1 << 63) - 1
FIRST_GAP, DOUBLINGS = 2, 8  # uses of a connection between two steps of its meeting
WAITED_FOR = 64
SHARED_GAP = 32  # the same, while forked processes share it


class Catloop:
    """The composition. `adopt` gives a queue over a program's TCP socket, or None for what is the kernel's."""

    def __init__(self, worth=32, lends=False):
        self.worth = worth
        self.qtokens = Qtokens()
        self.heap = Heap()
        self.family = Family(lends)
        self.records = self.family.records
        self.meet = meeting.Meeting  # how connections find their other end
        self.next_qd = FIRST_QD
        self.queues = set()
        self.shares = set()  # queues (by qd) whose records this process has a share in until they are freed
        self.shared = set()  # queues that a fork under way has counted
        self.waited_for = []  # records of closed queues that a call is still counted in
        self.steps = RLock()  # a fork waits for the step of a meeting, which would go on in two processes

    def adopt(self, fd, kind):
        self.records.note(fd, 0)
        return self.over(fd) if kind == STREAM else None

    def over(self, fd):
        """A queue with a record over a program's socket of any kind; None when there are too many."""
        end = self.records.claim()
        if not end:
            return None
        qd, self.next_qd = self.next_qd, self.next_qd + 1
        queue = LoopQueue(qd, fd, end, self.worth)
        queue.owner = self
        self.queues.add(queue)
        self.shares.add(qd)
        return queue

    def attend(self, queue, may_agree):
        """The next step of a connection's way to the rings; `may_agree` when no set waits in the kernel. Raises
        refusal.Refused when it stays on the kernel.
        """
        queue.next_step = NEVER
        if queue not in self.queues or raw.load(queue.end + layout.LEFT):  # released meanwhile: its number is another's
            return
        if not self.records.alone(queue.end):  # a server that forks for each connection has closed it in a moment
            queue.next_step = queue.uses + SHARED_GAP
            return
        if queue.meeting is None:
            queue.meeting = self.meet(self.family, queue.end, queue.accepting)
        attached = raw.load(queue.end + layout.IN)
        if not attached:
            attached = queue.meeting.step()
        if attached and may_agree and meeting.agree(queue.end):
            if raw.load32(queue.end + layout.MINT):
                rings.soil(queue.end)  # for who tells the other end
            return
        if attached:
            queue.meeting.tries += 1
        queue.next_step = queue.uses + (FIRST_GAP << min(queue.meeting.tries, DOUBLINGS))

    def release(self, queue):
        """The last number of this process that stood for the connection is closed; a shared one lives on elsewhere."""
        with self.steps:  # not in the middle of one that another thread has begun
            self.queues.discard(queue)
            if queue.meeting is not None:
                queue.meeting.close()
        if queue.crossing is not None and queue.crossing.released():
            self.shares.discard(queue.qd)
        end = queue.end
        if raw.load(end + layout.IN) and self.records.alone(end):
            if not queue.stands(queue.fd):
                queue.move(NOBODY)
            unread = raw.load(end + layout.IN_STATE) == layout.RING and rings.inbound(end)
            leaving.close_inward(end)
            leaving.stop_sending(end, True)
            for _ in range(PATIENCE):
                if leaving.settle(end):
                    break
                sleep(0.001)  # the kernel is slow to take what the peer had not read
            if unread and queue.fd != NOBODY:
                meeting.reset_at_close(queue.fd)
        if queue.meeting is not None:
            queue.meeting.parted()

    def freed(self, queue):
        """Nobody can be inside the queue any more. What was closed before a fork is the parent's to give back."""
        if queue.qd in self.shares:
            self.shares.discard(queue.qd)
            self.waited_for.append(queue.end)
            self.give_back()

    def give_back(self):
        """Free the records that nobody counts himself in any more.

        A call that has been in the kernel since before the close takes its count back when it returns; one that was
        killed never does, so that only the latest are waited for.
        """
        ends, self.waited_for = self.waited_for, []  # another thread may come here meanwhile
        kept = [end for end in ends if strangers(end)][-WAITED_FOR:]
        for end in ends:
            if end not in kept:
                self.records.give_back(end)
        self.waited_for += kept

    def survive_forks(self, forked):
        """Have every fork leave records and locks in order, in parent and child; `forked` is called in the child."""
        lock = self.family.lock

        def in_child():
            counted = in_parent()
            self.family.forked()
            self.waited_for = []
            self.shares = {queue.qd for queue in self.queues}
            for queue in self.queues:
                self.records.join(queue.end)
                spine.nobody_sleeps(queue.end)
            # others of the parent's threads may have run since they were counted
            for queue in self.queues - counted:
                raw.fetch_add(queue.end + layout.USERS, 1)
            for queue in counted - self.queues:
                raw.fetch_add(queue.end + layout.USERS, (1 << 64) - 1)
            forked()

        def in_parent():
            lock.release()
            self.steps.release()
            counted, self.shared = self.shared, set()
            return counted

        register_at_fork(before=self.before_fork, after_in_parent=in_parent, after_in_child=in_child)

    def before_fork(self):
        """The child will share every record. A meeting is between two processes: those not over yet are called off."""
        self.steps.acquire()
        for queue in tuple(self.queues):
            if queue.meeting is not None:
                queue.meeting.close()
                if not raw.load(queue.end + layout.IN):  # who is alone with it later begins anew
                    queue.meeting = None
        self.family.lock.acquire()
        self.shared = self.queues.copy()
        for queue in self.shared:
            raw.fetch_add(queue.end + layout.USERS, 1)


def strangers(end):
    """Calls of programs that wait in the kernel for this end; leaving counts as one more (leaving.py)."""
    left = raw.load(end + layout.LEFT)
    return raw.load(end + layout.STRANGERS_IN) != left or raw.load(end + layout.STRANGERS_OUT) != left
