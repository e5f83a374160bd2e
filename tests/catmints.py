"""Catmint for tests, by the providers that need no device; a test is skipped where libfabric isn't there."""

import functools

import pytest

from libos.errors import Fail, Kind
from libos.factory import native

KINDS = {"catmint-shm": ("shm", ""), "catmint-tcp": ("tcp;ofi_rxm", "127.0.0.1")}


def made(kind, **options):
    """A libOS of one of KINDS."""
    provider, node = KINDS[kind]
    try:
        return native("catmint", provider=provider, node=node, **options)
    except Fail as fail:
        if fail.kind in (Kind.UNSUPPORTED, Kind.DEVICE):
            pytest.skip(str(fail))
        raise


def needed():
    """Skip the test where there is no libfabric."""
    made("catmint-shm").shut()


@functools.cache
def need(kind):
    """A test of unmodified programs by one of KINDS is skipped where that can't be."""
    made(kind).shut()


def held(libos):
    """Objects of a libOS's heap that somebody holds, but for the receives that its Catmint has posted."""
    if not hasattr(libos, "catmint"):
        return libos.heap.live()
    receives = libos.catmint.engine.receives
    return libos.heap.live() - receives.posted - receives.spares
