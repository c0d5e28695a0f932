"""Resizing of images, [batch, height, width, channels]."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from tvm import relax

from assay.compiler.frontend.exprs import Expr, constant
from assay.compiler.frontend.site import Convert, Site
from assay.compiler.kernels import resampling


def nearest(site: Site) -> Expr:
    """RESIZE_NEAREST_NEIGHBOR: one operator, which has a layout, where TVM's takes the same pixels.

    It computes positions in another way, so that for some sizes it would take a neighbour.
    """
    expr, sizes = site.expr(0), site.ints(1)
    align, centers = (
        bool(site.attributes[name]) for name in ("align_corners", "half_pixel_centers")
    )
    pairs = list(zip(site.shape(0)[1:3], sizes, strict=True))
    picks = [_nearest(old, new, align, centers) for old, new in pairs]
    mode, rounding = _MODES.get((align, centers), ("", ""))
    found = [resampling.nearest(old, new, mode, rounding) for old, new in pairs]
    if all(each and each.picks == tuple(pick) for each, pick in zip(found, picks, strict=True)):
        return relax.op.image.resize2d(
            expr,
            tuple(sizes),
            layout="NHWC",
            method="nearest_neighbor",
            coordinate_transformation_mode=mode,
            rounding_method=rounding,
        )
    for axis, pick in enumerate(picks, 1):
        expr = relax.op.take(expr, constant(pick), axis)
    return expr


def _nearest(old: int, new: int, align: bool, centers: bool) -> npt.NDArray[np.int64]:
    """Return the index of the element that each new one takes, in float32 as TFLite does."""
    scale = np.float32(old - 1) / (new - 1) if align and new > 1 else np.float32(old) / new
    position = (np.arange(new, dtype=np.float32) + np.float32(0.5 * centers)) * np.float32(scale)
    rounded = np.floor(position + np.float32(0.5)) if align else np.floor(position)
    return np.minimum(rounded.astype(np.int64), old - 1)


_MODES = {
    (False, False): ("asymmetric", "floor"),
    (True, False): ("align_corners", "round_prefer_ceil"),
    (False, True): ("half_pixel", "round_prefer_ceil"),
}
"""TVM's names by (align_corners, half_pixel_centers)."""


CONVERTERS: dict[str, Convert] = {
    "RESIZE_NEAREST_NEIGHBOR": nearest,
}
