"""The PDPIX servers give back every array and every queue, however their clients leave."""

import socket
import struct
import threading

import pytest
import twins

from examples import echo, udp_relay
from examples.common.store import Session, Store
from examples.serving import Server
from libos.errors import Fail
from libos.factory import native

SERVERS = {
    "echo": lambda libos: echo.serve_stream(libos, ("", 0)),
    "kv": lambda libos: Server(libos, ("", 0), lambda: Session(Store())).run(),
    "echo --udp": lambda libos: echo.serve_datagrams(libos, ("", 0)),
    "udp_relay": lambda libos: udp_relay.serve(libos, ("", 0)),
}


@pytest.fixture(params=SERVERS)
def served(request):
    """A libOS on which a server runs in a thread of its own, the server's qd, whether it has connections, and the
    queues that there have been.
    """
    libos = native("catnap")
    queues, add = [], libos.add
    libos.add = lambda queue: queues.append(queue) or add(queue)

    def serve():
        with pytest.raises(Fail):  # its socket is closed below
            SERVERS[request.param](libos)

    thread = threading.Thread(target=serve)
    thread.start()
    twins.until(lambda: libos.operations)
    (qd,) = libos.queues
    yield libos, qd, request.param in ("echo", "kv"), queues
    libos.close(qd)
    thread.join(twins.TIMEOUT)
    assert not thread.is_alive() and libos.heap.live() == 0 and not libos.queues


def test_nothing_is_kept(served):
    libos, qd, stream, queues = served
    address = libos.getsockname(qd)
    for i in range(12):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM) as sock:
            sock.settimeout(twins.TIMEOUT)
            sock.connect(address)
            sock.sendall((b"PING\r\n", b"hello a", b"x" * 60_000)[i % 3])
            if i % 2 and stream:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    twins.until(lambda: len(queues) == 1 + 12 * stream)  # the last one may not have been accepted yet
    twins.until(lambda: len(libos.queues) == 1 and len(libos.operations) == 1 and libos.heap.live() == 0)
