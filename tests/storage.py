"""Programs whose files have a volume of Cattree, and power cuts for them."""

import os

from interpose import restoring
from libos.journals import Journals
from libos.runtime.memory import Heap


def variables(volume, folder):
    """What the environment of such a program has."""
    return {"CATFLAP_STORAGE": f"cattree:{volume}", "CATFLAP_MOUNT": str(folder), "CATFLAP_VERBOSE": "1"}


def journals(volume):
    return Journals(str(volume), 0, Heap(64))


def kept(volume, folder):
    """[(path, from which byte on, the bytes)] of all journals whose files are still there."""
    there, found = journals(volume), []
    for number in there.filled():
        records = there.records(number)
        _, inode, birth, start, path = restoring.head_read(next(records))
        place = restoring.sought(os.fsencode(folder), path, inode, birth)
        if place is not None:
            found.append((os.fsdecode(place), start, b"".join(records)))
    there.close()
    return found


def power_cut(volume, folder, damage=os.truncate):
    """What no fsync has made durable in its own place is gone: `damage(path, start)`; then the machine comes up again.
    Returns how many files that was; what they said that they had given back is printed.
    """
    files = kept(volume, folder)
    for path, start, _ in files:
        damage(path, start)
    there = journals(volume)
    restoring.restore(there, os.fsencode(folder), "another boot", print)
    there.close()
    return len(files)
