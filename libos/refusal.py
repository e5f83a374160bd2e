"""Why an upgrade is not to be, or a call of the program."""


class Refused(Exception):
    """This connection stays on the kernel; `reason` is the name of its reason code."""

    def __init__(self, reason):
        super().__init__(reason)
        self.reason = reason


class Refusal(Exception):
    """What the program asked for can't be: `errno`."""

    def __init__(self, errno):
        super().__init__(errno)
        self.errno = errno
