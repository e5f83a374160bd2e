"""The entries of the bridge: one function for each line of `struct catflap_ops`, in its order.

`d` is a Description. Compiled, the first group runs without the GIL and the second takes it, and C calls their native
addresses; interpreted, the host calls the same functions through cffi. No exception leaves here.
"""

from time import sleep

from interpose import abi, description, errors, interest, linux, options, readiness, sets, watching
from interpose.datagram import Datagram
from interpose.listener import Listener
from interpose.loop_stream import LoopStream
from interpose.stream import Stream
from libos import raw
from libos.loop_queue import LoopQueue

COMPILED = __file__.endswith(".so")
PATIENCE = 500  # milliseconds
SO_ERROR, TCP_ZEROCOPY_RECEIVE = (1, 4), (6, 35)  # the second: a getsockopt that receives


def recv(d, address, size, flags, qt):
    return d.recv(address, size, flags, qt)


def send(d, address, size, flags, qt):
    return d.send(address, size, flags, qt)


def recvmsg(d, message, flags, qt):
    return d.recvmsg(message, flags, qt)


def sendmsg(d, message, flags, qt):
    return d.sendmsg(message, flags, qt)


def sendfile(d, in_fd, offset, size, qt):
    return d.sendfile(in_fd, offset, size, qt)


def accept(d, address, length, flags, qt):
    return d.accept(address, length, flags, qt)


def connect(d, address, length, qt):
    return d.connect(address, length, qt)


def begin_ready(ep, events, n, qt):
    return readiness.ready(ep, events, n, qt)


def begin_ready_poll(fds, handles, copy, n, qt):
    return watching.poll(fds, handles, copy, n, qt)


def handle(d):
    return d.handle()


def end_wait(qtoken, op, data, result):
    return readiness.woke(qtoken, op, data, result)


def drop_wait(qtoken):
    return readiness.dropped(qtoken)


def forking(done):
    """This process is about to fork, or has: no other thread may hold a lock that the child would have to wait for."""
    if not done:
        interest.show_all_sets()
    sets.forking(done)
    return 0


def probe(d, x):
    """An empty operation: what the way in and out costs."""
    return x


def sync(fd, data_only):
    return abi.CATFLAP_ATTEND  # under a mount prefix syncing.py's takes its place


def failed(what, error):
    """An exception of ours: the traceback to the log, the right errno to the program."""
    handed = description.PROCESS.handed
    if handed is not None and handed.foreign(error):
        handed.hand_back(error)
        return -linux.EINTR
    description.PROCESS.log(what, error)
    return -errors.errno_of(error)


def adopt(fd, domain, kind, uses, name):
    """Take a kernel socket that has had so many uses, or answer the CATFLAP_KERNEL_* reason why it is left to the
    kernel. `name`: where accept(2) has written the peer's name, or 0.
    """
    try:
        libos = description.PROCESS.libos
        if libos is None:
            return abi.CATFLAP_KERNEL_ASKED
        nonblock = bool(kind & linux.SOCK_NONBLOCK)
        if kind & 0xF == linux.SOCK_DGRAM and description.PROCESS.network is not None:
            return adopt_datagram(fd, nonblock)
        queue = libos.adopt(fd, kind & 0xF)
        if queue is None:
            return abi.CATFLAP_KERNEL_AUTO
        if description.PROCESS.watched:
            queue.accepting = domain == 0
            queue.uses = uses
            taken = description.PROCESS.stream(queue, fd, nonblock)
            if domain == 0 and description.PROCESS.default in ("catnap", "kernel"):
                taken.leave()
        else:
            taken = (Stream if kind & 0xF == linux.SOCK_STREAM else Datagram)(queue, fd, nonblock)
        if not description.register(taken):
            return abi.CATFLAP_KERNEL_TABLE
        if domain == 0 and description.PROCESS.network is not None:
            description.PROCESS.abroad.accepted(taken, name)
        return 0
    except BaseException as error:
        failed("adopt", error)
        return abi.CATFLAP_KERNEL_BOOT_FAILED


def adopt_datagram(fd, nonblock):
    taken = description.PROCESS.datagrams.adopted(fd, nonblock)
    return 0 if taken is not None and description.register(taken) else abi.CATFLAP_KERNEL_TABLE


def attend(d):
    """The next step of a connection on its way to a device of its own, or for good back to the kernel."""
    try:
        stream = isinstance(d, description.PROCESS.stream)
        (description.PROCESS.attention if stream else description.PROCESS.datagrams).attend(d)
    except BaseException as error:
        d.queue.next_step = (1 << 63) - 1  # not at every call from now on
        failed("attend", error)
    return 0


def new_bell(fd):
    """A bell for this thread: its number, with its descriptor written to `fd`; 0 when there are no more."""
    try:
        return description.PROCESS.attention.new_bell(fd)
    except BaseException as error:
        failed("bell", error)
        return 0


def free_bell(bell):
    description.PROCESS.attention.free_bell(bell)
    return 0


def watch_interest(d, ep, op, fd, event):
    """epoll_ctl(2) on a descriptor of ours."""
    return interest.control(d, ep, op, fd, event)


def nested(ep):
    """Somebody waits for an epoll set as for a descriptor."""
    interest.nested(ep)
    return 0


def set_copied(ep, to):
    interest.copied(ep, to)
    return 0


def leave(d):
    """This descriptor goes where we can't follow: its bytes go through the kernel from now on. 1 while some are on
    their way.
    """
    if d.handle():
        interest.show_hidden(d.handle(), -1)
    return d.leave()


def ended(d):
    """The process ends, and the kernel closes this description's numbers after it."""
    return d.ended()


def set_closed(ep):
    interest.forget_set(ep)
    return 0


def pending(d, outward):
    """Bytes beside the kernel's own count: to be received (FIONREAD), or sent and not taken (SIOCOUTQ)."""
    if not outward and isinstance(d, LoopStream) and not isinstance(d, description.PROCESS.stream):
        return description.PROCESS.datagrams.pending(d)
    return d.queue.beside(outward) if isinstance(d.queue, LoopQueue) else 0


def bind(d, address, length):
    try:
        if description.PROCESS.ruled and description.left_by_rule(d, address, length):
            return abi.CATFLAP_STALE
        if description.PROCESS.network is not None and isinstance(d, LoopStream):
            stream = isinstance(d, description.PROCESS.stream)
            room = description.PROCESS.abroad if stream else description.PROCESS.datagrams
            r = room.bind(d, address, length)
            if r <= 0:
                return r
        return description.stale(raw.syscall(linux.SYS_bind, d.queue.fd, address, length, 0, 0, 0))
    except BaseException as error:
        return failed("bind", error)


def listen(d, backlog):
    try:
        r = raw.syscall(linux.SYS_listen, d.queue.fd, backlog, 0, 0, 0, 0)
        if r == 0 and description.PROCESS.network is not None and isinstance(d, LoopStream):
            r = description.PROCESS.abroad.listening(d, backlog)
        if r == 0 and not isinstance(d, Listener):
            if isinstance(d, LoopStream):
                interest.forget(d)
            d.become(Listener(d.queue, d.queue.fd, d.nonblock))
        return description.stale(r)
    except BaseException as error:
        return failed("listen", error)


def shutdown(d, how):
    return d.shutdown(how)


def name(d, peer, address, length):
    """getsockname(2), or getpeername(2) when `peer`."""
    if isinstance(d.queue, LoopQueue) and d.queue.crossing is not None:
        r = description.PROCESS.abroad.known(d, peer, address, length)
        if r <= 0:
            return r
    call = linux.SYS_getpeername if peer else linux.SYS_getsockname
    return description.stale(raw.syscall(call, d.queue.fd, address, length, 0, 0, 0))


def getsockopt(d, level, option, value, length):
    if (level, option) == TCP_ZEROCOPY_RECEIVE:
        go_back(d)
    r = raw.syscall(linux.SYS_getsockopt, d.queue.fd, level, option, value, length, 0)
    if r == 0 and isinstance(d.queue, LoopQueue) and d.queue.crossing is not None:
        if (level, option) == SO_ERROR:
            description.PROCESS.abroad.fault(d, value, length)
        elif not isinstance(d, description.PROCESS.stream):
            description.PROCESS.datagrams.told(d, level, option, value, length)
    return description.stale(r)


def setsockopt(d, level, option, value, length):
    try:
        if description.PROCESS.network is not None and isinstance(d, LoopStream):
            if not isinstance(d, description.PROCESS.stream):
                r = description.PROCESS.datagrams.option(d, level, option, value, length)
                if r <= 0:
                    return r
        r = raw.syscall(linux.SYS_setsockopt, d.queue.fd, level, option, value, length, 0)
        if r == 0:
            if options.changed(d, level, option, value, length):
                go_back(d)
            if isinstance(d.queue, LoopQueue) and d.queue.crossing is not None:
                description.PROCESS.abroad.changed(d, level, option)
        return description.stale(r)
    except BaseException as error:
        return failed("setsockopt", error)


def go_back(d):
    """As leave, with the bytes that are on their way; not for ever, as in csrc/trap_leave.c."""
    turns = 0
    while leave(d) == 1 and turns < PATIENCE:
        sleep(0.001)
        turns += 1


def status(d, nonblock):
    """O_NONBLOCK was set or cleared (fcntl(2) F_SETFL, ioctl(2) FIONBIO)."""
    d.nonblock = bool(nonblock)
    return 0


def dup(d, fd):
    """A number more; the kernel's alone when another thread has closed all others meanwhile."""
    try:
        if d.forgotten or not description.is_alive(d):
            return description.PROCESS.bind_number(fd, 0, abi.CATFLAP_KERNEL_LEFT)
        d.numbers.add(fd)
        return description.PROCESS.bind_number(fd, id(d), 0)
    except BaseException as error:
        return failed("dup", error)


def close(d, fd):
    """A number leaves its description; 1 when others remain and nobody may still use this one."""
    try:
        return 1 if d.close_number(fd) else 0
    except BaseException as error:
        return failed("close", error)


def slept(d):
    """A call that slept is over, and its number stands for something else by now."""
    try:
        if isinstance(d, LoopStream):
            d.slept()
        return 0
    except BaseException as error:
        return failed("slept", error)


def interface(request, at, room):
    """What the kernel knows no interface for (interfaces.py)."""
    try:
        if description.PROCESS.interfaces is None:
            return -linux.ENODEV
        return description.PROCESS.interfaces.asked(request, at, room)
    except BaseException as error:
        return failed("interface", error)


def file(fd, what, value):
    """What becomes of a file under the mount prefix (files.py)."""
    return description.PROCESS.files.told(fd, what, value) if description.PROCESS.files else abi.CATFLAP_STALE


def probe_gil(d, x):
    """As probe, with the GIL."""
    return x


def native():
    """{operation: native address} of the compiled entries, empty when this module is interpreted."""
    if not COMPILED:
        return {}
    return {
        "recv": raw.address_of(recv),
        "send": raw.address_of(send),
        "recvmsg": raw.address_of(recvmsg),
        "sendmsg": raw.address_of(sendmsg),
        "sendfile": raw.address_of(sendfile),
        "accept": raw.address_of(accept),
        "connect": raw.address_of(connect),
        "ready": raw.address_of(begin_ready),
        "ready_poll": raw.address_of(begin_ready_poll),
        "handle": raw.address_of(handle),
        "woke": raw.address_of(end_wait),
        "dropped": raw.address_of(drop_wait),
        "forking": raw.address_of(forking),
        "probe": raw.address_of(probe),
        "sync": raw.address_of(sync),
        "adopt": raw.address_of(adopt),
        "attend": raw.address_of(attend),
        "new_bell": raw.address_of(new_bell),
        "free_bell": raw.address_of(free_bell),
        "interest": raw.address_of(watch_interest),
        "nested": raw.address_of(nested),
        "set_copied": raw.address_of(set_copied),
        "leave": raw.address_of(leave),
        "ended": raw.address_of(ended),
        "set_closed": raw.address_of(set_closed),
        "pending": raw.address_of(pending),
        "bind": raw.address_of(bind),
        "listen": raw.address_of(listen),
        "shutdown": raw.address_of(shutdown),
        "name": raw.address_of(name),
        "getsockopt": raw.address_of(getsockopt),
        "setsockopt": raw.address_of(setsockopt),
        "status": raw.address_of(status),
        "dup": raw.address_of(dup),
        "close": raw.address_of(close),
        "slept": raw.address_of(slept),
        "interface": raw.address_of(interface),
        "file": raw.address_of(file),
        "probe_gil": raw.address_of(probe_gil),
    }


def interpreted():
    """{operation: (function, takes a description first)} for the cffi entries of interpreted mode."""
    described = {
        "recv": recv, "send": send, "recvmsg": recvmsg, "sendmsg": sendmsg, "sendfile": sendfile, "accept": accept,
        "connect": connect, "handle": handle, "probe": probe, "attend": attend, "interest": watch_interest,
        "leave": leave, "ended": ended, "pending": pending, "bind": bind, "listen": listen, "shutdown": shutdown,
        "name": name, "getsockopt": getsockopt, "setsockopt": setsockopt, "status": status, "dup": dup,
        "close": close, "slept": slept, "probe_gil": probe_gil,
    }  # fmt: skip
    bare = {
        "ready": begin_ready, "ready_poll": begin_ready_poll, "woke": end_wait, "dropped": drop_wait, "sync": sync,
        "forking": forking, "adopt": adopt, "new_bell": new_bell, "free_bell": free_bell, "nested": nested,
        "set_copied": set_copied, "set_closed": set_closed, "interface": interface, "file": file,
    }  # fmt: skip
    return {op: (f, True) for op, f in described.items()} | {op: (f, False) for op, f in bare.items()}
