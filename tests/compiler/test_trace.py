"""Which kernel computes which operator of the file, at every opt level, layout and pipeline."""

from __future__ import annotations

from collections import Counter
from math import prod

import numpy as np
import pytest

import assay
from assay.compiler.artifact import read_artifact
from assay.data import DIGITS_FP32, DIGITS_INT8
from tests.compiler.digits import built

CHOICES = [
    {"opt_level": 0},
    {"opt_level": 1, "layout": "nchw"},
    {"opt_level": 3},
    {"opt_level": 4},
    {"opt_level": 3, "layout": "nchw"},
    {"pipeline": "stock"},
]


@pytest.mark.parametrize("choices", CHOICES, ids=str)
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_each_operator_is_in_one_kernel(precision, choices):
    model = assay.read(DIGITS_FP32 if precision == "fp32" else DIGITS_INT8)
    kernels = built(precision, **choices).manifest.kernels
    found = Counter(layer.operator for kernel in kernels for layer in kernel.layers)
    assert set(found.values()) == {1}
    left_out = {op.name for op in model.operators if op.index not in found}
    assert left_out <= {"RESHAPE"}  # which needs no kernel
    assert sum(kernel.macs for kernel in kernels) == model.macs
    for kernel in kernels:
        assert kernel.layers or kernel.serves
        for layer in kernel.layers:
            operator = model.operators[layer.operator]
            assert (layer.op, layer.name) == (operator.name, operator.layer)
            assert layer.shape == model.tensors[operator.outputs[0]].static_shape
    first = [kernel.layers[0].operator for kernel in kernels if kernel.layers]
    assert first == sorted(first)


def test_a_library_keeps_its_kernels(tmp_path):
    build = built("fp32")
    build.save(tmp_path / "net.so")
    assert read_artifact(tmp_path / "net.so").kernels == build.manifest.kernels
    first = build.manifest.kernels[0]
    assert first.layers[0].op == "CONV_2D"
    image, output = first.input_shapes[0], first.output_shapes[0]
    weights = first.read_bytes - 4 * image[1] * image[2] * image[3]
    assert weights > 0
    # Beside its result, a kernel may write a workspace.
    assert first.written_bytes >= 4 * output[0] * output[1] * output[2] * output[3]


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_bytes_are_those_of_all_tensors(precision):
    for kernel in built(precision).manifest.kernels:
        read = zip(kernel.input_shapes, kernel.input_dtypes, strict=True)
        written = zip(kernel.output_shapes, kernel.output_dtypes, strict=True)
        assert kernel.read_bytes == sum(prod(s) * np.dtype(d).itemsize for s, d in read)
        assert kernel.written_bytes == sum(prod(s) * np.dtype(d).itemsize for s, d in written)


def test_layout_conversions_have_no_layer_of_their_own():
    build = built("fp32", opt_level=1, layout="nchw")
    conversions = [k for k in build.manifest.kernels if k.symbol.startswith("transpose")]
    assert conversions
    assert all(not kernel.layers and kernel.serves for kernel in conversions)
