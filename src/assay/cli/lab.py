"""``assay lab``: the whole comparison of an FP32 and an INT8 model on the Oxford-IIIT Pet data."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from assay.cli import options


def lab(
    fp32_model_path: Annotated[Path, typer.Option(help="The FP32 TFLite file.")],
    int8_model_path: Annotated[Path, typer.Option(help="The full-integer INT8 TFLite file.")],
    dataset_root: Annotated[
        str,
        typer.Option(help="Folder of the Oxford-IIIT Pet data set, or what assay eval takes."),
    ],
    results_path: Annotated[Path, typer.Option(help="Where everything that is found goes.")],
    download_dataset: Annotated[
        bool, typer.Option("--download-dataset", help="Fetch the data set first.")
    ] = False,
    test_dataset_fraction: Annotated[
        float, typer.Option(help="How much of the test split, above 0, up to 1.")
    ] = 1.0,
    target: options.Target = "llvm",
    target_host: options.TargetHost = None,
    experiments: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(metavar="NAME ...", help="Run only these.  [default: all]"),
    ] = None,
    threads: options.Threads = 1,
    json: options.Json = None,
) -> None:
    """Run the lab: compile both models in many ways, evaluate, compare with LiteRT."""
    from assay.lab.plan import plan
    from assay.lab.runner import Lab

    if download_dataset:
        from assay.datasets.download import download_oxford_pet

        download_oxford_pet(Path(dataset_root))
    carry_out(
        Lab(
            models={"fp32": fp32_model_path, "int8": int8_model_path},
            dataset=_dataset(dataset_root),
            results_path=results_path,
            experiments=plan(target, target_host, experiments),
            fraction=test_dataset_fraction,
            threads=threads,
            command=command_line(),
        ),
        json,
    )


def _dataset(root: str) -> str:
    """Take a bare path for a folder of the Oxford-IIIT Pet data set; leave other forms alone."""
    kinds = ("digits", "oxford-pet:", "folder:", "npz:")
    return root if root.startswith(kinds) else f"oxford-pet:{root}"


def carry_out(setup: object, json: Path | None) -> None:
    """Run a ``Lab`` with a progress bar and print the comparison at the end."""
    from rich.console import Console

    from assay.cli.progress import LabProgress
    from assay.lab.codec import plain
    from assay.lab.runner import Lab, run_lab
    from assay.report.table import print_comparison

    assert isinstance(setup, Lab)
    with LabProgress(len(setup.experiments)) as progress:
        results = run_lab(setup, progress)
    print_comparison(results, Console())
    print(f"The report is {setup.results_path / 'report.md'}")
    options.write_json(json, plain(results))


def command_line() -> str:
    """Return the command as it was typed, for the report's "how to reproduce"."""
    import shlex

    program = Path(sys.argv[0])
    name = "assay" if program.name == "assay" else f"python {program.name}"
    if program.name == "tvm_experiments.py":
        name = "python -m assay.lab.tvm_experiments"
    return shlex.join([*name.split(), *sys.argv[1:]])
