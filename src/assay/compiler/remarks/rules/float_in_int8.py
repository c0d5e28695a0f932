"""precision/float-in-int8: quantized layers computed in floating point."""

from __future__ import annotations

from collections.abc import Iterator

from assay.compiler.config import Config
from assay.compiler.remarks.facts import Facts
from assay.compiler.remarks.remark import Remark
from assay.compiler.remarks.rule import INT8, Example, Rule


def _find(facts: Facts, rule: Rule) -> Iterator[Remark]:
    fix = facts.missing(
        precision="auto",
        pipeline="assay",
        layout="nhwc",
        convert_ops=None,
        opt_level=max(facts.config.opt_level, 3),
    )
    for op, calls in facts.placed_heavy():
        if op.through == "dequantize":
            yield rule.remark(
                f"{op.kind} of a quantized model runs in {op.dtype}",
                op=op.kind,
                fix=fix,
                calls=calls,
            )
    if "opt_level" not in fix and facts.config.precision == "auto":
        yield from _light(facts, rule)


def _light(facts: Facts, rule: Rule) -> Iterator[Remark]:
    """Name, once each, the other operators that integer kernels could not take over."""
    left = (op for op in facts.ops if not op.heavy and op.dtype == "float32")
    kinds = dict.fromkeys(
        op.kind for op in left if op.through in _TO_FLOAT and op.name not in _BORDERS
    )
    for kind in kinds:
        yield rule.remark(f"{kind} of a quantized model runs in float32", op=kind)


_TO_FLOAT = ("dequantize", "astype")
_BORDERS = ("quantize", "dequantize", "astype", "permute_dims", "reshape")

RULE = Rule(
    id="precision/float-in-int8",
    meaning="A quantized operator runs in floating point.",
    why="Its inputs are dequantized first: the file is smaller than its FP32 twin, the computation "
    "is not faster.",
    advice="Compile at level 3 or above without --precision float and --pipeline stock; with "
    "--layout nchw, --convert-ops has to name qnn.conv2d if it names anything. What is still in "
    "floating point is quantized in a way that the integer kernels do not know, such as 16-bit "
    "activations, or an operator that has none.",
    lines=(
        "OP of a quantized model runs in DTYPE",
        "no integer kernel solves PROBLEM",
    ),
    example=Example(
        "conv2d NHWC of a quantized model runs in float32",
        model=INT8,
        config=Config(precision="float"),
    ),
    find=_find,
)
