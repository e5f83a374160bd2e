"""A relay of datagrams between clients that don't know each other's address, in the manner of TURN.

    python examples/udp_relay.py server PORT [--libos catnap]
    python examples/udp_relay.py answer PORT NAME
    python examples/udp_relay.py ask PORT NAME TO [--count N] [--size BYTES]

The protocol is in examples/common/relay.py. A payload is forwarded from where it was received: it isn't copied.
"""

import os
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from examples.common import options
from examples.common.echoes import late, message
from examples.common.relay import HELLO, LIFETIME, REFUSED, WELCOME, Relay
from examples.serving import at, bound, started
from libos.sgarray import SGArray

TRIES, PATIENCE = 5, 1  # of a datagram; seconds for each


def serve(libos, address):
    qd, relay = bound(libos, socket.SOCK_DGRAM, address), Relay()
    while True:
        result = libos.wait(libos.pop(qd))
        if result.error:
            continue
        with result.sga as sga:
            if not len(sga):
                continue
            found = relay.receive(sga.segments[0], result.address, time.monotonic())
            if found:
                buffers, target = found
                libos.wait(libos.pushto(qd, SGArray.of(*buffers), target))


def send(libos, qd, *buffers):
    """One datagram to the relay. One that is refused is lost, as datagrams are."""
    libos.wait(libos.push(qd, SGArray.of(*buffers)), PATIENCE)


def receive(libos, qd, seconds):
    """The next datagram, or None."""
    result = libos.within(libos.pop(qd), seconds)
    if result is None or result.error:
        return None
    with result.sga as sga:
        return bytes(sga)


def register(libos, address, name):
    """The qd of a socket on which the relay knows us by name. Ends the program when it doesn't."""
    qd = libos.socket(socket.AF_INET, socket.SOCK_DGRAM)
    libos.wait(libos.connect(qd, at(libos, address)), PATIENCE)
    for _ in range(TRIES):
        send(libos, qd, HELLO, name)
        said = receive(libos, qd, PATIENCE)
        if said == WELCOME + name:
            return qd
        if said == REFUSED + name:
            sys.exit(f"the relay has refused {os.fsdecode(name)}")
    sys.exit("the relay doesn't answer")


def answer(libos, address, name):
    qd = register(libos, address, name)
    print(f"{os.fsdecode(name)} is registered", flush=True)
    while True:
        datagram = receive(libos, qd, LIFETIME / 3)
        if datagram is None:
            send(libos, qd, HELLO, name)
        elif b"\0" in datagram:
            send(libos, qd, datagram)


def ask(libos, address, name, to, count, size):
    qd = register(libos, address, name)
    for i in range(count):
        data = message(i, size)
        for _ in range(TRIES):
            send(libos, qd, to, b"\0", data)
            if answered(libos, qd, i, to, data):
                break
        else:
            sys.exit(f"no answer to message {i}")
    libos.close(qd)


def answered(libos, qd, i, to, data):
    """Whether the right answer comes in time; answers to earlier messages don't count."""
    while (datagram := receive(libos, qd, PATIENCE)) is not None:
        sender, _, payload = datagram.partition(b"\0")
        if sender == to and payload == data:
            return True
        if sender == to and not late(payload, i, len(data)):
            sys.exit(f"message {i} came back different")
    return False


def main():
    chosen = options.udp_relay(__doc__, libos=True)
    libos = started(chosen)
    if chosen.role == "server":
        serve(libos, chosen.address)
    elif chosen.role == "answer":
        answer(libos, chosen.address, chosen.name)
    else:
        ask(libos, chosen.address, chosen.name, chosen.to, chosen.count, chosen.size)
        print(f"{chosen.count} messages of {chosen.size} bytes came back unchanged")


if __name__ == "__main__":
    main()
