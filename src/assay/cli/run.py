"""``assay run``: one inference from and to .npy files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assay.cli import options

if TYPE_CHECKING:
    from assay.model.spec import TensorSpec


def run(
    model: Annotated[
        Path, typer.Argument(help="A .so, .tflite or .onnx file.", metavar="MODEL|OUT.so")
    ],
    inputs: Annotated[
        list[Path], typer.Option("--input", help="A .npy file; once an input.", metavar="X.npy")
    ],
    outputs: Annotated[
        list[Path],
        typer.Option(
            "--output",
            help="A .npy file; once an output.",
            metavar="Y.npy",
            callback=lambda paths: [options.writable(path) for path in paths],
        ),
    ],
    runtime: options.Runtime = None,
    threads: options.Threads = 1,
    _no_cache: options.NoCache = False,
) -> None:
    """Run one inference; tensors are raw, as the model declares them."""
    import assay
    from assay.cli.arrays import load_array, save_array
    from assay.errors import InputError

    arrays = [load_array(path) for path in inputs]
    loaded = assay.load(model, runtime, threads)
    _check_count(model, "--input", inputs, loaded.inputs)
    _check_count(model, "--output", outputs, loaded.outputs)
    for index, (path, array) in enumerate(zip(inputs, arrays, strict=True)):
        try:
            loaded.set_input(index, array)
        except InputError as error:
            raise InputError(f"{path}: {error}; save an array like that with np.save") from error
    loaded.run()
    for index, path in enumerate(outputs):
        array = loaded.get_output(index)
        save_array(path, array)
        print(f"{path}: {loaded.outputs[index].name} {array.dtype}{list(array.shape)}")


def _check_count(
    model: Path, option: str, given: list[Path], specs: tuple[TensorSpec, ...]
) -> None:
    from assay.errors import InputError

    if len(given) != len(specs):
        raise InputError(
            f"{model} needs {len(specs)} {option} file(s), but {len(given)} are given: give one "
            f"for each of {', '.join(str(spec) for spec in specs)}"
        )
