"""The conditions of a measurement: noted meanwhile, and judged at the end."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace

from assay.timing import probe
from assay.timing.checks import cautions
from assay.timing.cores import usable_core_numbers
from assay.timing.machine import machine_facts, versions
from assay.timing.record import Audit, Outcome, Settings


class Watcher:
    """Looks at the machine when it is made, and at its cores from each ``begin`` to ``end``."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._machine = machine_facts()
        self._load_start = os.getloadavg()[0]
        self._seconds = self._busy = self._stolen = 0.0
        self._begun: tuple[float, probe.CoreTime] | None = None

    def begin(self) -> None:
        """Note that rounds begin."""
        times = probe.core_time(self._settings.cores)
        self._begun = None if times is None else (time.perf_counter(), times)

    def end(self) -> None:
        """Note that rounds are over for now."""
        times = probe.core_time(self._settings.cores)
        if self._begun is None or times is None:
            return
        began, before = self._begun
        self._seconds += time.perf_counter() - began
        self._busy += times.busy_s - before.busy_s
        self._stolen += times.stolen_s - before.stolen_s

    def audit(self, outcomes: Sequence[Outcome]) -> Audit:
        """Return the conditions with everything about them and the outcomes that raises doubt."""
        other, stolen = self._shares(outcomes)
        found = Audit(
            machine=self._machine,
            versions=versions(),
            cores=self._settings.cores,
            pinned=bool(self._settings.cores),
            threads=self._settings.threads,
            load_start=self._load_start,
            load_end=os.getloadavg()[0],
            other_share=other,
            stolen_share=stolen,
        )
        return replace(found, warnings=cautions(found, self._settings, outcomes))

    def _shares(self, outcomes: Sequence[Outcome]) -> tuple[float | None, float | None]:
        """Return which share of the cores' time others had, in this system and beside it."""
        available = self._seconds * len(self._settings.cores or usable_core_numbers())
        if not available:
            return None, None
        own = sum(
            each.cpu_ns + each.spin_cpu_ns + each.idle_cpu_ns
            for outcome in outcomes
            for launch in outcome.launches
            for each in launch.rounds
        )
        other = max(0.0, self._busy - own / 1e9) / available
        return other, max(0.0, self._stolen) / available
