"""Which quantized activations clip on the data."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from assay.compiler.remarks.remark import Remark
from assay.compiler.remarks.rules import saturation

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


class Saturation:
    """Counts values at the ends of the range of each quantized activation.

    A value at an end need not have been clipped. Where the density falls towards the end, those
    that belong there are at most as many as one step further in: what goes beyond that clips.
    """

    def __init__(self, model: Model) -> None:
        self._layers: list[tuple[Operator, Tensor, Array]] = []
        for operator in model.operators:
            tensor = model.tensors[operator.outputs[0]]
            if operator.name in _CAN_CLIP and _is_activation(tensor):
                self._layers.append((operator, tensor, np.zeros(5, np.int64)))

    def add(self, value_of: Callable[[int], Array]) -> None:
        """Count the values of one inference; ``value_of`` gives a tensor by its index."""
        for _, tensor, counts in self._layers:
            values, limits = value_of(tensor.index), np.iinfo(tensor.dtype)
            places = (limits.min, limits.min + 1, limits.max - 1, limits.max)
            counts[:4] += [np.count_nonzero(values == place) for place in places]
            counts[4] += values.size

    def remarks(self) -> Iterator[Remark]:
        """Yield the layers whose values clip, those of an activation's own limit not counted."""
        for operator, tensor, counts in self._layers:
            lowest, above, below, highest, size = map(int, counts)
            open_low, open_high = _open_ends(operator, tensor)
            low = max(0, lowest - above) / size if open_low and size else 0.0
            high = max(0, highest - below) / size if open_high and size else 0.0
            if low + high >= _WORTH_IT:
                yield saturation.remark_on(operator.name, operator.layer, low, high)


def _is_activation(tensor: Tensor) -> bool:
    return tensor.quantization is not None and tensor.quantization.axis is None


def _open_ends(operator: Operator, tensor: Tensor) -> tuple[bool, bool]:
    """Tell at which end of the range it is the range that clips, not the fused activation.

    TFLite's CalculateActivationRangeQuantized: the activation's limit, quantized, if that is inside
    the range.
    """
    q = tensor.quantization
    assert q is not None
    limits = np.iinfo(tensor.dtype)
    low, high = _ACTIVATIONS.get(str(operator.attributes.get("activation")), (-math.inf, math.inf))
    return (
        low / q.scale[0] + q.zero_point[0] < limits.min - 0.5,
        high / q.scale[0] + q.zero_point[0] > limits.max + 0.5,
    )
