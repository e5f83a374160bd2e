"""Each script below scripts/ goes as it says."""

from pathlib import Path

import pytest
import script

SCRIPTS = sorted((Path(__file__).parent / "scripts").rglob("*.pkt"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_script(path):
    script.run(path.read_text())
