"""Convolutions in NCHW."""

from hypothesis import strategies as st

from assay.compiler.kernels.epilogue import Epilogue, bias, clip, gate, residual, unary
from assay.compiler.kernels.problem import Conv2d
from tests.compiler.kernels.harness import TARGETS


def on_host_and_another(cases):
    """Pair each case with the host's own target, and with one of the others in turn."""
    others = TARGETS[:-1] or TARGETS
    return [
        (text, name)
        for index, name in enumerate(cases)
        for text in (TARGETS[-1], others[index % len(others)])
    ]


SHORT = Epilogue((bias(), residual(), clip(-1.0, 1.0)))
LONG = Epilogue((bias(), gate(), unary("swish")))


def convolution(image, channels, window, *, stride=(1, 1), dilation=(1, 1), pad=None, **fields):
    """A convolution from [height, width] and (in, out) channels; padded as TFLite's SAME."""
    sizes = []
    for size, kernel, step, spread, index in zip(
        image, window, stride, dilation, (0, 1), strict=True
    ):
        reach = (kernel - 1) * spread
        if pad is None:
            out = -(-size // step)
            before = max(0, (out - 1) * step + reach + 1 - size) // 2
        else:
            before = pad[index]
            out = (size + 2 * before - reach - 1) // step + 1
        sizes.append((out, before))
    (out_h, top), (out_w, left) = sizes
    return Conv2d(
        fields.pop("batch", 1), *image, channels[0], out_h, out_w, channels[1], *window, *stride,
        top, left, *dilation, layout="NCHW", **{"epilogue": SHORT, **fields},
    )  # fmt: skip


def depthwise(image, channels, window, *, multiplier=1, **fields):
    """A depthwise convolution."""
    pair = (channels, channels * multiplier)
    return convolution(image, pair, window, groups=channels, **fields)


@st.composite
def any_geometry(draw):
    """A small convolution, and for how many threads."""

    def between(low, high):
        return draw(st.integers(low, high))

    groups = between(1, 2)
    problem = convolution(
        (between(1, 19), between(1, 35)),
        (groups * between(1, 5), groups * between(1, 9)),
        (between(1, 4), between(1, 4)),
        stride=(between(1, 3), between(1, 3)),
        dilation=(between(1, 3), between(1, 3)),
        batch=between(1, 2),
        groups=groups,
        epilogue=draw(st.sampled_from([SHORT, LONG])),
    )
    return problem, between(1, 2)
