"""How the connections of running programs are served, as `catflap top` and `catflap why` say it."""

import time

from roles import Roles

from shim import connections, why

BOTH = Roles("auto", "auto", False)


def rows(port):
    """The connections of programs under Catflap that have this port at one end."""
    suffix = f":{port}"
    known = connections.Snapshot().connections
    return [row for row in known if row.remote and (row.local.endswith(suffix) or row.remote.endswith(suffix))]


def upgraded(pair, port, count=2):
    """Wait until `count` descriptors with this port go through shared memory, if both roles are under auto.

    With one role elsewhere there is nobody to meet: an end under auto is still looking for the other, or has given up.
    """
    if pair.pure or "auto" not in (pair.server, pair.client):
        return
    if pair.server != pair.client:
        told = {row.name or row.state for row in rows(port)} - {"catnap"}
        assert told and told <= {"meeting", "young", "CATFLAP_KERNEL_PEER_PLAIN"}, told
        return
    end, seen = time.monotonic() + 10, []
    while True:
        known = rows(port)
        if sum(row.state == "upgraded" for row in known) >= count:
            return
        seen = known or seen
        assert time.monotonic() < end, "\n".join(str(row.as_dict()) for row in seen)
        time.sleep(0.05)


def reasons(pid):
    """{name of the reason, or state} of the connected descriptors of a process, by `catflap why`."""
    return {row["name"] or row["state"] for row in why.document(str(pid))["descriptors"] if row["remote"]}


def process_reason(pid):
    """Name of the reason why a whole process is on the kernel, by `catflap why`; "" when it isn't."""
    return why.document(str(pid))["name"]
