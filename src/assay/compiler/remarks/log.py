"""What a compilation writes down: lines for people, remarks as data."""

from __future__ import annotations

from dataclasses import dataclass, field

from assay.compiler.remarks.remark import Remark


@dataclass
class Log:
    """Lines in the order of the work; a remark is kept as such and as its line."""

    lines: list[str] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)

    def append(self, entry: str | Remark) -> None:
        """Add a line, or a remark together with its line."""
        if isinstance(entry, Remark):
            self.remarks.append(entry)
            entry = entry.line
        self.lines.append(entry)
