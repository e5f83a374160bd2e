"""Names of logs: byte strings of 1 to 255 bytes, in which "/" means nothing."""

LONGEST = 255  # NAME_MAX


class Names(dict):
    """Logs by their names. A name means one log, and a log has one name or none."""

    def __init__(self, logs=()):
        super().__init__(logs)
        self.by_number = {log.number: name for name, log in self.items()}

    def bind(self, log, name):
        """The log has this name from now on and no other; whichever had it has none."""
        self.release(log)
        other = self.get(name)
        if other is not None:
            self.release(other)
        self[name] = log
        self.by_number[log.number] = name

    def release(self, log):
        """The log has no name any more."""
        name = self.by_number.pop(log.number, None)
        if name is not None:
            del self[name]

    def of(self, log):
        """The name of a log; empty when it has none."""
        return self.by_number.get(log.number, b"")
