"""The summary of a full run says what pytest's reports say."""

import json

import matrix
import pytest

REPORT = """<testsuites><testsuite>
<testcase classname="tests.scenarios.test_scenarios" name="test_agrees_with_kernel[stream.echo-catnap]" />
<testcase classname="tests.scenarios.test_scenarios" name="test_agrees_with_kernel[stream.peek-catnap-pure]" />
<testcase classname="tests.scenarios.test_scenarios" name="test_agrees_with_kernel[stream.x-auto-fortified]">
  <failure message="no" /></testcase>
<testcase classname="tests.libos.runtime.test_memory.TestHeap" name="runTest"><error message="no" /></testcase>
<testcase classname="tests.programs.test_redis" name="test_set[auto]"><skipped message="no" /></testcase>
</testsuite></testsuites>"""


@pytest.fixture
def folder(tmp_path):
    for report in matrix.REPORTS:
        (tmp_path / f"{report}.xml").write_text("<testsuites />")
    return tmp_path


def counts(document):
    return {
        (row["family"], row["libos"], row["mode"]): tuple(row[outcome] for outcome in matrix.OUTCOMES)
        for row in document["cells"]
    }


def test_cells_and_failures(folder):
    (folder / "compiled.xml").write_text(REPORT)
    assert matrix.main(str(folder), str(folder / "out.json")) == 1
    document = json.loads((folder / "out.json").read_text())
    assert counts(document) == {
        ("scenarios/stream", "catnap", "compiled"): (1, 0, 0),
        ("scenarios/stream", "catnap", "interpreted"): (1, 0, 0),
        ("scenarios/stream", "auto", "compiled"): (0, 1, 0),
        ("libos/runtime", "", "compiled"): (0, 1, 0),
        ("programs/redis", "auto", "compiled"): (0, 0, 1),
    }
    assert document["totals"] == {"passed": 2, "failed": 2, "skipped": 1}
    assert len(document["failures"]) == 2 and "stream.x-auto-fortified" in document["failures"][1]


def test_all_passed(folder):
    (folder / "interpreted-unit.xml").write_text(
        '<testsuites><testcase classname="tests.shim.test_cli" name="test_help" /></testsuites>'
    )
    assert matrix.main(str(folder), str(folder / "out.json")) == 0
    assert counts(json.loads((folder / "out.json").read_text())) == {("shim", "", "interpreted"): (1, 0, 0)}


def test_missing_report_is_no_success(folder):
    (folder / "compiled.xml").unlink()
    assert matrix.main(str(folder), str(folder / "out.json")) == 1
