"""Padding in front of convolutions and pooling, which kernels do as they read.

No bit changes, but that sums of products of FP32 may be in another order.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import assay
from assay.compiler.passes.quantized import linear
from assay.compiler.passes.readers import convolution, pool
from assay.runtimes.litert import open_litert
from assay.runtimes.tvm import open_build
from tests.builder import GraphBuilder, per_tensor

RNG = np.random.default_rng(7)
ZERO = {"float32": 0, "int8": -11, "uint8": 130}
LOWEST = {"float32": -np.inf, "int8": -128, "uint8": 0}
WINDOWED = ("CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D", "AVERAGE_POOL_2D")


def padded_form(path, **choices):
    """Compile a network with padding as a kernel of its own."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (linear, convolution, pool):
            patch.setattr(module, "read_padding", lambda *_: None)
        return assay.compile(path, **choices)


class Net:
    """A graph of one type; quantized tensors have one scale and zero point."""

    def __init__(self, dtype):
        self.graph, self.dtype, self.shapes = GraphBuilder(), dtype, {}
        self.rounding = 0.0
        self.quantization = None if dtype == "float32" else per_tensor(0.05, ZERO[dtype])

    def input(self, *shape):
        index = self.graph.input("x", shape, self.dtype, self.quantization)
        return self._known(index, shape)

    def image(self, *shape, layout="nhwc"):
        """An input of the network; in NCHW that has a transpose, and only a layer after it none."""
        x = self.input(*shape)
        return x if layout == "nhwc" else self.window("CONV_2D", x, (1, 1), channels=shape[-1])

    def pad(self, x, *widths, value=None):
        """PADV2 with a value, PAD without."""
        shape = tuple(n + sum(w) for n, w in zip(self.shapes[x], widths, strict=True))
        inputs = [x, self._constant(np.array(widths, np.int32))]
        if value is not None:
            array = np.array([value], self.dtype)
            inputs.append(self._constant(array, self.quantization))
        return self._op("PAD" if value is None else "PADV2", inputs, shape)

    def reshape(self, x, *shape):
        inputs = [x, self._constant(np.array(shape, np.int32))]
        return self._op("RESHAPE", inputs, shape, new_shape=shape)

    def window(self, kind, x, kernel, stride=(1, 1), dilation=(1, 1), channels=6, **options):
        n, *image, c = self.shapes[x]
        channels = channels if kind == "CONV_2D" else c
        reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
        sizes = [
            -(-size // step) if options.get("padding") == "SAME" else (size - r) // step + 1
            for size, r, step in zip(image, reach, stride, strict=True)
        ]
        options = {"padding": "VALID", "stride_h": stride[0], "stride_w": stride[1], **options}
        if kind.endswith("POOL_2D"):
            filters, options = [], {"filter_h": kernel[0], "filter_w": kernel[1], **options}
        else:
            options |= {"dilation_h": dilation[0], "dilation_w": dilation[1]}
            shape = (channels, *kernel, c) if kind == "CONV_2D" else (1, *kernel, c)
            filters = self._weights(shape, channels)
        return self._op(kind, [x, *filters], (n, *sizes, channels), **options)

    def _weights(self, shape, channels):
        if self.dtype == "float32":
            self.rounding = 1e-5
            values = [RNG.normal(0, 0.3, size).astype(np.float32) for size in (shape, (channels,))]
            return [self._constant(value) for value in values]
        limits = np.iinfo(self.dtype)
        filters = RNG.integers(limits.min + 1, limits.max, shape, self.dtype)
        bias = RNG.integers(-99, 99, channels).astype(np.int32)
        zero = 0 if self.dtype == "int8" else 128
        weights = self._constant(filters, per_tensor(0.01, zero))
        return [weights, self._constant(bias, per_tensor(0.0005, 0))]

    def _op(self, name, inputs, shape, **options):
        index = self.graph.op(name, inputs, shape, self.dtype, self.quantization, options=options)
        return self._known(index, shape)

    def _constant(self, array, quantization=None):
        return self.graph.constant(f"c{len(self.graph.tensors)}", array, quantization)

    def _known(self, index, shape):
        self.shapes[index] = tuple(shape)
        return index

    def check(self, folder, *outputs, pads, tolerance=1, **choices):
        """Compare with padding as a kernel of its own, and with LiteRT.

        ``pads`` is how many kernels still do nothing but pad, ``tolerance`` how many steps of
        their scale quantized results may differ by from LiteRT's.
        """
        self.graph.output(*outputs)
        path = folder / "net.tflite"
        path.write_bytes(self.graph.build())
        build = assay.compile(path, **choices)
        runs = open_build(build), open_build(padded_form(path, **choices))
        x = [self._random(s.shape) for s in runs[0].inputs]
        results = [run(*x) for run in (*runs, open_litert(path, reference=True))]
        if len(outputs) == 1:
            results = [(result,) for result in results]
        for ours, padded, wanted in zip(*results, strict=True):
            np.testing.assert_allclose(ours, padded, rtol=0, atol=self.rounding)
            if self.dtype == "float32":
                np.testing.assert_allclose(ours, wanted, rtol=1e-4, atol=1e-4)
            else:
                difference = ours.astype(int) - wanted.astype(int)
                assert abs(difference).max() <= tolerance
        alone = [
            call
            for call in build.manifest.kernels
            if {layer.op for layer in call.layers} & {"PAD", "PADV2"}
            and not {layer.op for layer in call.layers} & {*WINDOWED}
        ]
        assert pads is None or len(alone) == pads, [call.symbol for call in build.manifest.kernels]
        return build

    def _random(self, shape):
        if self.dtype == "float32":
            return RNG.normal(size=shape).astype(np.float32)
        limits = np.iinfo(self.dtype)
        return RNG.integers(limits.min, limits.max, shape, self.dtype, endpoint=True)


SIDES = [(0, 0), (0, 1), (2, 1), (0, 0)]


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
@pytest.mark.parametrize("dtype", ZERO)
@pytest.mark.parametrize("kind", ["CONV_2D", "DEPTHWISE_CONV_2D"])
def test_a_convolution_pads_with_zeros(tmp_path, kind, dtype, layout):
    net = Net(dtype)
    x = net.pad(net.image(2, 6, 7, 5, layout=layout), *SIDES)
    y = net.window(kind, x, (3, 3), (2, 2))
    net.check(tmp_path, y, pads=0, tolerance=2, layout=layout)


@pytest.mark.parametrize("dtype", ZERO)
@pytest.mark.parametrize("value", [2, 0, None])
def test_a_convolution_pads_with_nothing_else(tmp_path, dtype, value):
    net = Net(dtype)
    x = net.pad(net.input(1, 6, 7, 5), *SIDES, value=value)
    stays = value is not None and value != ZERO[dtype]
    net.check(tmp_path, net.window("CONV_2D", x, (3, 3)), pads=stays)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_around_same_padding(tmp_path, dtype):
    net = Net(dtype)
    x = net.pad(net.input(1, 6, 7, 5), *SIDES)
    net.check(tmp_path, net.window("CONV_2D", x, (3, 3), padding="SAME"), pads=0)


@pytest.mark.parametrize("value", [None, 3, "lowest"])
@pytest.mark.parametrize("dtype", ZERO)
@pytest.mark.parametrize("kind", ["MAX_POOL_2D", "AVERAGE_POOL_2D"])
def test_pooling_pads(tmp_path, kind, dtype, value):
    if kind == "AVERAGE_POOL_2D" and (dtype, value) == ("float32", "lowest"):
        pytest.skip("a mean of infinity")
    net = Net(dtype)
    value = LOWEST[dtype] if value == "lowest" else value
    x = net.pad(net.input(2, 6, 7, 35), (0, 0), (3, 1), (1, 2), (0, 0), value=value)
    stays = (kind, dtype, value) == ("AVERAGE_POOL_2D", "float32", 3)
    net.check(tmp_path, net.window(kind, x, (3, 2), (2, 1)), pads=stays, layout="nhwc")


@pytest.mark.parametrize("kind", ["MAX_POOL_2D", "AVERAGE_POOL_2D"])
def test_pooling_in_nchw_pads(tmp_path, kind):
    net = Net("float32")
    x = net.pad(net.image(1, 6, 7, 3, layout="nchw"), (0, 0), (3, 1), (1, 2), (0, 0))
    net.check(tmp_path, net.window(kind, x, (3, 2), (2, 1)), pads=0, layout="nchw")


def test_pooling_with_padding_that_takes_no_part(tmp_path):
    net = Net("float32")
    x = net.pad(net.input(1, 6, 7, 5), *SIDES)
    y = net.window("AVERAGE_POOL_2D", x, (3, 3), padding="SAME")
    net.check(tmp_path, y, pads=1, layout="nhwc")


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_a_sound_with_an_axis_of_its_own(tmp_path, dtype):
    net = Net(dtype)
    x = net.pad(net.input(1, 30, 8), (0, 0), (8, 0), (0, 0))
    y = net.window("CONV_2D", net.reshape(x, 1, 1, 38, 8), (1, 3), dilation=(1, 4))
    net.check(tmp_path, y, pads=0)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_padding_that_changes_rows(tmp_path, dtype):
    net = Net(dtype)
    x = net.pad(net.input(1, 6, 5, 4), (0, 0), (1, 1), (0, 1), (0, 0))
    net.check(tmp_path, net.window("CONV_2D", net.reshape(x, 1, 6, 8, 4), (3, 3)), pads=1)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_padded_channels(tmp_path, dtype):
    net = Net(dtype)
    x = net.pad(net.input(1, 6, 5, 4), (0, 0), (1, 1), (0, 1), (0, 3))
    net.check(tmp_path, net.window("CONV_2D", x, (3, 3)), pads=1)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_an_image_that_others_need_padded(tmp_path, dtype):
    net = Net(dtype)
    x = net.pad(net.input(1, 6, 5, 4), *SIDES)
    wide, narrow = net.window("CONV_2D", x, (3, 3)), net.window("CONV_2D", x, (1, 1))
    net.check(tmp_path, wide, narrow, x, pads=1)


@pytest.mark.parametrize("fuses", [True, False])
def test_two_layers_in_one_pass_with_padding_between(tmp_path, fuses):
    """Not if something else reads the image between them."""
    net = Net("float32")
    x = net.window("CONV_2D", net.input(1, 64, 64, 16), (1, 1), channels=96)
    y = net.window("DEPTHWISE_CONV_2D", net.pad(x, *SIDES), (3, 3), (2, 2))
    build = net.check(tmp_path, y, *([] if fuses else [x]), pads=0, opt_level=4, layout="nhwc")
    fused = [c for c in build.manifest.kernels if c.symbol.startswith("expand_depthwise")]
    assert len(fused) == fuses


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_random_windows(tmp_path_factory, data):
    def draw(*bounds):
        return data.draw(st.tuples(*[st.integers(*bounds)] * 2))

    dtype, kind = (data.draw(st.sampled_from(each)) for each in (tuple(ZERO), WINDOWED))
    pooling = kind.endswith("POOL_2D")
    net, kernel = Net(dtype), draw(1, 4)
    dilation = (1, 1) if pooling else draw(1, 2)
    image = [data.draw(st.integers(2 * k - 1, 9)) for k in kernel]
    batch, channels = data.draw(st.integers(1, 2)), data.draw(st.integers(1, 20))
    sides = [(0, 0), draw(0, 4), draw(0, 4), (0, 0)]
    values = st.sampled_from([None, ZERO[dtype], 5])
    layout = data.draw(st.sampled_from(["nhwc", "nchw"]))
    x = net.image(batch, *image, channels, layout=layout)
    x = net.pad(x, *sides, value=data.draw(values))
    y = net.window(kind, x, kernel, draw(1, 3), dilation, data.draw(st.integers(1, 20)))
    folder = tmp_path_factory.mktemp("net")
    tolerance = 1 if layout == "nhwc" else 255  # of two layers, the second takes differences along
    net.check(folder, y, pads=None, tolerance=tolerance, layout=layout)
