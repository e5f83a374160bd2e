"""C functions as programs have them: function pointers of ctypes and of cffi, and whatever knows its `address`, such as
what numba.cfunc makes. How one is declared is checked; where nothing is declared, the program's word is taken.
"""

import sys
from typing import Protocol

from libos.errors import Fail, Kind

POINTER_CODES = ("P", "z", "Z")  # c_void_p, c_char_p, c_wchar_p, as ctypes has them in _type_


class Addressed(Protocol):
    """What says itself where its code lies."""

    address: int


def address_of(function, pointers):
    """Where an `int f(pointer, ...)` of so many pointers lies; None for a Python callable. Raises INVALID."""
    ctypes, cffi = sys.modules.get("ctypes"), sys.modules.get("_cffi_backend")
    if ctypes and isinstance(function, ctypes._CFuncPtr):
        address = of_ctypes(ctypes, function, pointers)
    elif cffi and isinstance(function, cffi._CDataBase):
        address = of_cffi(cffi, function, pointers)
    elif type(getattr(function, "address", None)) is int:
        address = function.address
    else:
        check(callable(function), f"{function!r}, which can't be called")
        return None
    check(address, "a function pointer that is NULL")
    return address


def of_ctypes(ctypes, function, pointers):
    def is_pointer(kind):
        return issubclass(kind, ctypes._Pointer) or getattr(kind, "_type_", None) in POINTER_CODES

    declared = function.argtypes
    if declared is not None:
        check(len(declared) == pointers and all(map(is_pointer, declared)), f"arguments other than {pointers} pointers")
    check(function.restype is ctypes.c_int, "a result that is no int")
    # what keeps a Python function alive for a C one that is made of it
    made_of = (function._objects or {}).get("0")
    check(
        type(made_of).__name__ != "CThunkObject", "a C function that enters Python: give it the Python function itself"
    )
    return ctypes.cast(function, ctypes.c_void_p).value


def of_cffi(cffi, function, pointers):
    kind = cffi.typeof(function)
    check(kind.kind == "function", f"{kind.cname}, which is no function")
    check(
        len(kind.args) == pointers and not kind.ellipsis and all(argument.kind == "pointer" for argument in kind.args),
        f"arguments other than {pointers} pointers",
    )
    check(kind.result.cname in ("int", "int32_t"), "a result that is no int")
    # the only functions that own anything are those that ffi.callback makes
    check(type(function) is cffi._CDataBase, "a C function that enters Python: give it the Python function itself")
    return int(cffi.cast(cffi.new_primitive_type("uintptr_t"), function))


def check(right, wrong):
    if not right:
        raise Fail(Kind.INVALID, f"the function of a queue: {wrong}")
