"""Builds of the demo's networks that several tests look at, each made once in a process."""

from __future__ import annotations

from functools import cache
from typing import Any

import assay
from assay.compiler.build import Build
from assay.data import DIGITS_FP32, DIGITS_INT8

_MODELS = {"fp32": DIGITS_FP32, "int8": DIGITS_INT8}


def built(network: str, **choices: Any) -> Build:
    """Return the build of the FP32 or the INT8 network; nobody may change it."""
    full = {"layout": "nhwc", "opt_level": 3, "pipeline": "assay", **choices}
    return _built(network, tuple(sorted(full.items())))


@cache
def _built(network: str, choices: tuple[tuple[str, Any], ...]) -> Build:
    return assay.compile(_MODELS[network], **dict(choices))
