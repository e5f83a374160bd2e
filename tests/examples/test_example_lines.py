"""The documents name every example, and count its lines right."""

import ast
import io
import os
import tokenize

import flap
import pytest

EXAMPLES = os.path.join(flap.ROOT, "examples")
TWINS = ["echo.py", "udp_relay.py", "kv.py", "replicated.py", "serving.py"]
SILENT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def read(*parts):
    with open(os.path.join(flap.ROOT, *parts)) as file:
        return file.read()


def code_lines(source):
    """How many lines have code on them: no blank ones, comments or docstrings."""
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in SILENT:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            lines -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(lines)


def table(heading):
    rows = read("docs", "pdpix.md").partition(f"\n| {heading} |")[2].splitlines()[2:]
    rows = rows[: next((i for i, row in enumerate(rows) if not row.startswith("|")), len(rows))]
    return [[cell.strip().replace("`", "") for cell in row.strip("|").split("|")] for row in rows]


def python_files(folder):
    return sorted(name for name in os.listdir(os.path.join(EXAMPLES, folder)) if name.endswith(".py"))


def test_lines_of_the_twins():
    counted = [[n, str(code_lines(read("examples", n))), str(code_lines(read("examples", "posix", n)))] for n in TWINS]
    assert table("file") == counted


def test_every_twin_is_in_the_table():
    assert sorted(TWINS) == python_files("posix")
    assert sorted([*TWINS, "first_come.py", "drop_seventh.py", "logged_echo.py"]) == python_files(".")


def test_dropping_every_seventh_packet_takes_ten_lines():
    assert code_lines(read("examples", "drop_seventh.py")) <= 10


def test_lines_of_what_both_share():
    counted = {name: str(code_lines(read("examples", "common", name))) for name in python_files("common")}
    assert {row[0]: row[1] for row in table("shared file")} == counted


@pytest.mark.parametrize("source, lines", [("", 0), ('"""Doc."""\n\n# c\nx = """a\nb"""  # d\n', 2)])
def test_counting(source, lines):
    assert code_lines(source) == lines


def test_rooms_stay_small():
    for folder in ("examples", "examples/posix", "examples/common", "tests/examples"):
        for name in os.listdir(os.path.join(flap.ROOT, folder)):
            if name.endswith(".py"):
                assert len(read(folder, name).splitlines()) <= 400, name


def test_every_line_that_runs_an_example_is_documented():
    """Usage lines of the docstrings are those of the document."""
    text = read("docs", "pdpix.md")
    for name in TWINS:
        doc = ast.get_docstring(ast.parse(read("examples", name)))
        for line in doc.splitlines():
            if line.startswith("    python "):
                assert line.strip().partition(" [")[0] in text, line
