"""OpenVINO's CPU plug-in, for ``.tflite`` and ``.onnx`` files."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.errors import MissingDependencyError, ModelError
from assay.model.reader import read
from assay.model.spec import TensorSpec
from assay.runtimes.base import BaseRuntime
from assay.runtimes.checks import check_suffix, check_threads, refusal

if TYPE_CHECKING:
    from assay.model.facts import Model
    from assay.runtimes.base import Array


class OpenVINORuntime(BaseRuntime):
    """A model compiled by OpenVINO; sizes that the model leaves open are 1."""

    name = "openvino"

    def __init__(
        self,
        compiled: Any,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        threads: int,
    ) -> None:
        self.threads = threads
        self.inputs = inputs
        self.outputs = outputs
        self._request = compiled.create_infer_request()

    def run(self) -> None:
        """Run one inference on the inputs set before."""
        self._request.infer(share_outputs=True)  # else it copies them, on the clock

    def close(self) -> None:
        """Free the model; the object must not be used afterwards."""
        self._request = None

    def _write(self, index: int, value: Array) -> None:
        self._request.get_tensor(self.inputs[index].name).data[...] = value

    def _read(self, index: int) -> Array:
        copy: Array = self._request.get_tensor(self.outputs[index].name).data.copy()
        return copy


def open_openvino(path: str | Path, threads: int = 1) -> OpenVINORuntime:
    """Load a model for OpenVINO's CPU plug-in, set to one stream and lowest latency.

    Float arithmetic stays float32; by default the plug-in computes in bfloat16 where the CPU can,
    which no other runtime here does.

    ModelError if the file is no valid model or OpenVINO refuses or would misread it,
    MissingDependencyError if the package is not installed, ConfigError if ``threads`` < 1.
    """
    check_threads(threads)
    check_suffix(path, "OpenVINO", ".tflite", ".onnx")
    try:
        import openvino
    except ImportError as error:
        raise MissingDependencyError(
            "OpenVINO is not installed: pip install 'assay[peers]'"
        ) from error
    model = _distinctly_named(read(path)) if Path(path).suffix.lower() == ".tflite" else None
    try:
        core = openvino.Core()
        network = core.read_model(str(path))
        network.reshape({index: _closed(port) for index, port in enumerate(network.inputs)})
        compiled = core.compile_model(
            network,
            "CPU",
            {
                "PERFORMANCE_HINT": "LATENCY",
                "NUM_STREAMS": 1,
                "INFERENCE_NUM_THREADS": threads,
                "INFERENCE_PRECISION_HINT": "f32",
            },
        )
    except RuntimeError as error:
        raise refusal(path, "OpenVINO", _reason(error)) from error
    if model is None:
        inputs = tuple(_spec(port) for port in compiled.inputs)
        outputs = tuple(_spec(port) for port in compiled.outputs)
    else:  # OpenVINO lists a repeated output once and does not tell how tensors are quantized
        inputs = tuple(_spec(compiled.input(each.name), each) for each in model.inputs)
        outputs = tuple(_spec(compiled.output(each.name), each) for each in model.outputs)
    return OpenVINORuntime(compiled, inputs, outputs, threads)


def _distinctly_named(model: Model) -> Model:
    counts = Counter(tensor.name for tensor in model.tensors)
    repeated = [name for name, count in counts.items() if count > 1]
    if repeated:
        raise ModelError(
            f"{model.path}: {counts[repeated[0]]} tensors are named {repeated[0]!r}, and OpenVINO, "
            "which tells them apart by name only, would compute something else; rename them"
        )
    return model


def _closed(port: Any) -> list[int]:
    """Return the shape of a port with every open size at 1."""
    return [1 if size.is_dynamic else size.get_length() for size in port.partial_shape]


def _spec(port: Any, declared: TensorSpec | None = None) -> TensorSpec:
    shape = tuple(-1 if size.is_dynamic else size.get_length() for size in port.partial_shape)
    dtype = port.element_type.to_dtype().name
    if declared is None:
        return TensorSpec(port.any_name, shape, dtype)
    return replace(declared, shape=shape, dtype=dtype)


def _reason(error: RuntimeError) -> str:
    """Return what OpenVINO says, without its own source files and the checks that failed there."""
    lines = str(error).splitlines()
    return " ".join(line for line in lines if not line.startswith(("Exception from", "Check '")))
