"""The thread that goes on with a network's connections while the program's own threads sleep or compute."""

import os
from _thread import start_new_thread
from time import sleep

from libos import raw
from libos.memory_file import private

SYS_rt_sigprocmask, SIG_SETMASK = 14, 2
SIGNALS = 0xFFFFFFFE7FFFFFFF  # all but the two that are glibc's own (nptl(7))
PATIENCE = 1000  # ms
SHORTEST, LONGEST = 5, 100  # ms between two looks whether the program's threads take turns


class Keeper:
    """Runs until the process ends. No object of `threading`: the program may be a Python and look at its threads."""

    def __init__(self, network):
        self.network = network
        self.gateway = network.gateway
        self.ended = self.gone = False
        start_new_thread(self.run, ())

    def run(self):
        mask = private(8)  # by hand: Python's own module would take SIGINT away from the program
        raw.store(mask, SIGNALS)
        raw.syscall(SYS_rt_sigprocmask, SIG_SETMASK, mask, 0, 8, 0, 0)
        self.network.own_thread()
        while not self.ended:
            try:
                self.serve_on()
            except BaseException as error:  # whatever it is, others' connections go on
                self.network.log("in the keeper", error)
                sleep(LONGEST / 1000)
        self.gone = True

    def stop(self):
        """Have it end, and wait for that, not for ever."""
        self.ended = True
        os.eventfd_write(self.network.call, 1)
        for _ in range(PATIENCE):
            if self.gone:
                return
            sleep(0.001)

    def serve_on(self):
        looks, rest = -1, SHORTEST
        while not self.ended:
            if self.gateway.passing.asked():
                self.network.forks.pass_on()
                continue
            if looks != self.gateway.looks and not raw.load(self.gateway.armed_at):
                looks = self.gateway.looks
                limit = rest / 1000
                rest = min(2 * rest, LONGEST)
            else:
                limit = self.doze()
                rest = SHORTEST
            if not self.gateway.keeper_sleeps():
                limit = 0
            events = self.network.epoll.poll(limit)
            relieved = self.gateway.relieved
            self.gateway.keeper_is_awake()
            self.wake(events)
            if events:  # who takes turns again is left to it: a bell at once would be one for each look of that thread
                looks = -1 if relieved else self.gateway.looks

    def doze(self):
        """Take a turn, and arm: how long may be slept, in seconds; None for ever."""
        self.gateway.glance()
        self.gateway.keeper_is_awake()  # what it was called for comes now
        self.serve()
        with self.network.locked() as gateway:
            now = raw.now()
            until = gateway.wait_until(now)
        if until == (1 << 63) - 1:
            return None
        return max(until - now, 0) / 1e9

    def wake(self, events):
        for fd, _ in events:
            if fd == self.network.call:
                try:
                    os.eventfd_read(fd)
                except BlockingIOError:
                    pass
            elif fd in self.network.by_fd:
                self.network.by_fd[fd].heard()
        self.serve()

    def serve(self):
        """Connections that have come in, and those that are over."""
        self.network.serve()
