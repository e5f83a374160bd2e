"""A secret of several machines: what it seals nobody else can, and nothing else than what was sealed is opened."""

import os

import pytest

from libos.mint_secret import Secret


@pytest.fixture
def secret(tmp_path):
    return made(tmp_path / "secret", b"sixteen bytes or more")


def made(path, data, mode=0o600):
    path.write_bytes(data)
    path.chmod(mode)
    return Secret(str(path))


def test_what_was_sealed_is_opened(secret, tmp_path):
    line = secret.sealed(b"purpose", b"some words")
    assert line.startswith(b"some words ") and line.endswith(b"\n")
    assert secret.opened(b"purpose", line) == b"some words"
    assert made(tmp_path / "same", b"sixteen bytes or more").opened(b"purpose", line) == b"some words"


def test_nothing_else_is(secret, tmp_path):
    line = secret.sealed(b"purpose", b"some words")
    for wrong in (
        b"",
        b"\n",
        b"some words",
        line.replace(b"some", b"Some"),
        line[:-3],
        line[:-3] + b"zz\n",
        b"\xff \xff\n",
    ):
        with pytest.raises(ValueError):
            secret.opened(b"purpose", wrong)
    with pytest.raises(ValueError, match="does not know the secret"):
        secret.opened(b"another", line)
    with pytest.raises(ValueError, match="does not know the secret"):
        made(tmp_path / "other", os.urandom(16)).opened(b"purpose", line)


@pytest.mark.parametrize(("data", "mode", "why"), [(b"short", 0o600, "fewer"), (bytes(32), 0o640, "others may")])
def test_files_that_are_no_secrets(tmp_path, data, mode, why):
    with pytest.raises(ValueError, match=why):
        made(tmp_path / "file", data, mode)
