"""`catflap clean`: removes what is left over, and nothing else."""

import os
import subprocess
import time

import pytest
from puppets import Puppet, connect, talk

from shim import clean, cli, run

LONG_AGO = time.time() - 10 * clean.IN_USE


@pytest.fixture
def folder(tmp_path, catflap):
    """(`clean` with its own folder of temporary files, that folder)."""
    return lambda *options: catflap("clean", *options, env=catflap.environ(TMPDIR=tmp_path)), tmp_path


def made(path, *names, age=LONG_AGO):
    path.mkdir()
    for name in names:
        (path / name).touch()
    os.utime(path, (age, age))
    return path


def test_nothing_left_over(folder):
    done = folder[0]()
    assert (done.returncode, done.stdout, done.stderr) == (0, "nothing left over\n", "")


def test_folders_of_killed_makers_go_and_others_stay(folder):
    command, place = folder
    gone = [
        made(place / "catflap-abcdefgh", "proof", "log", "hook.py"),
        made(place / "catflap-0a_b9xyz", "libcatflap.so.123"),
    ]
    stay = [
        made(place / "catflap-inuse_12", "log", age=time.time()),
        made(place / "catflap-thesis", "log"),
        made(place / "catflap-mywork12", "log", "chapter-1"),
        made(place / "abcdefgh"),
    ]
    (place / "catflap-afile123").write_text("mine")
    (place / "catflap-alink123").symlink_to(stay[-1])
    done = command()
    assert done.returncode == 0 and sorted(done.stdout.splitlines()) == sorted(f"removed {path}" for path in gone)
    assert not any(path.exists() for path in gone) and all(path.exists() for path in stay)
    assert (place / "catflap-afile123").exists() and (place / "catflap-alink123").is_symlink()
    assert command().stdout == "nothing left over\n"


def test_folder_of_a_killed_doctor(folder, catflap):
    """What doctor really writes is what clean takes for its own."""
    command, place = folder
    hang = place / "bash"
    hang.write_text("#!/bin/sh\nexec sleep 60\n")
    hang.chmod(0o755)
    environ = catflap.environ(TMPDIR=place, PATH=f"{place}:{os.environ['PATH']}")
    doctor = subprocess.Popen(catflap.words("doctor"), env=environ, stdout=subprocess.DEVNULL, start_new_session=True)
    found = []
    for _ in range(600):
        found = [path for path in place.iterdir() if path.name.startswith("catflap-") and list(path.iterdir())]
        if found:
            break
        time.sleep(0.05)
    os.killpg(doctor.pid, 9)
    doctor.wait()
    os.utime(found[0], (LONG_AGO, LONG_AGO))
    assert command().stdout == f"removed {found[0]}\n"


def test_half_linked_library(monkeypatch, tmp_path):
    process = subprocess.Popen(["true"])
    process.wait()
    monkeypatch.setattr(run, "LIBRARY", str(tmp_path / "libcatflap.so"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    dead, alive = tmp_path / f"libcatflap.so.{process.pid}", tmp_path / f"libcatflap_host.so.{os.getpid()}"
    for path in (dead, alive, tmp_path / "libcatflap.so", tmp_path / "libcatflap.so.old"):
        path.touch()
    found = [path for path in clean.left_over() if path.startswith(str(tmp_path))]
    assert found == [str(dead)]
    assert clean.remove(str(dead)) == "" and not dead.exists()
    assert clean.remove(str(dead)) == ""


def test_what_cannot_be_removed_is_one_line(monkeypatch, tmp_path, capfd):
    stuck, loose = made(tmp_path / "catflap-abcdefgh", "log"), made(tmp_path / "catflap-bcdefghi", "log")
    monkeypatch.setattr(clean, "left_over", lambda: [str(stuck), str(loose)])
    really = clean.shutil.rmtree

    def rmtree(path):
        if path == str(stuck):
            raise PermissionError(13, "no")
        really(path)

    monkeypatch.setattr(clean.shutil, "rmtree", rmtree)
    assert cli.main(["clean"]) == 1
    out, err = capfd.readouterr()
    assert out == f"removed {loose}\n" and not loose.exists()
    assert err == f"catflap: clean {stuck}: can't be removed: Permission denied; remove it by hand\n"


def test_sockets_of_the_living_are_listed_and_stay(catflap, folder):
    with Puppet(catflap) as server, Puppet(catflap) as client:
        connect(server, client)
        talk(server, client)
        lines = folder[0]("-v").stdout.splitlines()
        assert lines[0] == "nothing left over"
        for puppet in (server, client):
            owned = [line for line in lines if line.endswith(f"({puppet.pid})")]
            assert owned and all(line.startswith("in use: @catflap/") for line in owned)
        talk(server, client)
    assert not [line for line in folder[0]("-v").stdout.splitlines() if line.endswith(f"({client.pid})")]
