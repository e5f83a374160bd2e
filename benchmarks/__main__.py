"""`python -m benchmarks [NAME...]`: measure, show a table, write JSON."""

import importlib

import click
from rich.console import Console

from benchmarks import report

NAMES = ("calls", "runtime", "startup", "echo", "redis")


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(NAMES))
@click.option("--json", "path", type=click.Path(), help="Write the figures to a file.")
@click.option("--quick", is_flag=True, help="Few and short blocks: shows that it works, not how fast it is.")
def main(names, path, quick):
    """Measure Catflap against the kernel."""
    console = Console(stderr=True)
    with console.status("starting") as status:
        rows = []
        for name in names or NAMES:
            rows += importlib.import_module(f"benchmarks.{name}").run(quick, lambda what: status.update(what))
    report.show(rows, f"Catflap, {report.mode()}" + (", quick: not to be quoted" if quick else ""))
    if path:
        report.write(path, rows)


if __name__ == "__main__":
    main()
