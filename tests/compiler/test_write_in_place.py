"""Concatenation without a copy: which kernels write in place, and that no bit changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import assay
from assay.compiler import build as build_module
from assay.compiler import pipeline
from assay.runtimes.litert import open_litert
from assay.runtimes.tvm import open_build
from tests.builder import GraphBuilder, per_tensor

RNG = np.random.default_rng(5)


def copying_form(path, **choices):
    """Compile a network without the pass."""
    with pytest.MonkeyPatch.context() as patch:
        plain = tuple(step for step in pipeline.BINDING if step.name != "WriteInPlace")
        patch.setattr(build_module, "BINDING", plain)
        return assay.compile(path, **choices)


class Net:
    """A graph of convolutions and concatenations; tensors are known with their shapes."""

    def __init__(self):
        self.graph, self.shapes = GraphBuilder(), {}

    def input(self, *shape):
        return self._known(self.graph.input(f"x{len(self.graph.inputs)}", shape), shape)

    def constant(self, *shape):
        value = RNG.normal(size=shape).astype(np.float32)
        return self._known(self.graph.constant(f"c{len(self.graph.tensors)}", value), shape)

    def conv(self, x, channels, kernel=1, seed=None):
        rng = np.random.default_rng(seed) if seed is not None else RNG
        shape = (*self.shapes[x][:3], channels)
        sizes = ((channels, kernel, kernel, self.shapes[x][3]), (channels,))
        name = f"w{len(self.graph.tensors)}"
        weights = [
            self.graph.constant(f"{name}{i}", rng.normal(0, 0.3, size).astype(np.float32))
            for i, size in enumerate(sizes)
        ]
        return self._op("CONV_2D", [x, *weights], shape)

    def pool(self, x):
        options = {"filter_h": 3, "filter_w": 3, "padding": "SAME"}
        return self._op("MAX_POOL_2D", [x], self.shapes[x], **options)

    def tanh(self, x):
        return self._op("TANH", [x], self.shapes[x])

    def reshape(self, x, *shape):
        constant = self.graph.constant(f"s{len(self.graph.tensors)}", np.array(shape, np.int32))
        return self._op("RESHAPE", [x, constant], shape, new_shape=shape)

    def concat(self, *parts, axis=-1):
        sizes = [self.shapes[part] for part in parts]
        axis %= len(sizes[0])
        total = sum(size[axis] for size in sizes)
        shape = (*sizes[0][:axis], total, *sizes[0][axis + 1 :])
        return self._op("CONCATENATION", parts, shape, axis=axis)

    def _op(self, name, inputs, shape, **options):
        return self._known(self.graph.op(name, list(inputs), shape, options=options), shape)

    def _known(self, index, shape):
        self.shapes[index] = tuple(shape)
        return index

    def check(self, folder, *outputs, copies=None, threads=1, **choices):
        """Compare with the copying form and the virtual machine bit by bit, and with LiteRT.

        ``copies`` is how many kernels still move elements.
        """
        self.graph.output(*outputs)
        path = folder / "net.tflite"
        path.write_bytes(self.graph.build())
        build, copying = assay.compile(path, **choices), copying_form(path, **choices)
        ours, copied = open_build(build, threads), open_build(copying, threads)
        assert ours.ahead_of_time
        machine, reference = open_build(build, entry="vm"), open_litert(path, reference=True)
        for _ in range(2):  # what the first inference left behind must not matter to the next
            x = [RNG.normal(size=s.shape).astype(np.float32) for s in ours.inputs]
            results = [r(*x) for r in (ours, copied, machine, reference)]
            if len(outputs) == 1:
                results = [(result,) for result in results]
            for one, two, three, wanted in zip(*results, strict=True):
                np.testing.assert_array_equal(one, two)
                np.testing.assert_array_equal(one, three)
                np.testing.assert_allclose(one, wanted, rtol=0, atol=1e-4 * np.ptp(wanted))
        kernels = build.manifest.kernels
        moves = [call for call in kernels if call.symbol.startswith("move")]
        assert copies is None or len(moves) == copies, [call.symbol for call in kernels]
        assert {layer.operator for call in kernels for layer in call.layers} == {
            layer.operator for call in copying.manifest.kernels for layer in call.layers
        }
        return build


@pytest.mark.parametrize("batch", [1, 2])
def test_each_writes_its_channels(tmp_path, batch):
    net = Net()
    x = net.input(batch, 5, 7, 6)
    parts = net.conv(x, 20), net.conv(x, 9, 3), net.pool(net.conv(x, 1)), net.tanh(net.pool(x))
    build = net.check(tmp_path, net.conv(net.concat(*parts), 3), copies=0)
    pixels = batch * 5 * 7
    written = [call.written_bytes // 4 // pixels for call in build.manifest.kernels]
    assert written == [20, 9, 1, 1, 6, 3]


def test_what_else_needs_an_operand_reads_a_copy_of_its_own(tmp_path):
    net = Net()
    x = net.input(1, 4, 6, 5)
    a, b, c = (net.conv(x, channels) for channels in (7, 8, 3))
    twice, shown = net.concat(a, b, a), net.concat(b, c)
    net.check(tmp_path, net.conv(twice, 4), shown, c, copies=2)


def test_only_what_cannot_be_written_in_place_is_copied(tmp_path):
    net = Net()
    x = net.input(1, 4, 6, 5)
    parts = [net.constant(1, 4, 6, 2), net.conv(x, 17), x, net.conv(x, 13, 3)]
    build = net.check(tmp_path, net.concat(*parts), copies=1)
    (move,) = (call for call in build.manifest.kernels if call.symbol.startswith("move"))
    assert move.written_bytes == 4 * 4 * 6 * (2 + 5)


def test_all_is_copied_if_half_is_left(tmp_path):
    net = Net()
    x = net.input(1, 4, 6, 8)
    build = net.check(tmp_path, net.concat(x, net.conv(x, 8)), copies=1)
    assert build.manifest.kernels[-1].input_shapes == ((1, 4, 6, 8), (1, 4, 6, 8))


def test_a_concatenation_of_concatenations(tmp_path):
    net = Net()
    x = net.input(1, 4, 6, 5)
    inner = net.concat(net.conv(x, 17), net.conv(x, 2))
    grown = net.concat(inner, net.conv(net.tanh(inner), 4, 3))  # as DenseNet grows
    once = net.concat(net.concat(net.conv(x, 6), net.conv(x, 8)), grown)
    net.check(tmp_path, net.conv(once, 5), grown, copies=2)


@pytest.mark.parametrize(("batch", "copies"), [(1, 0), (2, 1)])
def test_images_below_each_other(tmp_path, batch, copies):
    net = Net()
    x, y = net.input(batch, 3, 5, 4), net.input(batch, 2, 5, 4)
    net.check(tmp_path, net.concat(net.conv(x, 7, 3), net.conv(y, 7), axis=1), copies=copies)


def test_a_single_channel(tmp_path):
    net = Net()
    x = net.input(1, 3, 4, 1)
    net.check(tmp_path, net.concat(net.tanh(x), net.conv(x, 1, 3), net.pool(x)), copies=1)


def test_images_of_a_batch(tmp_path):
    net = Net()
    x, y = net.input(1, 3, 5, 4), net.input(2, 3, 5, 4)
    net.check(tmp_path, net.concat(net.conv(x, 7, 3), net.conv(y, 7), axis=0), copies=0)


def test_boxes_of_several_heads(tmp_path):
    net = Net()
    heads = [
        net.reshape(net.conv(net.input(1, size, size, 5), 12), 1, size * size * 3, 4)
        for size in (5, 3, 1)
    ]
    net.check(tmp_path, net.concat(*heads, axis=1), copies=0)


def test_equal_kernels_write_into_different_tensors(tmp_path):
    net = Net()
    x, y = net.input(1, 4, 6, 5), net.input(1, 4, 6, 5)
    pairs = [net.concat(net.conv(x, 8, seed=1), net.conv(each, 8, 3, seed=2)) for each in (x, y)]
    net.check(tmp_path, *pairs)


@pytest.mark.parametrize("opt_level", [3, 4])
@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
def test_large_images_on_two_threads(tmp_path, layout, opt_level):
    net = Net()
    x = net.input(1, 48, 40, 16)
    parts = net.conv(x, 33, 3), net.pool(net.conv(x, 8)), net.conv(x, 24)
    y = net.conv(net.concat(*parts), 8)
    net.check(tmp_path, y, copies=0, threads=2, layout=layout, opt_level=opt_level)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_bytes_of_equal_scale(tmp_path, dtype):
    graph, middle = GraphBuilder(), 0 if dtype == "int8" else 128
    alike, other = per_tensor(0.05, middle + 3), per_tensor(0.02, middle - 9)

    def conv(x, channels, kernel, quantization, act="NONE"):
        name, in_c = f"w{len(graph.tensors)}", 6
        filter_ = graph.constant(
            name,
            RNG.integers(-127, 128, (channels, kernel, kernel, in_c)).astype(np.int8),
            per_tensor(0.01, 0),
        )
        bias = graph.constant(
            f"{name}b", RNG.integers(-99, 99, channels).astype(np.int32), per_tensor(0.0005, 0)
        )
        options = {"activation": act}
        shape = (1, 5, 7, channels)
        return graph.op("CONV_2D", [x, filter_, bias], shape, dtype, quantization, options=options)

    x = graph.input("x", (1, 5, 7, 6), dtype, alike)
    far = graph.op("QUANTIZE", [conv(x, 9, 1, other)], (1, 5, 7, 9), dtype, alike)
    parts = [conv(x, 33, 3, alike, "RELU"), x, conv(x, 5, 1, alike), far]
    whole = graph.op("CONCATENATION", parts, (1, 5, 7, 53), dtype, alike, options={"axis": 3})
    kernels = check_bytes(graph, tmp_path, whole)
    (left,) = (call for call in kernels if call.symbol.startswith("int8_concat"))
    assert left.written_bytes == 5 * 7 * (6 + 9)
    assert sum("CONV_2D" in [layer.op for layer in call.layers] for call in kernels) == 3


def check_bytes(graph, folder, *outputs):
    """Compare with the copying form and the virtual machine; return the calls of kernels."""
    graph.output(*outputs)
    path = folder / "net.tflite"
    path.write_bytes(graph.build())
    build, copying = assay.compile(path), copying_form(path)
    runtimes = open_build(build), open_build(copying), open_build(build, entry="vm")
    x = [RNG.integers(-128, 128, s.shape).astype(s.dtype) for s in runtimes[0].inputs]
    ours, copied, machine = (runtime(*x) for runtime in runtimes)
    np.testing.assert_array_equal(ours, copied)
    np.testing.assert_array_equal(ours, machine)
    return build.manifest.kernels


@settings(max_examples=8, deadline=None)
@given(st.data())
def test_random_networks(tmp_path_factory, data):
    net = Net()
    values = [net.input(data.draw(st.integers(1, 2)), 3, 4, data.draw(st.integers(1, 5)))]
    for _ in range(data.draw(st.integers(3, 7))):
        x = data.draw(st.sampled_from(values))
        match data.draw(st.sampled_from(["conv", "pool", "tanh", "concat"])):
            case "conv":
                y = net.conv(x, data.draw(st.integers(1, 19)), data.draw(st.sampled_from([1, 3])))
            case "pool":
                y = net.pool(x)
            case "tanh":
                y = net.tanh(x)
            case "concat":
                y = net.concat(x, data.draw(st.sampled_from(values)))
        values.append(y)
    net.check(tmp_path_factory.mktemp("net"), net.concat(*values[-2:]), values[-1])
