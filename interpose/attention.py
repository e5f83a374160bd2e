"""Connections on their way to a ring, and the bells that wake threads who wait for one: slow path only."""

import struct

import _socket

from interpose import abi, description, interest
from libos import raw

HOPE = 64  # beside Sets.plain_at: connections that have begun to meet
SOL_SOCKET, SO_RCVLOWAT, SO_RCVTIMEO, SO_SNDTIMEO = 1, 18, 20, 21


def attend(d):
    """One step of the meeting; the connection's numbers become the kernel's where there is nobody to meet."""
    from libos.meeting import Refused

    d.queue.next_step = (1 << 63) - 1  # whatever goes wrong here is not tried at every call
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
            setattr(d, name, seconds * 1000000000 + micros * 1000)
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
