"""Whether Catloop carries a program's connections, as another process sees it."""

from roles import until

from shim import connections, inside


def carried(pid, port):
    """Bytes, in and out, that rings have moved over the connections of a process with TCP `port` at either end."""
    try:
        rows = connections.Snapshot(pid).connections
    except inside.Unreadable:  # it may have ended
        return 0
    ends = f":{port}"
    return sum(row.bytes_in + row.bytes_out for row in rows if row.local.endswith(ends) or row.remote.endswith(ends))


def check_carried(pair, program, port, least=1):
    """Under auto at both ends `least` bytes or more have gone through rings over the open connections of a program and
    its children; under anything else none.
    """

    def total():
        return sum(carried(pid, port) for pid in program.family())

    if pair.server == pair.client == "auto":
        until(lambda: total() >= least, f"{least} bytes in rings", program=program)
    else:
        assert total() == 0
