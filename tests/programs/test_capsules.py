"""A Python whose type of capsules has been looked at: cffi takes that type's version tag for a lock as it starts."""

import os

import flap
import pythons
from roles import SCRIPTS, every


@every(sample=True, mixed=False, catnip=False)
def test_the_host_starts(roles):
    program = [pythons.same(), os.path.join(SCRIPTS, "capsules.py")]
    expected = flap.run(program, "kernel")
    assert expected.stdout == b"PyCapsule False\nb'there'\nb'and'\nb'back'\nkernel\n", str(expected)
    result = flap.run(program, roles.server, pure=roles.pure)
    assert (result.status, result.stderr) == (0, b""), str(result)
    assert result.stdout == expected.stdout.replace(b"kernel", b"host"), str(result)
