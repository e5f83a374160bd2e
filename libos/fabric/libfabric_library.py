"""Where the functions of libfabric.c are, and how the program keeps its signals from libfabric."""

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
    "receive",
    "inject",
    "poll",
    "arm",
    "close",
)
PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libcatflap_fabric.so")
KEPT = []
SIGNALS = [number for number in range(1, 32) if number not in (9, 19)]  # all that can be caught
ACTION = 256  # bytes that hold a struct sigaction


class Handlers:
    """For `with`: libfabric's providers, and the libraries below them, take signals for purposes of their own when they
    are loaded and when an endpoint is opened; whose they are is the program's business. By sigaction(2) as it is there:
    in an unmodified program our trap, which knows the program's handlers.
    """

    def __init__(self):
        self.room = ctypes.create_string_buffer(32 * ACTION)
        self.at = ctypes.addressof(self.room)

    def __enter__(self):
        self.call = ctypes.CDLL(None).sigaction
        self.call.argtypes = ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p
        for number in SIGNALS:
            self.call(number, None, self.at + number * ACTION)

    def __exit__(self, *_):
        for number in SIGNALS:
            self.call(number, self.at + number * ACTION, None)


def functions():
    """{name: address}. Raises UNSUPPORTED where the library was not built, or has no libfabric to run with."""
    if not KEPT:
        try:
            with Handlers():
                KEPT.append(ctypes.CDLL(PATH))
        except OSError as error:
            raise Fail(Kind.UNSUPPORTED, f"RDMA needs libfabric, when Catflap is built and when it runs: {error}")
    return {name: ctypes.cast(getattr(KEPT[0], f"catflap_fabric_{name}"), ctypes.c_void_p).value for name in NAMES}
