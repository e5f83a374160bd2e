"""The library OSes and PDPIX. No POSIX descriptors and no errno numbers here; usable on its own from plain Python."""

from libos import mode as _mode

_mode.install()
