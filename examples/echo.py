"""Echo over TCP and UDP: a server for any number of clients, and a client that checks every byte.

    python examples/echo.py server PORT [--udp] [--libos catnap]
    python examples/echo.py client PORT [--udp] [--count N] [--size BYTES]

What comes in is pushed out again as the same array: the server copies nothing.
"""

import os
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from examples.common import options
from examples.common.echoes import late, message
from examples.serving import MOST, at, bound, connected, started
from libos.errors import Fail, Kind
from libos.pdpix import ACCEPT, POP, PUSH
from libos.sgarray import SGArray

TIMEOUT = 10  # seconds without an answer
TRIES, PATIENCE = 5, 1  # of a datagram; seconds for each


def serve_stream(libos, address):
    """Each connection has one operation in flight: a pop, then the push of what it brought."""
    listener = bound(libos, socket.SOCK_STREAM, address)
    waiting = libos.wait_set()
    waiting.add(libos.accept(listener))
    connections = 0
    while True:
        result = waiting.wait()
        if result.opcode == ACCEPT:
            waiting.add(libos.pop(result.value))
            connections += 1
            if connections < MOST:
                waiting.add(libos.accept(listener))
        elif result.qd == listener:
            raise result.error
        elif result.opcode == PUSH:
            waiting.add(libos.pop(result.qd))
        elif result.opcode == POP and len(result.sga):
            waiting.add(libos.push(result.qd, result.sga))
            libos.sgafree(result.sga)  # the push keeps it until it is done
        else:
            if result.sga is not None:
                libos.sgafree(result.sga)
            libos.close(result.qd)
            connections -= 1
            if connections == MOST - 1:
                waiting.add(libos.accept(listener))


def serve_datagrams(libos, address):
    """One datagram after the other; one that can't be sent back is lost, as datagrams are."""
    qd = bound(libos, socket.SOCK_DGRAM, address)
    while True:
        result = libos.wait(libos.pop(qd))
        if result.error:
            continue
        with result.sga as sga:
            if len(sga):
                libos.wait(libos.pushto(qd, sga, result.address))


def echoed(libos, qd, data):
    """What comes back of `data`, sent and received at the same time. Raises Fail."""
    answer = bytearray()
    pushed, popped = libos.push(qd, SGArray.of(data)), libos.pop(qd, min(len(data), 65536))
    waiting = [pushed, popped]
    while waiting:
        _, result = libos.wait_any(waiting, TIMEOUT)
        waiting.remove(result.qtoken)
        if result.error:
            raise result.error
        if result.opcode == POP:
            with result.sga as sga:
                if not len(sga):
                    raise Fail(Kind.RESET, "the server has closed the connection")
                answer += bytes(sga)
            if len(answer) < len(data):
                waiting.append(libos.pop(qd, min(len(data) - len(answer), 65536)))
    return answer


def ask_stream(libos, address, count, size):
    qd = connected(libos, address)
    for i in range(count):
        if echoed(libos, qd, message(i, size)) != message(i, size):
            sys.exit(f"message {i} came back different")
    libos.close(qd)


def ask_datagrams(libos, address, count, size):
    qd = libos.socket(socket.AF_INET, socket.SOCK_DGRAM)
    result = libos.wait(libos.connect(qd, at(libos, address)), TIMEOUT)
    if result.error:
        raise result.error
    for i in range(count):
        data = message(i, size)
        for _ in range(TRIES):
            libos.wait(libos.push(qd, SGArray.of(data)), TIMEOUT)
            if answered(libos, qd, i, data):
                break
        else:
            sys.exit(f"no answer to message {i}")
    libos.close(qd)


def answered(libos, qd, i, data):
    """Whether the right answer comes in time; answers to earlier messages don't count."""
    while True:
        result = libos.within(libos.pop(qd), PATIENCE)
        if result is None or result.error:
            return False
        with result.sga as sga:
            if bytes(sga) == data:
                return True
            if not late(bytes(sga), i, len(data)):
                sys.exit(f"message {i} came back different")


def main():
    chosen = options.echo(__doc__, libos=True)
    libos = started(chosen)
    if chosen.role == "server":
        return (serve_datagrams if chosen.udp else serve_stream)(libos, chosen.address)
    try:
        (ask_datagrams if chosen.udp else ask_stream)(libos, chosen.address, chosen.count, chosen.size)
    except Fail as fail:
        sys.exit(str(fail))
    print(f"{chosen.count} messages of {chosen.size} bytes came back unchanged")


if __name__ == "__main__":
    main()
