from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

# A shell without job control starts background jobs deaf to SIGINT and SIGQUIT, nohup to SIGHUP;
# so would be the commands under test, which are to be ended by them.
for _number, _handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGQUIT, signal.SIG_DFL),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, _handler)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the model zoo and the pets data set, which the repository does not hold."""
    default = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("ASSAY_SHARED", default))
    if not (folder / "zoo").is_dir():
        pytest.skip(f"no shared models at {folder}; set ASSAY_SHARED to their folder")
    return folder


@pytest.fixture(autouse=True)
def _builds(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all tests of a run, in all of its processes, share one cache of builds, never the user's.

    Most tests of commands compile the same few models. Those about the cache use ``own_cache``.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    monkeypatch.setenv("ASSAY_CACHE", str(shared / "builds"))


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a cache of builds that is empty and no other test's."""
    folder = tmp_path / "own-cache"
    monkeypatch.setenv("ASSAY_CACHE", str(folder))
    return folder


@pytest.fixture
def small_disk(tmp_path: Path):
    """A directory with 2 MB of room."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk, and not in every container")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
