"""Finding runtimes by name: built-in ones and those that other packages bring.

A package adds one with an entry point in the group ``assay.runtimes``: a function that takes the
path of a model and ``threads`` and returns a :class:`assay.runtimes.base.Runtime`.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from assay.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from assay.runtimes.base import Runtime

GROUP = "assay.runtimes"


def runtime_names() -> tuple[str, ...]:
    """Return the names of all runtimes, sorted; nothing of them is imported."""
    return tuple(_registered())


def open_runtime(name: str, path: str | Path, threads: int = 1) -> Runtime:
    """Load a model into the runtime of that name.

    ConfigError if no installed package brings it or several do; otherwise what the runtime raises.
    """
    registered = _registered()
    if name not in registered:
        raise ConfigError(
            f"no runtime is named {name!r}: there are {', '.join(sorted(registered))}"
        )
    runtime: Runtime = registered[name].load()(path, threads=threads)
    return runtime


def _registered() -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        if point.name in found:
            raise ConfigError(
                f"two packages bring a runtime named {point.name!r}, {_package(found[point.name])} "
                f"and {_package(point)}: uninstall one"
            )
        found[point.name] = point
    return dict(sorted(found.items()))


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value
