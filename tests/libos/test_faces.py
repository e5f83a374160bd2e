"""What Python programs are written against is typed and documented, call by call."""

import inspect

import pytest

from libos.aio import Loop
from libos.catloop_native import CatloopLibOS
from libos.catmint_native import CatmintLibOS
from libos.catnap_native import CatnapLibOS
from libos.catnip_native import CatnipLibOS
from libos.pdpix import LibOS
from libos.sgarray import SGArray
from libos.stack_native import StackLibOS
from libos.wait_set import WaitSet

FACES = (LibOS, CatnapLibOS, CatloopLibOS, StackLibOS, CatnipLibOS, CatmintLibOS, SGArray, WaitSet, Loop)
# what the rooms of a libOS call of each other
INSIDE = {
    LibOS: "push_in_turn pop_in_turn add queue_of check start drive attempted finish give_up wake collect until"
    " completed turn idle over wake_first",
    CatnapLibOS: "socket_of kernel",
    StackLibOS: "socket_of now flush",
    CatnipLibOS: "now flush install",
    CatmintLibOS: "now flush reset kernel checked wake_inbound wake_outbound next_token let_go taken call send leave",
    SGArray: "length hold retain release handed_over",
    WaitSet: "completed",
    # as asyncio's, or of its own
    Loop: "create_connection create_server sock_connect connected joined addresses libos_of takes",
}


def calls():
    for face in FACES:
        for name, function in vars(face).items():
            function = getattr(function, "__func__", function)
            if inspect.isfunction(function) and not name.startswith("_") and name not in INSIDE.get(face, "").split():
                yield pytest.param(function, id=f"{face.__name__}.{name}")


@pytest.mark.parametrize("function", list(calls()))
def test_a_call_is_typed_and_documented(function):
    assert inspect.getdoc(function)
    signature = inspect.signature(function)
    assert signature.return_annotation is not inspect.Signature.empty
    untyped = {p.name for p in signature.parameters.values() if p.annotation is p.empty}
    assert untyped <= {"self", "cls"}
