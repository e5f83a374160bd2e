"""`catflap compare`: agreement and disagreement of one command on the kernel and under Catflap."""

import pytest

from shim import compare


def side(*answers):
    made = compare.Side("side", {})
    made.outcomes = [compare.Outcome(*answer, 0.001) for answer in answers]
    return made


def test_same_answers_agree(catflap):
    done = catflap("compare", "-n", 2, "--libos", "catnap", "--", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert done.returncode == 0 and done.stderr == ""
    assert [line.split() for line in done.stdout.splitlines()[-3:]] == [
        ["exit", "status", "same"], ["stdout", "same"], ["stderr", "same"],
    ]  # fmt: skip
    assert "median, ms" in done.stdout and "min, ms" in done.stdout and "Catflap (catnap)" in done.stdout


@pytest.mark.parametrize(
    "script,line",
    [
        ('echo "[$CATFLAP_LIBOS]"', "stdout       line 1: kernel '[]', Catflap '[catnap]'"),
        ('echo a; echo "$CATFLAP_LIBOS" >&2', "stderr       line 1: kernel '', Catflap 'catnap'"),
        ('[ -z "$CATFLAP_LIBOS" ] || exit 4', "exit status  kernel 0, Catflap 4"),
        ('[ -z "$CATFLAP_LIBOS" ] || kill -9 $$', "exit status  kernel 0, Catflap killed by SIGKILL"),
        ('echo a; [ -z "$CATFLAP_LIBOS" ] || echo b', "stdout       kernel stops after line 1"),
        ('echo a; [ "$CATFLAP_LIBOS" ] || echo b', "stdout       Catflap stops after line 1"),
    ],
)
def test_disagreement_is_shown_and_ends_with_1(catflap, script, line):
    done = catflap("compare", "-n", 1, "--libos", "catnap", "--", "sh", "-c", script)
    assert done.returncode == 1
    assert line in done.stdout


def test_what_the_kernel_does_not_repeat_is_not_held_against_catflap(catflap):
    done = catflap("compare", "-n", 2, "--", "sh", "-c", "echo $$")
    assert done.returncode == 0 and "varies from run to run on the kernel itself" in done.stdout


def test_verdicts():
    same, other = ("0", b"x", b""), ("0", b"y", b"")
    verdict = dict((aspect, what) for aspect, what, _ in compare.verdicts(side(same, same), side(same, other)))
    assert verdict == {"exit status": "same", "stdout": "differs", "stderr": "same"}
    verdict = dict((aspect, what) for aspect, what, _ in compare.verdicts(side(same, other), side(other, same)))
    assert verdict["stdout"] == "same"
    verdict = dict((aspect, what) for aspect, what, _ in compare.verdicts(side(same, other), side(same, same)))
    assert verdict["stdout"] == "varies"


def test_sides_take_turns(tmp_path):
    log = tmp_path / "log"
    script = f'echo "${{CATFLAP_LIBOS:-kernel}}" >>{log}'
    kernel, catflap = compare.measure(["sh", "-c", script], "catnap", 4)
    assert len(kernel.outcomes) == len(catflap.outcomes) == 4
    assert log.read_text().split() == ["kernel", "catnap", "catnap", "kernel"] * 2


def test_the_kernel_side_is_free_of_us(catflap):
    nested = catflap.words(
        "compare", "-n", 1, "--libos", "catnap", "--", "sh", "-c", "env | grep -c -e ^CATFLAP_ -e ^LD_PRELOAD=."
    )
    done = catflap("run", "--libos", "catnap", "--", *nested)
    assert "kernel '0', Catflap" in done.stdout


def test_hanging_run_is_ended(catflap):
    script = '[ -z "$CATFLAP_LIBOS" ] || sleep 100'
    done = catflap("compare", "-n", 1, "--libos", "catnap", "--timeout", 1, "--", "sh", "-c", script)
    assert done.returncode == 1 and "kernel 0, Catflap not done after 1 s" in done.stdout


def test_errors_are_one_line(catflap, refused):
    refused(catflap("compare", "--", "no-such-program"), 127, "no-such-program")
    refused(catflap("compare", "--", "/"), 126, "is a directory")
    refused(catflap("compare"), 2, "COMMAND")
    refused(catflap("compare", "-n", 0, "--", "true"), 2, "-n")
    refused(catflap("compare", "--libos", "x", "--", "true"), 2, "--libos")
    refused(catflap("compare", "--foo", "--", "true"), 2, "--foo")
