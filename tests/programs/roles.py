"""Under what a test's server and its client run, and the proof that they do."""

import collections
import os
import time

import flap
import pytest

# libOS of the server, of the client, and whether Catflap is interpreted in both
Roles = collections.namedtuple("Roles", "server client pure")
KERNEL = Roles("kernel", "kernel", False)
DEFAULT = {"catnap": Roles("catnap", "catnap", False), "auto": Roles("auto", "auto", False)}
EXTRA = {
    "catnap-server": Roles("catnap", "kernel", False),
    "catnap-client": Roles("kernel", "catnap", False),
    "catnap-server-auto-client": Roles("catnap", "auto", False),
    "auto-server": Roles("auto", "kernel", False),
    "auto-client": Roles("kernel", "auto", False),
}
# in a full matrix, as those above: by shm, which is the default, and by tcp;ofi_rxm
MINT = {"catmint": Roles("catmint", "catmint", False)}
MINT_EXTRA = {
    "catmint-tcp": Roles("catmint-tcp", "catmint-tcp", False),
    "catmint-server": Roles("catmint", "kernel", False),
    "catmint-client": Roles("kernel", "catmint", False),
}
PURE = Roles("catnap", "catnap", True)
CATNIP = {
    "catnip": Roles("catnip", "catnip", False),
    "catnip-server": Roles("catnip", "kernel", False),
    "catnip-client": Roles("kernel", "catnip", False),
}
SCRIPTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "scripts")


def every(*, sample=False, mixed=True, full=False, catnip=flap.FULL, mint=flap.FULL):
    """Parametrise a test by `roles`: compiled under catnap and auto, everything in a full matrix.

    `sample`: also interpreted by default. `mixed` false: server and client are one program, or only one is run.
    `full`: in a full matrix only. `catnip`: also on Catnip, or in which of its roles; true for a sample by default,
    false for what has no two ends that can be on different machines. `mint`: also on Catmint; true for a sample.
    """
    if full and not flap.FULL:
        return pytest.mark.skip(reason="in the full matrix")
    chosen = [pytest.param(pair, id=title) for title, pair in DEFAULT.items()]
    titles = catnip if isinstance(catnip, tuple) else CATNIP if catnip else ()
    chosen += [pytest.param(CATNIP[title], id=title) for title in titles if mixed or title == "catnip"]
    more = (MINT if mint else {}) | (EXTRA | MINT_EXTRA if mixed and flap.FULL else {})
    chosen += [pytest.param(pair, id=title) for title, pair in more.items()]
    if flap.FULL or sample:
        chosen.append(pytest.param(PURE, id="catnap-pure", marks=[pytest.mark.pure_sample] if sample else []))
    return pytest.mark.parametrize("roles", chosen)


def check_host(pid, libos, pure):
    """A process that has opened a socket carries the host under catnap, in the mode asked for; none on the kernel."""
    with open(f"/proc/{pid}/maps") as f:
        mapped = {os.path.basename(line.split(maxsplit=5)[5].strip()) for line in f if "/" in line}
    assert ("libcatflap.so" in mapped) == (libos != "kernel"), f"{pid} under {libos}: {mapped}"
    if libos in ("catnap", "catnip"):
        assert "libcatflap_host.so" in mapped, f"{pid} stayed on the kernel: {mapped}"
        hot = any(name.startswith("native.") for name in mapped)
        assert hot != pure, f"{pid} is in the wrong mode: {mapped}"


def listens(port):
    """Whether something listens on TCP `port`, by the kernel's tables: hexadecimal, state 0A."""
    for table in ("tcp", "tcp6"):
        with open(f"/proc/net/{table}") as f:
            if any(f":{port:04X} " in line and " 0A " in line for line in f):
                return True
    return False


def bound(port):
    """Whether a UDP socket has this port, by the kernel's tables."""
    for table in ("udp", "udp6"):
        with open(f"/proc/net/{table}") as f:
            if any(f":{port:04X} " in line for line in f):
                return True
    return False


def until(true, what, seconds=20, *, program=None):
    """Ask again and again, at most `seconds` long, until `true()` is true; returns what it returned."""
    end = time.monotonic() + seconds
    while not (answer := true()):
        assert program is None or program.process.poll() is None, f"the program ended:\n{program.wait()}"
        assert time.monotonic() < end, f"no {what} within {seconds} s"
        time.sleep(0.01)
    return answer


def patience(pair, seconds):
    """A limit in seconds: interpreted runs get four times as much."""
    return seconds * (4 if pair.pure else 1)
