"""A libOS by its name: device, protocols and runtime put together. The only place that knows them all."""

NAMES = ("catnap",)


def make(name):
    """A new libOS. Raises ValueError for a name that isn't one."""
    if name == "catnap":
        from libos.catnap import Catnap

        return Catnap()
    raise ValueError(f"no libOS named {name!r}; there are: {', '.join(NAMES)}")
