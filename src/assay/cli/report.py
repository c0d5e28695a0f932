"""``assay report``: what a lab run found, as pages to read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Optional

import typer

Format = Literal["all", "html", "markdown", "summary"]

SUMMARY = Path("summaries/l04_tvm")


def report(
    results: Annotated[
        Path, typer.Argument(metavar="RESULTS", help="A lab's results directory, or its JSON file.")
    ],
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "-o",
            "--output",
            help=f"Directory to write to.  [default: beside the JSON file; {SUMMARY} for summary]",
        ),
    ] = None,
    format_: Annotated[
        Format,
        typer.Option(
            "--format", help="html: one file; markdown: page and images; all: both; summary: README"
        ),
    ] = "all",
) -> None:
    """Render results: the verdict, the six answers, and the evidence for them."""
    from assay.lab.store import load
    from assay.report.content import content
    from assay.report.summary import write_html, write_markdown, write_summary

    file = results / "results.json" if results.is_dir() else results
    found = content(load(file))
    folder = output or (SUMMARY if format_ == "summary" else file.parent)
    writers = {
        "html": (write_html,),
        "markdown": (write_markdown,),
        "all": (write_markdown, write_html),
        "summary": (write_summary,),
    }
    for write in writers[format_]:
        print(write(found, folder))
