"""Where the owner of a shared volume is found: an abstract Unix socket, named by the file or device that holds it.

Whoever comes hands over a descriptor of the volume that it has opened for writing, and so may do with it what it likes;
it is told the port of the owner's listener on the loopback interface and a secret that is asked for there. The owner is
believed when it runs under the uid of the volume's file, our own, or root's.
"""

import contextlib
import fcntl
import os
import select
import socket
import stat
import struct
import threading
import time

SO_PEERCRED = 17
PATIENCE = 5  # seconds that the owner's answer is waited for
MANY = 64  # guests that have connected and not asked yet
ANSWER = struct.Struct("=H16s")  # port, secret


def name_of(found):
    """The address for what os.fstat says of a volume."""
    number = found.st_rdev if stat.S_ISBLK(found.st_mode) else found.st_dev << 64 | found.st_ino
    return b"\0catflap/log/%x" % number


def same(one, other):
    return name_of(one) == name_of(other)


class Door:
    """The owner's side, answered by a thread of its own until it is closed."""

    def __init__(self, fd, port, secret):
        """`fd`: of the volume. Raises OSError: EADDRINUSE while an owner before is not quite gone."""
        self.found = os.fstat(fd)
        self.answer = ANSWER.pack(port, secret)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.socket.bind(name_of(self.found))
            self.socket.listen(64)
        except OSError:
            self.socket.close()
            raise
        self.thread = threading.Thread(target=self.run, name="catflap-log-door", daemon=True)
        self.thread.start()

    def run(self):
        """Nobody who is slow keeps the others waiting; of very many the first are let go of."""
        waiting = []  # whose descriptor has not come yet
        while True:
            ready, _, _ = select.select([self.socket, *waiting], [], [])
            for guest in ready:
                if guest is not self.socket:
                    waiting.remove(guest)
                    with guest, contextlib.suppress(OSError, ValueError):
                        self.let_in(guest)
            if self.socket in ready:
                try:
                    waiting.append(self.socket.accept()[0])
                except OSError:  # closed
                    break
                waiting[-1].setblocking(False)
                if len(waiting) > MANY:
                    waiting.pop(0).close()
        for guest in waiting:
            guest.close()

    def let_in(self, guest):
        _, fds, _, _ = socket.recv_fds(guest, 1, 1)
        try:
            if fds and same(os.fstat(fds[0]), self.found):
                if fcntl.fcntl(fds[0], fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR:
                    guest.sendall(self.answer)
        finally:
            for fd in fds:
                os.close(fd)

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)  # its accept returns
        self.thread.join()
        self.socket.close()


def knock(sock, name):
    """As connect(2), which fails at once with EAGAIN where others stand in line and the socket has a time-out."""
    limit = time.monotonic() + PATIENCE
    while True:
        try:
            return sock.connect(name)
        except BlockingIOError:
            if time.monotonic() > limit:
                raise
        time.sleep(0.01)


def owner_of(path):
    """(port, secret) of the owner of a volume. Raises OSError: ECONNREFUSED when nobody is there, EACCES when it is
    somebody whom we don't believe.
    """
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        try:
            found = os.fstat(fd)
            sock.settimeout(PATIENCE)
            knock(sock, name_of(found))
            _, uid, _ = struct.unpack("=iII", sock.getsockopt(socket.SOL_SOCKET, SO_PEERCRED, 12))
            if uid not in (0, os.geteuid(), found.st_uid):
                raise PermissionError(f"the owner of {path} runs under uid {uid}")
            socket.send_fds(sock, [b"\0"], [fd])
            answer = sock.recv(ANSWER.size, socket.MSG_WAITALL)
        finally:
            os.close(fd)
    if len(answer) != ANSWER.size:
        raise ConnectionResetError("the owner has gone while it was asked")
    return ANSWER.unpack(answer)
