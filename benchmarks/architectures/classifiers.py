"""Networks that name what is on an image."""

from __future__ import annotations

from benchmarks.architectures.net import SIGNED_UNIT, Net, Value


def densenet(net: Net) -> None:
    """DenseNet-BC (arXiv:1608.06993): each layer adds channels to all before it."""
    x = net.pool(net.conv(net.input(1, 128, 128, 3), 32, 7, 2, "RELU"), "MAX", 3, 2)
    for block, layers in enumerate((3, 4, 6)):
        if block:
            x = net.conv(net.batch_norm(x, "RELU"), x.channels // 2)
            x = net.pool(x, "AVERAGE", 2, 2, "VALID")
        for _ in range(layers):
            narrow = net.conv(net.batch_norm(x, "RELU"), 64, act="RELU")
            x = net.concat([x, net.conv(narrow, 16, 3)])
    net.classify(net.batch_norm(x, "RELU"), 100)


def inception(net: Net) -> None:
    """Blocks of Inception-v3 (arXiv:1512.00567) at a quarter of the width."""
    x = net.conv(net.input(1, 139, 139, 3), 16, 3, 2, "RELU", padding="VALID")
    x = net.conv(net.conv(x, 16, 3, act="RELU", padding="VALID"), 32, 3, act="RELU")
    x = net.pool(x, "MAX", 3, 2, "VALID")

    def tower(x: Value, *layers: tuple[int, int | tuple[int, int]]) -> Value:
        for channels, kernel in layers:
            x = net.conv(x, channels, kernel, act="RELU")
        return x

    def reduced(x: Value, *channels: int) -> Value:
        three = net.conv(x, channels[0], 3, 2, "RELU", padding="VALID")
        two = tower(x, (channels[1], 1), (channels[1], 3))
        two = net.conv(two, channels[1], 3, 2, "RELU", padding="VALID")
        return net.concat([three, two, net.pool(x, "MAX", 3, 2, "VALID")])

    for _ in range(2):
        pooled = tower(net.pool(x, "AVERAGE", 3, 1), (16, 1))
        double = tower(x, (16, 1), (24, 3), (24, 3))
        x = net.concat([tower(x, (16, 1)), tower(x, (12, 1), (16, 5)), double, pooled])
    x = reduced(x, 96, 24)
    for _ in range(2):
        seven = tower(x, (32, 1), (32, (1, 7)), (48, (7, 1)))
        double = tower(x, (32, 1), (32, (7, 1)), (32, (1, 7)), (32, (7, 1)), (48, (1, 7)))
        pooled = tower(net.pool(x, "AVERAGE", 3, 1), (48, 1))
        x = net.concat([tower(x, (48, 1)), seven, double, pooled])
    net.classify(reduced(x, 80, 48), 100)


def squeezenet(net: Net, batch: int = 1) -> None:
    """SqueezeNet 1.1 (arXiv:1602.07360)."""
    x = net.conv(net.input(batch, 160, 160, 3), 64, 3, 2, "RELU", padding="VALID")
    fires = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))
    for index, (narrow, wide) in enumerate(fires):
        if index in {0, 2, 4}:
            x = net.pool(x, "MAX", 3, 2, "VALID")
        squeezed = net.conv(x, narrow, act="RELU")
        both = [net.conv(squeezed, wide, kernel, act="RELU") for kernel in (1, 3)]
        x = net.concat(both)
    net.output(net.softmax(net.mean(net.conv(x, 100, act="RELU"))))


def squeezenet_batch4(net: Net) -> None:
    """The same for four images at once."""
    squeezenet(net, 4)


def nasnet(net: Net) -> None:
    """Cells like NASNet's (arXiv:1707.07012): wide depthwise windows, sums, concatenation."""
    x = net.conv(net.input(1, 128, 128, 3), 32, 3, 2)

    def separable(x: Value, channels: int, kernel: int, stride: int = 1) -> Value:
        x = net.unary("RELU", x)
        for step in (stride, 1):
            x = net.conv(net.depthwise(x, kernel, step), channels)
            x = net.unary("RELU", x) if step == stride and stride > 1 else x
        return x

    for channels, stride in ((24, 2), (24, 1), (48, 2), (48, 1), (96, 2)):
        own = net.conv(net.unary("RELU", x), channels)
        five, seven = (separable(own, channels, kernel, stride) for kernel in (5, 7))
        average = net.pool(own, "AVERAGE", 3, stride)
        largest = net.pool(own, "MAX", 3, stride)
        parts = [
            net.binary("ADD", five, seven),
            net.binary("ADD", largest, five),
            net.binary("ADD", average, seven),
        ]
        x = net.concat(parts)
    net.classify(net.unary("RELU", x), 100)


def efficientnet(net: Net) -> None:
    """Stages like EfficientNet's (arXiv:1905.11946): 5x5 windows, swish, squeeze-and-excitation."""
    x = net.swish(net.conv(net.input(1, 160, 160, 3), 24, 3, 2))
    for channels, kernel, stride, count in (
        (24, 3, 2, 2),
        (40, 5, 2, 2),
        (80, 7, 2, 2),
        (112, 5, 1, 2),
    ):
        for index in range(count):
            start = x
            wide = net.swish(net.conv(x, x.channels * 4))
            wide = net.swish(net.depthwise(wide, kernel, stride if index == 0 else 1))
            gate = net.mean(wide, keep=True)
            gate = net.swish(net.conv(gate, max(8, x.channels // 4)))
            gate = net.sigmoid(net.conv(gate, wide.channels))
            x = net.conv(net.binary("MUL", wide, gate), channels)
            x = net.binary("ADD", x, start) if x.shape == start.shape else x
    net.classify(net.swish(net.conv(x, 320)), 100)


def shufflenet_v1(net: Net) -> None:
    """ShuffleNet (arXiv:1707.01083): grouped 1x1 convolutions and a shuffle between them."""
    x = net.pool(net.conv(net.input(1, 160, 160, 3), 24, 3, 2, "RELU"), "MAX", 3, 2)
    groups = 3
    for stage, channels in enumerate((120, 240, 480)):
        for index in range(3):
            stride = 2 if index == 0 else 1
            out = channels - x.channels if stride == 2 else channels
            narrow = channels // 4 // groups * groups
            y = net.conv(x, narrow, act="RELU", groups=1 if stage == index == 0 else groups)
            y = _shuffled(net, y, groups)
            y = net.conv(net.depthwise(y, 3, stride), out, groups=groups)
            if stride == 2:
                x = net.unary("RELU", net.concat([net.pool(x, "AVERAGE", 3, 2), y]))
            else:
                x = net.binary("ADD", x, y, "RELU")
    net.classify(x, 100)


def shufflenet_v2(net: Net) -> None:
    """ShuffleNetV2 (arXiv:1807.11164): channels are split, concatenated and shuffled."""
    x = net.pool(net.conv(net.input(1, 160, 160, 3), 24, 3, 2, "RELU"), "MAX", 3, 2)

    def branch(x: Value, half: int, stride: int) -> Value:
        x = net.depthwise(net.conv(x, half, act="RELU"), 3, stride)
        return net.conv(x, half, act="RELU")

    for channels, count in ((116, 3), (232, 5), (464, 3)):
        half = channels // 2
        for index in range(count):
            if index == 0:
                left = net.conv(net.depthwise(x, 3, 2), half, act="RELU")
                x = net.concat([left, branch(x, half, 2)])
            else:
                left, right = net.channels(x, 0, half), net.channels(x, half, channels)
                x = net.concat([left, branch(right, half, 1)])
            x = _shuffled(net, x, 2)
    net.classify(net.conv(x, 512, act="RELU"), 100)


def _shuffled(net: Net, x: Value, groups: int) -> Value:
    n, h, w, c = x.shape
    apart = net.reshape(x, n, h, w, groups, c // groups)
    return net.reshape(net.transpose(apart, 0, 1, 2, 4, 3), n, h, w, c)


def regnet(net: Net) -> None:
    """RegNetX (arXiv:2003.13678): 3x3 convolutions in groups of 24 channels."""
    x = net.conv(net.input(1, 128, 128, 3), 32, 3, 2, "RELU")
    for channels, count in ((24, 1), (72, 2), (144, 3), (288, 2)):
        for index in range(count):
            stride = 2 if index == 0 else 1
            y = net.conv(x, channels, act="RELU")
            y = net.conv(y, channels, 3, stride, "RELU", groups=channels // 24)
            start = net.conv(x, channels, 1, stride) if index == 0 else x
            x = net.binary("ADD", net.conv(y, channels), start, "RELU")
    net.classify(x, 100)


def convnext(net: Net) -> None:
    """ConvNeXt (arXiv:2201.03545): 7x7 depthwise, normalized over channels, GELU."""
    x = net.layer_norm(net.conv(net.input(1, 128, 128, 3), 48, 4, 4))
    for channels, count in ((48, 2), (96, 2), (192, 3)):
        if channels != x.channels:
            x = net.conv(net.layer_norm(x), channels, 2, 2)
        for _ in range(count):
            y = net.layer_norm(net.depthwise(x, 7))
            y = net.unary("GELU", net.conv(y, 4 * channels))
            x = net.binary("ADD", x, net.conv(y, channels))
    net.classify(x, 100)


def mobilefacenet(net: Net) -> None:
    """MobileFaceNet (arXiv:1804.07573): PReLU per channel, a 7x7 depthwise end, unit length."""
    x = net.prelu(net.conv(net.input(1, 112, 112, 3), 64, 3, 2))
    x = net.prelu(net.depthwise(x))
    plan = ((64, 2, 2), (64, 1, 2), (128, 2, 4), (128, 1, 2), (128, 2, 4), (128, 1, 2))
    for channels, stride, times in plan:
        wide = net.prelu(net.conv(x, times * x.channels))
        y = net.conv(net.prelu(net.depthwise(wide, 3, stride)), channels)
        x = net.binary("ADD", x, y) if x.shape == y.shape else y
    x = net.depthwise(net.prelu(net.conv(x, 512)), 7, padding="VALID")
    x = net.reshape(net.conv(x, 128), 1, 128)
    net.output(net.op("L2_NORMALIZATION", [x], x.shape, SIGNED_UNIT))


def googlenet(net: Net) -> None:
    """The start of GoogLeNet (arXiv:1409.4842), with its local response normalization."""
    x = net.pool(net.conv(net.input(1, 128, 128, 3), 64, 7, 2, "RELU"), "MAX", 3, 2)
    norm = {"radius": 2, "bias": 1.0, "alpha": 2e-5, "beta": 0.75}
    x = net.unary("LOCAL_RESPONSE_NORMALIZATION", x, **norm)
    x = net.conv(net.conv(x, 64, act="RELU"), 192, 3, act="RELU")
    x = net.pool(net.unary("LOCAL_RESPONSE_NORMALIZATION", x, **norm), "MAX", 3, 2)
    for one, three, five in ((64, 128, 32), (128, 192, 96)):
        parts = [
            net.conv(x, one, act="RELU"),
            net.conv(net.conv(x, three // 2, act="RELU"), three, 3, act="RELU"),
            net.conv(net.conv(x, 16, act="RELU"), five, 5, act="RELU"),
            net.conv(net.pool(x, "MAX", 3, 1), 32, act="RELU"),
        ]
        x = net.concat(parts)
    net.classify(x, 100)
