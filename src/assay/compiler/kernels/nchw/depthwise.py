"""Depthwise convolution in NCHW: a plane at a time, vectors of pixels, any window.

Register tiles read the image where it is (``depthwise_tiles.py``). Where that would be too much
code, because windows are large or leave the image in many ways, bands of a channel's plane are
unrolled first (``depthwise_bands.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from assay.compiler.kernels.builder import KernelBuilder
from assay.compiler.kernels.nchw.depthwise_bands import BandWriter
from assay.compiler.kernels.nchw.depthwise_tiles import PlaneTiles, TileWriter
from assay.compiler.kernels.nchw.epilogue_writer import PlaneEpilogueWriter
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.kernels.work import task_count
from assay.compiler.target import Isa

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def applicable(problem: Conv2d) -> bool:
    """Tell whether each group has one input channel, in NCHW."""
    p = problem
    return p.layout == "NCHW" and p.groups == p.in_c and not p.input_gate


def pack(problem: Conv2d, isa: Isa, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bring weights [kernel_h, kernel_w, 1, out_c] into the order [out_c][tap], flat.

    With a stride there may be zeros between the taps.
    """
    import numpy as np

    tiles = PlaneTiles.of(problem, isa)
    if tiles is not None:
        return tiles.pack(weights)
    taps = weights.reshape(-1, problem.out_c)
    return np.ascontiguousarray(taps.T, dtype=np.float32).reshape(-1)


def generate(problem: Conv2d, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`Conv2d` says. Threads share planes."""
    b = KernelBuilder()
    p = problem
    source = b.parameter("input", p.input_shape)
    tiles = PlaneTiles.of(p, isa)
    size = tiles.weights_size if tiles else p.kernel_h * p.kernel_w
    weights = b.parameter("weights", (size * p.out_c,))
    epilogue = PlaneEpilogueWriter(b, p.epilogue, p.output_shape)
    output = b.parameter("output", p.epilogue.stored_shape(p.output_shape))
    moved = 4 * p.batch * (p.in_h * p.in_w * p.in_c + p.out_h * p.out_w * p.out_c)
    tasks = task_count(isa, parallel, p.flops, moved)
    writer: TileWriter | BandWriter = BandWriter(b, p, isa, source, weights, epilogue, output)
    if tiles is not None:
        fetch = moved > isa.l2_bytes
        writer = TileWriter(b, tiles, source, weights, epilogue, output, fetch)
    loop = b.parallel if tasks > 1 else b.serial
    with loop(p.batch * p.in_c) as plane:
        batch, channel = b.let(plane // p.in_c), b.let(plane % p.in_c)
        writer.planes(b.let(plane * (p.in_h * p.in_w)), batch, channel)
    return b.function(name)
