"""Compiled ONNX models beside ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import assay
from assay.runtimes.onnxruntime import open_onnxruntime
from assay.runtimes.tvm import open_build


def random_inputs(specs: Any, seed: int = 0) -> list[Any]:
    rng = np.random.default_rng(seed)
    made = []
    for spec in specs:
        if np.dtype(spec.dtype).kind == "f":
            made.append(rng.uniform(-1, 1, spec.shape).astype(spec.dtype))
        elif spec.dtype == "bool":
            made.append(rng.integers(0, 2, spec.shape).astype(bool))
        else:
            made.append(rng.integers(0, 100, spec.shape).astype(spec.dtype))
    return made


def outputs_of(runtime: Any, inputs: list[Any]) -> list[Any]:
    for index, value in enumerate(inputs):
        runtime.set_input(index, value)
    runtime.run()
    return [runtime.get_output(index) for index in range(len(runtime.outputs))]


def check_equal(path: Path, relative: float = 1e-4, **choices: Any) -> Any:
    """Compile, compare all outputs with ONNX Runtime's within a share of their range."""
    build = assay.compile(path, **choices)
    compiled = open_build(build)
    inputs = random_inputs(compiled.inputs)
    reference = open_onnxruntime(path)
    expected = reference._session.run(
        None, {spec.name: x for spec, x in zip(reference.inputs, inputs, strict=True)}
    )
    for got, want in zip(outputs_of(compiled, inputs), expected, strict=True):
        assert got.shape == want.shape
        assert got.dtype == want.dtype
        if want.dtype.kind == "f":
            span = max(float(np.ptp(want)), 1e-3)
            np.testing.assert_allclose(got, want, rtol=0, atol=relative * span)
        else:
            np.testing.assert_array_equal(got, want)
    return build
