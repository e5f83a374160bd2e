"""Programs with a Python inside: of the same version it is shared once it runs, of another it rules Catflap out."""

import os
import re
import sys
import sysconfig

import flap
import pytest
import pythons
import served
from roles import SCRIPTS, every, patience, until

# not by name: every program of these has its own idea of sys.argv and of where the script is
TALK = f"import sys; sys.path.insert(0, {SCRIPTS!r}); sys.dont_write_bytecode = True; import pyhosts; "
CODE = (
    TALK + "print(pyhosts.talk(), [name for name in sys.modules if name in pyhosts.NAMES], flush=True); pyhosts.note()"
)
OTHERS = list(pythons.others().values())
# as old as Python 3.6
HELD = "import os, socket, sys, time; s = socket.socket(); s.bind(('127.0.0.1', 0))\n"
HELD += "s.connect(s.getsockname()); print('ready'); sys.stdout.flush()\n"
HELD += "for _ in range(1000):\n    if os.path.exists('GO'): break\n    time.sleep(0.02)\n"


def embedding():
    """Path of the program that embeds Python's shared library."""
    folders = [sysconfig.get_config_var("LIBDIR"), os.path.join(sys.base_prefix, "lib")]
    folders.append(os.path.join(folders[0], sysconfig.get_config_var("MULTIARCH") or ""))
    name = sysconfig.get_config_var("INSTSONAME")
    library = next(path for folder in folders if os.path.exists(path := os.path.join(folder, name)))
    return flap.compiled("embed.c", flags=["-Wl,--no-as-needed", library, f"-Wl,-rpath,{os.path.dirname(library)}"])


def ran(folder, pair, argv, strict=True):
    result = flap.run(argv, pair.server, pure=pair.pure, timeout=patience(pair, 40), cwd=folder, strict=strict)
    return (result.status, result.stdout, result.stderr), result.host, result.log


def embedded(folder, pair, times):
    answer, host, _ = ran(folder, pair, [embedding(), str(times), CODE])
    assert host[:1] == ["0" if pair.server == "kernel" else "1"], host
    return answer


@pytest.mark.parametrize("times", [1, 3])
@every(sample=True, mixed=False, catnip=False)
def test_embedded(agree, roles, times):
    """Started, ended and started anew: the second one's sockets are the kernel's."""
    status, output, errors = agree(embedded, roles, times)
    assert (status, errors) == (0, b"") and output.count(b" []\nfinalised 0\n") == times


@every(mixed=False, catnip=False)
def test_a_socket_before_its_python_runs(tmp_path, roles):
    argv = [embedding(), "1", CODE, "first"]
    expected = flap.run(argv, "kernel", cwd=tmp_path)
    answer, host, log = ran(tmp_path, roles, argv, strict=False)
    assert answer == (0, expected.stdout, b"") and host == ["0"]
    assert log.count("staying on the kernel: this program's own Python is not running yet\n") == 1, log


def in_gdb(folder, pair):
    (folder / "script.py").write_text(CODE)
    answer, host, _ = ran(folder, pair, [flap.need("gdb", "gdb"), "-nx", "-batch", "-x", str(folder / "script.py")])
    assert host == ["0" if pair.server == "kernel" else "1"], host
    return answer


@every(mixed=False, catnip=False)
def test_gdb(agree, roles):
    """Debian's gdb is linked with the shared library of Debian's Python."""
    if not re.search(r"libpython3\.%d\." % sys.version_info[1], os.popen(f"ldd {flap.need('gdb', 'gdb')}").read()):
        pytest.skip("gdb embeds another Python")
    status, output, errors = agree(in_gdb, roles)
    assert (status, errors) == (0, b"") and output.endswith(b" []\n")


def stays(program, folder):
    """On the kernel, by its log, its mappings and `catflap why`."""
    until(
        lambda: program.read("out").endswith(b"ready\n") or b" 0 0\n" in program.read("out"), "start", program=program
    )
    with open(f"/proc/{program.pid}/maps") as f:
        assert "libcatflap_host" not in f.read()
    assert served.process_reason(program.pid) == "CATFLAP_KERNEL_OTHER_PYTHON"
    assert program.log().count("staying on the kernel: another Python version lives in this process\n") == 1
    (folder / "GO").touch()
    result = program.wait(20)
    assert (result.status, result.stderr) == (0, b""), str(result)


@pytest.mark.parametrize("version", ["3.1", "3.110", "2.7", "4.11"])
@pytest.mark.parametrize("libos", ["catnap", "auto"])
def test_any_other_version_inside(tmp_path, libos, version):
    """Versions whose names begin as ours does, or end so, among them."""
    argv = [
        flap.compiled("embed.c", flags=["-rdynamic", f'-DFAKE="{version}.2"'], out=f"fake-{version}"),
        "1",
        "",
        "first",
    ]
    with flap.Program(argv, libos, cwd=tmp_path, strict=False) as program:
        stays(program, tmp_path)


@pytest.mark.skipif(not OTHERS, reason="no Python of another minor version is installed")
@pytest.mark.parametrize("python", OTHERS if flap.FULL else OTHERS[-1:], ids=os.path.basename)
@pytest.mark.parametrize("libos", ["catnap", "auto"])
def test_why_another_python_stays(tmp_path, libos, python):
    with flap.Program([python, "-c", HELD], libos, cwd=tmp_path, strict=False) as program:
        stays(program, tmp_path)
