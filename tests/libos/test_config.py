"""Configuration: the table of knobs, precedence, the file, rules for programs and addresses."""

import ipaddress
import os
import subprocess
import sys
import tomllib

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from libos import config
from libos.config import Config, ConfigError, Rule

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@pytest.fixture
def file(tmp_path):
    """file(text) writes a configuration and returns its path."""

    def write(text):
        path = tmp_path / "catflap.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    return write


def refused(text, file):
    path = file(text)
    with pytest.raises(ConfigError) as caught:
        config.load({"CATFLAP_CONFIG": path})
    message = str(caught.value)
    assert message.startswith(f"config {path}: ") and "\n" not in message
    return message.removeprefix(f"config {path}: ")


KNOWN = ", ".join(sorted([*(knob.name for knob in config.KNOBS), "rule"]))


# --- knobs ---


def test_defaults():
    chosen = config.load({})
    assert (chosen.libos, chosen.log, chosen.verbose, chosen.hook, chosen.rules) == ("auto", None, 0, None, [])
    assert set(chosen.sources.values()) == {"default"}


@pytest.mark.parametrize("knob", config.KNOBS, ids=lambda knob: knob.name)
def test_every_knob_has_its_say(knob):
    assert knob.text and knob.range() and knob.environment == "CATFLAP_" + knob.name.upper()
    if knob.default is not None:
        assert knob.check(knob.default, "here") == knob.default
    assert isinstance(getattr(type(config.load({})), knob.name), property)


@pytest.mark.parametrize("source", ["file", "environment", "flag"])
@pytest.mark.parametrize(
    "name,values", [("libos", ["catnap", "kernel", "auto"]), ("verbose", [1, 2, -1]), ("log", ["/a", "/b", "/c"])]
)
def test_file_below_environment_below_flag(file, source, name, values):
    environ, flags, number = {"CATFLAP_CONFIG": file(f"{name} = {values[0]!r}".replace("'", '"'))}, {}, 0
    if source != "file":
        environ["CATFLAP_" + name.upper()], number = str(values[1]), 1
    if source == "flag":
        flags[name], number = str(values[2]), 2
    chosen = config.load(environ, flags)
    assert (chosen.values[name], chosen.sources[name]) == (values[number], source)


def test_empty_variables_are_unset():
    names = ["CATFLAP_CONFIG", *(knob.environment for knob in config.KNOBS)]
    assert config.load(dict.fromkeys(names, "")).values == config.load({}).values


@pytest.mark.parametrize("text", ["3", "-2", "one", "--1", "1.5", "0x1", " 1", "²"])
def test_verbose_out_of_range(text):
    with pytest.raises(ConfigError, match="CATFLAP_VERBOSE: .*-1 to 2"):
        config.load({"CATFLAP_VERBOSE": text})


def test_unknown_libos_names_the_known():
    with pytest.raises(
        ConfigError, match="CATFLAP_LIBOS: unknown value 'catnup'; use auto, catnap, catloop, catnip, catmint, kernel"
    ):
        config.load({"CATFLAP_LIBOS": "catnup"})
    with pytest.raises(ConfigError, match="--libos: unknown value"):
        config.load({}, {"libos": "Catnap"})


def test_paths_in_the_file_start_at_its_folder(file):
    path = file('log = "logs/x"\nhook = "/y"\n')
    chosen = config.load({"CATFLAP_CONFIG": path})
    assert (chosen.log, chosen.hook) == (os.path.join(os.path.dirname(path), "logs/x"), "/y")


# --- the file ---


@pytest.mark.parametrize(
    "text,message",
    [
        ("lobis = 1", f"unknown key 'lobis'; known: {KNOWN}"),
        ("[rules]", f"unknown key 'rules'; known: {KNOWN}"),
        ("libos = 3", "libos: 3 is not possible; use auto, catnap, catloop, catnip, catmint, kernel"),
        ('libos = "x"', "libos: unknown value 'x'; use auto, catnap, catloop, catnip, catmint, kernel"),
        ("verbose = true", "verbose: True is not possible; use -1 to 2"),
        ("verbose = 7", "verbose: unknown value 7; use -1 to 2"),
        ("mtu = 9001", "mtu: unknown value 9001; use 576 to 9000"),
        ('mtu = "1500"', "mtu: '1500' is not possible; use 576 to 9000"),
        ('log = ""', "log: '' is not possible; use path of a file"),
        ('rule = "x"', "rule is not possible as a value; write [[rule]] and its keys below"),
        ('[[rule]]\nprogram = "x"', "[[rule]] 1: libos is missing; use auto, catnap, catloop, catnip, catmint, kernel"),
        (
            '[[rule]]\nlibos = "y"',
            "[[rule]] 1: libos: unknown value 'y'; use auto, catnap, catloop, catnip, catmint, kernel",
        ),
        ('[[rule]]\nlibos="auto"\n[[rule]]\nx=1', "unknown key 'x' in [[rule]] 2; known: address, libos, program"),
        ('[[rule]]\nlibos = "auto"\nprogram = 3', "[[rule]] 1: program: 3 is not possible; use a text in quotes"),
        (b"libos = \xff", "not UTF-8 text: byte 8 is 0xff"),
    ],
)  # fmt: skip
def test_errors_name_the_place(file, text, message):
    assert refused(text, file) == message


@pytest.mark.parametrize("text", ["libos", "libos = ", 'libos = "auto"\nlibos = "auto"', "[[rule]", "= 1", "a\x00 = 1"])
def test_invalid_toml_says_where(file, text):
    message = refused(text, file)
    assert message.startswith("not valid TOML: ") and "(at " in message


def test_unreadable_file(tmp_path):
    for path, why in ((tmp_path / "none", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigError, match=f"config {path}: can't be read: {why}"):
            config.load({"CATFLAP_CONFIG": str(path)})


words = st.text(st.characters(codec="ascii") | st.sampled_from('"\\#=[]\n\r\t é\u3000'), max_size=12)
values = st.one_of(
    st.integers(-99, 99).map(str), words.map('"{}"'.format), words, st.sampled_from(["007", "-0", "+1", '"""'])
)
lines = st.one_of(
    st.builds("{}{}= {}".format, st.sampled_from(["a", "b", "rule", "x-y", "a.b", '"q"', ""]),
              st.sampled_from("\t "), values),
    st.sampled_from(["[[rule]]", " [[rule]] # c", "[[a]]", "[t]", "[[r.s]]", "# c", "", "\t", "[[rule]]x"]),
    words,
)  # fmt: skip


@given(st.lists(lines, max_size=6), st.sampled_from(["\n", "\r\n", "\r"]))
@example(["a = 1 2"], "\n")
@example(['a = "x" "y"'], "\n")
@example(["rule = 1", "[[rule]]"], "\n")
@example(["[[rule]]", "rule = 1"], "\n")
@example(["a = -"], "\n")
@example(["[[a]]", "x = 1", "[[a]]", "x = 1"], "\n")
def test_plain_reader_agrees_with_tomllib(lines, end):
    text = end.join(lines)
    document = config.parse_plain(text)
    if document is not None:
        assert document == tomllib.loads(text)


def test_plain_reader_reads_ordinary_files():
    text = '# mine\nlibos = "auto" # all\nverbose = -1\n\n[[rule]]\nprogram = "r*"\r\nlibos = "auto"\n[[rule]] # 2\n'
    assert config.parse_plain(text) == tomllib.loads(text) != {}


# --- rules for programs ---


@pytest.mark.parametrize(
    "pattern,path,matches",
    [
        ("nginx", "/usr/sbin/nginx", True),
        ("nginx", "/usr/sbin/nginx (deleted)", True),
        ("nginx", "/usr/sbin/nginx2", False),
        ("redis-*", "/opt/redis-server", True),
        ("Redis-*", "/opt/redis-server", False),
        ("python3.?", "/usr/bin/python3.9", True),
        ("python3.?", "/usr/bin/python3.11", False),
        ("[ab]x", "/bin/bx", True),
        ("/usr/*/nginx", "/usr/sbin/nginx", True),
        ("/usr/sbin/nginx", "/opt/usr/sbin/nginx", False),
        ("sbin/nginx", "/usr/sbin/nginx", False),
        ("*", "/any", True),
        ("nginx", "", False),
    ],
)
def test_program_patterns(pattern, path, matches):
    chosen = Config()
    chosen.rules = [Rule("kernel", program=pattern)]
    assert chosen.for_program(path).libos == ("kernel" if matches else "auto")


def test_first_rule_decides_and_address_rules_stay(file):
    path = file(
        'libos = "kernel"\n'
        '[[rule]]\nprogram = "a"\naddress = "10.0.0.0/8"\nlibos = "auto"\n'
        '[[rule]]\nprogram = "b"\nlibos = "auto"\n'
        '[[rule]]\nprogram = "a"\nlibos = "catnap"\n'
        '[[rule]]\naddress = "127.0.0.1"\nlibos = "kernel"\n'
    )
    chosen = config.load({"CATFLAP_CONFIG": path})
    a, b, c = (chosen.for_program("/bin/" + name) for name in "abc")
    assert (a.libos, [rule.address for rule in a.rules]) == ("catnap", ["10.0.0.0/8"])
    assert (b.libos, b.rules) == ("auto", [])
    assert (c.libos, [rule.address for rule in c.rules]) == ("kernel", ["127.0.0.1"])
    assert a.choose(bytes([10, 1, 2, 3]), 5) == "auto" and a.choose(bytes([11, 1, 2, 3]), 5) is None
    assert len(chosen.rules) == 4


def test_rules_stand_above_the_libos_except_for_the_off_switch(file):
    path = file('[[rule]]\nlibos = "catnap"\n')
    for environ, flags, expected in (
        ({}, {}, "catnap"),
        ({"CATFLAP_LIBOS": "auto"}, {}, "catnap"),
        ({"CATFLAP_LIBOS": "kernel"}, {}, "kernel"),
        ({"CATFLAP_LIBOS": "kernel"}, {"libos": "auto"}, "catnap"),
        ({}, {"libos": "kernel"}, "kernel"),
    ):
        chosen = config.load({"CATFLAP_CONFIG": path, **environ}, flags)
        assert chosen.for_program("/bin/x").libos == expected, (environ, flags)


# --- rules for addresses ---


def choice(address, host, port):
    rule = Rule("catnap", address=address)
    packed = host if isinstance(host, bytes) else ipaddress.ip_address(host).packed
    return rule.matches_address(packed, port)


@pytest.mark.parametrize(
    "address,host,port,matches",
    [
        ("127.0.0.1", "127.0.0.1", 1, True),
        ("127.0.0.1", "127.0.0.2", 1, False),
        ("127.0.0.1:80", "127.0.0.1", 80, True),
        ("127.0.0.1:80", "127.0.0.1", 81, False),
        ("10.0.0.0/8:80-90", "10.9.9.9", 90, True),
        ("10.0.0.0/8:80-90", "10.9.9.9", 91, False),
        ("10.0.0.0/8:80-90", "11.0.0.0", 85, False),
        ("0.0.0.0/0", "1.2.3.4", 0, True),
        ("0.0.0.0/0", "::1", 0, False),
        ("[::/0]", "::1", 0, True),
        ("[::/0]", "1.2.3.4", 0, False),
        ("[::1]:80", "::1", 80, True),
        ("[fe80::/10]", "febf::1", 1, True),
        ("[fe80::/10]", "fec0::1", 1, False),
        ("127.0.0.0/8", "::ffff:127.0.0.1", 1, True),
        ("[::/0]", "::ffff:127.0.0.1", 1, False),
        ("[::ffff:127.0.0.0/104]", "127.0.0.1", 1, True),
        ("*", "127.0.0.1", 9, True),
        ("*:80", "::1", 80, True),
        ("*:80", "::1", 81, False),
        ("*:0-65535", "::1", 65535, True),
    ],
)
def test_address_rules(address, host, port, matches):
    assert choice(address, host, port) is matches


@pytest.mark.parametrize(
    "address",
    ["", "x", "1.2.3", "10.0.0.1/8", "10.0.0.0/33", "1.2.3.4:", "1.2.3.4:x", "1.2.3.4:-1", "1.2.3.4:65536",
     "1.2.3.4:9-8", "::1", "[::1", "[::1]80", "[1.2.3.4]", "[::1]:", "1.2.3.4:80:90", "[fe80::%eth0]", "**", "*x:80",
     ":80", "1.2.3.4:1-", "[*]", "::1:80", "localhost:80", "1.2.3.4:8 0", "1.2.3.4:+8", "[fe80::1/10]"],
)  # fmt: skip
def test_bad_addresses_are_refused(address, file):
    message = refused(f'[[rule]]\nlibos = "auto"\naddress = "{address}"', file)
    assert message.startswith("[[rule]] 1: address") and repr(address) in message and "is not possible" in message


ports = st.integers(0, 65535)


@given(st.ip_addresses(), st.integers(0, 128), st.ip_addresses(), ports, ports, ports, st.booleans())
def test_address_rules_agree_with_ipaddress(base, bits, other, first, last, port, near):
    bits = min(bits, base.max_prefixlen)
    network = ipaddress.ip_network((base, bits), strict=False)
    if near and other.version == base.version:
        other = type(base)(int(network.network_address) | int(other) & int(network.hostmask))
    first, last = sorted((first, last))
    assume(not any(a.version == 6 and a.ipv4_mapped for a in (network.network_address, other)))
    text = f"[{network}]" if network.version == 6 else str(network)
    expected = other.version == network.version and other in network and first <= port <= last
    assert choice(f"{text}:{first}-{last}", other.packed, port) is expected
    if other.version == 4:
        mapped = bytes(10) + b"\xff\xff" + other.packed
        assert choice(f"{text}:{first}-{last}", mapped, port) is expected


@given(
    st.lists(st.tuples(st.sampled_from(config.LIBOSES), st.ip_addresses(v=4, network="10.0.0.0/30"), ports)), st.data()
)
def test_first_matching_rule_decides(rules, data):
    chosen = Config()
    chosen.rules = [Rule(libos, address=f"{host}:0-{port}") for libos, host, port in rules]
    host, port = data.draw(st.ip_addresses(v=4, network="10.0.0.0/30")), data.draw(ports)
    expected = next((libos for libos, mine, last in rules if mine == host and port <= last), None)
    assert chosen.for_program("/x").choose(host.packed, port) == expected


# --- what it costs inside a program ---


def test_ordinary_file_needs_no_heavy_module(file):
    path = file(
        'libos = "auto"\n[[rule]]\nprogram = "nginx"\nlibos = "catnap"\n[[rule]]\naddress = "*:80"\nlibos = "kernel"\n'
    )
    code = f"""
import sys
from libos import config
chosen = config.load({{"CATFLAP_CONFIG": {path!r}}}).for_program("/usr/sbin/nginx")
assert chosen.libos == "catnap", chosen.libos
print(*sys.modules)
"""
    environ = {name: value for name, value in os.environ.items() if name != "CATFLAP_PURE"}
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    heavy = {
        "re",
        "typing",
        "dataclasses",
        "enum",
        "tomllib",
        "fnmatch",
        "ipaddress",
        "functools",
        "collections",
        "ctypes",
    }
    assert not heavy & set(done.stdout.split())
