"""Where the functions of libfabric.c are, and how the program keeps its signals from libfabric."""

import ctypes
import os

from libos import raw
from libos.errors import Fail, Kind

NAMES = (
    "open",
    "limits",
    "address",
    "peer",
    "forget",
    "register",
    "deregister",
    "named",
    "ask",
    "receive",
    "inject",
    "poll",
    "arm",
    "close",
)
PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libcatflap_fabric.so")
KEPT = []
SYS_rt_sigaction = 13
SIGNALS = [number for number in range(1, 32) if number not in (9, 19)]  # all that can be caught
ACTION = 32  # bytes of the kernel's struct, of which 8 are the mask


class Handlers:
    """For `with`: libfabric's providers, and the libraries below them, take signals for purposes of their own when they
    are loaded and when an endpoint is opened; whose they are is the program's business (sigaction(2)).
    """

    def __init__(self):
        self.room = ctypes.create_string_buffer(32 * ACTION)
        self.at = ctypes.addressof(self.room)

    def __enter__(self):
        for number in SIGNALS:
            raw.syscall(SYS_rt_sigaction, number, 0, self.at + number * ACTION, 8, 0, 0)

    def __exit__(self, *_):
        for number in SIGNALS:
            raw.syscall(SYS_rt_sigaction, number, self.at + number * ACTION, 0, 8, 0, 0)


def functions():
    """{name: address}. Raises UNSUPPORTED where the library was not built, or has no libfabric to run with."""
    if not KEPT:
        try:
            with Handlers():
                KEPT.append(ctypes.CDLL(PATH))
        except OSError as error:
            raise Fail(Kind.UNSUPPORTED, f"RDMA needs libfabric, when Catflap is built and when it runs: {error}")
    return {name: ctypes.cast(getattr(KEPT[0], f"catflap_fabric_{name}"), ctypes.c_void_p).value for name in NAMES}
