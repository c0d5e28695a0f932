"""Time contenders against each other: compile once, then launch all and take turns, repeatedly."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

from assay.errors import TimingError
from assay.timing.audit import Watcher
from assay.timing.compare import Comparison, compare_all
from assay.timing.entrant import Entrant
from assay.timing.record import Bench, Contender, Outcome, Settings
from assay.timing.workload import difference

# Told how many of how many steps are done.
Watch = Callable[[int, int], None]


def run_bench(
    contenders: Sequence[Contender],
    settings: Settings,
    watch: Watch = lambda done, total: None,
    command: str = "",
    scratch: Path | None = None,
) -> Bench:
    """Time all contenders, each in processes of its own, in interleaved rounds of shuffled order.

    A contender that cannot be compiled or loaded, or whose process dies, is recorded as failed and
    the others go on. Their processes are gone when this returns or raises, and on Linux also if
    this process is killed. Temporary files go to a new directory in ``scratch``, by default the
    system's. TimingError if not a single contender came through.
    """
    created = datetime.now(timezone.utc).isoformat(timespec="seconds")
    watcher = Watcher(settings)
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix=".assay-bench-", dir=scratch))
        entrants = []
        for index, contender in enumerate(contenders):
            own = Path(folder) / str(index)
            own.mkdir()
            entrants.append(Entrant(contender, settings, own))
            stack.callback(entrants[-1].close)
        orders = _Turns(entrants, settings, watcher, watch).take()
    outcomes = _add_differences(entrants)
    if not any(outcome.status == "timed" for outcome in outcomes):
        reasons = "; ".join(f"{each.contender.label}: {each.reason}" for each in outcomes)
        raise TimingError(f"nothing could be timed ({reasons}); correct the first of these")
    return Bench(
        created=created,
        command=command,
        settings=settings,
        audit=watcher.audit(outcomes),
        outcomes=tuple(outcomes),
        comparisons=_compare(outcomes, settings.seed),
        orders=orders,
    )


class _Turns:
    """Leads the contenders through launches and rounds.

    Taking turns spreads slow minutes over all, and a random order keeps any from always following
    the same one (randomized blocks; Box, Hunter and Hunter, "Statistics for experimenters", 2005,
    chapter 4).
    """

    def __init__(
        self, entrants: list[Entrant], settings: Settings, watcher: Watcher, watch: Watch
    ) -> None:
        self._entrants = entrants
        self._settings = settings
        self._watcher = watcher
        self._watch = watch
        self._shuffle = random.Random(settings.seed)
        self._done = 0

    def take(self) -> tuple[tuple[int, ...], ...]:
        """Compile, launch and run everything; return the order of each round."""
        for entrant in self._entrants:
            entrant.compile()
            self._step()
        orders = []
        for launch in range(self._settings.launches):
            for entrant in self._shuffle.sample(self._entrants, len(self._entrants)):
                entrant.launch()
                self._step()
            self._watcher.begin()
            for _ in range(self._settings.rounds_of(launch)):
                order = self._order()
                for index in order:
                    self._entrants[index].round()
                orders.append(order)
                self._step()
            self._watcher.end()
            for entrant in self._entrants:
                entrant.end_launch()
        return tuple(orders)

    def _order(self) -> tuple[int, ...]:
        order = [index for index, entrant in enumerate(self._entrants) if entrant.running]
        self._shuffle.shuffle(order)
        return tuple(order)

    def _step(self) -> None:
        self._done += 1
        contenders = len(self._entrants)
        total = contenders * (1 + self._settings.launches) + self._settings.rounds
        self._watch(self._done, total)


def _add_differences(entrants: list[Entrant]) -> list[Outcome]:
    """Return outcomes that say how far outputs are from those of the model's first contender."""
    first: dict[str, Entrant] = {}
    found = []
    for entrant in entrants:
        outcome = entrant.outcome()
        if outcome.status == "timed":
            reference = first.setdefault(outcome.contender.model, entrant)
            if entrant.input_shapes == reference.input_shapes:  # else the inputs differ in value
                distance = difference(entrant.outputs, reference.outputs)
                outcome = replace(outcome, output_difference=distance)
        found.append(outcome)
    return found


def _compare(outcomes: list[Outcome], seed: int) -> tuple[Comparison, ...]:
    timed = [each for each in outcomes if each.status == "timed"]
    return compare_all([(each.contender.label, each.values_ms) for each in timed], seed)
