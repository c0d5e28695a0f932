"""Options that several subcommands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

Target = Annotated[
    str, typer.Option(help="LLVM target, old or new form; native is this machine's CPU.")
]
TargetHost = Annotated[
    Optional[str],  # noqa: UP045 - typer evaluates it at run time, on Python 3.10 too
    typer.Option(help="Target of the code that calls the kernels.  [default: the target]"),
]
OptLevel = Annotated[int, typer.Option(help="0 to 4; each adds to the one below.")]
Layout = Annotated[str, typer.Option(help="nhwc, nchw or auto.")]
ConvertOps = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(metavar="OP,...", help="Operators that take part in the layout conversion."),
]
Precision = Annotated[str, typer.Option(help="auto, or float to run quantized operators in FP32.")]
Pipeline = Annotated[str, typer.Option(help="assay, or stock for TVM's own default pipeline.")]
Threads = Annotated[int, typer.Option(help="Threads of every runtime.")]
Runtime = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="tvm, stock, litert, onnxruntime or openvino.  [default: by the file]"),
]
Signature = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(metavar="KEY", help="The signature whose names are meant, where several fit."),
]
NoCache = Annotated[
    bool,
    typer.Option(
        "--no-cache",
        help="Compile anew, and keep nothing in the cache of builds.",
        callback=lambda wanted: no_cache(wanted),
    ),
]
Json = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(
        "--json",
        metavar="FILE",
        help="Also write what is printed as JSON.",
        callback=lambda path: writable(path),
    ),
]


def split_ops(text: str | None) -> tuple[str, ...] | None:
    """Return the operators of a comma-separated list; None stays None."""
    return None if text is None else tuple(op.strip() for op in text.split(",") if op.strip())


def no_cache(wanted: bool) -> bool:
    """Switch the cache off for this process and those that it starts."""
    if wanted:
        import os

        from assay.cache.store import OFF, VARIABLE

        os.environ[VARIABLE] = OFF
    return wanted


def writable(path: Path | None) -> Path | None:
    """Return an option's file as it is; ResultsError, before any work, if it cannot be written."""
    if path is not None:
        from assay.lab.store import check_writable

        check_writable(path)
    return path


def write_json(path: Path | None, data: object) -> None:
    """Write JSON to ``path`` if one was given; ResultsError if that fails."""
    if path is None:
        return
    import json

    from assay.lab.store import write_text

    write_text(path, json.dumps(data, indent=2) + "\n")
