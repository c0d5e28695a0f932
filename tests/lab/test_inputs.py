"""What a run is given is refused in one sentence, before anything is written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from assay.compiler.config import Config
from assay.errors import (
    AssayError,
    ConfigError,
    DatasetError,
    InputError,
    ModelError,
    ResultsError,
    TargetError,
)
from assay.lab.plan import Experiment, plan
from assay.lab.runner import run_lab
from tests.builder import GraphBuilder
from tests.datasets.pets import write_pets
from tests.lab import toy
from tests.lab.runs import Recorder, toy_lab


@pytest.fixture
def lab(toy_folder):
    return toy_lab(toy_folder, "tflite-fp32", "tvm-fp32-opt1")


def refused(lab, error: type[AssayError], words: str) -> None:
    recorder = Recorder()
    with pytest.raises(error, match=words) as caught:
        run_lab(lab, recorder)
    assert "\n" not in str(caught.value)
    assert recorder.events == recorder.steps == []
    assert not lab.results_path.is_dir()


def header_bit(data: bytes) -> bytes:
    return bytes([data[0] ^ 64]) + data[1:]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[:3],
        lambda _data: b"",
        lambda _data: b"PK\3\4 this is no model",
        header_bit,
    ],
)
@pytest.mark.parametrize("kind", ["fp32", "int8"])
def test_a_damaged_model(lab, kind, spoil):
    path = lab.models[kind]
    path.write_bytes(spoil(path.read_bytes()))
    refused(lab, ModelError, path.name)


def test_a_missing_model(lab):
    lab.models["int8"].unlink()
    refused(lab, ModelError, r"toy\.int8\.tflite")


def test_a_missing_data_set(lab, tmp_path):
    refused(replace(lab, dataset=f"oxford-pet:{tmp_path}/none"), DatasetError, "none: no such")
    refused(replace(lab, dataset=f"npz:{tmp_path}/none.npz"), DatasetError, r"none\.npz: no such")


def test_annotations_that_do_not_parse(lab, tmp_path):
    root = write_pets(tmp_path / "pets", test="Abyssinian_2 1 1 1\nAbyssinian 2\n")
    refused(replace(lab, dataset=f"oxford-pet:{root}"), DatasetError, r"test\.txt: line 2: ")


def test_a_missing_image(lab, tmp_path):
    root = write_pets(tmp_path / "pets")
    (root / "images/Abyssinian_12.jpg").unlink()
    refused(replace(lab, dataset=f"oxford-pet:{root}"), DatasetError, r"Abyssinian_12\.jpg: no")


@pytest.mark.parametrize("fraction", [0, -0.1, 1.1, float("nan"), float("inf")])
def test_a_fraction_out_of_range(lab, fraction):
    refused(replace(lab, fraction=fraction), ConfigError, "fraction")


@pytest.mark.parametrize("threads", [0, -1])
def test_too_few_threads(lab, threads):
    refused(replace(lab, threads=threads), ConfigError, "threads")


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("llvm -mcpu=pentium-9", "no CPU 'pentium-9'"),
        ("llvm -mattr=+warp", "feature 'warp'"),
        ("cuda", "kind must be llvm"),
        ("llvm -mtriple=mars-linux-gnu", "no back end"),
        ('{"kind": "llvm"', "JSON"),
    ],
)
@pytest.mark.parametrize("field", ["target", "target_host"])
def test_a_target_that_llvm_does_not_know(lab, field, target, words):
    choices = {"target": "llvm", field: target}
    experiments = plan(**choices, only=["tflite-fp32", "tvm-int8"])
    refused(replace(lab, experiments=experiments), TargetError, words)


def test_a_target_that_this_machine_cannot_run(lab):
    target = "llvm -mtriple=riscv64-linux-gnu -mcpu=generic-rv64"
    experiments = plan(target, only=["tflite-fp32", "tvm-int8"])
    words = "cannot run here, as it is for riscv64, .* give --target native"
    refused(replace(lab, experiments=experiments), TargetError, words)
    host = (Experiment("x", "X", "fp32", Config(target="llvm", target_host=target)),)
    refused(replace(lab, experiments=host), TargetError, words)


class TestFit:
    def test_another_image_size(self, lab):
        words = r"toy\.fp32\.tflite takes .* \[1, 4, 4, 3\], but data set 'digits' gives \[1, 96, "
        refused(replace(lab, dataset="digits"), InputError, words)

    def test_another_number_of_classes(self, lab, tmp_path):
        x, _ = toy.images(4)
        np.savez(tmp_path / "four.npz", x=x, y=np.arange(4))
        words = r"toy\.fp32\.tflite has 3 outputs, but data set 'four' has 4 classes"
        refused(replace(lab, dataset=f"npz:{tmp_path}/four.npz"), InputError, words)

    def test_several_inputs(self, lab):
        graph = GraphBuilder()
        x, z = graph.input("x", toy.SHAPE), graph.input("z", toy.SHAPE)
        graph.output(graph.op("ADD", [x, z], toy.SHAPE))
        lab.models["int8"].write_bytes(graph.build())
        refused(lab, InputError, r"toy\.int8\.tflite takes 2 inputs")


class TestResultsPath:
    def test_a_file_in_the_way(self, lab):
        lab.results_path.write_text("mine")
        refused(lab, ResultsError, "results.* cannot be written")
        assert lab.results_path.read_text() == "mine"

    def test_a_file_above_it(self, lab):
        lab.results_path.write_text("mine")
        refused(replace(lab, results_path=lab.results_path / "deep/er"), ResultsError, "Not a dir")

    def test_a_directory_in_place_of_the_file(self, lab):
        (lab.results_path / "results.json").mkdir(parents=True)
        with pytest.raises(ResultsError, match=r"results\.json .*it is a directory"):
            run_lab(lab, Recorder())

    @pytest.mark.parametrize("path", ["/proc/assay-results", "/proc/self/fdinfo"])
    def test_a_place_where_nobody_can_write(self, lab, path):
        recorder = Recorder()
        with pytest.raises(ResultsError, match=f"{path}.* cannot be written"):
            run_lab(replace(lab, results_path=Path(path)), recorder)
        assert recorder.steps == []


class TestDownload:
    def test_only_the_pets_can_be_fetched(self, lab):
        refused(replace(lab, dataset="digits", download=True), ConfigError, "only Oxford-IIIT Pet")

    def test_a_complete_data_set_is_not_asked_for_again(self, lab, tmp_path):
        root = write_pets(tmp_path / "pets")
        words = r"gives \[1, 224, 224, 3\]"  # so it was opened, and the toy is not made for it
        refused(replace(lab, dataset=f"oxford-pet:{root}", download=True), InputError, words)
