"""Where images in NCHW are transposed for the kernels for NHWC, and their results transposed back.

Vectors over pixels are partly empty where planes are no multiple of them, such as 7x7, and weights
that have a zero point take instructions of half the products. Vectors over channels know neither.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

from assay.compiler.kernels.int8 import depthwise
from assay.compiler.kernels.int8.dot import choose_dot
from assay.compiler.kernels.int8.nchw import convolution
from assay.compiler.kernels.int8.problem import QuantizedConv2d
from assay.compiler.kernels.splits import column_vectors
from assay.compiler.kernels.work import PLANNED_TASKS
from assay.compiler.target import Isa

# In the time of a dot product in NCHW, whatever the instruction: broadcasts of weights limit it.
# Fitted to times of convolutions of MobileNetV2, ResNet-50 and EfficientNet-B0 with AVX-512 on
# Cascade Lake; for other instruction sets they are assumed, not measured.
_PRODUCT = 1.2  # a dot product in NHWC
_STORING = 6.0  # of a vector of sums in NCHW
_STORING_IN_NHWC = 4.0
_MOVING = 0.35  # a byte, be it transposed or interleaved
_MARGIN = 1.125  # what transposing has to save: it takes memory, and makes kernels to start


def worthwhile(problem: QuantizedConv2d, isa: Isa) -> bool:
    """Tell whether a convolution is one in NCHW that takes less time with transposes around it.

    Depthwise ones do: their planes are cut up one by one, with a few products for each.
    """
    p = problem.geometry
    if not convolution.applicable(problem):
        return False
    if depthwise.applicable(in_nhwc(problem)):
        return True
    lanes, group = isa.lanes(), p.out_c // p.groups
    plan = convolution.make_plan(problem, isa, PLANNED_TASKS)
    vectors = p.batch * plan.bands * sum(run.count * len(run.vectors) for run in plan.runs)
    copied = p.batch * p.in_c * min(p.in_h, p.out_h * p.kernel_h) * p.out_w * p.kernel_w
    there = vectors * p.out_c * (plan.steps + _STORING) + _MOVING * copied
    steps = -(-prod(p.weights_shape[:3]) // choose_dot(isa).taps)
    sums = p.batch * p.out_h * p.out_w * p.groups * len(column_vectors(group, lanes))
    turned = [p.input_shape, p.output_shape, *([p.output_shape] if problem.addition else [])]
    moved = sum(prod(shape) for shape in turned if shape[1] > 1 and prod(shape[2:]) > 1)
    here = sums * (_PRODUCT * steps + _STORING_IN_NHWC) + _MOVING * moved
    return _MARGIN * here < there


def in_nhwc(problem: QuantizedConv2d) -> QuantizedConv2d:
    """Return the same convolution of images in NHWC."""
    return replace(problem, geometry=replace(problem.geometry, layout="NHWC"))
