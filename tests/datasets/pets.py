"""Small Oxford-IIIT Pet look-alikes, and the way to a real one."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

HEADER = "#Image CLASS-ID SPECIES BREED ID\n#ID: 1:37 Class ids\n"
TRAINVAL = "Abyssinian_1 1 1 1\namerican_bulldog_7 2 2 1\n"
TEST = "Abyssinian_2 1 1 1\nAbyssinian_12 1 1 1\namerican_bulldog_10 2 2 1\n"

SHARED = Path(os.environ.get("ASSAY_SHARED", Path(__file__).parents[3] / "shared"))
REAL_PETS = SHARED / "pets" / "dataset"
needs_real_pets = pytest.mark.skipif(
    not REAL_PETS.is_dir(), reason="needs Oxford-IIIT Pet photographs in ASSAY_SHARED/pets/dataset"
)


def write_pets(root: Path, trainval: str = HEADER + TRAINVAL, test: str = TEST) -> Path:
    """Lay out both annotation files and an image of 8x6 pixels for each line of theirs."""
    (root / "annotations").mkdir(parents=True)
    (root / "images").mkdir()
    (root / "annotations" / "trainval.txt").write_text(trainval)
    (root / "annotations" / "test.txt").write_text(test)
    rng = np.random.default_rng(0)
    for line in (trainval + test).splitlines():
        if line.strip() and not line.startswith("#"):
            pixels = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / "images" / f"{line.split()[0]}.jpg")
    return root
