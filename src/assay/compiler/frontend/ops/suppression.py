"""The kernel of TFLite_Detection_PostProcess: non-maximum suppression, and its best detections.

Instead of sorting, the best box that is left is searched again for each detection: of some
thousand boxes a few dozen are ever wanted. Of equal scores the first wins.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tvm import tirx

from assay.compiler.kernels.builder import Buffer, Expr, KernelBuilder, constant

_NONE = -3.0e38  # below every score


@dataclass(frozen=True)
class Suppression:
    """``rows`` times, up to ``wanted`` of ``boxes`` survive; of all, ``detections`` come out.

    Boxes below ``score_threshold`` never count, nor those that share more than
    ``overlap_threshold`` of their union with a better one of the same row.
    """

    rows: int
    boxes: int
    wanted: int
    detections: int
    score_threshold: float
    overlap_threshold: float


def suppression_kernel(problem: Suppression, name: str) -> Any:
    """Return the PrimFunc over (boxes, scores, classes) and outputs as LiteRT has them.

    boxes: float32 [boxes, 4] as (ymin, xmin, ymax, xmax); scores: float32 [rows, boxes]; classes:
    float32 [rows, boxes]. Outputs, float32: boxes [1, detections, 4], classes and scores
    [1, detections], all 0 beyond the number of detections, and that number [1].
    """
    p, b = problem, KernelBuilder()
    boxes = b.parameter("boxes", (p.boxes, 4))
    scores = b.parameter("scores", (p.rows, p.boxes))
    classes = b.parameter("classes", (p.rows, p.boxes))
    out_boxes = b.parameter("out_boxes", (1, p.detections, 4))
    out_classes = b.parameter("out_classes", (1, p.detections))
    out_scores = b.parameter("out_scores", (1, p.detections))
    out_count = b.parameter("out_count", (1,))
    kept_scores = b.workspace("kept_scores", p.rows * p.wanted)
    kept = b.workspace("kept", p.rows * p.wanted, "int32")  # index into scores
    left = b.workspace("left", p.boxes)
    with b.serial(p.rows) as row:
        with b.serial(p.boxes) as box:
            score = b.let(b.load(scores, row * p.boxes + box))
            b.store(left, box, tirx.Select(score >= p.score_threshold, score, _real(_NONE)))
        with b.serial(p.wanted) as turn:
            slot = b.let(row * p.wanted + turn)
            b.store(kept_scores, slot, _real(_NONE))
            with _best(b, left, p.boxes) as (box, score):
                b.store(kept_scores, slot, score)
                b.store(kept, slot, row * p.boxes + box)
                b.store(left, box, _real(_NONE))
                _suppress(b, p, boxes, left, box)
    b.store(out_count, 0, _real(0.0))
    with b.serial(p.detections) as slot:
        for corner in range(4):
            b.store(out_boxes, slot * 4 + corner, _real(0.0))
        b.store(out_classes, slot, _real(0.0))
        b.store(out_scores, slot, _real(0.0))
        with _best(b, kept_scores, p.rows * p.wanted) as (found, score):
            index = b.let(b.load(kept, found))
            start = b.let(index % p.boxes * 4)
            for corner in range(4):
                b.store(out_boxes, slot * 4 + corner, b.load(boxes, start + corner))
            b.store(out_classes, slot, b.load(classes, index))
            b.store(out_scores, slot, score)
            b.store(kept_scores, found, _real(_NONE))
            b.store(out_count, 0, b.load(out_count, 0) + _real(1.0))
    return b.function(name).with_attr("tirx.is_scheduled", True)


@contextmanager
def _best(b: KernelBuilder, values: Buffer, size: int) -> Iterator[tuple[Expr, Expr]]:
    """Open a block that runs if a value is left, with the index of the largest and that value."""
    largest, where = b.workspace("largest", 1), b.workspace("where", 1, "int32")
    b.store(largest, 0, _real(_NONE))
    b.store(where, 0, constant(-1, dtype="int32"))
    with b.serial(size) as index, b.when(b.load(values, index) > b.load(largest, 0)):
        b.store(largest, 0, b.load(values, index))
        b.store(where, 0, index)
    with b.when(b.load(where, 0) >= 0):
        yield b.let(b.load(where, 0)), b.let(b.load(largest, 0))


def _suppress(b: KernelBuilder, p: Suppression, boxes: Buffer, left: Buffer, chosen: Expr) -> None:
    """Strike off what overlaps a chosen box; boxes without an area overlap nothing."""
    best = [b.let(b.load(boxes, chosen * 4 + corner)) for corner in range(4)]
    area = b.let(_area(best))
    with b.serial(p.boxes) as box, b.when(b.load(left, box) > _real(_NONE)):
        other = [b.let(b.load(boxes, box * 4 + corner)) for corner in range(4)]
        top, start = (tirx.max(best[c], other[c]) for c in (0, 1))
        bottom, end = (tirx.min(best[c], other[c]) for c in (2, 3))
        nothing = _real(0.0)
        shared = b.let(tirx.max(bottom - top, nothing) * tirx.max(end - start, nothing))
        other_area = b.let(_area(other))
        overlap = shared / (area + other_area - shared)
        real_boxes = tirx.all(area > nothing, other_area > nothing)
        with b.when(tirx.all(real_boxes, overlap > _real(p.overlap_threshold))):
            b.store(left, box, _real(_NONE))


def _area(corners: list[Expr]) -> Expr:
    return (corners[2] - corners[0]) * (corners[3] - corners[1])


def _real(value: float) -> Expr:
    return constant(value)
