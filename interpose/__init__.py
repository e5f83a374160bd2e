"""POSIX on top of PDPIX: the only Python that knows descriptors, errno and struct sockaddr."""
