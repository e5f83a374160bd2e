"""The POSIX twin of examples/udp_relay.py: a relay of datagrams between clients known by name.

python examples/posix/udp_relay.py server PORT
python examples/posix/udp_relay.py answer PORT NAME
python examples/posix/udp_relay.py ask PORT NAME TO [--count N] [--size BYTES]
"""

import os
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from examples.common import options
from examples.common.echoes import late, message
from examples.common.relay import HELLO, LIFETIME, REFUSED, WELCOME, Relay
from examples.posix.serving import PIECE, bound

TRIES, PATIENCE = 5, 1  # of a datagram; seconds for each


def serve(address):
    sock, relay = bound(socket.SOCK_DGRAM, address), Relay()
    buffer = memoryview(bytearray(PIECE))
    while True:
        try:
            size, sender = sock.recvfrom_into(buffer)
            found = relay.receive(buffer[:size], sender, time.monotonic())
            if found:
                buffers, target = found
                sock.sendmsg(buffers, (), 0, target)
        except OSError:
            continue


def send(sock, *buffers):
    """One datagram to the relay. One that is refused is lost, as datagrams are."""
    try:
        sock.sendmsg(buffers)
    except OSError:
        pass


def receive(sock, seconds):
    """The next datagram, or None."""
    sock.settimeout(seconds)
    try:
        return sock.recv(PIECE)
    except OSError:
        return None


def register(address, name):
    """A socket on which the relay knows us by name. Ends the program when it doesn't."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect(address)
    for _ in range(TRIES):
        send(sock, HELLO, name)
        said = receive(sock, PATIENCE)
        if said == WELCOME + name:
            return sock
        if said == REFUSED + name:
            sys.exit(f"the relay has refused {os.fsdecode(name)}")
    sys.exit("the relay doesn't answer")


def answer(address, name):
    sock = register(address, name)
    print(f"{os.fsdecode(name)} is registered", flush=True)
    while True:
        datagram = receive(sock, LIFETIME / 3)
        if datagram is None:
            send(sock, HELLO, name)
        elif b"\0" in datagram:
            send(sock, datagram)


def ask(address, name, to, count, size):
    sock = register(address, name)
    for i in range(count):
        data = message(i, size)
        for _ in range(TRIES):
            send(sock, to, b"\0", data)
            if answered(sock, i, to, data):
                break
        else:
            sys.exit(f"no answer to message {i}")
    sock.close()


def answered(sock, i, to, data):
    """Whether the right answer comes in time; answers to earlier messages don't count."""
    while (datagram := receive(sock, PATIENCE)) is not None:
        sender, _, payload = datagram.partition(b"\0")
        if sender == to and payload == data:
            return True
        if sender == to and not late(payload, i, len(data)):
            sys.exit(f"message {i} came back different")
    return False


def main():
    chosen = options.udp_relay(__doc__)
    if chosen.role == "server":
        serve(chosen.address)
    elif chosen.role == "answer":
        answer(chosen.address, chosen.name)
    else:
        ask(chosen.address, chosen.name, chosen.to, chosen.count, chosen.size)
        print(f"{chosen.count} messages of {chosen.size} bytes came back unchanged")


if __name__ == "__main__":
    main()
