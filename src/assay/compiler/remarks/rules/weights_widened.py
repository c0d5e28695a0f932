"""precision/weights-widened: INT8 weights held as FP32."""

from __future__ import annotations

from collections.abc import Iterator

from assay.compiler.config import Config
from assay.compiler.remarks.facts import Facts
from assay.compiler.remarks.remark import Remark
from assay.compiler.remarks.rule import INT8, Example, Rule


def _find(facts: Facts, rule: Rule) -> Iterator[Remark]:
    fix = facts.missing(precision="auto", pipeline="assay", layout="nhwc", convert_ops=None)
    for op in facts.ops:
        if op.heavy and op.through == "dequantize" and op.constant_weights:
            yield rule.remark(f"INT8 weights of {op.kind} are stored as FP32", op=op.kind, fix=fix)


RULE = Rule(
    id="precision/weights-widened",
    meaning="The library holds INT8 weights as FP32.",
    why="They take four times their size in the model file, on disk and in the caches.",
    advice="Have the layer run in integers: see precision/float-in-int8.",
    lines=("INT8 weights of OP are stored as FP32",),
    example=Example(
        "INT8 weights of conv2d NHWC are stored as FP32",
        model=INT8,
        config=Config(precision="float"),
    ),
    find=_find,
)
