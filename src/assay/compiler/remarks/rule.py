"""What a rule is: an identity with its explanation, and a predicate over facts of the IR."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from assay.compiler.config import Config
from assay.compiler.remarks.facts import Facts
from assay.compiler.remarks.remark import Remark

FP32, INT8, DYNAMIC = "model.tflite", "model.int8.tflite", "model.dynamic.tflite"
"""The models of examples: FP32, quantized, and FP32 with quantized weights."""

_PLAIN = Config()


@dataclass(frozen=True)
class Example:
    """A command that provokes a remark, and its evidence.

    ``explain`` are further options of ``assay explain``, where compiling alone does not show it.
    """

    evidence: str
    model: str = FP32
    config: Config = _PLAIN
    explain: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Rule:
    """One kind of remark.

    id: ``group/name``. meaning: one sentence for the documentation. why: what it costs.
    advice: what to try. lines: the evidence it gives, words in capitals standing for what varies.
    example: how to see one.
    find: yields the remarks on a build; None where the one who measures or transforms reports it.
    """

    id: str
    meaning: str
    why: str
    advice: str
    lines: tuple[str, ...]
    example: Example
    find: Callable[[Facts, Rule], Iterator[Remark]] | None = None

    def remark(self, evidence: str, **fields: Any) -> Remark:
        """Return a remark of this kind; ``fields`` are further fields of it."""
        return Remark(self.id, evidence, **{"why": self.why, "advice": self.advice, **fields})
