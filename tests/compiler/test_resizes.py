"""Resizing of FP32 images is one kernel, whatever its options are."""

import numpy as np
import pytest

from tests.compiler.test_bind_int8 import Quantized
from tests.compiler.test_bind_int8 import check as check_integers
from tests.compiler.test_bind_kernels import check, conv, start

OPTIONS = [{}, {"align_corners": True}, {"half_pixel_centers": True}]


def resized(graph, x, kind, size, channels, **options):
    sizes = graph.constant("size", np.array(size, np.int32))
    return graph.op(f"RESIZE_{kind}", [x, sizes], (2, *size, channels), options=options)


@pytest.mark.parametrize("kind", ["BILINEAR", "NEAREST_NEIGHBOR"])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("size", [(18, 14), (5, 16)])
def test_a_resize_takes_its_activation_along(tmp_path, kind, options, size):
    graph, x = start(c=19, n=2)
    y = resized(graph, x, kind, size, 19, **options)
    graph.output(graph.op("RELU6", [y], (2, *size, 19)))
    assert check(graph, tmp_path) == "1 call_tir"


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
def test_a_resize_between_convolutions_needs_no_transpose(tmp_path, layout):
    graph, x = start(n=2)
    y, _ = conv(graph, x, (2, 9, 7, 5, 12))
    y = resized(graph, y, "BILINEAR", (18, 14), 12, half_pixel_centers=True)
    y, _ = conv(graph, graph.op("RELU", [y], (2, 18, 14, 12)), (2, 18, 14, 12, 3), name="last")
    graph.output(y)
    transposes = {"nhwc": 0, "nchw": 2}[layout]
    assert check(graph, tmp_path, layout=layout) == f"{3 + transposes} call_tir"


def test_a_resized_image_with_two_users_is_made_once(tmp_path):
    graph, x = start(n=2)
    y = resized(graph, x, "NEAREST_NEIGHBOR", (5, 16), 5)
    graph.output(y, graph.op("TANH", [y], (2, 5, 16, 5)))
    assert check(graph, tmp_path) == "2 call_tir"


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("size", [(18, 14), (5, 16), (13, 10)])
def test_pixels_of_integers_are_picked_by_one_kernel(tmp_path, dtype, layout, options, size):
    q = Quantized(dtype)
    y, _ = q.conv(q.input((1, 9, 7, 5)), (1, 9, 7, 5), 19)
    sizes = q.graph.constant("size", np.array(size, np.int32))
    out = (1, *size, 19)
    inputs, scale = [y[0], sizes], q.tensor(y[1], -5)
    name = "RESIZE_NEAREST_NEIGHBOR"
    y = q.graph.op(name, inputs, out, dtype, scale, options=options), y[1]
    log = check_integers(q, y, tmp_path, layout=layout)
    (line,) = (each for each in log if each.startswith("[pass] BindInt8"))
    assert "take" not in line, line
    assert "resize2d" not in line, line
    transposes = sum(each.startswith("[layout]") for each in log)
    assert transposes == {"nhwc": 0, "nchw": 2}[layout]


def test_mirrored_borders_of_integers_are_one_kernel(tmp_path):
    q = Quantized()
    x = q.input((1, 9, 7, 5))
    widths = q.graph.constant("widths", np.array([[0, 0], [2, 1], [3, 2], [0, 0]], np.int32))
    scale = q.tensor(0.05, 3)
    y = q.graph.op("MIRROR_PAD", [x[0], widths], (1, 12, 12, 5), "int8", scale)
    log = check_integers(q, (y, 0.05), tmp_path, steps=0)
    (line,) = (each for each in log if each.startswith("[pass] BindInt8"))
    assert "take" not in line, line
