"""Pooling of quantized images, [batch, height, width, channels]."""

from __future__ import annotations

import numpy as np
from tvm import relax

from assay.compiler.frontend.exprs import Expr, constant
from assay.compiler.frontend.known import is_quantized
from assay.compiler.frontend.site import Convert, Site


def average(site: Site) -> Expr:
    """AVERAGE_POOL_2D; of raw integers, the mean rounds halves away from zero as in TFLite."""
    if not is_quantized(site.tensor(0)):
        return site.native()
    window = [site.attributes[f"filter_{axis}"] for axis in "hw"]
    strides = [site.attributes[f"stride_{axis}"] for axis in "hw"]
    before, after = [0, 0], [0, 0]
    if site.attributes["padding"] == "SAME":
        for axis, size in enumerate(site.shape(0)[1:3]):
            steps = -(-size // strides[axis]) - 1
            beyond = max(steps * strides[axis] + window[axis] - size, 0)
            before[axis], after[axis] = beyond // 2, beyond - beyond // 2
    raw = relax.op.astype(site.expr(0), "float32")
    mean = relax.op.nn.avg_pool2d(raw, window, strides, [*before, *after], layout="NHWC")
    half = constant(np.float32(0.5))
    away = relax.op.multiply(
        relax.op.sign(mean), relax.op.floor(relax.op.add(relax.op.abs(mean), half))
    )
    return site.activated(relax.op.astype(away, site.output().dtype))


CONVERTERS: dict[str, Convert] = {
    "AVERAGE_POOL_2D": average,
}
