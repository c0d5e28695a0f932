"""The matrices of Winograd's minimal filtering F(m x m, r x r), and code that applies them.

With m + r - 2 finite points and infinity, Y = A' [(G g G') * (B' d B)] A (' transposes, * is
multiplication element by element): Toom and Cook's multiplication of polynomials, transposed.
Source: A. Lavin and S. Gray, "Fast Algorithms for Convolutional Neural Networks", 2016, with other
points. For six positions the points 0, +-3/4, +-3/2 halve the mean rounding error of the customary
0, +-1, +-2: their powers stay close to one, and all entries of A and B are exact in binary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from assay.compiler.kernels.builder import Expr, KernelBuilder, constant

POINTS = {4: (0.0, 1.0, -1.0), 6: (0.0, 0.75, -0.75, 1.5, -1.5)}  # by positions
TAPS = 3


@dataclass(frozen=True)
class Transforms:
    """``output`` is A' [m, n], ``weights`` G [n, r], ``data`` B' [n, n], with n = m + r - 1."""

    output: NDArray[np.float64]
    weights: NDArray[np.float64]
    data: NDArray[np.float64]


@lru_cache(maxsize=16)
def transforms(outputs: int, taps: int = TAPS) -> Transforms:
    """Return the matrices of F(m, r), m ``outputs`` and r ``taps``."""
    size = outputs + taps - 1
    points = np.array(POINTS[size])
    output, weights = np.zeros((outputs, size)), np.zeros((size, taps))
    data = np.zeros((size, size))
    for index, point in enumerate(points):
        others = np.delete(points, index)
        output[:, index] = point ** np.arange(outputs)
        weights[index] = point ** np.arange(taps) / np.prod(point - others)
        data[index, : size - 1] = np.poly(others)[::-1]
    output[-1, -1] = weights[-1, -1] = 1.0
    data[-1] = np.poly(points)[::-1]
    return Transforms(output, weights, data)


def transform_weights(weights: NDArray[np.float32], outputs: int) -> NDArray[np.float32]:
    """Return G g G' for weights HWIO, as [n * n, in_c, out_c], computed in float64."""
    g = transforms(outputs).weights
    spread = np.einsum("ia,abco,jb->ijco", g, weights.astype(np.float64), g)
    return spread.reshape(-1, *weights.shape[2:]).astype(np.float32)


def apply_data(
    b: KernelBuilder,
    outputs: int,
    values: Sequence[Expr | None],
    lanes: int,
    taps: int = TAPS,
) -> list[Expr]:
    """Return B' times a column of vectors; None stands for zeros.

    Rows of a point and its negative share their even and, but for the sign, their odd terms.
    """
    matrix = transforms(outputs, taps).data
    first = _combination(b, matrix[0], values, lanes)
    result = [first]
    for row in range(1, len(matrix) - 1, 2):
        same = matrix[row] == matrix[row + 1]
        even = _combination(b, np.where(same, matrix[row], 0), values, lanes)
        odd = _combination(b, np.where(same, 0, matrix[row]), values, lanes)
        result += [b.let(even + odd), b.let(even - odd)]
    return [*result, _combination(b, matrix[-1], values, lanes)]


def apply_output(
    b: KernelBuilder, outputs: int, values: Sequence[Expr], lanes: int, taps: int = TAPS
) -> list[Expr]:
    """Return A' times a column of vectors, from sums and differences of each point's pair."""
    matrix = transforms(outputs, taps).output
    pairs = range(1, matrix.shape[1] - 1, 2)
    sums = [b.let(values[column] + values[column + 1]) for column in pairs]
    differences = [b.let(values[column] - values[column + 1]) for column in pairs]
    result = []
    for power, row in enumerate(matrix):
        paired = sums if power % 2 == 0 else differences
        terms = [values[0], *paired, values[-1]]
        factors = np.array([row[0], *(row[column] for column in pairs), row[-1]])
        result.append(_combination(b, factors, terms, lanes))
    return result


def _combination(
    b: KernelBuilder, factors: NDArray[np.float64], values: Sequence[Expr | None], lanes: int
) -> Expr:
    """Return the sum of factor times value; terms with a factor of one come first."""
    pairs = zip(factors, values, strict=True)
    terms = [(float(f), v) for f, v in pairs if f and v is not None]
    terms.sort(key=lambda term: term[0] != 1)
    total = None
    for factor, value in terms:
        product = value if factor == 1 else value * constant(factor, lanes)
        total = product if total is None else b.let(total + product)
    return constant(0.0, lanes) if total is None else b.let(total)
