"""Values as text for people: numbers with their unit, and escaping for Markdown.

A value that is absent shows as a dash, one that is not finite as ``n/a``.
"""

from __future__ import annotations

import math
import re
from typing import Any

from assay.lab.results import Timing

ABSENT = "–"  # noqa: RUF001 - an en dash is meant
_NOT_FINITE = "n/a"


def percent(share: float | None) -> str:
    """Show a share from 0 to 1 in percent, with two decimals."""
    return ABSENT if share is None else _number(100 * share, 2, "%")


def milliseconds(ms: float | None) -> str:
    """Show milliseconds with about four significant digits."""
    return ABSENT if ms is None else _number(ms, _decimals(ms), "ms")


def mean_and_std(timing: Timing | None) -> str:
    """Show mean ± standard deviation in milliseconds, both with the decimals of the mean."""
    if timing is None:
        return ABSENT
    decimals = _decimals(timing.mean_ms)
    return f"{_number(timing.mean_ms, decimals)} ± {_number(timing.std_ms, decimals, 'ms')}"


def seconds(s: float | None) -> str:
    """Show seconds with two decimals."""
    return ABSENT if s is None else _number(s, 2, "s")


def mebibytes(size: int | None) -> str:
    """Show bytes in MiB (1048576 bytes), small ones in KiB."""
    if size is None:
        return ABSENT
    return f"{size / 2**20:.2f} MiB" if size >= 2**20 else f"{size / 2**10:.2f} KiB"


def byte_count(size: int | None) -> str:
    """Show bytes as ``mebibytes`` does, with the exact count behind."""
    return ABSENT if size is None else f"{mebibytes(size)} ({size} bytes)"


def fact(value: Any) -> str:
    """Show any JSON value on one line: lists by commas, objects as ``key: value``."""
    if value is None:
        return ABSENT
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(fact(item) for item in value) or ABSENT
    if isinstance(value, dict):
        return ", ".join(f"{key}: {fact(item)}" for key, item in value.items()) or ABSENT
    return one_line(str(value)) or ABSENT


def one_line(text: str) -> str:
    """Join lines by spaces and replace what does not print, such as terminal escapes."""
    joined = " ".join(text.split())
    return "".join(char if char.isprintable() else "�" for char in joined)


def markdown(text: str) -> str:
    """Escape text so that Markdown shows it as it is, in a paragraph, heading or table cell."""
    lone_underscore = r"(?<![^\W_])_|_(?![^\W_])"
    return re.sub(rf"([\\`*\[\]<>|~$#&]|{lone_underscore})", r"\\\1", one_line(text))


def code(text: str) -> str:
    """Make text a code span for a table cell; its fence outlasts any backticks inside."""
    line = one_line(text).replace("|", r"\|")
    fence = "`" * (_longest_run(line) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def code_block(text: str) -> str:
    """Make text a fenced block of one line."""
    line = one_line(text)
    fence = "`" * max(3, _longest_run(line) + 1)
    return f"{fence}text\n{line}\n{fence}"


def _longest_run(line: str) -> int:
    return max((len(run) for run in re.findall("`+", line)), default=0)


def _decimals(ms: float) -> int:
    return 4 if ms < 1 else 3 if ms < 10 else 2 if ms < 100 else 1


def _number(value: float, decimals: int, unit: str = "") -> str:
    if not math.isfinite(value):
        return _NOT_FINITE
    return f"{value:.{decimals}f} {unit}".rstrip()
