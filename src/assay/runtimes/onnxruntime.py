"""ONNX Runtime, on its CPU kernels, for ``.onnx`` files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from assay.errors import MissingDependencyError, ModelError
from assay.model.spec import TensorSpec
from assay.runtimes.base import BaseRuntime
from assay.runtimes.checks import check_suffix, check_threads, refusal

if TYPE_CHECKING:
    from pathlib import Path

    from assay.runtimes.base import Array

_NUMPY_NAMES = {"float": "float32", "double": "float64"}


class ONNXRuntime(BaseRuntime):
    """An ``.onnx`` model in ONNX Runtime; sizes that the model leaves open are 1 in its inputs.

    An open size of an output is 1 too if an input has the same symbol for it, else -1.
    """

    name = "onnxruntime"

    def __init__(self, session: Any, path: str | Path, threads: int) -> None:
        self.threads = threads
        inputs = session.get_inputs()
        symbols = {size for port in inputs for size in port.shape if size is not None}
        self.inputs = tuple(_spec(path, port, {None, *symbols}) for port in inputs)
        self.outputs = tuple(_spec(path, port, symbols) for port in session.get_outputs())
        self._session = session
        self._feeds = {spec.name: np.zeros(spec.shape, spec.dtype) for spec in self.inputs}
        self._output_names = [spec.name for spec in self.outputs]
        self._results: list[Array] = []

    def run(self) -> None:
        """Run one inference on the inputs set before (zeros where none were)."""
        self._results = self._session.run(self._output_names, self._feeds)

    def close(self) -> None:
        """Free the model; the object must not be used afterwards."""
        self._session = None

    def _write(self, index: int, value: Array) -> None:
        self._feeds[self.inputs[index].name][...] = value

    def _read(self, index: int) -> Array:
        if not self._results:
            self.run()
        copy: Array = self._results[index].copy()
        return copy


def open_onnxruntime(path: str | Path, threads: int = 1) -> ONNXRuntime:
    """Load an ``.onnx`` file for ONNX Runtime's CPU execution provider, operators in sequence.

    ModelError if it is no ``.onnx`` file or ONNX Runtime refuses it, MissingDependencyError if the
    package is not installed, ConfigError if ``threads`` < 1.
    """
    check_threads(threads)
    check_suffix(path, "ONNX Runtime", ".onnx")
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError(
            "ONNX Runtime is not installed: pip install 'assay[peers]'"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only
    # Idle threads would go on spinning into the measurement of whichever runtime comes next.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # its exceptions share no base class below this one
        raise refusal(path, "ONNX Runtime", str(error)) from error
    return ONNXRuntime(session, path, threads)


def _spec(path: str | Path, port: Any, open_as_one: set[str | int | None]) -> TensorSpec:
    if not port.type.startswith("tensor(") or port.type == "tensor(string)":
        raise ModelError(f"{path}: {port.name!r} is a {port.type}, not a tensor of numbers")
    element = port.type[len("tensor(") : -1]
    shape = tuple(_size(size, open_as_one) for size in port.shape)
    return TensorSpec(port.name, shape, _NUMPY_NAMES.get(element, element))


def _size(size: int | str | None, open_as_one: set[str | int | None]) -> int:
    if isinstance(size, int):
        return size
    return 1 if size in open_as_one else -1
