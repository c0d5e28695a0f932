from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tflite
from ai_edge_litert.interpreter import Interpreter
from sklearn.datasets import load_digits

from assay.data import DIGITS_FP32, DIGITS_INT8
from assay.datasets.digits import Digits
from assay.errors import DatasetError

MODELS = (DIGITS_FP32, DIGITS_INT8)


@pytest.fixture(scope="module")
def test_split() -> Digits:
    return Digits("test")


@pytest.fixture(scope="module")
def train_split() -> Digits:
    return Digits("train")


@pytest.fixture(scope="module")
def labels(test_split: Digits) -> np.ndarray:
    return np.array([test_split[i].label for i in range(len(test_split))])


@pytest.fixture(scope="module")
def logits(test_split: Digits) -> dict[str, np.ndarray]:
    """What LiteRT answers to the held-out images: float64 [samples, 10] for each model file."""
    images = np.stack([test_split[i].data for i in range(len(test_split))])
    return {path.name: litert_logits(str(path), images) for path in MODELS}


def litert_logits(path: str, images: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(path, num_threads=1)
    interpreter.allocate_tensors()
    source, sink = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    if source["dtype"] == np.int8:
        scale, zero_point = source["quantization"]
        images = np.clip(np.rint(images / scale) + zero_point, -128, 127).astype(np.int8)
    answers = []
    for image in images:
        interpreter.set_tensor(source["index"], image[None])
        interpreter.invoke()
        answers.append(interpreter.get_tensor(sink["index"])[0].astype(np.float64))
    if sink["dtype"] == np.int8:
        scale, zero_point = sink["quantization"]
        return scale * (np.stack(answers) - zero_point)
    return np.stack(answers)


class TestSplits:
    def test_the_default_is_the_held_out_fifth(self) -> None:
        assert Digits().split == "test"
        assert len(Digits()) == 360

    def test_both_together_are_all_images_once(
        self, train_split: Digits, test_split: Digits
    ) -> None:
        ids = [part[i].id for part in (train_split, test_split) for i in range(len(part))]
        assert sorted(ids) == [f"digits-{row:04d}" for row in range(1797)]

    @pytest.mark.parametrize("split", ["train", "test"])
    def test_each_keeps_the_share_of_every_class(self, split: str) -> None:
        part = Digits(split)
        found = Counter(part[i].label for i in range(len(part)))
        whole = Counter(load_digits().target.tolist())
        for label, count in whole.items():
            assert abs(found[label] - count * len(part) / 1797) <= 1

    def test_the_shipped_models_never_saw_the_test_split(self, test_split: Digits) -> None:
        # They were trained on the complement of exactly this list; if the split moves, they must
        # be trained again.
        assert test_split.facts()["sha256"] == (
            "adc30fe1c264789e4cab1e7226a03fb093f2a2c104335161a149e3e4125cefcb"
        )

    def test_an_unknown_split_names_the_known_ones(self) -> None:
        with pytest.raises(DatasetError, match="'validation': use one of train, test"):
            Digits("validation")


class TestExamples:
    def test_the_same_index_gives_the_same_example(self, test_split: Digits) -> None:
        other = Digits("test")
        for index in (0, 7, 359):
            first, again, fresh = test_split[index], test_split[index], other[index]
            assert (first.id, first.label) == (again.id, again.label) == (fresh.id, fresh.label)
            np.testing.assert_array_equal(first.data, again.data)
            np.testing.assert_array_equal(first.data, fresh.data)

    def test_writing_into_one_leaves_the_data_set_alone(self, test_split: Digits) -> None:
        before = test_split[3].data.copy()
        test_split[3].data[:] = 0
        np.testing.assert_array_equal(test_split[3].data, before)

    def test_data_is_normalised_float32_with_three_equal_channels(self, test_split: Digits) -> None:
        for index in range(0, len(test_split), 40):
            data = test_split[index].data
            assert data.shape == (96, 96, 3)
            assert data.dtype == np.float32
            assert data.min() == -1
            assert 0.8 < data.max() <= 1
            np.testing.assert_array_equal(data[..., 0], data[..., 1])
            np.testing.assert_array_equal(data[..., 0], data[..., 2])

    def test_label_and_pixels_are_those_of_the_row_that_the_id_names(
        self, test_split: Digits
    ) -> None:
        digits = load_digits()
        for index in range(0, len(test_split), 40):
            example = test_split[index]
            row = int(example.id.removeprefix("digits-"))
            assert test_split.classes[example.label] == str(digits.target[row])
            # Half a level of 8 bits may go at the conversion, the rows and the columns each.
            np.testing.assert_allclose(
                example.data[..., 0], bilinear(digits.images[row]) / 8 - 1, atol=1.6 / 127.5
            )

    def test_an_index_past_the_end_ends_an_iteration(self, test_split: Digits) -> None:
        with pytest.raises(IndexError):
            test_split[360]
        assert sum(1 for _ in test_split) == 360


def bilinear(image: np.ndarray, size: int = 96) -> np.ndarray:
    """Resize [H, W] with pixel centres at half integers, the border repeated."""

    def weights(length: int) -> np.ndarray:
        at = np.clip((np.arange(size) + 0.5) * length / size - 0.5, 0, length - 1)
        return np.maximum(0, 1 - np.abs(at[:, None] - np.arange(length)))

    return weights(image.shape[0]) @ image @ weights(image.shape[1]).T


class TestFacts:
    def test_they_survive_json(self, test_split: Digits) -> None:
        facts = test_split.facts()
        assert json.loads(json.dumps(facts)) == facts
        assert (facts["name"], facts["split"], facts["samples"]) == ("digits", "test", 360)

    def test_the_splits_have_different_hashes(
        self, train_split: Digits, test_split: Digits
    ) -> None:
        assert train_split.facts()["sha256"] != test_split.facts()["sha256"]


class TestModels:
    @pytest.mark.parametrize(("path", "most"), [(DIGITS_FP32, 2_200_000), (DIGITS_INT8, 700_000)])
    def test_the_files_are_small(self, path: Path, most: int) -> None:
        assert 100_000 < path.stat().st_size <= most

    @pytest.mark.parametrize("path", MODELS, ids=lambda path: path.name)
    def test_they_hold_the_operators_of_mobilenet_v2_and_no_others(self, path: Path) -> None:
        model = tflite.Model.GetRootAs(path.read_bytes())
        codes = {
            tflite.opcode2name(model.OperatorCodes(i).BuiltinCode())
            for i in range(model.OperatorCodesLength())
        }
        assert codes == {"CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "MEAN", "FULLY_CONNECTED"}

    @pytest.mark.parametrize(
        ("path", "dtype"), [(DIGITS_FP32, np.float32), (DIGITS_INT8, np.int8)], ids=["fp32", "int8"]
    )
    def test_one_image_in_and_ten_logits_out(self, path: Path, dtype: type) -> None:
        interpreter = Interpreter(str(path))
        (source,), (sink,) = interpreter.get_input_details(), interpreter.get_output_details()
        assert source["shape_signature"].tolist() == [1, 96, 96, 3]
        assert sink["shape_signature"].tolist() == [1, 10]
        assert source["dtype"] is sink["dtype"] is dtype

    def test_int8_covers_the_input_range_and_has_a_scale_for_each_channel(self) -> None:
        interpreter = Interpreter(str(DIGITS_INT8))
        scale, zero_point = interpreter.get_input_details()[0]["quantization"]
        assert scale * (-128 - zero_point) == pytest.approx(-1, abs=scale)
        assert scale * (127 - zero_point) == pytest.approx(1, abs=scale)
        filters = [
            detail
            for detail in interpreter.get_tensor_details()
            if len(detail["shape"]) == 4 and detail["shape"].tolist()[1:] == [3, 3, 3]
        ]
        (stem,) = filters
        assert len(stem["quantization_parameters"]["scales"]) == stem["shape"][0] == 16

    def test_both_read_the_held_out_digits(
        self, logits: dict[str, np.ndarray], labels: np.ndarray
    ) -> None:
        accuracy = {name: (scores.argmax(1) == labels).mean() for name, scores in logits.items()}
        assert accuracy[DIGITS_FP32.name] >= 0.95
        assert accuracy[DIGITS_INT8.name] >= accuracy[DIGITS_FP32.name] - 0.02

    def test_quantization_moves_the_logits_but_little(self, logits: dict[str, np.ndarray]) -> None:
        exact, rounded = logits[DIGITS_FP32.name], logits[DIGITS_INT8.name]
        error = np.abs(exact - rounded).mean() / exact.std()
        assert 0 < error < 0.1


def test_importing_the_data_set_loads_nothing_heavy() -> None:
    code = (
        "import sys, assay.datasets.digits, assay.data;"
        "print(sorted({'numpy', 'sklearn', 'PIL'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
