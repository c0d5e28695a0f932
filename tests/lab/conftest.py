from __future__ import annotations

import fcntl
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from assay.data import DIGITS_FP32, DIGITS_INT8
from assay.lab.inputs import Lab
from assay.lab.plan import Experiment, plan
from assay.lab.runner import run_lab
from tests.lab.runs import Recorder, toy_lab

IMPOSSIBLE = Experiment(
    "tvm-warp", "INT8 on a CPU from the future", "int8", plan()[-1].config, needs="warp_drive"
)


def run_once(factory: pytest.TempPathFactory, lab: Lab) -> Lab:
    """Run a lab whose results all test processes share, in the one that comes first."""
    base = factory.getbasetemp()
    root = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    lab = replace(lab, results_path=root / lab.results_path)
    done = lab.results_path / "done"
    with (root / f"{lab.results_path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            run_lab(lab, Recorder())
            done.touch()
    return lab


@pytest.fixture(scope="session")
def digits_lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A finished run on the digits: LiteRT, TVM, and an experiment that this CPU cannot run.

    Nobody may write to its directory.
    """
    lab = Lab(
        models={"fp32": DIGITS_FP32, "int8": DIGITS_INT8},
        dataset="digits",
        results_path=Path("digits-lab"),
        experiments=(*plan(only=["tflite-fp32", "tvm-int8-fixed"]), IMPOSSIBLE),
        fraction=0.03,
        command="assay lab --test",
        launches=2,
        rounds=4,
        min_time_s=0.002,
    )
    return run_once(tmp_path_factory, lab)


@pytest.fixture(scope="session")
def finished_toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of both toy models in LiteRT; nobody may write there."""
    lab = toy_lab(tmp_path_factory.mktemp("toy"), "tflite-fp32", "tflite-int8")
    return run_once(tmp_path_factory, replace(lab, results_path=Path("toy-lab"))).results_path


@pytest.fixture
def toy_folder(tmp_path: Path) -> Path:
    return tmp_path / "toy"


@pytest.fixture
def lab(toy_folder: Path, finished_toy: Path) -> Lab:
    """A finished run of both toy models in LiteRT, in a directory of the test's own."""
    lab = toy_lab(toy_folder, "tflite-fp32", "tflite-int8")
    shutil.copytree(finished_toy, lab.results_path)
    return lab
