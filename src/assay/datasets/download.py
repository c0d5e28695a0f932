"""Fetch Oxford-IIIT Pet from its own site and unpack it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from assay.datasets.fetch import TIMEOUT_S, fetch
from assay.datasets.unpack import unpack
from assay.errors import DownloadError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

BASE_URL = "https://www.robots.ox.ac.uk/~vgg/data/pets/data/"

# Each comes as <folder>.tar.gz; with the files that a complete one is known by.
_FOLDERS: dict[str, tuple[str, ...]] = {
    "annotations": ("trainval.txt", "test.txt"),
    "images": (),
}


def download_oxford_pet(
    root: Path | str,
    base_url: str = BASE_URL,
    *,
    timeout_s: float = TIMEOUT_S,
    console: Console | None = None,
) -> None:
    """Provide ``root/images`` and ``root/annotations``; no request for what is there already.

    The archives are removed once unpacked. Progress goes to ``console``, by default on standard
    error. Raises DownloadError for a failed download (calling again resumes it), for an archive
    that must not be unpacked, and for a folder that is there but incomplete.
    """
    root = Path(root)
    try:
        missing = [folder for folder in _FOLDERS if not _complete(root / folder)]
        if not missing:
            return
        root.mkdir(parents=True, exist_ok=True)
    except DownloadError:
        raise
    except OSError as error:
        raise DownloadError(
            f"{root}: cannot be used ({error.strerror}); choose another directory"
        ) from error
    with _progress(console) as progress:
        for folder in missing:
            _provide(root, folder, base_url, timeout_s, progress)


def _complete(folder: Path) -> bool:
    """Whether the folder is there; DownloadError if it is, but not with all it should hold."""
    if not folder.is_dir() or not any(folder.iterdir()):
        return False
    for name in _FOLDERS[folder.name]:
        if not (folder / name).is_file():
            raise DownloadError(
                f"{folder / name}: is missing from a folder that is there; "
                f"move {folder} away, then call again"
            )
    return True


def _provide(root: Path, folder: str, base_url: str, timeout_s: float, progress: Progress) -> None:
    archive = root / f"{folder}.tar.gz"
    task = progress.add_task(f"Downloading {archive.name}", total=None)
    if not archive.exists():
        fetch(
            f"{base_url.rstrip('/')}/{archive.name}",
            archive,
            timeout_s=timeout_s,
            on_progress=lambda received, total: progress.update(
                task, completed=received, total=total
            ),
        )
    progress.update(task, description=f"Unpacking {archive.name}")
    unpack(archive, folder)
    archive.unlink()
    progress.update(task, description=f"Unpacked {archive.name}")


def _progress(console: Console | None) -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console or Console(stderr=True),
    )
