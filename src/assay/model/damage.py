"""What is wrong with the content of a model file, before anyone has named the file."""

from __future__ import annotations

AGAIN = "export the model again, or fetch the file again"


class Damage(Exception):  # noqa: N818 - a finding about a file, turned into a ModelError
    """One finding, worded to follow "<path> is damaged: ", and what helps."""

    def __init__(self, what: str, remedy: str = AGAIN) -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy


def shortened(name: str, limit: int = 60) -> str:
    """Return a name out of a file in quotes, on one line and of bearable length."""
    return repr(name if len(name) <= limit else f"{name[:limit]}...")
