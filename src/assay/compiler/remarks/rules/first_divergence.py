"""quality/first-divergence: the first layer that leaves the reference."""

from __future__ import annotations

from assay.compiler.remarks.remark import Remark
from assay.compiler.remarks.rule import DYNAMIC, Example, Rule

RULE = Rule(
    id="quality/first-divergence",
    meaning="From this layer on the build computes something else than LiteRT's reference kernels.",
    why="All layers before it are within their tolerance: 1e-4 of the range of an FP32 layer's "
    "values, one step on average in a quantized one, and eight times what their operands are off, "
    "since layers amplify roundings. What this layer gets wrong reaches all after it.",
    advice="Try --precision float or a lower level to see which choice it is, and assay eval to "
    "see whether it matters. Of a dynamic-range model it is no fault: LiteRT rounds its "
    "activations to 8 bits, assay does not.",
    lines=("OP is DISTANCE from the reference",),
    example=Example(
        "CONV_2D is 3.6e-03 of its range from the reference",
        model=DYNAMIC,
        explain=("--input", "x.npy"),
    ),
)


def remark_on(op: str, layer: str, distance: str) -> Remark:
    """Return the remark on a layer; ``distance`` is how far it is off, in words."""
    return RULE.remark(f"{op} is {distance} from the reference", op=op, layer=layer)
