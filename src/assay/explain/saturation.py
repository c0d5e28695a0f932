"""Which quantized activations clip on the data."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from assay.compiler.remarks.remark import Remark
from assay.compiler.remarks.rules import saturation
from assay.runtimes.tensors import decode

if TYPE_CHECKING:
    import numpy.typing as npt

    from assay.model.facts import Model, Operator, Tensor

    Array = npt.NDArray[Any]

# Operators whose results can lie outside of their range. The others move values about, or have a
# range that their function gives, as SOFTMAX has.
_CAN_CLIP = frozenset(
    (
        *("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "BATCH_MATMUL"),
        *("ADD", "SUB", "MUL", "DIV", "SUM", "SQUARED_DIFFERENCE", "QUANTIZE"),
    )
)

_ACTIVATIONS = {"RELU": (0.0, math.inf), "RELU6": (0.0, 6.0), "RELU_N1_TO_1": (-1.0, 1.0)}
"""What fused activations limit real values to."""

_WORTH_IT = 0.001  # of a layer's values
_FEWEST = 10  # the largest of few scores is at the end of a range that was chosen by it


class Saturation:
    """Counts values at the ends of the range of each quantized activation.

    A value at an end need not have been clipped. Where the density falls towards the end, those
    that belong there are at most as many as one step further in: what goes beyond that clips.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._layers: list[tuple[Operator, Tensor, Array]] = []
        for operator in model.operators:
            tensor = model.tensors[operator.outputs[0]]
            if operator.name in _CAN_CLIP and _is_activation(tensor):
                self._layers.append((operator, tensor, np.zeros(5, np.int64)))

    def add(self, value_of: Callable[[int], Array]) -> None:
        """Count the values of one inference; ``value_of`` gives a tensor by its index."""
        for operator, tensor, counts in self._layers:
            if operator.name == "QUANTIZE":
                counts += self._outside(operator, tensor, value_of)
            else:
                counts += _at_ends(tensor, value_of(tensor.index))

    def _outside(
        self, operator: Operator, tensor: Tensor, value_of: Callable[[int], Array]
    ) -> Array:
        """Count what a QUANTIZE clips: unlike sums, its operand's values are known."""
        q, limits, operand = tensor.quantization, np.iinfo(tensor.dtype), operator.inputs[0]
        assert q is not None
        real = decode(self._model.tensors[operand].spec, value_of(operand))
        steps = real / q.scale[0] + q.zero_point[0]
        low, high = steps < limits.min - 0.5, steps > limits.max + 0.5
        return np.array([np.count_nonzero(low), 0, 0, np.count_nonzero(high), real.size])

    def remarks(self) -> Iterator[Remark]:
        """Yield the layers whose values clip, those of an activation's own limit not counted."""
        for operator, tensor, counts in self._layers:
            lowest, above, below, highest, size = map(int, counts)
            open_low, open_high = _open_ends(operator, tensor)
            low = max(0, lowest - above) if open_low else 0
            high = max(0, highest - below) if open_high else 0
            if low + high >= max(_WORTH_IT * size, _FEWEST):
                shares = low / size, high / size
                yield saturation.remark_on(operator.name, operator.layer, *shares)


def _at_ends(tensor: Tensor, values: Array) -> Array:
    """Count values at the ends of the range and one step further in, and all."""
    limits = np.iinfo(tensor.dtype)
    places = (limits.min, limits.min + 1, limits.max - 1, limits.max)
    return np.array([*(np.count_nonzero(values == place) for place in places), values.size])


def _is_activation(tensor: Tensor) -> bool:
    return tensor.quantization is not None and tensor.quantization.axis is None


def _open_ends(operator: Operator, tensor: Tensor) -> tuple[bool, bool]:
    """Tell at which end of the range it is the range that clips, not the layer's function.

    TFLite's CalculateActivationRangeQuantized: a fused activation's limit, quantized, if that is
    inside the range. An end that stands for 0 is where sums and products of results of RELU lie.
    """
    q = tensor.quantization
    assert q is not None
    if operator.name == "QUANTIZE":
        return True, True
    limits, zero = np.iinfo(tensor.dtype), q.zero_point[0]
    low, high = _ACTIVATIONS.get(str(operator.attributes.get("activation")), (-math.inf, math.inf))
    return (
        low / q.scale[0] + zero < limits.min - 0.5 and zero != limits.min,
        high / q.scale[0] + zero > limits.max + 0.5 and zero != limits.max,
    )
