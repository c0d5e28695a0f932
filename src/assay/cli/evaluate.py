"""``assay eval``: accuracy and latency of one model on a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assay.cli import images, options

if TYPE_CHECKING:
    from assay.lab.evaluation import Evaluation


def evaluate(
    model: Annotated[
        Path, typer.Argument(help="A .so, .tflite or .onnx file.", metavar="MODEL|OUT.so")
    ],
    dataset: Annotated[
        str,
        typer.Option(
            metavar="NAME|DIR", help="digits, oxford-pet:DIR, folder:DIR, npz:FILE, or a path."
        ),
    ],
    fraction: Annotated[float, typer.Option(help="How much of the data, above 0, up to 1.")] = 1.0,
    runtime: options.Runtime = None,
    threads: options.Threads = 1,
    size: images.Size = None,
    mean: images.Mean = None,
    std: images.Std = None,
    color: images.Color = "rgb",
    resample: images.Resample = "bicubic",
    _no_cache: options.NoCache = False,
    json: options.Json = None,
) -> None:
    """Evaluate a model, one input at a time, and print its metrics."""
    from assay.api import runtime_for
    from assay.cli.progress import counting
    from assay.datasets.registry import open_dataset
    from assay.datasets.subset import Subset
    from assay.lab.evaluation import evaluate_tester
    from assay.lab.inputs import check_fit
    from assay.lab.testers import ModelTester

    name = runtime or runtime_for(model)
    preprocess = images.preprocess(size, mean, std, color, resample)
    data = Subset(open_dataset(dataset, preprocess=preprocess), fraction)
    tester = ModelTester(data, model, runtime=name, threads=threads)
    inputs, outputs = tester.model.inputs, tester.model.outputs
    check_fit(str(model), [i.shape for i in inputs], [o.shape for o in outputs], data)
    with counting(f"evaluating {model.name}") as progress:
        found = evaluate_tester(tester, progress=progress)
    facts = {"model": str(model), "runtime": name, "threads": threads, "dataset": data.facts()}
    _print(model.name, found)
    options.write_json(json, _plain(facts, found))


def _plain(facts: dict[str, Any], found: Evaluation) -> dict[str, Any]:
    from assay.lab.codec import plain

    document: dict[str, Any] = plain({**facts, "quality": found.quality, "timing": found.timing})
    return document


def _print(name: str, found: Evaluation) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    quality, timing = found.quality, found.timing
    table = Table("", escape(name))
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
    for key, value in rows.items():
        table.add_row(key, value)
    Console().print(table)
