"""Which examples a data set holds, without decoding them where the data set can tell."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from assay.datasets.base import Dataset


@runtime_checkable
class Labelled(Protocol):
    """A data set that knows id and label of each example up front, in its own order."""

    ids: tuple[str, ...]
    labels: tuple[int, ...]


def ids_and_labels(dataset: Dataset) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return ids and labels in order; a data set that is not ``Labelled`` is read once for them."""
    if isinstance(dataset, Labelled):
        return dataset.ids, dataset.labels
    pairs = []
    for index in range(len(dataset)):
        example = dataset[index]
        pairs.append((example.id, example.label))
    return tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs)


def sha256_of(ids: Sequence[str], labels: Sequence[int]) -> str:
    """Return the SHA-256, in hex, of ids and labels in order: one JSON pair and newline each."""
    digest = hashlib.sha256()
    for pair in zip(ids, labels, strict=True):
        digest.update(json.dumps(pair).encode() + b"\n")
    return digest.hexdigest()
