"""``assay bench``: builds and runtimes timed against each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from assay.cli import options

if TYPE_CHECKING:
    from assay.timing.gate import Gate
    from assay.timing.record import Contender


def bench(
    models: Annotated[
        list[Path], typer.Argument(help=".tflite, .onnx or compiled .so files.", metavar="MODEL...")
    ],
    against: Annotated[
        Optional[str],  # noqa: UP045 - typer evaluates it at run time, on Python 3.10 too
        typer.Option(
            metavar="NAME,...",
            help="Runtimes: litert, openvino, onnxruntime, stock; or none.  "
            "[default: litert for a .tflite, onnxruntime for an .onnx]",
        ),
    ] = None,
    opt_level: Annotated[
        str,
        typer.Option(metavar="N,...", help="Levels of assay's builds of each model; or none."),
    ] = "3",
    target: options.Target = "native",
    target_host: options.TargetHost = None,
    layout: options.Layout = "auto",
    convert_ops: options.ConvertOps = None,
    precision: options.Precision = "auto",
    onnx: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="A .tflite model's .onnx, for ONNX Runtime.", metavar="FILE"),
    ] = None,
    threads: options.Threads = 1,
    launches: Annotated[int, typer.Option(help="Processes of each contender.")] = 10,
    rounds: Annotated[int, typer.Option(help="Turns of each contender in all launches.")] = 150,
    min_time: Annotated[float, typer.Option(help="Seconds that a turn lasts.")] = 0.03,
    cores: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            metavar="N,...", help="Cores to pin to, such as 0,2-3.  [default: one a thread]"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of inputs, order of turns and resampling.")] = 0,
    gate: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="An earlier --json; exit 1 if a build is slower.", metavar="FILE"),
    ] = None,
    max_slowdown: Annotated[float, typer.Option(help="How much slower --gate lets pass.")] = 1.05,
    yardstick: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            metavar="NAME", help="Contender that --gate takes times relative to, such as litert."
        ),
    ] = None,
    _no_cache: options.NoCache = False,
    json: options.Json = None,
) -> None:
    """Time builds and runtimes in turns and say which differences are real."""
    from rich.console import Console

    from assay.cli.lab import command_line
    from assay.cli.progress import counting
    from assay.compiler.config import Config
    from assay.errors import ConfigError
    from assay.timing.cores import choose_cores, parse_cores
    from assay.timing.gate import hold_against
    from assay.timing.plan import Choices, plan
    from assay.timing.record import Settings
    from assay.timing.session import run_bench
    from assay.timing.store import save
    from assay.timing.table import gate_table, print_bench

    choices = Choices(
        against=split_names(against),
        opt_levels=split_levels(opt_level),
        config=Config(
            target=target,
            target_host=target_host,
            layout=layout,  # type: ignore[arg-type]  # checked by Config
            convert_ops=options.split_ops(convert_ops),
            precision=precision,  # type: ignore[arg-type]
        ),
        onnx=onnx,
    )
    settings = Settings(
        threads=threads,
        launches=launches,
        rounds=rounds,
        min_time_s=min_time,
        cores=choose_cores(threads) if cores is None else parse_cores(cores),
        seed=seed,
    )
    if yardstick is not None and gate is None:
        raise ConfigError("--yardstick is for --gate: give both")
    contenders = plan(models, choices)
    limits = None if gate is None else open_gate(gate, max_slowdown, yardstick, contenders, threads)
    with counting("timing") as progress:
        found = run_bench(contenders, settings, progress, command_line())
    console = Console()
    print_bench(found, console)
    if json is not None:
        save(found, json)
    if limits is not None:
        gated = hold_against(limits, found)
        console.print(gate_table(gated, limits.max_slowdown))
        if any(each.decides and each.finding == "too slow" for each in gated):
            raise typer.Exit(1)


def open_gate(
    path: Path,
    max_slowdown: float,
    yardstick: str | None,
    contenders: tuple[Contender, ...],
    threads: int,
) -> Gate:
    """Read an earlier comparison and check that this one can be held against it."""
    from assay.cpu import cpu_model
    from assay.timing.gate import Gate, check_gate
    from assay.timing.store import load_earlier

    limits = Gate(load_earlier(path), max_slowdown, yardstick)
    check_gate(limits, contenders, threads, cpu_model())
    return limits


def split_names(text: str | None) -> tuple[str, ...] | None:
    """Turn ``litert, stock`` into a tuple and ``none`` into (); None stays None."""
    return () if text == "none" else options.split_ops(text)


def split_levels(text: str) -> tuple[int, ...]:
    """Turn ``3,4`` into (3, 4) and ``none`` into (); ConfigError for anything else."""
    from assay.errors import ConfigError

    if text == "none":
        return ()
    try:
        return tuple(int(level) for level in text.split(","))
    except ValueError as error:
        raise ConfigError(f"--opt-level {text!r}: give levels such as 3,4, or none") from error
