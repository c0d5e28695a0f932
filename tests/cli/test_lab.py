"""``assay lab`` on the command line: what it prints, how it ends, what it leaves alone."""

from __future__ import annotations

import json
import os
import signal
from threading import Thread

import pytest

from assay.lab.store import load
from tests.lab import toy
from tests.lab.runs import wait_until, workers

BOTH = ("--experiments", "tflite-fp32", "tflite-int8")


@pytest.fixture
def options(files):
    return (
        *("--fp32-model-path", files / "toy.fp32.tflite"),
        *("--int8-model-path", files / "toy.int8.tflite"),
        *("--dataset-root", f"npz:{files}/toy.npz", "--results-path", files / "results"),
        *("--launches", 0),
    )


def test_a_run_prints_the_comparison_and_writes_it(assay, files, options):
    command = ("lab", *options, *BOTH, "--test-dataset-fraction", 0.5, "--json", files / "lab.json")
    code, out, err = assay(*command)
    assert code == 0, err
    for text in ("tflite-fp32", "tflite-int8", "G-mean", "done"):
        assert text in out
    assert out.endswith(f"The report is {files}/results/report.html, also as report.md\n")
    assert [line.split(":")[0] for line in err.splitlines()] == ["tflite-fp32", "tflite-int8"]
    written = json.loads((files / "lab.json").read_text())
    assert written == json.loads((files / "results/results.json").read_text())
    assert [e["quality"]["samples"] for e in written["experiments"]] == [20, 20]

    again = assay(*command)
    assert again.code == 0
    assert again.err.count("kept from an earlier run") == 2
    kept = json.loads((files / "lab.json").read_text())["experiments"]
    assert [e["timing"] for e in kept] == [e["timing"] for e in written["experiments"]]

    wider = assay("lab", *options, "--experiments", "tflite-fp32")
    assert "results of other inputs are kept in" in wider.err


def test_a_failed_experiment_makes_the_exit_code_1(assay, files, options):
    def kill_first() -> None:
        wait_until(workers)
        os.kill(workers()[0], signal.SIGKILL)

    Thread(target=kill_first).start()
    code, out, err = assay("lab", *options, *BOTH)
    assert code == 1
    assert "died of signal 9" in " ".join(out.split())
    assert err.splitlines()[-1] == "assay: failed: tflite-fp32; the table says why"
    results = load(files / "results/results.json")
    assert [e.status for e in results.experiments] == ["failed", "done"]
    assert "died of signal 9" in (files / "results/report.md").read_text()
    assert assay("lab", *options, "--experiments", "tflite-int8").code == 0


def test_names_may_follow_one_option_or_several(refused, options):
    for names in (
        ("--experiments", "tflite-fp32", "nonsense"),
        ("--experiments", "tflite-fp32", "--experiments", "nonsense"),
        ("--experiments=nonsense",),
    ):
        sentence = refused("lab", *names, *options)
        assert sentence.startswith("no experiment is called 'nonsense'; there are tflite-fp32, ")
    assert "no experiment is called ''" in refused("lab", "--experiments", *options)


class TestRefused:
    @pytest.fixture
    def lab(self, refused, files, options):
        """Run a lab over results that are there, and see that they stay."""
        results = files / "results"
        results.mkdir()
        (results / "results.json").write_text("earlier results")

        def run(*more):
            sentence = refused("lab", *options, *BOTH, *more)
            assert [path.name for path in results.iterdir()] == ["results.json"]
            assert (results / "results.json").read_text() == "earlier results"
            return sentence

        return run

    def test_a_damaged_model(self, lab, files):
        path = files / "cut.tflite"
        path.write_bytes(toy.float_model()[:200])
        assert str(path) in lab("--int8-model-path", path)

    def test_a_missing_data_set(self, lab, files):
        sentence = lab("--dataset-root", files / "pets")
        assert sentence.startswith(f"{files}/pets: no such directory of Oxford-IIIT Pet; ")
        assert "--download-dataset" in sentence

    def test_a_data_set_that_cannot_be_fetched(self, lab):
        assert "'digits' cannot be fetched" in lab("--dataset-root", "digits", "--download-dataset")

    def test_a_target_for_another_machine(self, lab):
        target = "llvm -mtriple=riscv64-linux-gnu -mcpu=generic-rv64"
        sentence = lab("--experiments", "tvm-int8", "--target", target)
        assert f"target '{target}' cannot run here" in sentence

    def test_results_that_cannot_be_read(self, lab, files):
        assert f"{files}/results/results.json does not hold results" in lab()

    @pytest.mark.parametrize(
        ("more", "words"),
        [
            (("--test-dataset-fraction", "0"), "fraction 0.0"),
            (("--test-dataset-fraction", "-1"), "fraction -1.0"),
            (("--threads", "0"), "threads is 0"),
            (("--threads", "-2"), "threads is -2"),
            (("--json", "/proc/lab.json"), "/proc/lab.json cannot be written"),
            (("--results-path", "/proc/lab"), "/proc/lab/results.json cannot be written"),
            (("--experiments", "tvm-int8", "--target", "llvm -mcpu=k99"), "no CPU 'k99'"),
        ],
    )
    def test_values_that_cannot_work(self, lab, more, words):
        assert words in lab(*more)


class TestDemo:
    def test_it_takes_no_model(self, assay):
        out = assay("demo", "--help").out
        assert "--results-path" in out
        assert "model" not in out

    def test_its_results_path_is_checked_before_the_work(self, refused, files):
        sentence = refused("demo", "--results-path", files / "x.npy")
        assert f"{files}/x.npy/results.json cannot be written" in sentence
