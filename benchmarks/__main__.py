"""`python -m benchmarks [NAME...]`: measure, show a table, write JSON."""

import importlib

import click
from rich.console import Console

from benchmarks import plots, report

NAMES = (
    "calls",
    "runtime",
    "pdpix",
    "startup",
    "echo",
    "redis",
    "latency",
    "services",
    "connections",
    "segment",
    "fabric",
    "catmint",
    "stack",
    "catnip",
    "devices",
    "durable",
    "synced",
    "goodput",
)


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(NAMES))
@click.option("--json", "path", type=click.Path(), help="Write the figures to a file.")
@click.option("--quick", is_flag=True, help="Few and short blocks: shows that it works, not how fast it is.")
@click.option(
    "--plots", "folder", type=click.Path(file_okay=False, exists=True), help="Draw pictures into this folder."
)
def main(names, path, quick, folder):
    """Measure Catflap against the kernel."""
    console = Console(stderr=True)
    with console.status("starting") as status:
        rows = []
        for name in names or NAMES:
            rows += importlib.import_module(f"benchmarks.{name}").run(quick, lambda what: status.update(what))
    report.show(rows, report.title("Catflap", quick))
    plots.draw(rows, folder)
    if path:
        report.write(path, rows)
    raise SystemExit(any("failure" in r for r in rows))


if __name__ == "__main__":
    main()
