"""Networks whose results are images, boxes or key points."""

from __future__ import annotations

from benchmarks.architectures.net import Net, Value


def unet(net: Net, bilinear: bool = False) -> None:
    """U-Net (arXiv:1505.04597): the encoder's images are concatenated to the decoder's."""
    x = net.input(1, 128, 128, 3)
    saved: list[Value] = []
    for channels in (16, 32, 64):
        x = net.conv(net.conv(x, channels, 3, act="RELU"), channels, 3, act="RELU")
        saved.append(x)
        x = net.pool(x, "MAX", 2, 2, "VALID")
    x = net.conv(net.conv(x, 128, 3, act="RELU"), 128, 3, act="RELU")
    for skip in saved[::-1]:
        if bilinear:
            x = net.conv(net.resize(x, "BILINEAR"), skip.channels, act="RELU")
        else:
            x = net.up_conv(x, skip.channels)
        x = net.concat([skip, x])
        x = net.conv(net.conv(x, skip.channels, 3, act="RELU"), skip.channels, 3, act="RELU")
    net.output(net.sigmoid(net.conv(x, 1)))


def unet_bilinear(net: Net) -> None:
    """The same, enlarging by interpolation."""
    unet(net, bilinear=True)


def segmenter(net: Net) -> None:
    """DeepLabV3 (arXiv:1706.05587): dilated windows, pooled context, a large bilinear resize."""
    x = net.conv(net.input(1, 129, 129, 3), 16, 3, 2, "RELU6")
    for channels, stride, dilation in ((24, 2, 1), (32, 2, 1), (64, 1, 2), (64, 1, 4)):
        wide = net.conv(x, 4 * x.channels, act="RELU6")
        x = net.conv(net.depthwise(wide, 3, stride, "RELU6", dilation=dilation), channels)
    context = net.conv(net.mean(x, keep=True), 64, act="RELU")
    parts = [net.conv(x, 64, act="RELU"), net.resize(context, "BILINEAR", size=x.shape[1])]
    parts += [net.conv(x, 64, 3, act="RELU", dilation=rate) for rate in (3, 6)]
    x = net.conv(net.conv(net.concat(parts), 64, act="RELU"), 21)
    net.output(net.resize(x, "BILINEAR", size=129))


def yolo(net: Net) -> None:
    """A small YOLO: a stem of strided slices, leaky ReLU, two heads, boxes decoded."""
    x = net.input(1, 192, 192, 3)
    n, h, w, c = x.shape
    corners = [(0, a, b, 0) for b in (0, 1) for a in (0, 1)]
    x = net.concat([net.part(x, corner, (n, h, w, c), (1, 2, 2, 1)) for corner in corners])
    x = net.leaky(net.conv(x, 16, 3))
    saved: list[Value] = []
    for channels in (32, 64, 128):
        x = net.leaky(net.conv(x, channels, 3, 2))
        half = net.leaky(net.conv(x, channels // 2))
        other = net.leaky(net.conv(x, channels // 2))
        half = net.binary("ADD", half, net.leaky(net.conv(half, channels // 2, 3)))
        x = net.leaky(net.conv(net.concat([half, other]), channels))
        saved.append(x)
    pools = [x]
    for _ in range(3):
        pools.append(net.pool(pools[-1], "MAX", 5, 1))
    deep = net.leaky(net.conv(net.concat(pools), 64))
    up = net.concat([net.resize(deep, "NEAREST"), saved[1]])
    shallow = net.leaky(net.conv(up, 64, 3))
    boxes = [_boxes(net, net.conv(level, 3 * 25), 25) for level in (deep, shallow)]
    net.output(net.concat(boxes, 1))


def _boxes(net: Net, x: Value, size: int) -> Value:
    n, h, w, c = x.shape
    anchors = c // size
    x = net.transpose(net.reshape(x, n, h * w, anchors, size), 0, 2, 1, 3)
    place = net.sigmoid(net.channels(x, 0, 2))
    grid = net.constant(net.noise(1, 1, h * w, 2), (1 / 50, 0))
    place = net.binary("ADD", place, grid)
    extent = net.unary("EXP", net.channels(x, 2, 4), (8 / 255, -128))
    extent = net.binary("MUL", extent, net.constant(net.noise(1, anchors, 1, 2), (1 / 50, 0)))
    scores = net.sigmoid(net.channels(x, 4, size))
    return net.reshape(net.concat([place, extent, scores]), n, anchors * h * w, size)


def blazeface(net: Net) -> None:
    """BlazeFace (arXiv:1907.05047): 5x5 windows behind a PAD, channels of the residual padded."""
    x = net.conv(net.input(1, 128, 128, 3), 24, 5, 2, "RELU")
    levels: list[Value] = []
    plan = (
        (24, 1),
        (28, 1),
        (32, 2),
        (36, 1),
        (42, 1),
        (48, 2),
        (56, 1),
        (64, 1),
        (88, 1),
        (96, 2),
    )
    for channels, stride in plan:
        start = x
        if stride == 2:
            levels.append(x)
            start = net.pool(x, "MAX", 2, 2)
            x = net.pad(x, (0, 0), (1, 2), (1, 2), (0, 0))
            x = net.depthwise(x, 5, 2, padding="VALID")
        else:
            x = net.depthwise(x, 5)
        x = net.conv(x, channels)
        if channels > start.channels:
            start = net.pad(start, (0, 0), (0, 0), (0, 0), (0, channels - start.channels))
        x = net.binary("ADD", x, start, "RELU")
    heads = ((levels[-1], 2), (x, 6))
    boxes = [net.reshape(net.conv(y, 16 * count), 1, -1, 16) for y, count in heads]
    scores = [net.reshape(net.conv(y, count), 1, -1, 1) for y, count in heads]
    net.output(net.concat(boxes, 1), net.sigmoid(net.concat(scores, 1)))


def pose(net: Net) -> None:
    """MoveNet-like: a pyramid of features with nearest or bilinear enlargement, heat maps."""
    x = net.conv(net.input(1, 128, 128, 3), 16, 3, 2, "RELU6")
    levels: list[Value] = []
    for channels in (24, 32, 64):
        wide = net.conv(x, 4 * x.channels, act="RELU6")
        padded = net.pad(wide, (0, 0), (0, 1), (0, 1), (0, 0))
        wide = net.depthwise(padded, 3, 2, "RELU6", padding="VALID")
        x = net.conv(wide, channels)
        levels.append(x)
    for skip in levels[-2::-1]:
        own = net.conv(skip, 32)
        x = net.binary("ADD", own, net.resize(net.conv(x, 32), "BILINEAR"), "RELU")
        x = net.conv(net.depthwise(x, 3), 32, act="RELU")
    heat = net.sigmoid(net.conv(net.conv(x, 48, 3, act="RELU"), 17))
    net.output(heat, net.conv(net.conv(x, 48, 3, act="RELU"), 34))


def super_resolution(net: Net) -> None:
    """EDSR-like (arXiv:1707.02921): 3x3 convolutions, pixels shuffled from channels to space."""
    x = net.conv(net.input(1, 96, 96, 3), 24, 3)
    start = x
    for _ in range(3):
        x = net.binary("ADD", x, net.conv(net.conv(x, 24, 3, act="RELU"), 24, 3))
    x = net.conv(net.binary("ADD", x, start), 12, 3)
    n, h, w, c = x.shape
    net.output(net.op("DEPTH_TO_SPACE", [x], (n, 2 * h, 2 * w, c // 4), block_size=2))


def style_transfer(net: Net) -> None:
    """Johnson et al. (arXiv:1603.08155): mirrored borders, instance normalization."""
    x = net.pad(net.input(1, 96, 96, 3), (0, 0), (4, 4), (4, 4), (0, 0), mode="MIRROR_PAD")
    x = net.unary("RELU", net.layer_norm(net.conv(x, 16, 9, padding="VALID"), (1, 2)))
    for channels in (32, 48):
        x = net.unary("RELU", net.layer_norm(net.conv(x, channels, 3, 2), (1, 2)))
    for _ in range(2):
        y = net.pad(x, (0, 0), (1, 1), (1, 1), (0, 0), mode="MIRROR_PAD")
        y = net.unary("RELU", net.layer_norm(net.conv(y, 48, 3, padding="VALID"), (1, 2)))
        x = net.binary("ADD", x, net.layer_norm(net.conv(y, 48, 3), (1, 2)))
    for channels in (32, 16):
        x = net.resize(x, "NEAREST")
        x = net.unary("RELU", net.layer_norm(net.conv(x, channels, 3), (1, 2)))
    net.output(net.unary("TANH", net.conv(x, 3, 9), (1 / 128, 0)))


def ssd(net: Net) -> None:
    """SSDLite-like: many small heads that are reshaped, concatenated and decoded."""
    x = net.conv(net.input(1, 160, 160, 3), 16, 3, 2, "RELU6")
    levels: list[Value] = []
    for channels in (24, 32, 64, 96, 96, 96):
        wide = net.conv(x, 4 * x.channels, act="RELU6")
        x = net.conv(net.depthwise(wide, 3, 2, "RELU6"), channels)
        levels.append(x)
    boxes: list[Value] = []
    scores: list[Value] = []
    for level in levels[2:]:
        box = net.conv(net.depthwise(level, 3, act="RELU6"), 6 * 4)
        score = net.conv(net.depthwise(level, 3, act="RELU6"), 6 * 21)
        boxes.append(net.reshape(box, 1, -1, 4))
        scores.append(net.reshape(score, 1, -1, 21))
    all_boxes = net.concat(boxes, 1)
    anchors = net.constant(net.noise(1, all_boxes.shape[1], 2), (1 / 30, 0))
    centres = net.binary("ADD", net.channels(all_boxes, 0, 2), anchors)
    sizes = net.unary("EXP", net.channels(all_boxes, 2, 4), (8 / 255, -128))
    half = net.binary("MUL", sizes, net.constant(0.5))
    corners = [net.binary(name, centres, half) for name in ("SUB", "ADD")]
    net.output(net.concat(corners), net.sigmoid(net.concat(scores, 1)))


def matting(net: Net) -> None:
    """An autoencoder of overlapping TRANSPOSE_CONV, 4x4 of stride 2, and a mask of one channel."""
    x = net.input(1, 128, 128, 3)
    for channels in (16, 32, 64):
        x = net.leaky(net.conv(x, channels, 4, 2))
    for channels in (32, 16, 16):
        x = net.unary("RELU", net.up_conv(x, channels, 4, 2))
    net.output(net.sigmoid(net.conv(x, 1, 3)))
