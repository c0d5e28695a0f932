"""Kernels that measure the machine do as much as they say: with ones, results count products."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tvm

from assay.compiler.machine_kernels import build, float_peak, integer_peak
from assay.compiler.target import resolve_target

ISA = resolve_target("native").isa
KINDS = [(float_peak, ISA), (integer_peak, replace(ISA, tiles=False))]
KINDS += [(integer_peak, ISA)] if ISA.tiles else []


@pytest.mark.parametrize(("peak", "isa"), KINDS)
@pytest.mark.parametrize("threads", [1, 3])
def test_peaks_of_operations_count_them(peak, isa, threads):
    kernel = peak(isa, threads, turns=5)
    (*inputs, (shape, dtype)) = kernel.parameters
    tensors = [tvm.runtime.tensor(np.ones(*each)) for each in inputs]
    output = tvm.runtime.tensor(np.zeros(shape, dtype))
    build(kernel)(*tensors, output)
    assert 2 * output.numpy().sum() == kernel.work
