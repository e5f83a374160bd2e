"""A Python program's default time-out (socket.setdefaulttimeout) is for its own sockets, not for those of Catflap."""

import os

import flap
import pythons
from roles import SCRIPTS, every


@every(sample=True, mixed=False, catnip=False)
def test_default_time_out(roles):
    program = [pythons.same(), os.path.join(SCRIPTS, "timeouts.py")]
    expected = flap.run(program, "kernel")
    assert expected.stdout == b"soon\nTrue True\nb'later'\n5.0\n", str(expected)
    result = flap.run(program, roles.server, pure=roles.pure)
    assert (result.status, result.stdout, result.stderr) == (0, expected.stdout, b""), str(result)
