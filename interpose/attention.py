"""Connections on their way to a ring, and the bells that wake threads who wait for one: slow path only."""

import struct
from time import sleep

from interpose import abi, arming, description
from libos import layout, own_socket, raw, rings
from libos.refusal import Refused

TURNS = 1000  # looks whether others of our threads have left, which they soon do
AGAIN = 64  # uses until a connection that could not be asked about is asked again
SOL_SOCKET, SO_RCVLOWAT, SO_RCVTIMEO, SO_SNDTIMEO = 1, 18, 20, 21
SO_SNDBUF, SO_RCVBUF, SO_BUF_LOCK = 7, 8, 72


def attend(d):
    """One step of the meeting; the connection's numbers become the kernel's where there is nobody to meet."""
    if d.queue.attended:  # by another thread, at this moment
        return
    d.queue.attended = True
    try:
        with description.process().libos.steps:
            attend_alone(d)
    finally:
        d.queue.attended = False


def attend_alone(d):
    d.queue.next_step = (1 << 63) - 1  # whatever goes wrong here is not tried at every call
    process = description.process()
    end = d.queue.end
    try:
        arming.hope(end, 1)
        had = raw.load(end + layout.IN)
        process.libos.attend(d.queue, not arming.in_kernel(end))
        process.bells = process.libos.family.page
        if not had and raw.load(end + layout.IN):
            arming.attached(end)
            learn(d)
            if d.loop.meeting.relay:
                d.met()
    except OSError:
        # not connected yet, or closed meanwhile: the kernel will say so where the program can hear it
        arming.hope(end, 0)
        d.queue.next_step = d.queue.uses + AGAIN
    except Refused as refusal:
        arming.hope(end, 0)
        reason = getattr(abi, "CATFLAP_KERNEL_" + refusal.reason)
        for number in list(d.numbers):
            process.bind_number(number, 0, reason)
            process.libos.records.note(number, reason)
            d.close_number(number)


def let_go(d):
    """The last number of a connection that forked processes share is closed: who is alone with it now may use rings.

    Descriptions are freed many at a time, and a server that forks for each connection would be late.
    """
    process = description.process()
    process.grace_begin()
    for _ in range(TURNS):
        if process.grace_passed():
            process.libos.freed(d.queue)
            return
        sleep(0)  # who is inside may want the GIL


def learn(d):
    """What the kernel knows of this socket and our waits have to keep: inherited options never passed through us."""
    sock = own_socket.standing_for(d.queue.fd)
    try:
        d.lowat = sock.getsockopt(SOL_SOCKET, SO_RCVLOWAT)
        for name, option in (("receive_timeout", SO_RCVTIMEO), ("send_timeout", SO_SNDTIMEO)):
            seconds, micros = struct.unpack("=qq", sock.getsockopt(SOL_SOCKET, option, 16))
            setattr(d, name, min(seconds * 1000000000 + micros * 1000, 1 << 62))
        limits(d, sock)
    finally:
        sock.detach()


def bounds(d):
    """An option of an upgraded connection has changed."""
    sock = own_socket.standing_for(d.queue.fd)
    try:
        limits(d, sock)
    finally:
        sock.detach()


def limits(d, sock):
    """Buffers whose sizes the program has set itself bound what may be in flight (socket(7), SO_BUF_LOCK)."""
    end = d.queue.end
    raw.store(end + layout.LOWAT, max(d.lowat - 1, 0))
    if not raw.load(end + layout.IN):
        return
    try:
        locked = sock.getsockopt(SOL_SOCKET, SO_BUF_LOCK)
    except OSError:  # Linux < 5.15 can't say
        return
    if locked & 2:
        raw.store(raw.load(end + layout.IN) + layout.H_WINDOW, sock.getsockopt(SOL_SOCKET, SO_RCVBUF))
    if locked & 1:
        raw.store(end + layout.LIMIT, sock.getsockopt(SOL_SOCKET, SO_SNDBUF))
    if raw.load32(end + layout.MINT):
        rings.tell_receiver(end)  # for who tells the other end


def new_bell(fd):
    family = description.process().libos.family
    bell, descriptor = family.new_bell()
    description.process().bells = family.page
    raw.store(fd, descriptor % (1 << 64))  # as C reads -1
    return bell


def free_bell(bell):
    description.process().libos.family.free_bell(bell)
