"""The POSIX twin of examples/echo.py: echo over TCP and UDP with sockets and a selector.

python examples/posix/echo.py server PORT [--udp]
python examples/posix/echo.py client PORT [--udp] [--count N] [--size BYTES]
"""

import os
import selectors
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from examples.common import options
from examples.common.echoes import late, message
from examples.posix.serving import MOST, PIECE, bound, connected

TIMEOUT = 10  # seconds without an answer
TRIES, PATIENCE = 5, 1  # of a datagram; seconds for each


def serve_stream(address):
    """A connection is waited for to become readable, or writable while something is left to send back."""
    listener = bound(socket.SOCK_STREAM, address)
    listener.setblocking(False)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    connections = 0
    while True:
        for key, _ in selector.select():
            try:
                if key.fileobj is listener:
                    sock, _ = listener.accept()
                    sock.setblocking(False)
                    selector.register(sock, selectors.EVENT_READ, memoryview(b""))
                    connections += 1
                    if connections == MOST:
                        selector.unregister(listener)
                else:
                    send_back(selector, key.fileobj, key.data)
            except BlockingIOError:
                pass
            except OSError:
                if key.fileobj is listener:
                    raise
                selector.unregister(key.fileobj)
                key.fileobj.close()
                connections -= 1
                if connections == MOST - 1:
                    selector.register(listener, selectors.EVENT_READ)


def send_back(selector, sock, left):
    """Send what is left, or receive and send as much as goes. Raises OSError when the connection is over."""
    if not left:
        left = memoryview(sock.recv(PIECE))
        if not left:
            raise ConnectionResetError
    try:
        left = left[sock.send(left) :]
    except BlockingIOError:
        pass
    selector.modify(sock, selectors.EVENT_WRITE if left else selectors.EVENT_READ, left)


def serve_datagrams(address):
    """One datagram after the other; one that can't be sent back is lost, as datagrams are."""
    sock = bound(socket.SOCK_DGRAM, address)
    while True:
        try:
            data, sender = sock.recvfrom(PIECE)
            if data:
                sock.sendto(data, sender)
        except OSError:
            continue


def echoed(selector, sock, data):
    """What comes back of `data`, sent and received at the same time. Raises OSError."""
    answer, left = bytearray(), memoryview(data)
    while len(answer) < len(data):
        selector.modify(sock, selectors.EVENT_READ | (selectors.EVENT_WRITE if left else 0))
        ready = selector.select(TIMEOUT)
        if not ready:
            raise TimeoutError("no answer")
        for _, events in ready:
            if events & selectors.EVENT_WRITE:
                left = left[sock.send(left) :]
            if events & selectors.EVENT_READ:
                piece = sock.recv(min(len(data) - len(answer), PIECE))
                if not piece:
                    raise ConnectionResetError("the server has closed the connection")
                answer += piece
    return answer


def ask_stream(address, count, size):
    sock = connected(address)
    selector = selectors.DefaultSelector()
    selector.register(sock, selectors.EVENT_READ)
    for i in range(count):
        if echoed(selector, sock, message(i, size)) != message(i, size):
            sys.exit(f"message {i} came back different")
    sock.close()


def ask_datagrams(address, count, size):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect(address)
    sock.settimeout(PATIENCE)
    for i in range(count):
        data = message(i, size)
        for _ in range(TRIES):
            try:
                sock.send(data)
            except ConnectionRefusedError:
                pass
            if answered(sock, i, data):
                break
        else:
            sys.exit(f"no answer to message {i}")
    sock.close()


def answered(sock, i, data):
    """Whether the right answer comes in time; answers to earlier messages don't count."""
    while True:
        try:
            answer = sock.recv(PIECE)
        except OSError:
            return False
        if answer == data:
            return True
        if not late(answer, i, len(data)):
            sys.exit(f"message {i} came back different")


def main():
    chosen = options.echo(__doc__)
    if chosen.role == "server":
        return (serve_datagrams if chosen.udp else serve_stream)(chosen.address)
    try:
        (ask_datagrams if chosen.udp else ask_stream)(chosen.address, chosen.count, chosen.size)
    except OSError as error:
        sys.exit(str(error))
    print(f"{chosen.count} messages of {chosen.size} bytes came back unchanged")


if __name__ == "__main__":
    main()
