"""The summary of a full run says what pytest's reports say."""

import json

import matrix
import pytest

REPORTS = ("compiled", "interpreted-unit", "interpreted-sample")
REPORT = """<testsuites><testsuite>
<testcase classname="tests.scenarios.test_scenarios" name="test_agrees_with_kernel[stream.echo-catnap]" />
<testcase classname="tests.scenarios.test_scenarios" name="test_agrees_with_kernel[stream.peek-catnap-pure]" />
<testcase classname="tests.scenarios.test_scenarios" name="test_agrees_with_kernel[stream.x-auto-fortified]">
  <failure message="no" /></testcase>
<testcase classname="tests.libos.runtime.test_memory.TestHeap" name="runTest"><error message="no" /></testcase>
<testcase classname="tests.programs.test_redis" name="test_set[auto]"><skipped message="no" /></testcase>
<testcase classname="tests.programs.test_redis" name="test_set[catnap-server]" />
<testcase classname="tests.programs.test_redis" name="test_set[auto-client]"><failure message="no" /></testcase>
</testsuite></testsuites>"""


@pytest.fixture
def folder(tmp_path):
    for report in REPORTS:
        (tmp_path / f"{report}.xml").write_text("<testsuites />")
    return tmp_path


def run(folder):
    return matrix.main(str(folder), str(folder / "out.json"), str(folder / "page.md"), *REPORTS)


def counts(document):
    return {
        (row["family"], row["libos"], row["role"], row["mode"]): tuple(row[outcome] for outcome in matrix.OUTCOMES)
        for row in document["cells"]
    }


def test_cells_and_failures(folder):
    (folder / "compiled.xml").write_text(REPORT)
    assert run(folder) == 1
    document = json.loads((folder / "out.json").read_text())
    assert counts(document) == {
        ("scenarios/stream", "catnap", "", "compiled"): (1, 0, 0),
        ("scenarios/stream", "catnap", "", "interpreted"): (1, 0, 0),
        ("scenarios/stream", "auto", "", "compiled"): (0, 1, 0),
        ("libos/runtime", "", "", "compiled"): (0, 1, 0),
        ("programs/redis", "auto", "both", "compiled"): (0, 0, 1),
        ("programs/redis", "catnap", "server", "compiled"): (1, 0, 0),
        ("programs/redis", "auto", "client", "compiled"): (0, 1, 0),
    }
    assert document["totals"] == {"passed": 3, "failed": 3, "skipped": 1}
    assert len(document["failures"]) == 3 and "stream.x-auto-fortified" in document["failures"][2]
    assert "| redis | | 1 | | 0 | | 0 (1) |" in (folder / "page.md").read_text().replace("|  |", "| |")


def test_repeated(folder):
    """What passes the second time counts as passed, and is named; what was not repeated stays failed."""
    (folder / "compiled.xml").write_text(REPORT)
    (folder / "compiled-again.xml").write_text(REPORT.replace('<failure message="no" />', "", 1))
    assert run(folder) == 1
    document = json.loads((folder / "out.json").read_text())
    assert document["totals"] == {"passed": 4, "failed": 2, "skipped": 1}
    assert len(document["repeated"]) == 1 and "stream.x-auto-fortified" in document["repeated"][0]


def test_all_passed(folder):
    (folder / "interpreted-unit.xml").write_text(
        '<testsuites><testcase classname="tests.shim.test_cli" name="test_help" /></testsuites>'
    )
    assert run(folder) == 0
    assert counts(json.loads((folder / "out.json").read_text())) == {("shim", "", "", "interpreted"): (1, 0, 0)}


def test_missing_report_is_no_success(folder):
    (folder / "compiled.xml").unlink()
    assert run(folder) == 1
