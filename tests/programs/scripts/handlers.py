"""A signal handler that raises, while this program waits in a socket call and while it is busy with them."""

import signal
import socket

listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
server, _ = listener.accept()


class Late(Exception):
    pass


def late(*_):
    global calls
    calls += 1
    raise Late


def busy():
    while True:
        client.send(b"x")
        if server.recv(1) != b"x":
            raise AssertionError


calls = 0
signal.signal(signal.SIGALRM, late)
for name, work in (("recv", lambda: client.recv(10)), ("accept", listener.accept), ("busy", busy)):
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        work()
    except Late:
        print(name, "late", calls)
