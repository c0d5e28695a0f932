"""The time of each kernel of a build, as results keep it, and what its remarks cost by that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from assay.lab.results import ExperimentResult, Kernel, Layer, LayerTimes

if TYPE_CHECKING:
    from assay.timing.profile import Profile


def layer_times(profile: Profile) -> LayerTimes:
    """Return a profile in the form of results: each operator is listed once."""
    calls = [kernel.call for kernel in profile.kernels]
    layers = {each.operator: each for call in calls for each in (*call.layers, *call.serves)}
    return LayerTimes(
        runs=profile.runs,
        total_ms=profile.total_ms,
        hook_ms=profile.hook_ms,
        layers=[
            Layer(each.operator, each.op, each.name, list(each.shape), each.macs)
            for _, each in sorted(layers.items())
        ],
        kernels=[
            Kernel(
                symbol=kernel.call.symbol,
                layers=[each.operator for each in kernel.call.layers],
                serves=[each.operator for each in kernel.call.serves],
                bytes_moved=kernel.call.bytes_moved,
                median_ms=kernel.median_ms,
                p10_ms=kernel.p10_ms,
                p90_ms=kernel.p90_ms,
            )
            for kernel in profile.kernels
        ],
    )


def priced(experiments: Sequence[ExperimentResult]) -> list[ExperimentResult]:
    """Give the remarks of each profiled build their costs, worst first.

    A build is held against the fastest of the same model for the same target among the
    experiments, ``costs_against``; that one's own remarks cost nothing that could be known.
    """
    return [_priced(experiment, experiments) for experiment in experiments]


def _priced(
    experiment: ExperimentResult, experiments: Sequence[ExperimentResult]
) -> ExperimentResult:
    from assay.compiler.remarks.remark import Remark
    from assay.explain.costs import share_out

    times, remarks = experiment.layer_times, experiment.remarks
    if times is None or remarks is None:
        return experiment
    best = min((e for e in experiments if _rivals(e, experiment)), key=_total, default=experiment)
    bare = [Remark.from_dict({**r, "cost_ms": None, "share": None}) for r in remarks]
    if best is experiment or best.layer_times is None:
        return replace(experiment, remarks=[r.as_dict() for r in bare], costs_against=None)
    costs = share_out(bare, _profile(experiment, times), _profile(best, best.layer_times))
    return replace(
        experiment, remarks=[r.as_dict() for r in costs.remarks], costs_against=best.name
    )


def _rivals(other: ExperimentResult, experiment: ExperimentResult) -> bool:
    """Tell whether two were built of the same model for the same CPU, with times of layers."""
    return (
        other.layer_times is not None
        and other.model == experiment.model
        and other.resolved_target == experiment.resolved_target
    )


def _total(experiment: ExperimentResult) -> float:
    assert experiment.layer_times is not None
    return experiment.layer_times.total_ms


def _profile(experiment: ExperimentResult, times: LayerTimes) -> Profile:
    """Return the profile again; tensors' shapes and types, which costs do not need, are gone."""
    from assay.compiler.kernel_calls import KernelCall
    from assay.compiler.kernel_calls import Layer as Operator
    from assay.timing.profile import KernelTime, Profile

    known = {
        each.operator: Operator(each.operator, each.op, each.name, tuple(each.shape), each.macs)
        for each in times.layers
    }

    def operators(indices: Sequence[int]) -> tuple[Operator, ...]:
        return tuple(known[index] for index in indices)

    kernels = tuple(
        KernelTime(
            KernelCall(
                symbol=each.symbol,
                layers=operators(each.layers),
                serves=operators(each.serves),
                input_shapes=(),
                input_dtypes=(),
                output_shapes=(),
                output_dtypes=(),
                read_bytes=each.bytes_moved,
                written_bytes=0,
            ),
            each.median_ms,
            each.p10_ms,
            each.p90_ms,
        )
        for each in times.kernels
    )
    return Profile(
        model=experiment.name,
        runtime=experiment.runtime,
        threads=1,
        runs=times.runs,
        kernels=kernels,
        total_ms=times.total_ms,
        hook_ms=times.hook_ms,
    )
