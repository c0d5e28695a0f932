"""Scikit-learn's handwritten digits, enlarged to the input of a small image classifier."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from assay.datasets.base import Example
from assay.errors import DatasetError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

SPLITS = ("train", "test")
SIZE = 96
"""Height and width of an example, in pixels."""

TEST_SHARE = 0.2
SPLIT_SEED = 0
FULL_INK = 16.0
"""The data set's pixel values run from 0 (background) to 16 (full ink)."""


class Digits:
    """The 1,797 8x8 images of ``sklearn.datasets.load_digits`` in ten classes; needs no download.

    ``split`` is "train" (1,437 images) or "test" (360): a stratified split with a fixed seed, in
    the same order every time. DatasetError if it is neither.
    """

    name = "digits"
    classes = tuple("0123456789")

    def __init__(self, split: str = "test") -> None:
        if split not in SPLITS:
            raise DatasetError(f"digits has no split {split!r}: use one of {', '.join(SPLITS)}")
        import numpy as np
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        digits = load_digits()
        labels = digits.target
        parts = train_test_split(
            np.arange(len(labels)), test_size=TEST_SHARE, random_state=SPLIT_SEED, stratify=labels
        )
        rows = parts[SPLITS.index(split)]
        self.split = split
        self.ids = tuple(f"digits-{row:04d}" for row in rows)
        self.labels = tuple(int(label) for label in labels[rows])
        self._images = digits.images[rows]

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.ids)

    def __getitem__(self, index: int) -> Example:
        """Return one example: float32 [96, 96, 3] in [-1, 1], the background at -1."""
        data = enlarge(self._images[index])
        return Example(id=self.ids[index], data=data, label=self.labels[index])

    def facts(self) -> dict[str, Any]:
        """Return what identifies the data, ready for JSON."""
        pairs = zip(self.ids, self.labels, strict=True)
        rows = "".join(json.dumps(pair) + "\n" for pair in pairs)
        return {
            "name": self.name,
            "split": self.split,
            "samples": len(self),
            "preprocessing": f"bilinear resize 8x8 -> {SIZE}x{SIZE}, grey -> 3 channels, [-1, 1]",
            "sha256": hashlib.sha256(rows.encode()).hexdigest(),
        }


def enlarge(image: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
    """Turn an 8x8 image of values 0..16 into float32 [96, 96, 3] in [-1, 1].

    The resize works on 8-bit pixels: Pillow does that in integers, so every machine gets the same
    bits.
    """
    import numpy as np
    from PIL import Image

    grey = Image.fromarray(np.rint(image * (255 / FULL_INK)).astype(np.uint8))
    pixels = np.asarray(grey.resize((SIZE, SIZE), Image.Resampling.BILINEAR), dtype=np.float32)
    return np.repeat((pixels / np.float32(127.5) - np.float32(1))[..., None], 3, axis=-1)
