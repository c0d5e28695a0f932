"""quality/saturation: quantized activations that clip on the data."""

from __future__ import annotations

from assay.compiler.remarks.remark import Remark
from assay.compiler.remarks.rule import INT8, Example, Rule

RULE = Rule(
    id="quality/saturation",
    meaning="Values of a quantized activation clip on the data: they pile up at an end of the "
    "range that its scale leaves.",
    why="What lies beyond the end is lost: the scale was calibrated on data with a smaller range, "
    "or chosen to cut outliers off.",
    advice="Calibrate the model again on data like this. A fraction of a percent is mostly meant, "
    "and no fault.",
    lines=("SHARE of the values of OP clip (LOW at the low end, HIGH at the high end)",),
    example=Example(
        "8.51% of the values of CONV_2D clip (4.17% at the low end, 4.34% at the high end)",
        model=INT8,
        explain=("--input", "x.npy"),
    ),
)


def remark_on(op: str, layer: str, low: float, high: float) -> Remark:
    """Return the remark on a layer; ``low`` and ``high`` are the shares that clip at either end."""
    ends = f"{low:.2%} at the low end, {high:.2%} at the high end"
    return RULE.remark(f"{low + high:.2%} of the values of {op} clip ({ends})", op=op, layer=layer)
