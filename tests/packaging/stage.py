"""stage.py FOLDER: a copy of the source tree there, with the C libraries and without one compiled module.

What is copied is what version control knows or would take, or everything in an unpacked sdist. FOLDER/build
stays: the tests keep their C programs there.
"""

import compileall
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# C, and needed in both modes; the note says which Python the host is for
NEEDED = (
    "interpose/libcatflap.so",
    "interpose/libcatflap_host.so",
    "interpose/libcatflap_host.txt",
    "libos/capi/libdemikernel.so",
    "libos/capi/libdemikernel_python.so",
    "libos/blocks/libcatflap_uring.so",
)
WHERE_BUILT = ("libos/fabric/libcatflap_fabric.so", "libos/devices/libcatflap_dpdk.so")  # where their libraries are

OTHERS = ("build/", "dist/", ".venv/", ".hypothesis/", ".pytest_cache/", ".ruff_cache/")


def files():
    """Paths of the tree's own files, below ROOT."""
    if not os.path.exists(os.path.join(ROOT, ".git")):
        found = (
            os.path.relpath(os.path.join(folder, name), ROOT) for folder, _, names in os.walk(ROOT) for name in names
        )
        return sorted(path for path in found if not path.startswith(OTHERS) and not path.endswith((".so", ".pyc")))
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    paths = os.fsdecode(listed.stdout).split("\0")
    return sorted(path for path in set(paths) if path and os.path.isfile(os.path.join(ROOT, path)))


def copy(paths, folder):
    """Copy files of the tree, by their paths below ROOT, to the same places below `folder`."""
    for path in paths:
        target = os.path.join(folder, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy2(os.path.join(ROOT, path), target)


def stage(folder):
    """Make the copy, in the place of an older one."""
    os.makedirs(folder, exist_ok=True)
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if name == "build":
            continue
        shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
    built = [name for name in WHERE_BUILT if os.path.exists(os.path.join(ROOT, name))]
    copy([*files(), *NEEDED, *built], folder)
    for package in ("libos", "interpose"):  # the host writes no bytecode
        compileall.compile_dir(os.path.join(folder, package), quiet=1)


if __name__ == "__main__":
    stage(os.path.abspath(sys.argv[1]))
