"""``assay doctor``: what this machine has, what is missing, how to get it."""

from __future__ import annotations

import typer

from assay.cli import options


def doctor(json: options.Json = None) -> None:
    """Examine CPU, packages and load; exit code 1 if assay cannot work here."""
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from assay.timing.doctor import examine

    diagnosis = examine()
    table = Table("", "status", "what is there", "what to do")
    for row in diagnosis.rows:
        cells = (row.subject, row.status, row.value, row.fix or "")
        table.add_row(*(Text(cell) for cell in cells))
    Console().print(table)
    options.write_json(json, {"usable": diagnosis.usable, **asdict(diagnosis)})
    if not diagnosis.usable:
        raise typer.Exit(1)
