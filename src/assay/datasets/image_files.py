"""What data sets of labelled image files share, however their folders are laid out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.datasets.base import Example
from assay.datasets.identity import sha256_of
from assay.datasets.preprocess import Preprocess
from assay.datasets.subset import Subset
from assay.errors import DatasetError


@dataclass(frozen=True)
class LabelledImage:
    """One image file and its class index."""

    id: str
    path: Path
    label: int


def entries(directory: Path) -> list[Path]:
    """Return what is in a directory, sorted by name; DatasetError if it cannot be listed."""
    try:
        return sorted(directory.iterdir(), key=lambda path: path.name)
    except OSError as error:
        raise DatasetError(
            f"{directory}: cannot be listed ({error.strerror}); check path and permissions"
        ) from error


class ImageFiles:
    """A data set over image files, decoded and pre-processed on access."""

    def __init__(
        self,
        name: str,
        classes: Sequence[str],
        images: Sequence[LabelledImage],
        preprocess: Preprocess,
        split: str | None = None,
    ) -> None:
        self.name = name
        self.classes = tuple(classes)
        self.split = split
        self.preprocess = preprocess
        self.ids = tuple(image.id for image in images)
        self.labels = tuple(image.label for image in images)
        self._paths = tuple(image.path for image in images)

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> Example:
        """Decode and pre-process one image; DatasetError names the file that cannot be."""
        path = self._paths[index]
        return Example(self.ids[index], self.preprocess(path), self.labels[index])

    def subset(self, fraction: float) -> Subset:
        """Return a class-balanced part; ConfigError unless 0 < fraction <= 1."""
        return Subset(self, fraction)

    def facts(self) -> dict[str, Any]:
        """Return name, split (if any), samples, preprocess, and sha256 of ids and labels."""
        return {
            "name": self.name,
            **({"split": self.split} if self.split is not None else {}),
            "samples": len(self),
            "preprocess": self.preprocess.facts(),
            "sha256": sha256_of(self.ids, self.labels),
        }
