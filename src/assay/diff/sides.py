"""The two sides of a comparison: an experiment of a lab's results, or a compiled library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from assay.compiler.kernel_calls import KernelCall
from assay.errors import ConfigError
from assay.lab.results import ExperimentResult, Results


@dataclass(frozen=True)
class Call:
    """A kernel call of a build: its kernel's name, and operators' kinds as in the model file.

    ``ops`` are those whose own work it does; a call without any only converts.
    """

    symbol: str
    ops: tuple[str, ...]


@dataclass(frozen=True)
class Side:
    """One result. ``label`` is what the user called it.

    ``run`` holds the experiment; None for a library, of which only the manifest tells. ``calls``
    are None where nothing is known of kernels: another runtime, or results of an older assay.
    """

    label: str
    experiment: ExperimentResult
    run: Results | None
    calls: tuple[Call, ...] | None


def open_side(text: str) -> Side:
    """Open ``RESULTS``, ``RESULTS:EXPERIMENT`` or ``LIBRARY.so``; RESULTS is a file or its folder.

    ResultsError or ArtifactError for what cannot be read; ConfigError if the experiment is not
    named where there are several, or has no result.
    """
    path, name = _parts(text)
    if path.suffix == ".so":
        return _library(text, path)
    run = _load(path / "results.json" if path.is_dir() else path)
    experiment = _experiment(path, name, run)
    times = experiment.layer_times
    calls = None
    if times is not None:
        kinds = {layer.operator: layer.op for layer in times.layers}
        calls = tuple(
            Call(kernel.symbol, tuple(kinds[operator] for operator in kernel.layers))
            for kernel in times.kernels
        )
    return Side(text, experiment, run, calls)


def profile_sides(sides: Sequence[Side], threads: int = 1) -> list[Side]:
    """Return libraries with the times of their kernels, taken in turns on this machine.

    ConfigError if a side is no library; ArtifactError if one cannot run here.
    """
    from assay.lab.layers import layer_times
    from assay.runtimes.tvm import open_tvm
    from assay.timing.profiler import profile_in_turns

    for side in sides:
        if side.run is not None:
            raise ConfigError(
                f"{side.label} is no library and has its times already: leave --profile out"
            )
    profiles = profile_in_turns([open_tvm(side.label, threads) for side in sides])
    return [
        replace(side, experiment=replace(side.experiment, layer_times=layer_times(profile)))
        for side, profile in zip(sides, profiles, strict=True)
    ]


@lru_cache(maxsize=2)
def _load(path: Path) -> Results:
    """Read a file once, so that two sides of one run know that they are."""
    from assay.lab.store import load

    return load(path)


def _parts(text: str) -> tuple[Path, str | None]:
    path = Path(text)
    before, colon, name = text.rpartition(":")
    if colon and before and not path.exists():
        return Path(before), name
    return path, None


def _experiment(path: Path, name: str | None, run: Results) -> ExperimentResult:
    done = [each for each in run.experiments if each.status == "done"]
    if name is None and len(done) == 1:
        return done[0]
    names = ", ".join(each.name for each in done) or "no finished experiment"
    if name is None:
        raise ConfigError(
            f"{path} holds several results: name one as {path}:EXPERIMENT, of {names}"
        )
    for each in run.experiments:
        if each.name == name and each.status != "done":
            raise ConfigError(
                f"{path}: {name} has no result, as it {_ENDED[each.status]} ({each.reason}): "
                f"name one of {names}"
            )
        if each.name == name:
            return each
    raise ConfigError(f"{path} holds no experiment {name!r}: name one of {names}")


_ENDED = {"failed": "failed", "skipped": "was skipped"}


def _library(label: str, path: Path) -> Side:
    from assay.compiler.artifact import read_artifact

    manifest = read_artifact(path)
    experiment = ExperimentResult(
        name=label,
        title=manifest.model_name,
        status="done",
        fingerprint="",
        runtime="stock" if manifest.config.get("pipeline") == "stock" else "tvm",
        precision="",
        config=manifest.config,
        resolved_target=manifest.resolved_target,
        model={"name": manifest.model_name, "sha256": manifest.model_sha256},
        model_bytes=manifest.model_bytes,
        artifact_bytes=manifest.library_bytes,
        compile_s=manifest.compile_s,
        library_sha256=manifest.library_sha256,
        remarks=[remark.as_dict() for remark in manifest.remarks],
    )
    return Side(label, experiment, None, tuple(map(_call, manifest.kernels)))


def _call(call: KernelCall) -> Call:
    return Call(call.symbol, tuple(layer.op for layer in call.layers))
