"""`catflap why` of whole processes: what Catflap is in them, and what can't be answered."""

import json
import os
import shutil
import subprocess

import pytest
from puppets import STRINGS, Puppet, connect, only, talk, why

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@pytest.mark.parametrize("libos,state,code", [("kernel", "off", 2), ("catnap", "up", 0), ("auto", "up", 0)])
def test_other_liboses(catflap, libos, state, code):
    with Puppet(catflap, libos) as server, Puppet(catflap, libos) as client:
        here, there = connect(server, client)
        talk(server, client, 20)
        about = why(catflap, client.pid)
        (row,) = about["descriptors"]
        assert (about["libos"], about["state"], about["code"]) == (libos, state, code)
        expected = {
            "kernel": ("kernel", "kernel", 2),
            "catnap": ("catnap", "catnap", 0),
            "auto": ("catloop", "upgraded", 0),
        }
        assert (row["libos"], row["state"], row["code"]) == expected[libos]
        text = catflap("why", client.pid).stdout
        assert ("2 CATFLAP_KERNEL_ASKED" in text) == (libos == "kernel")


def test_no_socket_so_far(catflap):
    with Puppet(catflap, words=["cat"]) as program:
        program.process.stdin.write("x\n")
        program.process.stdin.flush()
        program.process.stdout.readline()
        about = why(catflap, program.pid)
        assert about["state"] == "cold" and "no TCP socket so far" in about["meaning"] and not about["descriptors"]
        assert "no TCP or UDP descriptor is open" in catflap("why", program.pid).stdout


def test_socket_of_another_program(catflap, pair):
    server, client, here, there = pair
    code = "os.set_inheritable(sock.fileno(), True); os.execv(sys.executable, [sys.executable, '-c', CODE])"
    assert client.do(code, CODE="print(0, flush=True)" + STRINGS) == 0
    assert client.do("mine = socket.socket(); answer = 5") == 5
    row = only(catflap, f"{client.pid}:{there}")
    assert (row["libos"], row["state"], row["code"]) == ("kernel", "inherited", 0)


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    """A statically linked program that sleeps."""
    folder = tmp_path_factory.mktemp("still")
    (folder / "p.c").write_text('#include <unistd.h>\nint main(void) { write(1, "x\\n", 2); pause(); }\n')
    subprocess.run(["cc", "-static", "-o", folder / "still", folder / "p.c"], check=True)
    return folder / "still"


def test_program_that_catflap_cannot_be_in(catflap, still):
    with Puppet(catflap, words=[still]) as program:
        assert program.process.stdout.readline() == "x\n"
        about = why(catflap, program.pid)
        assert (about["libos"], about["state"]) == ("kernel", "outside") and about["descriptors"] == []
        assert "statically linked" in about["meaning"] and "dynamically linked build" in about["remedy"]
    with Puppet(catflap, None) as program:
        assert program.do("answer = 1") == 1
        about = why(catflap, program.pid)
        assert about["meaning"] == "it was started without Catflap" and "catflap run" in about["remedy"]


@as_root
def test_program_that_gained_privileges(catflap, tmp_path):
    copy = tmp_path / "cat"
    shutil.copy(shutil.which("cat"), copy)
    copy.chmod(0o4755)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    if os.statvfs(tmp_path).f_flag & os.ST_NOSUID:
        pytest.skip("the file system gives no privileges")
    words = ["setpriv", "--reuid", "65534", "--clear-groups", str(copy)]
    with Puppet(catflap, words=words) as program:
        program.process.stdin.write("x\n")
        program.process.stdin.flush()
        program.process.stdout.readline()
        assert "AT_SECURE" in why(catflap, program.pid)["meaning"]


def test_program_that_has_ended(catflap):
    process = subprocess.Popen(["true"], stdin=subprocess.DEVNULL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    done = catflap("why", process.pid)  # root may still look at what is left of it
    assert done.returncode == (2 if os.geteuid() else 0) and "has ended" in done.stdout + done.stderr
    process.wait()


@pytest.mark.parametrize("target", ["x", "", "0", "-1", "1:", "1:x", "1:2:3", "99999999999999"])
def test_no_process_id(catflap, refused, target):
    refused(catflap("why", "--", target), 2, "PID")


def test_unknown_process_and_descriptor(catflap, refused, pair):
    server, client, here, there = pair
    refused(catflap("why", 2**22 + 1), 2, "no such process", "ps -e")
    refused(catflap("why", f"{client.pid}:999"), 2, "no descriptor 999", f"/proc/{client.pid}/fd")
    refused(catflap("why", f"{client.pid}:0"), 2, "no TCP or UDP socket")


def test_other_user_is_told_in_one_line(catflap, refused, pair):
    if os.geteuid():
        return refused(catflap("why", 1), 2, "its memory can't be read", "run as root")
    words = ["setpriv", "--reuid", "65534", "--clear-groups", *catflap.words("why", pair[1].pid)]
    done = subprocess.run(words, capture_output=True, text=True, env=catflap.environ(), timeout=60)
    refused(done, 2, f"why {pair[1].pid}", "its memory can't be read", "root's", "run as root")
    words[-2:] = ["top", "--json"]
    done = subprocess.run(words, capture_output=True, text=True, env=catflap.environ(), timeout=60)
    assert json.loads(done.stdout)["connections"] == [] and done.stderr == ""
