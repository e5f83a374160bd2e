"""Programs that leave their root, their user or their free descriptors behind, before their first socket or later."""

import os
import shutil
import tempfile

import flap
import pytest

MODES = [False, pytest.param(True, marks=pytest.mark.pure_sample)]


@pytest.fixture
def place():
    """A folder that everybody may enter, with a copy of the installed packages: (folder, preload, log)."""
    folder = tempfile.mkdtemp(prefix="flap-open-")
    os.chmod(folder, 0o755)
    for package in ("interpose", "libos"):
        shutil.copytree(
            os.path.join(flap.INSTALLED, package),
            os.path.join(folder, package),
            ignore=shutil.ignore_patterns("*.c", "*.pxd"),
        )
    yield folder, os.path.join(folder, "interpose", "libcatflap.so"), make_log(folder)
    shutil.rmtree(folder)


def make_log(folder):
    """A log that everybody may write."""
    path = os.path.join(folder, "log")
    with open(path, "w"):
        os.chmod(path, 0o666)
    return path


def jail_of(folder, log):
    """An empty root with a log at the same path."""
    jail = os.path.join(folder, "jail")
    os.makedirs(jail + os.path.dirname(log))
    return jail, make_log(jail + os.path.dirname(log))


def same(place, words, libos="catnap", **options):
    """The program's Result under Catflap, which printed what it prints on the kernel."""
    argv = [flap.compiled("leaving.c"), *words]
    expected = flap.run(argv, "kernel")
    assert expected.stdout, str(expected)
    result = flap.run(argv, libos, preload=place[1], log=place[2], strict=False, **options)
    assert (result.stdout, result.stderr, result.status) == (expected.stdout, expected.stderr, expected.status), str(
        result
    )
    return result


def stayed(result, log, *words):
    """It ran on the kernel, and the log says why, once."""
    assert log.count("staying on the kernel") == 1, f"{log}\n{result}"
    assert all(word in log for word in words), f"{log}\n{result}"


def quiet(result):
    """It ran under Catnap to the end, and nothing broke inside."""
    assert result.host == ["1"] and result.stdout.endswith(b"end\n"), str(result)
    flap.check_log(result)


@pytest.mark.parametrize("pure", MODES)
@pytest.mark.parametrize("when", ["first", "later"])
def test_nobody(place, when, pure):
    """A user who may read our files is served as root is."""
    quiet(same(place, [when, "nobody"], pure=pure))


@pytest.mark.parametrize("pure", MODES)
@pytest.mark.parametrize("how", ["chroot", "nobody", "jail"])
def test_later(place, how, pure):
    """Once the host is up it needs neither files nor descriptors nor privileges."""
    quiet(same(place, ["later", how, jail_of(place[0], place[2])[0]], pure=pure))


@pytest.mark.parametrize("how", ["chroot", "jail"])
def test_root_without_our_files(place, how):
    jail, log = jail_of(place[0], place[2])
    result = same(place, ["first", how, jail])
    assert result.host == ["0"] and result.stdout.endswith(b"end\n"), str(result)
    with open(log) as f:
        stayed(result, f.read(), "catflap")


@pytest.fixture
def log_elsewhere():
    with tempfile.TemporaryDirectory(prefix="flap-log-") as folder:
        os.chmod(folder, 0o755)
        yield make_log(folder)


@pytest.mark.parametrize(
    ("hidden", "word"),
    [
        (".", "own path"),
        ("interpose/libcatflap_host.so", "Permission denied"),
        ("interpose/libcatflap_host.txt", "libcatflap_host.so"),
        ("libos", "Traceback"),
    ],
)
def test_files_that_nobody_may_read(place, log_elsewhere, hidden, word):
    """What root could load at the start can't be read by the user the program became."""
    path = os.path.join(place[0], hidden)
    os.chmod(path, 0o700 if os.path.isdir(path) else 0o600)
    result = same((*place[:2], log_elsewhere), ["first", "nobody"])
    stayed(result, result.log, word)


@pytest.mark.parametrize("left", ["0", "1", "2"])
def test_last_descriptors(place, left):
    """With two numbers left, a socket and its copy work; with one or none, the program gets the kernel's errors."""
    result = same(place, ["first", "descriptors", left])
    if left == "2":
        quiet(result)
    else:  # nor is there one to write the log with
        assert result.host in (["0"], []) and result.log == "", str(result)
