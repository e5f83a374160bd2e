"""What comes back after a power cut, and what is left as it is."""

import ctypes
import fcntl
import os
import struct

import pytest
import storage
from hypothesis import given
from hypothesis import strategies as st

from interpose import file_state, restoring
from libos.errors import Fail
from libos.journals import LOCK, turn

SECTOR = restoring.SECTOR
ADDED = ctypes.create_string_buffer(b"restored", 8)


@given(st.binary(min_size=1, max_size=3 * SECTOR), st.integers(0, 2 * SECTOR), st.data())
def test_lost_sectors_and_lost_ends_come_back(record, offset, data):
    """A sector reached the disk as a whole, up to some byte of its own, or not at all; the file may be shorter."""
    have = bytearray(record)
    at = 0
    while at < len(record):
        end = min(at + SECTOR - (offset + at) % SECTOR, len(record))
        there = data.draw(st.integers(at, end))
        have[there:end] = bytes(end - there)
        at = end
    have = bytes(have[: data.draw(st.integers(0, len(have)))])
    there, given_back, differs = restoring.merged(have, record, offset)
    assert (there, differs) == (record, 0)
    assert given_back == 0 if have == record else given_back <= len(record)


def test_a_file_that_was_written_to_since_is_left(tmp_path):
    """A program without Catflap has found it short and appended to it: nothing may come behind that."""
    record = bytes(range(1, 201)) * 8
    path = os.fsencode(tmp_path / "a")
    (tmp_path / "a").write_bytes(b"ab" + record[:700] + b"new")
    assert restoring.give_back(path, 2, [record[:600], record[600:]]) == (0, 3)
    assert (tmp_path / "a").read_bytes() == b"ab" + record[:700] + b"new"
    (tmp_path / "a").write_bytes(b"ab" + record[:700])
    assert restoring.give_back(path, 2, [record[:600], record[600:]]) == (len(record) - 700, 0)
    assert (tmp_path / "a").read_bytes() == b"ab" + record


def test_heads():
    head = restoring.head_of("a-boot", 12, 34, 56, b"folder/a name\xff")
    assert restoring.head_read(head) == ("a-boot", 12, 34, 56, b"folder/a name\xff")


@pytest.fixture
def journals(tmp_path):
    there = storage.Journals(str(tmp_path / "volume"), 8 << 20, storage.Heap(64))
    yield there
    there.close()


def begun(journals, number, path, boot="before"):
    """A journal of the file at `path`, from its third byte on, that adds "restored" to it."""
    found = file_state.of_path(os.fsencode(path), file_state.BIRTH)
    journals.begin(number, restoring.head_of(boot, found.key[1], found.born, 2, os.fsencode(path.name)))
    journals.append(number, ctypes.addressof(ADDED), len(ADDED))
    journals.settle()


def test_files_are_found_by_what_they_are(journals, tmp_path):
    """Renamed, in another folder, gone, replaced by another of the same name: only the very file gets anything."""
    folder = tmp_path / "files"
    (folder / "below").mkdir(parents=True)
    for number, name in enumerate(("same", "renamed", "gone", "replaced", "today")):
        (folder / name).write_bytes(b"ab")
        begun(journals, number, folder / name, boot="now" if name == "today" else "before")
    (folder / "renamed").rename(folder / "below" / "other")
    (folder / "gone").unlink()
    (folder / "replaced").rename(tmp_path / "outside")
    (folder / "replaced").write_bytes(b"ab")
    said = []
    restoring.restore(journals, os.fsencode(folder), "now", said.append)
    assert (folder / "same").read_bytes() == (folder / "below" / "other").read_bytes() == b"abrestored"
    assert (folder / "replaced").read_bytes() == (folder / "today").read_bytes() == b"ab"
    assert len(said) == 2 and journals.filled() == [4]


def test_a_journal_is_emptied_and_used_again(journals, tmp_path):
    (tmp_path / "a").write_bytes(b"ab")
    for _ in range(3):
        begun(journals, 0, tmp_path / "a")
        assert journals.filled() == [0] and list(journals.records(0))[1:] == [ADDED.raw]
        journals.empty(0)
        assert journals.filled() == []
    journals.empty(7)


def test_who_restores_is_alone(tmp_path):
    path = str(tmp_path / "volume")
    with turn(path):  # there is none yet
        pass
    (tmp_path / "volume").touch()
    request = struct.pack(LOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0)
    with open(path, "r+b") as file:
        with turn(path), pytest.raises(BlockingIOError):
            fcntl.fcntl(file, fcntl.F_OFD_SETLK, request)
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, request)


def test_a_journal_of_a_bad_device_is_not_believed(journals, tmp_path):
    (tmp_path / "a").write_bytes(b"ab")
    begun(journals, 0, tmp_path / "a")
    content = (tmp_path / "volume").read_bytes()
    place = content.index(ADDED.raw)
    with open(tmp_path / "volume", "r+b") as file:
        file.seek(place)
        file.write(b"RESTORED")
    with pytest.raises(Fail):
        list(journals.records(0))


def test_the_state_of_a_file_is_stats(tmp_path):
    path = os.fsencode(tmp_path / "a")
    (tmp_path / "a").write_bytes(b"abc")
    os.link(path, path + b"link")
    os.symlink(path, path + b"way")
    found, stat = file_state.of_path(path, file_state.TIMES | file_state.BIRTH), os.stat(path)
    assert found.key == (stat.st_dev, stat.st_ino) and found.regular and (found.links, found.size) == (2, 3)
    assert (found.changed, found.written) == (stat.st_ctime_ns, stat.st_mtime_ns)
    assert abs(found.born - found.changed) < 60 * 10**9
    assert not file_state.of_path(path + b"way").regular and not file_state.of_path(os.fsencode(tmp_path)).regular
    with open(path) as file:
        assert file_state.of_number(file.fileno()).key == found.key
    with pytest.raises(FileNotFoundError):
        file_state.of_path(path + b"none")
