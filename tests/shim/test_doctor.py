"""`catflap doctor`: what it finds in programs made for the purpose, and on this machine."""

import json
import os
import shutil
import struct
import subprocess
import sys

import pytest

from shim import binary, doctor
from shim.finding import BAD, OK, WARN, Finding, worst

OURS = (3, 11)


@pytest.fixture
def build(tmp_path):
    """build(source, *flags, name="program") compiles a program."""

    def make(source="int main(void) { return 0; }", *flags, name="program"):
        (tmp_path / "source.c").write_text(source)
        path = tmp_path / name
        subprocess.run(["cc", "-o", path, tmp_path / "source.c", *map(str, flags)], check=True)
        return path

    return make


def states(path, python=OURS, environ=None):
    """{finding name: state} for a program."""
    findings, _ = binary.examine(str(path), os.environ if environ is None else environ, python)
    for finding in findings:
        assert finding.sentence.endswith(".") and (finding.state == OK or finding.remedy.endswith("."))
    return {finding.name: finding.state for finding in findings}


# --- programs ---


def test_ordinary_program(build):
    assert states(build()) == {"program": OK, "linking": OK}


@pytest.mark.parametrize("flag", ["-static", "-static-pie"])
def test_static(build, flag):
    assert states(build("int main(void) { return 0; }", flag))["linking"] == BAD


def test_go(build, tmp_path):
    program = build()
    (tmp_path / "info").write_bytes(b"\xff Go buildinf:")
    section = f".go.buildinfo={tmp_path / 'info'}"
    subprocess.run(["objcopy", "--add-section", section, program], check=True)
    assert states(program)["go"] == BAD


def test_musl(build):
    program = build()
    glibc, musl = b"/lib64/ld-linux-x86-64.so.2", b"/lib/ld-musl-x86_64.so.1\0\0\0"
    data = program.read_bytes()
    assert glibc in data and len(glibc) == len(musl)
    program.write_bytes(data.replace(glibc, musl))
    assert states(program)["libc"] == BAD


def test_other_loader(build):
    program = build()
    program.write_bytes(program.read_bytes().replace(b"ld-linux-x86-64.so.2", b"ld-other-x86-64.so.2"))
    assert states(program)["libc"] == WARN


def test_32_bit(tmp_path):
    program = tmp_path / "small"
    ident = b"\x7fELF\1\1\1" + bytes(9)
    program.write_bytes(ident + struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, 0, 0, 0, 0, 52, 32, 0, 40, 0, 0))
    program.chmod(0o755)
    assert states(program) == {"program": OK, "machine": BAD}


def test_other_machine(build):
    program = build()
    data = bytearray(program.read_bytes())
    data[18:20] = struct.pack("<H", 183)  # EM_AARCH64
    program.write_bytes(data)
    assert states(program) == {"program": OK, "machine": BAD}


def test_setuid(build):
    if os.geteuid() == 0:
        program = build()
        os.chown(program, 65534, 65534)
        program.chmod(0o4755)
    else:
        program = shutil.which("su")
    assert states(program)["privilege"] == BAD


def test_setuid_of_ones_own_is_no_matter(build):
    program = build()
    program.chmod(0o4755)
    assert "privilege" not in states(program)


@pytest.mark.parametrize("size", [4, 16, 63, 64, 100, 1000, 5000])
def test_cut_off_file_is_bad_not_a_traceback(build, size):
    program = build()
    program.write_bytes(program.read_bytes()[:size])
    assert BAD in states(program).values()


@pytest.mark.parametrize("at", range(16, 64, 2))
def test_damaged_header_is_no_traceback(build, at):
    program = build()
    data = bytearray(program.read_bytes())
    data[at : at + 2] = b"\xff\xff"
    program.write_bytes(data)
    states(program)


def test_missing_folder_and_text():
    assert states("/nowhere/program") == {"program": BAD}
    assert states("/") == {"program": BAD}


@pytest.mark.parametrize(
    "first,found",
    [
        ("#!{}", {"script": OK, "linking": OK}),
        ("#! {} -x", {"script": OK, "linking": OK}),
        ("#!/usr/bin/env program", {"script": OK, "linking": OK}),
        ("#!/usr/bin/env -S program -x", {"script": OK, "linking": OK}),
        ("#!/nowhere/interpreter", {"script": OK, "format": BAD}),
    ],
)
def test_script_is_followed_to_its_interpreter(build, tmp_path, first, found):
    program = build()
    script = tmp_path / "script"
    script.write_text(first.format(program) + "\n")
    script.chmod(0o755)
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    assert states(script, environ=environ) == {"program": OK, **found}
    outer = tmp_path / "outer"
    outer.write_text(f"#!{script}\n")
    outer.chmod(0o755)
    assert states("outer", environ=environ) == {"program": OK, **found}


def test_script_that_is_its_own_interpreter(tmp_path):
    script = tmp_path / "script"
    script.write_text(f"#!{script}\n")
    script.chmod(0o755)
    assert BAD in states(script).values()


PYTHON = """
const char *Py_GetVersion(void) { return tag; }
int main(void) { return 0; }
"""


@pytest.mark.parametrize(
    "declaration,name,state",
    [
        ("const unsigned long Py_Version = 0x030b02f0; const char tag[] = {0};", "python3.11", OK),
        ("const unsigned long Py_Version = 0x030b02f0; const char tag[] = {0};", "editor", WARN),
        ("const unsigned long Py_Version = 0x030c01f0; const char tag[] = {0};", "python3.12", BAD),
        ('const char tag[] = "cpython-39";', "python3.9", BAD),
        ('const char tag[] = "cpython-311";', "python3.11", OK),
        ('const char tag[] = "\\0" "2.7.18";', "python2.7", BAD),
        ("const char tag[] = {0};", "python", BAD),
    ],
)
@pytest.mark.parametrize("export", [True, False])
def test_python_inside(build, declaration, name, state, export):
    program = build(declaration + PYTHON, *(["-rdynamic"] if export else []), name=name)
    expected = WARN if state == OK and not export else state
    assert states(program)["python"] == expected


def test_python_that_is_linked_with(build, tmp_path):
    for minor, state in ((9, BAD), (11, WARN)):
        library = build("int f(void) { return 0; }", "-shared", "-fPIC", f"-Wl,-soname,libpython3.{minor}.so.1.0",
                        name=f"libpython3.{minor}.so.1.0")  # fmt: skip
        # not linked with directly: through another library
        between = build("int f(void); int g(void) { return f(); }", "-shared", "-fPIC", library,
                        f"-Wl,-rpath,{tmp_path}", name="libbetween.so")  # fmt: skip
        program = build("int g(void); int main(void) { return g(); }", between, f"-Wl,-rpath,{tmp_path}")
        assert states(program)["python"] == state


def test_this_python_is_shared():
    assert states(os.path.realpath(sys.executable), sys.version_info[:2])["python"] == OK


def test_libuv(build, tmp_path):
    library = build("int f(void) { return 0; }", "-shared", "-fPIC", "-Wl,-soname,libuv.so.1", name="libuv.so.1")
    program = build("int f(void); int main(void) { return f(); }", library, f"-Wl,-rpath,{tmp_path}")
    assert states(program)["io_uring"] == WARN


# --- this machine ---


def test_this_installation_is_sound(catflap):
    done = catflap("doctor", "--json")
    document = json.loads(done.stdout)
    assert document["worst"] in (OK, WARN), [f for f in document["findings"] if f["state"] == BAD]
    assert done.returncode == 0 and done.stderr == ""
    found = {finding["name"]: finding for finding in document["findings"]}
    assert found["boot"]["state"] == found["boot-python"]["state"] == OK
    version = ".".join(map(str, sys.version_info[:2]))
    mode = "interpreted" if os.environ.get("CATFLAP_PURE", "0") not in ("", "0") else doctor.built_mode()
    assert found["boot"]["sentence"].endswith(f"Python {version} {mode}.")
    for finding in document["findings"]:
        assert finding["about"] == "machine" and finding["sentence"].endswith(".")
        assert finding["state"] == OK or finding["remedy"].endswith(".")


def test_bad_program_ends_with_1(catflap, build):
    program = build("int main(void) { return 0; }", "-static")
    done = catflap("doctor", program)
    assert done.returncode == 1 and "statically linked" in done.stdout
    document = json.loads(catflap("doctor", "--json", program).stdout)
    assert document["worst"] == BAD and document["program"] == str(program)
    assert {f["about"] for f in document["findings"]} == {"machine", "program"}


def test_unbuilt_installation_says_so(catflap, tmp_path):
    for package in ("shim", "libos"):
        shutil.copytree(os.path.join(catflap.root, package), tmp_path / package, ignore=shutil.ignore_patterns("*.so"))
    (tmp_path / "interpose").mkdir()
    done = catflap("doctor", "--json", root=tmp_path)
    found = {f["name"]: f["state"] for f in json.loads(done.stdout)["findings"]}
    assert done.returncode == 1
    assert found["library"] == found["abi"] == found["boot"] == found["python"] == BAD and found["mode"] == WARN


def test_host_that_does_not_boot_is_bad(tmp_path, monkeypatch):
    """A library that is there and does nothing: the program ends well, and no Python ran in it."""
    (tmp_path / "empty.c").write_text("int catflap_nothing;\n")
    subprocess.run(["cc", "-shared", "-o", tmp_path / "libcatflap.so", tmp_path / "empty.c"], check=True)
    monkeypatch.setattr(doctor.run, "LIBRARY", str(tmp_path / "libcatflap.so"))
    finding = doctor.boot("boot", ["/bin/true"])
    assert finding.state == BAD and "nothing in the log" in finding.sentence
    finding = doctor.boot("boot", ["/bin/sh", "-c", "echo 'catflap: a reason' >$CATFLAP_LOG; kill -9 $$"])
    assert finding.state == BAD and "ended with -9; a reason." in finding.sentence


def test_configuration_is_checked(catflap, tmp_path):
    config = tmp_path / "c.toml"
    config.write_text('[[rule]]\nprogram = "sh*"\naddress = "*:80"\nlibos = "catnap"\nx = 1\n')
    environ = catflap.environ(CATFLAP_CONFIG=config)
    done = catflap("doctor", "--json", env=environ)
    found = {f["name"]: f for f in json.loads(done.stdout)["findings"]}
    assert done.returncode == 1 and "unknown key 'x'" in found["configuration"]["sentence"]
    config.write_text('[[rule]]\nprogram = "*sh"\nlibos = "catnap"\n')
    found = {f["name"]: f for f in json.loads(catflap("doctor", "--json", "sh", env=environ).stdout)["findings"]}
    assert found["libos"]["sentence"] == "Its libOS is catnap."


def test_replaced_library_in_a_running_program(tmp_path):
    from shim import run

    copy = tmp_path / "libcatflap.so"
    shutil.copy(run.LIBRARY, copy)
    environ = {**os.environ, "LD_PRELOAD": str(copy)}
    process = subprocess.Popen(["cat"], env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        process.stdin.write(b"up\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"up\n"
        copy.unlink()
        finding = doctor.outdated()
        assert finding.state == WARN and f"({process.pid})" in finding.sentence
    finally:
        process.communicate()


def test_pure_mode_is_said(catflap):
    document = json.loads(catflap("doctor", "--json", env=catflap.environ(CATFLAP_PURE="1")).stdout)
    found = {f["name"]: f for f in document["findings"]}
    assert found["mode"]["state"] == WARN and found["boot"]["sentence"].endswith("interpreted.")


def test_worst():
    assert worst([]) == OK
    assert worst([Finding("a", OK, "x."), Finding("a", WARN, "x.", "y.")]) == WARN
    assert worst([Finding("a", BAD, "x.", "y."), Finding("a", WARN, "x.", "y.")]) == BAD
