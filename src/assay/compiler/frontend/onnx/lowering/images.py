"""Operators on images whose forms are more than TVM's kernels have."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from assay.compiler.frontend.onnx.lowering.site import Site

_RANKS = (3, 4, 5)  # of what TVM resizes: batch, channels, and what follows
_ROIS_MOVE = 16  # RoiAlign moves regions by half a pixel from this operator set on


def _resize(site: Site) -> None:
    """Give sizes or scales of all dimensions instead of those of some axes."""
    axes = site.attribute("axes", None)
    if axes is None:
        site.keep()
        return
    shape = site.static(site.operand(0))
    operands = [site.operand(0), "", "", ""]
    for position, start in ((2, np.ones(len(shape), np.float32)), (3, np.array(shape, np.int64))):
        given = site.value(site.operand(position))
        if given is not None and given.size:
            start[list(axes)] = given
            operands[position] = site.constant(start)
    while not operands[-1]:
        operands.pop()
    site.add("Resize", *operands, into=site.result(0), **site.attributes_but("axes"))


def _resize_obstacle(site: Site) -> str:
    shape, made = site.shape(site.operand(0)), site.shape(site.result(0))
    if shape is None or made is None:
        return ""  # its sizes are refused as such
    if len(shape) not in _RANKS:
        return f"no kernel resizes {len(shape)} dimensions"
    return "" if made[:2] == shape[:2] else "it resizes the batch or the channels"


def _roi_align(site: Site) -> None:
    """Keep indices within the batch; move regions by half a pixel as TVM's kernel needs it.

    That scales what was moved: it takes ``(r - 0.5) * scale`` for half a pixel, which is ONNX's
    ``rois * scale - 0.5`` for ``r = rois + 0.5 - 0.5 / scale``.
    """
    x, rois, batch = (site.operand(position) for position in range(3))
    scale = site.attribute("spatial_scale", 1.0)
    default = b"half_pixel" if site.opset >= _ROIS_MOVE else b"output_half_pixel"
    if site.attribute("coordinate_transformation_mode", default) == b"half_pixel" and scale != 1:
        rois = site.add("Add", rois, site.like(rois, 0.5 - 0.5 / scale))
    first, last = (site.like(batch, index) for index in (0, site.static(x)[0] - 1))
    within = site.add("Min", site.add("Max", batch, first), last)
    site.same("RoiAlign", x, rois, within, into=site.result(0))


def _roi_obstacle(site: Site) -> str:
    if site.attribute("sampling_ratio", 0) == 0:
        return "how many points it samples follows from its regions (sampling_ratio 0)"
    if site.attribute("mode", b"avg") != b"avg":
        return "no kernel has its mode"
    return "" if site.shape(site.operand(0)) else "the shape that it takes is computed at run time"


LOWERED: dict[str, Callable[[Site], None]] = {"Resize": _resize, "RoiAlign": _roi_align}

OBSTACLES: dict[str, Callable[[Site], str]] = {
    "Resize": _resize_obstacle,
    "RoiAlign": _roi_obstacle,
}
