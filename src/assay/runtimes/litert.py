"""LiteRT (the former TensorFlow Lite): the runtime that defines what a ``.tflite`` file means."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.model.reader import read
from assay.runtimes.base import BaseRuntime
from assay.runtimes.checks import check_suffix, check_threads, refusal

if TYPE_CHECKING:
    from assay.model.facts import Model
    from assay.model.spec import TensorSpec
    from assay.runtimes.base import Array


class LiteRTRuntime(BaseRuntime):
    """A ``.tflite`` model in LiteRT's interpreter, at the shapes that the file gives.

    The file stores a size (mostly 1) even for a dynamic dimension; that is the one in ``inputs``.
    """

    name = "litert"

    def __init__(self, interpreter: Any, model: Model, threads: int) -> None:
        self.threads = threads
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        self.inputs = _allocated(model.inputs, inputs)
        self.outputs = _allocated(model.outputs, outputs)
        self._interpreter = interpreter
        self._input_tensors = [int(details["index"]) for details in inputs]
        self._output_tensors = [int(details["index"]) for details in outputs]

    def run(self) -> None:
        """Run one inference on the inputs set before."""
        self._interpreter.invoke()

    def tensor(self, index: int) -> Array:
        """Return a copy of any tensor of the file, as of the last ``run``, if all were kept."""
        copy: Array = self._interpreter.get_tensor(index)
        return copy

    def close(self) -> None:
        """Free the model; the object must not be used afterwards."""
        self._interpreter = None

    def _write(self, index: int, value: Array) -> None:
        self._interpreter.set_tensor(self._input_tensors[index], value)

    def _read(self, index: int) -> Array:
        copy: Array = self._interpreter.get_tensor(self._output_tensors[index])
        return copy


def open_litert(
    path: str | Path, threads: int = 1, reference: bool = False, tensors: bool = False
) -> LiteRTRuntime:
    """Load a ``.tflite`` file for LiteRT.

    The default is what a user of LiteRT gets: XNNPACK where it has a kernel, else LiteRT's
    optimized kernels. ``reference`` takes the plain loops that define each operator instead: some
    twenty times slower, without XNNPACK, and rounding as the quantization specification says.
    ``tensors`` keeps the tensors between operators, for :meth:`LiteRTRuntime.tensor`.

    ModelError if the file is no valid model or LiteRT refuses it; ConfigError if ``threads`` < 1.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    check_threads(threads)
    if Path(path).suffix.lower() == ".onnx":
        check_suffix(path, "LiteRT", ".tflite")
    model = read(path)  # LiteRT does not verify files and may crash on a damaged one
    kernels = OpResolverType.BUILTIN_REF if reference else OpResolverType.BUILTIN
    try:
        interpreter = Interpreter(
            model_path=str(path),
            num_threads=threads,
            experimental_op_resolver_type=kernels,
            experimental_preserve_all_tensors=tensors,
        )
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise refusal(path, "LiteRT", str(error)) from error
    return LiteRTRuntime(interpreter, model, threads)


def _allocated(
    specs: tuple[TensorSpec, ...], details: list[dict[str, Any]]
) -> tuple[TensorSpec, ...]:
    return tuple(
        replace(spec, shape=tuple(int(size) for size in allocated["shape"]))
        for spec, allocated in zip(specs, details, strict=True)
    )
