"""Why an upgrade is not to be."""


class Refused(Exception):
    """This connection stays on the kernel; `reason` is the name of its reason code."""

    def __init__(self, reason):
        super().__init__(reason)
        self.reason = reason
