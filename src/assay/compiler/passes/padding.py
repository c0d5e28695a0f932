"""Padding in front of operators with windows, whose kernels pad as they read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeVar

from assay.compiler import tvm_api
from assay.compiler.kernels.pool import Pool2d
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.passes.chains import Graph

Windows = TypeVar("Windows", Conv2d, Pool2d)

_UNIT_AXES = ("reshape", "expand_dims", "squeeze")


@dataclass(frozen=True)
class Padding:
    """A tensor that is an image inside a border of ``value``: ``source`` with rows and columns.

    ``source`` may have more or fewer axes of size 1 than the image. ``padded`` are the variables
    that are not needed, should nothing else use them.
    """

    source: Any
    value: float
    height: tuple[int, int]
    width: tuple[int, int]
    padded: tuple[Any, ...]

    def taken_by(self, problem: Windows) -> Windows:
        """Return the problem of the image inside, in whose own padding the border is."""
        return replace(
            problem,
            in_h=problem.in_h - sum(self.height),
            in_w=problem.in_w - sum(self.width),
            pad_top=problem.pad_top + self.height[0],
            pad_left=problem.pad_left + self.width[0],
        )


def read_padding(graph: Graph, image: Any, layout: str) -> Padding | None:
    """Return what an image of that layout is padded with.

    None if it is not, if other axes are as well, or if the border is no constant.
    """
    shape, views = tvm_api.static_shape(image), []
    while graph.calls(image) in _UNIT_AXES:
        views.append(image)
        image = graph.value[image].args[0]
    if graph.calls(image) != "nn.pad":
        return None
    call = graph.value[image]
    flat = [int(width) for width in call.attrs.pad_width]
    if str(call.attrs.pad_mode) != "constant" or min(flat) < 0:
        return None
    widths = _on_axes_of(
        shape, tvm_api.static_shape(image), list(zip(flat[::2], flat[1::2], strict=True))
    )
    if widths is None:
        return None
    around = dict(zip(layout, widths, strict=True))
    if around["N"] != (0, 0) or around["C"] != (0, 0):
        return None
    value = tvm_api.scalar(call.attrs.pad_value)
    return Padding(call.args[0], value, around["H"], around["W"], (image, *views))


def _on_axes_of(
    shape: tuple[int, ...], padded: tuple[int, ...], widths: list[tuple[int, int]]
) -> list[tuple[int, int]] | None:
    """Return the padding of each axis of a reshaped tensor, if others of size 1 are all it has."""
    longer = [(size, width) for size, width in zip(padded, widths, strict=True) if size != 1]
    if [size for size, _ in longer] != [size for size in shape if size != 1]:
        return None
    left = iter(longer)
    return [next(left)[1] if size != 1 else (0, 0) for size in shape]
