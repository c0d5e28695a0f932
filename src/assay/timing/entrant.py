"""One contender on its way through a comparison."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from assay.timing.child import Child, ChildFailed
from assay.timing.record import (
    Compilation,
    Contender,
    Costs,
    Launch,
    Outcome,
    Round,
    Settings,
    Status,
    Use,
)
from assay.timing.sampling import WarmUp
from assay.timing.statistics import spread

# Far above what anything here takes; a process that hangs must not hold up the others for ever.
_COMPILE_LIMIT_S = 1800.0
_LIMIT_S = 600.0

# A thread that works takes part in each inference; others, such as a runtime's scheduler, do not.
_WORKING_SHARE = 0.05  # of the busiest thread's CPU time


class Entrant:
    """Holds a contender's process and collects what it answers.

    Once something fails, ``running`` is False and further calls do nothing.
    """

    def __init__(self, contender: Contender, settings: Settings, scratch: Path) -> None:
        self._contender = contender
        self._settings = settings
        self._scratch = scratch
        self._path = contender.path
        self._status: Status = "timed" if contender.skip is None else "skipped"
        self._reason = contender.skip
        self._compilation: Compilation | None = None
        self._child: Child | None = None
        self._loaded: dict[str, Any] = {}
        self._warm_up: dict[str, Any] = {}
        self._rounds: list[Round] = []
        self._launches: list[Launch] = []

    @property
    def running(self) -> bool:
        """Whether it still takes part."""
        return self._status == "timed"

    @property
    def input_shapes(self) -> list[list[int]]:
        """The shapes of its inputs, as of the last launch."""
        shapes: list[list[int]] = self._loaded["inputs"]
        return shapes

    @property
    def outputs(self) -> list[list[float]]:
        """What it computed from random inputs (see ``sample_outputs``), as of the last launch."""
        outputs: list[list[float]] = self._loaded["outputs"]
        return outputs

    def compile(self) -> None:
        """Compile if it has to be, in a process that is gone afterwards."""
        config = self._contender.config
        if config is None or not self.running:
            return
        self._path = self._scratch / "model.so"
        try:
            with Child(self._settings.threads, (), self._scratch) as child:
                answer = child.ask(
                    "compile",
                    _COMPILE_LIMIT_S,
                    path=str(self._contender.path.resolve()),
                    config=asdict(config),
                    library=str(self._path),
                )
        except ChildFailed as error:
            self._fail(error)
        else:
            self._compilation = Compilation(**answer)

    def launch(self) -> None:
        """Start a process that loads the model and warms up."""
        if not self.running:
            return
        self._rounds = []
        self._child = Child(self._settings.threads, self._settings.cores, self._scratch)
        loaded = self._ask(
            "load",
            runtime=self._contender.runtime,
            path=str(self._path.resolve()),
            threads=self._settings.threads,
            seed=self._settings.seed,
        )
        warm_up = loaded and self._ask("warm_up", slice_ns=self._slice_ns())
        if loaded and warm_up:
            self._loaded, self._warm_up = loaded, warm_up

    def round(self) -> None:
        """Take one round."""
        if answer := self._ask("round", time_ns=self._slice_ns()):
            self._rounds.append(Round(**answer))

    def end_launch(self) -> None:
        """End the process and keep what it measured."""
        if final := self._ask("finish"):
            self._launches.append(
                Launch(
                    costs=Costs(**self._loaded["costs"]),
                    warm_up=WarmUp(**self._warm_up),
                    rounds=self._rounds,
                    use=summarize_use(self._rounds, final),
                )
            )
        self.close()

    def outcome(self) -> Outcome:
        """Return everything that was found."""
        rounds = [each for launch in self._launches for each in launch.rounds]
        samples = [[ns / 1e6 for ns in each.samples_ns] for each in rounds]
        return Outcome(
            contender=self._contender,
            status=self._status,
            reason=self._reason,
            compilation=self._compilation,
            launches=self._launches,
            spread=spread(samples) if self.running else None,
        )

    def close(self) -> None:
        """Kill the process, if there is one."""
        if self._child is not None:
            self._child.close()
            self._child = None

    def _ask(self, do: str, **request: Any) -> dict[str, Any] | None:
        if self._child is None:
            return None
        try:
            return self._child.ask(do, _LIMIT_S, **request)
        except ChildFailed as error:
            self._fail(error)
            return None

    def _slice_ns(self) -> int:
        return int(self._settings.min_time_s * 1e9)

    def _fail(self, error: ChildFailed) -> None:
        self._status, self._reason = "failed", str(error)
        self.close()


def summarize_use(rounds: list[Round], final: dict[str, Any]) -> Use:
    """Sum up what the threads of a contender did in its rounds.

    ``final`` holds ``busy_ns`` of each thread, ``cores`` and ``peak_bytes``.
    """
    wall = sum(each.wall_ns for each in rounds)
    cpu = sum(each.cpu_ns for each in rounds)
    waited = sum(each.waited_ns for each in rounds)
    idle = sum(each.idle_ns for each in rounds)
    busy = final["busy_ns"]
    working = sum(ns > _WORKING_SHARE * max(busy) for ns in busy)
    return Use(
        # Where a hypervisor takes time away, the kernel's clock of a thread may stand for a while.
        threads_used=max(1, working),
        cpu_per_wall=cpu / wall,
        waited_share=waited / (waited + cpu) if waited + cpu else 0.0,
        idle_share=sum(each.idle_cpu_ns for each in rounds) / idle if idle else 0.0,
        cores=tuple(final["cores"]),
        peak_bytes=final["peak_bytes"],
    )
