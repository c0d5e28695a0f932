"""Networks on sounds: one dimension, dilation, recurrence."""

from __future__ import annotations

from benchmarks.architectures.net import WIDE, Net, Value


def keyword_cnn(net: Net) -> None:
    """Keyword spotting (Sainath and Parada, Interspeech 2015): 98 frames of 40 features."""
    x = net.reshape(net.input(1, 3920), 1, 98, 40, 1)
    x = net.pool(net.conv(x, 64, (20, 8), act="RELU"), "MAX", 2, 2)
    x = net.pool(net.conv(x, 64, (10, 4), act="RELU"), "MAX", 2, 2)
    n, h, w, c = x.shape
    net.output(net.softmax(net.dense(net.dense(net.reshape(x, n, h * w * c), 128, "RELU"), 12)))


def tcn(net: Net) -> None:
    """Temporal convolutions (arXiv:1803.01271) on a sound: causal, dilated, one dimension."""
    x = net.input(1, 400, 40)
    x = net.reshape(x, 1, 1, 400, 40)
    x = net.conv(x, 64, (1, 1), act="RELU")
    for dilation in (1, 2, 4, 8, 16, 32):
        y = net.pad(x, (0, 0), (0, 0), (2 * dilation, 0), (0, 0))
        y = net.conv(y, 64, (1, 3), act="RELU", padding="VALID", dilation=(1, dilation))
        y = net.conv(y, 64, (1, 1))
        x = net.binary("ADD", x, y, "RELU")
    net.classify(x, 12)


def separable_audio(net: Net) -> None:
    """QuartzNet (arXiv:1910.10261): depthwise windows of 33 frames, then 1x1."""
    x = net.reshape(net.input(1, 256, 64), 1, 256, 1, 64)
    x = net.conv(net.depthwise(x, (33, 1)), 128, act="RELU")
    for _ in range(3):
        y = net.conv(net.depthwise(x, (33, 1)), 128, act="RELU")
        y = net.conv(net.depthwise(y, (33, 1)), 128)
        x = net.binary("ADD", x, y, "RELU")
    net.output(net.conv(x, 29))


def wavenet(net: Net) -> None:
    """Gated dilated convolutions (arXiv:1609.03499), as batches of every n-th frame."""
    x = net.conv(net.reshape(net.input(1, 512, 32), 1, 1, 512, 32), 32, (1, 1))
    skips: list[Value] = []
    for dilation in (1, 2, 4, 8, 16, 32):
        y = net.pad(x, (0, 0), (0, 0), (dilation, 0), (0, 0))
        n, h, w, c = y.shape
        extra = -w % dilation
        block, pads = net.integers((1, dilation)), net.integers(((0, 0), (0, extra)))
        shape = (n * dilation, h, (w + extra) // dilation, c)
        y = net.op("SPACE_TO_BATCH_ND", [y, block, pads], shape)
        y = net.conv(y, 64, (1, 2), padding="VALID")
        wide = y.shape[2] * dilation
        crops = net.integers(((0, 0), (0, wide - 512)))
        y = net.op("BATCH_TO_SPACE_ND", [y, block, crops], (1, 1, 512, 64))
        gate = net.sigmoid(net.channels(y, 32, 64))
        y = net.binary("MUL", net.unary("TANH", net.channels(y, 0, 32), (1 / 128, 0)), gate)
        skips.append(net.conv(y, 32, (1, 1)))
        x = net.binary("ADD", x, net.conv(y, 32, (1, 1)))
    total = skips[0]
    for skip in skips[1:]:
        total = net.binary("ADD", total, skip)
    net.classify(net.unary("RELU", total), 12)


def lstm(net: Net) -> None:
    """Two layers of LSTM cells, unrolled over 20 frames as the converter does."""
    frames: list[Value] = []
    x = net.input(1, 20, 40)
    for step in range(20):
        frames.append(net.reshape(net.part(x, (0, step, 0), (1, step + 1, 40), (1, 1, 1)), 1, 40))
    for size in (64, 64):
        hidden = net.constant(net.noise(1, size) * 0)
        cell = hidden
        outputs: list[Value] = []
        weights: list[Value | int] | None = None
        for frame in frames:
            both = net.concat([frame, hidden])
            weights = weights or net.weights((4 * size, both.channels), both.channels, 0, both)
            gates = net.op(
                "FULLY_CONNECTED", [both, *weights[1:]], (1, 4 * size), WIDE, keep_num_dims=False
            )
            i, g, f, o = (net.channels(gates, k * size, (k + 1) * size) for k in range(4))
            kept = net.binary("MUL", net.sigmoid(f), cell)
            new = net.binary("MUL", net.sigmoid(i), net.unary("TANH", g, (1 / 128, 0)))
            cell = net.binary("ADD", kept, new)
            hidden = net.binary("MUL", net.sigmoid(o), net.unary("TANH", cell, (1 / 128, 0)))
            outputs.append(hidden)
        frames = outputs
    net.output(net.softmax(net.dense(frames[-1], 12)))
