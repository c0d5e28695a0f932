"""Resizing of FP32 images is one kernel, whatever its options are."""

import numpy as np
import pytest

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
