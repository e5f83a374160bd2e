"""`catflap run`: the program is started as the shell would have started it, plus the preload and the choices."""

import os
import shutil
import signal
import stat
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim import run

LIBRARY = run.LIBRARY
HEAVY = {"click", "rich", "psutil", "argparse", "elftools", "re", "enum", "typing", "ctypes", "subprocess", "signal",
         "inspect", "logging", "dataclasses", "tomllib", "socket", "shutil", "json"}  # fmt: skip


def environment_of(done):
    return dict(entry.split("=", 1) for entry in done.stdout.split("\0") if entry)


def catflap_part(catflap, *options, **given):
    """The CATFLAP_* variables that a program gets."""
    done = catflap("run", *options, "--", "env", "-0", **given)
    assert done.returncode == 0, done.stderr
    return {k: v for k, v in environment_of(done).items() if k.startswith("CATFLAP_") and k != "CATFLAP_RUN_PID"}


# --- the program is itself ---


def test_becomes_the_program(catflap):
    process = subprocess.Popen(
        catflap.words("run", "--", "sh", "-c", "echo $$ $CATFLAP_RUN_PID"),
        stdout=subprocess.PIPE,
        text=True,
        env=catflap.environ(),
    )
    out, _ = process.communicate(timeout=60)
    assert out.split() == [str(process.pid)] * 2


@pytest.mark.parametrize("status", [0, 1, 2, 77, 126, 127, 255])
def test_exit_status_is_the_programs(catflap, status):
    assert catflap("run", "--", "sh", "-c", f"exit {status}").returncode == status


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGPIPE, signal.SIGINT])
def test_death_by_signal_is_the_programs(catflap, number):
    assert catflap("run", "--", "sh", "-c", f"kill -{int(number)} $$").returncode == -number


def test_arguments_and_input_arrive_untouched(catflap):
    odd = ["", " ", "--libos", "-v", "--", "a\nb", "\udcff", "ü", "*"]
    words = catflap.words("run", "--", "sh", "-c", 'cat; printf "%s\\0" "$@"', "name", *odd)
    done = subprocess.run(words, input=b"in\0put", capture_output=True, env=catflap.environ(), timeout=60)
    assert done.stdout == b"in\0put" + b"".join(os.fsencode(word) + b"\0" for word in odd)


def test_program_without_dashes_ends_the_options(catflap):
    assert catflap("run", "-q", "echo", "-v", "--libos").stdout == "-v --libos\n"


@pytest.mark.parametrize(
    "changes", [{"LC_ALL": None, "LC_CTYPE": None, "LANG": "C"}, {"LC_ALL": None, "LC_CTYPE": "C"}, {"LANG": "C.UTF-8"}]
)
def test_environment_gains_only_ours(catflap, changes):
    environ = catflap.environ(**changes)
    direct = subprocess.run(["env", "-0"], capture_output=True, text=True, env=environ)
    under = catflap("run", "--libos", "catnap", "--", "env", "-0", env=environ)
    gained = {"LD_PRELOAD": LIBRARY, "CATFLAP_LIBOS": "catnap"}
    seen = environment_of(under)
    assert seen.pop("CATFLAP_RUN_PID").isdigit()
    assert seen == environment_of(direct) | gained


@pytest.mark.parametrize(
    "script",
    [
        "grep -E '^(Sig|Shd|Umask|NoNewPrivs|Seccomp|Cpus_allowed:)' /proc/self/status | grep -v SigQ",
        "ls /proc/self/fd",
        "cat /proc/self/limits",
        "pwd; ulimit -a; umask",
    ],
)
def test_process_state_is_as_started_directly(catflap, script):
    environ = catflap.environ()
    direct = subprocess.run(["sh", "-c", script], capture_output=True, text=True, env=environ, stdin=subprocess.DEVNULL)
    assert catflap("run", "--", "sh", "-c", script, env=environ).stdout == direct.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTSTP, signal.SIGTERM])
def test_terminal_signals_reach_the_program(catflap, number):
    process = subprocess.Popen(
        catflap.words("run", "--", "sh", "-c", "echo up; exec sleep 100"),
        stdout=subprocess.PIPE,
        env=catflap.environ(),
        process_group=0,
    )
    try:
        assert process.stdout.readline() == b"up\n"
        os.kill(process.pid, number)
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        seen = os.WSTOPSIG(status) if os.WIFSTOPPED(status) else os.WTERMSIG(status)
        assert seen == number
    finally:
        process.kill()
        process.stdout.close()
        process.wait()


# --- the preload and the choices ---


def test_preload_goes_in_front_and_never_twice(catflap):
    environ = catflap.environ(LD_PRELOAD=f"libm.so.6:{LIBRARY} libdl.so.2")
    done = catflap("run", "--", "env", "-0", env=environ)
    assert environment_of(done)["LD_PRELOAD"] == f"{LIBRARY}:libm.so.6:libdl.so.2"


def test_children_are_covered(catflap):
    done = catflap("run", "--libos", "catnap", "--", "sh", "-c", "(grep -c libcatflap.so /proc/self/maps); :")
    assert int(done.stdout) > 0


def test_nested_run_takes_the_inner_choice(catflap):
    inner = catflap.words("run", "--libos", "kernel", "--", "env", "-0")
    seen = environment_of(catflap("run", "--libos", "catnap", "--", *inner))
    assert (seen["CATFLAP_LIBOS"], seen["LD_PRELOAD"]) == ("kernel", LIBRARY)


@pytest.fixture
def pure(catflap):
    """What the environment under test already says about the mode."""
    return {"CATFLAP_PURE": os.environ["CATFLAP_PURE"]} if "CATFLAP_PURE" in os.environ else {}


@pytest.mark.parametrize(
    "options,expected",
    [
        ([], {}),
        (["--libos", "catnap"], {"CATFLAP_LIBOS": "catnap"}),
        (["--libos=auto"], {"CATFLAP_LIBOS": "auto"}),
        (["--libos=kernel"], {"CATFLAP_LIBOS": "kernel"}),
        (["-q"], {"CATFLAP_VERBOSE": "-1"}),
        (["-v"], {"CATFLAP_VERBOSE": "1"}),
        (["-vv"], {"CATFLAP_VERBOSE": "2"}),
        (["-v", "-v", "-v"], {"CATFLAP_VERBOSE": "2"}),
        (["-q", "-v"], {"CATFLAP_VERBOSE": "1"}),
        (["-v", "-q"], {"CATFLAP_VERBOSE": "-1"}),
        (["--pure"], {"CATFLAP_PURE": "1"}),
    ],
)
def test_options_become_variables(catflap, pure, options, expected):
    assert catflap_part(catflap, *options) == pure | expected


def test_files_become_absolute(catflap, pure, tmp_path):
    (tmp_path / "hook.py").write_text("def install(instrument): pass\n")
    (tmp_path / "c.toml").write_text('libos = "catnap"\n')
    part = catflap_part(catflap, "--log", "log", "--hook=hook.py", "--config", "./c.toml", cwd=tmp_path)
    expected = {"CATFLAP_LOG": "log", "CATFLAP_HOOK": "hook.py", "CATFLAP_CONFIG": "c.toml"}
    assert part == pure | {name: str(tmp_path / leaf) for name, leaf in expected.items()}
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o600


def test_storage_becomes_absolute(catflap, pure, tmp_path):
    (tmp_path / "files").mkdir()
    expected = pure | {"CATFLAP_STORAGE": f"cattree:{tmp_path}/v", "CATFLAP_MOUNT": str(tmp_path / "files")}
    assert catflap_part(catflap, "--storage", "cattree:v", "--mount=files", cwd=tmp_path) == expected
    (tmp_path / "c.toml").write_text('storage = "cattree:v"\nmount = "files"\n')
    part = catflap_part(catflap, "--config", tmp_path / "c.toml", cwd="/")
    assert part == expected | {"CATFLAP_CONFIG": str(tmp_path / "c.toml")}


def test_file_below_environment_below_flag(catflap, pure, tmp_path):
    config = tmp_path / "c.toml"
    config.write_text('log = "from-file"\nverbose = 1\n')
    environ = catflap.environ(CATFLAP_CONFIG=config, CATFLAP_LOG=tmp_path / "from-environment")
    part = catflap_part(catflap, "-vv", env=environ)
    assert part["CATFLAP_LOG"] == str(tmp_path / "from-environment")
    assert part["CATFLAP_VERBOSE"] == "2"
    part = catflap_part(catflap, "--config", config, cwd="/")
    assert part["CATFLAP_LOG"] == str(tmp_path / "from-file")
    assert part["CATFLAP_VERBOSE"] == "1"


def test_debug_implies_pure_and_takes_a_given_terminal(catflap, tmp_path):
    leader, follower = os.openpty()
    try:
        name = os.ttyname(follower)
        part = catflap_part(catflap, "--debug", env=catflap.environ(CATFLAP_DEBUG=name))
        assert (part["CATFLAP_PURE"], part["CATFLAP_DEBUG"]) == ("1", name)
    finally:
        os.close(leader)
        os.close(follower)


def test_debug_without_a_terminal_is_refused(catflap, refused):
    refused(catflap("run", "--debug", "--", "true", start_new_session=True), 2, "--debug", "/dev/tty")


# --- what goes wrong ---


@pytest.mark.parametrize(
    "arguments,parts",
    [
        ([], ["no program given"]),
        (["--"], ["no program given"]),
        (["--libos", "catnap"], ["no program given"]),
        (["--libos", "--", "true"], ["--libos", "needs a value"]),
        (["--log="], ["--log", "needs a value"]),
        (["--libos", "catnup", "--", "true"], ["catnup", "auto, catnap, catloop, catnip, catmint, kernel"]),
        (["--lbios", "catnap", "--", "true"], ["--lbios", "did you mean --libos?"]),
        (["-x", "--", "true"], ["-x", "--help"]),
        (["--pure=1", "--", "true"], ["--pure", "takes no value"]),
        (["--config", "/nowhere/c.toml", "--", "true"], ["/nowhere/c.toml", "No such file"]),
        (["--config", "/", "--", "true"], ["Is a directory"]),
        (["--log", "/nowhere/log", "--", "true"], ["/nowhere/log", "not writable"]),
        (["--log", "/", "--", "true"], ["is a directory"]),
        (["--hook", "/nowhere/hook.py", "--", "true"], ["/nowhere/hook.py", "no such file"]),
        (["--storage", "cattree:volume", "--", "true"], ["--mount is missing", "together"]),
        (["--mount", "/tmp", "--", "true"], ["--storage is missing", "together"]),
        (["--storage", "disk:volume", "--mount", "/tmp", "--", "true"], ["disk:volume", "use cattree:FILE"]),
        (["--storage", "cattree:", "--mount", "/tmp", "--", "true"], ["use cattree:FILE"]),
        (["--storage", "cattree:/tmp/v", "--mount", "/nowhere", "--", "true"], ["/nowhere", "no folder"]),
        (["--storage", "cattree:/nowhere/v", "--mount", "/tmp", "--", "true"], ["/nowhere/v", "not writable"]),
    ],
)
def test_set_up_errors_are_one_line(catflap, refused, arguments, parts):
    refused(catflap("run", *arguments), 2, *parts)


@pytest.mark.parametrize(
    "text,parts",
    [
        ("def install(:\n", ["line 1"]),
        ("x = 1\n", ["install(instrument)"]),
        ("\0", ["null bytes"]),
    ],
)
def test_bad_hook_is_refused(catflap, refused, tmp_path, text, parts):
    hook = tmp_path / "hook.py"
    hook.write_text(text)
    refused(catflap("run", "--hook", hook, "--", "true"), 2, str(hook), *parts)


def test_unknown_key_is_named(catflap, refused, tmp_path):
    config = tmp_path / "c.toml"
    config.write_text('[[rule]]\nlibos = "kernel"\n[[rule]]\nx = "y"\n')
    refused(catflap("run", "--config", config, "--", "true"), 2,
            f"config {config}: unknown key 'x' in [[rule]] 2; known: address, libos, program")  # fmt: skip


def test_bad_environment_is_refused(catflap, refused):
    refused(catflap("run", "--", "true", env=catflap.environ(CATFLAP_VERBOSE="loud")), 2, "CATFLAP_VERBOSE", "loud")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_log_without_permission(catflap, refused, tmp_path):
    log = tmp_path / "log"
    log.touch(mode=0o400)
    refused(catflap("run", "--log", log, "--", "true"), 2, "not writable")


@pytest.fixture
def bench(tmp_path):
    """A folder with everything that can't be started, or only in a roundabout way."""
    (tmp_path / "folder").mkdir()
    for name, mode, text in (
        ("plain", 0o644, b"echo no\n"),
        ("script", 0o755, b"echo script $0 $1\n"),
        ("garbage", 0o755, b"\x7fELF\0\1\2"),
        ("orphan", 0o755, b"#!/nowhere/sh\n"),
        ("good", 0o755, b"#!/bin/sh\necho good $0 $1\n"),
        ("empty", 0o755, b""),
    ):
        (tmp_path / name).write_bytes(text)
        (tmp_path / name).chmod(mode)
    return tmp_path


@pytest.mark.parametrize(
    "name",
    ["nowhere", "./nowhere", "folder", "./folder", "plain", "./plain", "plain/x", "script", "./script", "garbage",
     "orphan", "good", "./good", "empty", ""],
)  # fmt: skip
@pytest.mark.parametrize("path", ["{}", "/nowhere:{}", "", ":/bin", "{}/folder::/usr/bin"])
def test_found_and_started_as_by_a_shell(catflap, refused, bench, name, path):
    path = path.format(bench)
    shell = ["/bin/bash", "-c", '"$@"', "bash", name, "argument"]
    expected = subprocess.run(shell, cwd=bench, env=catflap.environ(PATH=path), capture_output=True, text=True)
    done = catflap("run", "--", name, "argument", cwd=bench, env=catflap.environ(PATH=path))
    assert done.returncode == expected.returncode, (done.stderr, expected.stderr)
    if done.returncode in (126, 127):
        refused(done, done.returncode, name)
    else:
        assert done.stdout.replace("./", "") == expected.stdout.replace("./", "")


def test_unbuilt_library_is_one_line(catflap, refused, tmp_path):
    copy = copy_of(tmp_path, catflap.root)
    refused(catflap("run", "--", "true", root=copy), 2, "libcatflap.so", "not built")
    refused(catflap("library", root=copy), 2, "libcatflap.so", "not built")


def copy_of(folder, root):
    """The launcher's own packages, copied, with no library beside them."""
    for package in ("shim", "libos"):
        shutil.copytree(os.path.join(root, package), folder / package, ignore=shutil.ignore_patterns("*.so"))
    return folder


def test_path_that_no_loader_takes(catflap, refused, tmp_path):
    folder = tmp_path / "with space"
    folder.mkdir()
    copy = copy_of(folder, catflap.root)
    (folder / "interpose").mkdir()
    (folder / "interpose" / "libcatflap.so").touch()
    refused(catflap("run", "--", "true", root=copy), 2, "space or colon", "elsewhere")


@given(
    st.lists(
        st.sampled_from([*(o[0] for o in run.OPTIONS), "--", "-", "", "x", "-vq", "--log=", "--libos=catnap", "-h"])
    )
)
def test_any_command_line_is_understood_or_refused(arguments):
    try:
        flags, words = run.parse(arguments)
    except (run.Refused, run.Help):
        return
    assert words == arguments[len(arguments) - len(words) :]
    known = {name[2:] for name, _, _ in run.OPTIONS if name.startswith("--")}
    assert set(flags) <= known | {"verbose"}


# --- said at a terminal ---


def on_a_terminal(catflap, *arguments):
    """What appears on a terminal that is the program's stderr."""
    leader, follower = os.openpty()
    try:
        done = subprocess.run(catflap.words(*arguments), stdout=subprocess.PIPE, stderr=follower, env=catflap.environ())
        os.close(follower)
        follower = -1
        text = b""
        while True:
            try:
                piece = os.read(leader, 4096)
            except OSError:
                break
            if not piece:
                break
            text += piece
        return done, text.decode()
    finally:
        os.close(leader)
        if follower >= 0:
            os.close(follower)


@pytest.fixture(scope="module")
def static_program(tmp_path_factory):
    folder = tmp_path_factory.mktemp("static")
    (folder / "p.c").write_text("int main(void) { return 7; }\n")
    subprocess.run(["cc", "-static", "-o", folder / "p", folder / "p.c"], check=True)
    return folder / "p"


def test_static_program_runs_and_is_told_of_once(catflap, static_program):
    done, text = on_a_terminal(catflap, "run", "--", static_program)
    assert done.returncode == 7
    assert text.count("catflap: ") == 1 and "statically linked" in text and "catflap doctor" in text
    done, text = on_a_terminal(catflap, "run", "-q", "--", static_program)
    assert (done.returncode, text) == (7, "")
    assert catflap("run", "--", static_program).stderr == ""


def test_ordinary_program_is_not_talked_about(catflap):
    done, text = on_a_terminal(catflap, "run", "--", "sh", "-c", "echo $CATFLAP_LOG")
    assert (done.stdout, text) == (b"\n", "")


def test_verbose_without_a_log_goes_to_the_terminal(catflap):
    done, text = on_a_terminal(catflap, "run", "-v", "--", "sh", "-c", "echo $CATFLAP_LOG")
    assert done.stdout.startswith(b"/dev/pts/")


# --- what it costs ---


def test_run_imports_next_to_nothing(catflap):
    words = catflap.words("run", "--log", "/dev/null", "--", "true", python=["-S", "-X", "importtime"])
    done = subprocess.run(words, capture_output=True, text=True, env=catflap.environ(CATFLAP_PURE=None))
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert {"shim", "libos"} <= imported
    assert not imported & HEAVY
