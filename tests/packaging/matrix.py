"""matrix.py FOLDER FILE PAGE REPORT...: the results of a full run, from pytest's XML reports in FOLDER, as one JSON
document and, programs against libOSes and roles, as a page. REPORT-again.xml is of the tests that failed, once more:
those that pass then are listed as repeated.

Exit status 1 when a test failed or a report is missing.
"""

import datetime
import json
import os
import platform
import re
import subprocess
import sys
from xml.etree import ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIBOSES = ("catnap", "auto", "catnip", "catmint", "catloop", "kernel")
COLUMNS = [(libos, role) for libos in LIBOSES[:4] for role in ("both", "server", "client")]
OUTCOMES = ("passed", "failed", "skipped")


def cell(report, module, name):
    """(family, libOS, role, mode) of one test: `module` as tests.libos.test_pdpix.TestX, `name` as test_x[parameters].

    A family is a family of scenarios, a file of programs, or a folder of unit tests. The role is that of the end which
    is under the libOS while the other is on the kernel, or "both"; only programs have one.
    """
    words = re.split(r"[-.\]\[]", name.partition("[")[2])
    folders, _, rest = module.removeprefix("tests.").partition(".test_")
    family = folders.replace(".", "/")
    if family == "programs":
        family += "/" + rest.partition(".")[0]
    elif family == "scenarios" and name.startswith("test_agrees_with_kernel["):
        family += "/" + words[0]
    libos = next((word for word in words if word in LIBOSES), "")
    role = next((word for word in words if word in ("server", "client")), "both")
    mode = "interpreted" if report.startswith("interpreted") or "pure" in words else "compiled"
    return family, libos, role if libos and family.startswith("programs/") else "", mode


def read(report, path):
    """[(cell, outcome, test)] of one report."""
    found = []
    for case in ElementTree.parse(path).iter("testcase"):
        kinds = {child.tag for child in case}
        outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        name, module = case.get("name"), case.get("classname") or ""
        found.append((cell(report, module, name), outcome, f"{report}: {module}::{name}"))
    return found


def once_more(results, again):
    """(the results, those that failed and passed when they were repeated as passed; the names of these)."""
    passed = {test for _, outcome, test in again if outcome == "passed"}
    repeated = sorted(test for _, outcome, test in results if outcome == "failed" and test in passed)
    return [(key, "passed" if test in repeated else outcome, test) for key, outcome, test in results], repeated


def summary(results):
    """Counts of each cell, and the names of what failed and what was left out."""
    cells = {}
    for key, outcome, _ in results:
        cells.setdefault(key, dict.fromkeys(OUTCOMES, 0))[outcome] += 1
    rows = [dict(zip(("family", "libos", "role", "mode"), key, strict=True), **cells[key]) for key in sorted(cells)]
    return {
        "totals": {outcome: sum(row[outcome] for row in rows) for outcome in OUTCOMES},
        "failures": sorted(test for _, outcome, test in results if outcome == "failed"),
        "skipped": sorted(test for _, outcome, test in results if outcome == "skipped"),
        "cells": rows,
    }


def page(document):
    """The programs of the document as a Markdown page: how many tests of each passed, in both modes."""
    counts = {}
    for row in document["cells"]:
        if row["family"].startswith("programs/") and (row["libos"], row["role"]) in COLUMNS:
            program = row["family"].removeprefix("programs/")
            total = counts.setdefault(program, {}).setdefault((row["libos"], row["role"]), [0, 0])
            total[0] += row["passed"]
            total[1] += row["failed"]
    lines = [
        "# Programs, libOSes and roles",
        "",
        f"Made by `make test-all` at commit {document['commit'][:12]} on {document['date'][:10]}: how many tests of",
        "each file of `tests/programs` passed and, in brackets, failed. *Server*, *client*: only that end has Catflap.",
        "",
        "| tests | " + " | ".join(f"{libos}, {role}" for libos, role in COLUMNS) + " |",
        "| --- |" + " --- |" * len(COLUMNS),
    ]
    for program in sorted(counts):
        totals = [counts[program].get(column) for column in COLUMNS]
        told = ["" if t is None else f"{t[0]} ({t[1]})" if t[1] else str(t[0]) for t in totals]
        lines.append(f"| {program} | {' | '.join(told)} |")
    return "\n".join(lines) + "\n"


def circumstances():
    """What was tested, where and when."""

    def git(*words):
        command = ["git", "-c", "safe.directory=*", *words]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()

    return {
        "commit": git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(git("status", "--porcelain", "--", ".", ":!tests/matrix.json", ":!docs/matrix.md")),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "libc": " ".join(platform.libc_ver()),
    }


def main(folder, target, page_path, *reports):
    results, again, missing = [], [], []
    for report in reports:
        path = os.path.join(folder, report)
        if os.path.exists(path + ".xml"):
            results += read(report, path + ".xml")
        else:
            missing.append(report)
        if os.path.exists(path + "-again.xml"):
            again += read(report, path + "-again.xml")
    results, repeated = once_more(results, again)
    document = {**circumstances(), **summary(results), "repeated": repeated, "missing": missing}
    with open(target, "w") as file:
        json.dump(document, file, indent=1)
        file.write("\n")
    with open(page_path, "w") as file:
        file.write(page(document))
    print(f"{target}: {', '.join(f'{count} {outcome}' for outcome, count in document['totals'].items())}")
    problems = [*document["failures"], *(f"no report: {report}" for report in missing)]
    for problem in [*problems, *(f"passed when it was repeated: {test}" for test in repeated)]:
        print(f"  {problem}")
    return 1 if document["failures"] or missing else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
