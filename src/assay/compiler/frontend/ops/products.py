"""Convolutions and matrix products.

The importer writes quantized ones as dequantize, float operator, quantize, which later passes turn
into integer kernels. With float activations, weights alone are dequantized: a constant, folded
from opt level 2 on.
"""

from __future__ import annotations

import numpy as np
import tflite
from tvm import relax

from assay.compiler.frontend.exprs import Expr, constant
from assay.compiler.frontend.known import is_quantized
from assay.compiler.frontend.site import Convert, Site


def convolution(site: Site) -> Expr:
    """CONV_2D and DEPTHWISE_CONV_2D, by the importer."""
    return site.native(_dequantized_weights(site))


def fully_connected(site: Site) -> Expr:
    """FULLY_CONNECTED of any rank: rows of the length that the weights take, then the importer."""
    if site.options(tflite.FullyConnectedOptions).WeightsFormat():
        raise ValueError("its weights are shuffled for one kind of processor")
    given = _dequantized_weights(site)
    shape, (units, length) = site.shape(0), site.shape(1)
    if len(shape) == 2 and shape[1] == length:
        return site.native(given)
    given[0] = relax.op.reshape(site.expr(0), [-1, length])
    rows = site.native(given)
    keep = site.attributes["keep_num_dims"]
    return relax.op.reshape(rows, [*shape[:-1], units]) if keep else rows


def _dequantized_weights(site: Site) -> dict[int, Expr]:
    dynamic_range = is_quantized(site.tensor(1)) and not is_quantized(site.tensor(0))
    return {1: site.real(1)} if dynamic_range else {}


def transpose_conv(site: Site) -> Expr:
    """TRANSPOSE_CONV, [batch, h, w, in] with weights [out, h, w, in], to a known output shape.

    TVM has kernels for NCHW only. What its size rule gives beyond the output is cropped as padding,
    what is missing is zero.
    """
    sizes = zip(site.shape(2)[1:3], site.shape(1)[1:3], site.ints(0)[1:3], ("h", "w"), strict=True)
    before, after, missing, strides = [], [], [], []
    for given, window, wanted, axis in sizes:
        stride = site.attributes[f"stride_{axis}"]
        beyond = (given - 1) * stride + window - wanted
        first = max(beyond, 0) // 2 if site.attributes["padding"] == "SAME" else 0
        before.append(first)
        after.append(max(beyond - first, 0))
        missing.append(max(first - beyond, 0))
        strides.append(stride)
    data = relax.op.permute_dims(site.real(2), [0, 3, 1, 2])
    weights = relax.op.permute_dims(site.real(1), [3, 0, 1, 2])
    out = relax.op.nn.conv2d_transpose(data, weights, strides, [*before, *after])
    out = relax.op.permute_dims(out, [0, 2, 3, 1])
    if any(missing):
        out = relax.op.nn.pad(out, [0, 0, 0, missing[0], 0, missing[1], 0, 0])
    if site.has(3):
        out = relax.op.add(out, _bias(site))
    return site.activated(site.quantized(out))


def _bias(site: Site) -> Expr:
    """Return the bias of TRANSPOSE_CONV in real numbers: its unit is data times weights."""
    data, weights = site.tensor(2).quantization, site.tensor(1).quantization
    if data is None or weights is None:
        return site.expr(3)
    scale = np.float32(data.scale[0]) * np.asarray(weights.scale, np.float32)
    value = site.value(3)
    if value.dtype != np.int32:  # what TVM's dequantize does not take
        return constant((value * scale.astype(np.float64)).astype(np.float32))
    unit = constant(scale if scale.size > 1 else scale[0])
    return relax.op.dequantize(constant(value), unit, constant(np.int32(0)), axis=0)


def batch_matmul(site: Site) -> Expr:
    """BATCH_MATMUL, either side transposed, leading dimensions broadcast."""
    left, right = site.real(0), site.real(1)
    if site.attributes["adj_x"]:
        left = _transposed(left, len(site.shape(0)))
    if site.attributes["adj_y"]:
        right = _transposed(right, len(site.shape(1)))
    return site.quantized(relax.op.matmul(left, right))


def _transposed(expr: Expr, rank: int) -> Expr:
    return relax.op.permute_dims(expr, [*range(rank - 2), rank - 1, rank - 2])


CONVERTERS: dict[str, Convert] = {
    "BATCH_MATMUL": batch_matmul,
    "CONV_2D": convolution,
    "DEPTHWISE_CONV_2D": convolution,
    "FULLY_CONNECTED": fully_connected,
    "TRANSPOSE_CONV": transpose_conv,
}
