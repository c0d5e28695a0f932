"""Damaged copies of the models that assay ships: whatever happens, a command ends in order."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import assay
from assay.data import DIGITS_FP32, DIGITS_INT8
from assay.errors import ModelError
from tests.fuzz import amounts
from tests.fuzz.mutants import Mutator
from tests.lab.runs import assay_command

COUNT = amounts.FILES // 2  # of each model
FIRST = amounts.SEED * COUNT  # number of the first mutant
CPU_S = 300  # for one command: far above what an undamaged model takes
FINE = {"read", "refused"}


@pytest.mark.parametrize("model", [DIGITS_FP32, DIGITS_INT8], ids=["fp32", "int8"])
def test_reading(model: Path, tmp_path: Path) -> None:
    home, passed = tmp_path / "home", tmp_path / "passed"
    home.mkdir()
    passed.mkdir()
    numbers = (str(FIRST), str(FIRST + COUNT))
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.reader_child", model, *numbers, passed],
        env={**os.environ, "HOME": str(home), "TMPDIR": str(home), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 0, f"{lines[-1:]} ended the process: {done.stderr[-2000:]}"
    outcomes = Counter(line.split()[1] for line in lines)
    assert set(outcomes) <= FINE, [line for line in lines if line.split()[1] not in FINE]
    assert outcomes["refused"] > COUNT // 4
    assert outcomes["read"] == len(list(passed.iterdir())) > 0
    assert list(home.iterdir()) == []


def passing(model: Path, folder: Path, count: int) -> list[Path]:
    """Return mutants that reading lets pass, and that are not the model itself."""
    mutator, found, number = Mutator(model.read_bytes()), [], FIRST
    while len(found) < count:
        path = folder / f"{number}.tflite"
        path.write_bytes(mutator.mutant(number))
        try:
            if path.read_bytes() != model.read_bytes():
                assay.read(path)
                found.append(path)
        except ModelError:
            path.unlink()
        number += 1
    return found


@pytest.mark.parametrize("model", [DIGITS_FP32, DIGITS_INT8], ids=["fp32", "int8"])
def test_compiling_and_running(model: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    home = {"TMPDIR": str(work), "HOME": str(work)}
    for number, path in enumerate(passing(model, tmp_path, amounts.COMMANDS)):
        spec = assay.read(path).inputs[0]
        if np.prod(spec.shape) > 1 << 24:
            continue
        np.save(tmp_path / "x.npy", np.zeros(np.abs(spec.shape), spec.dtype))
        runtime = ("litert", "tvm")[number % 2]
        command = ("run", path, "--input", tmp_path / "x.npy", "--runtime", runtime)
        done = subprocess.run(
            assay_command(*command, "--output", work / "y.npy"),
            env={**os.environ, **home, "ASSAY_MAX_CPU_S": str(CPU_S)},
            cwd=work,
            capture_output=True,
            text=True,
            check=False,
        )
        said = done.stderr.splitlines()[-1:] or [""]
        assert done.returncode in (0, 2), f"{path}: {done.stderr[-3000:]}"
        assert "CPU time limit exceeded" not in done.stderr, path
        assert done.returncode == 0 or said[0].startswith("assay: "), done.stderr[-3000:]
        allowed = {"y.npy"} if done.returncode == 0 else set()
        logs = {file.name for file in work.glob("assay-crash-*.log")}
        assert {file.name for file in work.iterdir()} - logs <= allowed
        for file in work.iterdir():
            file.unlink()
