"""``assay eval``: accuracy and latency of one model on any data set."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from tests.datasets.pets import write_pets
from tests.lab import toy


@pytest.fixture
def folder(files):
    """Twelve pictures of one colour each, in folders by colour: nothing is easier."""
    for label, colour_name in enumerate(toy.CLASSES):
        name = f"{label}-{colour_name}"
        (files / "photos" / name).mkdir(parents=True)
        for shade in range(4):
            colour = np.zeros((8, 8, 3), np.uint8)
            colour[..., label] = 100 + 50 * shade
            Image.fromarray(colour).save(files / "photos" / name / f"{shade}.png")
    return files / "photos"


def expected_accuracy(count):
    x, y = toy.images(count)
    return np.mean(x.mean(axis=(1, 2)).argmax(axis=1) == y)


def test_the_table_and_its_json(assay, files):
    command = ("eval", files / "toy.int8.tflite", "--dataset", files / "toy.npz")
    code, out, _ = assay(*command, "--json", files / "out/found.json")
    assert code == 0
    accuracy = expected_accuracy(40)
    assert f"{accuracy:.4f}" in out
    assert "G-mean" in out
    document = json.loads((files / "out/found.json").read_text())
    assert document["model"] == str(files / "toy.int8.tflite")
    assert document["runtime"] == "litert"
    assert document["threads"] == 1
    assert document["dataset"]["name"] == "toy"
    assert document["quality"]["accuracy"] == pytest.approx(accuracy)
    assert document["quality"]["samples"] == 40
    assert len(document["timing"]["samples_ms"]) == 39


def test_a_fraction_on_a_library(assay, files):
    library = files / "toy.so"
    assert assay("compile", files / "toy.int8.tflite", "-o", library).code == 0
    code, *_ = assay(
        *("eval", library, "--dataset", f"npz:{files}/toy.npz", "--fraction", 0.5),
        *("--json", files / "found.json"),
    )
    assert code == 0
    document = json.loads((files / "found.json").read_text())
    assert document["runtime"] == "tvm"
    assert document["quality"]["samples"] == document["dataset"]["samples"] == 20


def test_folders_of_images_are_resized_and_normalized(assay, files, folder):
    code, *_ = assay(
        *("eval", files / "toy.fp32.tflite", "--dataset", folder, "--size", "4,4"),
        *("--mean", "0.5,0.5,0.5", "--std", 0.5, "--resample", "bilinear"),
        *("--json", files / "found.json"),
    )
    assert code == 0
    document = json.loads((files / "found.json").read_text())
    assert document["quality"]["accuracy"] == 1
    assert document["dataset"]["preprocess"] == {
        "size": [4, 4],
        "scale": 1 / 255,
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5],
        "color": "rgb",
        "resample": "bilinear",
    }


class TestRefused:
    @pytest.fixture
    def evaluate(self, refused, files):
        def call(*options, model="toy.fp32.tflite", dataset="toy.npz"):
            (files / "found.json").write_text("earlier")
            target = ("--json", files / "found.json")
            dataset = files / dataset if "/" not in dataset and dataset != "digits" else dataset
            sentence = refused("eval", files / model, "--dataset", dataset, *target, *options)
            assert (files / "found.json").read_text() == "earlier"
            return sentence

        return call

    @pytest.mark.parametrize("fraction", ["0", "-0.5", "1.5", "nan"])
    def test_a_fraction_out_of_range(self, evaluate, fraction):
        assert "fraction" in evaluate("--fraction", fraction)

    def test_a_missing_data_set(self, evaluate):
        assert "none" in evaluate(dataset="none")
        assert "none.npz" in evaluate(dataset="npz:/none.npz")

    def test_data_that_is_no_data_set(self, evaluate, files):
        (files / "bad.npz").write_bytes(b"PK\3\4")
        assert "bad.npz" in evaluate(dataset="bad.npz")

    def test_a_model_made_for_other_data(self, evaluate):
        sentence = evaluate(dataset="digits")
        assert "toy.fp32.tflite takes an input of shape [1, 4, 4, 3]" in sentence

    def test_an_image_that_does_not_decode(self, evaluate, files, folder):
        (folder / "1-green/2.png").write_bytes(b"\x89PNG\r\n\x1a\n")
        sentence = evaluate("--size", "4,4", dataset=f"folder:{folder}")
        assert f"{folder}/1-green/2.png" in sentence

    def test_annotations_that_do_not_parse(self, evaluate, tmp_path):
        root = write_pets(tmp_path / "pets", test="Abyssinian_2 1 1 1\nAbyssinian_2 one 1 1\n")
        assert "test.txt: line 2: 'Abyssinian_2 one 1 1'" in evaluate(dataset=str(root))

    def test_a_folder_of_images_without_a_size(self, evaluate, folder):
        assert "needs pre-processing" in evaluate(dataset=str(folder))

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (("--size", "four"), "--size 'four'"),
            (("--size", "4"), "(4,)"),
            (("--size", "4,0"), "(4, 0)"),
            (("--size", "4,4.5"), "(4, 4.5)"),
            (("--size", "4,4", "--std", "0"), "std"),
            (("--size", "4,4", "--mean", "1,2"), "mean has 2 values"),
            (("--size", "4,4", "--color", "cmyk"), "'cmyk'"),
            (("--size", "4,4", "--resample", "best"), "'best'"),
            (("--mean", "0.5"), "--size"),
        ],
    )
    def test_a_pre_processing_that_cannot_work(self, evaluate, folder, options, words):
        assert words in evaluate(*options, dataset=f"folder:{folder}")

    def test_no_thread(self, evaluate):
        assert "threads" in evaluate("--threads", 0)

    def test_an_unknown_runtime(self, evaluate):
        assert "no runtime is named 'tflite'" in evaluate("--runtime", "tflite")

    def test_a_json_file_that_cannot_be_written(self, evaluate, files):
        assert "cannot be written" in evaluate("--json", files / "x.npy/y", model="none.tflite")
