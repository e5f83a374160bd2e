"""The guest itself: what it runs and gives back, what stays in it, and how its end is told."""

import os
import subprocess

import flap
import guest
import initramfs
import linux_package
import pytest


def test_status_and_output(lab):
    assert lab("echo said; echo complained >&2; exit 7; echo never", status=7) == "said\ncomplained\n"
    assert lab("true; false; echo never", status=1) == ""


def test_nothing_outlives_its_script(lab):
    lab("sleep 1000 & (setsid sleep 1000 &)")
    assert lab("pgrep sleep", status=1) == ""


def test_what_is_written_stays_in_the_guest(lab, tmp_path):
    there = tmp_path / "file"
    there.write_text("before")
    assert lab(f"cat {there}; echo -n after >{there}; cat {there}; touch {tmp_path}/new") == "beforeafter"
    assert there.read_text() == "before" and os.listdir(tmp_path) == ["file"]


def test_python_and_our_package(lab):
    """Debian's Python, interpreted mode: an array through a queue in memory."""
    said = lab(f"""
        cd {flap.ROOT}
        CATFLAP_PURE=1 /usr/bin/python3 -Bc '
import libos.memory_queue, libos.mode
from libos.factory import native

here = native("catnap")
queue, sga = here.queue(), here.sgaalloc(5)
sga.segments[0][:] = b"guest"
here.wait(here.push(queue, sga))
print(bytes(here.wait(here.pop(queue)).sga), libos.mode.compiled(libos.memory_queue))'
    """)
    assert said == "b'guest' False\n"


def test_modules_come_behind_what_they_need():
    loaded = set()
    for path in linux_package.loading_order(initramfs.MODULES):
        assert loaded.issuperset(linux_package.needs(path)), path
        loaded.add(os.path.basename(path).removesuffix(".ko").replace("-", "_"))
    assert loaded.issuperset(initramfs.MODULES)


def test_module_that_the_kernel_has_not():
    with pytest.raises(RuntimeError, match="has no module no_such"):
        linux_package.loading_order(["no_such"])


def test_archive(tmp_path):
    """busybox's cpio, a reader of others' making, finds in it what was put there."""
    archive = initramfs.Archive()
    archive.add("folder", 0o040755)
    archive.add("folder/file", 0o100640, b"five\n")
    archive.write(tmp_path / "archive")
    with open(tmp_path / "archive", "rb") as file:
        subprocess.run(["busybox", "cpio", "-i"], cwd=tmp_path, stdin=file, check=True, capture_output=True)
    assert (tmp_path / "folder" / "file").read_bytes() == b"five\n"
    assert (tmp_path / "folder" / "file").stat().st_mode == 0o100640


@pytest.mark.parametrize("missing", ["qemu-system-x86_64", "busybox"])
def test_missing_program(monkeypatch, missing):
    which = guest.shutil.which
    monkeypatch.setattr(guest.shutil, "which", lambda name: None if name == missing else which(name))
    with pytest.raises(RuntimeError, match=f"^{missing} is missing: apt-get install [a-z0-9-]+$"):
        guest.Guest()


# The last of this file, since each of them costs a boot.


def test_script_that_hangs(lab):
    with pytest.raises(guest.GuestError, match="^the script did not end within 1 s\n"):
        lab("sleep 1000", seconds=1)
    assert not os.path.exists(lab.guest.folder) and not lab.guest.running


def test_kernel_that_panics(lab):
    with pytest.raises(guest.GuestError, match="^the script did not end: the guest is gone\n") as caught:
        lab("echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger")
    assert "Kernel panic" in str(caught.value)
