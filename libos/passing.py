"""What becomes of a stack at the end of its process, where others of the tree share it (libos/steward.py)."""

from libos import calls, gil, raw

COMPILED = __file__.endswith(".so")
ALONE, SHARED, ASKED, PASSED = 0, 1, 2, 3
PATIENCE = 10000000000  # ns


class Passing:
    """One word at `at`. The thread that ends the process asks, the keeper does it."""

    def __init__(self, at):
        self.at = at

    def share(self):
        """Others need the stack, so that it is to outlive this process."""
        raw.store(self.at, SHARED)

    def ask(self):
        """True when it has to be done, and nobody has asked yet."""
        return raw.compare_exchange(self.at, SHARED, ASKED)

    def asked(self):
        return raw.load(self.at) == ASKED

    def settle(self, passed):
        """Another process has it from now on, or nobody is to."""
        raw.store(self.at, PASSED if passed else ALONE)

    def wait(self):
        """Until it is done: whether another process has it."""
        if self.asked():
            limit = raw.now() + PATIENCE
            state = gil.let_go()  # a program that is a Python ends with it
            while self.asked() and raw.now() < limit:
                raw.syscall(calls.SYS_poll, 0, 0, 1, 0, 0, 0)
            gil.take_back(state)
        return raw.load(self.at) == PASSED
