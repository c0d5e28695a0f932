"""Every operator and scheme of the table, against LiteRT's reference kernels."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.compiler.frontend.operators import OPERATORS
from tests.compiler.frontend.cases import CASES
from tests.compiler.frontend.one_operator import Case, Problem, check, compiled

PROBLEMS = [
    pytest.param(case, scheme, id=f"{case.name}-{scheme}-{index}")
    for index, case in enumerate(CASES)
    for scheme in case.schemes.split()
]


@pytest.mark.parametrize(("case", "scheme"), PROBLEMS)
def test_an_operator_computes_what_litert_computes(case: Case, scheme: str, tmp_path: Path) -> None:
    problem = Problem(case, scheme)
    path = tmp_path / "model.tflite"
    path.write_bytes(problem.data)
    check(problem, compiled(path, problem.feeds))


BACKWARDS = [
    case
    for case in CASES
    if min(case.options.get("axis", 0), *case.options.get("squeeze_dims", (0,)), 0) < 0
]


@pytest.mark.parametrize("case", BACKWARDS, ids=lambda case: case.name)
def test_axes_from_the_back_survive_another_layout(case: Case, tmp_path: Path) -> None:
    problem = Problem(case, "fp32")
    path = tmp_path / "model.tflite"
    path.write_bytes(problem.data)
    check(problem, compiled(path, problem.feeds, opt_level=3, layout="nchw"))


def test_the_table_holds_just_what_the_cases_cover() -> None:
    covered: dict[str, set[str]] = {}
    for case in CASES:
        covered.setdefault(case.name, set()).update(case.schemes.split())
    # Custom operators have tests of their own.
    builtin = {name: e for name, e in OPERATORS.items() if not name.startswith("CUSTOM:")}
    assert {name: set(entry.schemes) for name, entry in builtin.items()} == covered
