"""Files of a program whose fsync a volume of Cattree serves: every answer and every byte as on the kernel, and after a
power cut all is there that was durable.
"""

import os

import flap
import pytest
import storage

LIMIT = 40
SCENARIOS = flap.scenarios("files.c")
PURE = {"appended", "crowd", "cut", "family", "written_in_place"}
# what a power cut would take has to be in a journal at the end: the last fsync was not the kernel's
KEPT = {
    "appended",
    "sequential",
    "names",
    "copies",
    "other_programs",
    "streams",
    "threads",
    "crowd",
    "many",
    "ways_to_a_file",
}
RUNS = [(name, pure) for name in SCENARIOS for pure in (False, True) if not pure or name in PURE or flap.FULL]


def ran(folder, scenario, libos, **options):
    folder.mkdir(parents=True)
    result = flap.run([flap.compiled("files.c"), scenario], libos, cwd=folder, timeout=LIMIT, **options)
    assert not result.timed_out and b"BROKEN" not in result.stdout, str(result)
    return result


def all_of(folder):
    """{name: bytes} of all files below it."""
    return {
        os.path.relpath(os.path.join(place, name), folder): open(os.path.join(place, name), "rb").read()
        for place, _, names in os.walk(folder)
        for name in names
    }


def mark(name, pure):
    marks = [pytest.mark.pure_sample] if pure and name in PURE else []
    return pytest.param(name, pure, id=f"{name}{'-pure' if pure else ''}", marks=marks)


@pytest.mark.parametrize(("scenario", "pure"), [mark(*run) for run in RUNS])
def test_agrees_with_kernel(tmp_path, scenario, pure):
    expected = ran(tmp_path / "kernel" / "files", scenario, "kernel")
    folder, volume = tmp_path / "ours" / "files", tmp_path / "volume"
    result = ran(folder, scenario, "auto", pure=pure, env=storage.variables(volume, folder))
    assert result.stdout.decode().splitlines() == expected.stdout.decode().splitlines(), str(result)
    assert (result.status, result.stderr) == (expected.status, expected.stderr), str(result)
    files = all_of(folder)
    assert files == all_of(tmp_path / "kernel" / "files")
    for path, start, data in storage.kept(volume, folder):
        assert files[os.path.relpath(path, folder)][start:].startswith(data), path
    if scenario != "refused":  # whose volume can't be written any more
        assert storage.power_cut(volume, folder) or scenario not in KEPT, str(result)
        assert all_of(folder) == files


def test_the_kernel_is_not_asked(tmp_path):
    """The first two fsyncs of a file are the kernel's; of those that follow none."""
    folder, volume = tmp_path / "ours" / "files", tmp_path / "volume"
    folder.mkdir(parents=True)
    trace = [flap.need("strace", "strace"), "-f", "-e", "trace=fsync,fdatasync", "-o", str(tmp_path / "trace")]
    command = [*trace, flap.compiled("files.c"), "sequential"]
    result = flap.run(command, "auto", cwd=folder, env=storage.variables(volume, folder), timeout=LIMIT)
    calls = [line for line in open(tmp_path / "trace") if "sync(" in line]
    # one fills the volume's file when it is made
    assert result.stdout.count(b"fdatasync(fd) -> 0") == 5 and len(calls) == 3, (str(result), calls)


def test_without_a_volume_nothing_is_started(tmp_path):
    result = ran(tmp_path / "files", "appended", "auto")
    assert result.host == [] or result.host[-1] == "0", str(result)


@pytest.mark.parametrize("volume", ["taken", "no folder", "no volume"])
def test_without_its_volume_files_are_the_kernels(tmp_path, volume):
    expected = ran(tmp_path / "kernel" / "files", "appended", "kernel")
    folder, path = tmp_path / "ours" / "files", tmp_path / volume
    if volume == "no folder":
        path = path / "volume"
    elif volume == "no volume":
        path.write_bytes(b"something else" * 100000)
    else:
        storage.Journals(str(path), 8 << 20, storage.Heap(64)).close()
        taken = storage.journals(path)
    result = ran(folder, "appended", "auto", env=storage.variables(path, folder))
    assert result.stdout == expected.stdout and "reason 19" in result.log, str(result)
    if volume == "taken":
        taken.close()
    assert all_of(folder) == all_of(tmp_path / "kernel" / "files")
