"""Catnip's interface in lists: behind the kernel's, which stay as they are; the same by every way of asking."""

import ipaddress
import json
import re
import sys

import flap
import pytest
from networks import CLIENT, CLIENT6, Network

MODES = [pytest.param(False, id="catnip"), pytest.param(True, id="catnip-pure", marks=pytest.mark.pure_sample)]
LINK = "fe80::7"
OURS = "catnip0"


def told(result):
    """(lines about the kernel's interfaces, lines about ours, numbers of bytes of SIOCGIFCONF)"""
    assert result.status == 0, str(result)
    lines = result.stdout.decode().splitlines()
    ours = [line for line in lines if line.startswith(OURS)]
    return [line for line in lines if line not in ours], ours, [int(word) for word in result.stderr.split()]


@pytest.fixture(params=MODES)
def network(request):
    return Network(request.param)


@pytest.mark.parametrize("words", [[], ["forked"], ["first"]], ids=["", "in a child", "in a child of one that asked"])
def test_every_list_and_question(network, words):
    """tests/scenarios/c/interfaces.c: getifaddrs, if_nameindex and its kin, ioctls by libc and syscall(2)."""
    program = [flap.compiled("interfaces.c"), *words]
    kernel, nothing, sizes = told(flap.run(program))
    env = network.host(CLIENT, CLIENT6, LINK)
    found, ours, more = told(flap.run(program, "catnip", pure=network.pure, env=env, timeout=120))
    assert (found, nothing) == (kernel, [])
    assert more == [sizes[0] + 40, sizes[1] + 40, 0, 0]
    index = int(re.search(r"if_nameindex (\d+)", "\n".join(ours))[1])
    assert index > max(int(number) for number in re.findall(r"if_nameindex (\d+)", "\n".join(kernel)))
    mac = re.search(rf"address link 0 {index} 1 0 (\w{{12}}) ", ours[0])[1]
    link = f"link 0 {index} 1 0"
    assert ours[:5] == [
        f"{OURS} entry 0x1043 address {link} {mac} mask none broadcast {link} {'ff' * 6} counters",
        f"{OURS} entry 0x1043 address 2 {CLIENT} mask 2 255.255.0.0 broadcast 2 10.77.255.255 ",
        f"{OURS} entry 0x1043 address {CLIENT6}%0 mask ffff:ffff:ffff:ffff::%0 broadcast none ",
        f"{OURS} entry 0x1043 address {LINK}%{index} mask ffff:ffff:ffff:ffff::%0 broadcast none ",
        f"{OURS} if_nameindex {index} {index} {OURS}",
    ]
    kept = "5a" * 24
    wanted = {
        "SIOCGIFADDR": "02000000" + ipaddress.ip_address(CLIENT).packed.hex() + "00" * 8,
        "SIOCGIFNETMASK": "02000000ffff0000" + "00" * 8,
        "SIOCGIFBRDADDR": "020000000a4dffff" + "00" * 8,
        "SIOCGIFFLAGS": "4310",
        "SIOCGIFHWADDR": "0100" + mac,
        "SIOCGIFMTU": (1500).to_bytes(4, "little").hex(),
        "SIOCGIFINDEX": index.to_bytes(4, "little").hex(),
        "SIOCGIFMETRIC": "00" * 4,
        "SIOCGIFTXQLEN": "00" * 4,
    }
    asked = [line.split()[1:] for line in ours if " SIOCGIF" in line]
    as_usual = [line.split()[1:] for line in kernel if line.startswith("lo SIOCGIF") and "CONF" not in line]
    assert [words[:3] for words in asked] == [words[:3] for words in as_usual]
    for name, status, _, value, *rest in asked:
        answer = wanted[name] if status == "0" else ""
        assert (value, rest) == (answer + kept[len(answer) :], ["by", "syscall", "too"]), name
    assert ours[-1] == f"{OURS} in configuration  2 {CLIENT}"


PYTHON = """
import fcntl, json, psutil, socket, struct, threading
socket.socket().close()
found = []
def ask():
    found.append(socket.if_nameindex())
threads = [threading.Thread(target=ask) for _ in range(8)]
[t.start() for t in threads], [t.join() for t in threads]
assert all(f == found[0] for f in found), found
names = {name: index for index, name in found[0]}
with socket.socket(socket.AF_UNIX) as sock:
    def asked(request, value=b"", name=b"catnip0"):
        return fcntl.ioctl(sock.fileno(), request, name.ljust(16, b"\\0") + value.ljust(24, b"\\0"))
    if "catnip0" in names:
        assert struct.unpack_from("i", asked(0x8933), 16)[0] == names["catnip0"]
        assert asked(0x8910, struct.pack("i", names["catnip0"]), b"")[:16] == b"catnip0".ljust(16, b"\\0")
        assert struct.unpack_from("i", asked(0x8921), 16)[0] == 1500
        assert socket.if_nametoindex("catnip0") == names["catnip0"]
        assert socket.if_indextoname(names["catnip0"]) == "catnip0"
addresses = {n: [[a.family, a.address, a.netmask, a.broadcast] for a in of] for n, of in psutil.net_if_addrs().items()}
print(json.dumps([list(names), addresses]))
"""


def test_python_and_psutil(network):
    """All threads ask at once, before there is a network."""

    argv = [sys.executable, "-c", PYTHON]  # which has psutil
    names, addresses = json.loads(flap.run(argv).stdout)
    result = network.client(argv)
    assert result.status == 0, str(result)
    found, here = json.loads(result.stdout)
    assert found == [*names, OURS]
    ours = here.pop(OURS)
    assert here == addresses
    assert ours[0] == [2, CLIENT, "255.255.0.0", "10.77.255.255"]
    assert [10, CLIENT6, "ffff:ffff:ffff:ffff::", None] in ours and [family for family, *_ in ours if family == 17]


@pytest.mark.parametrize("libos", ["auto", "catnap"])
def test_elsewhere_there_is_none_and_nothing_is_started_for_it(libos):
    program = [flap.compiled("interfaces.c")]
    result = flap.run(program, libos)
    assert told(result) == told(flap.run(program)) and not result.log, str(result)


def test_without_its_device_there_is_no_interface():
    env = {"CATFLAP_DEVICE": "tap:nonsense0", "CATFLAP_ADDRESSES": ""}
    program = [flap.compiled("interfaces.c")]
    result = flap.run(program, "catnip", env=env, strict=False)
    assert told(result) == told(flap.run(program)) and "needs addresses" in result.log, str(result)
