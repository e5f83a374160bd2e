"""Network protocols without I/O: frames, time and randomness come in as arguments, frames and events go out.

Nothing here opens a socket, reads a clock or knows a device (docs/catnip.md).
"""
