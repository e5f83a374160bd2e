"""Stream sockets whose bytes may be in a ring: as stream.py, with waits of our own for what has left the kernel.

An operation that has to wait spins while that pays, then arms this thread's bell and answers CATFLAP_WAIT; the trap
sleeps on bell and spine from bare C and asks again. struct catflap_wait keeps what earlier turns of a call have done.
"""

from os import close

from interpose import abi, attention, description, interest, linux, spinning, watching
from interpose.stream import Stream
from libos import calls, driver, endpoint, layout, leaving, raw, records, rings, spine
from libos.loop_queue import NOBODY
from libos.runtime import instrument

COMPILED = __file__.endswith(".so")
INTERPRETED = not COMPILED
PATIENCE = 5000  # milliseconds


class LoopStream(Stream):
    """A TCP socket of Catloop that is not listening."""

    def __init__(self, queue, number, nonblock):
        Stream.__init__(self, queue, number, nonblock)
        self.end = queue.end
        self.loop = queue
        self.receive_timeout = 0
        self.send_timeout = 0
        self.orphaned = False  # closed under a sleeping call
        self.shut = 0  # directions that the program has ended, as bits
        self.misses = 0  # spins in a row that found nothing

    def handle(self):
        return self.end

    def blocks(self):
        """As sleeps(), exactly: after a fork another process may have changed the mode; the kernel knows."""
        if self.epoch == raw.load32(description.PROCESS.forks_at):
            return not self.nonblock
        return not raw.syscall(linux.SYS_fcntl, self.queue.fd, linux.F_GETFL, 0, 0, 0, 0) & linux.O_NONBLOCK

    def block(self, kind, qt):
        """Leave a wait to the kernel's own call, counted: nothing moves to a ring behind who waits there."""
        if self.orphaned:
            return -linux.EBADF
        slept = raw.load(qt)
        if slept:  # on a ring, earlier in this call: that is over
            watching.ended(description.PROCESS.qtokens.about(slept))
            description.PROCESS.qtokens.drop(slept)
        count = self.end + (layout.STRANGERS_OUT if kind == abi.CATFLAP_PUSH else layout.STRANGERS_IN)
        raw.fetch_add(count, 1)
        raw.store(qt, description.PROCESS.qtokens.block(kind, count))
        return abi.CATFLAP_SLEEP

    def connect(self, address, length, qt):
        if raw.load(self.end + layout.IN) and length >= 2 and address >= 65536:
            if not raw.load32(address) & 0xFFFF:  # AF_UNSPEC dissolves; any other family changes nothing
                self.leave()
        return Stream.connect(self, address, length, qt)

    def due(self):
        """Count one more use; true when the connection has earned the next step on its way to a ring."""
        self.loop.uses += 1
        return self.loop.uses >= self.loop.next_step

    def ringed(self):
        """Whether our bytes go to the ring, from this push on if the peer has just agreed."""
        if raw.load(self.end + layout.OUT_STATE) == layout.PLAIN and raw.load(self.end + layout.OUT):
            endpoint.try_mark(self.end)
        # a reader that has closed the ring is the kernel's from the first byte of this call on
        leaving.settle(self.end)
        return leaving.sending(self.end)

    def recv(self, address, size, flags, qt):
        if not endpoint.upgraded(self.end) and not raw.load(qt + layout.W_DONE):
            return abi.CATFLAP_ATTEND if self.due() else self.recv_plain(address, size, flags, qt)
        if flags & linux.MSG_ERRQUEUE or flags & linux.MSG_OOB:
            return self.queue.pop_into(address, size, flags)
        need = self.needed(size, flags)
        watching.awake(qt)
        flags = self.asking(flags, qt)
        while True:
            done = raw.load(qt + layout.W_DONE)
            if done and self.over(qt):
                return self.shown(address, done)
            r = self.queue.pop_into(address + done, size - done, flags)
            if r > 0:
                done += r
                if flags & linux.MSG_PEEK and self.looks_further(done, need, flags):
                    return self.block(abi.CATFLAP_POP, qt)
                if done >= need or flags & linux.MSG_PEEK:
                    return self.shown(address, done)
                raw.store(qt + layout.W_DONE, done)
                continue
            if r != -linux.EAGAIN:
                return self.shown(address, done) if done else r
            if flags & linux.MSG_DONTWAIT or not self.blocks():
                if flags & calls.SLEEPS:
                    flags &= ~calls.SLEEPS
                    continue
                leaving.settle(self.end)  # what it waits for may be the answer to what a reader has given back
                return self.shown(address, done) if done else r
            flags &= ~calls.LOOK_NOW
            if not self.spun(1, qt):
                r = self.doze(1, qt, self.receive_timeout)
                if r:  # who asks for nothing gets it, though not before there is something
                    return done if r == -linux.EAGAIN and (done or not size) else r

    def asking(self, flags, qt):
        """Flags of a receive, with when it is to ask the spine should it find the ring empty."""
        if raw.load(qt + layout.W_DEADLINE):
            return flags & ~calls.OURS | calls.LOOK_NOW  # woken by bell or spine: find out which
        return flags & ~calls.OURS | (0 if flags & linux.MSG_DONTWAIT or self.nonblock else calls.SLEEPS)

    def recv_plain(self, address, size, flags, qt):
        """While all is the kernel's: where it may wait, the program's own call, once."""
        if not flags & linux.MSG_DONTWAIT and self.sleeps():
            return self.block(abi.CATFLAP_POP, qt)
        return self.again(1, qt, flags, Stream.recv(self, address, size, flags, qt))

    def needed(self, size, flags):
        """Bytes that a receive of `size` waits for (recv(2), MSG_WAITALL; socket(7), SO_RCVLOWAT)."""
        if flags & linux.MSG_WAITALL:
            return size
        return self.lowat if self.lowat < size else size

    def looks_further(self, done, need, flags):
        """Whether a look waits for more than there is: the kernel alone can, so the connection goes back to it."""
        if done >= need or flags & linux.MSG_DONTWAIT or not self.blocks():
            return False
        self.leave()
        return raw.load(self.end + layout.IN_STATE) == layout.PLAIN

    def over(self, qt):
        """A receive that has some bytes gets no more: what comes is for the program's next call to hear."""
        return not self.loop.beside(False) and spine.stops(self.end, qt + layout.W_TIMEOUT)

    def shown(self, address, count):
        if instrument.HOOKS.pop:
            return instrument.popped(self.queue.qd, address, count)
        return count

    def send(self, address, size, flags, qt):
        if not self.ringed() and not raw.load(qt + layout.W_DONE):
            if self.due():
                return abi.CATFLAP_ATTEND
            return self.again(2, qt, flags, Stream.send(self, address, size, flags, qt))
        if instrument.HOOKS.push and not raw.load(qt + layout.W_DEADLINE):
            instrument.pushed(self.queue.qd, address, size)
        watching.awake(qt)
        while True:
            done = raw.load(qt + layout.W_DONE)
            r = self.queue.push_from(address + done, size - done, flags)
            if r >= 0:
                done += r
                raw.store(qt + layout.W_DONE, done)
                if done >= size:
                    return done
            elif r != -linux.EAGAIN:
                return done if done else r
            if flags & linux.MSG_DONTWAIT or not self.blocks():
                return done if done else -linux.EAGAIN
            if not self.spun(2, qt):
                r = self.doze(2, qt, self.send_timeout)
                if r:
                    return done if r == -linux.EAGAIN and done else r

    def spun(self, mask, qt):
        """Spin while that pays. True when what `mask` waits for has come."""
        if self.misses > 8 and self.misses & 15:
            self.misses += 1
            return False
        limit = raw.now()
        if not spinning.pays(qt, limit):
            return False
        limit += spinning.HERE.spin
        # an interpreted spin sleeps between its looks, and so it looks asleep (proc(5))
        if INTERPRETED and not watching.counted(self, self.end, qt):
            return False
        raw.store(self.end + layout.SPINS, raw.load(self.end + layout.SPINS) + 1)
        turns = 0
        while not raw.load32(raw.load(qt + layout.W_PENDING)):
            if driver.HERE.on:
                spinning.look(turns)
            if endpoint.ready(self.end, mask):
                self.misses = 0
                return True
            turns += 1
            if turns & 15 == 0 and raw.now() >= limit:
                break
            raw.pause()
        self.misses += 1
        return False

    def doze(self, mask, qt, timeout):
        """Wait as watching.doze; who closes the last number meanwhile leaves the connection to us."""
        if not watching.counted(self, self.end, qt):  # closed before: perhaps nobody keeps it for us
            return -linux.EAGAIN if raw.load(qt + layout.W_DONE) else -linux.EBADF
        return watching.doze(self.end, self.queue.fd, mask, qt, timeout)

    def sleeps(self):
        return not self.orphaned and Stream.sleeps(self)

    def again(self, mask, qt, flags, r):
        """What the kernel answers when the number is closed: there is none to wait on, so that it is asked again."""
        if r != -linux.EAGAIN or not self.orphaned or flags & linux.MSG_DONTWAIT or not self.blocks():
            return r
        r = self.doze(mask, qt, self.receive_timeout if mask == 1 else self.send_timeout)
        return r if r else watching.rest(qt, 0, layout.NEVER)

    def close_number(self, number):
        """As Description's; a call that sleeps on the connection keeps it alive (close(2), notes)."""
        if self.numbers == {number}:
            interest.forget(self)
            raw.fence()  # doze looks the other way round
        else:
            interest.show_hidden(self.end, number)
        if self.numbers == {number} and raw.load(spine.sleepers_at(self.end)):
            try:
                self.loop.keep(number)
                self.orphaned = True
                self.numbers.clear()
                return False
            except OSError:
                pass  # no descriptor left: it is cut short
        moved = Stream.close_number(self, number)
        if not self.numbers and raw.load(self.end + layout.USERS) > 1:
            attention.let_go(self)
        return moved

    def bounds(self):
        attention.bounds(self)

    def slept(self):
        """A call that slept on a number that is not ours any more is over."""
        if self.orphaned and not raw.load(spine.sleepers_at(self.end)):
            self.orphaned = False
            kept = self.queue.fd
            description.PROCESS.libos.release(self.queue)
            if kept != NOBODY:
                close(kept)
            description.retire(self)

    def ended(self):
        """As a close that the kernel makes for us. 1 while bytes are on their way back through it."""
        if not raw.load(self.end + layout.IN) or not records.all_gone(self.end, rings.HERE.pid):
            return 0  # or another process goes on with it
        if self.loop.beside(False):  # bytes that nobody has read: that close resets (RFC 2525, 2.17)
            raw.store(self.end + layout.SCRATCH, 1)  # struct linger: on, no seconds
            raw.syscall(linux.SYS_setsockopt, self.queue.fd, 1, 13, self.end + layout.SCRATCH, 8, 0)
        leaving.close_inward(self.end)
        leaving.stop_sending(self.end, True)
        return 0 if leaving.settle(self.end) else 1

    def leave(self):
        return 1 if leaving.leave(self.end) else 0

    def shutdown(self, how):
        """shutdown(2): the end of what we send is the kernel's to tell, after the ring."""
        if how != linux.SHUT_RD:
            leaving.stop_sending(self.end, True)
            turns = 0
            while not leaving.settle(self.end) and turns < PATIENCE:
                raw.syscall(linux.SYS_poll, 0, 0, 1, 0, 0, 0)  # the end comes behind what a reader has given back
                turns += 1
        r = raw.syscall(linux.SYS_shutdown, self.queue.fd, how, 0, 0, 0, 0)
        if r == 0:
            self.shut |= how + 1
            if self.shut == 3:
                self.deafen()
        endpoint.look_next(self.end)
        return description.stale(r)

    def deafen(self):
        """Bytes that still come the kernel answers, by a reset; what is there can be read (RFC 1122, 4.2.2.13)."""
        header = raw.load(self.end + layout.IN)
        if header and raw.load(self.end + layout.IN_STATE) == layout.RING:
            raw.store(header + layout.H_DEAF, 1)
            leaving.shut(header)
        elif header:
            leaving.close_inward(self.end)

    def recvmsg(self, message, flags, qt):
        if not endpoint.upgraded(self.end) and not raw.load(qt + layout.W_DONE):
            if self.due():
                return abi.CATFLAP_ATTEND
            return self.again(1, qt, flags, Stream.recvmsg(self, message, flags, qt))
        watching.awake(qt)
        flags = self.asking(flags, qt)
        size = self.loop.length(message)
        if size < 0 or flags & calls.SPINE_ONLY:
            return self.queue.pop_message(message, flags)
        need = self.needed(size, flags)
        while True:
            done = raw.load(qt + layout.W_DONE)
            if done and self.over(qt):
                return self.observed(message, done)
            r = self.loop.pop_rest(message, done, flags)
            if r > 0:
                done += r
                if flags & linux.MSG_PEEK and self.looks_further(done, need, flags):
                    return self.block(abi.CATFLAP_POP, qt)
                if done >= need or flags & linux.MSG_PEEK:
                    return self.observed(message, done)
                raw.store(qt + layout.W_DONE, done)
                continue
            if r != -linux.EAGAIN or flags & linux.MSG_DONTWAIT or not self.blocks():
                if r == -linux.EAGAIN and flags & calls.SLEEPS:
                    flags &= ~calls.SLEEPS
                    continue
                leaving.settle(self.end)
                return self.observed(message, done) if done else r
            flags &= ~calls.LOOK_NOW
            if not self.spun(1, qt):
                r = self.doze(1, qt, self.receive_timeout)
                if r == -linux.EAGAIN and not size:
                    self.loop.bare(message)
                    return 0
                if r:
                    return done if r == -linux.EAGAIN and done else r

    def sendmsg(self, message, flags, qt):
        if message >= 65536 and raw.load(message + 40):  # control data
            self.leave()
        if not self.ringed() and not raw.load(qt + layout.W_DONE):
            if self.due():
                return abi.CATFLAP_ATTEND
            return self.again(2, qt, flags, Stream.sendmsg(self, message, flags, qt))
        if instrument.HOOKS.push and not raw.load(qt + layout.W_DEADLINE):
            description.observe_push(self.queue.qd, message)
        watching.awake(qt)
        size = self.loop.length(message)
        if size <= 0:
            return self.queue.push_message(message, flags)
        while True:
            done = raw.load(qt + layout.W_DONE)
            r = self.loop.push_rest(message, done, flags)
            if r >= 0:
                done += r
                raw.store(qt + layout.W_DONE, done)
                if done >= size:
                    return done
            elif r != -linux.EAGAIN:
                return done if done else r
            if flags & linux.MSG_DONTWAIT or not self.blocks():
                return done if done else -linux.EAGAIN
            if not self.spun(2, qt):
                r = self.doze(2, qt, self.send_timeout)
                if r:
                    return done if r == -linux.EAGAIN and done else r

    def sendfile(self, in_fd, offset, size, qt):
        if not size:
            return Stream.sendfile(self, in_fd, offset, size, qt)
        if not self.ringed() and not raw.load(qt + layout.W_DONE):
            if self.due():
                return abi.CATFLAP_ATTEND
            return self.again(2, qt, 0, Stream.sendfile(self, in_fd, offset, size, qt))
        r = self.staged(in_fd, offset, size, qt)
        if r < 0 and r >= -4095 and r != -linux.EAGAIN and r != -linux.EINTR:
            # not a file that can be read at a place: the kernel knows what it is
            self.leave()
            if not leaving.sending(self.end):
                return self.block(abi.CATFLAP_PUSH, qt)
        return r

    def staged(self, in_fd, offset, size, qt):
        """File pages by way of a heap buffer; what was not pushed is not read (sendfile(2))."""
        staged = description.PROCESS.heap.alloc(description.PROCESS.stage)
        if not staged:
            return -linux.ENOMEM
        watching.awake(qt)
        done = raw.load(qt + layout.W_DONE)
        r = 0
        while done < size:
            at = raw.load(offset) if offset else raw.syscall(linux.SYS_lseek, in_fd, 0, 1, 0, 0, 0)
            if not offset and at < 0:
                r = at
                break
            part = size - done if size - done < description.PROCESS.stage else description.PROCESS.stage
            r = raw.syscall(linux.SYS_pread64, in_fd, staged, part, at, 0, 0)
            if r <= 0:
                break
            r = self.queue.push_from(staged, r, 0)
            if r > 0:
                done += r
                raw.store(qt + layout.W_DONE, done)
                if offset:
                    raw.store(offset, at + r)
                else:
                    raw.syscall(linux.SYS_lseek, in_fd, at + r, 0, 0, 0, 0)
            elif r != -linux.EAGAIN or not self.blocks():
                break
            elif not self.spun(2, qt) and (r := self.doze(2, qt, self.send_timeout)):
                break
        description.PROCESS.heap.free(staged)
        if r == abi.CATFLAP_WAIT:
            return r
        return done if done else r
