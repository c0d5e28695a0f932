"""TFLite_Detection_PostProcess against LiteRT's own kernel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flatbuffers import flexbuffers

from assay.compiler.frontend.importer import border, import_model
from assay.errors import UnsupportedOperatorError
from assay.model.reader import read
from tests.builder import GraphBuilder, per_tensor
from tests.compiler.frontend.one_operator import compiled, raw, reference

Save = Callable[..., Path]

SCALES = {"y_scale": 10.0, "x_scale": 10.0, "h_scale": 5.0, "w_scale": 5.0}
CLASSES, BOXES = 4, 60


def options(**changed: Any) -> bytes:
    fields: dict[str, Any] = {
        "max_detections": 12,
        "max_classes_per_detection": 1,
        "nms_score_threshold": 0.3,
        "nms_iou_threshold": 0.5,
        "num_classes": CLASSES,
        **SCALES,
        **changed,
    }
    builder = flexbuffers.Builder()
    with builder.Map():
        for name, value in sorted(fields.items()):
            builder.Key(name)
            {bool: builder.Bool, int: builder.Int, float: builder.Float}[type(value)](value)
    return bytes(builder.Finish())


def anchors() -> np.ndarray:
    """Boxes of (y, x, height, width) in clusters, so that many overlap."""
    rng = np.random.default_rng(4)
    centres = rng.uniform(0.2, 0.8, (6, 2))[rng.integers(0, 6, BOXES)]
    sizes = rng.uniform(0.2, 0.4, (BOXES, 2))
    return np.hstack([centres, sizes]).astype(np.float32)


def detector(custom_options: bytes, background: int = 1, quantized: bool = False) -> GraphBuilder:
    graph = GraphBuilder()
    dtype = "uint8" if quantized else "float32"
    q = (per_tensor(0.02, 128), per_tensor(1 / 256)) if quantized else (None, None)
    codes = graph.input("codes", (1, BOXES, 4), dtype, q[0])
    scores = graph.input("scores", (1, BOXES, CLASSES + background), dtype, q[1])
    q = per_tensor(1 / 128)
    stored = raw(anchors(), "uint8", q) if quantized else anchors()
    fixed = graph.constant("anchors", stored, q if quantized else None)
    outputs = [graph.tensor(name, ()) for name in ("boxes", "classes", "scores_out", "count")]
    graph.multi_op(
        "CUSTOM:TFLite_Detection_PostProcess",
        [codes, scores, fixed],
        outputs,
        custom_options=custom_options,
    )
    graph.output(*outputs)
    return graph


def feeds(background: int = 1, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    codes = rng.normal(0, 1, (1, BOXES, 4))
    scores = rng.uniform(0, 1, (1, BOXES, CLASSES + background))
    return [codes.astype(np.float32), scores.astype(np.float32)]


def agree(path: Path, values: list[np.ndarray]) -> int:
    """Compare what both found, and return how many that is."""
    ours, theirs = compiled(path, values), reference(path.read_bytes(), values)
    assert [part.shape for part in ours] == [part.shape for part in theirs]
    found = int(theirs[3][0])
    assert int(ours[3][0]) == found
    for mine, expected in zip(ours[:3], theirs[:3], strict=True):
        np.testing.assert_allclose(mine[0, :found], expected[0, :found], rtol=1e-5, atol=1e-6)
        assert not mine[0, found:].any()
    return found


@pytest.mark.parametrize("seed", range(3))
def test_a_box_counts_with_its_best_class(save: Save, seed: int) -> None:
    assert agree(save(detector(options())), feeds(seed=seed)) > 3


@pytest.mark.parametrize("per_class", [2, 100])
def test_regular_suppression_looks_at_each_class(save: Save, per_class: int) -> None:
    graph = detector(options(use_regular_nms=True, detections_per_class=per_class))
    assert agree(save(graph), feeds()) == min(12, CLASSES * per_class)


def test_a_model_without_a_background_class(save: Save) -> None:
    assert agree(save(detector(options(), background=0)), feeds(background=0)) > 3


def test_quantized_inputs(save: Save) -> None:
    rng = np.random.default_rng(5)
    codes = rng.integers(0, 256, (1, BOXES, 4), np.uint8)
    # Each score occurs once: LiteRT does not say which of two equal ones comes first.
    scores = np.zeros((1, BOXES, CLASSES + 1), np.uint8)
    scores[0, :, 2] = rng.permutation(256)[:BOXES]
    assert agree(save(detector(options(), quantized=True)), [codes, scores]) > 3


def test_nothing_above_the_threshold(save: Save) -> None:
    assert agree(save(detector(options(nms_score_threshold=2.0))), feeds()) == 0


def test_everything_overlaps(save: Save) -> None:
    values = feeds()
    values[0][:, :, 2:] = 20.0  # boxes far larger than the image
    assert agree(save(detector(options(nms_iou_threshold=0.1))), values) == 1


def test_boxes_without_an_area_suppress_nothing(save: Save) -> None:
    values = feeds()
    values[0][:, :, 2:] = -1e4  # exp gives 0
    assert agree(save(detector(options(max_detections=40))), values) == 40


def test_the_file_need_not_give_shapes(save: Save) -> None:
    model = read(save(detector(options())))
    assert [spec.shape for spec in model.outputs] == [()] * 4
    _, outputs = border(model, import_model(model))
    assert [spec.shape for spec in outputs] == [(1, 12, 4), (1, 12), (1, 12), (1,)]


@pytest.mark.parametrize(
    ("custom_options", "why"),
    [
        (options(max_classes_per_detection=3), "several classes for one box"),
        (b"", "its options are missing"),
        (b"\x00", ""),
    ],
)
def test_what_does_not_compile(save: Save, custom_options: bytes, why: str) -> None:
    path = save(detector(custom_options))
    with pytest.raises(UnsupportedOperatorError, match=f"at operator 0: .*{why}"):
        import_model(read(path))
