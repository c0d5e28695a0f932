"""What a rule is: an identity with its explanation, and a predicate over facts of the IR."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from assay.compiler.remarks.facts import Facts
from assay.compiler.remarks.remark import Remark


@dataclass(frozen=True)
class Rule:
    """One kind of remark.

    id: ``group/name``. meaning: one sentence for the documentation. why: what it costs.
    advice: what to try. lines: the evidence it gives, words in capitals standing for what varies.
    find: yields the remarks on a build; None where the one who measures or transforms reports it.
    """

    id: str
    meaning: str
    why: str
    advice: str
    lines: tuple[str, ...]
    find: Callable[[Facts, Rule], Iterator[Remark]] | None = None

    def remark(self, evidence: str, **fields: Any) -> Remark:
        """Return a remark of this kind; ``fields`` are further fields of it."""
        return Remark(self.id, evidence, **{"why": self.why, "advice": self.advice, **fields})
