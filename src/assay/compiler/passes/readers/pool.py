"""Read pooling; over the whole image it is a reduction."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Literal, get_args

from assay.compiler import tvm_api
from assay.compiler.kernels.pool import Pool2d
from assay.compiler.kernels.problem import Layout
from assay.compiler.kernels.reduction import Reduction
from assay.compiler.passes.chains import Graph
from assay.compiler.passes.convolutions import image_extents
from assay.compiler.passes.padding import read_padding
from assay.compiler.passes.readers.operator import Operator


def read(graph: Graph, var: Any) -> Operator | None:
    """Read ``nn.max_pool2d`` or ``nn.avg_pool2d`` of a float32 tensor."""
    call = graph.value[var]
    source = call.args[0]
    problem = read_window(call, var)
    if problem is None or str(source.ty.dtype) != "float32":
        return None
    if problem.covers_image:
        kind = "max" if problem.kind == "max" else "mean"
        inner = problem.channels if problem.layout == "NHWC" else 1
        outer = problem.batch * problem.channels // inner
        reduction = Reduction(kind, outer, problem.in_h * problem.in_w, inner)
        return Operator(reduction, (var,), (source,))
    padded = with_padding(graph, problem, source)
    if padded is None or (problem.kind == "average" and padded[0].border != 0):
        return Operator(problem, (var,), (source,))
    problem, source, covered = padded
    return Operator(problem, (var,), (source,), absorbed=covered)


def with_padding(
    graph: Graph, problem: Pool2d, source: Any
) -> tuple[Pool2d, Any, tuple[Any, ...]] | None:
    """Take over the padding of an image with a constant.

    Return the problem with that border, the image inside and the variables in between; None if
    there is no padding, or windows leave the padded image, what is beside which takes no part.
    """
    padding = read_padding(graph, source, problem.layout)
    windows = problem.rows, problem.columns
    whole = all(len(each.complete_outputs()) == each.out_size for each in windows)
    if padding is None or not whole or math.isnan(padding.value):
        return None
    return replace(padding.taken_by(problem), border=padding.value), padding.source, padding.padded


def read_window(call: Any, var: Any) -> Pool2d | None:
    """Return the problem of pooling, whatever the type; None if no kernel solves it."""
    attrs = call.attrs
    layout = str(attrs.layout)
    if layout not in get_args(Layout) or str(attrs.out_layout) != layout:
        return None
    batch, in_h, in_w, channels = image_extents(call.args[0], layout)
    _, out_h, out_w, _ = image_extents(var, layout)
    kernel_h, kernel_w = (int(value) for value in attrs.pool_size)
    stride_h, stride_w = (int(value) for value in attrs.strides)
    dilation_h, dilation_w = (int(value) for value in attrs.dilation)
    pad_top, pad_left = (int(value) for value in attrs.padding[:2])
    kind: Literal["max", "average"]
    kind = "max" if tvm_api.op_name(call) == "nn.max_pool2d" else "average"
    problem = Pool2d(
        kind, batch, in_h, in_w, channels, out_h, out_w, kernel_h, kernel_w, stride_h, stride_w,
        pad_top, pad_left, dilation_h, dilation_w,
        border=0.0 if kind == "average" and attrs.count_include_pad else None,
        layout="NCHW" if layout == "NCHW" else "NHWC",
    )  # fmt: skip
    if problem.border is not None and _leaves_padding(call, problem):
        return None
    return problem


def _leaves_padding(call: Any, p: Pool2d) -> bool:
    """Tell whether windows reach beyond the padding too, as they may in ceil mode.

    What is beyond does not count, and the kernel would count it.
    """
    bottom, right = (int(value) for value in call.attrs.padding[2:])
    down = (p.out_h - 1) * p.stride_h + (p.kernel_h - 1) * p.dilation_h - p.pad_top
    across = (p.out_w - 1) * p.stride_w + (p.kernel_w - 1) * p.dilation_w - p.pad_left
    return down >= p.in_h + bottom or across >= p.in_w + right
