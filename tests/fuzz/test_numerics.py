"""Random networks, as assay builds them at every level and in both layouts, against LiteRT.

The reference is LiteRT's reference kernels. FP32 is within 1e-4 of the output tensor's range; INT8
is within one step at each operator, checked on networks that give out every value, or within what
one step at each operator can become at the output.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import seed as drawn_from
from hypothesis import strategies as st

import assay
from assay.compiler.config import OPT_LEVELS
from assay.runtimes.litert import open_litert
from assay.runtimes.tvm import open_build
from tests.fuzz import amounts
from tests.fuzz.networks import Network, networks, random_input

RELATIVE = 1e-4

choices = st.tuples(st.sampled_from(OPT_LEVELS), st.sampled_from(["nhwc", "nchw"]))


def trying(few: int):
    """Try a few examples, always the same, or as many as ``make fuzz`` wants."""
    chosen = settings(
        max_examples=amounts.NETWORKS or few,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink) if amounts.NETWORKS else (Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    return lambda test: drawn_from(amounts.SEED)(chosen(test))


def built(path: Path, level: int, layout: str, *inputs: np.ndarray) -> list[np.ndarray]:
    build = assay.compile(path, target="native", opt_level=level, layout=layout)
    return outputs(open_build(build)(*inputs))


def reference(path: Path, *inputs: np.ndarray) -> list[np.ndarray]:
    return outputs(open_litert(path, reference=True)(*inputs))


def outputs(result: np.ndarray | tuple[np.ndarray, ...]) -> list[np.ndarray]:
    return list(result) if isinstance(result, tuple) else [result]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("networks")


@trying(14)
@given(network=networks(quantized=False), choice=choices, seed=st.integers(0, 999))
def test_float(folder, network: Network, choice, seed):
    path = folder / "network.tflite"
    path.write_bytes(network.file())
    x = random_input(network, seed)
    (expected,) = reference(path, x)
    (actual,) = built(path, *choice, x)
    span = max(np.ptp(expected), np.abs(expected).max(), 1e-6)
    note(f"{network} at {choice}: {np.abs(actual - expected).max() / span:.2e} of {span}")
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= RELATIVE * span


@trying(8)
@given(network=networks(quantized=True), choice=choices, seed=st.integers(0, 999))
def test_each_integer_operator(folder, network: Network, choice, seed):
    path, one = folder / "network.tflite", folder / "one.tflite"
    path.write_bytes(network.file(expose=True))
    x = random_input(network, seed)
    values = [x, *built(path, *choice, x)]
    for step, actual in zip(network.steps, values[1:], strict=True):
        one.write_bytes(network.alone(step))
        (expected,) = reference(one, *(values[i] for i in step.reads))
        off = np.abs(actual.astype(int) - expected).max()
        note(f"{network} at {choice}: {step.name} is off by {off}")
        assert actual.shape == expected.shape
        assert off <= 1


@trying(8)
@given(network=networks(quantized=True), choice=choices, seed=st.integers(0, 999))
def test_integer_networks(folder, network: Network, choice, seed):
    path = folder / "network.tflite"
    path.write_bytes(network.file())
    x = random_input(network, seed)
    (expected,) = reference(path, x)
    (actual,) = built(path, *choice, x)
    off = np.abs(actual.astype(int) - expected).max()
    note(f"{network} at {choice}: off by {off}, allowed {network.bound():.1f}")
    assert off <= network.bound()
