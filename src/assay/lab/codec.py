"""Results as JSON text and back, checked field by field against the dataclasses."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from dataclasses import MISSING, fields, is_dataclass
from functools import lru_cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

from assay.lab.results import (
    NO_PREDICTION,
    READABLE,
    SCHEMA_VERSION,
    ExperimentResult,
    LayerTimes,
    Quality,
    Results,
    Turns,
)

_EXPERIMENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_DATASET = {"name": str, "samples": int, "classes": list[str], "labels": list[int]}
_WORDS = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "an object",
}


def encode(results: Results) -> str:
    """Return JSON text: fields in declared order, ``schema`` first, one line a list of scalars.

    Numbers that are not finite become null, as JSON has no word for them.
    """
    document = plain(results)
    return _text({"schema": document.pop("schema"), **document}, "") + "\n"


def decode(text: str) -> Results:
    """Read what ``encode`` wrote; a null where a number has to be is NaN.

    ValueError says in one line what is wrong and where: no JSON, another schema version, a field
    that is missing, unknown or of the wrong type, or values that contradict each other.
    """
    try:
        document = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError("its values are nested too deeply") from error
    version = document.get("schema") if isinstance(document, dict) else None
    if type(version) is not int:
        raise ValueError("it has no schema version, so it is no results file")
    if version not in READABLE:
        known = " and ".join(map(str, READABLE))
        raise ValueError(f"it has schema version {version}, but this assay reads {known}")
    results: Results = _read(Results, {**document, "schema": SCHEMA_VERSION}, "")
    _check(results)
    return results


def decode_experiment(document: Any) -> ExperimentResult:
    """Read one experiment from plain JSON data; ValueError as for ``decode``."""
    result: ExperimentResult = _read(ExperimentResult, document, "")
    return result


def plain(value: Any) -> Any:
    """Return dataclasses, tuples and NumPy values as plain JSON data, NaN and infinity as None."""
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):  # a NumPy scalar or array
        return plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _text(value: Any, indent: str) -> str:
    inner = f"{indent}  "
    if isinstance(value, dict) and value:
        lines = [f"{inner}{_line(key)}: {_text(item, inner)}" for key, item in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(item, (list, dict)) for item in value):
        return "[\n" + ",\n".join(inner + _text(item, inner) for item in value) + f"\n{indent}]"
    return _line(value)


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _read(kind: Any, value: Any, where: str) -> Any:
    """Turn plain JSON data into a value of the annotated type ``kind``."""
    if kind is Any:
        return value
    if kind in (str, int, float, bool):
        return _read_scalar(kind, value, where)
    if is_dataclass(kind):
        return _read_dataclass(kind, value, where)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        if value not in arguments:
            raise _wrong(where, f"one of {', '.join(arguments)}", value)
        return value
    if type(None) in arguments:
        return None if value is None else _read(arguments[0], value, where)
    if not isinstance(value, origin):
        raise _wrong(where, _WORDS[origin], value)
    if origin is dict:
        return {key: _read(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if arguments[0] is int and all(type(item) is int for item in value):
        return value  # the long lists: predictions, rows of the confusion matrix
    return [_read(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value)]


def _read_scalar(kind: Any, value: Any, where: str) -> Any:
    if kind is float and value is None:
        return math.nan
    if type(value) is kind or (kind is float and type(value) is int):
        try:
            return kind(value)
        except OverflowError as error:
            raise ValueError(f"{where} is too large for a number") from error
    raise _wrong(where, _WORDS[kind], value)


def _read_dataclass(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise _wrong(where, "an object", value)
    hints = _hints(kind)
    dot = f"{where}." if where else ""
    for key in value:
        if key not in hints:
            raise ValueError(f"{dot}{key} is no field that this assay knows")
    for field in fields(kind):
        required = field.default is MISSING and field.default_factory is MISSING
        if required and field.name not in value:
            raise ValueError(f"{dot}{field.name} is missing")
    return kind(**{key: _read(hints[key], item, f"{dot}{key}") for key, item in value.items()})


@lru_cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _wrong(where: str, wanted: str, value: Any) -> ValueError:
    shown = repr(value)
    return ValueError(f"{where} must be {wanted}, not {shown[:40]}{'...' * (len(shown) > 40)}")


def _check(results: Results) -> None:
    """Raise ValueError where fields of the right type do not fit each other."""
    for key, kind in _DATASET.items():
        if key not in results.dataset:
            raise ValueError(f"dataset.{key} is missing")
        _read(kind, results.dataset[key], f"dataset.{key}")
    names = Counter(experiment.name for experiment in results.experiments)
    for name, count in names.items():
        if not _EXPERIMENT_NAME.fullmatch(name):
            raise ValueError(f"the experiment name {name[:40]!r} cannot begin a file's name")
        if count > 1:
            raise ValueError(f"{count} experiments are named {name!r}")
    for experiment in results.experiments:
        if experiment.quality is not None:
            _check_quality(experiment.quality, f"quality of {experiment.name}")
            if len(results.dataset["labels"]) != experiment.quality.samples:
                raise ValueError(f"quality of {experiment.name}: there are not as many labels")
        if experiment.layer_times is not None:
            _check_layers(experiment.layer_times, f"layer times of {experiment.name}")
    if results.turns is not None:
        _check_turns(results.turns, set(names))


def _check_layers(times: LayerTimes, what: str) -> None:
    known = {layer.operator for layer in times.layers}
    if len(known) != len(times.layers):
        raise ValueError(f"{what}: an operator is listed twice")
    for kernel in times.kernels:
        for operator in (*kernel.layers, *kernel.serves):
            if operator not in known:
                raise ValueError(f"{what}: a kernel names operator {operator}, which is not listed")


def _check_turns(turns: Turns, names: set[str]) -> None:
    shapes = set()
    for name, launches in turns.rounds_ms.items():
        if name not in names:
            raise ValueError(f"turns: there is no experiment {name[:40]!r}")
        shapes.add(tuple(map(len, launches)))
        if not all(0 < value < math.inf for launch in launches for value in launch):
            raise ValueError(f"turns of {name}: a time is not above zero")
    if len(shapes) > 1 or not all(shape and min(shape) > 0 for shape in shapes):
        raise ValueError("turns: the experiments differ in launches or rounds, or have none")


def _check_quality(quality: Quality, what: str) -> None:
    classes = len(quality.confusion_matrix)
    if not classes or any(len(row) != classes for row in quality.confusion_matrix):
        raise ValueError(f"{what}: the confusion matrix is empty or not square")
    if len(quality.predictions) != quality.samples:
        raise ValueError(
            f"{what}: {len(quality.predictions)} predictions for {quality.samples} samples"
        )
    if not all(NO_PREDICTION <= prediction < classes for prediction in quality.predictions):
        raise ValueError(f"{what}: a prediction is not the index of a class")
