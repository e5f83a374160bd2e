"""Debian's kernel for the guest: its package is fetched and unpacked into build/lab, and never installed."""

import os
import shutil
import subprocess
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDER = os.path.join(ROOT, "build", "lab", "linux")
PACKAGE = "linux-image-amd64"


def command(*argv, cwd=None):
    """The output of a program of Debian's; RuntimeError, in one line, when it is missing or fails."""
    try:
        done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        raise RuntimeError(f"{argv[0]} is missing: the kernel comes in a package of Debian's")
    if done.returncode:
        last = (done.stderr.strip() or f"status {done.returncode}").splitlines()[-1]
        raise RuntimeError(f"{' '.join(argv)}: {last} (is there a network, and was apt-get update run?)")
    return done.stdout


def fetched():
    """The folder with what the package holds (boot/vmlinuz-*, lib/modules/*), fetched where it is not there yet."""
    if not os.path.isdir(FOLDER):
        os.makedirs(os.path.dirname(FOLDER), exist_ok=True)
        with tempfile.TemporaryDirectory(dir=os.path.dirname(FOLDER)) as folder:
            depends = command("apt-cache", "depends", PACKAGE).split()
            command("apt-get", "download", "-q", next(name for name in depends if name.startswith("linux-image-6")),
                    cwd=folder)  # fmt: skip
            (package,) = os.listdir(folder)
            command("dpkg-deb", "-x", package, "linux", cwd=folder)
            shutil.rmtree(FOLDER, ignore_errors=True)
            os.rename(os.path.join(folder, "linux"), FOLDER)
    return FOLDER


def image():
    """Path of the kernel."""
    boot = os.path.join(fetched(), "boot")
    return os.path.join(boot, next(name for name in os.listdir(boot) if name.startswith("vmlinuz-")))


def modules():
    """Paths of all modules, by their names as insmod(8) and lsmod(8) say them."""
    found = {}
    for folder, _, names in os.walk(os.path.join(fetched(), "lib", "modules")):
        for name in names:
            if name.endswith(".ko"):
                found[name.removesuffix(".ko").replace("-", "_")] = os.path.join(folder, name)
    return found


def needs(path):
    """Names of the modules that the module at `path` says it needs (modinfo(8), "depends"); none that is built in."""
    with open(path, "rb") as file:
        content = file.read()
    # the section .modinfo is a row of NAME=VALUE, each with a zero behind it
    begin = content.index(b"\0depends=") + len(b"\0depends=")
    listed = content[begin : content.index(b"\0", begin)].decode()
    return [name.replace("-", "_") for name in listed.split(",") if name]


def loading_order(wanted):
    """Paths of the modules `wanted` and of all they need, each behind what it needs."""
    paths, order = modules(), {}

    def add(name):
        if name not in order:
            if name not in paths:
                raise RuntimeError(f"Debian's kernel in {FOLDER} has no module {name}")
            for other in needs(paths[name]):
                add(other)
            order[name] = paths[name]

    for name in wanted:
        add(name)
    return list(order.values())
