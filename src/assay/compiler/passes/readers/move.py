"""Read operators that move elements, and chains of them, as one kernel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from types import MappingProxyType
from typing import Any

from assay.compiler import tvm_api
from assay.compiler.kernels.move import BITS, Box, Loop, Move, joined
from assay.compiler.passes.chains import Graph
from assay.compiler.passes.layouts import axes as permuted_axes
from assay.compiler.passes.readers.operator import Operator

_MOST_BOXES = 32  # each has code of its own


@dataclass(frozen=True)
class _View:
    """A tensor as boxes of the tensors that it comes from; ``covered`` is what lies between."""

    shape: tuple[int, ...]
    boxes: tuple[Box, ...]
    sources: tuple[Any, ...]
    fills: tuple[float, ...] = ()
    covered: tuple[Any, ...] = ()


def read(graph: Graph, var: Any) -> Operator | None:
    """Read the last of a chain; those before it are read with it."""
    chain = [var]
    while (user := graph.only_user(chain[-1])) is not None and user not in graph.taken:
        if graph.calls(user) not in (*_RULES, "reshape"):
            break
        chain.append(user)
    movers = [each for each in chain if graph.calls(each) in _RULES]
    for last in reversed(movers):
        view = _view(graph, last)
        if view is not None and (last is var or var in view.covered):
            return _operator(last, view) if last is var else None
    return None


def _operator(var: Any, view: _View) -> Operator | None:
    dtype, shapes = str(var.ty.dtype), tuple(map(tvm_api.static_shape, view.sources))
    fits = dtype in BITS and len(set(view.fills)) <= 1 and len(view.boxes) <= _MOST_BOXES
    if not fits or not view.sources or 0 in (*view.shape, *map(prod, shapes)):
        return None
    fill = view.fills[0] if view.fills else 0.0
    problem = Move(dtype, shapes, view.shape, view.boxes, fill)
    return Operator(problem, (*view.covered, var), view.sources)


def _view(graph: Graph, var: Any) -> _View | None:
    """Return what an operator moves where, None if its attributes are not known."""
    return _RULES[graph.calls(var)](graph, var)


def _argument(graph: Graph, expr: Any) -> _View:
    """Return an argument as a view of what it comes from, or of itself if others need it too."""
    name = graph.calls(expr)
    alone = graph.only_user(expr) is not None and expr not in graph.taken
    found: _View | None = None
    if alone and name in _RULES:
        found = _view(graph, expr)
    elif alone and name == "reshape":
        inner = _argument(graph, graph.value[expr].args[0])
        found = replace(inner, shape=tvm_api.static_shape(expr))
    if found is None:
        shape = tvm_api.static_shape(expr)
        steps = _steps(shape)
        loops = tuple(Loop(n, step, step) for n, step in zip(shape, steps, strict=True))
        return _View(shape, (Box(0, 0, 0, joined(loops)),), (expr,))
    return replace(found, covered=(*found.covered, expr))


def _steps(shape: Sequence[int]) -> tuple[int, ...]:
    """Return how many elements one step along each axis is."""
    return tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))


def _placed(
    view: _View, steps: Sequence[int], start: int = 0, keep: Sequence[range] | None = None
) -> tuple[Box, ...] | None:
    """Return a view's boxes in a tensor where an element at ``index`` is at ``index . steps``.

    ``keep`` are the indices along each axis that stay. None if a box cannot be written that way.
    """
    boxes = []
    for box in view.boxes:
        placed = _placed_box(box, view.shape, steps, keep)
        if placed is None:
            return None
        boxes += [replace(each, target=each.target + start) for each in placed]
    return tuple(boxes)


def _placed_box(
    box: Box, shape: Sequence[int], steps: Sequence[int], keep: Sequence[range] | None
) -> list[Box] | None:
    by_axis: list[list[Loop]] = [[] for _ in shape]  # targets count along the axis
    for loop in box.loops:
        for axis, part in _along_axes(loop, shape):
            by_axis[axis].append(part)
    place, target, source = box.target, 0, box.source
    firsts: list[int] = []
    for axis, step in enumerate(_steps(shape)):
        first, place = divmod(place, step)
        if first + sum((loop.size - 1) * loop.target for loop in by_axis[axis]) >= shape[axis]:
            return None
        firsts.append(first)
    loops: list[Loop] = []
    for axis, first in enumerate(firsts):
        kept = keep[axis] if keep else range(shape[axis])
        cut = _kept(by_axis[axis], first, kept)
        if cut is None:
            return None
        if not cut:
            return []
        ((first, moved, lines),) = cut
        source += moved
        target += first * steps[axis]
        loops += [replace(loop, target=loop.target * steps[axis]) for loop in lines]
    return [Box(box.input, target, source, joined(loops, filled=box.input is None))]


def _along_axes(loop: Loop, shape: Sequence[int]) -> list[tuple[int, Loop]]:
    """Cut a loop of steps in a tensor into loops along its axes, as (axis, loop)."""
    parts: list[tuple[int, Loop]] = []
    size, target, source = loop.size, loop.target, loop.source
    steps = _steps(shape)
    for axis in reversed(range(len(shape))):
        if size == 1:
            break
        if shape[axis] == 1 or target % steps[axis] or target >= steps[axis] * shape[axis]:
            continue
        stride = target // steps[axis]
        most = shape[axis] // stride if shape[axis] % stride == 0 else size
        count = most if size > most and size % most == 0 else size
        parts.append((axis, Loop(count, stride, source)))
        size, target, source = size // count, target * count, source * count
    return parts if size == 1 else [(0, Loop(size, shape[0] if shape else 1, 0))]


Cut = tuple[int, int, list[Loop]]


def _kept(loops: list[Loop], first: int, kept: range) -> list[Cut] | None:
    """Return (first index, elements moved in the source, loops) of what ``kept`` leaves, if any."""
    whole = kept.start == 0 and kept.step == 1
    if whole and first + sum((n.size - 1) * n.target for n in loops) < kept.stop:
        return [(first, 0, loops)]
    if len(loops) > 1 or (loops and loops[0].target != 1):
        return None
    size = loops[0].size if loops else 1
    taken = [index for index in kept if first <= index < first + size]
    if not taken:
        return []
    at = (taken[0] - kept.start) // kept.step
    step = loops[0].source if loops else 0
    left = [Loop(len(taken), 1, step * kept.step)] if len(taken) > 1 else []
    return [(at, (taken[0] - first) * step, left)]


def _permuted(graph: Graph, var: Any) -> _View | None:
    call = graph.value[var]
    inner = _argument(graph, call.args[0])
    order, shape = permuted_axes(call), tvm_api.static_shape(var)
    steps = _steps(shape)
    boxes = _placed(inner, [steps[order.index(axis)] for axis in range(len(shape))])
    return None if boxes is None else replace(inner, shape=shape, boxes=boxes)


def _sliced(graph: Graph, var: Any) -> _View | None:
    call, shape = graph.value[var], tvm_api.static_shape(var)
    inner = _argument(graph, call.args[0])
    numbers = [
        [int(tvm_api.scalar(each)) for each in argument.fields] for argument in call.args[1:]
    ]
    axes, begins, ends, *rest = numbers
    strides = rest[0] if rest else [1] * len(axes)
    keep = [range(size) for size in inner.shape]
    for axis, begin, end, stride in zip(axes, begins, ends, strides, strict=True):
        size = inner.shape[axis]
        keep[axis] = range(size)[begin:end:stride]
    if min(strides, default=1) < 1 or tuple(map(len, keep)) != shape:
        return None
    boxes = _placed(inner, _steps(shape), keep=keep)
    return None if boxes is None else replace(inner, shape=shape, boxes=boxes)


def _padded(graph: Graph, var: Any) -> _View | None:
    call, shape = graph.value[var], tvm_api.static_shape(var)
    widths = [int(width) for width in call.attrs.pad_width]
    if str(call.attrs.pad_mode) != "constant" or min(widths) < 0:
        return None
    inner = _argument(graph, call.args[0])
    before, steps = widths[::2], _steps(shape)
    start = sum(width * step for width, step in zip(before, steps, strict=True))
    boxes = _placed(inner, steps, start)
    if boxes is None:
        return None
    fill = float(tvm_api.scalar(call.attrs.pad_value))
    borders = tuple(_borders(inner.shape, before, shape))
    fills = (*inner.fills, fill) if borders else inner.fills
    return replace(inner, shape=shape, boxes=(*boxes, *borders), fills=fills)


def _borders(inner: Sequence[int], before: Sequence[int], shape: Sequence[int]) -> list[Box]:
    """Return the boxes of padding: those of an axis span the image's own part of axes before it."""
    steps = _steps(shape)
    boxes = []
    for axis, size in enumerate(shape):
        start = sum(before[a] * steps[a] for a in range(axis))
        end = before[axis] + inner[axis]
        for first, count in ((0, before[axis]), (end, size - end)):
            sizes = (*inner[:axis], count, *shape[axis + 1 :])
            loops = [Loop(n, step, 0) for n, step in zip(sizes, steps, strict=True)]
            if count:
                target = start + first * steps[axis]
                boxes.append(Box(None, target, 0, joined(loops, filled=True)))
    return boxes


def _concatenated(graph: Graph, var: Any) -> _View | None:
    call, shape = graph.value[var], tvm_api.static_shape(var)
    fields = getattr(call.args[0], "fields", None)
    if not fields or call.attrs.axis is None:
        return None
    axis, steps = int(call.attrs.axis) % len(shape), _steps(shape)
    boxes: list[Box] = []
    sources: list[Any] = []
    fills: list[float] = []
    covered: list[Any] = []
    start = 0
    for field in fields:
        inner = _argument(graph, field)
        placed = _placed(inner, steps, start * steps[axis])
        if placed is None:
            return None
        first = len(sources)
        boxes += [
            box if box.input is None else replace(box, input=box.input + first) for box in placed
        ]
        sources += inner.sources
        fills += inner.fills
        covered += inner.covered
        start += inner.shape[axis]
    return _View(shape, tuple(boxes), tuple(sources), tuple(fills), tuple(covered))


_RULES: Mapping[str, Callable[[Graph, Any], _View | None]] = MappingProxyType(
    {
        "concat": _concatenated,
        "nn.pad": _padded,
        "permute_dims": _permuted,
        "strided_slice": _sliced,
    }
)

OPERATORS = tuple(_RULES)
"""Relax operators that are read."""
