"""The files that libfabric's `shm` provider has in /dev/shm, one for each endpoint: named so that it can be told whose
they are, and those of processes that were killed go away.
"""

import itertools
import os

FOLDER = "/dev/shm"
PREFIX = "catmint"
COUNT = itertools.count()


def started(pid):
    """When a process was started, in ticks since boot (proc(5)); None where it isn't running."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            words = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if words[0] in "ZX" else words[19]


def space():
    """The namespace in which our process number says anything (pid_namespaces(7))."""
    return os.stat("/proc/self/ns/pid").st_ino


def place():
    """Where endpoints of `shm` reach each other: this boot's files, and memory of processes that can be named. It looks
    at no keys, so that users are kept apart here.
    """
    with open("/proc/sys/kernel/random/boot_id") as file:
        boot = file.read().strip()
    return f"{boot}/{space()}/{os.stat(FOLDER).st_dev}/{os.geteuid()}"


def name():
    """A name for a new endpoint."""
    pid = os.getpid()
    return f"{PREFIX}-{space()}-{pid}-{started(pid)}-{next(COUNT)}{os.urandom(2).hex()}"


def of(name):
    """Paths of the files of an endpoint of that name, which is there."""
    return [os.path.join(FOLDER, file) for file in os.listdir(FOLDER) if file.partition(":")[0] == name]


def clean():
    """Remove the files of our user's processes that have run where we do, and do no more; how many there were."""
    removed = 0
    for file in os.listdir(FOLDER):
        words = file.partition(":")[0].split("-")
        if len(words) != 5 or words[0] != PREFIX or words[1] != str(space()) or not words[2].isdigit():
            continue
        path = os.path.join(FOLDER, file)
        try:
            if started(words[2]) != words[3] and os.stat(path).st_uid == os.geteuid():
                os.unlink(path)
                removed += 1
        except OSError:  # somebody else was faster
            pass
    return removed
