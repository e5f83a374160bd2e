"""What `catflap doctor PROGRAM` can tell from a program's file: whether the preload can work in it, and why not."""

import os
import re
import struct
import subprocess

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from shim import program
from shim.finding import BAD, OK, WARN, Finding

GO_SECTIONS = (".go.buildinfo", ".note.go.buildid", ".gopclntab")
GLIBC_LOADER = "ld-linux-x86-64.so.2"
ON_KERNEL = "it runs, on the kernel"


def examine(name, environ, python):
    """(findings about the program called `name`, its ELF file or None). `python`: (3, minor) of our host."""
    try:
        path = program.find(name, environ)
    except program.Missing as error:
        return [Finding("program", BAD, f"{name}: {error}.", "Give the name or path of an executable file.")], None
    findings = [Finding("program", OK, f"{name} is {os.path.realpath(path)}.")]
    target = program.interpreter_of(path, environ)
    if target is None:
        remedy = "Give a program for this machine."
        return [*findings, Finding("format", BAD, f"{path} is no ELF file and no script.", remedy)], None
    if target != path:
        findings.append(Finding("script", OK, f"It is a script; what runs is its interpreter {target}."))
        if not program.head(target).startswith(b"\x7fELF"):
            remedy = "Correct the #! line."
            return [*findings, Finding("format", BAD, f"The interpreter {target} can't be read.", remedy)], None
    try:
        with open(target, "rb") as file:
            findings += examine_elf(target, ELFFile(file), python)
    except Exception as error:  # a damaged file makes the ELF reader fail in any way there is
        why = str(error) or type(error).__name__
        remedy = "Look whether the file is damaged or can't be read from this account."
        findings.append(Finding("format", BAD, f"{target} can't be read as ELF: {why}.", remedy))
        return findings, None
    return findings, target


def examine_elf(path, elf, python):
    """Findings about one ELF program. The first that rules the preload out is the last that is looked for."""
    if elf.elfclass != 64 or elf["e_machine"] != "EM_X86_64":
        what = f"It is a {elf.elfclass}-bit program for {str(elf['e_machine']).removeprefix('EM_')}."
        return [Finding("machine", BAD, what, f"Use an x86-64 build; as it is, {ON_KERNEL}.")]
    go = any(elf.get_section_by_name(name) for name in GO_SECTIONS)
    loader = next((s.get_interp_name() for s in elf.iter_segments() if s["p_type"] == "PT_INTERP"), None)
    if go:
        remedy = f"None: Go calls the kernel without libc; {ON_KERNEL}."
        return [Finding("go", BAD, "It is a Go program and makes its system calls itself.", remedy)]
    if loader is None:
        remedy = f"Use a dynamically linked build; as it is, {ON_KERNEL}."
        return [Finding("linking", BAD, "It is statically linked: nothing can be preloaded.", remedy)]
    if "musl" in loader:
        remedy = f"Use a build for glibc; as it is, {ON_KERNEL}."
        return [Finding("libc", BAD, f"It uses musl ({loader}), not glibc.", remedy)]
    findings = [Finding("linking", OK, f"It is dynamically linked ({loader}).")]
    if os.path.basename(loader) != GLIBC_LOADER:
        findings.append(
            Finding("libc", WARN, f"Its loader {loader} is not glibc's.", "Check that it preloads anything.")
        )
    if program.gains_privilege(path):
        remedy = (
            f"Start it from an account that needs no privilege, or use a copy without the bits; as it is, {ON_KERNEL}."
        )
        what = "It is setuid, setgid or has file capabilities (AT_SECURE): its loader ignores LD_PRELOAD."
        findings.append(Finding("privilege", BAD, what, remedy))
    libraries = needed(path, loader)
    if any(name.startswith("libuv.so") for name in libraries) or os.path.basename(path) == "node":
        remedy = "Set UV_USE_IO_URING=0 in its environment."
        findings.append(Finding("io_uring", WARN, "libuv may use io_uring, which bypasses every preload.", remedy))
    elif any(name.startswith("liburing.so") for name in libraries):
        remedy = "Turn io_uring off in its configuration, if it can be."
        findings.append(Finding("io_uring", WARN, "It is linked with liburing, which bypasses every preload.", remedy))
    return findings + python_findings(path, elf, libraries, python)


def needed(path, loader):
    """Names of all libraries the program is linked with, direct or not, as its own loader lists them."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("LD_")}
    try:
        listed = subprocess.run(
            [loader, "--list", os.path.abspath(path)], capture_output=True, text=True, timeout=20, env=environ
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return [os.path.basename(line.split()[0]) for line in listed.stdout.splitlines() if line.split()]


def python_findings(path, elf, libraries, python):
    """What a Python inside the program means: the same minor version is shared, another rules Catflap's out."""
    theirs, visible = python_inside(elf, libraries)
    if theirs is None:
        return []
    version = ".".join(map(str, theirs)) if theirs != (0,) else "of unknown version"
    if python is None:
        return [
            Finding("python", WARN, f"It holds Python {version}; Catflap's own is unknown.", "Build Catflap first.")
        ]
    if theirs != python:
        ours = ".".join(map(str, python))
        remedy = f"Use a Catflap installed for Python {version} if it is 3.11 or later; as it is, {ON_KERNEL}."
        what = f"It holds Python {version} and Catflap is built for {ours}; two can't live in one process."
        return [Finding("python", BAD, what, remedy)]
    if not visible or not os.path.basename(os.path.realpath(path)).startswith("python"):
        remedy = "Let it start its Python first, or expect it to stay on the kernel."
        what = f"It embeds Python {version}; sockets made before that Python runs keep the program on the kernel."
        return [Finding("python", WARN, what, remedy)]
    return [Finding("python", OK, f"It is Python {version} itself; Catflap shares its interpreter.")]


def python_inside(elf, libraries):
    """((major, minor) of the Python in this program, are its names visible to others), or (None, False)."""
    for name in libraries:
        match = re.match(r"libpython(\d)\.(\d+)", name)
        if match:
            return (int(match[1]), int(match[2])), True
    for section, visible in ((".dynsym", True), (".symtab", False)):
        table = elf.get_section_by_name(section)
        if not isinstance(table, SymbolTableSection):
            continue
        for symbol in table.get_symbol_by_name("Py_GetVersion") or ():
            if symbol["st_shndx"] != "SHN_UNDEF":
                return version_inside(elf, table) or (0,), visible
    return None, False


def version_inside(elf, table):
    """(major, minor) by the symbol Py_Version (3.11 and later), else by the cache tag in the constants; or None."""
    for symbol in table.get_symbol_by_name("Py_Version") or ():
        for section in elf.iter_sections():
            offset = symbol["st_value"] - section["sh_addr"]
            if section["sh_addr"] and 0 <= offset < section["sh_size"] and section["sh_type"] == "SHT_PROGBITS":
                number = struct.unpack_from("<Q", section.data(), offset)[0]  # PY_VERSION_HEX
                return number >> 24 & 0xFF, number >> 16 & 0xFF
    constants = elf.get_section_by_name(".rodata")
    match = re.search(rb"cpython-(\d)(\d+)\0", constants.data()) if constants else None
    if match:
        return int(match[1]), int(match[2])
    return (2, 7) if constants and re.search(rb"\x002\.7\.\d+\+?\0", constants.data()) else None
