"""``assay run``: one inference from and to .npy files, by order, any name or index."""

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
        list[str],
        typer.Option(
            "--input",
            help="A .npy file for the next input, or for one by name or index; once an input.",
            metavar="[NAME=]X.npy",
        ),
    ],
    outputs: Annotated[
        list[str],
        typer.Option(
            "--output",
            help="The same for an output; with names, only those.",
            metavar="[NAME=]Y.npy",
            callback=lambda given: [_writable(text) for text in given],
        ),
    ],
    signature: options.Signature = None,
    runtime: options.Runtime = None,
    threads: options.Threads = 1,
    _no_cache: options.NoCache = False,
) -> None:
    """Run one inference; tensors are raw, as the model declares them."""
    import assay
    from assay.api import runtime_for
    from assay.cli.arrays import load_array, save_array
    from assay.cli.tensor_files import Side
    from assay.errors import InputError

    runtime = runtime or runtime_for(model)
    takes, gives = _borders(model)
    sources = Side("--input", model, takes, signature).all_files(inputs)
    targets = Side("--output", model, gives, signature).some_files(outputs)
    for path in targets.values():
        options.writable(path)
    arrays = {index: load_array(path) for index, path in sources.items()}
    loaded = assay.load(model, runtime, threads)
    for index, array in arrays.items():
        try:
            loaded.set_input(index, array)
        except InputError as error:
            raise InputError(
                f"{sources[index]}: {error}; save an array like that with np.save"
            ) from error
    loaded.run()
    for index, path in targets.items():
        array = loaded.get_output(index)
        save_array(path, array)
        print(f"{path}: {loaded.outputs[index].name} {array.dtype}{list(array.shape)}")


def _borders(model: Path) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Return inputs and outputs of a library or model file, before anything is loaded."""
    import assay
    from assay.compiler.artifact import read_artifact

    facts = read_artifact(model) if model.suffix == ".so" else assay.read(model)
    return facts.inputs, facts.outputs


def _writable(text: str) -> str:
    """Check a plain file name before the model is read, so that the first mistake is told first."""
    if "=" not in text:
        options.writable(Path(text))
    return text
