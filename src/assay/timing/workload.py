"""What contenders are given to compute, and whether they agree on the result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from assay.errors import InputError
from assay.runtimes.tensors import decode

if TYPE_CHECKING:
    from assay.model.spec import TensorSpec
    from assay.runtimes.base import Array, Runtime

_SAMPLES = 512


def random_inputs(specs: Sequence[TensorSpec], seed: int) -> list[Array]:
    """Return one array for each input, the same ones for the same specs and seed.

    Floats are uniform in [-1, 1), quantized tensors take all values of their dtype. Other integers
    are zeros, as an index out of range would be an error in some operators.
    """
    rng = np.random.default_rng(seed)
    values: list[Array] = []
    for spec in specs:
        dtype = np.dtype(spec.dtype)
        if dtype.kind == "f":
            values.append(rng.uniform(-1, 1, spec.shape).astype(dtype))
        elif dtype.kind in "iu" and spec.quantization is not None:
            limits = np.iinfo(dtype)
            values.append(rng.integers(limits.min, limits.max, spec.shape, dtype, endpoint=True))
        else:
            values.append(np.zeros(spec.shape, dtype))
    return values


def sample_outputs(runtime: Runtime) -> list[list[float]]:
    """Return real values of each output, at most 512 of each, evenly spaced in memory order.

    An output that holds no real numbers gives none.
    """
    sampled: list[list[float]] = []
    for index, spec in enumerate(runtime.outputs):
        try:
            real = decode(spec, runtime.get_output(index)).ravel()
        except InputError:
            sampled.append([])
            continue
        chosen = np.linspace(0, real.size - 1, min(real.size, _SAMPLES)).astype(int)
        sampled.append(real[chosen].tolist())
    return sampled


def difference(outputs: list[list[float]], reference: list[list[float]]) -> float:
    """Return the mean absolute difference as a share of the reference's range, of the worst output.

    NaN and infinity have to be at the same places. 1 is far off: also given where they are not,
    where numbers of values differ, and where a constant output has another value.
    """
    if [len(values) for values in outputs] != [len(values) for values in reference]:
        return 1.0
    return max((_distance(a, b) for a, b in zip(outputs, reference, strict=True)), default=0.0)


def _distance(values: list[float], reference: list[float]) -> float:
    a, b = np.array(values), np.array(reference)
    finite = np.isfinite(b)
    if (
        not np.array_equal(a[~finite], b[~finite], equal_nan=True)
        or not np.isfinite(a[finite]).all()
    ):
        return 1.0
    a, b = a[finite], b[finite]
    if np.array_equal(a, b):
        return 0.0
    extent = float(np.ptp(b))
    return float(np.abs(a - b).mean() / extent) if extent > 0 else 1.0
