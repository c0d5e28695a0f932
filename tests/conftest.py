from __future__ import annotations

import os
import signal
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
def _own_cache(
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Give each test a cache of builds of its own, which is empty, and never the user's."""
    name = str(abs(hash(request.node.nodeid)))
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path_factory.getbasetemp() / "cache" / name))
