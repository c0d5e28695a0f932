"""From what a user writes to a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from assay.datasets.image_files import entries
from assay.datasets.image_folder import ImageFolder
from assay.datasets.npz import Npz
from assay.datasets.oxford_pet import OxfordPet
from assay.datasets.preprocess import IMAGENET_224
from assay.errors import ConfigError, DatasetError

if TYPE_CHECKING:
    from assay.datasets.base import Dataset
    from assay.datasets.preprocess import Preprocess

FORMS = (
    "digits, oxford-pet:DIR, folder:DIR, npz:FILE, or a path to a directory with images/ and "
    "annotations/, to one with a folder per class, or to an .npz file"
)
_PATH_KINDS = ("oxford-pet", "folder", "npz")


def open_dataset(
    spec: str | Path, split: str = "test", preprocess: Preprocess | None = None
) -> Dataset:
    """Open the data set that ``spec`` names; see ``FORMS``. A Path is never read as a name.

    Folders and .npz files have no splits: "test" is all of them. ``preprocess`` is needed for an
    image folder and replaces Oxford-IIIT Pet's (ImageNet's at 224x224); of an .npz file it only
    scales and normalizes; the built-in digits take none. Raises DatasetError for what cannot be
    found or read, ConfigError for pre-processing that does not apply.
    """
    kind, path = _kind(spec)
    if kind == "oxford-pet":
        return OxfordPet(path, split, preprocess or IMAGENET_224)
    if kind == "digits":
        if preprocess is not None:
            raise ConfigError("data set 'digits' comes pre-processed; leave pre-processing out")
        from assay.datasets.digits import Digits

        return Digits(split)
    if split != "test":
        raise DatasetError(f"data set {str(spec)!r} has no split {split!r}, only test")
    if kind == "npz":
        if preprocess is None:
            return Npz(path)
        return Npz(path, preprocess.scale, preprocess.mean, preprocess.std)
    if preprocess is None:
        raise ConfigError(
            f"data set {str(spec)!r} needs pre-processing; give the size, mean and std that "
            "the model was trained with"
        )
    return ImageFolder(path, preprocess)


def _kind(spec: str | Path) -> tuple[str, Path]:
    if spec == "digits":
        return "digits", Path()
    kind, colon, rest = str(spec).partition(":")
    if isinstance(spec, str) and colon and rest and kind in _PATH_KINDS:
        return kind, _expand(rest)
    path = _expand(spec)
    if (path / "images").is_dir() and (path / "annotations").is_dir():
        return "oxford-pet", path
    if path.suffix == ".npz" and path.is_file():
        return "npz", path
    if spec != "" and path.is_dir() and any(child.is_dir() for child in entries(path)):
        return "folder", path
    problem = "not a data set" if path.exists() else "no such file or directory"
    raise DatasetError(f"{str(spec)!r}: {problem}; give {FORMS}")


def _expand(path: str | Path) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:  # "~name" of nobody known: taken as it stands
        return Path(path)
