"""A remark about a build, as data; lines of a log and of a table are renderings of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Remark:
    """One finding about one operator, kernel, or the whole build.

    id: the rule that found it, ``group/name`` (docs/remarks.md).
    evidence: the fact, equal for equal facts, so that its unique lines are a summary.
    op: the operator's kind, such as ``conv2d NHWC``; '' if it concerns the whole build.
    layer: the name in the model file of the tensor that the operator computes; '' if unknown.
    why: why that costs time, size or accuracy. advice: what to try, one sentence.
    fix: the fields of a Config that would mend it; empty if none does.
    calls: positions, among the build's kernel calls in execution order, that spend the time.
    cost_ms: measured time of one inference that the fix would save; None if not measured.
    share: ``cost_ms`` as a share of the whole inference.
    """

    id: str
    evidence: str
    op: str = ""
    layer: str = ""
    why: str = ""
    advice: str = ""
    fix: Mapping[str, Any] = field(default_factory=dict, hash=False)
    calls: tuple[int, ...] = ()
    cost_ms: float | None = None
    share: float | None = None

    @property
    def line(self) -> str:
        """The remark as a line of the build's log."""
        return f"[{self.id.partition('/')[0]}] {self.evidence}"

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-able values."""
        return {**asdict(self), "fix": dict(self.fix), "calls": list(self.calls)}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Remark:
        """Read back what ``as_dict`` gave; TypeError or KeyError for anything else."""
        return cls(**{**fields, "calls": tuple(fields["calls"]), "fix": dict(fields["fix"])})
