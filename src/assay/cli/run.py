"""``assay run``: one inference from and to .npy files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from assay.cli import options


def run(
    model: Annotated[Path, typer.Argument(help="A .so or model file.", metavar="MODEL|OUT.so")],
    inputs: Annotated[
        list[Path], typer.Option("--input", help="A .npy file; once an input.", metavar="X.npy")
    ],
    outputs: Annotated[
        list[Path], typer.Option("--output", help="A .npy file; once an output.", metavar="Y.npy")
    ],
    runtime: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="tvm, stock, litert, onnxruntime or openvino.  [default: by the file]"),
    ] = None,
    threads: options.Threads = 1,
) -> None:
    """Run one inference; tensors are raw, as the model declares them."""
    import assay
    from assay.cli.arrays import load_array, save_array
    from assay.errors import InputError

    loaded = assay.load(model, runtime, threads)
    for given, specs, kind in ((inputs, loaded.inputs, "in"), (outputs, loaded.outputs, "out")):
        if len(given) != len(specs):
            names = ", ".join(str(spec) for spec in specs)
            raise InputError(
                f"{model} has {len(specs)} {kind}put(s) ({names}), but {len(given)} "
                f"--{kind}put given: give one for each"
            )
    for index, path in enumerate(inputs):
        loaded.set_input(index, load_array(path))
    loaded.run()
    for index, path in enumerate(outputs):
        array = loaded.get_output(index)
        save_array(path, array)
        print(f"{path}: {loaded.outputs[index].name} {array.dtype}{list(array.shape)}")
