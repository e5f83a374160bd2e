"""Connections on their way to a ring, and the bells that wake threads who wait for one: slow path only."""

import struct

import _socket

from interpose import abi, description, interest
from libos import raw

AGAIN = 64  # uses until a connection that could not be asked about is asked again
HOPE = 64  # beside Sets.plain_at: connections that have begun to meet
SOL_SOCKET, SO_RCVLOWAT, SO_RCVTIMEO, SO_SNDTIMEO = 1, 18, 20, 21


def attend(d):
    """One step of the meeting; the connection's numbers become the kernel's where there is nobody to meet."""
    if d.queue.attended:  # by another thread, at this moment
        return
    d.queue.attended = True
    try:
        attend_alone(d)
    finally:
        d.queue.attended = False


def attend_alone(d):
    d.queue.next_step = (1 << 63) - 1  # whatever goes wrong here is not tried at every call
    from libos.meeting import Refused

    libos = description.process().libos
    plain_at = interest.sets().plain_at
    begun = d.queue.meeting is not None
    if not begun:
        raw.fetch_add(plain_at + HOPE, 1)
    try:
        libos.attend(d.queue, raw.load(plain_at) == 0)
        if not description.process().bells:
            description.process().bells = libos.family.page
        learn(d)
    except OSError:
        # not connected yet, or closed meanwhile: the kernel will say so where the program can hear it
        raw.fetch_add(plain_at + HOPE, (1 << 64) - 1 if d.queue.meeting is None else 0)
        d.queue.next_step = d.queue.uses + AGAIN
    except Refused as refusal:
        raw.fetch_add(plain_at + HOPE, (1 << 64) - 1)
        reason = getattr(abi, "CATFLAP_KERNEL_" + refusal.reason)
        for number in list(d.numbers):
            description.process().bind_number(number, 0, reason)
            d.close_number(number)


def learn(d):
    """What the kernel knows of this socket and our waits have to keep: inherited options never passed through us."""
    sock = _socket.socket(fileno=d.queue.fd)
    try:
        d.lowat = sock.getsockopt(SOL_SOCKET, SO_RCVLOWAT)
        for name, option in (("receive_timeout", SO_RCVTIMEO), ("send_timeout", SO_SNDTIMEO)):
            seconds, micros = struct.unpack("=qq", sock.getsockopt(SOL_SOCKET, option, 16))
            setattr(d, name, min(seconds * 1000000000 + micros * 1000, 1 << 62))
    finally:
        sock.detach()


def new_bell(fd):
    family = description.process().libos.family
    bell, descriptor = family.new_bell()
    description.process().bells = family.page
    raw.store(fd, descriptor)
    return bell


def free_bell(bell):
    description.process().libos.family.free_bell(bell)
