"""``assay compile``: a model file to a library and its manifest."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from assay.cli import options


def compile_file(
    model: Annotated[Path, typer.Argument(help="A .tflite or .onnx file.", metavar="MODEL")],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="OUT.so",
            help="Where the library goes.",
            callback=options.writable,
        ),
    ],
    target: options.Target = "native",
    target_host: options.TargetHost = None,
    opt_level: options.OptLevel = 3,
    layout: options.Layout = "auto",
    convert_ops: options.ConvertOps = None,
    precision: options.Precision = "auto",
    pipeline: options.Pipeline = "assay",
    batch: Annotated[int, typer.Option(help="Size of a batch that the file leaves open.")] = 1,
    inputs: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(metavar="NAME", help="Cut the graph: take this tensor as input; repeatable."),
    ] = None,
    outputs: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(metavar="NAME", help="Cut the graph: take this tensor as output; repeatable."),
    ] = None,
    signature: options.Signature = None,
    log: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help="Write the build's log there.", metavar="FILE", callback=options.writable
        ),
    ] = None,
    _no_cache: options.NoCache = False,
    json: options.Json = None,
) -> None:
    """Compile a model to a shared library; no C compiler is needed."""
    from dataclasses import asdict

    from assay.cache.builds import compile_to
    from assay.compiler.config import Config
    from assay.errors import ConfigError
    from assay.lab.store import write_text

    if output.suffix != ".so":
        raise ConfigError(f"{output}: the name of a library has to end in .so")
    config = Config(
        target=target,
        target_host=target_host,
        opt_level=opt_level,
        layout=layout,  # type: ignore[arg-type]  # checked by Config
        convert_ops=options.split_ops(convert_ops),
        precision=precision,  # type: ignore[arg-type]
        pipeline=pipeline,  # type: ignore[arg-type]
        batch=batch,
        inputs=tuple(inputs) if inputs else None,
        outputs=tuple(outputs) if outputs else None,
        signature=signature,
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    compiled = compile_to(output, model, config)
    manifest = compiled.manifest
    if log is not None:
        write_text(log, "\n".join(compiled.log) + "\n")
    options.write_json(json, asdict(manifest))
    print(
        f"{output}: {manifest.library_bytes:,} bytes ({manifest.weights_bytes:,} of weights), "
        f"compiled in {manifest.compile_s:.1f} s {'before ' if compiled.cached else ''}"
        f"for {manifest.resolved_target}"
    )
    if compiled.problem is not None:
        print(f"assay: no cache: {compiled.problem}; see --no-cache", file=sys.stderr)
