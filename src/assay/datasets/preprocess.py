"""From an image file to a model's float input: color, size, scale, normalization."""

from __future__ import annotations

import struct
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from assay.datasets.normalization import check_normalization, normalize
from assay.errors import ConfigError, DatasetError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL.Image import Image

Color = Literal["rgb", "gray"]
Resample = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]

# Mean and standard deviation of ImageNet's training photographs, per RGB channel, of values in
# [0, 1], as torchvision documents for its pre-trained models (first used by fb.resnet.torch).
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

CHANNELS: dict[str, int] = {"rgb": 3, "gray": 1}
_MODES = {"rgb": "RGB", "gray": "L"}
_FILTERS = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")

# Only formats that Pillow decodes by itself: its EPS reader, for one, would start Ghostscript.
_FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF", "PPM")


@dataclass(frozen=True)
class Preprocess:
    """How an image becomes a model's input: ``(resize(color(image)) * scale - mean) / std``.

    ``size`` is (height, width) in pixels; the aspect ratio is not kept. ``mean`` and ``std`` hold
    one value, or one for each channel (3 for "rgb", 1 for "gray"). ``resample`` names one of
    Pillow's filters. Raises ConfigError for values that cannot work.
    """

    size: tuple[int, int]
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    color: Color = "rgb"
    resample: Resample = "bicubic"

    def __post_init__(self) -> None:
        if len(self.size) != 2 or not all(isinstance(n, int) and n > 0 for n in self.size):
            raise ConfigError(
                f"size {self.size!r} is not (height, width) in pixels; give two whole numbers "
                "above 0, such as (224, 224)"
            )
        if self.color not in CHANNELS:
            raise ConfigError(f"color {self.color!r} is not one of {', '.join(CHANNELS)}")
        if self.resample not in _FILTERS:
            raise ConfigError(f"resample {self.resample!r} is not one of {', '.join(_FILTERS)}")
        check_normalization(self.scale, self.mean, self.std, CHANNELS[self.color])

    def __call__(self, image: Image | Path | str) -> npt.NDArray[np.float32]:
        """Turn an image, or the file of one, into float32 [height, width, channels].

        Transparency is dropped and an orientation tag (EXIF) is not applied. Raises DatasetError,
        naming the file, if it is missing, does not decode, or has more than 8 bits a channel.
        """
        import numpy as np
        from PIL.Image import Resampling

        if isinstance(image, (Path, str)):
            with _open(Path(image)) as opened:
                return self(opened)
        pixels = _decode(image, _MODES[self.color])
        height, width = self.size
        resized = pixels.resize((width, height), Resampling[self.resample.upper()])
        values = np.asarray(resized, np.float32).reshape(height, width, CHANNELS[self.color])
        return normalize(values, self.scale, self.mean, self.std)

    def facts(self) -> dict[str, Any]:
        """Return the fields as JSON-serialisable data."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
        }


IMAGENET_224 = Preprocess(size=(224, 224), mean=IMAGENET_MEAN, std=IMAGENET_STD)


def _open(path: Path) -> Image:
    import PIL.Image

    try:
        return PIL.Image.open(path, formats=_FORMATS)
    except FileNotFoundError as error:
        raise DatasetError(f"{path}: no such image; check the path") from error
    except _decode_errors() as error:
        raise _undecodable(str(path), error) from error


def _decode(image: Image, mode: str) -> Image:
    name = str(getattr(image, "filename", "")) or "the image"
    # Pillow clips such pixels at 255 instead of scaling them.
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        raise DatasetError(
            f"{name}: more than 8 bits a channel (mode {image.mode}); convert it to 8 bits"
        )
    try:
        return image.convert(mode)
    except _decode_errors() as error:
        raise _undecodable(name, error) from error


def _decode_errors() -> tuple[type[Exception], ...]:
    from PIL.Image import DecompressionBombError

    # What Pillow's readers raise for damaged files, besides OSError.
    return (OSError, ValueError, SyntaxError, EOFError, struct.error, DecompressionBombError)


def _undecodable(name: str, error: Exception) -> DatasetError:
    reason = " ".join(str(error).split())
    return DatasetError(f"{name}: does not decode as an image ({reason}); replace or remove it")
