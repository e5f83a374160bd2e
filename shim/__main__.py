"""Entry point of `catflap` and `python -m shim`: the two fast commands here, everything else through click."""

import os
import sys


def main():
    """Run one command and return its exit status. `run` does not come back: it becomes the program."""
    arguments = sys.argv[1:]
    try:
        if "_CATFLAP_COMPLETE" not in os.environ:
            if arguments[:1] == ["run"]:
                from shim import run

                try:
                    return run.main(arguments[1:])
                except run.Help:
                    arguments = ["run", "--help"]
            if arguments == ["library"]:
                from shim import run

                return run.print_library()
        return everything_else(arguments)
    except KeyboardInterrupt:
        return die_of_interrupt()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the reader went away: nothing left to say, not even at exit
        return 1
    except Exception as error:
        from shim import run

        what = f"{type(error).__name__}: {error}".replace("\n", " ")
        return run.complain(
            arguments[0] if arguments else "catflap", what, "please report it with 'catflap doctor --json'"
        )


def everything_else(arguments):
    try:
        from shim import cli
    except ModuleNotFoundError as error:
        from shim import run

        return run.complain(
            "catflap", f"Python package {error.name!r} is missing", "pip install click rich psutil pyelftools"
        )
    return cli.main(arguments)


def die_of_interrupt():
    """End by SIGINT itself, so that a calling shell script stops too."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    sys.exit(main())
