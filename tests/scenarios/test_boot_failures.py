"""Where the host can't start, the program runs as if we were not there, and the log says why."""

import os
import shutil

import flap
import pytest

PROGRAM = ("messages.c", "peek")


@pytest.fixture
def expected(oracle):
    return oracle(*PROGRAM, 20, False)


@pytest.fixture
def argv():
    return [flap.compiled(PROGRAM[0]), PROGRAM[1]]


@pytest.fixture
def copy(tmp_path, preload):
    """A copy of the installed packages that a test may break: (folder, path of its preload library)."""
    for package in ("interpose", "libos"):
        shutil.copytree(
            os.path.join(flap.INSTALLED, package),
            tmp_path / package,
            ignore=shutil.ignore_patterns("__pycache__", "*.c", "*.pxd"),
        )
    return tmp_path, str(tmp_path / "interpose" / "libcatflap.so")


def as_on_kernel(result, expected):
    assert result.stdout == expected.stdout, str(result)
    assert result.stderr == expected.stderr, str(result)
    assert result.status == expected.status, str(result)


def stayed(result, expected, *words):
    """The program ran on the kernel; the log says so once and mentions each of `words`."""
    as_on_kernel(result, expected)
    assert result.log.count("staying on the kernel") == 1, str(result)
    for word in words:
        assert word in result.log, str(result)


def test_copy_works(copy, argv, expected):
    """The copy that the other tests break is a working one."""
    result = flap.run(argv, "catnap", preload=copy[1])
    as_on_kernel(result, expected)
    assert result.host == ["1"], str(result)


def test_preload_alone(tmp_path, preload, argv, expected):
    alone = shutil.copy(preload, tmp_path)
    stayed(flap.run(argv, "catnap", preload=alone, strict=False), expected, "libcatflap_host.so")


def test_host_library_missing(copy, argv, expected):
    os.remove(copy[0] / "interpose" / "libcatflap_host.so")
    stayed(flap.run(argv, "catnap", preload=copy[1], strict=False), expected, "libcatflap_host.so")


@pytest.mark.parametrize("content", [b"", b"not a library", b"\x7fELF" + bytes(100)])
def test_host_library_damaged(copy, argv, expected, content):
    (copy[0] / "interpose" / "libcatflap_host.so").write_bytes(content)
    stayed(flap.run(argv, "catnap", preload=copy[1], strict=False), expected, "libcatflap_host.so")


def test_note_names_no_library(copy, argv, expected):
    (copy[0] / "interpose" / "libcatflap_host.txt").write_text("3.11 /nowhere/libpython3.11.so\n")
    stayed(flap.run(argv, "catnap", preload=copy[1], strict=False), expected, "/nowhere/libpython3.11.so")


@pytest.mark.parametrize("damage", ["syntax error", "empty", "no folder", "raises", "prints"])
def test_packages_damaged(copy, argv, expected, damage):
    factory = copy[0] / "libos" / "factory.py"
    if damage == "syntax error":
        factory.write_text("def make(:\n")
    elif damage == "empty":
        factory.write_text("")
    elif damage == "no folder":
        shutil.rmtree(copy[0] / "libos")
    elif damage == "raises":
        factory.write_text("raise RuntimeError('damaged on purpose')\n")
    else:
        factory.write_text("print('on stdout', flush=True)\nraise RuntimeError('damaged on purpose')\n")
    result = flap.run(argv, "catnap", preload=copy[1], strict=False)
    stayed(result, expected, "Traceback")
    if damage in ("raises", "prints"):
        assert "damaged on purpose" in result.log


def test_compiled_module_damaged(copy, argv, expected):
    """A compiled module that is none."""
    (module,) = (copy[0] / "libos").glob("native.*.so")
    module.write_bytes(b"not a module")
    stayed(flap.run(argv, "catnap", preload=copy[1], strict=False), expected, "ImportError")


@pytest.mark.parametrize(
    ("hook", "word"),
    [
        (None, "FileNotFoundError"),
        ("raise RuntimeError('hook broken')\n", "hook broken"),
        ("def install(instrument):\n    raise RuntimeError('install broken')\n", "install broken"),
        ("def install(\n", "SyntaxError"),
        ("x = 1\n", "install"),
    ],
)
@pytest.mark.parametrize("pure", [False, pytest.param(True, marks=pytest.mark.pure_sample)])
def test_hook_that_does_not_load(tmp_path, preload, argv, expected, hook, word, pure):
    path = tmp_path / "hook.py"
    if hook is not None:
        path.write_text(hook)
    result = flap.run(argv, "catnap", pure=pure, strict=False, env={"CATFLAP_HOOK": str(path)})
    stayed(result, expected, word, "Traceback")


def test_wrong_settings(preload, tmp_path, argv, expected):
    bad = tmp_path / "bad.toml"
    bad.write_text("libos = 'catflop'\n")
    result = flap.run(argv, "catnap", strict=False, env={"CATFLAP_CONFIG": str(bad)})
    stayed(result, expected, "bad.toml")
    stayed(flap.run(argv, "catflop", strict=False), expected, "catflop")


@pytest.mark.parametrize("log", ["/dev/full", "/nowhere/log", "/", "", "/dev/null", "x" * 5000])
def test_log_can_not_be_written(tmp_path, preload, argv, expected, log):
    """Nothing to write to: the run goes on, with a working host and with a broken one."""
    result = flap.run(argv, "catnap", log=log, strict=False)
    as_on_kernel(result, expected)
    assert result.host == ["1"], str(result)
    alone = shutil.copy(preload, tmp_path)
    as_on_kernel(flap.run(argv, "catnap", preload=alone, log=log, strict=False), expected)


@pytest.mark.parametrize("limit", [6, 7, 8, 10, 16])
def test_few_descriptors(preload, argv, expected, limit):
    """The host needs one descriptor to start and keeps none; see test_leaving.py for none at all."""
    result = flap.run(["/bin/sh", "-c", f'ulimit -n {limit}; exec "$@"', "sh", *argv], "catnap", strict=False)
    as_on_kernel(result, expected)
    assert result.host == ["1"], str(result)
    flap.check_log(result)


@pytest.mark.parametrize("kilobytes", [8000, 20000, 40000, 80000, 200000])
def test_little_memory(preload, argv, expected, kilobytes):
    result = flap.run(["/bin/sh", "-c", f'ulimit -v {kilobytes}; exec "$@"', "sh", *argv], "catnap", strict=False)
    as_on_kernel(result, expected)


def test_nothing_from_the_programs_folder(tmp_path, preload, argv, expected):
    """Modules named as ours or the standard library's, in the current folder and on PYTHONPATH, are never loaded."""
    for name in ("os", "sitecustomize", "usercustomize", "site", "io", "abc", "codecs", "_catflap_host", "encodings"):
        (tmp_path / f"{name}.py").write_text(f"print('loaded {name}')\nraise SystemExit(77)\n")
    for name in ("libos", "interpose", "shim"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"print('loaded {name}')\nraise SystemExit(77)\n")
    env = {
        "PYTHONPATH": str(tmp_path),
        "PYTHONSTARTUP": str(tmp_path / "os.py"),
        "PYTHONINSPECT": "1",
        "PYTHONVERBOSE": "1",
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONHOME": "/nowhere",
    }
    for folder in (tmp_path, "/"):
        result = flap.run(argv, "catnap", cwd=folder, env=env)
        as_on_kernel(result, expected)
        assert result.host == ["1"], str(result)


def test_current_folder_is_gone(tmp_path, preload, argv, expected):
    gone = tmp_path / "gone"
    gone.mkdir()
    script = f'cd "{gone}" && rmdir "{gone}" && exec "$@"'
    result = flap.run(["/bin/sh", "-c", script, "sh", *argv], "catnap")
    as_on_kernel(result, expected)
    assert result.host == ["1"], str(result)


def test_program_without_sockets_starts_nothing(preload):
    """A program that opens no socket never loads the host."""
    result = flap.run(["/bin/grep", "-c", "libcatflap_host", "/proc/self/maps"], "catnap")
    assert result.stdout == b"0\n", str(result)
    result = flap.run(["/bin/grep", "-c", "libcatflap.so", "/proc/self/maps"], "catnap")
    assert int(result.stdout) > 0, str(result)
