"""Options that say how images become a model's input (docs/datasets.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from assay.errors import ConfigError

if TYPE_CHECKING:
    from assay.datasets.preprocess import Preprocess

Size = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(metavar="HEIGHT,WIDTH", help="Resize images; a folder of images needs it."),
]
Mean = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(metavar="X,...", help="Mean of pixels from 0 to 1, one or for each channel."),
]
Std = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(metavar="X,...", help="Their standard deviation."),
]
Color = Annotated[str, typer.Option(help="rgb or gray; with --size.")]
Resample = Annotated[str, typer.Option(help="Filter of the resizing, such as bilinear.")]


def preprocess(
    size: str | None, mean: str | None, std: str | None, color: str, resample: str
) -> Preprocess | None:
    """Return the pre-processing that the options ask for, None if ``size`` is not given.

    ConfigError for values that are no numbers, or that would have no effect.
    """
    if size is None:
        if mean or std or color != "rgb" or resample != "bicubic":
            raise ConfigError("--mean, --std, --color and --resample go with --size: give it, too")
        return None
    from assay.datasets.preprocess import Preprocess

    pixels = _numbers("--size", size)
    fields: dict[str, Any] = {
        "size": tuple(int(n) if n.is_integer() else n for n in pixels),
        "mean": _numbers("--mean", mean or "0"),
        "std": _numbers("--std", std or "1"),
        "color": color,
        "resample": resample,
    }
    return Preprocess(**fields)


def _numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(f"{option} {text!r} is no list of numbers such as 0.5,0.5,0.5") from error
