"""Finding a program as a shell does, and the few facts about its file that the launcher looks at before it starts it.

Standard library only, few imports: `catflap run` waits for this.
"""

import errno
import os
import stat

PT_INTERP = 3  # elf(5)
NOT_FOUND, NOT_EXECUTABLE = 127, 126  # exit statuses of shells


class Missing(Exception):
    """No such program, or not one that can be started; `status` is what a shell would exit with."""

    def __init__(self, status, why, remedy="check the name"):
        super().__init__(why)
        self.status = status
        self.remedy = remedy


def find(name, environ):
    """The file that execvp(3) would run for `name`: its path, or Missing."""
    if not name:
        raise Missing(NOT_FOUND, "no such file or directory")
    if "/" in name or environ.get("PATH") == "":
        refuse_unless_runnable(name)
        return name if "/" in name else "./" + name
    found = None
    for folder in environ.get("PATH", os.defpath).split(":"):
        path = os.path.join(folder, name) if folder else name
        try:
            mode = os.stat(path).st_mode
        except OSError:
            continue
        if stat.S_ISREG(mode) and os.access(path, os.X_OK, effective_ids=True):
            return path if "/" in path else "./" + path
        if not stat.S_ISDIR(mode):
            found = found or path
    if found:
        refuse_unless_runnable(found)
    raise Missing(NOT_FOUND, "not found in PATH", "check the name, or give a path with a slash")


def refuse_unless_runnable(path):
    """Missing when `path` is nothing that execve(2) takes."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise Missing(NOT_FOUND if error.errno == errno.ENOENT else NOT_EXECUTABLE, said(error))
    if stat.S_ISDIR(mode):
        raise Missing(NOT_EXECUTABLE, "is a directory", "give a program")
    if not os.access(path, os.X_OK, effective_ids=True):
        why = "permission denied" if stat.S_ISREG(mode) else "not a program"
        raise Missing(NOT_EXECUTABLE, why, "it needs execute permission (chmod +x)")


def said(error):
    """An OSError's reason in the middle of a sentence."""
    text = os.strerror(error.errno)
    return text[:1].lower() + text[1:]


def head(path, size=256):
    """The first bytes of a file; empty when it can't be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return b""
    try:
        return os.read(fd, size)
    except OSError:
        return b""
    finally:
        os.close(fd)


def shebang(start):
    """The words of a script's first line, as text: [interpreter] or [interpreter, argument]; empty for other files."""
    if not start.startswith(b"#!"):
        return []
    line = start[2:].split(b"\n", 1)[0].strip(b" \t")
    return [os.fsdecode(word.strip(b" \t")) for word in line.split(None, 1)]


def is_binary(start):
    """Shells refuse such a file instead of reading it as a script: a NUL before the first newline."""
    return b"\0" in start.split(b"\n", 1)[0]


def interpreter_of(path, environ):
    """The ELF file that runs when `path` is started: itself or the end of its #! lines; None if there is none."""
    for _ in range(5):  # the kernel follows no more than that
        start = head(path)
        if not start or start.startswith(b"\x7fELF"):
            return path
        words = shebang(start)
        if not words:
            return None if is_binary(start) else "/bin/sh"
        path = words[0]
        if os.path.basename(path) == "env" and len(words) > 1:
            path = program_of_env(words[1], environ) or path
    return None


def program_of_env(argument, environ):
    """The program that `env ARGUMENT` of a #! line runs, or None."""
    for word in argument.split():
        if word.startswith("-") or "=" in word:
            continue
        try:
            return find(word, environ)
        except Missing:
            return None
    return None


def quick_reason(path, environ):
    """Why the program at `path` can't be served, seen from its file's first bytes and its mode, or None."""
    path = interpreter_of(path, environ)
    start = head(path, 4096) if path else b""
    if len(start) < 64:
        return None
    if start[4] != 2 or start[18:20] != b"\x3e\0":  # ELFCLASS64, EM_X86_64
        return "it is no 64-bit x86 program"
    loader = loader_of(start)
    if loader == "":
        return "it is statically linked"
    if loader and "musl" in loader:
        return "it is built for musl, not glibc"
    if gains_privilege(path):
        return "it gains privileges (setuid, setgid or file capabilities), so its loader ignores LD_PRELOAD"
    return None


def loader_of(start):
    """The dynamic loader named in an ELF-64 file's first bytes; "" if none, None if they don't reach so far."""
    table, size, count = (int.from_bytes(start[a:b], "little") for a, b in ((32, 40), (54, 56), (56, 58)))
    if table + size * count > len(start):
        return None
    for at in range(table, table + size * count, size or 1):
        if int.from_bytes(start[at : at + 4], "little") == PT_INTERP:
            offset, length = (int.from_bytes(start[at + a : at + a + 8], "little") for a in (8, 32))
            return os.fsdecode(start[offset : offset + length].rstrip(b"\0")) or None
    return ""


def gains_privilege(path):
    """Would starting this file change our user, group or capabilities? Then the process is AT_SECURE (ld.so(8))."""
    status = os.stat(path)
    uid = os.getuid()
    gains = status.st_mode & stat.S_ISUID and status.st_uid != uid
    gains = gains or (status.st_mode & stat.S_ISGID and status.st_mode & stat.S_IXGRP and status.st_gid != os.getgid())
    if not gains and uid:
        try:
            gains = os.getxattr(path, "security.capability")
        except OSError:
            gains = False
    return bool(gains) and not privileges_ignored(path)


def privileges_ignored(path):
    """Does exec hand out no privileges here: a file system mounted nosuid, or a process with no_new_privs?"""
    if os.statvfs(path).f_flag & os.ST_NOSUID:
        return True
    with open("/proc/self/status") as file:
        return "NoNewPrivs:\t1" in file.read()
