"""Where the functions of uring.c are."""

import ctypes
import os

from libos.errors import Fail, Kind

NAMES = ("open", "register", "queue", "submit", "completion", "close")
PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libcatflap_uring.so")
KEPT = []


def functions():
    """{name: address}. Raises UNSUPPORTED where the library was not built, or has no liburing to run with."""
    if not KEPT:
        try:
            KEPT.append(ctypes.CDLL(PATH))
        except OSError as error:
            raise Fail(Kind.UNSUPPORTED, f"io_uring needs liburing, when Catflap is built and when it runs: {error}")
    return {name: ctypes.cast(getattr(KEPT[0], f"catflap_uring_{name}"), ctypes.c_void_p).value for name in NAMES}
