"""The heap of I/O buffers as the memory that Catmint's messages lie in."""

from libos.fabric.buffers import Buffers

COMPILED = __file__.endswith(".so")


class HeapBuffers(Buffers):
    """Of a Heap, whose superblocks are the units that are registered. What is taken here is held as the application
    holds it, so that a message goes to the application as it is.
    """

    def __init__(self, heap):
        Buffers.__init__(self, heap.base, heap.superblocks * 1048576)
        self.heap = heap

    def alloc(self, size):
        return self.heap.alloc(size)

    def free(self, address):
        self.heap.free(address)
