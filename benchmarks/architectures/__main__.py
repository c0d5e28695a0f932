"""Write the networks: ``python -m benchmarks.architectures --write DIR``.

They are timed by ``python -m benchmarks.peers --shared DIR --models unet.fp32.tflite ...``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.architectures import classifiers, images, sounds, transformers
from benchmarks.architectures.net import Net

PRECISIONS = ("fp32", "int8")
NETWORKS: tuple[Callable[[Net], None], ...] = (
    classifiers.convnext,
    classifiers.densenet,
    classifiers.efficientnet,
    classifiers.googlenet,
    classifiers.inception,
    classifiers.mobilefacenet,
    classifiers.nasnet,
    classifiers.regnet,
    classifiers.shufflenet_v1,
    classifiers.shufflenet_v2,
    classifiers.squeezenet,
    classifiers.squeezenet_batch4,
    images.blazeface,
    images.matting,
    images.pose,
    images.segmenter,
    images.ssd,
    images.style_transfer,
    images.super_resolution,
    images.unet,
    images.unet_bilinear,
    images.yolo,
    sounds.keyword_cnn,
    sounds.lstm,
    sounds.separable_audio,
    sounds.tcn,
    sounds.wavenet,
    transformers.bert,
    transformers.mixer,
    transformers.mobilevit,
    transformers.vit,
)
FLOAT_ONLY = (classifiers.googlenet,)
"""Networks with operators that TFLite does not quantize."""


def files() -> dict[str, Callable[[], bytes]]:
    """Return what makes each file's content, by the file's name."""
    return {
        f"{network.__name__}.{precision}.tflite": _maker(network, precision == "int8")
        for network in NETWORKS
        for precision in PRECISIONS
        if precision == "fp32" or network not in FLOAT_ONLY
    }


def _maker(network: Callable[[Net], None], int8: bool) -> Callable[[], bytes]:
    def make() -> bytes:
        net = Net(int8)
        network(net)
        return net.graph.build()

    return make


def main(arguments: Sequence[str] | None = None) -> None:
    """Write what was asked for."""
    parser = argparse.ArgumentParser(description="Write networks with random weights.")
    parser.add_argument("--write", type=Path, required=True, metavar="DIR")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="such as unet")
    options = parser.parse_args(arguments)
    options.write.mkdir(parents=True, exist_ok=True)
    for name, make in files().items():
        if not options.only or name.partition(".")[0] in options.only:
            (options.write / name).write_bytes(make())


if __name__ == "__main__":
    main()
