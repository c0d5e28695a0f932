"""Which operators become kernels of assay's own, what joins them, and that results stay."""

from __future__ import annotations

import numpy as np
import pytest

import assay
from assay.runtimes.litert import open_litert
from assay.runtimes.tvm import open_build
from tests.builder import GraphBuilder

RNG = np.random.default_rng(7)


def weights(*shape):
    return RNG.normal(0, 0.3, shape).astype(np.float32)


def conv(graph, x, shape, kernel=1, stride=1, name="conv", activation="NONE"):
    """Add a CONV_2D with SAME padding from ``shape[3]`` to ``shape[4]`` channels."""
    n, h, w, in_c, out_c = shape
    out = (n, -(-h // stride), -(-w // stride), out_c)
    filter_ = graph.constant(f"{name}_w", weights(out_c, kernel, kernel, in_c))
    bias = graph.constant(f"{name}_b", weights(out_c))
    options = {"stride_h": stride, "stride_w": stride, "activation": activation}
    return graph.op("CONV_2D", [x, filter_, bias], out, options=options), out


def check(graph, tmp_path, opt_level=3, layout="nhwc"):
    """Compile, compare with LiteRT's reference kernels, and return the operators that are left."""
    path = tmp_path / "model.tflite"
    path.write_bytes(graph.build())
    build = assay.compile(path, opt_level=opt_level, layout=layout)
    ours, reference = open_build(build), open_litert(path, reference=True)
    x = [RNG.normal(0, 2, spec.shape).astype(np.float32) for spec in ours.inputs]
    results, expected = ours(*x), reference(*x)
    if len(ours.outputs) == 1:
        results, expected = (results,), (expected,)
    for ours_one, expected_one in zip(results, expected, strict=True):
        spread = np.ptp(expected_one) or np.abs(expected_one).max()  # one value has no range
        tolerance = 1e-4 * max(spread, 1e-3)
        np.testing.assert_allclose(ours_one, expected_one, rtol=0, atol=tolerance)
    line = next(entry for entry in build.log if entry.startswith("[pass] BindKernels"))
    return line.split(": ")[1].rpartition(" (")[0]


def start(h=9, w=7, c=5, n=1):
    graph = GraphBuilder()
    return graph, graph.input("x", (n, h, w, c))


def test_bias_and_relu6_join_the_convolution(tmp_path):
    graph, x = start()
    y, _ = conv(graph, x, (1, 9, 7, 5, 17), kernel=3, stride=2, activation="RELU6")
    graph.output(y)
    assert check(graph, tmp_path) == "1 call_tir"


def test_residual_joins_the_later_convolution(tmp_path):
    graph, x = start()
    a, shape = conv(graph, x, (1, 9, 7, 5, 6), name="a")
    b, _ = conv(graph, a, (1, 9, 7, 6, 6), name="b")
    graph.output(graph.op("ADD", [a, b], shape))
    assert check(graph, tmp_path) == "2 call_tir"


def test_two_branches_join_once(tmp_path):
    graph, x = start()
    a, shape = conv(graph, x, (1, 9, 7, 5, 6), name="a")
    b, _ = conv(graph, x, (1, 9, 7, 5, 6), kernel=3, name="b")
    graph.output(graph.op("ADD", [a, b], shape, options={"activation": "RELU"}))
    assert check(graph, tmp_path) == "2 call_tir"


def test_a_value_with_two_users_stays_a_value(tmp_path):
    graph, x = start()
    a, shape = conv(graph, x, (1, 9, 7, 5, 6), name="a")
    relu = graph.op("RELU", [a], shape)
    tanh = graph.op("TANH", [a], shape)
    graph.output(graph.op("SUB", [relu, tanh], shape))
    assert check(graph, tmp_path) == "3 call_tir"


def test_a_value_that_is_an_output_stays_one(tmp_path):
    graph, x = start()
    a, shape = conv(graph, x, (1, 9, 7, 5, 6), name="a")
    graph.output(a, graph.op("RELU", [a], shape))
    assert check(graph, tmp_path) == "2 call_tir"


@pytest.mark.parametrize("op", ["HARD_SWISH", "LOGISTIC", "TANH", "GELU"])
def test_activation_joins(tmp_path, op):
    graph, x = start()
    a, shape = conv(graph, x, (1, 9, 7, 5, 6))
    graph.output(graph.op(op, [a], shape))
    assert check(graph, tmp_path) == "1 call_tir"


def test_swish_joins(tmp_path):
    graph, x = start()
    a, shape = conv(graph, x, (1, 9, 7, 5, 6))
    curve = graph.op("LOGISTIC", [a], shape)
    graph.output(graph.op("MUL", [curve, a], shape))
    assert check(graph, tmp_path) == "1 call_tir"


def test_almost_hard_swish_does_not_join_as_hard_swish(tmp_path):
    graph, x = start()
    a, shape = conv(graph, x, (1, 9, 7, 5, 6))
    three = graph.constant("three", np.float32(2.5))
    six = graph.constant("six", np.float32(6.0))
    shifted = graph.op("ADD", [a, three], shape, options={"activation": "RELU6"})
    product = graph.op("MUL", [a, shifted], shape)
    graph.output(graph.op("DIV", [product, six], shape))
    assert check(graph, tmp_path) == "2 call_tir"


def test_constants_and_reversed_operands_join(tmp_path):
    graph, x = start()
    a, shape = conv(graph, x, (1, 9, 7, 5, 6))
    channel = graph.constant("channel", weights(6))
    scalar = graph.constant("scalar", np.float32(0.7))
    b = graph.op("SUB", [channel, a], shape)
    c = graph.op("MUL", [b, scalar], shape)
    graph.output(graph.op("DIV", [graph.constant("one", np.full(6, 3, np.float32)), c], shape))
    path = tmp_path / "model.tflite"
    path.write_bytes(graph.build())
    log = assay.compile(path, layout="nhwc").log
    assert any("BindKernels: 1 call_tir (" in line for line in log)


def test_gate_per_batch_item_joins(tmp_path):
    graph, x = start(n=2)
    gate = graph.input("gate", (2, 1, 1, 6))
    a, shape = conv(graph, x, (2, 9, 7, 5, 6))
    graph.output(graph.op("MUL", [a, gate], shape))
    assert check(graph, tmp_path) == "1 call_tir"


def test_an_operand_that_broadcasts_the_convolution_does_not_join(tmp_path):
    graph, x = start(h=1, w=1)
    other = graph.input("other", (1, 4, 4, 6))
    a, _ = conv(graph, x, (1, 1, 1, 5, 6))
    graph.output(graph.op("ADD", [a, other], (1, 4, 4, 6)))
    assert check(graph, tmp_path) == "2 call_tir"


def pooled(graph, x, op, kernel, out, **options):
    options = {"filter_h": kernel, "filter_w": kernel, "stride_h": 2, "stride_w": 2, **options}
    return graph.op(op, [x], out, options=options)


@pytest.mark.parametrize("op", ["MAX_POOL_2D", "AVERAGE_POOL_2D"])
def test_pooling_takes_its_activation_along(tmp_path, op):
    graph, x = start()
    graph.output(pooled(graph, x, op, 3, (1, 5, 4, 5), activation="RELU", padding="SAME"))
    assert check(graph, tmp_path) == "1 call_tir"


def test_global_pooling_softmax_and_the_reshape_between_need_no_other_kernel(tmp_path):
    graph, x = start(h=7, w=7)
    y = pooled(graph, x, "AVERAGE_POOL_2D", 7, (1, 1, 1, 5), padding="VALID")
    y = graph.op("RESHAPE", [y, graph.constant("shape", np.array([1, 5], np.int32))], (1, 5))
    graph.output(graph.op("SOFTMAX", [y], (1, 5), options={"beta": 1.0}))
    assert check(graph, tmp_path) == "2 call_tir"


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("axes", [[1, 2], [3], [0, 1, 2, 3]])
def test_a_mean_takes_a_chain_along(tmp_path, axes, keep):
    graph, x = start(n=2)
    shape = np.zeros((2, 9, 7, 5)).mean(tuple(axes), keepdims=keep).shape
    graph_axes = graph.constant("axes", np.array(axes, np.int32))
    y = graph.op("MEAN", [x, graph_axes], shape, options={"keep_dims": keep})
    half = graph.constant("half", np.float32(0.5))
    graph.output(graph.op("RELU", [graph.op("SUB", [y, half], shape)], shape))
    assert check(graph, tmp_path) == "1 call_tir"


def test_a_swish_of_an_input_is_one_kernel(tmp_path):
    graph, x = start()
    curve = graph.op("LOGISTIC", [x], (1, 9, 7, 5))
    graph.output(graph.op("MUL", [curve, x], (1, 9, 7, 5)))
    assert check(graph, tmp_path) == "1 call_tir"


def test_elementwise_operators_broadcast_both_ways(tmp_path):
    graph, x = start(n=2)
    other = graph.input("other", (2, 1, 7, 1))
    y = graph.op("SUB", [other, x], (2, 9, 7, 5))
    row = graph.constant("row", weights(1, 9, 1, 1))
    graph.output(graph.op("MUL", [row, y], (2, 9, 7, 5), options={"activation": "RELU6"}))
    assert check(graph, tmp_path) == "1 call_tir"


def test_a_number_may_be_repeated_over_a_tensor(tmp_path):
    graph, x = start(h=1, w=1, c=1)
    other = graph.input("other", (1, 9, 7, 5))
    graph.output(graph.op("DIV", [x, other], (1, 9, 7, 5)))
    assert check(graph, tmp_path) == "1 call_tir"


@pytest.mark.parametrize("channels", [3, 33])
def test_a_gate_joins_the_1x1_convolution_after_it_where_it_has_more_pixels(tmp_path, channels):
    graph, x = start(h=4, w=4, c=12, n=2)
    gate = graph.input("gate", (2, 1, 1, 12))
    y = graph.op("MUL", [gate, x], (2, 4, 4, 12))
    y, _ = conv(graph, y, (2, 4, 4, 12, channels), activation="RELU")
    graph.output(y)
    assert check(graph, tmp_path) == ("1 call_tir" if channels < 16 else "2 call_tir")


def test_a_product_of_two_pixels_is_no_gate(tmp_path):
    graph, x = start(h=1, w=1, c=12)
    y = graph.op("MUL", [x, graph.input("other", (1, 1, 1, 12))], (1, 1, 1, 12))
    y, _ = conv(graph, y, (1, 1, 1, 12, 1))
    graph.output(y)
    assert check(graph, tmp_path) == "2 call_tir"


@pytest.mark.parametrize("depthwise", [True, False])
def test_padding_with_zeros_joins_the_convolution_after_it(tmp_path, depthwise):
    graph, x = start()
    pads = graph.constant("pads", np.array([[0, 0], [2, 1], [0, 3], [0, 0]], np.int32))
    y = graph.op("PAD", [x, pads], (1, 12, 10, 5))
    options = {"stride_h": 2, "stride_w": 1, "padding": "VALID"}
    shape = (1, 3, 3, 5) if depthwise else (6, 3, 3, 5)
    operands = [y, graph.constant("w", weights(*shape)), graph.constant("b", weights(shape[-1]))]
    if not depthwise:
        operands[2] = graph.constant("b6", weights(6))
    op = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
    graph.output(graph.op(op, operands, (1, 5, 8, 5 if depthwise else 6), options=options))
    assert check(graph, tmp_path) == "1 call_tir"


def test_equal_layers_share_one_kernel(tmp_path):
    graph, x = start(c=16)
    for index in range(3):
        x, _ = conv(graph, x, (1, 9, 7, 16, 16), kernel=3, name=f"c{index}", activation="RELU")
    graph.output(x)
    path = tmp_path / "model.tflite"
    path.write_bytes(graph.build())
    build = assay.compile(path, layout="nhwc")
    names = {name for name in build.executable.as_text().split() if name.startswith("direct_")}
    assert len({name.strip(",") for name in names}) == 1


def test_level_4_fuses_an_expansion_that_outgrows_the_cache_with_its_depthwise_layer(tmp_path):
    graph, x = start(h=61, w=57, c=8)
    y, (n, h, w, c) = conv(graph, x, (1, 61, 57, 8, 96), activation="RELU6")
    filter_ = graph.constant("dw", weights(1, 3, 3, c))
    bias = graph.constant("dwb", weights(c))
    options = {"stride_h": 2, "stride_w": 2, "activation": "RELU6"}
    out = (n, -(-h // 2), -(-w // 2), c)
    graph.output(graph.op("DEPTHWISE_CONV_2D", [y, filter_, bias], out, options=options))
    assert check(graph, tmp_path, opt_level=3) == "2 call_tir"
    assert check(graph, tmp_path, opt_level=4) == "1 call_tir"


@pytest.mark.parametrize(("layout", "kernel"), [("nhwc", " winograd"), ("nchw", " nchw_winograd")])
def test_level_4_takes_winograd_where_it_pays(tmp_path, layout, kernel):
    graph, x = start(h=28, w=28, c=64)
    y, _ = conv(graph, x, (1, 28, 28, 64, 64), kernel=3, activation="RELU")
    graph.output(y)
    path = tmp_path / "model.tflite"
    path.write_bytes(graph.build())
    text = {o: assay.compile(path, layout=layout, opt_level=o).executable.as_text() for o in (3, 4)}
    assert kernel not in text[3]
    assert kernel in text[4]
    check(graph, tmp_path, layout=layout, opt_level=4)


def test_below_level_3_nothing_is_bound(tmp_path):
    graph, x = start()
    y, _ = conv(graph, x, (1, 9, 7, 5, 6))
    graph.output(y)
    path = tmp_path / "model.tflite"
    path.write_bytes(graph.build())
    log = assay.compile(path, layout="nhwc", opt_level=2).log
    assert not any("BindKernels" in line for line in log)


def test_a_reshape_of_a_result_costs_no_kernel(tmp_path):
    graph, x = start()
    y, _ = conv(graph, x, (1, 9, 7, 5, 6), activation="RELU")
    new_shape = graph.constant("shape", np.array([1, -1], np.int32))
    y = graph.op("RESHAPE", [y, new_shape], (1, 9 * 7 * 6))
    w, b = graph.constant("w", weights(4, 9 * 7 * 6)), graph.constant("b", weights(4))
    graph.output(graph.op("FULLY_CONNECTED", [y, w, b], (1, 4)))
    assert check(graph, tmp_path) == "2 call_tir"


def mixed_network():
    """Convolutions of each kind, a residual, pooling, a gate, and a dense layer."""
    graph, x = start(h=12, w=15, c=3, n=2)
    y, shape = conv(graph, x, (2, 12, 15, 3, 11), kernel=3, activation="RELU6", name="first")
    options = {"stride_h": 1, "stride_w": 1, "activation": "RELU6", "depth_multiplier": 1}
    taps, bias = graph.constant("taps", weights(1, 3, 3, 11)), graph.constant("b", weights(11))
    z = graph.op("DEPTHWISE_CONV_2D", [y, taps, bias], shape, options=options)
    z, _ = conv(graph, z, (*shape, 11), name="project")
    z = graph.op("ADD", [z, y], shape)
    window = {"stride_h": 2, "stride_w": 2, "filter_height": 3, "filter_width": 3}
    z = graph.op("MAX_POOL_2D", [z], (2, 5, 7, 11), options=window)
    axes = graph.constant("axes", np.array([1, 2], np.int32))
    mean = graph.op("MEAN", [z, axes], (2, 1, 1, 11), options={"keep_dims": True})
    gate = graph.op("LOGISTIC", [mean], (2, 1, 1, 11))
    z = graph.op("MUL", [z, gate], (2, 5, 7, 11))
    z, _ = conv(graph, z, (2, 6, 8, 11, 6), kernel=3, stride=2, name="last")
    z = graph.op("MEAN", [z, axes], (2, 6), options={"keep_dims": False})
    graph.output(z)
    return graph


@pytest.mark.parametrize("opt_level", [3, 4])
def test_nchw_runs_in_kernels_without_transposes(tmp_path, opt_level):
    left = check(mixed_network(), tmp_path, opt_level, layout="nchw")
    assert left == "8 call_tir"  # as many as layers


@pytest.mark.parametrize(
    ("padding", "layout", "left"),
    [
        ("SAME", "nhwc", "1 call_tir"),
        ("VALID", "nhwc", "1 call_tir"),
        ("SAME", "nchw", "3 call_tir"),  # with the transposes at the border
    ],
)
def test_a_transposed_convolution_takes_its_transposes_and_epilogue_along(
    tmp_path, padding, layout, left
):
    graph, x = start(4, 5, 6)
    out = (1, 8, 10, 7) if padding == "SAME" else (1, 9, 11, 7)
    sizes = graph.constant("sizes", np.array(out, np.int32))
    filter_, bias = graph.constant("w", weights(7, 3, 3, 6)), graph.constant("b", weights(7))
    options = {"stride_h": 2, "stride_w": 2, "padding": padding, "activation": "RELU"}
    graph.output(graph.op("TRANSPOSE_CONV", [sizes, filter_, x, bias], out, options=options))
    assert check(graph, tmp_path, layout=layout) == left


def test_attention_needs_no_transposes(tmp_path):
    graph = GraphBuilder()
    heads, swapped = (1, 3, 9, 8), graph.constant("order", np.array([0, 2, 1, 3], np.int32))
    inputs = [graph.input(name, (1, 9, 3, 8)) for name in "qkv"]
    query, key, value = (graph.op("TRANSPOSE", [x, swapped], heads) for x in inputs)
    scores = graph.op("BATCH_MATMUL", [query, key], (1, 3, 9, 9), options={"adj_y": True})
    factor = graph.constant("factor", np.float32(0.4))
    scores = graph.op("SOFTMAX", [graph.op("MUL", [scores, factor], (1, 3, 9, 9))], (1, 3, 9, 9))
    mixed = graph.op("BATCH_MATMUL", [scores, value], heads)
    graph.output(graph.op("TRANSPOSE", [mixed, swapped], (1, 9, 3, 8)))
    assert check(graph, tmp_path) == "3 call_tir"


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
def test_prelu_joins_the_convolution(tmp_path, layout):
    graph, x = start(c=4)
    y, shape = conv(graph, x, (1, 9, 7, 4, 11), kernel=3)
    slope = graph.constant("slope", weights(1, 1, 11))
    y = graph.op("PRELU", [y, slope], shape)
    graph.output(y)
    left = check(graph, tmp_path, layout=layout)
    assert left == ("1 call_tir" if layout == "nhwc" else "2 call_tir")  # a transpose at the end


def test_prelu_alone_is_one_kernel(tmp_path):
    graph, x = start()
    slope = graph.constant("slope", weights(1, 1, 5))
    graph.output(graph.op("PRELU", [x, slope], (1, 9, 7, 5)))
    assert check(graph, tmp_path) == "1 call_tir"


@pytest.mark.parametrize("batch", [1, 2])
def test_convolutions_of_single_pixels_are_the_same_in_nchw(tmp_path, batch):
    graph, x = start(n=batch, c=24)
    x, shape = conv(graph, x, (batch, 9, 7, 24, 24), name="first")
    axes = graph.constant("axes", np.array([1, 2], np.int32))
    y = graph.op("MEAN", [x, axes], (batch, 1, 1, 24), options={"keep_dims": True})
    y, _ = conv(graph, y, (batch, 1, 1, 24, 6), name="squeeze", activation="RELU")
    y, _ = conv(graph, y, (batch, 1, 1, 6, 24), name="excite", kernel=3)
    y = graph.op("LOGISTIC", [y], (batch, 1, 1, 24))
    y = graph.op("MUL", [x, y], shape)
    y, shape = conv(graph, y, (*shape, 5), name="last")
    graph.output(graph.op("MEAN", [y, axes], (batch, 5), options={"keep_dims": False}))
    assert check(graph, tmp_path, layout="nchw") == "7 call_tir"
    build = assay.compile(tmp_path / "model.tflite", layout="nchw")
    names = [call.symbol.rpartition("_")[0] for call in build.manifest.kernels]
    assert names.count("pointwise") == 1
    assert names.count("direct") == 1


@pytest.mark.parametrize("channels", [16, 5])
def test_the_first_convolution_reads_the_input_as_it_comes(tmp_path, channels):
    graph, x = start(h=13, w=11, c=3, n=2)
    widths = graph.constant("widths", np.array([[0, 0], [1, 2], [2, 0], [0, 0]], np.int32))
    x = graph.op("PAD", [x, widths], (2, 16, 13, 3))
    y, _ = conv(graph, x, (2, 16, 13, 3, channels), kernel=3, stride=2, activation="RELU6")
    axes = graph.constant("axes", np.array([1, 2], np.int32))
    graph.output(graph.op("MEAN", [y, axes], (2, channels), options={"keep_dims": False}))
    assert check(graph, tmp_path, layout="nchw") == "2 call_tir"


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
def test_factors_and_offsets_of_channels_are_one_kernel(tmp_path, layout):
    graph, x = start(c=3)
    image, shape = conv(graph, x, (1, 9, 7, 3, 16), name="first")
    scale, offset = graph.constant("scale", weights(16)), graph.constant("offset", weights(16))
    y = graph.op("MUL", [image, scale], shape)
    y = graph.op("ADD", [y, offset], shape, options={"activation": "RELU"})
    y, _ = conv(graph, y, (*shape, 16), kernel=3, name="second")
    y = graph.op("ADD", [y, image], shape)
    axes = graph.constant("axes", np.array([1, 2], np.int32))
    graph.output(graph.op("MEAN", [y, axes], (1, 16), options={"keep_dims": False}))
    assert check(graph, tmp_path, layout=layout) == "4 call_tir"


def test_a_chain_takes_operands_that_spread_in_any_way(tmp_path):
    graph, x = start(n=2)
    y = graph.op("SUB", [x, graph.input("other", (2, 9, 7, 5))], (2, 9, 7, 5))
    shapes = ((7, 1), (2, 9, 1, 1), (1, 5), (2, 1, 7, 5), (9, 7, 5))
    for index, shape in enumerate(shapes):
        operand = graph.input(f"o{index}", shape)
        y = graph.op(("MUL", "ADD")[index % 2], [operand, y], (2, 9, 7, 5))
    graph.output(graph.op("TANH", [y], (2, 9, 7, 5)))
    assert check(graph, tmp_path) == "1 call_tir"


def test_softmax_of_channels_is_a_kernel_in_nchw(tmp_path):
    graph, x = start(c=3)
    y, shape = conv(graph, x, (1, 9, 7, 3, 21))
    graph.output(graph.op("SOFTMAX", [y], shape))
    assert check(graph, tmp_path, layout="nchw") == "3 call_tir"  # and the transpose of the output
