"""The documents say what the code does: option for option, knob for knob, and their links lead somewhere."""

import glob
import os
import re

import pytest

from libos import config
from shim import binary, cli, reasons, run, top

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def read(*parts):
    with open(os.path.join(ROOT, *parts)) as file:
        return file.read()


def table(text, heading):
    """The rows below the table head that starts with `heading`, as lists of cells without backquotes."""
    rows = text.partition(f"\n| {heading} |")[2].splitlines()[2:]
    cells = []
    for row in rows:
        if not row.startswith("|"):
            break
        cells.append([cell.strip().replace("`", "") for cell in row.strip("|").split("|")])
    return cells


def test_knobs():
    rows = table(read("docs", "configuration.md"), "key in the file")
    defaults = {knob.name: "none" if knob.default is None else str(knob.default) for knob in config.KNOBS}
    assert rows == [[k.name, k.environment, k.flag, defaults[k.name], k.range(), k.text] for k in config.KNOBS]


def test_rule_keys():
    rows = table(read("docs", "configuration.md"), "key of a rule")
    assert sorted(row[0] for row in rows) == sorted(config.RULE_KEYS)


def test_every_variable_of_the_sources_is_documented():
    used = set()
    for pattern in ("csrc/*.[ch]", "interpose/*.py", "libos/*.py", "shim/*.py"):
        for path in glob.glob(os.path.join(ROOT, pattern)):
            used |= set(re.findall(r"""(?:getenv|is_set|environ\.get|environ)[(\[]["'](CATFLAP_\w+)""", read(path)))
            used |= set(re.findall(r"""(?:environ|result)\[["'](CATFLAP_\w+)""", read(path)))
    text = read("docs", "configuration.md")
    documented = {row[1] for row in table(text, "key in the file")} | {row[0] for row in table(text, "environment")}
    assert used - {"CATFLAP_CFLAGS"} <= documented
    assert documented <= used | {knob.environment for knob in config.KNOBS}


def test_example_file_is_right(tmp_path):
    example = re.search(r"```toml\n(.*?)```", read("docs", "configuration.md"), re.S)[1]
    (tmp_path / "c.toml").write_text(example)
    chosen = config.load({"CATFLAP_CONFIG": str(tmp_path / "c.toml")})
    assert chosen.for_program("/usr/bin/curl").libos == "kernel"
    redis = chosen.for_program("/usr/bin/redis-server")
    assert redis.choose(bytes([10, 0, 0, 1]), 6380) == "catnap" and redis.choose(bytes([10, 0, 0, 1]), 80) is None
    assert redis.choose(bytes(15) + b"\1", 80) == "catnap"


def test_options_of_run():
    rows = table(read("docs", "cli.md"), "option")
    assert rows == [[f"{name} {metavar}" if metavar else name, text] for name, metavar, text in run.OPTIONS]


def test_reason_codes():
    pattern = r"CATFLAP_KERNEL_(\w+) = (\d+),"
    numbers = {int(number): name for name, number in re.findall(pattern, read("csrc", "abi.h"))}
    assert numbers == {code: name for code, (name, _, _) in reasons.REASONS.items()}
    rows = [[str(code), reasons.name(code), *texts] for code, (_, *texts) in reasons.REASONS.items()]
    assert table(read("docs", "reasons.md"), "code") == rows
    assert table(read("docs", "reasons.md"), "state") == [[state, *texts] for state, texts in reasons.STATES.items()]


def test_states_and_columns():
    lines = [
        line for line in read("shim", "connections.py").splitlines() if "row.state" in line and "if row" not in line
    ]
    used = {word for line in lines for word in re.findall(r'"([a-z]+)"', line)}
    assert used - {"catloop", "catmint"} == set(reasons.STATES)
    columns = [name for row in table(read("docs", "cli.md"), "column") for name in row[0].split(", ")]
    assert columns == list(top.COLUMNS)


@pytest.mark.parametrize("name", sorted(cli.cli.commands))
def test_every_command_has_a_section_with_its_options(name):
    text = read("docs", "cli.md")
    section = re.search(rf"^## catflap {name}\b(.*?)(?=^## |\Z)", text, re.M | re.S)[1]
    for parameter in cli.cli.commands[name].params:
        for option in getattr(parameter, "opts", []):
            if option.startswith("-"):
                assert option in section, option


def test_findings_about_programs():
    documented = {row[0] for row in table(read("docs", "cli.md"), "finding")}
    found = set(re.findall(r'Finding\("([\w-]+)"', read("shim", "binary.py"))) | {"libos"}
    assert documented == found and binary.examine


def documents():
    """The documents of the tree, as paths below its root."""
    pages = [name for name in os.listdir(ROOT) if name.endswith(".md")]
    return sorted(
        [*pages, *(f"docs/{name}" for name in os.listdir(os.path.join(ROOT, "docs")) if name.endswith(".md"))]
    )


@pytest.mark.parametrize("page", documents())
def test_links_and_named_files_exist(page):
    text = read(page)
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if "://" not in link:
            assert os.path.exists(os.path.join(ROOT, os.path.dirname(page), link)), f"{page}: {link}"
    for path in re.findall(r"`((?:csrc|interpose|libos|shim|tests|docs|benchmarks)/[\w./-]*)`", text):
        if "*" not in path:  # a module may be named without its suffix
            assert any(os.path.exists(os.path.join(ROOT, path + end)) for end in ("", ".py")), f"{page}: {path}"


@pytest.mark.parametrize("page", documents())
def test_make_targets_that_documents_name_exist(page):
    targets = set(re.findall(r"^([a-z-]+):.*## ", read("Makefile"), re.M))
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", read(page), re.M))
    assert named <= targets, f"{page}: {sorted(named - targets)}"
    if page == "README.md":
        assert named >= {"demo", "test"}


def test_every_document_is_listed_in_the_readme():
    text = read("README.md")
    assert [page for page in documents() if page != "README.md" and f"]({page})" not in text] == []


def test_hook_of_the_readme_compiles_and_installs():
    hook = re.search(r"```python\n(.*?)```", read("README.md"), re.S)[1]
    installed, namespace = [], {}

    class Instrument:
        install = staticmethod(lambda name, function: installed.append(name))

    exec(compile(hook, "watch.py", "exec"), namespace)
    namespace["install"](Instrument)
    assert installed == ["pop"]
