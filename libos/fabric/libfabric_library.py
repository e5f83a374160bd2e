"""Where the functions of libfabric.c are."""

import ctypes
import os

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
    "poll",
    "arm",
    "close",
)
PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libcatflap_fabric.so")
KEPT = []


def functions():
    """{name: address}. Raises UNSUPPORTED where the library was not built, or has no libfabric to run with."""
    if not KEPT:
        try:
            KEPT.append(ctypes.CDLL(PATH))
        except OSError as error:
            raise Fail(Kind.UNSUPPORTED, f"RDMA needs libfabric, when Catflap is built and when it runs: {error}")
    return {name: ctypes.cast(getattr(KEPT[0], f"catflap_fabric_{name}"), ctypes.c_void_p).value for name in NAMES}
