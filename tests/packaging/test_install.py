"""What an sdist, a wheel and an installation hold, and that the installed command carries a program."""

import http.server
import os
import re
import subprocess
import sys
import tarfile
import threading
import venv

import flap
import pytest
import stage

import setup

HOOK = """
import sys
def install(instrument):
    def popped(qd, view):
        with open({seen!r}, "a") as file:
            print(len(view), sys.modules["interpose.entries"].__file__, file=file)
    instrument.install("pop", popped)
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of the tree's own files."""
    folder = tmp_path_factory.mktemp("source")
    stage.copy(stage.files(), folder)
    return folder


def test_sdist_has_everything(source, tmp_path):
    """An sdist can do what a checkout can: it has every file, and none that was built."""
    command = [sys.executable, "setup.py", "-q", "sdist", "--formats=tar", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0 and "Deprecat" not in done.stderr, done.stderr
    (archive,) = tmp_path.glob("catflap-*.tar")
    with tarfile.open(archive) as tar:
        held = {name.partition("/")[2] for name in tar.getnames()}
    assert set(stage.files()) <= held
    assert {f"csrc/{name}" for name in setup.PRELOAD_SOURCES} <= held
    assert not [name for name in held if name.endswith((".so", ".pyc"))]


def test_every_package_is_installed(source, tmp_path):
    """Each Python file below shim/, libos/ and interpose/ goes into a wheel."""
    command = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(tmp_path / "lib")]
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=100)
    built = {str(path.relative_to(tmp_path / "lib")) for path in (tmp_path / "lib").rglob("*.py")}
    assert built == {path for path in stage.files() if re.match(r"(shim|libos|interpose)/.*\.py$", path)}


def packages_that_tests_need():
    """Names of the Debian packages given to flap.need() anywhere in the tests."""
    names = set()
    for folder, _, files in os.walk(os.path.join(flap.ROOT, "tests")):
        for name in files:
            if name.endswith(".py"):
                with open(os.path.join(folder, name)) as file:
                    names |= set(re.findall(r'\bneed\("[^"]+", "([^"]+)"\)', file.read()))
    return names


def test_make_installs_what_tests_need():
    asked = subprocess.run(["make", "-n", "test-packages"], cwd=flap.ROOT, capture_output=True, text=True, check=True)
    assert packages_that_tests_need() <= set(asked.stdout.split())


@pytest.mark.skipif(not flap.FULL, reason="takes a minute: in the full matrix only")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("editable", [False, True])
def test_installed_command_carries_a_program(tmp_path, editable):
    """pip install, then curl under `catflap run` from another folder: Catnap of that installation saw the answer."""
    stage.copy(stage.files(), tmp_path / "source")
    venv.create(tmp_path / "v", with_pip=True)
    command = [tmp_path / "v/bin/pip", "install", "-q", *(["-e"] if editable else []), tmp_path / "source"]
    environ = {name: value for name, value in os.environ.items() if not flap.OURS.match(name)}
    subprocess.run(command, check=True, env=environ, timeout=500)
    (tmp_path / "hook.py").write_text(HOOK.format(seen=str(tmp_path / "seen")))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/"
        catflap = [tmp_path / "v/bin/catflap", "run", "--libos", "catnap", "--hook", tmp_path / "hook.py", "--"]
        curl = [flap.need("curl", "curl"), "-s", "-o", "/dev/null", "-w", "%{http_code}", url]
        done = subprocess.run([*catflap, *curl], cwd="/", env=environ, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout, done.stderr) == (0, "200", "")
    finally:
        server.shutdown()
        server.server_close()
    count, where = (tmp_path / "seen").read_text().splitlines()[0].split()
    assert (
        int(count) > 0 and where.startswith(str(tmp_path / ("source" if editable else "v"))) and where.endswith(".so")
    )
