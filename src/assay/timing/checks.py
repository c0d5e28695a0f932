"""What makes a measurement doubtful: one function for each reason, with what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import mean, median

from assay.timing.record import Audit, Caution, Outcome, Settings

# Above these a disturbance is as large as the differences that one wants to see, a few percent.
_OTHER_SHARE = 0.05
_STOLEN_SHARE = 0.01
_WAITED_SHARE = 0.05
_IDLE_SHARE = 0.02
_DRIFT = 0.05
# What the rounding of 8-bit tensors makes of an output is around a percent of its range.
_OUTPUT_DIFFERENCE = 0.05
_FEW_ROUNDS = 20
_FEW_LAUNCHES = 5


def cautions(audit: Audit, settings: Settings, outcomes: Sequence[Outcome]) -> tuple[Caution, ...]:
    """Return everything that raises doubt, first what concerns all, then by contender."""
    found = [*_load(audit), *_others(audit), *_stolen(audit), *_clock(audit), *_quota(audit)]
    found += [*_cores(audit), *_launches(settings), *_rounds(settings)]
    timed = [outcome for outcome in outcomes if outcome.status == "timed"]
    found += _drift(timed)
    for outcome in timed:
        for check in (_threads, _places, _idle, _waiting, _warm_up, _outputs):
            found += check(outcome, audit)
    return tuple(found)


def _load(audit: Audit) -> Iterator[Caution]:
    cores = audit.machine["usable_cores"]
    if audit.load_start > 0.5 * cores:
        yield Caution(
            "load-average",
            f"load average {audit.load_start:.1f} on {cores} cores before the start: close other "
            "programs or raise --rounds",
        )


def _others(audit: Audit) -> Iterator[Caution]:
    if audit.other_share is not None and audit.other_share > _OTHER_SHARE:
        yield Caution(
            "others-ran",
            f"other programs had {_where(audit)} for {audit.other_share:.0%} of the time: close "
            "them, give other --cores or raise --rounds",
        )


def _stolen(audit: Audit) -> Iterator[Caution]:
    if audit.stolen_share is not None and audit.stolen_share > _STOLEN_SHARE:
        yield Caution(
            "time-stolen",
            f"the hypervisor gave {audit.stolen_share:.0%} of the time to other machines: measure "
            "on a machine of its own or raise --rounds",
        )


def _clock(audit: Audit) -> Iterator[Caution]:
    policy = audit.machine["governor"]
    if policy not in (None, "performance"):
        yield Caution(
            "governor",
            f"the CPU clock follows the load (governor {policy}): "
            "sudo cpupower frequency-set --governor performance",
        )


def _quota(audit: Audit) -> Iterator[Caution]:
    quota = audit.machine["quota_cores"]
    if quota is not None and quota < audit.threads:
        yield Caution(
            "quota",
            f"the container may keep {quota:g} cores busy, {audit.threads} threads want more: lift "
            "its CPU limit or lower --threads",
        )


def _cores(audit: Audit) -> Iterator[Caution]:
    if not audit.pinned:
        yield Caution(
            "not-pinned",
            "this system does not let processes be pinned to cores: expect wider intervals, and "
            "raise --rounds",
        )
    elif len(audit.cores) < audit.threads:
        yield Caution(
            "cores-shared",
            f"{audit.threads} threads share {len(audit.cores)} core(s), which runtimes handle "
            "differently: lower --threads or give more --cores",
        )


def _launches(settings: Settings) -> Iterator[Caution]:
    if settings.launches < _FEW_LAUNCHES:
        yield Caution(
            "few-launches",
            f"{settings.launches} launch(es) of each contender: where a process happens to lie in "
            "memory can shift its times by several percent, so raise --launches to "
            f"{_FEW_LAUNCHES} or more",
        )


def _rounds(settings: Settings) -> Iterator[Caution]:
    if settings.rounds < _FEW_ROUNDS:
        yield Caution(
            "few-rounds",
            f"{settings.rounds} rounds give wide and uncertain intervals: raise --rounds to "
            f"{_FEW_ROUNDS} or more",
        )


def _drift(outcomes: Sequence[Outcome]) -> Iterator[Caution]:
    changes = []
    for outcome in outcomes:
        values = [value for launch in outcome.values_ms for value in launch]
        half = len(values) // 2
        if half >= _FEW_ROUNDS // 2:
            changes.append(median(values[half:]) / median(values[:half]) - 1)
    change = median(changes) if changes else 0.0
    if abs(change) > _DRIFT:
        how = "slower" if change > 0 else "faster"
        yield Caution(
            "drift",
            f"all were {abs(change):.0%} {how} in the second half of the rounds: the machine "
            "changed meanwhile, so trust ratios more than times",
        )


def _threads(outcome: Outcome, audit: Audit) -> Iterator[Caution]:
    label = outcome.contender.label
    used = {launch.use.threads_used for launch in outcome.launches if launch.use.cores}
    if used and max(used) > audit.threads:
        yield Caution(
            "more-threads",
            f"{label} used {max(used)} threads although {audit.threads} were asked for: compare it "
            f"with --threads {max(used)}, or leave it out",
            label,
        )
    elif used and min(used) < audit.threads:
        yield Caution(
            "fewer-threads",
            f"{label} used {min(used)} of {audit.threads} threads, as its code or the model leaves "
            "nothing to share: compare with --threads 1 as well",
            label,
        )


def _places(outcome: Outcome, audit: Audit) -> Iterator[Caution]:
    allowed = {core for launch in outcome.launches for core in launch.use.cores}
    beyond = sorted(allowed - set(audit.cores))
    if audit.pinned and beyond:
        label = outcome.contender.label
        yield Caution(
            "left-cores",
            f"{label} lets threads run on cores {_list(beyond)} beside the chosen "
            f"{_list(audit.cores)}: its runtime overrides the pinning, so give --cores all of them",
            label,
        )


def _idle(outcome: Outcome, audit: Audit) -> Iterator[Caution]:
    share = max(launch.use.idle_share for launch in outcome.launches)
    if share > _IDLE_SHARE:
        label = outcome.contender.label
        yield Caution(
            "not-idle",
            f"{label} used {share:.0%} of a core while others were timed: time it in a run of its "
            "own",
            label,
        )


def _waiting(outcome: Outcome, audit: Audit) -> Iterator[Caution]:
    if (audit.other_share or 0) > _OTHER_SHARE:
        return  # which explains it
    share = mean(launch.use.waited_share for launch in outcome.launches)
    if share > _WAITED_SHARE:
        label = outcome.contender.label
        yield Caution(
            "waited",
            f"{label} waited for a core for {share:.0%} of its time: close other programs, or give "
            "more --cores",
            label,
        )


def _warm_up(outcome: Outcome, audit: Audit) -> Iterator[Caution]:
    unsteady = sum(not launch.warm_up.steady for launch in outcome.launches)
    if unsteady:
        label = outcome.contender.label
        yield Caution(
            "not-steady",
            f"{label} was still getting faster at the end of {unsteady} of "
            f"{len(outcome.launches)} warm-ups: raise --min-time",
            label,
        )


def _outputs(outcome: Outcome, audit: Audit) -> Iterator[Caution]:
    apart = outcome.output_difference
    if apart is not None and apart > _OUTPUT_DIFFERENCE:
        label = outcome.contender.label
        yield Caution(
            "outputs-differ",
            f"{label} computes something else: its outputs are {apart:.0%} of their range away "
            "from those of the first contender of the model; check it with assay eval",
            label,
        )


def _where(audit: Audit) -> str:
    return f"core(s) {_list(audit.cores)}" if audit.cores else "the cores"


def _list(cores: Sequence[int]) -> str:
    return ", ".join(map(str, cores))
