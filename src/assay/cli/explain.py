"""``assay explain``: where a build loses time against the best one, and what mends it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from assay.cli import images, options


def explain(
    model: Annotated[Path, typer.Argument(help="A .tflite or .onnx file.", metavar="MODEL")],
    target: options.Target = "native",
    opt_level: options.OptLevel = 3,
    layout: options.Layout = "auto",
    convert_ops: options.ConvertOps = None,
    precision: options.Precision = "auto",
    pipeline: options.Pipeline = "assay",
    threads: options.Threads = 1,
    verify: Annotated[
        bool, typer.Option("--verify", help="Try each fix: promised against achieved.")
    ] = False,
    dataset: Annotated[
        Optional[str],  # noqa: UP045 - typer evaluates it at run time, on Python 3.10 too
        typer.Option(
            metavar="NAME|DIR",
            help="Also hold each layer against LiteRT on this data: see assay eval.",
        ),
    ] = None,
    count: Annotated[
        int, typer.Option("--samples", metavar="N", help="Examples of the data set to take.")
    ] = 8,
    inputs: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--input",
            metavar="[NAME=]X.npy",
            help="The same on one raw input; once an input of the model: see assay run.",
        ),
    ] = None,
    signature: options.Signature = None,
    size: images.Size = None,
    mean: images.Mean = None,
    std: images.Std = None,
    color: images.Color = "rgb",
    resample: images.Resample = "bicubic",
    _no_cache: options.NoCache = False,
    json: options.Json = None,
) -> None:
    """Say why a build is not faster: its remarks, each with its measured cost, worst first."""
    from dataclasses import asdict

    from rich.console import Console

    import assay
    from assay.cli.samples import samples
    from assay.compiler.config import Config
    from assay.explain import session
    from assay.explain.table import print_achieved, print_costs

    config = Config(
        target=target,
        opt_level=opt_level,
        layout=layout,  # type: ignore[arg-type]  # checked by Config
        convert_ops=options.split_ops(convert_ops),
        precision=precision,  # type: ignore[arg-type]
        pipeline=pipeline,  # type: ignore[arg-type]
    )
    facts = assay.read(model)
    preprocess = images.preprocess(size, mean, std, color, resample)
    data = samples(facts, dataset, count, inputs or [], preprocess, signature)
    costs = session.explain(facts, config, threads, data)
    console = Console()
    print_costs(costs, model, config, console)
    tried = session.verify(facts, config, costs, threads) if verify else []
    if verify:
        print_achieved(tried, model, console)
    options.write_json(
        json,
        {
            "remarks": [remark.as_dict() for remark in costs.remarks],
            "unexplained_ms": costs.unexplained_ms,
            "outside_ms": costs.outside_ms,
            "difference_ms": costs.difference_ms,
            "build": costs.build.as_dict(),
            "best": costs.best.as_dict(),
            "verified": [{**asdict(each), "achieved_ms": each.achieved_ms} for each in tried],
        },
    )
