"""The ``assay`` command and its subcommands."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from assay.cli import (
    bench,
    demo,
    diff,
    doctor,
    evaluate,
    explain,
    inspect,
    lab,
    profile,
    report,
    run,
)
from assay.cli import compile as compile_command
from assay.cli.entry import DEBUG, HELP_OPTIONS, SETTINGS, run_app
from assay.cli.guard import stand_guard

app = typer.Typer(
    name="assay",
    help="Compile TFLite and ONNX models for CPUs with Apache TVM, compare them, explain "
    "the difference.",
    no_args_is_help=True,
    context_settings=HELP_OPTIONS,
    **SETTINGS,
)
app.command("inspect")(inspect.inspect_model)
app.command("compile")(compile_command.compile_file)
app.command("run")(run.run)
app.command("eval")(evaluate.evaluate)
app.command("bench")(bench.bench)
app.command("profile")(profile.profile)
app.command("explain")(explain.explain)
app.command("diff")(diff.diff)
app.command("lab")(lab.lab)
app.command("report")(report.report)
app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"assay {version('assay')}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Set what holds for every subcommand."""
    if debug:
        os.environ[DEBUG] = "1"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line in a child process; given arguments, in this one. See ``run_app``."""
    if arguments is None:
        arguments = sys.argv[1:]
        stand_guard(arguments)
    run_app(app, arguments)


if __name__ == "__main__":
    main()
