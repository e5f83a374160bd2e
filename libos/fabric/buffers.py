"""The contract of the memory that messages lie in: what a program's heap is to Catmint's core."""

COMPILED = __file__.endswith(".so")


class Buffers:
    """Base of all. A buffer is in the `length` bytes from `base`, a multiple of 1 MiB, and in one such unit."""

    def __init__(self, base, length):
        self.base = base
        self.length = length

    def alloc(self, size):
        """Address of at least `size` bytes, a multiple of 64; 0 when there is no memory."""
        return 0

    def free(self, address):
        """The buffer is not used any more."""


class PythonBuffers(Buffers):
    """Base of those that stay Python: compiled callers reach the subclass's methods, and take the GIL for them."""

    def alloc(self, size):
        return getattr(self, "alloc")(size)  # noqa: B009 - by name: the method of the Python subclass

    def free(self, address):
        getattr(self, "free")(address)  # noqa: B009
