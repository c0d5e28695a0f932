"""Read the resizing of images, and the picking of pixels by constant indices."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from tvm import relax

from assay.compiler import tvm_api
from assay.compiler.kernels import resampling
from assay.compiler.kernels.problem import Layout
from assay.compiler.kernels.resampling import Resampling
from assay.compiler.kernels.resize import Resize, tables
from assay.compiler.passes.chains import Graph
from assay.compiler.passes.convolutions import image_extents
from assay.compiler.passes.readers.operator import Operator

_MOST_PICKED = 1 << 16  # indices that become tables


def read(graph: Graph, var: Any) -> Operator | None:
    """Read ``image.resize2d`` of float32."""
    call = graph.value[var]
    source, attrs = call.args[0], call.attrs
    layout: Layout = "NCHW" if str(attrs.layout) == "NCHW" else "NHWC"
    if str(attrs.layout) != layout or {str(source.ty.dtype), str(var.ty.dtype)} != {"float32"}:
        return None
    batch, in_h, in_w, channels = image_extents(source, layout)
    _, out_h, out_w, _ = image_extents(var, layout)
    rows, columns = resampling_of(attrs, in_h, out_h), resampling_of(attrs, in_w, out_w)
    if rows is None or columns is None:
        return None
    return _operator(Resize(batch, channels, rows, columns, layout=layout), (var,), source)


def read_take(graph: Graph, var: Any) -> Operator | None:
    """Read ``take`` of float32 by a vector of constants, and another along the next axis."""
    found = picked_pixels(graph, var, ("float32",))
    if found is None:
        return None
    return _operator(Resize(*found.sizes), found.variables, found.source)


@dataclass(frozen=True)
class PickedPixels:
    """What one or two ``take`` do: ``sizes`` are (batch, channels, rows, columns)."""

    sizes: tuple[int, int, Resampling, Resampling]
    variables: tuple[Any, ...]
    source: Any


def picked_pixels(graph: Graph, var: Any, dtypes: tuple[str, ...]) -> PickedPixels | None:
    """Read ``take`` by a vector of constants, and another that follows along the next axis."""
    rows = _picked(graph, var, dtypes)
    if rows is None:
        return None
    source = graph.value[var].args[0]
    shape, axis = tvm_api.static_shape(source), int(graph.value[var].attrs.axis)
    below = graph.only_user(var)
    columns = None
    if graph.calls(below) == "take" and below not in graph.taken:
        call = graph.value[below]
        follows = call.args[0].same_as(var) and call.attrs.axis == axis + 1
        columns = _picked(graph, below, dtypes) if follows else None
    variables = (var,) if columns is None else (var, below)
    columns = columns or resampling.picked(1, [0])
    sizes = (prod(shape[:axis]), prod(shape[axis + 1 :]) // columns.inputs, rows, columns)
    return PickedPixels(sizes, variables, source)


def _operator(problem: Resize, variables: tuple[Any, ...], source: Any) -> Operator | None:
    if 0 in (*problem.input_shape, *problem.output_shape):
        return None
    extras = tuple(relax.const(table) for table in tables(problem))
    return Operator(problem, variables, (source,), extras=extras)


def resampling_of(attrs: Any, inputs: int, outputs: int) -> Resampling | None:
    """Return which elements of an axis ``image.resize2d`` mixes; None for modes not known."""
    method, mode = str(attrs.method), str(attrs.coordinate_transformation_mode)
    if inputs == outputs and mode != "tf_crop_and_resize":
        return resampling.picked(inputs, list(range(inputs)))
    if method == "nearest_neighbor":
        return resampling.nearest(inputs, outputs, mode, str(attrs.rounding_method))
    if method == "linear":
        return resampling.linear(inputs, outputs, mode)
    alpha, exclude = float(attrs.cubic_alpha), bool(attrs.cubic_exclude)
    return resampling.cubic(inputs, outputs, mode, alpha, exclude) if method == "cubic" else None


def _picked(graph: Graph, var: Any, dtypes: tuple[str, ...]) -> Resampling | None:
    call = graph.value[var]
    source, indices = call.args[0], tvm_api.constant_value(call.args[1])
    if call.attrs.axis is None or int(call.attrs.axis) < 0 or str(source.ty.dtype) not in dtypes:
        return None
    size = tvm_api.static_shape(source)[int(call.attrs.axis)]
    if indices is None or indices.ndim != 1 or not 0 < indices.size <= _MOST_PICKED:
        return None
    within = indices.min() >= 0 and indices.max() < size
    return resampling.picked(size, indices.tolist()) if within else None
