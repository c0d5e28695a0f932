"""What works on images passes NCHW on: between convolutions no transpose is left, results stay."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import assay
from assay.compiler import tvm_api
from assay.compiler.passes.chained_moves import chained
from assay.runtimes.litert import open_litert
from assay.runtimes.tvm import open_build
from benchmarks.architectures.__main__ import files
from tests.builder import GraphBuilder
from tests.compiler.test_bind_kernels import conv
from tests.compiler.test_integer_operators import graph_calls

RNG = np.random.default_rng(13)
SHAPE = (2, 6, 8, 12)


class Between:
    """A network with an operator between two convolutions; its result has no pixels."""

    def __init__(self) -> None:
        self.graph = GraphBuilder()
        x = self.graph.input("x", (2, 6, 8, 5))
        self.image, _ = conv(self.graph, x, (2, 6, 8, 5, 12), kernel=3, name="first")

    def op(self, name, inputs, shape=SHAPE, **options):
        return self.graph.op(name, inputs, shape, options=options)

    def ints(self, values):
        return self.graph.constant(f"i{len(self.graph.tensors)}", np.array(values, np.int32))

    def floats(self, *shape):
        values = RNG.uniform(0.5, 1.5, shape).astype(np.float32)
        return self.graph.constant(f"f{len(self.graph.tensors)}", values)

    def moved(self, x, *steps):
        """Reshape and transpose: a tuple is a shape, a list are axes."""
        shape = SHAPE
        for step in steps:
            shape = tuple(shape[axis] for axis in step) if isinstance(step, list) else step
            name = "TRANSPOSE" if isinstance(step, list) else "RESHAPE"
            x = self.op(name, [x, self.ints(step)], shape)
        return x

    def mean(self, x, *shape):
        return self.op("MEAN", [x, self.ints([3])], shape, keep_dims=True)

    def written(self, path, found):
        shape, x = found
        last, _ = conv(self.graph, x, (*shape, 7), name="last")
        axes = self.ints([1, 2])
        self.graph.output(self.op("MEAN", [last, axes], (shape[0], 7), keep_dims=False))
        path.write_bytes(self.graph.build())
        return path


def normalized(n):
    """Layer normalization over channels, as converters write it."""
    one = (*SHAPE[:3], 1)
    mean = n.mean(n.image, *one)
    apart = n.op("SQUARED_DIFFERENCE", [n.image, mean])
    scale = n.op("RSQRT", [n.op("ADD", [n.mean(apart, *one), n.floats(1)], one)], one)
    scale = n.op("MUL", [scale, n.floats(12)])
    shift = n.op("SUB", [n.floats(12), n.op("MUL", [mean, scale])])
    return SHAPE, n.op("ADD", [n.op("MUL", [n.image, scale]), shift])


def halves(n):
    """Split channels, turn the halves round, and shuffle the joined ones."""
    starts = ([0, 0, 0, 6], [0, 0, 0, 0])
    sizes, half = n.ints([-1, -1, -1, 6]), (*SHAPE[:3], 6)
    parts = [n.op("SLICE", [n.image, n.ints(start), sizes], half) for start in starts]
    joined = n.op("CONCATENATION", parts, axis=3)
    return SHAPE, n.moved(joined, (2, 6, 8, 2, 6), [0, 1, 2, 4, 3], SHAPE)


PADS = [[0, 0], [1, 2], [0, 3], [0, 0]]
PADDED = (2, 9, 11, 12)
CASES = {
    "layer normalization": (0, normalized),
    "halves of channels, shuffled": (1, halves),
    "PAD": (0, lambda n: (PADDED, n.op("PAD", [n.image, n.ints(PADS)], PADDED))),
    "PAD of channels": (
        0,
        lambda n: (
            (2, 6, 8, 15),
            n.op("PAD", [n.image, n.ints([[0, 0]] * 3 + [[2, 1]])], (2, 6, 8, 15)),
        ),
    ),
    "MIRROR_PAD": (
        0,
        lambda n: (PADDED, n.op("MIRROR_PAD", [n.image, n.ints(PADS)], PADDED, mode="REFLECT")),
    ),
    "STRIDED_SLICE": (
        0,
        lambda n: (
            (2, 3, 2, 4),
            n.op(
                "STRIDED_SLICE",
                [n.image, n.ints([0, 1, 2, 1]), n.ints([2, 6, 8, 12]), n.ints([1, 2, 3, 3])],
                (2, 3, 2, 4),
            ),
        ),
    ),
    "GATHER": (
        0,
        lambda n: (
            (2, 6, 8, 3),
            n.op("GATHER", [n.image, n.ints([7, 0, 7])], (2, 6, 8, 3), axis=3),
        ),
    ),
    "REVERSE_V2": (0, lambda n: (SHAPE, n.op("REVERSE_V2", [n.image, n.ints([2])]))),
    "TILE": (
        0,
        lambda n: ((2, 12, 8, 36), n.op("TILE", [n.image, n.ints([1, 2, 1, 3])], (2, 12, 8, 36))),
    ),
    "POW": (0, lambda n: (SHAPE, n.op("POW", [n.op("ABS", [n.image]), n.floats(12)]))),
    "DIV by a row": (0, lambda n: (SHAPE, n.op("DIV", [n.image, n.floats(8, 1)]))),
    "SUB from an image": (0, lambda n: (SHAPE, n.op("SUB", [n.floats(6, 8, 12), n.image]))),
    "SOFTMAX": (0, lambda n: (SHAPE, n.op("SOFTMAX", [n.image], beta=1.0))),
    "REDUCE_MAX": (
        0,
        lambda n: (
            SHAPE,
            n.op(
                "SUB",
                [
                    n.image,
                    n.op("REDUCE_MAX", [n.image, n.ints([-1])], (2, 6, 8, 1), keep_dims=True),
                ],
            ),
        ),
    ),
    "RESHAPE of rows": (0, lambda n: ((2, 3, 16, 12), n.moved(n.image, (2, 3, 16, 12)))),
    "RESHAPE there and back": (0, lambda n: (SHAPE, n.moved(n.image, (2, 48, 12), SHAPE))),
    "TRANSPOSE of rows": (1, lambda n: ((2, 8, 6, 12), n.moved(n.image, [0, 2, 1, 3]))),
    "two transposes": (1, lambda n: ((2, 8, 6, 12), n.moved(n.image, [0, 3, 1, 2], [0, 3, 2, 1]))),
    "DEPTH_TO_SPACE": (
        1,
        lambda n: (
            (2, 12, 16, 3),
            n.op("DEPTH_TO_SPACE", [n.image], (2, 12, 16, 3), block_size=2),
        ),
    ),
    "SPACE_TO_DEPTH": (
        1,
        lambda n: (
            (2, 3, 4, 48),
            n.op("SPACE_TO_DEPTH", [n.image], (2, 3, 4, 48), block_size=2),
        ),
    ),
    "SPACE_TO_BATCH_ND": (
        1,
        lambda n: (
            (12, 3, 3, 12),
            n.op(
                "SPACE_TO_BATCH_ND",
                [n.image, n.ints([2, 3]), n.ints([[0, 0], [1, 0]])],
                (12, 3, 3, 12),
            ),
        ),
    ),
}


def transposes(build):
    """Transposes that the build's log counts inside the network."""
    return sum(line.startswith("[layout] permute_dims inside") for line in build.log)


@pytest.mark.parametrize("name", CASES)
def test_nchw_passes_through(tmp_path, name):
    own, make = CASES[name]
    network = Between()
    path = network.written(tmp_path / "model.tflite", make(network))
    build = assay.compile(path, layout="nchw")
    assert transposes(build) == own
    x = RNG.normal(0, 2, (2, 6, 8, 5)).astype(np.float32)
    expected = open_litert(path, reference=True)(x)
    np.testing.assert_allclose(open_build(build)(x), expected, atol=1e-4 * np.ptp(expected), rtol=0)


@pytest.mark.parametrize("batch", [1, 3])
def test_a_dense_layer_of_an_image_takes_it_as_it_lies(tmp_path, batch):
    graph = GraphBuilder()
    x = graph.input("x", (batch, 6, 5, 3))
    image, _ = conv(graph, x, (batch, 6, 5, 3, 7), kernel=3)
    flat = graph.op(
        "RESHAPE", [image, graph.constant("flat", np.int32([batch, 210]))], (batch, 210)
    )
    weights = graph.constant("w", RNG.normal(0, 0.1, (9, 210)).astype(np.float32))
    graph.output(graph.op("FULLY_CONNECTED", [flat, weights, -1], (batch, 9)))
    path = tmp_path / "model.tflite"
    path.write_bytes(graph.build())
    build = assay.compile(path, layout="nchw")
    assert transposes(build) == 0
    x = RNG.normal(0, 2, (batch, 6, 5, 3)).astype(np.float32)
    expected = open_litert(path, reference=True)(x)
    np.testing.assert_allclose(open_build(build)(x), expected, atol=1e-4 * np.ptp(expected), rtol=0)


NETWORKS = ("convnext", "googlenet", "keyword_cnn", "shufflenet_v2", "super_resolution", "tcn")


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("name", NETWORKS)
def test_nchw_adds_the_transpose_of_the_input_to_a_networks_own(tmp_path, name, precision):
    make = files().get(f"{name}.{precision}.tflite")
    if make is None:
        pytest.skip("TFLite does not quantize it")
    path = tmp_path / "model.tflite"
    path.write_bytes(make())
    own, held = (
        sum(tvm_api.op_name(call) == "permute_dims" for call in graph_calls(path, layout))
        for layout in ("nhwc", "nchw")
    )
    assert held <= own + 1


@st.composite
def chains(draw):
    """A shape, and reshapes and transposes of a tensor of that shape, factors in any order."""
    factors = draw(st.lists(st.sampled_from([1, 2, 2, 3, 4]), max_size=6))

    def shape():
        cuts = sorted(draw(st.lists(st.integers(0, len(factors)), max_size=4)))
        order = draw(st.permutations(factors))
        ends = zip([0, *cuts], [*cuts, len(factors)], strict=True)
        return tuple(int(np.prod(order[start:end])) for start, end in ends)

    first = rank = shape()
    steps = []
    for _ in range(draw(st.integers(0, 5))):
        if draw(st.booleans()):
            rank = shape()
            steps.append(("reshape", rank))
        else:
            steps.append(("permute", tuple(draw(st.permutations(range(len(rank)))))))
            rank = tuple(rank[axis] for axis in steps[-1][1])
    return first, steps


@settings(max_examples=300, deadline=None)
@given(chains())
def test_a_chain_of_moves_is_one_move(chain):
    shape, steps = chain
    start = end = np.arange(np.prod(shape)).reshape(shape)
    for kind, numbers in steps:
        end = end.reshape(numbers) if kind == "reshape" else end.transpose(numbers)
    move = chained(shape, steps)
    if move is None:
        return
    moved = start.reshape(move.parts).transpose(move.order)
    np.testing.assert_array_equal(moved.reshape(move.shape), end)
    assert move.transposes == (start.ravel() != end.ravel()).any()


def test_parts_are_as_few_as_can_be():
    move = chained((1, 8, 6, 5), [("permute", (0, 2, 3, 1)), ("reshape", (1, 30, 8))])
    assert move is not None
    assert (move.parts, move.order, move.shape) == ((1, 8, 30), (0, 2, 1), (1, 30, 8))


def test_what_cuts_an_axis_between_parts_is_no_move():
    assert chained((2, 3), [("permute", (1, 0)), ("reshape", (2, 3)), ("permute", (1, 0))]) is None
