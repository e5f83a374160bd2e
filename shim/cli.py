"""The commands that people wait for less than for `run`: click for the command line, rich for what they print."""

import json
import os
import sys

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from libos import knobs, mode
from shim import __version__, program, run

STYLES = {
    "ok": "green",
    "warn": "yellow",
    "bad": "bold red",
    "same": "green",
    "varies": "yellow",
    "differs": "bold red",
}
EXAMPLES = """\b
Examples:
  catflap run --libos catnap -- redis-server --port 6380
  catflap doctor nginx
  catflap compare -n 20 -- curl -s http://127.0.0.1:8000/
"""
AFTER_OPTIONS = {"ignore_unknown_options": True, "allow_interspersed_args": False}


def console():
    """Where results go: colours on a terminal unless NO_COLOR is set, and no folding of lines elsewhere."""
    terminal = sys.stdout.isatty()
    return Console(soft_wrap=not terminal, width=None if terminal else 10_000, highlight=False)


def show_version(context, option, value):
    if value and not context.resilient_parsing:
        from shim import doctor

        built = doctor.built_for()
        python = ".".join(map(str, built[0])) if built else "not built"
        number = doctor.abi() if built else None
        parts = f"ABI {number or 'not built'}, {doctor.built_mode()}, Python {python}"
        click.echo(f"catflap {__version__} ({parts}; libOSes: {', '.join(knobs.LIBOSES)})")
        context.exit(0)


@click.group(epilog=EXAMPLES)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=show_version,
              help="Show version, ABI, mode, Python and libOSes.")  # fmt: skip
def cli():
    """Run unmodified programs on library operating systems."""


@cli.command("run", context_settings=AFTER_OPTIONS, options_metavar="[OPTIONS] --")
@click.argument("words", metavar="PROGRAM [ARGS]...", nargs=-1, type=click.UNPROCESSED)
def run_command(words):
    """Become PROGRAM, with Catflap inside it.

    Exit status, signals, terminal and descriptors are the program's own; what it starts has Catflap inside too. Set-up
    errors exit with 2; a program that is not found with 127, one that can't be started with 126.
    """
    return run.main(sys.argv[2:])


for _name, _metavar, _text in run.OPTIONS:
    _choice = click.Choice(knobs.LIBOSES) if _name == "--libos" else click.Path() if _metavar else None
    _kind = {"type": _choice, "metavar": _metavar} if _metavar else {"is_flag": True}
    run_command.params.append(
        click.Option([_name], help=_text[0].upper() + _text[1:] + ".", expose_value=False, **_kind)
    )


@cli.command()
def library():
    """Print the path of libcatflap.so, for LD_PRELOAD=$(catflap library) PROGRAM."""
    return run.print_library()


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.argument("name", metavar="[PROGRAM]", required=False, type=click.Path())
def doctor(name, as_json):
    """Say what is wrong on this machine, and for PROGRAM, and what to do.

    Exit status 1 if anything is bad.
    """
    from shim import doctor
    from shim.finding import BAD, worst

    sections = [("This machine", doctor.machine())]
    if name is not None:
        sections.append((name, doctor.examine(name)))
    findings = [finding for _, part in sections for finding in part]
    if as_json:
        document = {"version": __version__, "program": name, "worst": worst(findings)}
        document["findings"] = [
            {"about": "program" if part is not sections[0][1] else "machine", **finding.as_dict()}
            for _, part in sections
            for finding in part
        ]
        click.echo(json.dumps(document, indent=2))
    else:
        show_findings(sections)
    return 1 if worst(findings) == BAD else 0


def show_findings(sections):
    out = console()
    for title, findings in sections:
        out.print(f"[bold]{escape(title)}[/bold]")
        for finding in findings:
            style = STYLES[finding.state]
            out.print(f"  [{style}]{finding.state:<4}[/{style}]  {finding.name:<13} {escape(finding.sentence)}")
            if finding.remedy:
                out.print(f"        {'':13} → {escape(finding.remedy)}")


@cli.command(context_settings={"allow_interspersed_args": False}, options_metavar="[OPTIONS] --")
@click.option("--libos", metavar="NAME", type=click.Choice(knobs.LIBOSES), help="The libOS of the Catflap side.")
@click.option("-n", "runs", metavar="RUNS", type=click.IntRange(1), default=5, show_default=True,
              help="Runs on each side.")  # fmt: skip
@click.option("--timeout", metavar="SECONDS", type=click.FloatRange(0, min_open=True), help="Kill a run after SECONDS.")
@click.argument("words", metavar="COMMAND [ARGS]...", nargs=-1, required=True, type=click.UNPROCESSED)
def compare(libos, runs, timeout, words):
    """Run COMMAND on the kernel and under Catflap, compare what it answers and how long it takes.

    Exit status 1 if exit status, stdout or stderr disagree. The command's input is /dev/null.
    """
    from shim import compare

    try:
        kernel, catflap = compare.measure(list(words), libos, runs, timeout)
    except program.Missing as error:
        return run.complain(words[0], str(error), error.remedy, error.status)
    out = console()
    table = Table(box=None)
    table.add_column("")
    for title in ("kernel", f"Catflap ({libos or 'default'})", "ratio"):
        table.add_column(title, justify="right")
    for title, of in (("median", compare.Side.median), ("min", compare.Side.least)):
        a, b = of(kernel), of(catflap)
        table.add_row(f"{title}, ms", f"{a * 1e3:.2f}", f"{b * 1e3:.2f}", f"{b / a:.2f}")
    out.print(table)
    agreed = True
    for aspect, verdict, sentence in compare.verdicts(kernel, catflap):
        agreed = agreed and verdict != "differs"
        style = STYLES[verdict]
        out.print(f"{aspect:<12} [{style}]{escape(sentence)}[/{style}]")
    return 0 if agreed else 1


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print the connections as JSON, once.")
@click.option("--once", is_flag=True, help="Print one table and end; so it is where stdout is no terminal.")
def top(as_json, once):
    """Show all connections of your processes under Catflap, every second.

    Bytes and rates are those through shared memory. Ctrl-C ends it.
    """
    from shim import top

    out = console()
    if as_json:
        click.echo(json.dumps(top.document(), indent=2))
    elif once or not sys.stdout.isatty():
        out.print(top.view(out, *top.look()))
    else:
        top.live(out)
    return 0


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
@click.argument("target", metavar="PID[:FD]")
def why(as_json, target):
    """Say whether the TCP and UDP descriptors of a process are accelerated, and if not, why.

    The codes are those of docs/reasons.md.
    """
    from shim import why

    document = why.document(target)
    if as_json:
        click.echo(json.dumps(document, indent=2))
        return 0
    out = console()
    out.print(f"[bold]{escape(document['program'])} ({document['pid']})[/bold], libOS {document['libos']}")
    if document["meaning"]:
        show_reason(out, document)
    for row in document["descriptors"]:
        peer = f" of {row['peer_program']} ({row['peer']})" if row["peer"] else ""
        remote = f" → {row['remote']}{peer}" if row["remote"] else ""
        out.print(escape(f"  fd {row['fd']:<4} {row['protocol']} {row['local']}{remote}"))
        show_reason(out, row)
    if not document["descriptors"] and document["state"] != "outside":
        out.print("  no TCP or UDP descriptor is open")
    return 0


def show_reason(out, said):
    """One answer of why: state or reason code, meaning, and what to do."""
    title = f"{said['code']} {said['name']}" if said["code"] else said["state"]
    style = {"upgraded": "green"}.get(title, "yellow" if said["code"] else "")
    title = f"[{style}]{title}[/{style}]" if style else title
    out.print(f"          {title}: {escape(said['meaning'])}")
    if said["remedy"]:
        out.print(f"          → {escape(said['remedy'])}")


def place(context, option, text):
    """A record's number, or seconds: 1.5."""
    try:
        return None if text is None else int(text) if text.isdecimal() else float(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not possible; use a record's number, or seconds as 1.5")


@cli.command()
@click.option("--pdb", "stops", is_flag=True, help="Stop in pdb at the first record, and at a difference.")
@click.option("--at", metavar="N", callback=place, help="Stop at record N instead, or at 1.5 s.")
@click.option("--pcap", metavar="FILE", type=click.Path(), help="Write the frames to FILE, as pcapng.")
@click.option("--compiled", is_flag=True, help="Run the compiled stack: faster, and pdb can't look into it.")
@click.argument("path", metavar="FILE", type=click.Path())
def replay(stops, at, pcap, compiled, path):
    """Run the stack of a tape (catflap run --record) once more, and say whether it does what it did.

    Exit status 1 if anything is not the same.
    """
    if not compiled:
        os.environ["CATFLAP_PURE"] = "1"
        mode.install()
    from shim import replay

    return replay.main(path, (1 if at is None else at) if stops or at is not None else None, pcap)


@cli.command()
@click.option("-v", "verbose", is_flag=True, help="List the sockets of processes that live, and whose they are.")
def clean(verbose):
    """Remove what killed processes have left behind."""
    from shim import clean

    status, found = 0, clean.left_over()
    for path in found:
        failure = clean.remove(path)
        if failure:
            status = run.complain(f"clean {path}", f"can't be removed: {failure}", "remove it by hand", 1)
        else:
            click.echo(f"removed {path}")
    if not found:
        click.echo("nothing left over")
    for name, pid, program_name in clean.sockets() if verbose else ():
        click.echo(f"in use: {name} of {program_name} ({pid or 'another user'})")
    return status


@cli.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell):
    """Print a completion script, to be read by SHELL at its start."""
    from click.shell_completion import get_completion_class

    click.echo(get_completion_class(shell)(cli, {}, "catflap", "_CATFLAP_COMPLETE").source())


def main(arguments):
    """Run one command and return its exit status; every error is one line."""
    try:
        status = cli.main(arguments or ["--help"], prog_name="catflap", standalone_mode=False)
        return status if isinstance(status, int) else 0
    except click.Abort:
        raise KeyboardInterrupt
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        command = context.info_name if context and context.parent else None
        see = f"see 'catflap {command} --help'" if command else "see 'catflap --help'"
        message = error.format_message().rstrip(".")
        return run.complain(command or "catflap", message[:1].lower() + message[1:], see)
    except run.Refused as error:
        return run.complain(error.what, error.why, error.remedy, error.status)
