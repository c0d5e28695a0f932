from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from assay.cli.main import main
from tests.lab import toy


class Done(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def assay(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Run a command line in this process and return its exit code and what it printed."""

    def run(*arguments: object) -> Done:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        return Done(int(end.value.code or 0), *capsys.readouterr())

    return run


@pytest.fixture
def refused(assay: Callable[..., Done]) -> Callable[..., str]:
    """Run a command line that is a user's mistake; return the sentence that says so."""

    def run(*arguments: object) -> str:
        code, out, err = assay(*arguments)
        assert (code, out) == (2, ""), err
        assert err.startswith("assay: ")
        assert err.count("\n") == 1
        return err.removeprefix("assay: ")

    return run


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A directory with the toy models, their data set and one input."""
    toy.write(tmp_path)
    np.save(tmp_path / "x.npy", toy.images(1)[0])
    return tmp_path
