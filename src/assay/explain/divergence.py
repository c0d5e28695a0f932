"""Where a build leaves the reference: each layer's result beside that of LiteRT's kernels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from assay.compiler.remarks.remark import Remark
from assay.compiler.remarks.rules import first_divergence
from assay.runtimes.tensors import decode

if TYPE_CHECKING:
    import numpy.typing as npt

    from assay.compiler.kernel_calls import KernelCall, Layer
    from assay.model.facts import Model, Operator, Tensor

    Array = npt.NDArray[Any]

# Bars of docs/agreement.md: of the range of a layer's values, and in steps on average.
FLOAT_TOLERANCE = 1e-4
STEPS_TOLERANCE = 1.0

# What a layer's operands are off comes out of it amplified: by up to 3.6 in a MobileNetV2 on
# photographs, by 6 in a DeepLab on noise, where every layer rounds within a step.
_AMPLIFIES = 8.0
_STEPS = 255  # of a range of 8 bits


_VIEWS = frozenset(("RESHAPE", "SQUEEZE", "EXPAND_DIMS"))
"""Operators whose result holds the values of their operand in the same order."""


@dataclass
class Distance:
    """How far one kernel's results are from the reference's, over all inferences.

    ``largest`` and ``total`` of the absolute differences, ``low`` and ``high`` of the reference, in
    steps of its scale for a quantized layer, else in its own unit.
    """

    largest: float = 0.0
    total: float = 0.0
    count: int = 0
    low: float = np.inf
    high: float = -np.inf

    def add(self, ours: Array, reference: Array) -> None:
        """Take in one inference; NaN on both sides is no difference, on one it is infinite."""
        same = (ours == reference) | (np.isnan(ours) & np.isnan(reference))
        with np.errstate(invalid="ignore"):
            off = np.where(same, 0.0, np.abs(ours.astype(np.float64) - reference))
        off[np.isnan(off)] = np.inf
        self.largest = max(self.largest, float(off.max(initial=0.0)))
        self.total += float(off.sum())
        self.count += off.size
        self.low = min(self.low, float(np.nanmin(reference, initial=np.inf)))
        self.high = max(self.high, float(np.nanmax(reference, initial=-np.inf)))

    def over(self, quantized: bool) -> float:
        """Return the distance over its tolerance: above 1 it is too far."""
        if quantized:
            return self.total / self.count / STEPS_TOLERANCE
        span = self.high - self.low
        return self.largest / (span if span > 0 else 1.0) / FLOAT_TOLERANCE

    def words(self, quantized: bool) -> str:
        """Say how far it is."""
        if quantized:
            mean = self.total / self.count
            return f"{mean:.2f} steps on average (at most {self.largest:.0f})"
        return f"{self.over(False) * FLOAT_TOLERANCE:.1e} of its range"


class Divergence:
    """Holds each layer's result against the reference's.

    A layer may be several kernels: its sums, then what rounds them. Its result is the one of its
    kernels' that comes closest, in the layout (as the file has it, or NCHW) in which it does. A
    layer that shares its kernel with a later one has none.
    """

    def __init__(self, model: Model, calls: Sequence[KernelCall]) -> None:
        self._model = model
        self._calls: dict[int, list[int]] = defaultdict(list)
        self._found: dict[int, dict[tuple[int, int], Distance]] = defaultdict(dict)
        for index, call in enumerate(calls):
            for layer in _results(call):
                self._calls[layer.operator].append(index)

    def add(self, results: Sequence[Array], value_of: Callable[[int], Array]) -> None:
        """Compare one inference's kernel results with the reference's tensors, given by index."""
        for operator in self._model.operators:
            tensor = self._model.tensors[operator.outputs[0]]
            if not self._calls[operator.index] or not _comparable(tensor):
                continue
            raw = value_of(tensor.index)
            unit = tensor.quantization.scale[0] if tensor.quantization else 1.0
            reference = decode(tensor.spec, raw).astype(np.float64) / unit
            image = self._image(operator)
            for call in self._calls[operator.index]:
                for which, result in enumerate(_arranged(results[call], raw.shape, image)):
                    real = _real(tensor, result)
                    if real is not None:
                        known = self._found[operator.index]
                        known.setdefault((call, which), Distance()).add(real / unit, reference)

    def remarks(self) -> Iterator[Remark]:
        """Yield the remark on the first layer, in the file's order, that is too far off.

        That is further than its tolerance and what its operands' distances may have become; where
        these are not known, as in the middle of a kernel, those of their own operands count.
        """
        off: dict[int, float] = defaultdict(float)  # by tensor, over its tolerance
        for operator in self._model.operators:
            quantized = self._quantized(operator.outputs[0])
            operands = [index for index in operator.inputs if index >= 0]
            incoming = max(
                (off[i] * _exchange(self._quantized(i), quantized) for i in operands), default=0.0
            )
            distances = self._found[operator.index].values()
            closest = min(distances, key=lambda each: each.over(quantized), default=None)
            if closest is not None and closest.over(quantized) > 1 + _AMPLIFIES * incoming:
                words = closest.words(quantized)
                yield first_divergence.remark_on(operator.name, operator.layer, words)
                return
            for index in operator.outputs:
                off[index] = incoming if closest is None else closest.over(quantized)

    def _image(self, operator: Operator) -> tuple[int, ...] | None:
        """Return the shape, NHWC, of what an operator gives out, or only shapes anew."""
        views = operator.inputs[:1] if operator.name in _VIEWS else ()
        shapes = (self._model.tensors[index].shape for index in (*operator.outputs[:1], *views))
        return next((tuple(shape) for shape in shapes if len(shape) == 4), None)

    def _quantized(self, index: int) -> bool:
        return self._model.tensors[index].quantization is not None


def _exchange(before: bool, after: bool) -> float:
    """Return what a distance over its tolerance becomes where quantized values become real ones."""
    worth = FLOAT_TOLERANCE * _STEPS / STEPS_TOLERANCE
    return 1.0 if before == after else 1 / worth if before else worth


def _results(call: KernelCall) -> Iterator[Layer]:
    """Yield the layers whose result a kernel may give out: the last one, those that it converts."""
    if not call.layers:
        yield from call.serves
    for layer in reversed(call.layers):
        yield layer
        if layer.op not in _VIEWS:
            return


def _comparable(tensor: Tensor) -> bool:
    """Tell whether values are real numbers: others are indices, or are sized anew by each run."""
    if tensor.quantization is not None:
        return tensor.quantization.axis is None
    return tensor.dtype == "float32"


def _real(tensor: Tensor, result: Array) -> Array | None:
    """Return a kernel's result as real numbers; None if it is something else than the tensor.

    Between integer kernels int8 tensors are stored as uint8, shifted by 128.
    """
    if result.dtype == np.float32:
        return result
    if result.dtype == np.uint8 and tensor.dtype == "int8":
        result = (result ^ 128).view(np.int8)
    return decode(tensor.spec, result) if str(result.dtype) == tensor.dtype else None


def _arranged(
    result: Array, shape: tuple[int, ...], image: tuple[int, ...] | None
) -> Iterator[Array]:
    """Yield a result in the layouts in which it may be the file's tensor of that shape.

    ``image`` is the shape, NHWC, of the image that it is or was: in NCHW its elements are in
    another order, also once it is a row.
    """
    same = _extents(result.shape) == _extents(shape)
    if same or (result.ndim != len(shape) and result.size == prod(shape)):
        yield result.reshape(shape)
    if image is not None:
        batch, height, width, channels = image
        planes = (batch, channels, height, width)
        if result.shape == planes or (result.ndim != len(planes) and result.size == prod(planes)):
            yield result.reshape(planes).transpose(0, 2, 3, 1).reshape(shape)


def _extents(shape: tuple[int, ...]) -> list[int]:
    return [extent for extent in shape if extent != 1]
