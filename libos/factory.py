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


def network(catloop, values, run, own_thread, log):
    """The network under a program whose sockets are of `catloop`, opened at first use.

    `values`: those of all knobs; `run`: of which `catflap run` it is, or None; `own_thread` is called by a thread of
    ours, `log(what, error)` when something goes wrong in it.
    """
    from libos import gate
    from libos.net_config import KNOBS, make
    from libos.network import Network

    host = gate.host(values, run)
    return Network(catloop, lambda: make(*(values[name] for name in KNOBS)), host, own_thread, log)


def mint(catloop, values, own_thread, log):
    """As `network`, of Catmint: by which a program's connections go to those of other programs that have it too."""
    from libos.mint_network import MintNetwork

    where = values["provider"], values["node"] or "", values["secret"], values["door"]
    return MintNetwork(catloop, *where, own_thread, log)


def native(name: str, **options):
    """The PDPIX calls of a libOS, for programs written for them. Raises ValueError for a name that isn't one."""
    if name == "catnap":
        from libos.catnap_native import CatnapLibOS

        return CatnapLibOS(**options)
    if name == "catloop":
        from libos.catloop_native import CatloopLibOS

        return CatloopLibOS(**options)
    if name == "catnip":
        from libos.catnip_native import CatnipLibOS

        return CatnipLibOS(**options)
    if name == "catmint":
        from libos.catmint_native import CatmintLibOS

        return CatmintLibOS(**options)
    if name == "cattree" and options.pop("shared", False):
        from libos.cattree_shared import SharedCattreeLibOS

        return SharedCattreeLibOS(**options)
    if name == "cattree":
        from libos.cattree_native import CattreeLibOS

        return CattreeLibOS(**options)
    raise ValueError(f"no libOS named {name!r}; there are: {', '.join((*NAMES, 'catnip', 'catmint', 'cattree'))}")
