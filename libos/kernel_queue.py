"""A queue whose device is a kernel socket: every attempt is one non-blocking system call.

The kernel object is the truth: nothing is read ahead, nothing is held back, so fork, exec, descriptor passing,
FIONREAD and reset-on-unread stay the kernel's own. Results and errors pass through as the kernel gives them.
"""

from libos import calls, raw
from libos.queue import Queue

COMPILED = __file__.endswith(".so")


class KernelQueue(Queue):
    """A stream, datagram or listening socket, adopted (a program's own descriptor) or made by Catnap."""

    def pop_into(self, address, size, flags):
        return raw.syscall(calls.SYS_recvfrom, self.fd, address, size, flags | calls.DONTWAIT, 0, 0)

    def push_from(self, address, size, flags):
        return raw.syscall(calls.SYS_sendto, self.fd, address, size, flags | calls.DONTWAIT, 0, 0)

    def pop_message(self, message, flags):
        return raw.syscall(calls.SYS_recvmsg, self.fd, message, flags | calls.DONTWAIT, 0, 0, 0)

    def push_message(self, message, flags):
        return raw.syscall(calls.SYS_sendmsg, self.fd, message, flags | calls.DONTWAIT, 0, 0, 0)

    def accept_into(self, address, length, flags):
        # accept4 has no per-call non-blocking flag: callers ask only on a non-blocking descriptor
        return raw.syscall(calls.SYS_accept4, self.fd, address, length, flags, 0, 0)

    def connect_to(self, address, length):
        # as accept4, for a non-blocking descriptor
        return raw.syscall(calls.SYS_connect, self.fd, address, length, 0, 0, 0)
