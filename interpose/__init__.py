"""POSIX on top of PDPIX: the only Python that knows descriptors, errno and struct sockaddr."""

import libos  # noqa: F401  (decides the mode before any of our modules is loaded)
