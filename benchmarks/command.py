"""The command line of a benchmark of its own: `python -m benchmarks.NAME [--quick] [--pairs N] [--json FILE]`."""

import click
from rich.console import Console

from benchmarks import pairs, report


def command(run, title, names=(), draw=None):
    """A click command around `run(quick, progress, pairs, names)`. `draw(rows, folder)` shows curves as well."""

    @click.command(help=title)
    @click.argument("parts", nargs=-1, type=click.Choice(names))
    @click.option("--pairs", "count", default=pairs.PAIRS, show_default=True, type=click.IntRange(1))
    @click.option("--json", "path", type=click.Path(), help="Write the figures to a file.")
    @click.option("--quick", is_flag=True, help="Few and short runs: shows that it works, not how fast it is.")
    @click.option(
        "--plots", "folder", type=click.Path(file_okay=False, exists=True), help="Draw pictures into this folder."
    )
    def main(parts, count, path, quick, folder):
        with Console(stderr=True).status("starting") as status:
            rows = run(quick, lambda what: status.update(what), count, parts or names)
        report.show(rows, report.title(title, quick))
        if draw:
            draw(rows, folder)
        if path:
            report.write(path, rows)
        raise SystemExit(any("failure" in r for r in rows))

    return main
