"""A systemd service's hardening (systemd.exec(5)), each option by its means: what it leaves of Catflap, and the unit of
docs/services.md.
"""

import os
import re
import subprocess

import flap
import pytest
import pythons
from material import content
from roles import DEFAULT, every
from services import box, command, confined, echo, finish, leaf, numbers, reasons, talk, talker
from talkers import conversation
from upgrades import carried

from shim import why

DOCUMENT = os.path.join(flap.ROOT, "docs", "services.md")
UNIX, INET, INET6, NETLINK = "1", "2", "10", "16"
FAMILIES = {"AF_UNIX": UNIX, "AF_INET": INET, "AF_INET6": INET6, "AF_NETLINK": NETLINK}
USER = 61234  # as of DynamicUser: nobody has ever heard of it


def allowed(group):
    """Names of the system calls of a group of systemd's."""
    words = [flap.need("systemd-analyze", "systemd"), "syscall-filter", group]
    found, text = [], subprocess.run(words, capture_output=True, text=True, check=True).stdout
    for line in map(str.strip, text.splitlines()[1:]):
        if line.startswith("@"):
            found += allowed(line)
        elif line and not line.startswith("#"):
            found.append(line)
    return found


def means(option, value):
    """(words of confined.c, words of bwrap) that do what an option of a unit does; None for an unknown one."""
    families = ",".join(FAMILIES[name] for name in value.split() if name in FAMILIES)
    calls = numbers(*allowed(value)) if value.startswith("@") else ""
    known = {
        "NoNewPrivileges": (["nonewprivs"], []),
        "MemoryDenyWriteExecute": (["mdwe", "nowx"], []),
        "RestrictAddressFamilies": ([f"families={families}"], []),
        "SystemCallFilter": ([f"only={calls}"], []),
        "SystemCallErrorNumber": ([], []),  # it is how confined.c answers
        "User": ([f"user={USER}"], []),
        "DynamicUser": ([f"user={USER}"], []),
        "ProtectSystem": ([], ["--ro-bind", "/usr", "/usr"]),
        "PrivateTmp": ([], ["--unshare-ipc"]),
        "PrivateDevices": ([], ["--unshare-uts"]),
        "ProtectHome": ([], ["--tmpfs", "/root"]),
    }
    return known.get(option)


OPTIONS = [
    ("NoNewPrivileges", "yes"),
    ("MemoryDenyWriteExecute", "yes"),
    ("RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6 AF_NETLINK"),
    ("SystemCallFilter", "@system-service"),
    ("DynamicUser", "yes"),
    ("ProtectSystem", "strict"),
]


@every(mixed=False, catnip=False)
@pytest.mark.parametrize(("option", "value"), OPTIONS, ids=[name for name, _ in OPTIONS])
def test_an_option(agree, roles, option, value):
    filters, mounts = means(option, value)
    room = [*box(*mounts)] if mounts else confined(*filters)
    agree(lambda folder, pair: talk(pair, room, room), roles)


def unit():
    """The lines of the documented unit's service section, as (name, value)."""
    with open(DOCUMENT) as f:
        text = re.search(r"```ini\n(\[Unit\].*?)```", f.read(), re.S).group(1)
    return text, re.findall(r"^(\w+)=(.*)$", text.partition("[Service]")[2], re.M)


@every(mixed=False, catnip=False)
def test_the_documented_unit(agree, roles):
    """All its options at once, in front of both ends."""
    filters, mounts = [], []
    for option, value in unit()[1]:
        if option not in ("ExecStart", "Environment", "WantedBy", "Restart"):
            words, binds = means(option, value)
            filters += words
            mounts += binds
    assert len(filters) >= 5 and mounts
    room = [*box(*mounts), *confined(*filters)]
    agree(lambda folder, pair: talk(pair, room, room), roles)


def test_the_documented_unit_is_one(tmp_path):
    """systemd reads it without a complaint."""
    verify = [flap.need("systemd-analyze", "systemd"), "verify"]
    text = re.sub(r"^ExecStart=\S+", "ExecStart=/usr/bin/env", unit()[0], flags=re.M)
    path = tmp_path / "flap-documented.service"
    path.write_text(text)
    done = subprocess.run([*verify, str(path)], capture_output=True, text=True, timeout=60)
    # the machine's own units may have faults of their own
    complaints = [line for line in (done.stdout + done.stderr).splitlines() if "flap-documented" in line]
    assert not complaints, complaints
    path.write_text(text.replace("PrivateTmp=", "PrivateTemp="))
    done = subprocess.run([*verify, str(path)], capture_output=True, text=True, timeout=60)
    assert "PrivateTemp" in done.stderr


# what a filter takes away that rings need: the bytes go by the kernel, and the reason is said
TAKEN = {
    "netlink": [f"families={UNIX},{INET},{INET6}"],
    "unix": [f"families={INET},{INET6},{NETLINK}"],
    "internet alone": [f"families={INET}"],
    "memory": [f"deny={numbers('memfd_create')}"],
}


@pytest.mark.parametrize("what", TAKEN)
@pytest.mark.parametrize("which", ["server", "client"])
def test_what_a_filter_takes_away(what, which):
    room, free = confined(*TAKEN[what]), ()
    server, client = (room, free) if which == "server" else (free, room)
    reason = "CATFLAP_KERNEL_SECCOMP"
    told = (reason,) if which == "server" else ("meeting", reason)
    talk(DEFAULT["auto"], server, client, rings=False, why=told, data=content(60_000))


def test_a_filter_that_takes_memory_away_is_the_processs_reason():
    pair = DEFAULT["auto"]
    with echo(pair) as (program, port), talker(pair, port, confined(*TAKEN["memory"])) as speaker:
        conversation(pair, speaker, content(6000), program, rings=False)
        about = why.document(str(leaf(speaker)))
        assert (about["state"], about["name"]) == ("off", "CATFLAP_KERNEL_SECCOMP")


def test_calls_that_can_be_missed():
    """Forbidden, these only cost what they are for: looking after processes that were killed, and given-back memory."""
    spared = numbers(
        "pidfd_open", "process_vm_readv", "process_vm_writev", "membarrier", "sched_yield", "madvise", "kcmp"
    )
    room = confined(f"deny={spared}")
    talk(DEFAULT["auto"], room, room)


@pytest.mark.parametrize("users", [(USER, USER), (USER, USER + 1)])
def test_users(users):
    """Dynamic users differ from service to service: one user for both ends, or the kernel."""
    server, client = (confined(f"user={user}") for user in users)
    same = users[0] == users[1]
    talk(DEFAULT["auto"], server, client, rings=same, why=() if same else ["CATFLAP_KERNEL_PEER_UID"] * 2)


def test_without_an_environment():
    room = ["/usr/bin/env", "-i", "PATH=/usr/bin:/bin"]
    talk(DEFAULT["auto"], room, room)


HANDED = """
import socket
connection, _ = socket.socket(fileno=3).accept()
while data := connection.recv(65536): connection.sendall(data)
"""


def test_a_socket_that_the_manager_made():
    """Passed on at the start, it is the kernel's, and so is what is accepted from it."""
    port = flap.free_port()
    words = [*confined(f"fd={port}"), *command("auto"), pythons.same(), "-c", HANDED]
    with flap.Program(words) as program, talker(DEFAULT["auto"], port) as speaker:
        conversation(DEFAULT["auto"], speaker, content(60_000), program, rings=False)
        assert carried(program) == carried(speaker) == 0
        assert reasons(program) == {"inherited"}
        finish(speaker, program)
