"""What opening a model does to a process, looked at in a fresh one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_COUNT = """
import os
import {package}
from assay.runtimes.registry import open_runtime
before = len(os.listdir("/proc/self/task"))
runtime = open_runtime({name!r}, {path!r}, threads={threads})
print(len(os.listdir("/proc/self/task")) - before)
"""


def helper_threads(name: str, package: str, path: Path, threads: int) -> int:
    """Return how many threads a runtime starts besides the caller's to run with ``threads``."""
    if not Path("/proc/self/task").is_dir():
        pytest.skip("threads can only be counted on Linux")
    script = _COUNT.format(name=name, package=package, path=str(path), threads=threads)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return int(done.stdout)
