"""``assay eval``: accuracy and latency of one model on a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from assay.cli import options


def evaluate(
    model: Annotated[Path, typer.Argument(help="A .so or model file.", metavar="MODEL|OUT.so")],
    dataset: Annotated[
        str,
        typer.Option(help="digits, oxford-pet:DIR, folder:DIR, npz:FILE, or a path."),
    ],
    fraction: Annotated[float, typer.Option(help="How much of the data, above 0, up to 1.")] = 1.0,
    runtime: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="tvm, stock, litert, onnxruntime or openvino.  [default: by the file]"),
    ] = None,
    threads: options.Threads = 1,
    json: options.Json = None,
) -> None:
    """Evaluate a model, one input at a time, and print its metrics."""
    from rich.console import Console
    from rich.table import Table

    from assay.cli.progress import counting
    from assay.datasets.registry import open_dataset
    from assay.lab.codec import plain
    from assay.lab.evaluation import evaluate_tester
    from assay.lab.testers import make_tester

    data = open_dataset(dataset)
    tester = make_tester(data, model, runtime, threads)
    with counting(f"evaluating {model.name}") as progress:
        found = evaluate_tester(tester, fraction, progress)
    quality, timing = found.quality, found.timing
    table = Table("", model.name)
    rows = {
        "samples": str(quality.samples),
        "top-1 accuracy": f"{quality.accuracy:.4f}",
        "top-5 accuracy": "-" if quality.top5 is None else f"{quality.top5:.4f}",
        "mean precision": f"{quality.mean_precision:.4f}",
        "mean sensitivity": f"{quality.mean_sensitivity:.4f}",
        "G-mean": f"{quality.g_mean:.4f}",
        "mean latency": f"{timing.mean_ms:.3f} ms (std {timing.std_ms:.3f})",
        "median latency": f"{timing.median_ms:.3f} ms",
        "first inference": f"{timing.first_ms:.3f} ms",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    Console().print(table)
    options.write_json(json, plain(found))
