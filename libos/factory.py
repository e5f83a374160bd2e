"""A libOS by its name: device, protocols and runtime put together. The only place that knows them all."""

NAMES = ("catnap", "catloop")


def make(name, **options):
    """A new libOS. Raises ValueError for a name that isn't one."""
    if name == "catnap":
        from libos.catnap import Catnap

        return Catnap()
    if name == "catloop":
        from libos.catloop import Catloop

        return Catloop(**options)
    raise ValueError(f"no libOS named {name!r}; there are: {', '.join(NAMES)}")
