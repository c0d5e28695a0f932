"""Operators that only move elements: chains of them become one kernel and lose no bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import assay
from assay.runtimes.litert import open_litert
from assay.runtimes.tvm import open_build
from tests.builder import GraphBuilder, per_tensor

RNG = np.random.default_rng(3)


class Moves:
    """A graph of operators that move elements of one type."""

    def __init__(self, dtype="float32"):
        self.graph, self.dtype = GraphBuilder(), dtype
        self.quantization = per_tensor(0.1, 3) if dtype in ("int8", "uint8") else None
        self.shapes = {}

    def input(self, *shape):
        name = f"x{len(self.graph.inputs)}"
        return self._known(self.graph.input(name, shape, self.dtype, self.quantization), shape)

    def reshape(self, x, *shape):
        return self._op("RESHAPE", x, shape, shape, new_shape=shape)

    def transpose(self, x, *axes):
        return self._op("TRANSPOSE", x, axes, tuple(self.shapes[x][a] for a in axes))

    def pad(self, x, *widths):
        shape = tuple(n + sum(w) for n, w in zip(self.shapes[x], widths, strict=True))
        return self._op("PAD", x, widths, shape)

    def slice(self, x, *ranges):
        taken = [range(n)[r] for n, r in zip(self.shapes[x], ranges, strict=True)]
        bounds = [[getattr(t, name) for t in taken] for name in ("start", "stop", "step")]
        constants = [self._constant(each) for each in bounds]
        shape = tuple(map(len, taken))
        return self._known(self._add("STRIDED_SLICE", [x, *constants], shape), shape)

    def concat(self, axis, *parts):
        sizes = [self.shapes[part] for part in parts]
        axis %= len(sizes[0])
        total = sum(size[axis] for size in sizes)
        shape = (*sizes[0][:axis], total, *sizes[0][axis + 1 :])
        return self._known(self._add("CONCATENATION", parts, shape, axis=axis), shape)

    def check(self, folder, *outputs, kernels=None):
        """Compile, compare with LiteRT bit by bit, and count the kernels that are called."""
        self.graph.output(*outputs)
        path = folder / "net.tflite"
        path.write_bytes(self.graph.build())
        build = assay.compile(path, layout="nhwc")
        ours, reference = open_build(build), open_litert(path, reference=True)
        x = [_random(s.shape, self.dtype) for s in ours.inputs]
        got, wanted = ours(*x), reference(*x)
        for one, other in zip(
            *([r] if len(outputs) == 1 else r for r in (got, wanted)), strict=True
        ):
            np.testing.assert_array_equal(one, other)
        names = [call.symbol for call in build.manifest.kernels]
        assert kernels is None or [name.rpartition("_")[0] for name in names] == kernels, names

    def _op(self, name, x, values, shape, **options):
        return self._known(self._add(name, [x, self._constant(values)], shape, **options), shape)

    def _add(self, name, inputs, shape, **options):
        inputs = list(inputs)
        return self.graph.op(name, inputs, shape, self.dtype, self.quantization, options=options)

    def _constant(self, values):
        name = f"c{len(self.graph.tensors)}"
        return self.graph.constant(name, np.array(values, np.int32))

    def _known(self, index, shape):
        self.shapes[index] = tuple(shape)
        return index


def _random(shape, dtype):
    if dtype == "float32":
        return RNG.normal(size=shape).astype(np.float32)
    limits = np.iinfo(dtype)
    return RNG.integers(limits.min, limits.max, shape, dtype, endpoint=True)


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8"])
def test_channels_that_are_split_concatenated_and_shuffled(tmp_path, dtype):
    net = Moves(dtype)
    left, right = net.input(1, 3, 5, 22), net.input(1, 3, 5, 11)
    half = net.slice(left, np.s_[:], np.s_[:], np.s_[:], np.s_[11:])
    both = net.reshape(net.concat(-1, half, right), 1, 3, 5, 2, 11)
    shuffled = net.transpose(both, 0, 1, 2, 4, 3)
    net.check(tmp_path, net.reshape(shuffled, 1, 3, 5, 22))


def test_a_chain_is_one_kernel(tmp_path):
    net = Moves()
    x, y = net.input(2, 3, 4, 5), net.input(2, 3, 4, 5)
    moved = net.transpose(net.reshape(net.concat(2, x, y), 2, 3, 2, 4, 5), 3, 0, 2, 1, 4)
    part = net.slice(moved, np.s_[1:4:2], np.s_[:], np.s_[1:], np.s_[:], np.s_[:4])
    net.check(tmp_path, net.pad(part, (1, 0), (0, 0), (0, 2), (0, 0), (3, 1)), kernels=["move"])


def test_every_second_pixel(tmp_path):
    net = Moves()
    x = net.input(1, 7, 9, 3)
    parts = [
        net.slice(x, np.s_[:], np.s_[a : a + 6 : 2], np.s_[b : b + 8 : 2], np.s_[:])
        for b in (0, 1)
        for a in (0, 1)
    ]
    net.check(tmp_path, net.concat(-1, *parts), kernels=["move"])


@pytest.mark.parametrize("shape", [(1, 1, 70, 3), (1, 40, 33, 16), (1, 3, 200)])
def test_padding_is_around_the_image_and_nowhere_else(tmp_path, shape):
    net = Moves()
    widths = [(0, 0), *((axis, 2) for axis in range(1, len(shape)))]
    net.check(tmp_path, net.pad(net.input(*shape), *widths), kernels=["move"])


def test_what_others_need_stays(tmp_path):
    net = Moves()
    x = net.input(1, 4, 6, 5)
    turned = net.transpose(x, 0, 2, 1, 3)
    net.check(tmp_path, turned, net.concat(-1, turned, turned), kernels=["transpose", "move"])


def test_a_transpose_of_what_lies_across_axes(tmp_path):
    net = Moves()
    x = net.reshape(net.transpose(net.input(4, 6), 1, 0), 3, 8)
    net.check(tmp_path, net.transpose(x, 1, 0))


def test_large_tensors_are_shared_among_threads(tmp_path):
    net = Moves()
    x, y = net.input(1, 90, 80, 32), net.input(1, 90, 80, 16)
    net.check(tmp_path, net.concat(-1, x, y), kernels=["move"])


def test_a_part_that_lies_across_rows_is_not_taken_for_one_beside_them(tmp_path):
    net = Moves()
    parts = [net.transpose(net.input(1, 1, 4), 0, 1, 2) for _ in range(3)]
    rows = net.reshape(net.concat(0, *parts), 1, 4, 3)  # the third part begins in the third row
    net.check(tmp_path, net.slice(rows, slice(None), slice(3, None), slice(None)))


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_random_chains(tmp_path_factory, data):
    net = Moves(data.draw(st.sampled_from(["float32", "int8"])))
    sizes = st.integers(1, 5)
    x = net.input(*(data.draw(sizes) for _ in range(data.draw(st.integers(2, 4)))))
    for _ in range(data.draw(st.integers(2, 4))):
        shape = net.shapes[x]
        rank = len(shape)
        match data.draw(st.sampled_from(["transpose", "slice", "pad", "concat", "reshape"])):
            case "transpose":
                x = net.transpose(x, *data.draw(st.permutations(range(rank))))
            case "slice":
                begins = [data.draw(st.integers(0, n - 1)) for n in shape]
                steps = [data.draw(st.integers(1, 2)) for _ in shape]
                x = net.slice(x, *(slice(b, None, s) for b, s in zip(begins, steps, strict=True)))
            case "pad":
                x = net.pad(x, *((data.draw(st.integers(0, 2)), 0) for _ in shape))
            case "concat":
                axis = data.draw(st.integers(0, rank - 1))
                x = net.concat(axis, x, net.input(*shape), x)
            case "reshape":
                x = net.reshape(x, *(shape[1:] + shape[:1] if rank > 1 else shape))
    net.check(tmp_path_factory.mktemp("chain"), x)
