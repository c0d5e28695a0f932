"""The Oxford-IIIT Pet data set: photographs of cats and dogs of 37 breeds.

Parkhi, Vedaldi, Zisserman, Jawahar, "Cats and Dogs", CVPR 2012.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, NamedTuple, cast, get_args

from assay.datasets.image_files import ImageFiles, LabelledImage, entries
from assay.datasets.preprocess import IMAGENET_224, Preprocess
from assay.errors import DatasetError

Split = Literal["trainval", "test"]

CLASS_COUNT = 37
_FETCH = "--download-dataset fetches it"

# `<name> <class 1..37> <species> <breed id>`; the name is the class name and a number.
_LINE = re.compile(r"([^\s/]+)_(\d+)\s+(\d+)\s+\d+\s+\d+")


class OxfordPet(ImageFiles):
    """One split of Oxford-IIIT Pet, read from ``root/images`` and ``root/annotations``.

    Labels are the annotations' class ids less one. ``classes`` always has 37 names, taken from the
    image names of both splits; an id that neither has is called ``class_<id>``. Raises DatasetError
    for an unknown split and for whatever is missing or cannot be read, including images: all are
    looked for at once.
    """

    def __init__(
        self,
        root: Path | str,
        split: str = "test",
        preprocess: Preprocess = IMAGENET_224,
    ) -> None:
        if split not in get_args(Split):
            raise DatasetError(f"split {split!r} is not one of {', '.join(get_args(Split))}")
        root = Path(root)
        _check_directory(root)
        _check_directory(root / "annotations")
        _check_directory(root / "images")
        files = {name: root / "annotations" / f"{name}.txt" for name in get_args(Split)}
        lines = _read(files[cast(Split, split)])
        other = [file for name, file in files.items() if name != split and file.is_file()]
        classes = _class_names(lines + [line for file in other for line in _read(file)])
        images = [
            LabelledImage(line.image, root / "images" / f"{line.image}.jpg", line.class_id - 1)
            for line in lines
        ]
        _check_images(root, images)
        super().__init__("oxford-pet", classes, images, preprocess, split)


class _Line(NamedTuple):
    image: str
    class_name: str
    class_id: int
    where: str


def _check_directory(directory: Path) -> None:
    if not directory.is_dir():
        raise DatasetError(f"{directory}: no such directory of Oxford-IIIT Pet; {_FETCH}")


def _read(file: Path) -> list[_Line]:
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError as error:
        raise DatasetError(f"{file}: no such annotations file; {_FETCH}") from error
    except OSError as error:
        raise DatasetError(f"{file}: cannot be read ({error.strerror}); check it") from error
    lines = [
        _parse(line.strip(), f"{file}: line {number}")
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip() and not line.startswith("#")
    ]
    if not lines:
        raise DatasetError(f"{file}: lists no image; remove it and its folder, then {_FETCH}")
    return lines


def _parse(line: str, where: str) -> _Line:
    match = _LINE.fullmatch(line)
    if match is None:
        raise DatasetError(
            f"{where}: {line!r} is not of the form <class>_<number> <class id> <species> <breed id>"
        )
    class_name, number, class_id = match[1], match[2], int(match[3])
    if not 1 <= class_id <= CLASS_COUNT:
        raise DatasetError(f"{where}: class id {class_id} is not in 1..{CLASS_COUNT}")
    return _Line(f"{class_name}_{number}", class_name, class_id, where)


def _class_names(lines: list[_Line]) -> tuple[str, ...]:
    names: dict[int, str] = {}
    for line in lines:
        known = names.setdefault(line.class_id, line.class_name)
        if known != line.class_name:
            raise DatasetError(
                f"{line.where}: class id {line.class_id} is {line.class_name!r} here and "
                f"{known!r} before; correct one of them"
            )
    return tuple(names.get(number, f"class_{number}") for number in range(1, CLASS_COUNT + 1))


def _check_images(root: Path, images: list[LabelledImage]) -> None:
    present = {path.name for path in entries(root / "images")}
    missing = [image.path for image in images if image.path.name not in present]
    if missing:
        raise DatasetError(
            f"{missing[0]}: no such image, one of {len(missing)} missing out of {len(images)}; "
            f"remove {root / 'images'}, then {_FETCH} anew"
        )
