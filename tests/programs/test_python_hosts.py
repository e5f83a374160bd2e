"""Programs that are a Python of the version Catflap was built for: it lives in their interpreter, and they see nothing.

Whatever each script prints, on stderr too, is what it prints on the kernel.
"""

import os
import re
import subprocess

import flap
import pytest
import pythons
from roles import SCRIPTS, every, patience, until
from upgrades import carried

SCRIPT = os.path.join(SCRIPTS, "pyhosts.py")
NAMES = ("libos", "interpose", "shim", "_catflap_host", "cffi", "_cffi_backend")
HOSTS = pythons.alike()
CASES = "seen standard mangled patched deep traced capsule subinterpreters ending together timeouts".split()
OPTIONS = {
    "isolated": ["-I", "-S", "-E"],
    "dev": ["-X", "dev", "-X", "tracemalloc=5", "-X", "faulthandler"],
    "strict": ["-W", "error", "-bb"],
}


@pytest.fixture(scope="session")
def hosts(tmp_path_factory):
    """{name: path} of Pythons of this version, with a virtual environment of each."""
    found = dict(HOSTS)
    for name, python in HOSTS.items():
        folder = tmp_path_factory.mktemp("venv") / name
        subprocess.run([python, "-m", "venv", "--without-pip", folder], check=True, stdin=subprocess.DEVNULL)
        found[f"{name}-venv"] = str(folder / "bin" / "python")
    return found


def clashes(folder, *names):
    """Modules of these names in a folder, which know their names."""
    for name in names:
        (folder / f"{name}.py").write_text(f"NAME = 'the program has {name}'\n")


def ran(folder, pair, python, case, options=(), env=None, libos=None):
    """One case to its end. It must have been under Catflap."""
    argv = [python, *options, SCRIPT, case]
    settings = {"PYTHONDONTWRITEBYTECODE": "1", **(env or {})}
    limit = patience(pair, 40)
    result = flap.run(argv, libos or pair.server, pure=pair.pure, timeout=limit, env=settings, cwd=folder)
    assert result.host == ["0" if pair.server == "kernel" else "1"], str(result)
    text = re.sub(rb"0x[0-9a-f]+", b"0x", result.stdout)
    return result.status, text.replace(os.fsencode(folder), b"FOLDER"), result.stderr


def session(folder, pair, python, case, options=()):
    env = {}
    if case == "standard":
        clashes(folder, "ctypes", "resource")
        env = {"PYTHONPATH": str(folder)}
    return ran(folder, pair, python, case, options, env)


@pytest.mark.parametrize("case", CASES)
@every(sample=True, mixed=False, catnip=False)
def test_a_program_sees_nothing(agree, roles, case):
    status, output, errors = agree(session, roles, pythons.same(), case)
    assert (status, errors) == (0, b"") and output


@pytest.mark.parametrize("case", ["seen", "standard", "mangled", "ending", "subinterpreters"])
@pytest.mark.parametrize("name", [*HOSTS, *(f"{name}-venv" for name in HOSTS)])
@every(mixed=False, catnip=False)
def test_every_python_of_the_version(agree, roles, hosts, name, case):
    """Debian's, whose interpreter is in the program; pyenv's, in a shared library; and their environments."""
    assert agree(session, roles, hosts[name], case)[0] == 0


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("case", ["seen", "ending", "together"])
@every(mixed=False, catnip=False)
def test_options(agree, roles, case, options):
    assert agree(session, roles, pythons.same(), case, tuple(options))[0] == 0


def test_daemon_threads_at_the_end(tmp_path):
    """Which of them are where differs from run to run, so only the end is looked at."""
    for libos in ("kernel", "catnap", "auto"):
        result = flap.run([pythons.same(), SCRIPT, "daemons"], libos, timeout=30)
        assert (result.status, result.stdout, result.stderr) == (0, b"end\n", b""), str(result)


def named(folder, pair, case, place):
    """Modules named as ours, in the current folder, on PYTHONPATH, or beside the script."""
    clashes(folder, *NAMES)
    if place == "PYTHONPATH":
        return ran("/", pair, pythons.same(), case, env={"PYTHONPATH": str(folder)})
    script = f"import sys; sys.path.insert(0, ''); sys.argv = ['x', '{case}']; exec(open({SCRIPT!r}).read())"
    env = {"PYTHONDONTWRITEBYTECODE": "1"}
    argv = [pythons.same(), "-c", f"__file__ = {SCRIPT!r}; {script}"]
    result = flap.run(argv, pair.server, pure=pair.pure, timeout=patience(pair, 40), env=env, cwd=folder)
    assert result.host == ["0" if pair.server == "kernel" else "1"], str(result)
    return result.status, result.stdout, result.stderr


@pytest.mark.parametrize("place", ["PYTHONPATH", "current folder"])
@pytest.mark.parametrize("case", ["before", "after"])
@every(sample=True, mixed=False, catnip=False)
def test_modules_of_the_program_with_our_names(agree, roles, case, place):
    status, output, errors = agree(named, roles, case, place)
    assert (status, errors) == (0, b"") and output.count(b"the program has") == (12 if case == "before" else 6)


def customised(folder, pair, case):
    """sitecustomize opens the first socket, while the interpreter is not ready yet; PYTHONHOME is set."""
    clashes(folder, "libos", "interpose")
    (folder / "sitecustomize.py").write_text(
        f"import sys; sys.path.insert(0, {SCRIPTS!r})\nimport pyhosts\nprint('early', pyhosts.talk(), flush=True)\n"
    )
    prefix = os.path.dirname(os.path.dirname(pythons.same()))
    return ran(folder, pair, pythons.same(), case, env={"PYTHONPATH": str(folder), "PYTHONHOME": prefix})


@every(mixed=False, catnip=False)
def test_sitecustomize(agree, roles):
    status, output, errors = agree(customised, roles, "seen")
    assert (status, errors) == (0, b"") and output.startswith(b"early ")


@pytest.mark.parametrize("name", HOSTS)
def test_its_connections_are_upgraded(tmp_path, name):
    """All of the above says nothing if it was the kernel that carried the bytes."""
    with flap.Program([HOSTS[name], SCRIPT, "held"], "auto", cwd=tmp_path, timeout=40) as program:
        until(lambda: carried(program) > 100, "bytes in rings", program=program)
        (tmp_path / "GO").touch()
        result = program.wait(20)
    assert (result.status, result.stdout, result.stderr, result.host) == (0, b"gone\n", b"", ["1"]), str(result)


@pytest.mark.parametrize("libos", ["catnap", "auto"])
def test_what_is_to_be_seen_all_the_same(tmp_path, libos):
    """The rows of docs/differences.md about a program that is a Python."""
    argv = [pythons.same(), SCRIPT, "internals"]
    expected = flap.run(argv, "kernel", cwd=tmp_path)
    assert expected.stdout == b"types False\nallocations False\nevents False\natexit 0\n", str(expected)
    result = flap.run(argv, libos, cwd=tmp_path)
    assert result.stdout == b"types True\nallocations True\nevents True\natexit 1\n", str(result)


def processes(folder, pair, method):
    argv = [pythons.same(), os.path.join(SCRIPTS, "pyfamily.py"), method]
    result = flap.run(argv, pair.server, pure=pair.pure, timeout=patience(pair, 60), cwd=folder)
    return result.status, result.stdout, result.stderr  # its resource tracker may end a little later


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@every(mixed=False, catnip=False)
def test_multiprocessing(agree, roles, method):
    status, output, errors = agree(processes, roles, method)
    assert (status, errors) == (0, b"") and output.count(b"\n") == 7
