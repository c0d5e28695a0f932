"""What each remark costs: a build's time beyond the best build's, layer by layer.

The excess of a group of layers is that of its main kernel and that of all others, and both add up
to the whole: no time is counted twice. Where floating point in a quantized network is one cause
among several, a build without the others stands between: what it still takes more than the best
one is the price of floating point, the rest that of the others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from assay.compiler.remarks.remark import Remark
from assay.explain.layers import Part, compare
from assay.timing.profile import Profile

FLOAT = "precision/float-in-int8"


@dataclass(frozen=True)
class Costs:
    """Remarks with their costs, worst first; all in ms of one inference.

    ``remarks_ms + unexplained_ms + outside_ms`` is ``difference_ms``, what the build takes more
    than ``best``. ``unexplained_ms`` is time of kernels that no remark is about, ``outside_ms``
    that between kernels.
    """

    remarks: tuple[Remark, ...]
    build: Profile
    best: Profile
    unexplained_ms: float

    @property
    def difference_ms(self) -> float:
        """Whole inference of the build, less that of the best build."""
        return self.build.total_ms - self.best.total_ms

    @property
    def remarks_ms(self) -> float:
        """The sum of all remarks' costs."""
        return sum(remark.cost_ms or 0.0 for remark in self.remarks)

    @property
    def outside_ms(self) -> float:
        """What the build spends between kernels more than the best build does."""
        return self.build.gap_ms - self.best.gap_ms


def share_out(
    remarks: Sequence[Remark], build: Profile, best: Profile, between: Profile | None = None
) -> Costs:
    """Give each remark the excess of the kernel calls that it is about.

    ``between`` is a profile of the best build in floating point. Of several remarks about one
    call, the first one bears its cost; one about no call in particular has none. What a layer in
    floating point takes more than ``between``, and nothing else explains, is its remark's too: its
    fix brings that back.
    """
    bearer: dict[int, int] = {}
    floats: dict[int, int] = {}
    for index, remark in enumerate(remarks):
        for call in remark.calls:
            (floats if remark.id == FLOAT and between else bearer).setdefault(call, index)
    profiles = (build, best) if between is None else (build, between, best)
    costs: dict[int | None, float] = defaultdict(float)
    for parts in compare(profiles):
        if between is not None and any(call in floats for call in _calls(parts[0])):
            excess = _time(between, parts[1]) - _time(best, parts[2])
            costs[_first(floats, parts[0])] += excess
            pair = (parts[0], parts[1])
            rival = between
        else:
            pair, rival = (parts[0], parts[-1]), best
        for kernel, ms in _excess(build, rival, *pair):
            costs[None if kernel is None else bearer.get(kernel, floats.get(kernel))] += ms
    whole = build.total_ms
    priced = [
        replace(r, cost_ms=costs[i], share=costs[i] / whole) if i in costs else r
        for i, r in enumerate(remarks)
    ]
    priced.sort(key=lambda remark: -(remark.cost_ms or 0.0))
    return Costs(tuple(priced), build, best, costs[None])


def _excess(
    build: Profile, rival: Profile, ours: Part, theirs: Part
) -> list[tuple[int | None, float]]:
    """Return how much more each kernel of a group takes; the sum is the group's excess.

    The kernels beside the main one share what they take more than the rival's, by their times.
    """
    if ours.main is None:
        return [(None, -_time(rival, theirs))]
    beside = sum(build.kernels[call].median_ms for call in ours.others)
    rivals = sum(rival.kernels[call].median_ms for call in theirs.others)
    main = build.kernels[ours.main].median_ms
    if theirs.main is not None:
        main -= rival.kernels[theirs.main].median_ms
    if beside <= 0:
        return [(ours.main, main - rivals)]
    scale = (beside - rivals) / beside
    shares = [(call, build.kernels[call].median_ms * scale) for call in ours.others]
    return [(ours.main, main), *shares]


def _calls(part: Part) -> tuple[int, ...]:
    return part.others if part.main is None else (part.main, *part.others)


def _time(profile: Profile, part: Part) -> float:
    return sum(profile.kernels[call].median_ms for call in _calls(part))


def _first(bearers: dict[int, int], part: Part) -> int:
    return next(bearers[call] for call in _calls(part) if call in bearers)
