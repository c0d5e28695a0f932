"""What a data set is to assay: labelled, pre-processed inputs in a fixed order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True)
class Example:
    """One labelled input: ``data`` is float32 [H, W, C], pre-processed, without a batch axis."""

    id: str
    data: npt.NDArray[np.float32]
    label: int


class Dataset(Protocol):
    """A sequence of examples; the same index always gives the same example."""

    name: str
    classes: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of examples."""

    def __getitem__(self, index: int) -> Example:
        """Decode and pre-process one example; DatasetError names the file that cannot be."""

    def facts(self) -> dict[str, Any]:
        """Return what identifies the data: split, pre-processing, ``sha256`` of ids and labels."""
