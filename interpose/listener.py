"""Listening sockets (listen(2), accept(2))."""

from interpose import abi, description
from interpose.description import Description
from libos import driver

COMPILED = __file__.endswith(".so")


class Listener(Description):
    """A TCP socket after listen(2). Its data calls fail in the kernel, in the kernel's words."""

    def accept(self, address, length, flags, qt):
        # accept4 has no per-call MSG_DONTWAIT: inline only where the descriptor itself can't block
        if self.sleeps():
            return self.block(abi.CATFLAP_ACCEPT, qt)
        return description.stale(self.queue.accept_into(address, length, flags))

    def ended(self):
        """Other processes may go on to accept what comes from a network of ours."""
        if driver.HERE.on:
            driver.HERE.driver.pass_on()
        return 0
