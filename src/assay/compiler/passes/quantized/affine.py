"""Read what the importer's ``quantize`` and ``dequantize`` say of 8-bit activations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from tvm import relax

from assay.compiler import tvm_api
from assay.compiler.kernels.int8.stored import SIGN_FLIP, StoredRange
from assay.compiler.passes.chains import Graph

SHIFTS = {"int8": SIGN_FLIP, "uint8": 0}
"""What stored activations, all uint8, are above the model's own integers."""


@dataclass(frozen=True)
class Affine:
    """Per-tensor quantization of 8-bit activations in the model's own integers."""

    scale: float
    zero_point: int
    dtype: str

    @property
    def stored_zero_point(self) -> int:
        """The zero point of the stored, unsigned values."""
        return self.zero_point + SHIFTS[self.dtype]

    def quantize(self, real: float) -> float:
        """Return the model's integer for a real number, halves away from zero as TFLite rounds."""
        steps = real / self.scale
        if math.isinf(steps):
            return steps
        return math.copysign(math.floor(abs(steps) + 0.5), steps) + self.zero_point

    def stored_range(self, low: float | None = None, high: float | None = None) -> StoredRange:
        """Return limits given in the model's integers (all of the type if None) as stored ones."""
        shift = SHIFTS[self.dtype]
        stored_low = 0 if low is None else max(0, low + shift)
        stored_high = 255 if high is None else min(255, high + shift)
        return StoredRange(self.stored_zero_point, int(stored_low), int(stored_high))


def dequantized(graph: Graph, var: Any) -> tuple[Any, Affine] | None:
    """Return the 8-bit variable and its quantization if ``var`` is a dequantized activation.

    Of a constant that is reshaped after it, as the conversion to NCHW leaves one for each channel,
    this is the reshaped constant.
    """
    inner = var
    while graph.calls(inner) == "reshape":
        inner = graph.value[inner].args[0]
    if graph.calls(inner) != "dequantize":
        return None
    call = graph.value[inner]
    affine = read_affine(call, str(call.args[0].ty.dtype))
    if affine is None or inner is var:
        return None if affine is None else (call.args[0], affine)
    value = tvm_api.constant_value(call.args[0])
    if value is None:
        return None
    return relax.const(value.reshape(tvm_api.static_shape(var))), affine


def quantized(graph: Graph, var: Any) -> tuple[Any, Affine, StoredRange, list[Any]] | None:
    """Return what a real value is quantized to, if that is its only use.

    That is: the 8-bit variable after a fused activation, the quantization, the stored limits, and
    the variables on the way. The importer clips integers after most operators, reals before
    quantizing after others.
    """
    user = graph.only_user(var)
    reals = _limits(graph, user)
    covered = [] if reals is None else [user]
    user = user if reals is None else graph.only_user(user)
    if user is None or graph.calls(user) != "quantize":
        return None
    call = graph.value[user]
    affine = read_affine(call, str(call.attrs.out_dtype))
    if affine is None:
        return None
    covered.append(user)
    if reals is not None:  # an activation before quantizing limits the integers just as well
        return user, affine, affine.stored_range(*map(affine.quantize, reals)), covered
    low, high, after = clipped(graph, user)
    span = StoredRange(affine.stored_zero_point, low, high)
    return (after or [user])[-1], affine, span, [*covered, *after]


def clipped(graph: Graph, var: Any) -> tuple[int, int, list[Any]]:
    """Return the stored limits of a clip that alone uses an 8-bit variable, and its variable."""
    after = graph.only_user(var)
    if after is None or graph.calls(after) != "clip":
        return 0, 255, []
    shift = SHIFTS[str(var.ty.dtype)]
    low, high = (int(tvm_api.scalar(limit)) + shift for limit in graph.value[after].args[1:3])
    return max(0, low), min(255, high), [after]


def _limits(graph: Graph, var: Any) -> tuple[float, float] | None:
    """Return the limits of a clip or relu of real numbers, None for any other operator."""
    if graph.calls(var) == "nn.relu":
        return 0.0, math.inf
    if graph.calls(var) != "clip" or str(var.ty.dtype) != "float32":
        return None
    low, high = (tvm_api.scalar(limit) for limit in graph.value[var].args[1:3])
    return low, high


def read_affine(call: Any, dtype: str) -> Affine | None:
    """Return the quantization of a quantize or dequantize call; None if it is not per tensor."""
    scale, zero_point = (tvm_api.constant_value(arg) for arg in call.args[1:3])
    if dtype not in SHIFTS or scale is None or zero_point is None:
        return None
    if scale.size != 1 or zero_point.size != 1:
        return None
    return Affine(float(scale.reshape(())), int(zero_point.reshape(())), dtype)
