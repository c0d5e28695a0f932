"""Everything that a comparison measures, as data: the shape of its JSON file (docs/timing.md).

Times of single runs are whole nanoseconds, everything derived from them is in milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Literal

from assay.compiler.config import Config
from assay.errors import ConfigError
from assay.timing.compare import Comparison
from assay.timing.sampling import WarmUp
from assay.timing.statistics import Spread

SCHEMA_VERSION = 1

Status = Literal["timed", "failed", "skipped"]


@dataclass(frozen=True)
class Contender:
    """One build or runtime to time.

    With a ``config`` the file at ``path`` is compiled first. Contenders with the same ``model``
    compute the same thing. ``skip`` says why it cannot take part.
    """

    label: str
    model: str
    runtime: str
    path: Path
    config: Config | None = None
    model_sha256: str | None = None
    skip: str | None = None

    @property
    def is_build(self) -> bool:
        """Whether assay's own pipeline compiles or compiled it."""
        stock = self.config is not None and self.config.pipeline == "stock"
        return self.runtime == "tvm" and not stock


@dataclass(frozen=True)
class Settings:
    """How to measure: the same for every contender. ConfigError for what cannot be.

    ``rounds`` are all that a contender gets, spread over ``launches`` of its process.
    """

    threads: int = 1
    launches: int = 10
    rounds: int = 150
    min_time_s: float = 0.03
    cores: tuple[int, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise ConfigError(f"threads is {self.threads}; a runtime needs at least 1")
        if self.launches < 1:
            raise ConfigError(f"launches is {self.launches}; give at least 1")
        if self.rounds < max(2, self.launches):
            raise ConfigError(
                f"rounds is {self.rounds}; an interval needs at least 2, and each of "
                f"{self.launches} launch(es) at least 1"
            )
        if not 0 <= self.min_time_s <= 60:
            raise ConfigError(f"min-time is {self.min_time_s:g} s; give 0 to 60")
        if self.seed < 0:
            raise ConfigError(f"seed is {self.seed}; give 0 or more")

    def rounds_of(self, launch: int) -> int:
        """Return how many rounds the launch with this index has; the first ones take the rest."""
        return self.rounds // self.launches + (launch < self.rounds % self.launches)


@dataclass(frozen=True)
class Compilation:
    """What compiling a contender took and gave; if ``cached``, when it was done before."""

    compile_s: float
    resolved_target: str
    resolved_layout: str
    cached: bool = False


@dataclass(frozen=True)
class Costs:
    """What a contender takes besides time for inferences; bytes are of memory in RAM or of files.

    ``load_ms`` opens the file with the runtime's package imported already; of it assay's own check
    of the file, done once before, takes about ``check_ms``. ``first_ms`` is the first inference.
    ``imported_bytes`` is the process before the model, ``loaded_peak_bytes`` its peak once the
    model is loaded, ``first_peak_bytes`` after the first inference. What cannot be told is None.
    """

    import_ms: float
    check_ms: float | None
    load_ms: float
    first_ms: float
    imported_bytes: int | None
    loaded_peak_bytes: int | None
    first_peak_bytes: int | None
    file_bytes: int
    weights_bytes: int | None


@dataclass(frozen=True)
class Round:
    """One round of one contender, in nanoseconds.

    ``settling_ns`` is the run that finds caches and clock as other programs left them, and joins no
    statistic. ``cpu_ns`` and ``waited_ns`` are of all threads over ``wall_ns``: their CPU time, and
    their time on the run queue without a core. ``spin_cpu_ns`` is what worker threads used
    after the last run until they slept and the next contender was let in, ``idle_cpu_ns`` of
    ``idle_ns`` what the process used since its last round, while others ran.
    """

    settling_ns: int
    samples_ns: list[int]
    wall_ns: int
    cpu_ns: int
    waited_ns: int
    spin_cpu_ns: int
    idle_ns: int
    idle_cpu_ns: int

    @property
    def value_ms(self) -> float:
        """The median of the round's runs."""
        return median(self.samples_ns) / 1e6


@dataclass(frozen=True)
class Use:
    """What the threads of a contender did in all rounds of a launch.

    ``threads_used`` counts those with more than 5 % of the busiest thread's CPU time;
    ``cpu_per_wall`` is the CPU time of all over wall time. ``waited_share`` is the time on the run
    queue over the time that threads wanted to run, ``idle_share`` the CPU time over wall time while
    others ran. Any of its threads may run on ``cores``. ``peak_bytes`` is the peak of memory in the
    end.
    """

    threads_used: int
    cpu_per_wall: float
    waited_share: float
    idle_share: float
    cores: tuple[int, ...]
    peak_bytes: int | None


@dataclass(frozen=True)
class Launch:
    """One life of a contender's process."""

    costs: Costs
    warm_up: WarmUp
    rounds: list[Round]
    use: Use


@dataclass(frozen=True)
class Outcome:
    """All that is known of one contender; ``reason`` says why it was skipped or failed.

    ``output_difference`` is how far its outputs are from those of the first contender of the same
    model (see :func:`assay.timing.workload.difference`).
    """

    contender: Contender
    status: Status
    reason: str | None = None
    compilation: Compilation | None = None
    launches: list[Launch] = field(default_factory=list)
    spread: Spread | None = None
    output_difference: float | None = None

    @property
    def values_ms(self) -> list[list[float]]:
        """The values of all rounds, launch by launch."""
        return [[each.value_ms for each in launch.rounds] for launch in self.launches]


@dataclass(frozen=True)
class Caution:
    """Something that makes the numbers less trustworthy, and what to do about it.

    ``contender`` is the label of the one it is about, None if it is about all.
    """

    id: str
    message: str
    contender: str | None = None


@dataclass(frozen=True)
class Audit:
    """The conditions of a measurement.

    ``cores`` are those that everything was pinned to; ``other_share`` is the time for which
    programs that took no part kept these busy, ``stolen_share`` the time for which a hypervisor
    gave them to others. Loads are averages of one minute.
    """

    machine: dict[str, Any]
    versions: dict[str, str]
    cores: tuple[int, ...]
    pinned: bool
    threads: int
    load_start: float
    load_end: float
    other_share: float | None
    stolen_share: float | None
    warnings: tuple[Caution, ...] = ()


@dataclass(frozen=True)
class Bench:
    """One comparison. ``orders`` lists, by index, who ran after whom in each round."""

    created: str
    command: str
    settings: Settings
    audit: Audit
    outcomes: tuple[Outcome, ...]
    comparisons: tuple[Comparison, ...]
    orders: tuple[tuple[int, ...], ...]
    schema: int = SCHEMA_VERSION

    @property
    def timed(self) -> tuple[Outcome, ...]:
        """Contenders that came through."""
        return tuple(each for each in self.outcomes if each.status == "timed")
