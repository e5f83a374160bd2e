"""Configuration: rules for programs and addresses, and one class that holds them and the values of all knobs.

A knob's value comes from its default, then the file named by CATFLAP_CONFIG, then the environment, then a flag of the
launcher; the later wins. Read inside programs at their first socket, so heavy imports wait until something needs them.
"""

from libos.knobs import KNOBS, ConfigError

MAPPED = bytes(10) + b"\xff\xff"  # an IPv6 address that starts so holds an IPv4 address (RFC 4291, 2.5.5.2)
RULE_KEYS = ("address", "libos", "program")


class Rule:
    """One [[rule]]: which programs, addresses and ports, and the libOS they get. The first that matches decides."""

    __slots__ = ("program", "address", "libos", "version", "network", "shift", "first", "last")

    def __init__(self, libos, program=None, address=None, where="rule"):
        self.program = program
        self.address = address
        self.libos = libos
        self.version = self.network = self.shift = 0
        self.first, self.last = 0, 65535
        if address is not None:
            self.parse_address(address, where)

    def parse_address(self, text, where):
        """`10.0.0.0/8`, `[fd00::/8]`, or `*`, each with an optional `:port` or `:first-last`."""
        if text.startswith("["):
            host, bracket, ports = text[1:].partition("]")
            if not bracket or (ports and ports[0] != ":"):
                raise ConfigError(f"{where}: address {text!r} is not possible; use [NETWORK] or [NETWORK]:PORT")
        else:
            host, _, ports = text.partition(":")
            ports = text[len(host) :]
            if ports.count(":") > 1:
                raise ConfigError(f"{where}: address {text!r} is not possible; write IPv6 in brackets, [NETWORK]:PORT")
        if ports:
            self.first, self.last = parse_ports(ports[1:], text, where)
        if text.startswith("*"):
            if host != "*":
                raise ConfigError(f"{where}: address {text!r} is not possible; use * alone or *:PORT")
            return
        import ipaddress

        try:
            if "%" in host:
                raise ValueError("a rule knows no interfaces")
            network = ipaddress.ip_network(host)
        except ValueError as error:
            raise ConfigError(f"{where}: address {text!r} is not possible: {error}")
        if (network.version == 6) != text.startswith("["):
            raise ConfigError(f"{where}: address {text!r} is not possible; only IPv6 is written in brackets")
        packed, bits = network.network_address.packed, network.prefixlen
        if packed.startswith(MAPPED) and bits >= 96:
            packed, bits = packed[12:], bits - 96
        self.version = 4 if len(packed) == 4 else 6
        self.shift = len(packed) * 8 - bits
        self.network = int.from_bytes(packed, "big") >> self.shift

    def matches_program(self, path):
        """Is this rule about the program at `path`? A pattern with a slash is held against the whole path."""
        if self.program is None:
            return True
        name = path if "/" in self.program else path.rpartition("/")[2]
        if name == self.program:
            return True
        if not any(mark in self.program for mark in "*?["):
            return False
        from fnmatch import fnmatchcase

        return fnmatchcase(name, self.program)

    def matches_address(self, packed, port):
        """Is this rule about this address (4 or 16 bytes, network order) and port?"""
        if not self.first <= port <= self.last:
            return False
        if self.version == 0:
            return True
        packed = packed.removeprefix(MAPPED) if len(packed) == 16 else packed
        if len(packed) != (4 if self.version == 4 else 16):
            return False
        return int.from_bytes(packed, "big") >> self.shift == self.network


def parse_ports(text, address, where):
    """(first, last) of `80` or `8000-8999`."""
    first, dash, last = text.partition("-")
    parts = [first, last] if dash else [first, first]
    if all(p.isascii() and p.isdecimal() and len(p) <= 5 for p in parts):
        low, high = int(parts[0]), int(parts[1])
        if low <= high <= 65535:
            return low, high
    raise ConfigError(f"{where}: address {address!r} is not possible; a port is 0 to 65535, a range FIRST-LAST")


def value_of(name):
    """A property: the value of a knob."""
    return property(lambda config: config.values[name])


class Config:
    """The values of all knobs, where each came from, and the rules in the order of the file."""

    libos = value_of("libos")
    log = value_of("log")
    verbose = value_of("verbose")
    spin = value_of("spin")
    worth = value_of("worth")
    device = value_of("device")
    addresses = value_of("addresses")
    gateway = value_of("gateway")
    routes = value_of("routes")
    mtu = value_of("mtu")
    neighbours = value_of("neighbours")
    provider = value_of("provider")
    node = value_of("node")
    secret = value_of("secret")
    door = value_of("door")
    checksums = value_of("checksums")
    storage = value_of("storage")
    mount = value_of("mount")
    record = value_of("record")
    hook = value_of("hook")

    def __init__(self):
        self.values = {knob.name: knob.default for knob in KNOBS}
        self.sources = {knob.name: "default" for knob in KNOBS}
        self.rules = []
        self.path = None

    def set(self, name, value, source):
        self.values[name] = value
        self.sources[name] = source

    def read(self, path):
        """Take the file at `path` in. Relative paths in it start at its own folder."""
        where = f"config {path}"
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError as error:
            raise ConfigError(f"{where}: can't be read: {error.strerror}; give a readable TOML file")
        self.path = path
        document = parse(data, where)
        known = {knob.name: knob for knob in KNOBS}
        for key, value in document.items():
            if key == "rule":
                continue
            if key not in known:
                raise ConfigError(f"{where}: unknown key {key!r}; known: {', '.join(sorted([*known, 'rule']))}")
            value = known[key].check(value, f"{where}: {key}")
            if known[key].allowed is None:  # the path of a file
                import os

                value = os.path.join(os.path.dirname(os.path.abspath(path)), value)
            self.set(key, value, "file")
        self.rules = parse_rules(document.get("rule", []), where)

    def for_program(self, path):
        """The configuration of the program whose file is `path`: its libOS, and only its address rules."""
        narrowed = Config()
        narrowed.values = dict(self.values)
        narrowed.sources = dict(self.sources)
        narrowed.path = self.path
        path = path.removesuffix(" (deleted)")  # proc(5): a running file that was replaced
        for rule in self.rules:
            if not rule.matches_program(path):
                continue
            if rule.address is None:
                narrowed.set("libos", rule.libos, "file")
                break
            narrowed.rules.append(rule)
        return narrowed

    def choose(self, packed, port):
        """The libOS of the first rule about this address (4 or 16 bytes, network order) and port, or None."""
        for rule in self.rules:
            if rule.address is None or rule.matches_address(packed, port):
                return rule.libos
        return None


def parse_rules(tables, where):
    """The [[rule]] tables as Rule objects."""
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ConfigError(f"{where}: rule is not possible as a value; write [[rule]] and its keys below")
    rules = []
    libos = KNOBS[0]
    for number, table in enumerate(tables, 1):
        place = f"{where}: [[rule]] {number}"
        for key, value in table.items():
            if key not in RULE_KEYS:
                known = ", ".join(RULE_KEYS)
                raise ConfigError(f"{where}: unknown key {key!r} in [[rule]] {number}; known: {known}")
            if not isinstance(value, str) or not value:
                raise ConfigError(f"{place}: {key}: {value!r} is not possible; use a text in quotes")
        if "libos" not in table:
            raise ConfigError(f"{place}: libos is missing; use {libos.range()}")
        chosen = libos.check(table["libos"], f"{place}: libos")
        rules.append(Rule(chosen, table.get("program"), table.get("address"), place))
    return rules


def parse(data, where):
    """The TOML document in `data` (bytes) as a dictionary."""
    try:
        text = data.decode()
        document = parse_plain(text)
        if document is None:
            import tomllib

            document = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{where}: not UTF-8 text: byte {error.start} is {data[error.start]:#04x}")
    except ValueError as error:  # tomllib.TOMLDecodeError is one
        raise ConfigError(f"{where}: not valid TOML: {error}")
    return document


def parse_plain(text):
    """What tomllib would answer for a document of `key = "text"`, `key = 12`, [[table]] and comments; None for others.

    tomllib costs a program 10 ms at its first socket; nearly all configurations are this plain.
    """
    document = table = {}
    for line in text.replace("\r\n", "\n").split("\n"):
        if not line.replace("\t", " ").isprintable():
            return None
        line = line.strip(" \t")
        if not line or line[0] == "#":
            continue
        if line.startswith("[["):
            key, close, rest = line[2:].partition("]]")
            tables = document.setdefault(key, [])
            if not isinstance(tables, list):
                return None
            table = {}
            tables.append(table)
        else:
            key, close, rest = line.partition("=")
            key, rest = key.strip(" \t"), rest.strip(" \t")
            if key in table:
                return None
            if rest.startswith('"'):
                value, close, rest = rest[1:].partition('"')
                if "\\" in value or rest.startswith('"'):
                    return None
            else:
                digits = rest.partition("#")[0].strip(" \t")
                rest = rest[len(digits) :]
                plain = digits.removeprefix("-")
                if not (plain.isascii() and plain.isdecimal()) or (len(plain) > 1 and plain[0] == "0"):
                    return None
                value = int(digits)
            table[key] = value
        rest = rest.strip(" \t")
        if not close or not (key.isascii() and key.isidentifier()) or (rest and rest[0] != "#"):
            return None
    return document


def load(environ, flags=None):
    """The Config of this process. `flags`: {"config" or a knob: its text as a flag}. Errors: ConfigError."""
    flags = flags or {}
    config = Config()
    path = flags.get("config") or environ.get("CATFLAP_CONFIG")
    if path:
        config.read(path)
    for knob in KNOBS:
        for source, text, where in (
            ("environment", environ.get(knob.environment), knob.environment),
            ("flag", flags.get(knob.name), knob.flag),
        ):
            if text:
                config.set(knob.name, knob.parse(text, where), source)
    if config.libos == "kernel" and config.sources["libos"] in ("environment", "flag"):
        config.rules = []  # the off switch: the preload does not even start the host
    return config
