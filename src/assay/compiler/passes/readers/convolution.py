"""Read convolutions with constant weights, and what before them their kernels can do as well."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from assay.compiler import tvm_api
from assay.compiler.kernels import pointwise
from assay.compiler.passes.chains import Graph
from assay.compiler.passes.convolutions import read_convolution, weights_hwio
from assay.compiler.passes.layouts import TO_NCHW, axes
from assay.compiler.passes.padding import read_padding
from assay.compiler.passes.readers.operator import Operator

_FEW = 4  # channels: of colours


def read(graph: Graph, var: Any) -> Operator | None:
    """Read ``nn.conv2d`` with constant float32 weights."""
    call = graph.value[var]
    weights = tvm_api.constant_value(call.args[1])
    if weights is None or weights.dtype != np.float32:
        return None
    problem = read_convolution(call)
    if problem is None:
        return None
    weights = weights_hwio(call, problem, weights)
    operator = Operator(problem, (var,), (call.args[0],), weights)
    return _with_gate(graph, _with_padding(graph, _with_transpose(graph, operator)))


def _with_transpose(graph: Graph, operator: Operator) -> Operator:
    """Take over the transpose of an image of few channels to NCHW, as that of a network's input.

    (Of more input channels, other kernels may be better than those that read pixels so.)
    """
    p, image = operator.problem, operator.inputs[0]
    fits = p.layout == "NCHW" and p.groups == 1 and p.in_c <= _FEW
    if not fits or not _absorbs(graph, image, "permute_dims"):
        return operator
    call = graph.value[image]
    if axes(call) != TO_NCHW:
        return operator
    problem = replace(p, input_layout="NHWC")
    return replace(operator, problem=problem, inputs=(call.args[0],), absorbed=(image,))


def _with_padding(graph: Graph, operator: Operator) -> Operator:
    """Take over the padding of the image with zeros."""
    p = operator.problem
    padding = read_padding(graph, operator.inputs[0], p.input_layout or p.layout)
    if padding is None or padding.value != 0:
        return operator
    absorbed = (*operator.absorbed, *padding.padded)
    inputs = (padding.source,)
    return replace(operator, problem=padding.taken_by(p), inputs=inputs, absorbed=absorbed)


def _with_gate(graph: Graph, operator: Operator) -> Operator:
    """Take over the multiplication of the input's channels, as in squeeze-and-excitation.

    The kernel multiplies its weights instead, which is worth it if they are smaller than the image.
    """
    gated, p = operator.inputs[0], operator.problem
    if not _absorbs(graph, gated, "multiply") or p.out_c > p.in_h * p.in_w:
        return operator
    problem = replace(p, input_gate=True)
    shapes = {tvm_api.static_shape(each): each for each in graph.value[gated].args}
    fits = shapes.keys() == {problem.input_shape, problem.gate_shape} and len(shapes) == 2
    if not fits or not pointwise.applicable(problem):
        return operator
    source, gate = shapes[problem.input_shape], shapes[problem.gate_shape]
    absorbed = (*operator.absorbed, gated)
    return replace(operator, problem=problem, inputs=(source,), extras=(gate,), absorbed=absorbed)


def _absorbs(graph: Graph, var: Any, op: str) -> bool:
    """Tell whether ``op`` makes a tensor with one user, and no kernel took it along before."""
    alone = graph.only_user(var) is not None and var not in graph.taken
    return alone and graph.calls(var) == op
