"""``assay inspect``: what is in a model file, without compiling it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from assay.cli import options

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from assay.compiler.frontend.support import Unsupported
    from assay.model.facts import Model
    from assay.model.inspection import OperatorFacts
    from assay.model.spec import TensorSpec

_CAPTION = "weights and data in bytes; data is what an inference reads and writes"


def inspect_model(
    model: Annotated[Path, typer.Argument(help="A .tflite or .onnx file.", metavar="MODEL")],
    layers: Annotated[
        bool, typer.Option("--layers", help="List every operator, not only their sums.")
    ] = False,
    svg: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            metavar="FILE", help="Draw the graph; needs Graphviz.", callback=options.writable
        ),
    ] = None,
    profile: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE", help="Colour --svg by what assay profile --json wrote there."),
    ] = None,
    json: options.Json = None,
) -> None:
    """Show tensors, operators and what does not compile; needs no TVM."""
    import assay
    from assay.model.inspection import inspect

    facts = assay.read(model)
    times = _times(profile, facts, svg)
    operators = inspect(facts)
    missing = _unsupported(facts)
    if svg is not None:
        from assay.lab.store import write_text
        from assay.report.graph import graph_svg

        reasons = {each.index: each.why for each in missing}
        write_text(svg, graph_svg(facts.name, operators, reasons, times))
    options.write_json(json, document(facts, operators, missing))
    _print(facts, operators, missing, layers)


def _unsupported(model: Model) -> list[Unsupported]:
    """Return what does not compile, by the rules of the file's format."""
    if model.format == "onnx":
        from assay.compiler.frontend.onnx.support import unsupported_in

        return unsupported_in(model)
    from assay.compiler.frontend.support import unsupported

    return unsupported(model)


def _times(profile: Path | None, model: Model, svg: Path | None) -> dict[str, float] | None:
    """Return the time of each layer from a profile, if one is given."""
    from assay.errors import ConfigError

    if profile is None:
        return None
    if svg is None:
        raise ConfigError("--profile is for --svg: give both")
    from assay.timing.layer_times import layer_times

    return layer_times(profile, model)


def document(
    model: Model, operators: tuple[OperatorFacts, ...], missing: list[Unsupported]
) -> dict[str, Any]:
    """Return all that is known as JSON-able values."""
    from dataclasses import asdict

    from assay.model.inspection import signature_rows, tallies

    return {
        "path": str(model.path),
        "format": model.format,
        "sha256": model.sha256,
        "size_bytes": model.size_bytes,
        "precision": model.precision,
        "macs": model.macs,
        "parameters": model.parameters,
        "inputs": [asdict(spec) for spec in model.inputs],
        "outputs": [asdict(spec) for spec in model.outputs],
        "signatures": [asdict(row) for row in signature_rows(model)],
        "sums": [asdict(tally) for tally in tallies(operators)],
        "operators": [asdict(operator) for operator in operators],
        "unsupported": [asdict(each) for each in missing],
    }


def _print(
    model: Model, operators: tuple[OperatorFacts, ...], missing: list[Unsupported], layers: bool
) -> None:
    from rich.console import Console

    console = Console()
    console.print(
        f"{model.path}: {model.format}, {model.precision}, {model.size_bytes:,} bytes, "
        f"{len(model.operators)} operators, {model.macs / 1e6:,.2f} M MACs, "
        f"{model.parameters:,} parameters",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    console.print(_borders(model))
    if model.signatures:
        console.print(_signatures(model))
    if layers:
        _print_layers(operators, console)
    else:
        console.print(_sums(operators))
    if not missing:
        console.print("assay compiles all of its operators.")
        return
    console.print(f"{len(missing)} operator(s) do not compile:")
    for each in missing:
        line = f"  {each.name} at operator {each.index}: {each.why}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _borders(model: Model) -> Table:
    from rich.table import Table

    table = Table()
    for title in ("", "name", "type", "shape", "scale", "zero point"):
        table.add_column(title, overflow="fold")
    for kind, specs in (("input", model.inputs), ("output", model.outputs)):
        for index, spec in enumerate(specs):
            table.add_row(*_cells(f"{kind} {index}", spec))
    return table


def _signatures(model: Model) -> Table:
    from rich.table import Table
    from rich.text import Text

    from assay.model.inspection import signature_rows

    table = Table(caption="tensors by their index in the file")
    for title in ("signature", "", "argument", "tensor", "name"):
        table.add_column(title, justify="right" if title == "tensor" else "left", overflow="fold")
    for row in signature_rows(model):
        name = Text(f"of subgraph {row.subgraph}" if row.name is None else row.name)
        table.add_row(Text(row.signature), row.side, Text(row.argument), str(row.tensor), name)
    return table


def _cells(title: str, spec: TensorSpec) -> tuple[Any, ...]:
    from rich.text import Text

    scale = zero_point = ""
    if spec.quantization is not None:
        scale, zero_point = _values(spec.quantization.scale), _values(spec.quantization.zero_point)
    return title, Text(spec.name), spec.dtype, _extents(spec.shape), scale, zero_point


def _extents(shape: tuple[int, ...]) -> str:
    return "x".join("?" if extent < 0 else str(extent) for extent in shape) or "scalar"


def _values(values: tuple[float, ...]) -> str:
    return f"{values[0]:.6g}" if len(values) == 1 else f"{len(values)} values"


def _sums(operators: tuple[OperatorFacts, ...]) -> Table:
    from rich.table import Table

    from assay.model.inspection import tallies

    table = Table(caption=_CAPTION)
    for title in ("operator", "quantization", "count", "M MACs", "parameters", "weights", "data"):
        words = title in ("operator", "quantization")
        table.add_column(title, justify="left" if words else "right", overflow="fold")
    for each in tallies(operators):
        table.add_row(
            each.name,
            each.scheme,
            str(each.count),
            f"{each.macs / 1e6:,.2f}",
            f"{each.parameters:,}",
            f"{each.weight_bytes:,}",
            f"{each.activation_bytes:,}",
        )
    return table


def _print_layers(operators: tuple[OperatorFacts, ...], console: Console) -> None:
    from assay.cli.rows import layer_name, print_rows

    words = ("operator", "shape", "quantization", "layer")
    rows = [
        (
            str(each.index),
            f"{each.macs / 1e6:,.2f}",
            f"{each.weight_bytes:,}",
            f"{each.read_bytes + each.written_bytes:,}",
            each.name,
            " ".join(map(_extents, each.shapes)),
            each.scheme,
            layer_name(each.layer),
        )
        for each in operators
    ]
    print_rows(("", "M MACs", "weights", "data", *words), rows, words, _CAPTION, console)
