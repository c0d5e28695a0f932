"""docs/operators.md says what the compiler's table says."""

from __future__ import annotations

import re
from pathlib import Path

from assay.compiler.frontend.folding import FOLDS
from assay.compiler.frontend.operators import OPERATORS, operators_table

PAGE = (Path(__file__).parents[3] / "docs" / "operators.md").read_text()


def test_every_operator_has_a_row() -> None:
    rows = [line for line in operators_table().splitlines() if line.startswith("| `")]
    assert len(rows) == len(OPERATORS)
    [conv] = [row for row in rows if row.startswith("| `CONV_2D` ")]
    assert conv == "| `CONV_2D` | x | x | x | x | x | | |"
    [pad] = [row for row in rows if row.startswith("| `PADV2` ")]
    assert pad == "| `PADV2` | x | x | x | x | | x | paddings, value |"


def test_the_page_names_what_compiles_as_a_constant_only() -> None:
    [sentence] = re.findall(r"then, too\. (.*?) compile in that\nform only", PAGE, re.DOTALL)
    assert set(re.findall(r"`(\w+)`", sentence)) == set(FOLDS) - set(OPERATORS)
