"""The lab: one guest for a whole session, in which tests run scripts; see docs/lab.md."""

import os
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

import flap  # noqa: E402
from guest import TO_BOOT, TO_RUN, Guest  # noqa: E402

LONGEST = 1200  # seconds, of any script


class Lab:
    """Runs scripts in a guest, which is booted for the first of them, and again where one has brought it down."""

    def __init__(self):
        self.guest = None

    def __call__(self, script, status=0, seconds=TO_RUN):
        """What the script says; the test fails unless it ends with `status`. Options as for `Guest.run`."""
        if self.guest is None or not self.guest.running:
            self.guest = Guest()
        ended, said = self.guest.run(script, seconds)
        assert ended == status, f"status {ended}\n{said}"
        return said


@pytest.fixture(scope="module")  # an idle guest takes processor time from the tests behind
def lab():
    lab = Lab()
    yield lab
    if lab.guest is not None:
        lab.guest.close()


@pytest.fixture(scope="session")
def fabric(tmp_path_factory):
    """Path of c/fabric.c, built: here and in the guest."""
    program = str(tmp_path_factory.mktemp("lab") / "fabric")
    subprocess.run(["gcc", *flap.CFLAGS, "-Werror", "-o", program, f"{HERE}/c/fabric.c", "-lfabric"], check=True)
    return program


def pytest_collection_modifyitems(items):
    """The guest's own time-outs come first, which say more."""
    for item in items:
        if str(item.path).startswith(HERE + os.sep):
            item.add_marker(pytest.mark.timeout(TO_BOOT + LONGEST), append=False)
