"""``assay lab``: the whole comparison of an FP32 and an INT8 model on the Oxford-IIIT Pet data."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from assay.cli import options

if TYPE_CHECKING:
    from assay.lab.inputs import Lab


def lab(
    fp32_model_path: Annotated[Path, typer.Option(help="The FP32 TFLite file.")],
    int8_model_path: Annotated[Path, typer.Option(help="The full-integer INT8 TFLite file.")],
    dataset_root: Annotated[
        str,
        typer.Option(help="Directory of the Oxford-IIIT Pet data set; also digits or npz:FILE."),
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
    launches: Annotated[
        int,
        typer.Option(min=0, help="Processes of each experiment for timing in turns; 0: no turns."),
    ] = 10,
    rounds: Annotated[int, typer.Option(help="Rounds of timing in turns, over all launches.")] = 60,
    _no_cache: options.NoCache = False,
    json: options.Json = None,
) -> None:
    """Run the lab: compile both models in many ways, evaluate, compare with LiteRT."""
    from assay.lab.inputs import Lab
    from assay.lab.plan import plan

    carry_out(
        Lab(
            models={"fp32": fp32_model_path, "int8": int8_model_path},
            dataset=_dataset(dataset_root),
            results_path=results_path,
            experiments=plan(target, target_host, experiments or None),
            fraction=test_dataset_fraction,
            threads=threads,
            command=command_line(),
            download=download_dataset,
            launches=launches,
            rounds=rounds,
        ),
        json,
    )


def _dataset(root: str) -> str:
    """Take a bare path for a directory of Oxford-IIIT Pet; leave the other forms alone."""
    named = root == "digits" or root.startswith(("oxford-pet:", "folder:", "npz:"))
    return root if named else f"oxford-pet:{root}"


def carry_out(setup: Lab, json: Path | None) -> None:
    """Run the lab with a progress bar, print the table; exit code 1 if an experiment failed."""
    from rich.console import Console

    from assay.cli.progress import LabProgress
    from assay.lab.codec import plain
    from assay.lab.runner import run_lab
    from assay.report.table import print_comparison

    with LabProgress(len(setup.experiments)) as progress:
        results = run_lab(setup, progress)
    print_comparison(results, Console())
    print(f"The report is {setup.results_path / 'report.html'}, also as report.md")
    options.write_json(json, plain(results))
    planned = {experiment.name for experiment in setup.experiments}
    failed = [e.name for e in results.experiments if e.status == "failed" and e.name in planned]
    if failed:
        print(f"assay: failed: {', '.join(failed)}; the table says why", file=sys.stderr)
        raise typer.Exit(1)


def command_line() -> str:
    """Return the command as it was typed, for the report's "how to reproduce"."""
    import shlex

    old_name = Path(sys.argv[0]).name == "tvm_experiments.py"
    name = "python -m assay.lab.tvm_experiments" if old_name else "assay"
    return f"{name} {shlex.join(sys.argv[1:])}"
