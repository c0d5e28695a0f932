"""``assay demo``: the lab on a network and a data set that come with assay."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from assay.cli import options


def demo(
    results_path: Annotated[Path, typer.Option(help="Where everything that is found goes.")] = Path(
        "demo-results"
    ),
    threads: options.Threads = 1,
    _no_cache: options.NoCache = False,
    json: options.Json = None,
) -> None:
    """Run a short lab on handwritten digits: no download, about three minutes."""
    from assay.cli.lab import carry_out, command_line
    from assay.data import DIGITS_FP32, DIGITS_INT8
    from assay.lab.inputs import Lab
    from assay.lab.plan import DEMO, plan

    carry_out(
        Lab(
            models={"fp32": DIGITS_FP32, "int8": DIGITS_INT8},
            dataset="digits",
            results_path=results_path,
            experiments=plan("native", only=DEMO),
            threads=threads,
            command=command_line(),
            launches=5,
            rounds=25,
        ),
        json,
    )
