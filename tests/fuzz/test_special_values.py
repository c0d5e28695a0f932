"""NaN, infinities, denormal, equal and extreme numbers: a build gives what LiteRT gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import assay
from assay.runtimes.litert import open_litert
from assay.runtimes.tvm import TVMRuntime, open_build
from tests.builder import GraphBuilder, per_axis, per_tensor

SHAPE = (1, 5, 6, 5)
F32 = np.finfo(np.float32)
_PASSES_OVER = "max_pool_2d_12"  # what is not a number, as docs/opt-levels.md says
BUILDS = [(0, "nhwc"), (2, "nhwc"), (3, "nhwc"), (3, "nchw"), (4, "nhwc")]


def float_model() -> bytes:
    """Return a model that gives the same input to one operator of each kind."""
    rng = np.random.default_rng(3)
    graph = GraphBuilder()
    x = graph.input("x", SHAPE)

    def weights(name: str, *shape: int) -> int:
        return graph.constant(name, rng.uniform(-0.3, 0.3, shape).astype(np.float32))

    window = {"filter_h": 2, "filter_w": 2, "stride_h": 2, "stride_w": 2}
    axes = graph.constant("axes", np.int32([1, 2]))
    conv = {"activation": "NONE", "padding": "VALID"}
    results = [
        graph.op("CONV_2D", [x, weights("w1", 7, 1, 1, 5), weights("b1", 7)], (1, 5, 6, 7)),
        graph.op(
            "CONV_2D", [x, weights("w3", 7, 3, 3, 5), weights("b3", 7)], (1, 3, 4, 7), options=conv
        ),
        graph.op(
            "CONV_2D",
            [x, weights("w6", 7, 1, 1, 5), weights("b6", 7)],
            (1, 5, 6, 7),
            options={"activation": "RELU6"},
        ),
        graph.op(
            "DEPTHWISE_CONV_2D",
            [x, weights("wd", 1, 3, 3, 5), weights("bd", 5)],
            (1, 5, 6, 5),
            options={"activation": "RELU"},
        ),
        graph.op("ADD", [x, x], SHAPE),
        graph.op("MUL", [x, x], SHAPE),
        graph.op("RELU", [x], SHAPE),
        graph.op("RELU6", [x], SHAPE),
        graph.op("LOGISTIC", [x], SHAPE),
        graph.op("TANH", [x], SHAPE),
        graph.op("SOFTMAX", [x], SHAPE),
        graph.op("MEAN", [x, axes], (1, 5)),
        graph.op("MAX_POOL_2D", [x], (1, 2, 3, 5), options=window),
        graph.op("AVERAGE_POOL_2D", [x], (1, 2, 3, 5), options=window),
        graph.op("CONCATENATION", [x, x], (1, 5, 6, 10), options={"axis": 3}),
    ]
    graph.output(*results)
    return graph.build()


def inputs() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(4)
    plain = rng.uniform(-1, 1, SHAPE).astype(np.float32)

    def with_one(value: float) -> np.ndarray:
        changed = plain.copy()
        changed[0, 2, 3, 1] = value
        return changed

    return {
        "nan": with_one(np.nan),
        "infinity": with_one(np.inf),
        "minus infinity": with_one(-np.inf),
        "all nan": np.full(SHAPE, np.nan, np.float32),
        "denormal": (plain * np.float32(1e-40)).astype(np.float32),
        "all equal": np.full(SHAPE, 0.7, np.float32),
        "zero": np.zeros(SHAPE, np.float32),
        "minus zero": np.full(SHAPE, -0.0, np.float32),
        "large": plain * np.float32(F32.max / 100),  # sums stay below the largest number
        "all large": np.full(SHAPE, F32.max / 100, np.float32),
        "wide": plain * np.float32(1e6) ** rng.integers(-2, 3, SHAPE).astype(np.float32),
    }


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("special") / "special.tflite"
    path.write_bytes(float_model())
    return path


@pytest.fixture(scope="module", params=BUILDS, ids=lambda choice: f"O{choice[0]}-{choice[1]}")
def runtime(model: Path, request: pytest.FixtureRequest) -> TVMRuntime:
    level, layout = request.param
    return open_build(assay.compile(model, target="native", opt_level=level, layout=layout))


@pytest.mark.parametrize("name", inputs())
def test_float(model: Path, runtime: TVMRuntime, name: str) -> None:
    x = inputs()[name]
    with np.errstate(all="ignore"):
        wanted = open_litert(model, reference=True)(x)
        found = runtime(x)
        wrong = [
            f"{spec.name}: {w.ravel()[bad][:3]} is {f.ravel()[bad][:3]}"
            for spec, w, f in zip(runtime.outputs, wanted, found, strict=True)
            for bad in [_differ(_unlimited(w), f)]
            if bad.any() and not ("nan" in name and spec.name == _PASSES_OVER)
        ]
    assert not wrong, wrong


def _unlimited(values: np.ndarray) -> np.ndarray:
    """Return infinity where the reference kernels, and they alone, stop at the largest number."""
    return np.where(np.abs(values) == F32.max, np.copysign(np.inf, values), values)


def _differ(wanted: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Return where two results differ by more than 1e-4 of the range of what is finite.

    Denormal numbers may become zero.
    """
    finite = wanted[np.isfinite(wanted)]
    span = float(np.abs(finite).max()) if finite.size else 0.0
    both = np.isfinite(wanted) & np.isfinite(found)
    close = np.abs(wanted.astype(np.float64) - found) <= 1e-4 * span + F32.tiny
    same = (np.isnan(wanted) & np.isnan(found)) | (wanted == found)
    return ~np.where(both, close, same).ravel()


@pytest.mark.parametrize("value", [-128, 0, 127])
def test_integers_at_their_ends(tmp_path, value):
    q, out = per_tensor(0.05, 3), per_tensor(0.004, -7)
    graph = GraphBuilder()
    x = graph.input("x", SHAPE, "int8", q)
    w = graph.constant("w", np.full((9, 3, 3, 5), -127, np.int8), per_axis([0.02] * 9, 0))
    b = graph.constant("b", np.full(9, 2**30, np.int32), per_axis([0.05 * 0.02] * 9, 0))
    y = graph.op("CONV_2D", [x, w, b], (1, 5, 6, 9), "int8", out, version=3)
    graph.output(y, graph.op("ADD", [x, x], SHAPE, "int8", out, version=2))
    path = tmp_path / "ends.tflite"
    path.write_bytes(graph.build())
    given = np.full(SHAPE, value, np.int8)
    build = open_build(assay.compile(path, target="native"))
    for found, wanted in zip(build(given), open_litert(path, reference=True)(given), strict=True):
        np.testing.assert_array_equal(found, wanted)
