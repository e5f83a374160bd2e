"""`catflap why PID[:FD]`: is a descriptor accelerated, and if not, why, and what to do about it."""

import os
import re

import psutil

from shim import binary, doctor, inside, reasons, run
from shim.connections import Snapshot
from shim.finding import BAD


def wanted(text):
    """(process, descriptor or None) of PID or PID:FD. Raises Refused."""
    match = re.fullmatch(r"([1-9]\d{0,9})(?::(\d{1,9}))?", text, re.A)
    if not match:
        raise run.Refused(f"why {text}", "neither PID nor PID:FD", "give a process id, as 'pgrep -a NAME' lists them")
    return int(match[1]), int(match[2]) if match[2] else None


def document(text):
    """What `--json` prints: the process as a whole, then its descriptors. Raises Refused."""
    pid, fd = wanted(text)
    try:
        process = inside.Process(pid)
        try:
            links = process.descriptors()
            about = {"pid": pid, "program": process.program, **whole(process, links)}
        finally:
            process.close()
        rows = Snapshot(only=pid).connections if process.preload else []
        if about["state"] == "cold" and rows:
            about["meaning"], about["remedy"] = cold(rows)
    except inside.Unreadable as error:
        raise run.Refused(f"why {text}", str(error), error.remedy)
    if fd is not None:
        if fd not in links:
            raise run.Refused(f"why {text}", f"the process has no descriptor {fd}", f"see 'ls -l /proc/{pid}/fd'")
        if not inside.protocol(pid, fd):
            what = f"descriptor {fd} is no TCP or UDP socket but {links[fd]}, the kernel's"
            raise run.Refused(f"why {text}", what, f"'catflap why {pid}' for those that are")
        rows = [row for row in rows if row.fd == fd]
        if process.preload and not rows:
            what = f"descriptor {fd} is none of the program's but one of Catflap's own"
            raise run.Refused(f"why {text}", what, f"'catflap why {pid}' for those that are")
    return {**about, "descriptors": [described(row, process) for row in rows]}


def cold(rows):
    """What it means that Catflap has not started in a process that has sockets, and what to do."""
    states = {row.state for row in rows}
    if states & {"young", "unconnected", "listening"}:
        what = "Catflap has not started in it yet: no socket of its own has been used enough"
        return what, reasons.explain("young")[1]
    if "inherited" in states:
        what = "Catflap sees none of its sockets: they were made by system calls of its own, as in Go, or inherited"
        return what, "nothing: the kernel serves them"
    return "Catflap has not started in it: all its sockets are the kernel's", "nothing: each of them has its reason"


def described(row, process):
    """A connection with its meaning, what to do, and the program at its other end."""
    meaning, remedy = reasons.explain(row.state, row.code)
    if row.state == "young" and process.settings():
        meaning = f"{meaning} (worth: {process.settings().worth} reads and writes)"
    if row.tcp:
        meaning = f"{meaning} ({row.tcp})"
    peer = ""
    if row.peer:
        try:
            peer = psutil.Process(row.peer).name()
        except psutil.Error:
            peer = "?"
    return {**row.as_dict(), "peer_program": peer, "meaning": meaning, "remedy": remedy}


def whole(process, links):
    """What is true of every descriptor of a process: libOS, host state, a reason code, what it means, what to do."""
    if not process.preload:
        return {"libos": "kernel", "state": "outside", "code": 0, "name": "", **outside(process)}
    settings = process.settings()
    state, code, meaning, remedy = process.host_state(), 0, "", ""
    if "anon_inode:[io_uring]" in links.values():
        code = reasons.IO_URING
    elif state == "off":
        code = process.kernel_reason()
    elif state in ("cold", "booting"):
        meaning = "Catflap has not started in it yet: it has made no TCP socket so far"
        remedy = "nothing: the first one starts it"
    elif state == "dead":
        meaning, remedy = "it is ending, or was forked where Catflap could not follow", "nothing: the kernel serves it"
    if code:
        meaning, remedy = reasons.explain("", code)
    name = reasons.name(code) if code else ""
    libos = settings.libos if settings else "unknown"
    return {"libos": libos, "state": state, "code": code, "name": name, "meaning": meaning, "remedy": remedy}


def outside(process):
    """Why there is no preload in a process, and what to do."""
    if not process.text("maps"):
        return {"meaning": "it has ended, or is a thread of the kernel", "remedy": "nothing"}
    if process.secure():
        what = "it gained privileges when it was started (AT_SECURE), and its loader ignored LD_PRELOAD"
        return {"meaning": what, "remedy": "start it from an account that needs no privilege"}
    built = doctor.built_for()
    findings, _ = binary.examine(f"/proc/{process.pid}/exe", os.environ, built[0] if built else None)
    for finding in findings:
        if finding.state == BAD and finding.name != "privilege":
            sentence, remedy = (text[:1].lower() + text[1:].rstrip(".") for text in (finding.sentence, finding.remedy))
            return {"meaning": sentence, "remedy": remedy}
    if "libcatflap.so" in process.environ().get("LD_PRELOAD", ""):
        return {"meaning": "LD_PRELOAD names Catflap, but its loader did not take it", "remedy": "see 'catflap doctor'"}
    return {"meaning": "it was started without Catflap", "remedy": "start it with 'catflap run'"}
