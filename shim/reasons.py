"""What `catflap why` says of a descriptor: the stable reason codes of csrc/abi.h, and the states that have none.

docs/reasons.md is made of the same words; a test holds this table against both.
"""

PREFIX = "CATFLAP_KERNEL_"
AUTO, ASKED, IO_URING, LEFT = 1, 2, 14, 15
# code: (name without PREFIX, meaning, what to do)
REASONS = {
    1: (
        "AUTO",
        "auto or catmint knows nothing better than the kernel for this socket: a datagram socket",
        "--libos catnap to send it through Catnap",
    ),
    2: ("ASKED", "--libos kernel, or a rule that says so", "change the option or the rule"),
    3: ("NO_HOST", "the host library is missing or can't be loaded", "catflap doctor; install again"),
    4: (
        "OTHER_PYTHON",
        "another Python version lives in this process, its Python does not run yet, or it is a subinterpreter's thread",
        "use a Catflap installed for that version",
    ),
    5: ("BOOT_FAILED", "the interpreter or our Python did not start", "the traceback is in the log"),
    6: ("STALE", "the number was closed or replaced behind our back", "nothing: the kernel serves it"),
    7: ("ADDRESS", "an address rule sent this connection to the kernel", "change the rule"),
    8: ("TABLE", "the number is beyond the descriptor table (67,108,864)", "lower RLIMIT_NOFILE"),
    9: (
        "PEER_UNKNOWN",
        "the other end is no socket of this machine's network namespace, or what it says can't be",
        "nothing: Catloop is for one machine; Catmint for more, with one --secret",
    ),
    10: (
        "PEER_PLAIN",
        "the other end's program is not under Catflap, or does not use the connection enough",
        "start it with catflap run too",
    ),
    11: ("PEER_UID", "the other end belongs to another user", "run both under one user"),
    12: ("OTHER_VERSION", "the other end's Catflap has another ABI", "run both with one installation"),
    13: (
        "NO_MEMORY",
        "no address space, descriptor or shared memory for the rings",
        "raise RLIMIT_AS, RLIMIT_NOFILE or RLIMIT_FSIZE",
    ),
    14: (
        "IO_URING",
        "the process has made an io_uring, whose operations we can't see",
        "a switch of the program, such as UV_USE_IO_URING=0",
    ),
    15: (
        "LEFT",
        "the connection was passed to another program, used by stdio, or by what only the kernel serves",
        "nothing: it lost no byte",
    ),
    16: (
        "SECCOMP",
        "the process may not make system calls that Catflap makes: its own sandbox, or the filter of who started it",
        "allow them (services.md lists them), or turn the program's sandbox off, if that is wise",
    ),
    17: ("OTHER_LIBC", "the program's C library is not glibc (musl, for example)", "use a build for glibc"),
    18: (
        "IN_PLACE",
        "it is written in place, or may be: a file that only grows can have a journal",
        "nothing: the kernel serves it",
    ),
    19: (
        "VOLUME",
        "the volume of --storage is another process's, full, broken or not to be opened",
        "the log says which",
    ),
    20: (
        "FABRIC",
        "Catmint has no endpoint in this process, or none by which the other end can be reached: no libfabric, another"
        " provider, another machine, a child of a process that has one",
        "the log says why there is none; give both ends one --provider",
    ),
}
# state: (meaning, what to do); `kernel` and `left` are told by their code
STATES = {
    "upgraded": ("its bytes go through rings in shared memory, or by Catmint's fabric", ""),
    "moving": ("both ends have met; each direction moves to its ring when nobody waits in the kernel for it", ""),
    "meeting": ("it has been used enough; the other end has not answered yet", "nothing: a few more uses will tell"),
    "young": ("it has not been used enough yet", "nothing, or a smaller --worth"),
    "closing": ("one end or both have ended the stream", ""),
    "listening": ("it accepts connections; each of them is looked at by itself", ""),
    "unconnected": ("it is not connected to anything", ""),
    "catnap": ("it goes through Catnap: PDPIX over the kernel's socket", "--libos catloop for shared memory"),
    "catnip": ("it goes through Catnip: TCP of our own, in the program, over a device of its own", ""),
    "inherited": (
        "another program made it, or this one before Catflap was there or by a system call of its own",
        "nothing: the kernel serves it",
    ),
}  # fmt: skip


def name(code):
    """The name of a code in csrc/abi.h; a code of a newer Catflap is told as a number."""
    return PREFIX + REASONS[code][0] if code in REASONS else f"{PREFIX}{code}"


def explain(state, code=0):
    """(meaning, what to do) of a descriptor's state and, unless it is 0, its reason code."""
    if code:
        unknown = ("", "its Catflap is newer than this one", "ask with the catflap that started it")
        return REASONS.get(code, unknown)[1:]
    return STATES[state]
