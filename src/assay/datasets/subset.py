"""A fixed share of a data set, with the classes in the proportions of the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from assay.datasets.identity import ids_and_labels, sha256_of
from assay.errors import ConfigError

if TYPE_CHECKING:
    from assay.datasets.base import Dataset, Example


class Subset:
    """``fraction`` of the examples, at least one, in their original order.

    The choice is a systematic sample of the examples sorted by class (Cochran, Sampling Techniques,
    chapter 8): evenly spaced, the same on each call, and from a class of n examples it takes
    n times the share, rounded up or down. Raises ConfigError unless 0 < fraction <= 1.
    """

    def __init__(self, dataset: Dataset, fraction: float) -> None:
        if not 0 < fraction <= 1:
            raise ConfigError(
                f"fraction {fraction!r} of data set {dataset.name!r} is not in (0, 1]; "
                "give 1 for all of it"
            )
        ids, labels = ids_and_labels(dataset)
        self.fraction = fraction
        self.indices = stratified(labels, fraction)
        self.name = dataset.name
        self.classes = dataset.classes
        self.ids = tuple(ids[index] for index in self.indices)
        self.labels = tuple(labels[index] for index in self.indices)
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Example:
        return self._dataset[self.indices[index]]

    def facts(self) -> dict[str, Any]:
        """Return the whole's facts, with ``fraction`` and this part's samples and sha256."""
        return {
            **self._dataset.facts(),
            "fraction": self.fraction,
            "samples": len(self),
            "sha256": sha256_of(self.ids, self.labels),
        }


def stratified(labels: tuple[int, ...], fraction: float) -> tuple[int, ...]:
    """Return the indices that ``Subset`` takes of examples with these labels, ascending."""
    total = len(labels)
    wanted = min(total, max(1, round(total * fraction)))
    by_class = sorted(range(total), key=labels.__getitem__)
    # The middle of each of `wanted` equal stretches, in whole numbers.
    return tuple(sorted(by_class[(2 * i + 1) * total // (2 * wanted)] for i in range(wanted)))
