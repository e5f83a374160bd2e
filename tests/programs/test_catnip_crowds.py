"""Many connections to a server on Catnip from the kernel, on another machine: held at once, and one after the other; a
large file over a wire that loses frames.
"""

import os
import resource

import flap
import pytest
import pythons
from material import content, sha
from networks import Network
from roles import listens, until
from webserver import CONFIGURATION
from wires import wires

pytestmark = pytest.mark.skipif(bool(flap.no_tap()), reason="no network namespace can be made here")
HELD, OPENED = (10_000, 100_000) if flap.FULL else (200, 500)
ROOM = min(60_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1])  # descriptors: two of a connection, one more is ours
LIMIT = 400 if flap.FULL else 60
ECHO = """
import os, selectors, socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=1000)
listener.setblocking(False)
for _ in range(int(sys.argv[2]) - 1):
    if os.fork() == 0:
        break
waits = selectors.DefaultSelector()
waits.register(listener, selectors.EVENT_READ)
while True:
    for key, _ in waits.select():
        if key.fileobj is listener:
            try:
                sock, _ = listener.accept()
            except BlockingIOError:
                continue
            sock.setblocking(False)
            waits.register(sock, selectors.EVENT_READ)
            continue
        part = key.fileobj.recv(100)
        if part:
            key.fileobj.sendall(part)
        if not part or part == b"bye":
            waits.unregister(key.fileobj)
            key.fileobj.close()
"""
CROWD = """
import random, socket, sys
where, held, opened = ("127.0.0.1", int(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3])
def said(sock, text):
    sock.sendall(text)
    assert sock.recv(100) == text
crowd = []
for n in range(held):
    crowd.append(socket.create_connection(where, timeout=30))
    said(crowd[-1], b"%d" % n)
for sock in random.sample(crowd, held):
    said(sock, b"again %d" % crowd.index(sock) if held < 1000 else b"again")
for sock in crowd:
    sock.close()
print("held", held, flush=True)
for n in range(opened):
    with socket.create_connection(where, timeout=30) as sock:
        said(sock, b"bye")
        assert sock.recv(100) == b""
print("opened", opened)
"""


@pytest.mark.timeout(2 * LIMIT)
@pytest.mark.parametrize("processes", [1, 2])
def test_many_connections(tmp_path, processes):
    """The server closes those that come one after the other: it is the one that remembers them. One process holds as
    many as it has descriptors for.
    """
    port, held = flap.free_port(), min(HELD, (ROOM * processes - 1000) // 2)
    room = [flap.need("prlimit", "util-linux"), f"--nofile={ROOM}", pythons.same(), "-c"]
    with wires(tmp_path), flap.Program([*room, ECHO, str(port), str(processes)], "catnip", timeout=LIMIT) as server:
        until(lambda: listens(port), "listener", program=server)
        words = [CROWD, *map(str, (port, held, OPENED))]
        result = flap.run([*room, *words], timeout=LIMIT)
        assert (result.status, result.stdout) == (0, b"held %d\nopened %d\n" % (held, OPENED)), str(result)


LOSSY = """
import random
from libos.devices.wrapper import Wrapper


class Lossy(Wrapper):
    dice = random.Random(4).random

    def transmit(self, address, length):
        if self.dice() < 0.01:
            self.transmitted += 1
            return True
        return super().transmit(address, length)


def install(instrument):
    instrument.install("device", Lossy)
"""
SIZE = 1 << 30 if flap.FULL else 1 << 22


@pytest.mark.timeout(2 * LIMIT)
def test_a_large_file_over_a_wire_that_loses_frames(tmp_path):
    """One of a hundred, both ways: 1 GiB from nginx to curl, octet for octet."""
    hook, network, port = tmp_path / "hook.py", Network(), flap.free_port()
    hook.write_text(LOSSY)
    os.makedirs(tmp_path / "root")
    block = content(min(SIZE, 1 << 23))
    with open(tmp_path / "root" / "file", "wb") as file:
        for n in range(SIZE // len(block)):
            file.write(block[n:] + block[:n])
    text = CONFIGURATION.replace("127.0.0.1:", "").replace("[::1]:", "[::]:")
    text = text.replace("daemon off;", "daemon off; master_process off;")
    path = tmp_path / "nginx.conf"
    path.write_text(text.format(folder=tmp_path, port=port, user="root", extra="", workers=1, sendfile="on"))
    argv = [flap.need("nginx", "nginx-light"), "-c", str(path), "-e", str(tmp_path / "error.log")]
    lossy = {"CATFLAP_HOOK": str(hook)}
    with network.server(argv, port, env=lossy, seconds=LIMIT):
        fetch = [flap.need("curl", "curl"), "-sS", "-o", str(tmp_path / "got"), f"http://10.77.1.1:{port}/file"]
        result = network.client(fetch, env=dict(lossy), seconds=LIMIT)
    assert (result.status, result.stderr) == (0, b""), str(result)
    with open(tmp_path / "root" / "file", "rb") as wanted, open(tmp_path / "got", "rb") as got:
        while part := wanted.read(1 << 23):
            assert sha(got.read(1 << 23)) == sha(part)
        assert got.read(1) == b""
