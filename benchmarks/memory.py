"""Memory of some processes and of the kernel; the latter is the whole machine's, so it is to be a quiet one."""

import re

SYSTEM = {"Shmem": "shared memory", "Slab": "slab", "PageTables": "page tables", "Percpu": "per CPU"}


def fields(path):
    """{name: KiB} of a file in the form of /proc/meminfo."""
    with open(path) as f:
        return {name: int(kib) for name, kib in re.findall(r"^(\w+):\s+(\d+) kB", f.read(), re.M)}


def taken(pids):
    """{part: KiB}. Shared memory, mapped or not, is counted once: by /proc/meminfo, not in the processes' PSS."""
    parts = {"private": 0}
    for pid in pids:
        found = fields(f"/proc/{pid}/smaps_rollup")
        parts["private"] += found["Pss_Anon"] + found["Pss_File"]
    whole = fields("/proc/meminfo")
    return parts | {text: whole[name] for name, text in SYSTEM.items()}
