"""Which Pythons of this machine can host Catflap and which can't."""

import glob
import os
import re
import subprocess
import sys


def same():
    """Path of the Python that Catflap was built for, outside of any virtual environment."""
    path = os.path.join(sys.base_prefix, "bin", "python{}.{}".format(*sys.version_info))
    assert os.path.exists(path), f"{path} is missing"
    return path


def others():
    """{(3, minor): path} of the Pythons of other minor versions in PATH and in pyenv's folders, lowest first."""
    folders = [*os.get_exec_path(), *glob.glob(os.path.expanduser("~/.pyenv/versions/*/bin"))]
    found = {}
    for folder in folders:
        for path in sorted(glob.glob(os.path.join(folder, "python3.*"))):
            name = re.fullmatch(r"python3\.(\d+)", os.path.basename(path))
            if name and (version := (3, int(name.group(1)))) != sys.version_info[:2]:
                if runs(path):
                    found.setdefault(version, path)
    return dict(sorted(found.items()))


def runs(path):
    """Whether a Python starts: a name in PATH may be a stand-in for one that isn't chosen."""
    result = subprocess.run([path, "-S", "-c", ""], stdin=subprocess.DEVNULL, capture_output=True)
    return result.returncode == 0


def alike():
    """{name: path} of the Pythons of our minor version: the one Catflap was built with, and pyenv's."""
    found = {"built": same()}
    name = "python{}.{}".format(*sys.version_info)
    for path in sorted(glob.glob(os.path.expanduser(f"~/.pyenv/versions/*/bin/{name}"))):
        if os.path.realpath(path) != os.path.realpath(same()) and not os.path.islink(path) and runs(path):
            found.setdefault("pyenv", path)
    return found
