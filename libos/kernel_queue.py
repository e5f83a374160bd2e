"""A queue whose device is a kernel socket: every attempt is one non-blocking system call.

The kernel object is the truth: nothing is read ahead, nothing is held back, so fork, exec, descriptor passing,
FIONREAD and reset-on-unread stay the kernel's own. Results and errors pass through as the kernel gives them.
"""

from libos import raw
from libos.queue import Queue

COMPILED = __file__.endswith(".so")


class KernelQueue(Queue):
    """A stream, datagram or listening socket, adopted (a program's own descriptor) or made by Catnap."""

    def pop_into(self, address, size, flags):
        # 45 recvfrom; 0x40 MSG_DONTWAIT: an inline attempt never sleeps, whatever the descriptor's mode
        return raw.syscall(45, self.fd, address, size, flags | 0x40, 0, 0)

    def push_from(self, address, size, flags):
        # 44 sendto
        return raw.syscall(44, self.fd, address, size, flags | 0x40, 0, 0)

    def pop_message(self, message, flags):
        # 47 recvmsg
        return raw.syscall(47, self.fd, message, flags | 0x40, 0, 0, 0)

    def push_message(self, message, flags):
        # 46 sendmsg
        return raw.syscall(46, self.fd, message, flags | 0x40, 0, 0, 0)

    def accept_into(self, address, length, flags):
        # 288 accept4: has no per-call non-blocking flag, so callers ask only on a non-blocking descriptor
        return raw.syscall(288, self.fd, address, length, flags, 0, 0)

    def connect_to(self, address, length):
        # 42 connect: as accept, for a non-blocking descriptor
        return raw.syscall(42, self.fd, address, length, 0, 0, 0)
