"""``assay diff``: what changed from one result to another."""

from __future__ import annotations

from typing import Annotated

import typer

from assay.cli import options

_SIDE = "RESULTS[:EXPERIMENT]|LIBRARY"


def diff(
    a: Annotated[
        str,
        typer.Argument(
            help="A lab's folder or results.json, with the experiment's name where it holds "
            "several; or a compiled .so file.",
            metavar=_SIDE,
        ),
    ],
    b: Annotated[str, typer.Argument(help="The same; it is held against A.", metavar=_SIDE)],
    profile: Annotated[
        bool,
        typer.Option("--profile", help="Time the kernels of two libraries here, in turns."),
    ] = False,
    threads: Annotated[int, typer.Option(help="Threads of --profile.")] = 1,
    layers: Annotated[
        bool, typer.Option("--layers", help="Show all layers, not those that changed most.")
    ] = False,
    json: options.Json = None,
) -> None:
    """Show what changed from A to B: build, kernels, remarks, time by layer, size, accuracy."""
    from rich.console import Console

    from assay.diff import changes
    from assay.diff.sides import open_side, profile_sides
    from assay.diff.table import as_dict, print_diff

    sides = [open_side(a), open_side(b)]
    if profile:
        sides = profile_sides(sides, threads)
    found = changes.diff(*sides)
    print_diff(found, Console(), layers)
    options.write_json(json, as_dict(found))
