"""How long each kernel of an inference takes, beside what it computes and moves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from assay.compiler.kernel_calls import KernelCall

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class KernelTime:
    """One kernel call of an inference: median and the 10th and 90th percentile of its runs."""

    call: KernelCall
    median_ms: float
    p10_ms: float
    p90_ms: float

    @property
    def gops(self) -> float:
        """Billions of operations a second; a multiply-accumulate counts as two."""
        return 2 * self.call.macs / self.median_ms / 1e6 if self.median_ms > 0 else 0.0

    @property
    def gbps(self) -> float:
        """Billions of bytes a second, read and written, from whichever cache or memory."""
        return self.call.bytes_moved / self.median_ms / 1e6 if self.median_ms > 0 else 0.0


@dataclass(frozen=True)
class Profile:
    """The kernels of one inference, in call order.

    ``total_ms`` is the median of whole inferences that were run without looking inside.
    ``hook_ms`` is what looking inside adds to a kernel, on average; the kernels' times are without
    it.
    """

    model: str
    runtime: str
    threads: int
    runs: int
    kernels: tuple[KernelTime, ...]
    total_ms: float
    hook_ms: float
    schema: int = SCHEMA_VERSION

    @property
    def kernels_ms(self) -> float:
        """The sum of all kernels."""
        return sum(kernel.median_ms for kernel in self.kernels)

    @property
    def gap_ms(self) -> float:
        """What the whole inference takes beyond its kernels; below 0 if the sum is too large."""
        return self.total_ms - self.kernels_ms

    def share(self, kernel: KernelTime) -> float:
        """Return the part of the whole inference that a kernel takes."""
        return kernel.median_ms / self.total_ms

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-able values, the derived ones included."""
        fields = asdict(self)
        for row, kernel in zip(fields["kernels"], self.kernels, strict=True):
            row.update(gops=kernel.gops, gbps=kernel.gbps, share=self.share(kernel))
        return {**fields, "kernels_ms": self.kernels_ms, "gap_ms": self.gap_ms}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Profile:
        """Read what :meth:`as_dict` returned; KeyError or TypeError if it is damaged."""
        kernels = tuple(
            KernelTime(
                KernelCall.from_dict(row["call"]), row["median_ms"], row["p10_ms"], row["p90_ms"]
            )
            for row in fields["kernels"]
        )
        plain = ("model", "runtime", "threads", "runs", "total_ms", "hook_ms", "schema")
        return cls(kernels=kernels, **{key: fields[key] for key in plain})


@dataclass(frozen=True)
class ClassSum:
    """All kernels whose layers are the same operators, summed up."""

    title: str
    count: int
    ms: float
    macs: int


def class_sums(kernels: Iterable[KernelTime]) -> tuple[ClassSum, ...]:
    """Sum up kernels by the operators that they compute, the longest first."""
    groups: dict[str, list[KernelTime]] = defaultdict(list)
    for kernel in kernels:
        groups[kernel.call.title].append(kernel)
    sums = [
        ClassSum(
            title,
            len(group),
            sum(each.median_ms for each in group),
            sum(each.call.macs for each in group),
        )
        for title, group in groups.items()
    ]
    return tuple(sorted(sums, key=lambda each: -each.ms))
