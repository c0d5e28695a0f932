"""Everything measured, as data: the shape of ``results.json`` (documented in docs/results.md).

``report`` reads nothing else, so whatever a reader may ask for has to be in here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

SCHEMA_VERSION = 3
READABLE = (1, 2, 3)
"""Older versions lack what later ones added, all of which may be absent."""
NO_PREDICTION = -1
"""Stands in ``Quality.predictions`` for a sample whose scores were all NaN."""

Status = Literal["done", "skipped", "failed"]


@dataclass(frozen=True)
class Quality:
    """How well the predictions match the labels.

    ``confusion_matrix[t][p]`` counts examples of class t predicted as p; one without a prediction
    (``NO_PREDICTION``) is in no cell. Classes without a single example take no part in the three
    means. ``top5`` is None when there are at most 5 classes.
    """

    samples: int
    accuracy: float
    top5: float | None
    mean_precision: float
    mean_sensitivity: float
    g_mean: float
    confusion_matrix: list[list[int]]
    predictions: list[int]


@dataclass(frozen=True)
class Timing:
    """Latency of single inferences in milliseconds; the first run is kept apart from the rest."""

    first_ms: float
    samples_ms: list[float]
    mean_ms: float
    std_ms: float
    median_ms: float
    p10_ms: float
    p90_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Layer:
    """An operator of the model file; ``name`` and ``shape`` are its first output tensor's.

    ``operator`` is its index in the file, ``macs`` its multiply-accumulates of one inference.
    """

    operator: int
    op: str
    name: str
    shape: list[int]
    macs: int


@dataclass(frozen=True)
class Kernel:
    """One kernel call of an inference: median time and 10th and 90th percentile, in ms.

    ``layers`` are the operators whose own work it does, by index in the model file. A call without
    any only converts, for those that ``serves`` names.
    """

    symbol: str
    layers: list[int]
    serves: list[int]
    bytes_moved: int
    median_ms: float
    p10_ms: float
    p90_ms: float


@dataclass(frozen=True)
class LayerTimes:
    """Where the time of an inference goes: its kernel calls in order.

    ``layers`` are the operators that they name, in the file's order. ``total_ms`` is the median of
    whole inferences that were run beside the instrumented ones. ``hook_ms`` is what looking inside
    adds to a call; the kernels' times are without it.
    """

    runs: int
    total_ms: float
    hook_ms: float
    layers: list[Layer]
    kernels: list[Kernel]

    @property
    def gap_ms(self) -> float:
        """What an inference takes beyond its kernels; below 0 if their sum is too large."""
        return self.total_ms - sum(kernel.median_ms for kernel in self.kernels)


@dataclass(frozen=True)
class ExperimentResult:
    """All that is known of one experiment. ``fingerprint`` says which inputs it belongs to.

    ``name`` is the prefix of the experiment's files: letters, digits and ``._+-`` only.
    ``remarks`` are what the compiler found about the build (docs/remarks.md), as plain data; their
    costs are what the build takes more than that of the experiment ``costs_against``. Builds with
    equal ``library_sha256`` are identical. ``log_lines`` counts each line of the build's log.
    """

    name: str
    title: str
    status: Status
    fingerprint: str
    runtime: str
    precision: str
    reason: str | None = None
    config: dict[str, Any] | None = None
    resolved_target: str | None = None
    model: dict[str, Any] | None = None
    quality: Quality | None = None
    timing: Timing | None = None
    model_bytes: int | None = None
    artifact_bytes: int | None = None
    compile_s: float | None = None
    compile_cached: bool | None = None
    log: str | None = None
    library_sha256: str | None = None
    remarks: list[dict[str, Any]] | None = None
    costs_against: str | None = None
    log_lines: dict[str, int] | None = None
    layer_times: LayerTimes | None = None

    @property
    def loaded_bytes(self) -> int | None:
        """The size of the file that was run: the compiled library, or else the model itself."""
        return self.model_bytes if self.artifact_bytes is None else self.artifact_bytes


@dataclass(frozen=True)
class Turns:
    """Latencies of all finished experiments, taken in turns, so that they can be compared.

    ``rounds_ms`` holds, by experiment, the median of each round, launch by launch: round r of
    launch l of one experiment was taken beside that of the others. ``failures`` says who could not
    take part, and why. ``audit`` are the conditions (:class:`assay.timing.record.Audit`).
    """

    launches: int
    rounds: int
    min_time_s: float
    audit: dict[str, Any]
    rounds_ms: dict[str, list[list[float]]]
    failures: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Results:
    """One lab run: the machine, the data set, and every experiment in the plan's order.

    ``dataset`` holds name, samples, classes (names), labels (one class index a sample) and what
    identifies the data; ``machine`` and ``versions`` say where the numbers come from.
    """

    created: str
    command: str
    machine: dict[str, Any]
    versions: dict[str, str]
    dataset: dict[str, Any]
    threads: int
    experiments: list[ExperimentResult] = field(default_factory=list)
    turns: Turns | None = None
    schema: int = SCHEMA_VERSION
