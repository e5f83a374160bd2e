"""Both ends of an exchange of datagrams, by their role: what each call answers, one line for each, names as words.

abroad_datagrams.py server ADDRESS PORT | client ADDRESS PORT [LARGEST]
"""

import array
import asyncio
import errno
import fcntl
import select
import socket
import struct
import sys
import termios
import threading
import time

ROLE, ADDRESS, PORT = sys.argv[1], sys.argv[2], int(sys.argv[3])
FAMILY = socket.AF_INET6 if ":" in ADDRESS else socket.AF_INET
ANY = "::" if FAMILY == socket.AF_INET6 else "0.0.0.0"
NAME = (ADDRESS, PORT)
LARGEST = int(sys.argv[4]) if len(sys.argv) > 4 else 65507
POLL_WORDS = {1: "in", 4: "out", 8: "error", 16: "hangup", 0x2000: "goodbye"}


def said(*words):
    print(*words, flush=True)


def failed(call, *arguments):
    """The name of the error of a call that must fail."""
    try:
        call(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno, type(error).__name__)
    return "no error"


def words(events):
    return [word for bit, word in POLL_WORDS.items() if events & bit]


def made(connected=True, where=NAME):
    sock = socket.socket(FAMILY, socket.SOCK_DGRAM)
    sock.settimeout(20)
    if connected:
        sock.connect(where)
    return sock


def waiting(sock):
    room = array.array("i", [0])
    fcntl.ioctl(sock, termios.FIONREAD, room)
    return room[0]


def asked(sock, text=b"more"):
    """Have the server send what `text` asks for: one datagram of that text, or many."""
    sock.sendall(text)


# --- what the client does; the server echoes, but for a few words of its own ---
def sizes():
    with made(False) as sock:
        for size in (0, 1, 1472, 1473, 9000, LARGEST):
            sock.sendto(bytes(size), NAME)
            data, peer = sock.recvfrom(70000)
            said("size", size, len(data), peer[0], peer[1] == PORT, len(peer))
        said("too long", failed(sock.sendto, bytes(65528), NAME), failed(sock.sendto, bytes(70000), NAME))


def names():
    with made(False) as sock:
        said("unbound", sock.getsockname(), failed(sock.getpeername), failed(sock.send, b"x"))
        said("bad port", failed(sock.sendto, b"x", (ADDRESS, 0)))
        sock.sendto(b"x", NAME)
        said("sent", sock.getsockname()[0], sock.getsockname()[1] > 0, failed(sock.getpeername))
        port = sock.getsockname()[1]
        sock.connect(NAME)
        said("connected", sock.getsockname()[0], sock.getsockname()[1] == port, sock.getpeername()[0])
    with made() as sock:
        said("names", sock.getsockname()[0], sock.getsockname()[1] > 0, sock.getpeername()[:2] == NAME)
        sock.sendto(b"named", NAME)
        said("answer", sock.recvfrom(10)[0])


def headers():
    with made() as sock:
        sock.sendmsg([b"in ", b"", b"three", b" parts"])
        data, control, flags, peer = sock.recvmsg(100)
        said("parts", data, control, flags, peer[0], peer[1] == PORT)
        asked(sock, b"in two pieces")
        first, second = bytearray(3), bytearray(4)
        count, control, flags, peer = sock.recvmsg_into([first, second])
        said("pieces", count, bytes(first), bytes(second), flags == socket.MSG_TRUNC)
        asked(sock, b"seen twice")
        said("peeked", sock.recv(4, socket.MSG_PEEK), sock.recv(100, socket.MSG_PEEK), waiting(sock), sock.recv(6))
        asked(sock, b"how long")
        said("length", sock.recv_into(bytearray(2), 2, socket.MSG_TRUNC))
        asked(sock, b"")
        said("nothing", sock.recvfrom(10)[0], waiting(sock))


def waits():
    with made() as sock:
        sock.settimeout(0.05)
        said("timed out", failed(sock.recv, 1))
        sock.setblocking(False)
        said("would block", failed(sock.recv, 1), failed(sock.recv, 1, socket.MSG_DONTWAIT))
        sock.setblocking(True)
        said("not waiting", failed(sock.recv, 1, socket.MSG_DONTWAIT))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 50000))
        before = time.monotonic()
        said("receive time-out", failed(sock.recv, 1), 0.04 < time.monotonic() - before < 5)


def refusals():
    nobody = (ADDRESS, PORT + 1)
    with made(where=nobody) as sock:
        sock.send(b"x")
        said("refused", failed(sock.recv, 1))
        sock.send(b"x")
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        said("polled", words(poll.poll(20000)[0][1]), words(poll.poll(0)[0][1]))
        said("told", errno.errorcode[sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)], poll.poll(0))
        sock.send(b"x")
        said("selected", select.select([sock], [], [], 20)[0] == [sock], failed(sock.send, b"x"))
        sock.send(b"x")
        with select.epoll() as epoll:
            epoll.register(sock, select.EPOLLIN | select.EPOLLET)
            said("epolled", words(epoll.poll(20)[0][1]), epoll.poll(0), failed(sock.recv, 1))
    with made(False) as sock:
        sock.sendto(b"x", nobody)
        sock.settimeout(0.2)
        said("not told", failed(sock.recv, 1))


def strangers():
    with made() as sock, made(False) as other:
        other.bind((ANY, 0))
        other.sendto(b"ignored", sock.getsockname()[:2])
        sock.send(b"mine")
        said("connected", sock.recv(100))
        sock.sendto(b"elsewhere", (sock.getsockname()[0], other.getsockname()[1]))
        said("elsewhere", other.recv(100))
        sock.connect(other.getsockname()[:2] if other.getsockname()[0] != ANY else NAME)
        sock.send(b"again")
        said("again", sock.recv(100))


def dissolved():
    libc = __import__("ctypes").CDLL(None, use_errno=True)
    with made() as sock:
        said("dissolved", libc.connect(sock.fileno(), bytes(16), 16))
        said("then", failed(sock.getpeername), failed(sock.send, b"x"))
        sock.sendto(b"to somebody", NAME)
        said("and", sock.recv(100))


def readiness():
    with made() as sock:
        poll = select.poll()
        poll.register(sock, select.POLLIN | select.POLLOUT)
        said("idle", words(poll.poll(1000)[0][1]))
        poll.modify(sock, select.POLLIN)
        asked(sock)
        said("ready", words(poll.poll(20000)[0][1]), words(poll.poll(0)[0][1]), sock.recv(10), poll.poll(0))
        with select.epoll() as epoll:
            epoll.register(sock, select.EPOLLIN | select.EPOLLET)
            asked(sock)
            said("edge", words(epoll.poll(20)[0][1]), epoll.poll(0))
            asked(sock)
            said("next edge", words(epoll.poll(20)[0][1]), epoll.poll(0), sock.recv(10), sock.recv(10))
            epoll.modify(sock, select.EPOLLIN | select.EPOLLOUT | select.EPOLLONESHOT)
            said("once", words(epoll.poll(20)[0][1]), epoll.poll(0))
            epoll.modify(sock, select.EPOLLIN)
            asked(sock)
            said("level", words(epoll.poll(20)[0][1]), words(epoll.poll(0)[0][1]), sock.recv(10), epoll.poll(0))
    near, far = socket.socketpair()
    with made() as sock, near, far:
        far.send(b"k")
        said("kernel's", [s is near for s in select.select([sock, near], [], [], 20)[0]], near.recv(1))
        asked(sock)
        said("network's", [s is sock for s in select.select([sock, near], [], [], 20)[0]], sock.recv(10))


def threads():
    with made() as sock:
        found = []
        thread = threading.Thread(target=lambda: found.append(sock.recv(100)))
        thread.start()
        time.sleep(0.3)
        asked(sock, b"from another thread")
        thread.join(20)
        said("thread", found)
    with made(False) as sock:
        sock.bind((ANY, 0))
        thread = threading.Thread(target=lambda: found.append(sock.recv(100)))
        thread.start()
        time.sleep(0.3)
        sock.sendto(b"before it was connected", NAME)
        thread.join(20)
        said("thread", found[1:])


def bounded():
    with made(False) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        sock.connect(NAME)
        asked(sock, b"flood")
        time.sleep(0.5)
        size, count = len(sock.recv(2000)), 1
        sock.setblocking(False)
        while failed(sock.recv, 2000) == "no error":
            count += 1
        sock.settimeout(0.5)
        while failed(sock.recv, 2000) == "no error":
            pass  # what is sent after the queue had room again
        said("bounded", size, count < 100)
        sock.settimeout(20)
        asked(sock, b"goes on")
        said("goes on", sock.recv(100))


def shutdowns():
    with made(False) as sock:
        said("not connected", failed(sock.shutdown, socket.SHUT_WR))
    with made() as sock:
        sock.shutdown(socket.SHUT_WR)
        said("no more", failed(sock.send, b"x"))
    with made() as sock:
        asked(sock, b"before the end")
        select.select([sock], [], [], 20)
        sock.shutdown(socket.SHUT_RD)
        sock.setblocking(True)
        said("the end", sock.recv(100), sock.recv(100))
        poll = select.poll()
        poll.register(sock, select.POLLIN | select.POLLRDHUP)
        said("events", words(poll.poll(1000)[0][1]))


def taken():
    with made(False) as one, made(False) as two:
        one.bind((ANY, 0))
        port = one.getsockname()[1]
        said("taken", failed(two.bind, (ANY, port)), failed(one.bind, (ANY, 0)))
        two.bind((ANY, 0))
        said("free", two.getsockname()[0], two.getsockname()[1] != port)
    with made(False) as one, made(False) as two:
        for sock in (one, two):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind((ANY, 0))
        said("shared", failed(two.bind, one.getsockname()[:2]))


def coroutines():
    class Inbox(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            self.found = asyncio.get_running_loop().create_future()
            transport.sendto(b"asyncio")

        def datagram_received(self, data, peer):
            self.found.set_result((data, peer[0], peer[1] == PORT))

        def error_received(self, error):
            self.found.set_result(type(error).__name__)

    async def ask(where):
        loop = asyncio.get_running_loop()
        transport, inbox = await loop.create_datagram_endpoint(Inbox, remote_addr=where)
        said("asyncio", await asyncio.wait_for(inbox.found, 20))
        transport.close()

    asyncio.run(ask(NAME))
    asyncio.run(ask((ADDRESS, PORT + 1)))


def server():
    with socket.socket(FAMILY, socket.SOCK_DGRAM) as sock:
        sock.bind(NAME)
        said("listens", sock.getsockname()[0], sock.getsockname()[1] == PORT)
        with socket.socket(FAMILY, socket.SOCK_DGRAM) as other:
            said("taken", failed(other.bind, NAME))
        data = b""
        while data != b"the end":
            data, peer = sock.recvfrom(70000)
            for _ in range(1000 if data == b"flood" else 1):
                sock.sendto(data if data != b"flood" else bytes(1000), peer)
        said("ended", peer[0])


def client(steps):
    for step in steps:
        said("---", step.__name__)
        step()
    with made() as sock:
        sock.send(b"the end")
        said(sock.recv(10))


def main(*steps):
    if ROLE == "server":
        server()
    else:
        client(steps)


if __name__ == "__main__":
    main(
        sizes, names, headers, waits, refusals, strangers, dissolved, readiness, threads, bounded, shutdowns, taken,
        coroutines,
    )  # fmt: skip
