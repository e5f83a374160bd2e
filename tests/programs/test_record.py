"""Programs on Catnip are recorded, and their stacks do the same again, state for state, under the interpreter."""

import os
import re
import signal
import subprocess
import sys
import time

import flap
import pytest
import pythons
from material import content, sha
from networks import CLIENT, CLIENT6, SERVER, SERVER6, Network
from test_catnip import PING, PONG, SEVENTH, fetched, web_server

ENTRY = "import sys; sys.path[0] = {root!r}; from shim.__main__ import main; sys.exit(main())"
SAME = "the same, state for state"


def catflap(*words, **options):
    """A command of Catflap's, run to its end."""
    environ = {name: value for name, value in os.environ.items() if not flap.OURS.match(name)}
    argv = [sys.executable, "-c", ENTRY.format(root=flap.ROOT), *map(str, words)]
    options = {"stdin": subprocess.DEVNULL, "timeout": 200, "env": environ} | options
    return subprocess.run(argv, capture_output=True, text=True, **options)


def replayed(path, *words):
    """What a replay that finds all the same prints."""
    done = catflap("replay", *words, path)
    assert (done.returncode, done.stderr) == (0, ""), f"{done.stdout}\n{done.stderr}"
    assert done.stdout.splitlines()[-1] == SAME
    return done.stdout


@pytest.mark.parametrize(
    "pure", [pytest.param(False, id="catnip"), pytest.param(True, id="catnip-pure", marks=pytest.mark.pure_sample)]
)
def test_both_ends_of_an_echo(tmp_path, pure):
    """A server and a client, recorded in one mode, run again in both."""
    network, port, rounds = Network(pure), flap.free_port(), 100 if pure else 2000
    tapes = [str(tmp_path / name) for name in ("server", "client")]
    ping = PING.replace("2000", str(rounds))
    with network.server([pythons.same(), "-c", PONG, str(port)], port, env={"CATFLAP_RECORD": tapes[0]}) as server:
        result = network.client([pythons.same(), "-c", ping, SERVER, str(port)], env={"CATFLAP_RECORD": tapes[1]})
        assert result.status == 0, str(result)
        assert server.wait(60).status == 0
    for tape, way in zip(tapes, "←→", strict=True):
        text = replayed(tape)
        assert re.search(rf"^connection  10\.77\.1\.\d:\d+ {way} 10\.77\.1\.\d:\d+$", text, re.M), text
        assert f":{port}" in text and "the tape ends with the program" in text
        assert int(re.search(r"(\d+) in", text)[1]) >= rounds
        assert os.stat(tape).st_mode & 0o777 == 0o600
        if not os.environ.get("FLAP_STAGED"):
            assert replayed(tape, "--compiled").splitlines()[1:] == text.splitlines()[1:]


def test_nginx_and_curl_over_a_wire_that_loses(tmp_path):
    """Every seventh frame of the server's is lost; the pcap file has what the tape has."""
    hook, port, tape = tmp_path / "hook.py", flap.free_port(), tmp_path / "tape"
    example = os.path.join(flap.ROOT, "examples", "drop_seventh.py")
    hook.write_text(SEVENTH.format(example=example, report=str(tmp_path / "report")))
    network = Network()
    env = {"CATFLAP_HOOK": str(hook), "CATFLAP_RECORD": str(tape)}
    with network.server(web_server(tmp_path, (300_000,), port), port, env=env) as server:
        for host in (SERVER, f"[{SERVER6}]"):
            assert fetched(network, f"http://{host}:{port}/300000") == sha(content(300_000))
        os.kill(server.pid, signal.SIGQUIT)
        assert server.wait(30).status == 0
    capture = tmp_path / "frames.pcapng"
    text = replayed(tape, "--pcap", capture)
    assert int(re.search(r"sent again  (\d+) segments", text)[1]) > 20, text
    assert f"{SERVER}:{port} ← {CLIENT}:" in text and f"[{SERVER6}]:{port} ← [{CLIENT6}]:" in text
    frames = re.search(r"frames      (\d+) in, (\d+) out", text)
    from libos.devices.capture_file import read

    assert len(list(read(str(capture)))) == int(frames[1]) + int(frames[2]) > 300


KILLED = """
import os, signal, socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as sock:
    sock.sendall(b"p" * 100)
    sock.recv(100)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def recorded(tmp_path, code=PING, **options):
    """Path of the tape of a client of PONG."""
    network, port, tape = Network(), flap.free_port(), str(tmp_path / "tape")
    with network.server([pythons.same(), "-c", PONG, str(port)], port):
        argv = [pythons.same(), "-c", code.replace("2000", "20"), SERVER, str(port)]
        network.client(argv, env={"CATFLAP_RECORD": tape}, **options)
    return tape


def test_a_killed_program(tmp_path):
    """What was recorded up to the kill is there; so it is of a tape that is cut."""
    tape = recorded(tmp_path, KILLED, strict=False)
    text = replayed(tape)
    assert "the tape ends without a farewell" in text and "1 more" not in text and "connection  " in text
    with open(tape, "rb+") as file:
        file.truncate(len(file.read().rstrip(b"\0")) - 30)
    assert "the tape ends where it was cut short" in replayed(tape)


def test_a_changed_byte_is_named(tmp_path):
    tape = recorded(tmp_path)
    with open(tape, "rb+") as file:
        at = file.read().rindex(b"p" * 100) + 50
        file.seek(at)
        file.write(b"q")
    done = catflap("replay", tape)
    assert done.returncode == 1 and re.search(r"^record \d+ at \d+\.\d{9} s: it is damaged", done.stdout, re.M), done
    assert SAME not in done.stdout and done.stderr == ""


def test_another_stack_is_found_out(tmp_path):
    """A tape of today, and a stack that acknowledges later: the first frame that is not as it was."""
    tape = recorded(tmp_path)
    code = (
        "import os, sys; os.environ['CATFLAP_PURE'] = '1'; sys.path[0] = sys.argv[1]\n"
        "from libos.net.tcp import sender\n"
        "from libos.net.wire import tcp_header\n"
        "from shim import replay\n"
        "tcp_header_write = tcp_header.write\n"
        "tcp_header.write = lambda *a: tcp_header_write(*a[:-1], a[-1] ^ 1)\n"
        "sys.exit(replay.main(sys.argv[2], None, None))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, flap.ROOT, tape], capture_output=True, text=True, timeout=100)
    assert done.returncode == 1 and re.search(r"^record \d+ \(drop\) at .*: other frames go out$", done.stdout, re.M), (
        done
    )


def test_pdb_inside_the_stack(tmp_path):
    """A breakpoint in libos/net is hit; the stack, the record and its frame are in reach."""
    tape = recorded(tmp_path)
    with open(os.path.join(flap.ROOT, "libos/net/tcp/arriving.py")) as file:
        lines = file.read().splitlines()
    number = next(i for i, line in enumerate(lines, 1) if line.startswith("def segment(")) + 1
    number = next(i for i in range(number, 400) if not lines[i - 1].strip().startswith(('"""', "'")) and lines[i - 1])
    say = [
        "p type(stack).__name__, record.number, len(frame)",
        f"break libos/net/tcp/arriving.py:{number + 2}",
        "continue",
        "where",
        "p 'port', p.source_port",
        "quit",
    ]
    done = catflap("replay", "--pdb", "--at", "3", tape, input="\n".join(say) + "\n", stdin=None)
    assert done.returncode == 1 and done.stderr == "", done
    assert "('Stack', 3, " in done.stdout and "Breakpoint 1 at" in done.stdout
    assert "arriving.py" in done.stdout.partition("continue")[2] or "segment()" in done.stdout, done.stdout
    assert "('port', " in done.stdout and "left at record" in done.stdout
    on = catflap("replay", "--pdb", "--at", "0.000001", tape, input="continue\n", stdin=None)
    assert on.returncode == 0 and SAME in on.stdout


def test_a_tape_for_each_process(tmp_path):
    """Two programs of one run: the second has its process number behind the name."""
    network, port, tape = Network(), flap.free_port(), tmp_path / "tape"
    code = "import sys, socket; socket.create_connection((sys.argv[1], int(sys.argv[2]))).close()"
    with network.server([pythons.same(), "-m", "http.server", str(port), "-d", str(tmp_path)], port):
        shell = ["sh", "-c", '"$@" && "$@"', "sh", pythons.same(), "-c", code, SERVER, str(port)]
        result = network.client(shell, env={"CATFLAP_RECORD": str(tape)})
        assert result.status == 0, str(result)
    first, second = sorted(path.name for path in tmp_path.glob("tape*"))
    assert first == "tape" and re.fullmatch(r"tape\.\d+", second)
    assert (
        replayed(tape).splitlines()[0].partition(",")[0]
        != replayed(tmp_path / second).splitlines()[0].partition(",")[0]
    )


def test_by_the_launcher(tmp_path):
    """`run --record`: paths from where it is called, an older tape makes way, and what can't be is one line."""
    network, port = Network(), flap.free_port()
    network_of = network.host(CLIENT)
    (tmp_path / "tape").write_bytes(b"catflap tape 0\n\0 an old one")
    (tmp_path / "letter").write_bytes(b"Dear Tom")
    fetch = "import os, sys, socket; os.chdir('/'); socket.create_connection((sys.argv[1], int(sys.argv[2]))).close()"
    run = ["run", "--record", "tape", "--device", network_of["CATFLAP_DEVICE"], "--addresses", f"{CLIENT}/16"]
    with network.server([pythons.same(), "-m", "http.server", str(port), "-d", str(tmp_path)], port):
        done = catflap(*run, "--libos", "catnip", "--", pythons.same(), "-c", fetch, SERVER, port, cwd=tmp_path)
        assert done.returncode == 0, done
    assert f"→ {SERVER}:{port}" in replayed(tmp_path / "tape")
    for words, why in (
        (["--record", "tape"], "only what runs on Catnip is recorded"),
        (["--record", "letter", "--libos", "catnip"], "is no tape"),
        (["--record", "nowhere/tape", "--libos", "catnip"], "not writable"),
        (["--record", ".", "--libos", "catnip"], "not writable"),
    ):
        done = catflap("run", *words, "--", "true", cwd=tmp_path)
        assert done.returncode == 2 and why in done.stderr and done.stderr.count("\n") == 1, done
    assert (tmp_path / "letter").read_bytes() == b"Dear Tom" and replayed(tmp_path / "tape")


def test_where_nothing_can_be_recorded_the_program_goes_on(tmp_path):
    network, port = Network(), flap.free_port()
    with network.server([pythons.same(), "-c", PONG, str(port)], port):
        argv = [pythons.same(), "-c", PING.replace("2000", "20"), SERVER, str(port)]
        result = network.client(argv, env={"CATFLAP_RECORD": "/nowhere/tape"}, strict=False)
    assert result.status == 0 and "nothing is recorded in /nowhere/tape" in result.log


def test_what_is_no_tape_is_refused_in_a_line(tmp_path):
    whole = recorded(tmp_path)
    with open(whole, "rb") as file:
        data = file.read()
    for name, octets, why in (
        ("empty", b"", "it is empty"),
        ("text", b"Dear Tom, how are you?" * 10, "it is no tape"),
        ("version", data[:13] + b"9" + data[14:], "another version"),
        ("short", data[:3000], "cut short before its first record"),
        ("head", data[:40] + b"?" + data[41:], "its head is damaged"),
        ("missing", None, "No such file"),
        (".", None, "Is a directory"),
    ):
        if octets is not None:
            (tmp_path / name).write_bytes(octets)
        done = catflap("replay", tmp_path / name)
        assert (done.returncode, done.stdout) == (2, ""), done
        assert why in done.stderr and done.stderr.startswith("catflap: replay ") and done.stderr.count("\n") == 1, done
    assert catflap("replay", "--at", "soon", whole).returncode == 2


def test_time_goes_as_it_went(tmp_path):
    """A pause of the program's is a pause of the tape's, and takes no time in the replay."""
    code = PING.replace("for _", "import time; time.sleep(1.5)\n    for _", 1)
    tape = recorded(tmp_path, code)
    began = time.monotonic()
    text = replayed(tape, "--compiled")
    assert float(re.search(r", (\d+\.\d{6}) s$", text.splitlines()[0])[1]) > 1.5
    assert time.monotonic() - began < 60


ANSWERS = """
import socket, sys
sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
sock.bind(("", int(sys.argv[1])))
print("listens", flush=True)
for _ in range(20):
    data, peer = sock.recvfrom(2000)
    sock.sendto(data[::-1], peer)
"""
ASKS = """
import socket, sys
sock = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(10)
for i in range(10):
    sock.sendto(b"%d" % (100 + i), (sys.argv[1], int(sys.argv[2])))
    assert sock.recv(100) == (b"%d" % (100 + i))[::-1], i
"""


def test_datagrams(tmp_path):
    """Sockets of both families that ask and answer, with names that come and go."""
    network, port = Network(), flap.free_port()
    tapes = [str(tmp_path / name) for name in ("server", "v4", "v6")]
    argv = [pythons.same(), "-c", ANSWERS, str(port)]
    with network.server(argv, port, says=b"listens", env={"CATFLAP_RECORD": tapes[0]}) as server:
        for address, tape in zip((SERVER, SERVER6), tapes[1:], strict=True):
            argv = [pythons.same(), "-c", ASKS, address, str(port)]
            result = network.client(argv, env={"CATFLAP_RECORD": tape})
            assert result.status == 0, str(result)
        assert server.wait(30).status == 0
    for tape in tapes:
        assert int(re.search(r"(\d+) in", replayed(tape))[1]) >= 10
