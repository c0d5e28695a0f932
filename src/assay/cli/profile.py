"""``assay profile``: the time of each kernel, by layer of the model."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from assay.cli import options

if TYPE_CHECKING:
    from assay.timing.peaks import Peaks
    from assay.timing.profile import Profile


def profile(
    model: Annotated[
        Path, typer.Argument(help="A .tflite, .onnx or compiled .so file.", metavar="MODEL|LIBRARY")
    ],
    target: options.Target = "native",
    opt_level: options.OptLevel = 3,
    layout: options.Layout = "auto",
    precision: options.Precision = "auto",
    pipeline: options.Pipeline = "assay",
    threads: options.Threads = 1,
    sort: Annotated[str, typer.Option(help="order of the calls, or time.")] = "order",
    roofline: Annotated[
        bool,
        typer.Option(
            "--roofline",
            help="Also the share of this machine's peaks; they are measured once.",
        ),
    ] = False,
    svg: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--svg",
            metavar="FILE",
            help="Also draw the times of all kernels.",
            callback=lambda path: options.writable(path),
        ),
    ] = None,
    _no_cache: options.NoCache = False,
    json: options.Json = None,
) -> None:
    """Show which layers take the time; a library keeps what it was compiled with."""
    from assay.compiler.config import Config
    from assay.errors import ConfigError
    from assay.runtimes.tvm import open_compiled, open_tvm
    from assay.timing.profiler import profile_tvm

    if sort not in ("order", "time"):
        raise ConfigError(f"sort: {sort!r} is neither order nor time")
    if model.suffix == ".so":
        runtime = open_tvm(model, threads)
    else:
        config = Config(
            target=target,
            opt_level=opt_level,
            layout=layout,  # type: ignore[arg-type]  # checked by Config
            precision=precision,  # type: ignore[arg-type]
            pipeline=pipeline,  # type: ignore[arg-type]
        )
        runtime = open_compiled(model, config, threads)
    peaks = _peaks(threads) if roofline else None
    result = profile_tvm(runtime)
    options.write_json(json, _as_dict(result, peaks))
    if svg is not None:
        from assay.lab.store import write_text
        from assay.report.profile_plot import profile_svg

        write_text(svg, profile_svg(result))
    _print(result, sort, peaks)


def _peaks(threads: int) -> Peaks:
    from assay.timing.peaks import peaks

    return peaks(threads)


def _as_dict(result: Profile, peaks: Peaks | None) -> dict[str, Any]:
    """Return a profile for JSON; with peaks, these and each kernel's roof."""
    found = result.as_dict()
    if peaks is not None:
        from assay.timing.roofline import roof_of

        found["peaks"] = asdict(peaks)
        for row, kernel in zip(found["kernels"], result.kernels, strict=True):
            row["roof"] = asdict(roof_of(kernel, peaks))
    return found


def _print(result: Profile, sort: str, peaks: Peaks | None) -> None:
    from rich.console import Console
    from rich.table import Table

    from assay.cli.rows import layer_name, print_rows
    from assay.timing.profile import class_sums
    from assay.timing.roofline import roof_of

    titles = ["", "us", "share", "Gop/s", "GB/s"]
    titles += [] if peaks is None else ["of peak", "roof"]
    titles += ["kernel", "layer", "operators"]
    words = ("kernel", "operators", "layer", "roof")
    caption = "us: median; GB/s: all that the kernel reads and writes"
    order = list(enumerate(result.kernels))
    if sort == "time":
        order.sort(key=lambda numbered: -numbered[1].median_ms)
    rows = []
    for index, kernel in order:
        call = kernel.call
        roof = None if peaks is None else roof_of(kernel, peaks)
        cells = [
            str(index),
            f"{kernel.median_ms * 1e3:,.1f}",
            f"{result.share(kernel):.1%}",
            f"{kernel.gops:,.1f}" if call.macs else "",
            f"{kernel.gbps:,.1f}",
        ]
        if roof is not None:
            cells += [f"{roof.share:.0%}", f"{roof.bound} ({roof.level})"]
        rows.append(
            [
                *cells,
                call.symbol,
                layer_name(call.layers[-1].name if call.layers else ""),
                call.title,
            ]
        )
    gap = result.gap_ms
    cells = ["", f"{gap * 1e3:,.1f}", f"{gap / result.total_ms:.1%}", *[""] * (len(titles) - 6)]
    rows.append([*cells, "(outside of kernels)", "", ""])
    console = Console()
    print_rows(titles, rows, words, caption, console)
    sums = Table()
    for title in ("operators", "kernels", "us", "share", "M MACs"):
        sums.add_column(title, justify="left" if title == "operators" else "right", overflow="fold")
    for each in class_sums(result.kernels):
        share = f"{each.ms / result.total_ms:.1%}"
        macs = f"{each.macs / 1e6:,.2f}"
        sums.add_row(each.title, str(each.count), f"{each.ms * 1e3:,.1f}", share, macs)
    console.print(sums)
    console.print(
        f"{result.model} on {result.runtime}, {result.threads} thread(s): whole inference "
        f"{result.total_ms * 1e3:,.1f} us, sum of kernels {result.kernels_ms * 1e3:,.1f} us "
        f"(hook of {result.hook_ms * 1e3:.2f} us a call taken off), {result.runs} runs",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    if peaks is not None:
        console.print(
            f"peaks of {peaks.cpu}, {peaks.threads} thread(s): {peaks.gflops:,.0f} GFLOP/s, 8-bit "
            f"{peaks.gops8:,.0f} Gop/s, L2 {peaks.l2_gbps:,.0f} GB/s, "
            f"L3 {peaks.l3_gbps:,.0f} GB/s, memory {peaks.memory_gbps:,.0f} GB/s",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
