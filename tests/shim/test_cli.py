"""The commands around `run`: version, help, library, completion, colours, and errors in one line."""

import os
import re
import subprocess
import sys
import tomllib

import pytest

from libos import knobs
from shim import __version__, run


def test_version(catflap):
    done = catflap("--version")
    mode = "interpreted" if os.environ.get("CATFLAP_PURE", "0") not in ("", "0") else "(compiled|interpreted)"
    python = re.escape(".".join(map(str, sys.version_info[:2])))
    libos = ", ".join(knobs.LIBOSES)
    assert re.fullmatch(
        rf"catflap {re.escape(__version__)} \(ABI \d+, {mode}, Python {python}; libOSes: {libos}\)\n", done.stdout
    )
    with open(os.path.join(catflap.root, "pyproject.toml"), "rb") as file:
        assert tomllib.load(file)["project"]["version"] == __version__


@pytest.mark.parametrize("arguments", [["--help"], []])
def test_help_has_three_examples(catflap, arguments):
    done = catflap(*arguments)
    assert done.returncode == 0
    examples = [line.strip() for line in done.stdout.partition("Examples:")[2].splitlines() if line.strip()]
    assert len(examples) == 3 and all(example.startswith("catflap ") for example in examples)
    assert "run" in done.stdout and "doctor" in done.stdout


@pytest.mark.parametrize("command", ["run", "library", "doctor", "compare", "top", "why", "clean", "completion"])
def test_every_command_has_help(catflap, command):
    done = catflap(command, "--help")
    assert done.returncode == 0 and done.stdout.startswith(f"Usage: catflap {command}")


def test_help_of_run_lists_every_option(catflap):
    shown = re.findall(r"^  (-[\w-]+)", catflap("run", "--help").stdout, re.M)
    assert shown == [name for name, _, _ in run.OPTIONS] + ["--help"]
    assert catflap("run", "-v", "--help", "--", "x").stdout.startswith("Usage: catflap run")
    assert catflap("run", "--", "printf", "%s", "--help").stdout == "--help"


def test_library_for_ld_preload(catflap):
    done = catflap("library")
    assert done.stdout == run.LIBRARY + "\n"
    shown = subprocess.run(["grep", "-c", "libcatflap.so", "/proc/self/maps"], capture_output=True, text=True,
                           env=catflap.environ(LD_PRELOAD=done.stdout.strip()))  # fmt: skip
    assert int(shown.stdout) > 0


def test_module_is_the_same_command(catflap):
    done = subprocess.run([sys.executable, "-m", "shim", "run", "--", "sh", "-c", "exit 5"], cwd=catflap.root)
    assert done.returncode == 5


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(catflap, shell):
    script = catflap("completion", shell).stdout
    assert "_CATFLAP_COMPLETE" in script and "catflap" in script
    asked = {"_CATFLAP_COMPLETE": f"{shell}_complete", "COMP_WORDS": "catflap run --libos ", "COMP_CWORD": "3"}
    if shell == "fish":
        asked["COMP_CWORD"] = ""
    answer = catflap(env=catflap.environ(**asked)).stdout
    assert all(name in answer for name in knobs.LIBOSES)


@pytest.mark.parametrize(
    "arguments",
    [["frobnicate"], ["--frob"], ["doctor", "--frob"], ["completion", "csh"], ["library", "x"], ["why"], ["top", "x"]],
)
def test_usage_errors_are_one_line(catflap, refused, arguments):
    refused(catflap(*arguments), 2, "--help")


def terminal(catflap, arguments, environ):
    """What `catflap ARGUMENTS` writes to a terminal."""
    leader, follower = os.openpty()
    done = subprocess.Popen(catflap.words(*arguments), stdout=follower, stderr=follower, env=environ)
    os.close(follower)
    text = b""
    while True:
        try:
            piece = os.read(leader, 4096)
        except OSError:
            break
        if not piece:
            break
        text += piece
    os.close(leader)
    done.wait()
    return text


def test_colours_on_a_terminal_unless_refused(catflap):
    words = ["compare", "-n", "1", "--", "true"]
    environ = catflap.environ(TERM="xterm", NO_COLOR=None, FORCE_COLOR=None, COLORTERM=None)
    assert b"\x1b[32m" in terminal(catflap, words, environ)
    colour = re.compile(rb"\x1b\[[0-9;]*3[0-9]m")
    assert not colour.search(terminal(catflap, words, environ | {"NO_COLOR": "1"}))
    assert "\x1b" not in catflap(*words, env=environ).stdout


def test_reader_that_goes_away_is_no_traceback(catflap):
    words = catflap.words("doctor", "--json")
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=catflap.environ())
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) in (0, 1)


def test_missing_package_is_one_line(catflap, refused, tmp_path):
    (tmp_path / "click.py").write_text("raise ModuleNotFoundError(\"No module named 'click'\", name='click')\n")
    words = [
        word.replace("; from", f"; sys.path.insert(0, {str(tmp_path)!r}); from") for word in catflap.words("doctor")
    ]
    done = subprocess.run(words, capture_output=True, text=True, env=catflap.environ())
    refused(done, 2, "click", "pip install")
