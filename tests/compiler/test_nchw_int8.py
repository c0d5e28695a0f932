"""Quantized layers in NCHW: transposed for the kernels for NHWC where that pays, byte for byte."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import assay
from assay.compiler.kernels.int8.nchw.channels_last import worthwhile
from assay.runtimes.tvm import open_build
from tests.compiler.kernels.int8.cases import conv
from tests.compiler.kernels.int8.harness import TARGETS, VNNI, isa
from tests.compiler.kernels.int8.test_nchw import planes
from tests.compiler.test_bind_int8 import LIMITS, Quantized


def separable(folder, dtype="int8", size=7, channels=64, out_c=96):
    """A depthwise convolution, two 1x1 ones behind it and an addition; and inputs for it."""
    q = Quantized(dtype)
    shape = (2, size, size, channels)
    x, _ = q.conv(q.input(shape), shape, channels)
    taps = q.layer("DEPTHWISE_CONV_2D", x, (1, 3, 3, channels), 3, shape)
    y, wide = q.conv(taps, shape, out_c)
    y, _ = q.conv(y, wide, channels)
    q.graph.output(q.add(y, x, shape)[0])
    path = folder / "model.tflite"
    path.write_bytes(q.graph.build())
    return path, q.rng.integers(*LIMITS[dtype], shape, dtype, endpoint=True)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_small_images_in_nchw_are_transposed_around_each_layer(tmp_path, dtype):
    path, _ = separable(tmp_path, dtype)
    build = assay.compile(path, layout="nchw", target=VNNI)
    calls = build.manifest.kernels
    layers = [each for each in calls if each.macs]
    kinds = [each.symbol.split("_")[1] for each in layers]
    assert kinds == ["conv2d", "depthwise", "conv2d", "conv2d"]
    # All read and write NCHW: between two layers one transpose follows another. What is added has
    # been transposed for another layer.
    turns = [each for each in calls if each.symbol.startswith("int8_transpose")]
    assert len(turns) == 2 * len(layers)
    assert all(each.serves for each in turns)


def test_large_images_in_nchw_stay_as_they_are(tmp_path):
    path, _ = separable(tmp_path, size=48, channels=16, out_c=96)
    build = assay.compile(path, layout="nchw", target=VNNI)
    kinds = [each.symbol.split("_")[1] for each in build.manifest.kernels if each.macs]
    assert kinds == ["convolution", "depthwise", "convolution", "convolution"]


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=3, deadline=None)
@given(data=st.data())
def test_any_layers_in_nchw_give_the_bytes_of_nhwc(tmp_path_factory, target, data):
    limits = ((1, 9), (2, 40), (1, 70))
    size, channels, out_c = (data.draw(st.integers(*each)) for each in limits)
    dtype = data.draw(st.sampled_from(["int8", "uint8"]))
    path, x = separable(tmp_path_factory.mktemp("net"), dtype, size, channels, out_c)
    nchw, nhwc = (
        open_build(assay.compile(path, layout=layout, target=target)) for layout in ("nchw", "nhwc")
    )
    np.testing.assert_array_equal(nchw(x), nhwc(x))


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (planes(7, 7, 256, 256, 1), True),
        (planes(7, 7, 64, 64, 3), True),
        (planes(1, 1, 512, 1001, 1), True),  # which need not be moved
        (planes(56, 56, 24, 144, 1), False),
        (planes(56, 56, 32, 32, 3), False),
        (planes(20, 20, 128, 128, 1, weights_zero_point=-3), True),
        (planes(25, 5, 64, 64, 1), True),  # few pixels, and lines much narrower than a vector
        (planes(56, 56, 48, 48, 3, groups=48), True),
        (planes(56, 56, 3, 3, 3, groups=3), False),  # too few channels for a vector
        (conv(7, 7, 256, 256, 1), False),  # in NHWC already
    ],
)
def test_images_are_transposed_where_vectors_of_pixels_are_poor(problem, expected):
    assert worthwhile(problem, isa(VNNI)) == expected
