"""Any labelled images: one folder for each class."""

from __future__ import annotations

from pathlib import Path

from assay.datasets.image_files import ImageFiles, LabelledImage, entries
from assay.datasets.preprocess import Preprocess
from assay.errors import DatasetError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


class ImageFolder(ImageFiles):
    """Images in ``root/<class>/``; classes and files are sorted by name, hidden ones left out.

    An empty class folder keeps its place among the classes. Raises DatasetError if there is no
    class, no image at all, or a class folder whose files all have another extension.
    """

    def __init__(self, root: Path | str, preprocess: Preprocess) -> None:
        root = Path(root)
        if not root.is_dir():
            raise DatasetError(f"{root}: no such directory; give one that has a folder per class")
        folders = [path for path in _visible(root) if path.is_dir()]
        if not folders:
            raise DatasetError(f"{root}: has no sub-folder; put the images into one per class")
        images = [
            LabelledImage(f"{folder.name}/{path.name}", path, label)
            for label, folder in enumerate(folders)
            for path in _images(folder)
        ]
        if not images:
            raise DatasetError(f"{root}: all class folders ({len(folders)}) are empty; add images")
        super().__init__(root.resolve().name, [f.name for f in folders], images, preprocess)


def _images(folder: Path) -> list[Path]:
    files = _visible(folder)
    images = [path for path in files if path.suffix.lower() in EXTENSIONS and path.is_file()]
    if files and not images:
        raise DatasetError(
            f"{folder}: holds no image but {files[0].name!r}; "
            f"assay reads {', '.join(EXTENSIONS)} directly in the class folder"
        )
    return images


def _visible(directory: Path) -> list[Path]:
    return [path for path in entries(directory) if not path.name.startswith(".")]
