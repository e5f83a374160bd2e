"""A stack on a TAP device, and the kernel's TCP at its other end: started by test_kernel_peer.py in a namespace.

Arguments: 4 or 6, `server` or `client` (which of them our stack is), octets there and back, chance of a loss.
"""

import ctypes
import fcntl
import os
import random
import select
import socket
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from frames import words  # noqa: E402

from libos.net import structs  # noqa: E402
from libos.net.stack import Stack  # noqa: E402
from libos.net.tcp import user  # noqa: E402

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
NAMES = {4: ("10.9.0.1", "10.9.0.2", socket.AF_INET), 6: ("fd09::1", "fd09::2", socket.AF_INET6)}
PORT = 8080


def tap():
    """A new device, with the kernel's addresses on it."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH", b"tap0", IFF_TAP | IFF_NO_PI))
    for command in ("addr add 10.9.0.1/24 dev tap0", "link set tap0 up", "-6 addr add fd09::1/64 dev tap0 nodad"):
        subprocess.run(["ip", *command.split()], check=True)
    return fd


class Wire:
    """Frames between the stack and the device, of which some are lost."""

    def __init__(self, fd, loss):
        self.fd, self.loss, self.random = fd, loss, random.Random(5)
        self.stack = Stack(0x020000000077, 1500, os.urandom(16), 1 << 27)
        self.stack.host.now = time.monotonic_ns()
        self.frame = ctypes.create_string_buffer(2048)
        self.octets = ctypes.create_string_buffer(1 << 18)
        self.at = ctypes.addressof(self.octets)

    def turn(self):
        host = self.stack.host
        for _ in range(64):
            try:
                n = os.readv(self.fd, [self.frame])
            except BlockingIOError:
                break
            if self.random.random() >= self.loss:
                self.stack.receive(ctypes.addressof(self.frame), n, time.monotonic_ns())
        self.stack.poll(time.monotonic_ns())
        for frame in host.out.contents():
            if self.random.random() >= self.loss:
                os.write(self.fd, frame)
        due = self.stack.next_deadline()
        if due == 0 or due > time.monotonic_ns():
            select.select([self.fd], [], [], 0.001)

    def receive(self, c):
        n = user.receive_into(self.stack.tcp, c, self.at, len(self.octets), False)
        return None if n == -structs.WOULD_BLOCK else self.octets[:n]

    def send(self, c, data):
        part = data[: len(self.octets)]
        self.octets[: len(part)] = part
        return max(user.send(self.stack.tcp, c, self.at, len(part), False), 0)


def kernel_echo(listener):
    with listener.accept()[0] as s:
        while data := s.recv(1 << 16):
            s.sendall(data)


def kernel_asks(family, address, data, answer):
    with socket.socket(family) as s:
        s.connect((address, PORT))
        sender = threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR)))
        sender.start()
        while part := s.recv(1 << 16):
            answer += part
        sender.join()


def serve(wire, family, data):
    """The kernel sends, we send back what comes."""
    _, us, af = NAMES[family]
    tcp, answer, waiting, ended = wire.stack.tcp, bytearray(), b"", False
    listener = user.open(tcp, family)
    assert user.bind(tcp, listener, 0, 0, PORT) == 0 and user.listen(tcp, listener, 5) == 0
    peer = threading.Thread(target=kernel_asks, args=(af, us, data, answer), daemon=True)
    peer.start()
    c = 0
    while peer.is_alive():
        wire.turn()
        c = c or max(user.accept(tcp, listener), 0)
        while c and not ended:
            if waiting:
                waiting = waiting[wire.send(c, waiting) :]
            if waiting or (part := wire.receive(c)) is None:
                break
            waiting = part
            if part == b"":
                ended = True
                user.shutdown(tcp, c, False, True)
    return bytes(answer)


def ask(wire, family, data):
    """We send, the kernel sends back what comes."""
    them, _, af = NAMES[family]
    tcp, answer, sent = wire.stack.tcp, bytearray(), 0
    listener = socket.create_server((them, PORT), family=af)
    threading.Thread(target=kernel_echo, args=(listener,), daemon=True).start()
    c = user.open(tcp, family)
    assert user.connect(tcp, c, *words(them), PORT) == -structs.IN_PROGRESS
    while True:
        wire.turn()
        if structs.Tcb.from_address(c).state < structs.ESTABLISHED:
            continue
        while sent < len(data) and (n := wire.send(c, data[sent:])):
            sent += n
            if sent == len(data):
                user.shutdown(tcp, c, False, True)
        while (part := wire.receive(c)) is not None:
            if part == b"":
                return bytes(answer)
            answer += part


def main(family, role, size, loss):
    wire = Wire(tap(), float(loss))
    for address, prefix in (("10.9.0.2", 120), ("fd09::2", 64)):
        wire.stack.host.add_address(*words(address), prefix)
    data = random.Random(1).randbytes(int(size))
    answer = (serve if role == "server" else ask)(wire, int(family), data)
    assert answer == data, f"{len(answer)} of {len(data)} octets"
    assert wire.stack.host.refused == 0 and wire.stack.tcp.bad_segments == 0
    print("whole", wire.stack.tcp.retransmitted)


if __name__ == "__main__":
    main(*sys.argv[1:])
