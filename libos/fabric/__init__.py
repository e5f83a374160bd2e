"""Catmint's core: reliable messages over RDMA, by one contract for libfabric, memory and NDSPI."""
