"""New images under an environment that the program has scrubbed: they get the preload and its settings again."""

import sys

import flap
import pytest

PROGRAM = """
import ctypes, os, sys
libc, c = ctypes.CDLL(None), ctypes.c_char_p
path, null = c(b"/usr/bin/env"), ctypes.c_void_p()
argv = (c * 2)(b"env", None)
how, kept = sys.argv[1], dict(pair.split("=") for pair in sys.argv[2:])
environment = (c * (len(kept) + 1))(*[f"{name}={value}".encode() for name, value in kept.items()], None)
child = ctypes.c_int()

def spawn(call):
    if call(ctypes.byref(child), path, None, None, argv, environment) == 0:
        os.waitpid(child.value, 0)
        os._exit(0)

if "environ" in how:
    libc.clearenv()
    for name, value in kept.items():
        libc.setenv(name.encode(), value.encode(), 1)
{
    "execve": lambda: libc.execve(path, argv, environment),
    "execvpe": lambda: libc.execvpe(c(b"env"), argv, environment),
    "fexecve": lambda: libc.fexecve(os.open(path.value, os.O_RDONLY), argv, environment),
    "execveat": lambda: libc.execveat(-100, path, argv, environment, 0),
    "execle": lambda: libc.execle(path, c(b"env"), null, environment),
    "posix_spawn": lambda: spawn(libc.posix_spawn),
    "posix_spawnp": lambda: spawn(libc.posix_spawnp),
    "syscall": lambda: libc.syscall(59, path, argv, environment),
    "environ execv": lambda: libc.execv(path, argv),
    "environ execvp": lambda: libc.execvp(c(b"env"), argv),
    "environ execl": lambda: libc.execl(path, c(b"env"), null),
    "environ execlp": lambda: libc.execlp(c(b"env"), c(b"env"), null),
    "nothing": lambda: libc.execve(path, argv, null),
    "bad": lambda: libc.execve(path, argv, ctypes.c_void_p(1)),
}[how]()
os._exit(ctypes.get_errno() or 99)
"""
FORMS = "execve execvpe fexecve execveat execle posix_spawn posix_spawnp syscall".split() + [
    f"environ {name}" for name in ("execv", "execvp", "execl", "execlp")
]


def environment(how, libos, *kept):
    """What the new image finds: a dict, and how it ended."""
    result = flap.run([sys.executable, "-c", PROGRAM, how, *kept], libos)
    return dict(line.split("=", 1) for line in result.stdout.decode().splitlines()), result


@pytest.mark.parametrize("how", FORMS)
def test_a_scrubbed_environment_gets_the_preload_again(preload, how):
    expected, result = environment(how, "kernel", "A=1", "PATH=/usr/bin:/bin")
    assert expected == {"A": "1", "PATH": "/usr/bin:/bin"}, str(result)
    found, result = environment(how, "auto", "A=1", "PATH=/usr/bin:/bin")
    assert found.pop("LD_PRELOAD") == flap.PRELOAD, str(result)
    assert found.pop("CATFLAP_LIBOS") == "auto"
    assert {name: value for name, value in found.items() if not name.startswith("CATFLAP_")} == expected, str(result)


@pytest.mark.parametrize("how", ["execve", "environ execv", "posix_spawn"])
@pytest.mark.parametrize("left", ["CATFLAP_LIBOS=auto", "LD_PRELOAD="])
def test_one_that_keeps_a_part_of_ours_is_left_alone(preload, how, left):
    """That is how a program is started without Catflap: `env -u LD_PRELOAD`, or a preload of its own."""
    found, result = environment(how, "auto", left)
    assert [f"{name}={value}" for name, value in found.items()] == [left], str(result)


def test_no_environment_at_all(preload):
    assert environment("nothing", "kernel")[0] == {}
    assert environment("nothing", "auto")[0]["LD_PRELOAD"] == flap.PRELOAD


def test_a_bad_environment_is_the_kernels_to_refuse(preload):
    on_kernel, under = (environment("bad", libos)[1] for libos in ("kernel", "auto"))
    assert under.status == on_kernel.status != 0, f"{under}{on_kernel}"
    assert under.stdout == on_kernel.stdout == b""
