"""A remark's fix, as the Config that it leads to and as a command to paste."""

from __future__ import annotations

import shlex
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from assay.compiler.config import Config
from assay.compiler.remarks.remark import Remark


def fixed(config: Config, remark: Remark) -> Config:
    """Return the Config with the remark's fix applied; the same one if it has none."""
    changes: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in remark.fix.items()
    }
    return replace(config, **changes)


def options_of(config: Config) -> list[str]:
    """Return a Config as options of the command line; defaults are left out."""
    words: list[str] = []
    for field in fields(config):
        value = getattr(config, field.name)
        if value != field.default:
            words += _option(field.name, value)
    return words


def command(model: Path, config: Config, output: str = "") -> str:
    """Return the command that builds a model like that; ``output`` defaults to MODEL.so."""
    target = output or f"{model.stem}.so"
    return shlex.join(["assay", "compile", str(model), "-o", target, *options_of(config)])


def _option(name: str, value: Any) -> list[str]:
    option = "--" + name.replace("_", "-")
    if name == "convert_ops":
        return [option, ",".join(value)]
    values = value if isinstance(value, tuple) else (value,)
    return [word for one in values for word in (option, str(one))]
