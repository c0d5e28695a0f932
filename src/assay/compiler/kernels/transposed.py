"""Transposed convolution, NHWC, of any stride, window, cropping and number of groups.

Output ``o`` along an axis sees tap ``t`` at input ``i`` if ``o + pad = i * stride + t``. So outputs
of one phase, ``(o + pad) % stride``, use the same taps, every ``stride``-th of the window, and are
a convolution of stride 1 with those taps in reverse (Dumoulin and Visin, "A guide to convolution
arithmetic for deep learning", 2016, section 4). No zeros are put between inputs, none multiplied.

Columns are written phase by phase, each as :mod:`direct` does it. Rows know their phase at run
time: packed weights hold the window's rows sorted by phase.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

from tvm import tirx

from assay.compiler.kernels import direct
from assay.compiler.kernels.builder import Expr, KernelBuilder, maximum, minimum
from assay.compiler.kernels.direct_writer import DirectWriter, Part, RowTaps
from assay.compiler.kernels.epilogue import Epilogue
from assay.compiler.kernels.epilogue_writer import EpilogueWriter
from assay.compiler.kernels.problem import Conv2d, Layout, image_shape
from assay.compiler.target import Isa

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class TransposedConv2d:
    """A transposed 2-D convolution, float32, activations in ``layout``.

    Input pixel (y, x) adds to output row ``y * stride_h + i - pad_top`` for each tap i, and
    likewise for columns; what leaves the output is dropped, outputs that nothing adds to are zero.
    Weights are [kernel_h, kernel_w, in_c / groups, out_c].

    Kernel parameters, in order: input, packed weights, epilogue operands, output.
    """

    batch: int
    in_h: int
    in_w: int
    in_c: int
    out_h: int
    out_w: int
    out_c: int
    kernel_h: int
    kernel_w: int
    stride_h: int = 1
    stride_w: int = 1
    pad_top: int = 0
    pad_left: int = 0
    groups: int = 1
    epilogue: Epilogue = field(default=Epilogue())
    layout: Layout = "NHWC"

    @property
    def channel_axis(self) -> int:
        """The channels' axis of the activations."""
        return self.layout.index("C")

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """Shape of the input."""
        return image_shape(self.layout, self.batch, self.in_h, self.in_w, self.in_c)

    @property
    def output_shape(self) -> tuple[int, int, int, int]:
        """Shape of the output."""
        return image_shape(self.layout, self.batch, self.out_h, self.out_w, self.out_c)

    @property
    def weights_shape(self) -> tuple[int, int, int, int]:
        """Shape of the weights before packing."""
        return (self.kernel_h, self.kernel_w, self.in_c // self.groups, self.out_c)

    @property
    def flops(self) -> int:
        """Two for each multiply-add, those that are dropped included."""
        return 2 * self.batch * self.in_h * self.in_w * prod(self.weights_shape)


def applicable(problem: TransposedConv2d) -> bool:
    """Tell whether activations are NHWC."""
    return problem.layout == "NHWC"


def pack(problem: TransposedConv2d, isa: Isa, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pack weights phase by phase of the columns, each as :func:`direct.pack` does, flat."""
    import numpy as np

    sorted_rows = weights[_rows_by_phase(problem)]
    pieces = [
        direct.pack(phase.problem, isa, np.ascontiguousarray(sorted_rows[:, list(phase.taps)]))
        for phase in _column_phases(problem)
        if phase.taps
    ]
    return np.concatenate(pieces)


def generate(problem: TransposedConv2d, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`TransposedConv2d` says."""
    b, p = KernelBuilder(), problem
    phases = _column_phases(p)
    plans = [direct.make_plan(phase.problem, isa, parallel) for phase in phases]
    starts, size = [], 0
    for phase, plan in zip(phases, plans, strict=True):
        starts.append(size if phase.taps else 0)
        size += direct.packed_size(phase.problem, plan) if phase.taps else 0
    source = b.parameter("input", p.input_shape)
    weights = b.parameter("weights", (size,))
    epilogue = EpilogueWriter(b, p.epilogue, p.output_shape)
    output = b.parameter("output", p.epilogue.stored_shape(p.output_shape))

    def taps(b: KernelBuilder, row: Expr) -> RowTaps:
        return _row_taps(b, p, row)

    for phase, plan, start in zip(phases, plans, starts, strict=True):
        part = Part(p.out_w, phase.first, p.stride_w, start, taps)
        DirectWriter(b, phase.problem, plan, source, weights, epilogue, output, part).write()
    return b.function(name)


@dataclass(frozen=True)
class _Phase:
    """Output columns from ``first`` on, one in every stride, as a convolution of stride 1.

    ``taps`` are the window's columns that they see, in the order of the input.
    """

    first: int
    taps: tuple[int, ...]
    problem: Conv2d


def _column_phases(p: TransposedConv2d) -> list[_Phase]:
    phases = []
    for first in range(min(p.stride_w, p.out_w)):
        quotient, phase = divmod(first + p.pad_left, p.stride_w)
        taps = tuple(range(phase, p.kernel_w, p.stride_w))[::-1]
        count = len(range(first, p.out_w, p.stride_w))
        # A phase without taps is a window that lies left of the image wherever it stands.
        pad_left = len(taps) - 1 - quotient if taps else count
        phases.append(
            _Phase(
                first,
                taps,
                Conv2d(
                    p.batch, p.in_h, p.in_w, p.in_c, p.out_h, count, p.out_c,
                    p.kernel_h, max(1, len(taps)), pad_left=pad_left, groups=p.groups,
                ),
            )
        )  # fmt: skip
    return phases


def _rows_by_phase(p: TransposedConv2d) -> list[int]:
    """Return the window's rows by phase, within a phase in the order of the input."""
    return [
        row for phase in range(p.stride_h) for row in reversed(range(phase, p.kernel_h, p.stride_h))
    ]


def _row_taps(b: KernelBuilder, p: TransposedConv2d, row: Expr) -> RowTaps:
    """Return what an output row sees; phases before ``more`` have one tap more than the others."""
    fewest, more = divmod(p.kernel_h, p.stride_h)
    place = row + p.pad_top
    phase, last = b.let(place % p.stride_h), b.let(place // p.stride_h)
    count: Expr = fewest
    if more and isinstance(phase, int):
        count = fewest + (phase < more)
    elif more:
        count = b.let(fewest + tirx.Select(phase < more, 1, 0))
    top = b.let(last - count + 1)
    skipped = b.let(maximum(-top, 0))
    seen = b.let(minimum(count, p.in_h - top) - skipped)
    before = phase * fewest + minimum(phase, more)
    return RowTaps(seen, top + skipped, before + skipped)
