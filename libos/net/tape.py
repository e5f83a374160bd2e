"""What a stack's calls are written to: rooms whose calls change a stack hand them over while its tape is on."""


class Tape:
    """Base of tapes; this one is never on."""

    def __init__(self):
        self.on = False

    def call(self, kind, a, b, c, d, e, f):
        """Write one of the calls of structs.pxd (CALL_...) down and make it: what it answers."""
        return 0

    def finish(self):
        """Nothing more will be called in this process."""
