"""The kernel connection under an upgraded one, by this process's own number for it; the locks of an end."""

from libos import calls, layout, raw, rings

COMPILED = __file__.endswith(".so")


def fd_at(end):
    """Where this process keeps the number of an end's spine: after dup(2) and close(2) each has its own."""
    place = end & (layout.AREA - 1)
    return end - place + layout.PRIVATE + (place - layout.FIRST) // layout.RECORD * 8


def sleepers_at(end):
    """Where this process counts its calls that sleep on an end."""
    return fd_at(end) + layout.ENDS * 8


def nobody_sleeps(end):
    raw.store(sleepers_at(end), 0)


def fd_of(end):
    return raw.load(fd_at(end))


def set_fd(end, fd):
    raw.store(fd_at(end), fd)
    raw.store(end + layout.FD, fd)  # for those who look from outside


def kernel_pop(end, address, size, flags):
    return raw.syscall(calls.SYS_recvfrom, fd_of(end), address, size, flags & ~calls.OURS | calls.DONTWAIT, 0, 0)


def kernel_push(end, address, size, flags):
    return raw.syscall(calls.SYS_sendto, fd_of(end), address, size, flags | calls.DONTWAIT, 0, 0)


def hung_up(end):
    """Whether the peer has closed its direction of the spine, or the whole (poll(2), POLLRDHUP)."""
    return raw.polled(fd_of(end), calls.POLLRDHUP) != 0


def has_news(end):
    """Whether a receive from the spine would not wait.

    poll(2) keeps silent about fewer bytes than SO_RCVLOWAT, which a receive that does not wait would bring.
    """
    if raw.polled(fd_of(end), calls.POLLIN | calls.POLLRDHUP):
        return True
    return raw.load(end + layout.LOWAT) != 0 and kernel_pop(end, end + layout.SCRATCH, 1, calls.PEEK) > 0


def lost(end):
    """Whether the spine was reset, or ended by both; the error stays there (poll(2), POLLERR, POLLHUP)."""
    return raw.polled(fd_of(end), 0) != 0


def stops(end, scratch):
    """Whether a receive that has some bytes ends here: urgent data is next (tcp(7)), or the spine was reset and has
    nothing left to read; the error stays there. `scratch`: room for a word.
    """
    news = raw.polled(fd_of(end), calls.POLLPRI)
    if news & calls.POLLPRI and asked(end, calls.SIOCATMARK, scratch):
        return True
    return news & calls.POLLERR != 0 and asked(end, calls.FIONREAD, scratch) == 0


def asked_error(end):
    """Take the error that is pending (socket(7), SO_ERROR)."""
    lock_out(end)
    r = option(end, calls.SOL_SOCKET, calls.SO_ERROR)
    rings.unlock(end + layout.OUT_LOCK)
    return r


def asked(end, request, scratch):
    """What an ioctl of the spine writes."""
    raw.store(scratch, 0)
    raw.syscall(calls.SYS_ioctl, fd_of(end), request, scratch, 0, 0, 0)
    return raw.load32(scratch)


def option(end, level, name):
    """A socket option that is an int (getsockopt(2)). Under the sender's lock, as it needs the record."""
    at = end + layout.OPTION
    raw.store32(at, 0)
    raw.store32(at + 4, 4)
    raw.syscall(calls.SYS_getsockopt, fd_of(end), level, name, at, at + 4, 0)
    return raw.load32(at)


def set_option(end, level, name, value):
    """As option(), the other way (setsockopt(2))."""
    raw.store32(end + layout.OPTION, value)
    raw.syscall(calls.SYS_setsockopt, fd_of(end), level, name, end + layout.OPTION, 4, 0)


def spine_writable(end):
    """Whether the kernel would take bytes now (poll(2), POLLOUT)."""
    return raw.polled(fd_of(end), calls.POLLOUT) != 0


def lock_in(end):
    if rings.lock(end + layout.IN_LOCK) and raw.load(end + layout.IN):
        # its owner died between publishing a head and noting it
        raw.store(end + layout.HEAD, raw.load(raw.load(end + layout.IN) + layout.H_HEAD) & layout.POSITIONS)


def lock_out(end):
    if rings.lock(end + layout.OUT_LOCK) and raw.load(end + layout.OUT):
        # its owner died between publishing a tail and noting it
        raw.store(end + layout.TAIL, raw.load(raw.load(end + layout.OUT) + layout.H_TAIL) & layout.POSITIONS)
