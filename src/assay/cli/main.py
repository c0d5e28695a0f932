"""The ``assay`` command: subcommands, and what becomes of errors."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from assay.cli import compile as compile_command
from assay.cli import demo, doctor, evaluate, lab, run
from assay.errors import AssayError

app = typer.Typer(
    name="assay",
    help="Compile TFLite models for CPUs with Apache TVM, compare them, explain the difference.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("compile")(compile_command.compile_file)
app.command("run")(run.run)
app.command("eval")(evaluate.evaluate)
app.command("lab")(lab.lab)
app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)

_DEBUG = "ASSAY_DEBUG"


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"assay {version('assay')}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option(help="Show tracebacks of errors.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None:
    """Set what holds for every subcommand."""
    if debug:
        os.environ[_DEBUG] = "1"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a user's mistake is one sentence on stderr and exit code 2."""
    run_app(app, list(sys.argv[1:] if arguments is None else arguments))


def run_app(command: typer.Typer, arguments: list[str]) -> None:
    """Run one command with assay's treatment of errors and interruption."""
    try:
        command(spread(arguments, "--experiments"))
    except AssayError as error:
        if os.environ.get(_DEBUG):
            raise
        print(f"assay: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("assay: interrupted; what was finished is kept", file=sys.stderr)
        sys.exit(130)


def spread(arguments: Sequence[str], option: str) -> list[str]:
    """Repeat ``option`` before each of its values, so that it takes as many as follow it."""
    result: list[str] = []
    inside = False
    for argument in arguments:
        if argument.startswith("-"):
            inside = argument == option
            if not inside:
                result.append(argument)
        else:
            result += [option, argument] if inside else [argument]
    return result


if __name__ == "__main__":
    main()
