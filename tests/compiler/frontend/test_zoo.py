"""Models of the shared zoo: all import, the small ones compute what LiteRT computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import assay
from assay.compiler.frontend.importer import border, import_model
from assay.compiler.frontend.support import unsupported
from assay.model.reader import read
from assay.model.spec import TensorSpec
from assay.runtimes.litert import open_litert
from assay.runtimes.tvm import open_build

OPEN_BATCH = [
    "ad01_fp32",
    "ad01_int8",
    "efficientnet_b0.fp32",
    "efficientnet_b0.int8",
    "kws_ref_model",
    "kws_ref_model_float32",
    "mobilenet_v3_small.fp32",
    "mobilenet_v3_small.int8",
    "pretrainedResnet",
    "pretrainedResnet_quant",
    "resnet50_half.fp32",
    "resnet50_half.int8",
    "str_ww_ref_model",
    "vww_96_float",
    "vww_96_int8",
]
FIXED_BATCH = [
    "deeplabv3_mnv2_pascal_quant",
    "mobilenet_v1_0.5_160_quant",
    "mobilenet_v2_1.0_224_quant",
]
SMALL = ["ad01_fp32", "ad01_int8", "kws_ref_model", "pretrainedResnet", "pretrainedResnet_quant"]


def model_path(shared: Path, name: str) -> Path:
    return shared / "zoo" / f"{name}.tflite"


def sample(specs: tuple[TensorSpec, ...], seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [
        rng.uniform(-1, 1, spec.shape).astype(np.float32)
        if spec.dtype == "float32"
        else rng.integers(*_range(spec.dtype), spec.shape, spec.dtype)
        for spec in specs
    ]


def _range(dtype: str) -> tuple[int, int]:
    limits = np.iinfo(dtype)
    return int(limits.min), int(limits.max) + 1


@pytest.mark.parametrize("name", [*OPEN_BATCH, *FIXED_BATCH])
def test_every_model_imports(shared: Path, name: str) -> None:
    path = model_path(shared, name)
    model = read(path)
    assert unsupported(model) == []
    inputs, outputs = border(model, import_model(model))
    runtime = open_litert(path)
    assert (inputs, outputs) == (runtime.inputs, runtime.outputs)


@pytest.mark.parametrize("name", OPEN_BATCH)
def test_an_open_batch_goes_all_the_way(shared: Path, name: str) -> None:
    model = read(model_path(shared, name))
    inputs, outputs = border(model, import_model(model, batch=3))
    assert {spec.shape[0] for spec in (*inputs, *outputs)} == {3}


@pytest.mark.parametrize("name", SMALL)
def test_small_models_compute_what_litert_computes(shared: Path, name: str) -> None:
    path = model_path(shared, name)
    build = open_build(assay.compile(path, opt_level=1))
    plain, fast = open_litert(path, reference=True), open_litert(path)
    for seed in range(3):
        feeds = sample(build.inputs, seed)
        expected = plain(*feeds)
        difference = np.abs(build(*feeds).astype(np.float64) - expected)
        if expected.dtype == np.float32:
            assert difference.max() <= 1e-4 * np.ptp(expected)
        else:  # as far off as LiteRT's own two back ends are from each other, or a step
            spread = np.abs(fast(*feeds).astype(np.float64) - expected).max()
            assert difference.max() <= max(spread, 1)


def test_dynamic_range_weights_stay_near_litert(shared: Path) -> None:
    path = model_path(shared, "kws_ref_model_float32")
    build, litert = open_build(assay.compile(path, opt_level=1)), open_litert(path, reference=True)
    for seed in range(3):
        feeds = sample(build.inputs, seed)
        ours, theirs = build(*feeds), litert(*feeds)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=0.03)  # probabilities
        assert ours.argmax() == theirs.argmax()
