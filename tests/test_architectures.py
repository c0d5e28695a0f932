"""The networks that benchmarks.architectures writes: LiteRT takes them, and assay compiles them."""

from __future__ import annotations

import numpy as np
import pytest

import assay
from assay.runtimes.litert import open_litert
from benchmarks.architectures.__main__ import files, main

SMALL = ("lstm.fp32.tflite", "keyword_cnn.int8.tflite")


@pytest.mark.parametrize("name", [n for n in files() if n not in SMALL])
def test_every_operator_of_a_network_is_known(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(files()[name]())
    open_litert(path, reference=True)
    assert assay.read(path).macs > 0


@pytest.mark.parametrize("name", SMALL)
def test_values_stay_in_range(tmp_path, name):
    main(["--write", str(tmp_path), "--only", name.partition(".")[0]])
    runtime = open_litert(tmp_path / name, reference=True)
    (spec,) = runtime.inputs
    rng = np.random.default_rng(0)
    results = [runtime(rng.normal(0, 20, spec.shape).astype(spec.dtype)) for _ in range(3)]
    assert np.isfinite(results).all()
    assert np.ptp(results, axis=0).max() > 0, "the input does not matter"
