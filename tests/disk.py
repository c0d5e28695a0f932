"""A disk that is full."""

from __future__ import annotations

import os
from pathlib import Path


def fill(folder: Path, leave: int) -> None:
    room = os.statvfs(folder)
    (folder / "filler").write_bytes(bytes(room.f_bavail * room.f_frsize - leave))
