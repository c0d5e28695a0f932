"""Resizing of images, [batch, height, width, channels]."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from tvm import relax

from assay.compiler.frontend.exprs import Expr, constant
from assay.compiler.frontend.site import Convert, Site


def nearest(site: Site) -> Expr:
    """RESIZE_NEAREST_NEIGHBOR; growing by whole factors stays one operator, which has a layout."""
    expr, sizes = site.expr(0), site.ints(1)
    align, centers = (site.attributes[name] for name in ("align_corners", "half_pixel_centers"))
    given = site.shape(0)[1:3]
    if not align and all(new % old == 0 for new, old in zip(sizes, given, strict=True)):
        how = {"method": "nearest_neighbor", "coordinate_transformation_mode": "asymmetric"}
        return relax.op.image.resize2d(
            expr, tuple(sizes), layout="NHWC", rounding_method="floor", **how
        )
    for axis, (old, new) in enumerate(zip(given, sizes, strict=True), 1):
        expr = relax.op.take(expr, constant(_nearest(old, new, align, centers)), axis)
    return expr


def _nearest(old: int, new: int, align: bool, centers: bool) -> npt.NDArray[np.int64]:
    """Return the index of the element that each new one takes, in float32 as TFLite does."""
    scale = np.float32(old - 1) / (new - 1) if align and new > 1 else np.float32(old) / new
    position = (np.arange(new, dtype=np.float32) + np.float32(0.5 * centers)) * np.float32(scale)
    rounded = np.floor(position + np.float32(0.5)) if align else np.floor(position)
    return np.minimum(rounded.astype(np.int64), old - 1)


CONVERTERS: dict[str, Convert] = {
    "RESIZE_NEAREST_NEIGHBOR": nearest,
}
