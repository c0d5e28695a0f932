"""``python -m assay.lab.tvm_experiments``: the same as ``assay lab``, by the lab's old name."""

from __future__ import annotations

import sys

import typer

from assay.cli.entry import HELP_OPTIONS, SETTINGS, run_app
from assay.cli.guard import stand_guard
from assay.cli.lab import lab

app = typer.Typer(add_completion=False, **SETTINGS)
app.command(context_settings=HELP_OPTIONS)(lab)

if __name__ == "__main__":
    stand_guard(["lab", *sys.argv[1:]])
    run_app(app, sys.argv[1:])
