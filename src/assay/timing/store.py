"""A comparison as a JSON file, and what of an old one a new one is held against."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from assay.errors import ResultsError
from assay.lab.store import write_text
from assay.timing.record import SCHEMA_VERSION, Bench


@dataclass(frozen=True)
class Recorded:
    """One contender of an earlier comparison; ``values_ms`` are its rounds', launch by launch."""

    label: str
    model_sha256: str | None
    values_ms: list[list[float]]


@dataclass(frozen=True)
class Earlier:
    """An earlier comparison: where it was made and those contenders that came through."""

    path: Path
    cpu: str
    threads: int
    contenders: dict[str, Recorded]


def save(bench: Bench, path: Path) -> None:
    """Write a comparison atomically; ResultsError if the path cannot be written."""
    write_text(path, encode(asdict(bench)) + "\n")


def encode(value: Any, indent: str = "") -> str:
    """Return JSON with a line for each field, but lists of numbers on one line."""
    inner = indent + "  "
    if isinstance(value, dict) and value:
        lines = [f"{inner}{json.dumps(key)}: {encode(item, inner)}" for key, item in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, (list, tuple)) and any(isinstance(i, (dict, list, tuple)) for i in value):
        return "[\n" + ",\n".join(inner + encode(i, inner) for i in value) + f"\n{indent}]"
    return json.dumps(str(value) if isinstance(value, Path) else value, allow_nan=False)


def load_earlier(path: Path) -> Earlier:
    """Read what ``save`` wrote; ResultsError if it is something else."""
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise ResultsError(
            f"{path} cannot be read ({error.strerror}): write it with assay bench --json"
        ) from error
    except (ValueError, RecursionError) as error:
        raise _no_comparison(path) from error
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema is not None and schema != SCHEMA_VERSION:
        raise ResultsError(f"{path} has schema {schema}, not {SCHEMA_VERSION}: measure again")
    try:
        return _earlier(path, document)
    except (KeyError, TypeError, ValueError) as error:
        raise _no_comparison(path) from error


def _earlier(path: Path, document: Any) -> Earlier:
    from statistics import median

    contenders = {}
    for outcome in document["outcomes"]:
        if outcome["status"] == "timed":
            label = outcome["contender"]["label"]
            values = [
                [median(each["samples_ns"]) / 1e6 for each in launch["rounds"]]
                for launch in outcome["launches"]
            ]
            if not all(value > 0 for launch in values for value in launch):
                raise ValueError(label)
            contenders[label] = Recorded(label, outcome["contender"]["model_sha256"], values)
    audit = document["audit"]
    return Earlier(path, audit["machine"]["cpu"], audit["threads"], contenders)


def _no_comparison(path: Path) -> ResultsError:
    return ResultsError(f"{path} is no comparison of assay: write it with assay bench --json")
