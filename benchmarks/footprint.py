"""How much memory and disk contenders of ``benchmarks.peers`` need: nothing is measured here."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

PEERS = ("litert", "openvino")
BUILD = "assay O3"
ABSENT = "-"


def footprint_rows(benches: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Return the table: heading, and a row a model with memory and sizes in MB (1e6 bytes)."""
    table = [["model", *(f"{name} MB" for name in (*PEERS, BUILD)), "model file MB", "library MB"]]
    table[0].append("library / model file")
    for bench in benches:
        peaks = medians(bench, "first_peak_bytes")
        files = medians(bench, "file_bytes")
        cells = [_megabytes(peaks.get(name)) for name in (*PEERS, BUILD)]
        model, library = files.get("litert"), files.get(BUILD)
        share = ABSENT if model is None or library is None else f"{library / model:.2f}"
        row = [bench["outcomes"][0]["contender"]["model"], *cells]
        table.append([*row, _megabytes(model, 3), _megabytes(library, 3), share])
    return table


def medians(bench: dict[str, Any], cost: str) -> dict[str, float]:
    """Return the median over launches of a cost, by contender that came through."""
    return {
        outcome["contender"]["label"]: median(launch["costs"][cost] for launch in launches)
        for outcome in bench["outcomes"]
        if (launches := outcome["launches"])
    }


def _megabytes(size: float | None, digits: int = 1) -> str:
    return ABSENT if size is None else f"{size / 1e6:.{digits}f}"
