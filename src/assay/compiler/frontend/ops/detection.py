"""TFLite_Detection_PostProcess: boxes from their encoding, then non-maximum suppression.

Source: LiteRT's ``detection_postprocess.cc``. Encodings and anchors are (y, x, height, width) with
the centre first, boxes (ymin, xmin, ymax, xmax).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from flatbuffers import flexbuffers
from tvm import relax

from assay.compiler.frontend.exprs import Expr, constant
from assay.compiler.frontend.ops.suppression import Suppression, suppression_kernel
from assay.compiler.frontend.site import Convert, Site

_DETECTIONS_PER_CLASS = 100  # LiteRT's default
_NAME = "detection_postprocess"


def detection_postprocess(site: Site) -> list[Expr]:
    """Return boxes [1, n, 4], classes [1, n], scores [1, n] and their number [1], all float32.

    n is ``max_detections``; what lies beyond the number is 0. Classes count from 0 without the
    background. Each box counts with its best class or, under ``use_regular_nms``, with every class.
    """
    options: dict[str, Any] = flexbuffers.Loads(site.custom_options())
    if options.get("max_classes_per_detection", 1) != 1:
        raise ValueError("it gives several classes for one box")
    batch, count, columns = site.shape(1)
    if batch != 1:
        raise ValueError("it takes one image at a time")
    classes, detections = options["num_classes"], options["max_detections"]
    table = relax.op.reshape(site.real(1), [count, columns])
    table = relax.op.strided_slice(table, [1], [columns - classes], [columns])
    if options.get("use_regular_nms", False):
        rows = classes
        wanted = min(options.get("detections_per_class", _DETECTIONS_PER_CLASS), detections)
        scores = relax.op.permute_dims(table, [1, 0])
        labels = constant(np.repeat(np.arange(classes, dtype=np.float32)[:, None], count, axis=1))
    else:
        rows, wanted = 1, detections
        scores = relax.op.reshape(relax.op.max(table, 1), [1, count])
        best = relax.op.reshape(relax.op.argmax(table, 1), [1, count])
        labels = relax.op.astype(best, "float32")
    kernel = suppression_kernel(
        Suppression(
            rows,
            count,
            wanted,
            detections,
            options["nms_score_threshold"],
            options["nms_iou_threshold"],
        ),
        _NAME,
    )
    shapes = [(1, detections, 4), (1, detections), (1, detections), (1,)]
    return site.kernel(kernel, _NAME, [_corners(site, options), scores, labels], shapes)


def _corners(site: Site, options: dict[str, Any]) -> Expr:
    """Return the corners of all boxes, float32 [boxes, 4]."""
    codes, anchors = relax.op.reshape(site.real(0), [-1, 4]), site.real(2)

    def column(expr: Expr, position: int) -> Expr:
        return relax.op.strided_slice(expr, [1], [position], [position + 1])

    low, high = [], []
    for position, (offset_scale, extent_scale) in enumerate((("y", "h"), ("x", "w"))):
        size = column(anchors, position + 2)
        offset = relax.op.divide(column(codes, position), _scale(options, offset_scale))
        centre = relax.op.add(relax.op.multiply(offset, size), column(anchors, position))
        growth = relax.op.divide(column(codes, position + 2), _scale(options, extent_scale))
        half = relax.op.multiply(constant(np.float32(0.5)), relax.op.exp(growth))
        half = relax.op.multiply(half, size)
        low.append(relax.op.subtract(centre, half))
        high.append(relax.op.add(centre, half))
    return relax.op.concat([*low, *high], 1)


def _scale(options: dict[str, Any], axis: str) -> Expr:
    return constant(np.float32(options[f"{axis}_scale"]))


CONVERTERS: dict[str, Convert] = {
    "CUSTOM:TFLite_Detection_PostProcess": detection_postprocess,
}
