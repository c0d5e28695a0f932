"""A fused addition in two multiply-adds, where that gives the same bytes.

What is added are two bytes, so all 65,536 pairs of them can be tried when a kernel is generated.
Zero points go into what the sum starts from. The few sums that fall near the middle between two
steps may then round the other way; where one does, a start a few float32 values away is tried.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from assay.compiler.kernels.int8.problem import Addition
from assay.compiler.kernels.int8.stored import StoredRange

_NEIGHBOURS = 8  # starts to try on either side of the nearest: beyond them nothing gets better

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class FusedSum:
    """``other_factor * r + (factor * (q - its zero point) + start)``, each in one rounding.

    With q and r as stored; the result counts from ``output``'s zero point, which may be 0 where
    the start holds the model's.
    """

    factor: float
    other_factor: float
    start: float
    output: StoredRange


@lru_cache(maxsize=1024)
def fused_sum(addition: Addition, result: StoredRange) -> FusedSum | None:
    """Find a sum that stores what ``addition`` defines for all values of a ``result`` and others.

    None if there is none, as for factors of which many sums fall on the middle of two steps.
    """
    left = np.arange(result.low, result.high + 1) - result.zero_point
    right = np.arange(256)
    expected = _stored(_defined(addition, left, right), addition.output)
    for candidate in _candidates(addition):
        sums = _summed(candidate, left, right)
        if sums is not None and np.array_equal(_stored(sums, candidate.output), expected):
            return candidate
    return None


def _candidates(addition: Addition) -> Iterator[FusedSum]:
    factor, other = np.float32(addition.factor), np.float32(addition.other_factor)
    without = StoredRange(0, addition.output.low, addition.output.high)
    start = -float(other) * addition.other_zero_point
    for output, added in ((without, addition.output.zero_point), (addition.output, 0)):
        nearest = np.float32(start + added)
        for index in range(1, 2 * _NEIGHBOURS + 2):  # 0, 1, -1, 2, -2 ... values away
            away = index // 2 * (-1) ** index
            value = float(nearest + away * np.spacing(nearest))
            yield FusedSum(float(factor), float(other), value, output)
        if added == 0:
            return


def _defined(addition: Addition, left: NDArray[np.int64], right: NDArray[np.int64]) -> Floats:
    factor, other = np.float32(addition.factor), np.float32(addition.other_factor)
    added = other * (right - addition.other_zero_point).astype(np.float32)
    return np.add.outer(factor * left.astype(np.float32), added)


def _summed(
    candidate: FusedSum, left: NDArray[np.int64], right: NDArray[np.int64]
) -> Floats | None:
    """Return the sums; None where one of them isn't exact in float64, before it is rounded."""
    inner = _fused(np.float64(candidate.factor) * left.astype(np.float64), candidate.start)
    if inner is None:
        return None
    products = np.float64(candidate.other_factor) * right.astype(np.float64)
    return _fused(products[None, :], inner.astype(np.float64)[:, None])


def _fused(products: NDArray[np.float64], sums: NDArray[np.float64] | float) -> Floats | None:
    """Add exact products, as a multiply-add does."""
    totals = products + sums
    virtual = totals - products
    lost = (products - (totals - virtual)) + (sums - virtual)
    return None if np.any(lost) else totals.astype(np.float32)


def _stored(sums: Floats, output: StoredRange) -> NDArray[np.float32]:
    return np.clip(np.rint(sums) + output.zero_point, output.low, output.high)
