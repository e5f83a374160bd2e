"""Two hosts at the ends of a wire that frames pass one burst at a time, when the scenario says so: run in a network
namespace of its own by test_linux_tap.py. One host is Linux; the other one is Linux too, or a stack of ours.

Arguments: linux or catnip (the other one), 4 or 6. Prints what each of `tap_scenarios.py` has seen, as JSON.
"""

import ctypes
import errno
import json
import os
import select
import socket
import subprocess
import sys
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)), os.path.dirname(os.path.dirname(os.path.dirname(__file__)))]
import tap_scenarios  # noqa: E402
from frames import words  # noqa: E402

from libos.devices.tap import Tap  # noqa: E402
from libos.devices.tray import Basket, sent  # noqa: E402
from libos.net import structs, udp_user  # noqa: E402
from libos.net.stack import Stack  # noqa: E402
from libos.net.tcp import user  # noqa: E402

NAMES = {4: ("10.9.0.1", "10.9.0.2"), 6: ("fd09::1", "fd09::2")}  # the other host's, Linux'
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
CLONE_NEWNET = 0x40000000
ERRORS = {
    structs.REFUSED: "ECONNREFUSED",
    structs.RESET: "ECONNRESET",
    structs.BROKEN_PIPE: "EPIPE",
    structs.TIMED_OUT: "ETIMEDOUT",
    structs.INVALID: "EINVAL",
}


def outcome(call, *arguments):
    """What a call on a non-blocking socket answers: its value, the name of its error, None for not yet."""
    try:
        return call(*arguments)
    except BlockingIOError:
        return None
    except OSError as error:
        return errno.errorcode[error.errno]


class LinuxSocket:
    """The calls of the scenarios on a kernel's socket. None: not yet."""

    def __init__(self, sock):
        self.sock = sock
        sock.setblocking(False)

    def listen(self, port):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind(("", port))
        self.sock.listen(4)

    def accept(self):
        found = outcome(self.sock.accept)
        return found and LinuxSocket(found[0])

    def connect(self, address, port):
        return {0: "connected", errno.EISCONN: "connected"}.get(
            code := self.sock.connect_ex((address, port)),
            None if code in (errno.EINPROGRESS, errno.EALREADY) else errno.errorcode.get(code),
        )

    def send(self, data):
        return outcome(self.sock.send, data)

    def receive(self, size=1 << 16):
        return outcome(self.sock.recv, size)

    def send_urgent(self, data):
        return outcome(self.sock.send, data, socket.MSG_OOB)

    def receive_urgent(self):
        return outcome(self.sock.recv, 1, socket.MSG_OOB)

    def shutdown(self):
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        self.sock.close()

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()

    def small_buffers(self):
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            self.sock.setsockopt(socket.SOL_SOCKET, option, 1 << 14)

    def keep_alive(self, idle, interval, count):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (("TCP_KEEPIDLE", idle), ("TCP_KEEPINTVL", interval), ("TCP_KEEPCNT", count)):
            self.sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class OurSocket:
    """The same on a record of our stack."""

    buffer = ctypes.create_string_buffer(1 << 16)
    at = ctypes.addressof(buffer)

    def __init__(self, stack, record):
        self.stack, self.tcp, self.record = stack, stack.tcp, record

    @property
    def fields(self):
        return structs.Tcb.from_address(self.record)

    def answer(self, n, value=lambda n: n):
        if n in (-structs.WOULD_BLOCK, -structs.IN_PROGRESS, -structs.ALREADY):
            return None
        return ERRORS[-n] if n < 0 else value(n)

    def listen(self, port):
        assert user.bind(self.tcp, self.record, 0, 0, port) == 0
        assert user.listen(self.tcp, self.record, 4) == 0

    def accept(self):
        return self.answer(user.accept(self.tcp, self.record), lambda record: OurSocket(self.stack, record))

    def connect(self, address, port):
        n = user.connect(self.tcp, self.record, *words(address), port)
        return "connected" if n == -structs.IS_CONNECTED else self.answer(n)

    def put(self, data):
        part = data[: len(self.buffer)]
        ctypes.memmove(self.at, part, len(part))
        return len(part)

    def send(self, data):
        return self.answer(user.send(self.tcp, self.record, self.at, self.put(data), False))

    def receive(self, size=1 << 16):
        n = user.receive_into(self.tcp, self.record, self.at, size, False)
        return self.answer(n, lambda n: self.buffer[:n])

    def send_urgent(self, data):
        return self.answer(user.send_urgent(self.tcp, self.record, self.at, self.put(data)))

    def receive_urgent(self):
        return self.answer(user.receive_urgent(self.tcp, self.record, self.at, False), lambda n: self.buffer[:n])

    def shutdown(self):
        assert user.shutdown(self.tcp, self.record, False, True) == 0

    def close(self):
        user.close(self.tcp, self.record)

    def reset(self):
        user.set_option(self.tcp, self.record, structs.LINGER, True)
        self.fields.linger = 0
        self.close()

    def small_buffers(self):
        self.fields.rx_limit = self.fields.tx_limit = 1 << 14

    def keep_alive(self, idle, interval, count):
        self.fields.keep_idle, self.fields.keep_interval, self.fields.keep_count = idle, interval, count
        user.set_option(self.tcp, self.record, structs.KEEPALIVE, True)


class OurDatagrams(OurSocket):
    """Of UDP."""

    def connect(self, address, port):
        return self.answer(udp_user.connect(self.stack.udp, self.record, *words(address), port), lambda n: "connected")

    def send(self, data):
        return self.answer(udp_user.send(self.stack.udp, self.record, self.at, self.put(data), 0, 0, 0))

    def receive(self, size=1 << 16):
        if error := udp_user.take_error(self.stack.udp, self.record):
            return self.answer(-error)
        if not udp_user.first(self.stack.udp, self.record):
            return None
        return self.buffer[: udp_user.receive_into(self.stack.udp, self.record, self.at, size)]

    def close(self):
        udp_user.close(self.stack.udp, self.record)


class LinuxHost:
    """The stack of the network namespace `space`, behind a TAP; `mtu` is the interface's."""

    def __init__(self, i, family):
        self.family, self.interface, self.address = family, f"tap{i}", NAMES[family][i]
        assert LIBC.unshare(CLONE_NEWNET) == 0
        self.space = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        with open("/proc/sys/net/ipv6/conf/default/accept_dad", "w") as file:
            file.write("0")
        self.device = Tap(self.interface)
        mask = 24 if family == 4 else 64
        for command in (f"address add {self.address}/{mask} dev {self.interface}", f"link set {self.interface} up"):
            subprocess.run(["ip", *command.split()], check=True)
        self.basket = Basket()

    def inside(self):
        assert LIBC.setns(self.space, CLONE_NEWNET) == 0

    def socket(self, kind=socket.SOCK_STREAM):
        self.inside()
        return LinuxSocket(socket.socket(FAMILIES[self.family], kind))

    def set_mtu(self, mtu):
        self.inside()
        subprocess.run(["ip", "link", "set", self.interface, "mtu", str(mtu)], check=True)

    def frames(self):
        """What it has sent."""
        return self.basket.collect(self.device)

    def take(self, frame):
        sent(self.device, frame)


class OurHost:
    """A stack of ours."""

    def __init__(self, i, family):
        self.family, self.address = family, NAMES[family][i]
        self.stack = Stack(0x020000000077, 1500, os.urandom(16), 1 << 27, 64)
        self.stack.host.now = time.monotonic_ns()
        self.stack.host.add_address(*words(self.address), 120 if family == 4 else 64)

    def socket(self, kind=socket.SOCK_STREAM):
        self.stack.host.now = time.monotonic_ns()
        if kind == socket.SOCK_DGRAM:
            return OurDatagrams(self.stack, udp_user.open(self.stack.udp, self.family))
        return OurSocket(self.stack, user.open(self.stack.tcp, self.family))

    def frames(self):
        self.stack.poll(time.monotonic_ns())
        return self.stack.host.out.contents()

    def take(self, frame):
        buffer = ctypes.create_string_buffer(frame, len(frame))
        self.stack.receive(ctypes.addressof(buffer), len(frame), time.monotonic_ns())


class Wire:
    """The two hosts, `other` and `linux`, and what has passed between them."""

    def __init__(self, kind, family):
        self.family = family
        self.addresses = NAMES[family]
        self.other = {"linux": LinuxHost, "catnip": OurHost}[kind](0, family)
        self.linux = LinuxHost(1, family)
        self.seen = []  # frames of the other host
        self.cut = False
        self.router = lambda source, frame: None  # what comes back instead of a frame, if anything

    def turn(self):
        """Carry one burst each way; rest for a moment when there is none."""
        there, back = self.other.frames(), self.linux.frames()
        self.seen += there
        for source, target, frames in ((self.other, self.linux, there), (self.linux, self.other, back)):
            for frame in () if self.cut else frames:
                answer = self.router(source, frame)
                (source if answer else target).take(answer or frame)
        if not there and not back:
            select.select([self.linux.device.bell()], [], [], 0.001)

    def until(self, call, *arguments, seconds=10):
        """What a call answers that has to wait: frames pass meanwhile."""
        end = time.monotonic() + seconds
        while (answer := call(*arguments)) is None:
            assert time.monotonic() < end, f"{call.__qualname__} is still waiting"
            self.turn()
        return answer

    def idle(self, seconds):
        """Nothing but frames."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.turn()


def main(kind, family):
    wire = Wire(kind, int(family))
    roles = ((wire.other, wire.linux), (wire.linux, wire.other))
    seen = {name: [play(wire, *hosts) for hosts in roles] for name, play in tap_scenarios.SCENARIOS.items()}
    print(json.dumps(seen, default=repr))


LIBC = ctypes.CDLL(None, use_errno=True)

if __name__ == "__main__":
    main(*sys.argv[1:])
