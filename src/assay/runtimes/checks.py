"""Checks that opening a model has in common across runtimes."""

from __future__ import annotations

from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING

from assay.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from os import PathLike


def check_threads(threads: int) -> None:
    """Raise ConfigError unless ``threads`` is a number of threads that a runtime can use."""
    if threads < 1:
        raise ConfigError(f"threads is {threads}; a runtime needs at least 1")


def check_suffix(path: str | PathLike[str], runtime: str, *suffixes: str) -> None:
    """Raise ModelError unless ``path`` is a file whose name ends in one of ``suffixes``."""
    file = Path(path)
    if file.suffix.lower() not in suffixes:
        formats = " and ".join(suffixes)
        raise ModelError(f"{path}: {runtime} reads {formats} files only; export the model as such")
    if not file.is_file():
        raise ModelError(f"{path}: no such file")


def refusal(path: str | PathLike[str], runtime: str, reason: str) -> ModelError:
    """Build the error that says in one line why a runtime would not load a model."""
    return ModelError(
        f"{path}: {runtime} refuses the model: {shorten(reason, 300, placeholder=' ...')}"
    )
