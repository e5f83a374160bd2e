"""The table of knobs: what may be configured, and what each of them takes.

Read inside programs at their first socket.
"""

LIBOSES = ("auto", "catnap", "catloop", "catnip", "catmint", "kernel")
DEVICE_KINDS = "segment:NAME, tap:NAME, af_packet:NAME, af_xdp:NAME[:QUEUE] or dpdk:PORT"


class ConfigError(ValueError):
    """A configuration that can't be used; the message names the place, what is wrong and what would be right."""


class Knob:
    """One setting. `allowed` is a tuple of words, a range of whole numbers, None for the path of a file, or what a text
    of its own says.
    """

    __slots__ = ("name", "default", "allowed", "environment", "flag", "text")

    def __init__(self, name, default, allowed, environment, flag, text):
        self.name = name
        self.default = default
        self.allowed = allowed
        self.environment = environment
        self.flag = flag
        self.text = text

    def range(self):
        """What the knob takes, in words."""
        if self.allowed is None:
            return "path of a file"
        if isinstance(self.allowed, range):
            return f"{self.allowed.start} to {self.allowed.stop - 1}"
        if isinstance(self.allowed, str):
            return self.allowed
        return ", ".join(self.allowed)

    def check(self, value, where):
        """`value` itself when the knob can hold it, else ConfigError."""
        kind = int if isinstance(self.allowed, range) else str
        if type(value) is not kind or value == "" or "\0" in str(value):
            raise ConfigError(f"{where}: {value!r} is not possible; use {self.range()}")
        if isinstance(self.allowed, (tuple, range)) and value not in self.allowed:
            raise ConfigError(f"{where}: unknown value {value!r}; use {self.range()}")
        return value

    def parse(self, text, where):
        """The value written as `text` in the environment or on the command line."""
        if isinstance(self.allowed, range) and text.lstrip("-").isdecimal() and text.isascii():
            return self.check(int(text) if text.count("-") <= 1 else text, where)
        return self.check(text, where)


KNOBS = (
    Knob("libos", "auto", LIBOSES, "CATFLAP_LIBOS", "--libos", "the libOS of sockets that no rule decides about"),
    Knob("log", None, None, "CATFLAP_LOG", "--log", "file that log lines are appended to"),
    Knob(
        "verbose", 0, range(-1, 3), "CATFLAP_VERBOSE", "-v, -q", "-1 says nothing, 0 what fails, 1 and 2 more and more"
    ),
    Knob(
        "spin",
        20,
        range(0, 100001),
        "CATFLAP_SPIN",
        "--spin",
        "microseconds that a thread looks at rings before it sleeps; 0: none",
    ),
    Knob(
        "worth",
        32,
        range(1, 1000001),
        "CATFLAP_WORTH",
        "--worth",
        "reads and writes that earn a connection shared memory",
    ),
    Knob(
        "device",
        "segment:default",
        DEVICE_KINDS,
        "CATFLAP_DEVICE",
        "--device",
        "Catnip's device: a shared-memory segment, a TAP interface, an interface of the kernel's, or a port of DPDK's",
    ),
    Knob(
        "addresses",
        None,
        "ADDRESS/PREFIX, more of them after commas",
        "CATFLAP_ADDRESSES",
        "--addresses",
        "Catnip's addresses; a segment allots its own",
    ),
    Knob(
        "gateway",
        None,
        "an address, or one of each family after a comma",
        "CATFLAP_GATEWAY",
        "--gateway",
        "where Catnip sends what is not on its link; without one that is the kernel's",
    ),
    Knob(
        "routes",
        None,
        "NETWORK via GATEWAY, more of them after commas",
        "CATFLAP_ROUTES",
        "--routes",
        "networks behind gateways on Catnip's link; of two that hold an address the smaller decides",
    ),
    Knob(
        "mtu", None, range(576, 9001), "CATFLAP_MTU", "--mtu", "bytes of Catnip's largest packet; else its device's MTU"
    ),
    Knob(
        "neighbours",
        None,
        "ADDRESS=MAC, more of them after commas",
        "CATFLAP_NEIGHBOURS",
        "--neighbours",
        "hosts on Catnip's link that answer neither ARP nor Neighbor Discovery",
    ),
    Knob("checksums", "full", ("full", "none"), "CATFLAP_CHECKSUMS", "--checksums", "of TCP and UDP, made and checked"),
    Knob(
        "provider",
        "shm",
        "shm, tcp;ofi_rxm, verbs;ofi_rxm or another of libfabric's",
        "CATFLAP_PROVIDER",
        "--provider",
        "Catmint's fabric, by the name that libfabric has for it",
    ),
    Knob(
        "node",
        None,
        "an address of this machine",
        "CATFLAP_NODE",
        "--node",
        "the interface that Catmint's fabric uses, by its address; else libfabric chooses",
    ),
    Knob(
        "secret",
        None,
        None,
        "CATFLAP_SECRET",
        "--secret",
        "file by whose content Catmint's programs know those of other machines",
    ),
    Knob(
        "door",
        4794,
        range(1, 65536),
        "CATFLAP_DOOR",
        "--door",
        "TCP port by which Catmint's programs meet those of other machines, with a secret",
    ),
    Knob(
        "storage",
        None,
        "cattree:FILE",
        "CATFLAP_STORAGE",
        "--storage",
        "a volume of Cattree, a file or a block device, by which fsync of files under --mount is served",
    ),
    Knob("mount", None, None, "CATFLAP_MOUNT", "--mount", "the folder of those files"),
    Knob("record", None, None, "CATFLAP_RECORD", "--record", "file that all of Catnip's frames and calls are kept in"),
    Knob("hook", None, None, "CATFLAP_HOOK", "--hook", "Python file whose install(instrument) runs inside the program"),
)
