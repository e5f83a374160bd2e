"""Debuggers, tracers, profilers and checkers around programs under Catflap: they find what they find without it."""

import re
import subprocess

import flap
import pytest
from material import content
from roles import DEFAULT, every, listens, patience, until
from services import SIZE, echo, finish, leaf, reasons, talk, talker
from talkers import conversation

AUTO = DEFAULT["auto"]
LIBOSES = ["catnap", "auto"]
SILENT = ["-q", "-nx", "-batch", "-iex", "set debuginfod enabled off"]


def faults(*flags):
    """faults.c, built with these flags."""
    return flap.compiled("faults.c", flags=flags, out="faults")


# --- gdb ---
STEPS = ["break echo", "run", *["next"] * 9, "print i", "next", "next", "backtrace 1", "delete", "continue"]


def stepped(libos):
    """The lines and values that gdb shows of a program that it starts, over calls that wait for the other thread."""
    env = flap.environment(libos)
    ours = " ".join(f"{name}={value}" for name, value in env.items() if flap.OURS.match(name))
    words = [flap.need("gdb", "gdb"), *SILENT]
    for line in ("set confirm off", f"set exec-wrapper env {ours} FLAP=1", *STEPS):
        words += ["-ex", line]
    env = {name: value for name, value in env.items() if not flap.OURS.match(name)}
    result = flap.run([*words, "--args", faults("-O0")], timeout=100, env=env)
    shown = re.findall(r"^(?:\d+\t.*|\$\d+ = .*|Run till exit.*|\[Inferior.*normally\])$", result.stdout.decode(), re.M)
    return [re.sub(r"0x\w+|process \d+|Inferior \d+", "_", line) for line in shown]


def test_stepping_through_a_program():
    expected = stepped("kernel")
    assert len(expected) >= 14 and "write(fd, text, SIZE)" in str(expected), expected
    for libos in LIBOSES:
        assert stepped(libos) == expected


def held(pid, *lines):
    """What gdb says that is attached to a process and does this."""
    words = [flap.need("gdb", "gdb"), *SILENT, "-p", str(pid)]
    for line in ("set confirm off", *lines, "detach"):
        words += ["-ex", line]
    return subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.mark.parametrize("libos", LIBOSES)
def test_a_breakpoint_in_a_running_server(libos):
    """Attached while it waits, stopped in its next read, let go again: not a byte is missed."""
    pair = DEFAULT[libos]
    with echo(pair) as (program, port), talker(pair, port) as speaker:
        conversation(pair, speaker, content(SIZE), program)
        with held(leaf(program), "echo ready\\n", "break read", "continue", "backtrace", "delete") as gdb:
            seen = ""
            while "ready" not in seen:
                line = gdb.stdout.readline()
                assert line, seen
                seen += line
            speaker.say(b"stop here")
            seen += gdb.communicate(timeout=60)[0]
        assert re.search(r"Breakpoint 1(\.\d)?, .*read", seen) and "detached" in seen, seen
        speaker.exchange(content(SIZE))
        if libos == "auto":
            assert reasons(program) == reasons(speaker) == {"upgraded"}
        finish(speaker, program)


# --- strace and perf ---
AROUND = {
    "strace": (["strace", "-f", "-o", "/dev/null"], "strace"),
    "perf stat": (["perf", "stat", "-o", "/dev/null", "--"], "linux-perf"),
    "perf record": (["perf", "record", "-q", "-o", "/dev/null", "--"], "linux-perf"),
}


@every(mixed=False, catnip=False)
@pytest.mark.parametrize("tool", AROUND)
def test_a_tool_around_both_ends(agree, roles, tool):
    words, package = AROUND[tool]
    flap.need(words[0], package)
    if subprocess.run([*words, "true"], capture_output=True).returncode != 0:
        pytest.skip(f"{tool} may not look at programs here")
    agree(lambda folder, pair: talk(pair, words, words), roles)


def test_where_a_profile_finds_us(tmp_path):
    """Samples are named by library and function, as any other's."""
    perf, data = flap.need("perf", "linux-perf"), str(tmp_path / "data")
    if subprocess.run([perf, "record", "-q", "-o", data, "true"], capture_output=True).returncode != 0:
        pytest.skip("perf may not look at programs here")
    program = flap.compiled("../../../benchmarks/c/stream.c", out="stream")
    port = str(flap.free_port())
    with flap.Program([program, "server", port], "auto") as server:
        until(lambda: listens(int(port)), "listener", program=server)
        words = [perf, "record", "-q", "-o", data, "--", program, "client", port, "64", "60000000", "1"]
        result = flap.run(words, "auto")
        assert result.status == 0, str(result)
    report = [perf, "report", "-i", data, "--stdio", "--sort", "dso"]
    text = subprocess.run(report, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
    assert "libcatflap.so" in text and "native.cpython" in text, text


# --- checkers ---
# who finds which fault, and what it says then
CHECKERS = {
    "address": ("heap", "heap-buffer-overflow"),
    "leaks": ("leak", "detected memory leaks"),
    "thread": ("race", "data race"),
    "undefined": ("integer", "signed integer overflow"),
    "valgrind": ("unset", "depends on uninitialised value"),
}
VALGRIND = ["valgrind", "-q", "--max-stackframe=262144", "--error-exitcode=9"]


def checked(checker, fault, libos):
    """Result of the program under a checker."""
    if checker == "valgrind":
        flap.need("valgrind", "valgrind")
        words = [*VALGRIND, faults()]
    else:
        words = [faults("-fsanitize=" + {"leaks": "address"}.get(checker, checker))]
    env = {"ASAN_OPTIONS": "verify_asan_link_order=0"}  # else its library must be the first
    result = flap.run([*words, fault], libos, env=env, timeout=patience(AUTO, 60))
    assert result.host == ["0" if libos == "kernel" else "1"], str(result)
    return result


@pytest.mark.parametrize("libos", LIBOSES)
@pytest.mark.parametrize("checker", CHECKERS)
def test_a_checker(checker, libos):
    """Silent where there is no fault, ours included; where there is one it is found, and nothing else."""
    if checker == "valgrind" and libos == "catnap" and not flap.FULL:
        pytest.skip("as slow as under auto: in the full matrix")
    fault, words = CHECKERS[checker]
    right = checked(checker, "nothing", libos)
    assert (right.status, right.stdout, right.stderr) == (0, b"19900\n", b""), str(right)
    expected = checked(checker, fault, "kernel")
    assert words in expected.stderr.decode(), str(expected)
    found = checked(checker, fault, libos)
    assert (found.status, found.stdout) == (expected.status, expected.stdout), str(found)
    assert found.stderr.count(words.encode()) == expected.stderr.count(words.encode()), str(found)


def test_an_address_sanitizer_that_wants_to_be_first():
    """What it says when nobody has told it otherwise: docs/services.md says what to do."""
    result = flap.run([faults("-fsanitize=address")], "catnap")
    assert result.status == 1 and b"ASan runtime does not come first" in result.stderr, str(result)
