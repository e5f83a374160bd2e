"""The preload built with AddressSanitizer and UndefinedBehaviorSanitizer carries the scenarios without a report."""

import os
import shutil
import subprocess
import sys

import flap
import pytest

sys.path.insert(0, os.path.join(flap.ROOT, "tests", "scenarios"))

from test_scenarios import ALWAYS_FORTIFIED, HOSTLESS, SAMPLE, families  # noqa: E402
from test_sequences import one_of_each  # noqa: E402

from interpose import traps  # noqa: E402
from setup import CFLAGS, PRELOAD_SOURCES  # noqa: E402

SANITIZE = ["-fsanitize=address,undefined", "-fno-omit-frame-pointer", "-ftls-model=initial-exec", "-O1"]
# frames with red zones don't fit into 16 KiB; a sanitized abort and overflow end in another way than libc's; the
# sanitizer itself reads what addresses of some calls point to
LEFT_OUT = {"bad_addresses", "small_stack", "overflow_is_caught", "ways_to_end"}
PLANTED = {
    "index 4 out of bounds": "static volatile int small[4]; volatile int beyond = 4; small[beyond] = fd;\n",
    "global-buffer-overflow": "static int small[4]; int *volatile p = small; p[4] = fd;\n",
    "signed integer overflow": "volatile int most = 2147483647; most += fd;\n",
}


def sanitized(folder, csrc, *flags):
    """Path of a sanitized preload in a copy of the installed tree at `folder`, built from `csrc` with `flags`."""
    for package in ("interpose", "libos"):
        shutil.copytree(os.path.join(flap.INSTALLED, package), folder / package, symlinks=True)
    target = folder / "interpose" / "libcatflap.so"
    target.unlink()
    sources = [os.path.join(csrc, name) for name in PRELOAD_SOURCES]
    traps.emit(folder / "traps.def")
    script = [f"-I{folder}"] + [f"-Wl,--defsym={name}={trap}" for name, trap in traps.OTHER_NAMES.items()]
    subprocess.run(
        ["gcc", *CFLAGS, *SANITIZE, *flags, "-shared", "-o", target, *sources, *script, "-ldl", "-lpthread"], check=True
    )
    return str(target)


@pytest.fixture(scope="module")
def preload(tmp_path_factory):
    return sanitized(tmp_path_factory.mktemp("sanitized"), os.path.join(flap.ROOT, "csrc"))


@pytest.fixture(scope="module")
def crowded(tmp_path_factory):
    """A preload with records for three threads only: the others' calls are the kernel's."""
    return sanitized(tmp_path_factory.mktemp("crowded"), os.path.join(flap.ROOT, "csrc"), "-DRECORDS=3")


@pytest.fixture(scope="module")
def expected():
    """The transcript of a scenario on the kernel."""
    known = {}

    def ask(program, scenario):
        if (program, scenario) not in known:
            known[program, scenario] = flap.run([program, scenario], "kernel")
        return known[program, scenario]

    return ask


def runtimes():
    """The sanitizers' libraries; they have to come before everything else."""
    found = [subprocess.run(["gcc", f"-print-file-name=lib{name}.so"], capture_output=True, text=True).stdout.strip()
             for name in ("asan", "ubsan")]  # fmt: skip
    assert all(os.path.isabs(path) for path in found), f"{found}: apt-get install gcc"
    return found


def run(argv, preload, folder, **options):
    """(Result, text of the sanitizers' reports)."""
    report = folder / "report"
    common = f"log_path={report}:exitcode=99"
    env = {
        "ASAN_OPTIONS": f"{common}:detect_leaks=0:detect_stack_use_after_return=0:handle_segv=0:handle_abort=0",
        "UBSAN_OPTIONS": f"{common}:halt_on_error=1:print_stacktrace=1",
    }
    result = flap.run(argv, "catnap", preload=preload, before=runtimes(), env=env, timeout=60, **options)
    said = result.stderr.decode(errors="replace")
    reports = [path.read_text(errors="replace") for path in sorted(folder.glob("report*"))]
    return result, "".join([*reports, said if "runtime error" in said or "Sanitizer" in said else ""])


def chosen():
    for family in families():
        for scenario in flap.scenarios(family + ".c"):
            if scenario not in LEFT_OUT and (flap.FULL or scenario in SAMPLE.get(family, ())):
                yield family, scenario


@pytest.mark.parametrize(("family", "scenario"), list(chosen()))
def test_no_report(preload, expected, tmp_path, family, scenario):
    program = flap.compiled(family + ".c", fortify=family in ALWAYS_FORTIFIED)
    result, report = run([program, scenario], preload, tmp_path)
    assert not report, f"{report}\n{result}"
    assert result.stdout == expected(program, scenario).stdout, str(result)
    assert scenario in HOSTLESS or result.host[-1] == "1", str(result)


@pytest.mark.parametrize("scenario", [s for s in flap.scenarios("threads.c") if s not in LEFT_OUT])
def test_more_threads_than_records(crowded, expected, tmp_path, scenario):
    program = flap.compiled("threads.c")
    result, report = run([program, scenario], crowded, tmp_path)
    assert not report, f"{report}\n{result}"
    assert result.stdout == expected(program, scenario).stdout, str(result)


@pytest.mark.parametrize("said", PLANTED)
def test_a_planted_fault_is_reported(tmp_path, said):
    """The build that the other tests use would see it."""
    csrc = tmp_path / "csrc"
    shutil.copytree(os.path.join(flap.ROOT, "csrc"), csrc)
    source = (csrc / "trap_socket.c").read_text()
    place = "EXPORT int listen(int fd, int backlog)\n{\n"
    assert place in source
    (csrc / "trap_socket.c").write_text(source.replace(place, place + PLANTED[said]))
    broken = sanitized(tmp_path / "tree", str(csrc))
    result, report = run([flap.compiled("stream.c"), "echo_blocking"], broken, tmp_path, strict=False)
    assert said in report, f"{report}\n{result}"


def test_every_operation(preload, tmp_path):
    """Right and wrong calls of every kind, on streams, datagrams and empty descriptors."""
    script = tmp_path / "script"
    script.write_text("\n".join(one_of_each()) + "\n")
    program = [flap.compiled("sequence.c"), str(script)]
    result, report = run(program, preload, tmp_path)
    assert not report, f"{report}\n{result}"
    assert result.host == ["1"] and result.stdout == flap.run(program, "kernel").stdout, str(result)
