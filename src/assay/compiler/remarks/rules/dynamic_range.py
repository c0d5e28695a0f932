"""precision/weights-kept, precision/weights-dequantized: what became of dynamic-range weights."""

from __future__ import annotations

from collections.abc import Iterator

from assay.compiler.config import Config
from assay.compiler.remarks.facts import Facts, OpFact
from assay.compiler.remarks.remark import Remark
from assay.compiler.remarks.rule import DYNAMIC, Example, Rule


def _dynamic_range(facts: Facts) -> list[OpFact]:
    """Return the operators of the model with quantized weights and activations that are not."""
    return [
        op
        for op in facts.imported
        if op.heavy and op.weights_from == "dequantize" and op.through != "dequantize"
    ]


def _are_kept(facts: Facts) -> bool:
    """Tell whether kernels dequantize: in such a model there is nothing but weights to do it to."""
    return any("dequantize" in kernel.parts for kernel in facts.kernels)


def _find_kept(facts: Facts, rule: Rule) -> Iterator[Remark]:
    fix = facts.missing(opt_level=max(facts.config.opt_level, 3), pipeline="assay")
    for op in _dynamic_range(facts) if _are_kept(facts) else ():
        line = f"weights of {op.kind} stay INT8 and are dequantized in each inference"
        yield rule.remark(line, op=op.kind, fix=fix)


def _find_dequantized(facts: Facts, rule: Rule) -> Iterator[Remark]:
    for op in () if _are_kept(facts) else _dynamic_range(facts):
        yield rule.remark(
            f"INT8 weights of {op.kind} are dequantized once, by the build", op=op.kind
        )


KEPT = Rule(
    id="precision/weights-kept",
    meaning="The library holds the weights of a dynamic-range model as the file does, as INT8.",
    why="It is as small as the file; each inference turns all weights into FP32 anew.",
    advice="Compile at level 2 or above, which dequantizes once, unless size matters more.",
    lines=("weights of OP stay INT8 and are dequantized in each inference",),
    example=Example(
        "weights of conv2d NHWC stay INT8 and are dequantized in each inference",
        model=DYNAMIC,
        config=Config(opt_level=1),
    ),
    find=_find_kept,
)

DEQUANTIZED = Rule(
    id="precision/weights-dequantized",
    meaning="The library holds the weights of a dynamic-range model as FP32.",
    why="They take four times their size in the model file, and no time to dequantize.",
    advice="Nothing, or level 1 if size matters more than speed: it keeps them as INT8.",
    lines=("INT8 weights of OP are dequantized once, by the build",),
    example=Example(
        "INT8 weights of conv2d NHWC are dequantized once, by the build", model=DYNAMIC
    ),
    find=_find_dequantized,
)
