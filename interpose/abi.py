"""The numbers of csrc/abi.h for interpreted code; compiled code takes them from the header itself (abi.pxd).

The host fills this module from the cffi library, so that the header stays the one place that says them. Outside a
program (unit tests) they come from the built library too.
"""


def fill(lib):
    """Take every CATFLAP_* constant of a cffi `lib`."""
    for name in dir(lib):
        if name.startswith("CATFLAP_"):
            globals()[name] = getattr(lib, name)


def __getattr__(name):
    if not name.startswith("CATFLAP_"):
        raise AttributeError(name)
    from importlib.machinery import ExtensionFileLoader
    from importlib.util import module_from_spec, spec_from_loader
    from os.path import dirname, join

    loader = ExtensionFileLoader("_catflap_host", join(dirname(__file__), "libcatflap_host.so"))
    module = module_from_spec(spec_from_loader("_catflap_host", loader))
    loader.exec_module(module)
    fill(module.lib)
    return globals()[name]
