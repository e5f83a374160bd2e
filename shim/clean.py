"""`catflap clean`: what killed processes have left behind. Memory and abstract sockets go with their owners.

What remains: folders of `catflap doctor` and of the linter, and half-linked libraries, whose makers were killed.
"""

import glob
import os
import re
import shutil
import tempfile
import time

import psutil

from shim import run

FOLDER = re.compile(r"catflap-[a-z0-9_]{8}")  # as tempfile names them
OURS = re.compile(r"proof|log|hook\.py|host\.c(\.new)?|libcatflap(_host)?\.(so|txt)(\.\d+)?")
IN_USE = 600  # seconds that a maker may be at work on its folder; doctor takes at most 30


def left_over():
    """Paths of what nobody uses any more, of this user."""
    found = []
    for path in glob.glob(os.path.join(tempfile.gettempdir(), "catflap-*")):
        if FOLDER.fullmatch(os.path.basename(path)) and abandoned(path):
            found.append(path)
    for path in glob.glob(os.path.join(os.path.dirname(run.LIBRARY), "libcatflap*.so.*")):
        maker = path.rpartition(".")[2]
        if maker.isdecimal() and not psutil.pid_exists(int(maker)) and os.stat(path).st_uid == os.geteuid():
            found.append(path)
    return sorted(found)


def abandoned(path):
    """Whether a folder is ours, holds nothing but what we write, and has not been touched for long."""
    try:
        status = os.lstat(path)
        if not os.path.isdir(path) or os.path.islink(path) or status.st_uid != os.geteuid():
            return False
        return time.time() - status.st_mtime > IN_USE and all(OURS.fullmatch(name) for name in os.listdir(path))
    except OSError:
        return False


def remove(path):
    """ "" when it is gone, else why it is not."""
    try:
        shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        return os.strerror(error.errno)
    return ""


def sockets():
    """[(abstract name, process or None, program)] of the bells and meetings of processes that live."""
    found = set()
    for known in psutil.net_connections("unix"):
        if known.laddr.startswith("@catflap/"):
            try:
                found.add((known.laddr, known.pid, psutil.Process(known.pid).name() if known.pid else "?"))
            except psutil.Error:
                continue
    return sorted(found, key=str)
