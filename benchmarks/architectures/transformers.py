"""Networks of dense layers, products of computed tensors and normalization."""

from __future__ import annotations

from benchmarks.architectures.net import Net, Value


def vit(net: Net) -> None:
    """A small vision transformer (arXiv:2010.11929): 64 patches, 4 layers, 4 heads."""
    x = net.conv(net.input(1, 64, 64, 3), 128, 8, 8)
    x = net.reshape(x, 1, 64, 128)
    x = net.binary("ADD", x, net.constant(0.1 * net.noise(1, 64, 128)))
    for _ in range(4):
        x = net.binary("ADD", x, _attention(net, net.layer_norm(x), 4))
        y = net.unary("GELU", net.dense(net.layer_norm(x), 512))
        x = net.binary("ADD", x, net.dense(y, 128))
    net.output(net.softmax(net.dense(net.mean(net.layer_norm(x), (1,)), 100)))


def _attention(net: Net, x: Value, heads: int) -> Value:
    n, tokens, width = x.shape
    size = width // heads

    def split(y: Value) -> Value:
        return net.transpose(net.reshape(y, n, tokens, heads, size), 0, 2, 1, 3)

    q, k, v = (split(net.dense(x, width)) for _ in range(3))
    q = net.binary("MUL", q, net.constant(size**-0.5, (1 / 127, 0)))
    scores = net.softmax(net.matmul(q, k, transpose_b=True))
    mixed = net.transpose(net.matmul(scores, v), 0, 2, 1, 3)
    return net.dense(net.reshape(mixed, n, tokens, width), width)


def mixer(net: Net) -> None:
    """MLP-Mixer (arXiv:2105.01601): dense layers over patches and over channels in turn."""
    x = net.reshape(net.conv(net.input(1, 64, 64, 3), 128, 8, 8), 1, 64, 128)
    for _ in range(4):
        y = net.transpose(net.layer_norm(x), 0, 2, 1)
        y = net.dense(net.unary("GELU", net.dense(y, 64)), 64)
        x = net.binary("ADD", x, net.transpose(y, 0, 2, 1))
        y = net.unary("GELU", net.dense(net.layer_norm(x), 512))
        x = net.binary("ADD", x, net.dense(y, 128))
    net.output(net.softmax(net.dense(net.mean(net.layer_norm(x), (1,)), 100)))


def mobilevit(net: Net) -> None:
    """A block of MobileViT (arXiv:2110.02178): patches are unfolded, mixed and folded again."""
    x = net.swish(net.conv(net.input(1, 64, 64, 3), 32, 3, 2))
    for _ in range(2):
        start = x
        y = net.conv(net.swish(net.conv(x, 32, 3)), 64)
        n, h, w, c = y.shape
        y = net.reshape(y, n * h // 2, 2, w // 2, 2 * c)
        y = net.reshape(net.transpose(y, 0, 2, 1, 3), 1, h * w // 4, 4, c)
        y = net.reshape(net.transpose(y, 0, 2, 1, 3), 4, h * w // 4, c)
        for _ in range(2):
            y = net.binary("ADD", y, _attention(net, net.layer_norm(y), 4))
            wide = net.swish(net.dense(net.layer_norm(y), 2 * c))
            y = net.binary("ADD", y, net.dense(wide, c))
        y = net.transpose(net.reshape(y, 1, 4, h * w // 4, c), 0, 2, 1, 3)
        y = net.transpose(net.reshape(y, h // 2, w // 2, 2, 2 * c), 0, 2, 1, 3)
        y = net.swish(net.conv(net.reshape(y, n, h, w, c), 32))
        x = net.swish(net.conv(net.concat([start, y]), 32, 3))
    net.classify(x, 100)


def bert(net: Net) -> None:
    """A tiny BERT (arXiv:1810.04805) on 128 embedded tokens, its GELU spelled out with tanh."""
    x = net.layer_norm(net.input(1, 128, 128))
    for _ in range(2):
        x = net.layer_norm(net.binary("ADD", x, _attention(net, x, 2)))
        y = net.dense(x, 512)
        cube = net.binary("MUL", net.binary("MUL", y, y), y)
        inner = net.binary("ADD", y, net.binary("MUL", cube, net.constant(0.044715, (1 / 1270, 0))))
        curve = net.unary("TANH", net.binary("MUL", inner, net.constant(0.79788)), (1 / 128, 0))
        half = net.binary("MUL", y, net.constant(0.5))
        y = net.binary("MUL", half, net.binary("ADD", curve, net.constant(1.0)))
        x = net.layer_norm(net.binary("ADD", x, net.dense(y, 128)))
    net.output(net.dense(x, 2))
