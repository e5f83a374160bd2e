"""Programs that send their standard input and print what comes: a test talks through one, to an echo."""

import contextlib
import subprocess

import flap
from material import sha
from roles import patience, until
from upgrades import check_carried, warm


class Talker(flap.Program):
    """Such a program, whose standard input stays open until `ended`; `sent` is all that it was given."""

    def __init__(self, argv, libos, pair, seconds=40, **options):
        options = {"pure": pair.pure, "timeout": patience(pair, seconds), "stdin": subprocess.PIPE, **options}
        super().__init__(argv, libos, **options)
        self.sent = bytearray()

    def say(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()
        self.sent += data

    def exchange(self, data):
        """Say something, and wait until as much as was ever said has come back."""
        self.say(data)
        until(lambda: len(self.read("out")) >= len(self.sent), "answer", program=self)

    def hang_up(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()

    def ended(self):
        """The result after the end of its input: well and silent, and nothing left of it."""
        self.hang_up()
        return ended(self)


def ended(program):
    """What a program wrote that has to end well and silently."""
    result = program.wait(60)
    assert (result.status, result.stderr, result.orphans) == (0, b"", 0), str(result)
    return result.stdout


def conversation(pair, client, data, *servers, turn=b".", rings=True, step=None):
    """Say `data` in pieces of several sizes to an echo; all comes back, and where it can through rings of these
    programs. Its digest. `step`: what the echo takes at once, if it answers only then, or holds.
    """
    for piece in (data[:1], data[1:100], data[100:5000]):
        client.exchange(piece)
    if rings:
        warm(pair, lambda: client.exchange(turn), client, *servers)
    for at in range(5000, len(data), step or len(data)):
        client.exchange(data[at : at + (step or len(data))])
    if rings:
        check_carried(pair, client, *servers, least=len(data) - 5000)
    return sha(data)
