"""Processes that share a volume of Cattree, and say what becomes of what they push."""

import subprocess


class Sharer:
    """A process: `said` is its first line; `done` and `lost` are the numbers of the pushes of which it has said so."""

    def __init__(self, argv):
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.said = self.process.stdout.readline().rstrip()
        self.done, self.lost = [], []

    def follow(self, enough=None):
        """Read what has become of its pushes, of so many or of all."""
        while enough is None or len(self.done) < enough:
            line = self.process.stdout.readline()
            if line == "end\n" or not line.endswith("\n"):  # the last one of a process that was killed may be torn
                return
            what, number = line.split()
            (self.done if what == "done" else self.lost).append(int(number))

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.follow()

    def end(self):
        """In an orderly way."""
        self.process.stdin.close()
        assert self.process.wait(60) == 0
        self.process.stdout.close()
