"""What a stack was asked is on its tape, and a second stack of that tape is the same, state for state."""

import ctypes
import random
import subprocess
import sys
from pathlib import Path

import fuzz_net
import fuzz_stack
import pytest
from pair import MS, Pair, Wire

from libos import mode
from libos.net import octets, recorder, replay, snapshot, structs
from libos.tape_file import TapeFile

ROOT = Path(__file__).resolve().parents[2]


def talk(pair, sizes):
    """A connection: sizes octets each way, then goodbye."""
    client, server = pair.connected()
    chance = random.Random(5)
    for size in sizes:
        for one, other in ((client, server), (server, client)):
            data, got = chance.randbytes(size), bytearray()
            sent = 0
            while len(got) < len(data):
                n = one.send(data[sent : sent + 20000]) if sent < len(data) else 0
                sent += max(n, 0)
                part = other.receive(7000)
                got += part or b""
                if not part:
                    pair.step(pair.now + 100 * MS)
            assert bytes(got) == data
    client.close()
    pair.run(2)
    server.close()
    pair.run(3)


@pytest.fixture
def tape(tmp_path):
    """A function: path of the tape of the second of two stacks that talk over a bad wire."""

    def make(sizes=(1, 3000, 60_000), end=True, **harm):
        path = tmp_path / f"tape{len(list(tmp_path.iterdir()))}"
        pair = Pair(Wire(7, **({"loss": 0.05, "twice": 0.02, "jitter": 0.1} | harm)), room=1 << 25)
        tape = TapeFile(pair.stacks[1], str(path), {"program": "test"})
        try:
            talk(pair, sizes)
            if end:
                tape.finish()
            made = path.read_bytes()
        finally:
            pair.close()
        path.write_bytes(made[: tape.at - tape.base] if not end else made)
        return path

    return make


def run_again(data):
    """The Replay of a tape's octets, all of whose calls were made."""
    kept = ctypes.create_string_buffer(data, len(data))
    again = replay.Replay(ctypes.addressof(kept), len(data))
    again.kinds = set()
    try:
        for record in again.records():
            again.perform(record)
            again.kinds.add(record.name)
    finally:
        again.stack.host.close()
    return again


def test_state_for_state(tape):
    again = run_again(tape().read_bytes())
    assert again.ending == "with the program"
    assert again.stack.tcp.retransmitted > 0
    assert again.frames_in > 50 and again.frames_out > 50 and len(again.connections) == 1
    assert (local := again.connections[0])[1][2] == 80 and not local[3]


def test_all_of_it_is_compared(tape):
    """Frames are: another octet in what is sent makes the first record differ whose call sends it on."""
    path = tape((2000,), loss=0, twice=0, jitter=0)
    data = path.read_bytes()
    kept = ctypes.create_string_buffer(data, len(data))
    again = replay.Replay(ctypes.addressof(kept), len(data))
    try:
        sends = [record for record in again.records() if record.kind == structs.CALL_SEND]
        assert len(sends) == 1 and len(sends[0].frame) == 2000
        ctypes.memset(sends[0].at, sends[0].frame[0] ^ 1, 1)
        again.record = lambda *where: replay.Replay.record(again, *where) if where[0] != sends[0].number else sends[0]
        with pytest.raises(replay.Difference, match="other frames go out") as found:
            for record in again.records():
                again.perform(record)
        assert found.value.record.number > sends[0].number
    finally:
        again.stack.host.close()


def test_another_state_is_found(tape):
    """One counter that no call answers with."""
    data = tape((2000,)).read_bytes()
    kept = ctypes.create_string_buffer(data, len(data))
    again = replay.Replay(ctypes.addressof(kept), len(data))
    again.stack.tcp.resets_out += 1
    try:
        with pytest.raises(replay.Difference, match=r"record 1 \(state\).*the state is another"):
            for record in again.records():
                again.perform(record)
    finally:
        again.stack.host.close()


def test_a_changed_octet_is_found(tape):
    """Wherever it is: in the head, in a record's words, in what came with it."""
    data = tape((3000,)).read_bytes()
    begins = data.index(b"}") + 1
    chance = random.Random(3)
    places = [0, 14, 16, 25, 40, len(data) - 1, len(data) - 30]
    places += [chance.randrange(begins, len(data)) for _ in range(40)] + [chance.randrange(begins) for _ in range(5)]
    for place in places:
        changed = data[:place] + bytes([data[place] ^ 1 << chance.randrange(8)]) + data[place + 1 :]
        if place < 32 or data[:place].count(b"}") == 0:
            with pytest.raises(replay.Unreadable):
                run_again(changed)
        else:
            try:
                again = run_again(changed)
            except replay.Unreadable as error:  # in the pages
                assert "damaged" in str(error)
            except replay.Difference as error:
                assert "damaged" in str(error), place
            else:
                assert again.ending == replay.CUT, place  # of a size


@pytest.mark.parametrize("lost", [1, 7, 8, 40, 100, 1000])
def test_a_tail_that_is_missing(tape, lost):
    data = tape((3000,)).read_bytes()
    again = run_again(data[:-lost])
    assert again.ending in (replay.CUT, "without a farewell: the program was killed, or has become another")
    assert again.frames_in > 5


def test_a_tape_that_nobody_ends(tape):
    """As after kill -9: zero octets behind the last record; a record without an answer may be the last."""
    data = tape((3000,), end=False).read_bytes()
    again = run_again(data + bytes(1 << 16))
    assert again.ending.startswith("without a farewell") and again.done > 20
    last = bytearray(data)
    offset = again.records_at
    while offset + (size := int.from_bytes(data[offset : offset + 4], "little")) < len(data):
        offset += size
    last[offset + 6] = 0
    last[len(data) - 16 :] = bytes(16)
    assert run_again(bytes(last) + bytes(64)).done == again.done


def test_the_end_for_want_of_room():
    """The calls go on, and the tape says why it does not."""
    pair = Pair(Wire(1))
    memory = ctypes.create_string_buffer(5000)
    tape = recorder.Recorder(pair.stacks[1])
    tape.at, tape.end = ctypes.addressof(memory), ctypes.addressof(memory) + len(memory)
    attributes, pages = snapshot.attributes(pair.stacks[1]), snapshot.pages(pair.stacks[1])
    kept = b"".join(ctypes.string_at(pair.stacks[1].host.pool.base + at, 4096) for at in pages)
    tape.start()
    try:
        talk(pair, (3000,))
        assert not tape.on and tape.at <= tape.end
    finally:
        pair.close()
    head = {"layout": snapshot.layout(), "attributes": attributes, "pages": pages, "now": attributes["host"]["now"]}
    text = repr(head).encode()
    text += b" " * (-len(text) % 8)
    whole = ctypes.create_string_buffer(text + kept, len(text + kept))
    start = b"catflap tape 1\n\0" + len(text).to_bytes(8, "little")
    start += octets.remainder(ctypes.addressof(whole), len(whole)).to_bytes(8, "little")
    again = run_again(start + whole.raw + memory.raw[: tape.at - ctypes.addressof(memory)])
    assert again.ending == "where there was no room for more (errno 28)"


class Recorded(fuzz_stack.Story):
    """A story whose stack has a tape, and whose user says when it has changed a record."""

    def __init__(self, data, path):
        super().__init__(data, False)
        self.tape = TapeFile(self.stack, str(path), {})

    def collect(self):
        for at in self.handles:
            self.host.changed(at, ctypes.sizeof(structs.Tcb))
        super().collect()

    def end(self):
        self.tape.finish()
        super().end()


def recorded_and_run_again(data, path):
    """The Replay of one input; another mapping of this process may have taken the stack's place meanwhile."""
    for _ in range(3):
        Recorded(data, path).run()
        try:
            return run_again(path.read_bytes())
        except replay.Unreadable as error:
            taken = error
            if "is taken" not in str(error):
                raise
    raise taken


def test_stories(tmp_path):
    """Segments, datagrams, errors, hours and calls that fuzzing has found, from their tapes: in this mode, and some of
    them in the other one.
    """
    kinds, tapes = set(), []
    for i, data in enumerate(fuzz_net.corpus("stack")):
        path = tmp_path / f"tape{i}"
        kinds |= recorded_and_run_again(data, path).kinds
        tapes.append(path)
    assert kinds >= set("receive poll drop send receive_into accept connect close udp_send udp_receive_into".split())
    if not mode.built():
        return
    code = "import sys; from shim import replay\nsys.exit(max(replay.main(path, None, None) for path in sys.argv[1:]))"
    env = {"PYTHONPATH": str(ROOT), "CATFLAP_PURE": "" if mode.pure() else "1"}
    done = subprocess.run([sys.executable, "-c", code, *tapes[::6]], env=env, capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr
    assert done.stdout.count("the same, state for state") == len(tapes[::6])
