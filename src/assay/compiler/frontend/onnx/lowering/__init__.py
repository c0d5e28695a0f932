"""Spell operators by others that compile, where shapes and constants are known. No TVM here.

Source of the semantics: the operators' own specifications, https://onnx.ai/onnx/operators.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from assay.compiler.frontend.onnx.lowering import arithmetic, images, normalization, recurrent
from assay.compiler.frontend.onnx.lowering.quantized import LOWERED as QUANTIZED
from assay.compiler.frontend.onnx.lowering.site import Site, Surroundings

LOWERED: dict[str, Callable[[Site], None]] = {
    **QUANTIZED,
    **arithmetic.LOWERED,
    **images.LOWERED,
    **normalization.LOWERED,
    **recurrent.LOWERED,
}
"""Operator -> what adds the nodes that stand for it."""

OBSTACLES: dict[str, Callable[[Site], str]] = {
    **arithmetic.OBSTACLES,
    **images.OBSTACLES,
    **recurrent.OBSTACLES,
}
"""Operator -> why it has a form that cannot be spelled by others; '' if it has not."""


def lower(part: Any) -> bool:
    """Replace the nodes of ``LOWERED``; those that stand for one keep its ``doc_string``.

    Tells whether there were any.
    """
    around = Surroundings(part)
    nodes = list(part.graph.node)
    del part.graph.node[:]
    found = False
    for node in nodes:
        own = LOWERED.get(node.op_type) if node.domain in ("", "ai.onnx") else None
        if own is None or obstacle(node, around):
            part.graph.node.append(node)
            continue
        found = True
        own(Site(around, node))
    return found


def obstacle(node: Any, around: Surroundings) -> str:
    """Return why a node of ONNX's own cannot be spelled by others; '' if it can or need not."""
    why = OBSTACLES.get(node.op_type)
    return "" if why is None else why(Site(around, node))
