"""Scaling and normalizing values before they enter a model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from assay.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def check_normalization(
    scale: float, mean: tuple[float, ...], std: tuple[float, ...], channels: int
) -> None:
    """Raise ConfigError unless the values are finite, std and scale not 0, and the lengths fit."""
    for name, values in (("scale", (scale,)), ("mean", mean), ("std", std)):
        if not all(math.isfinite(value) for value in values):
            raise ConfigError(f"{name} holds {values!r}; give finite numbers")
        if name != "mean" and 0 in values:
            raise ConfigError(f"{name} must not be 0, as it is in {values!r}")
        if len(values) not in (1, channels):
            raise ConfigError(
                f"{name} has {len(values)} values for {channels} channel(s); give 1 or {channels}"
            )


def normalize(
    values: npt.NDArray[np.float32],
    scale: float,
    mean: tuple[float, ...],
    std: tuple[float, ...],
) -> npt.NDArray[np.float32]:
    """Return ``(values * scale - mean) / std`` in float32; mean and std go along the last axis."""
    import numpy as np

    centered = values * np.float32(scale) - np.asarray(mean, np.float32)
    return np.asarray(centered / np.asarray(std, np.float32), np.float32)
