"""The classes of the lab's lessons: same steps whatever runs the model, each replaceable."""

from __future__ import annotations

import inspect
import json

import numpy as np
import pytest

from assay.data import DIGITS_FP32
from assay.datasets.npz import Npz
from assay.errors import ConfigError, InputError, ModelError, TargetError
from assay.lab import ModelTester, TFLiteFP32Model, TFLiteINT8Model, TVMModel
from assay.runtimes.litert import open_litert
from tests.lab import toy

TYPES = ("float32", "int8", "uint8", "int16")


@pytest.fixture
def folder(tmp_path):
    toy.write(tmp_path, count=21)
    for dtype in toy.STEP:
        (tmp_path / f"toy.{dtype}.tflite").write_bytes(toy.quantized_model(dtype))
    (tmp_path / "toy.float32.tflite").write_bytes(toy.float_model())
    return tmp_path


@pytest.fixture
def dataset(folder):
    return Npz(folder / "toy.npz")


def litert(folder, dataset, dtype):
    return ModelTester(dataset, folder / f"toy.{dtype}.tflite")


def tvm(folder, dataset, dtype):
    return TVMModel(dataset, folder / f"toy.{dtype}.so", folder / f"toy.{dtype}.tflite")


def scores(tester, x):
    tester.preprocess_input(x)
    tester.run_inference()
    return tester.postprocess_outputs()


def by_hand(x, dtype):
    """What the toy answers, computed with the quantization formula in float64."""
    if dtype == "float32":
        return x.astype(np.float64).mean(axis=(0, 1))
    scale, zero_point = toy.STEP[dtype]
    steps = np.floor(np.abs(x.astype(np.float64) / scale) + 0.5) * np.sign(x)
    raw = np.clip(steps + zero_point, *toy.RANGE[dtype])
    return (raw - zero_point).mean(axis=(0, 1)) * scale


class TestSteps:
    @pytest.mark.parametrize("dtype", TYPES)
    @pytest.mark.parametrize("make", [litert, tvm])
    def test_real_values_in_and_out_by_the_models_own_scale(self, folder, dataset, make, dtype):
        tester = make(folder, dataset, dtype)
        assert tester.quantized == (dtype != "float32")
        rounding = toy.STEP[dtype][0] if dtype in toy.STEP else 1e-6
        for index in range(5):
            x = dataset[index].data
            found = scores(tester, x)
            assert found.dtype == np.float32
            assert found.shape == (3,)
            np.testing.assert_allclose(found, by_hand(x, dtype), rtol=0, atol=rounding)

    @pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
    def test_the_model_gets_quantized_values(self, folder, dataset, dtype):
        tester = litert(folder, dataset, dtype)
        x = np.full((4, 4, 3), 0.25, np.float32)
        x[0, 0] = [1e9, -1e9, np.nan]  # the ends of the range, and what stands for 0
        scale, zero_point = toy.STEP[dtype]
        raw = np.full(toy.SHAPE, 0.25 / scale + zero_point).astype(dtype)
        raw[0, 0, 0] = [toy.RANGE[dtype][1], toy.RANGE[dtype][0], zero_point]
        expected = open_litert(folder / f"toy.{dtype}.tflite")(raw)
        tester.preprocess_input(x)
        tester.run_inference()
        np.testing.assert_array_equal(tester.model.get_output(0), expected)

    def test_raw_outputs_can_be_given(self, folder, dataset):
        tester = litert(folder, dataset, "uint8")
        found = tester.postprocess_outputs(np.uint8([[125, 126, 0]]))
        np.testing.assert_array_equal(found, np.float32([0, 1 / 64, -125 / 64]))

    def test_an_input_of_another_shape_is_refused(self, folder, dataset):
        with pytest.raises(InputError, match=r"int8 of shape \[1, 4, 4, 3\]"):
            litert(folder, dataset, "int8").preprocess_input(np.zeros((4, 5, 3), np.float32))


class TestConstructors:
    def test_the_documented_parameters_come_first(self):
        def names(cls):
            return list(inspect.signature(cls).parameters)

        common = ["dataset", "modelpath", "originalmodel", "logdir"]
        tvm = [*common, "target", "target_host", "opt_level", "use_nchw_layout"]
        for cls in (ModelTester, TFLiteFP32Model, TFLiteINT8Model):
            assert names(cls)[:4] == common
        assert names(TVMModel)[:8] == tvm
        defaults = [p.default for p in inspect.signature(TVMModel).parameters.values()]
        assert defaults[2:8] == [None, None, "llvm", None, 3, False]

    def test_the_rest_is_given_by_keyword(self):
        for cls in (ModelTester, TVMModel):
            kinds = [p.kind for p in inspect.signature(cls).parameters.values()]
            count = 8 if cls is TVMModel else 4
            assert set(kinds[count:]) == {inspect.Parameter.KEYWORD_ONLY}

    @pytest.mark.parametrize("make", [litert, tvm])
    def test_one_thread_unless_told_otherwise(self, folder, dataset, make):
        assert make(folder, dataset, "int8").model.threads == 1

    def test_threads_are_the_instances_own(self, folder, dataset):
        two = TFLiteINT8Model(dataset, folder / "toy.int8.tflite", threads=2)
        one = TFLiteINT8Model(dataset, folder / "toy.int8.tflite")
        compiled = TVMModel(
            dataset, folder / "toy.so", folder / "toy.float32.tflite", opt_level=1, threads=2
        )
        assert (two.model.threads, one.model.threads, compiled.model.threads) == (2, 1, 2)

    def test_a_runtime_by_name(self, folder, dataset):
        tester = ModelTester(dataset, folder / "toy.float32.tflite", runtime="stock")
        np.testing.assert_allclose(
            scores(tester, dataset[0].data), by_hand(dataset[0].data, "float32"), atol=1e-6
        )
        assert tester.model.name == "stock"


class TestTVMModel:
    def test_library_manifest_and_log_are_written(self, folder, dataset):
        tester = TVMModel(
            dataset,
            folder / "out.so",
            folder / "toy.float32.tflite",
            folder / "logs" / "deep",
            "llvm",
            "llvm",
            2,
            True,
        )
        manifest = json.loads((folder / "out.so.json").read_text())
        assert manifest["config"]["target"] == manifest["config"]["target_host"] == "llvm"
        assert manifest["config"]["opt_level"] == 2
        assert manifest["resolved_layout"] == "nchw"
        log = (folder / "logs/deep/build.log").read_text().splitlines()
        assert tuple(log) == tester.log
        assert any(line.startswith("[pass]") for line in log)

    def test_without_an_original_the_library_is_only_loaded(self, folder, dataset):
        made = tvm(folder, dataset, "float32")
        before = (folder / "toy.float32.so").stat().st_mtime_ns
        loaded = TVMModel(dataset, folder / "toy.float32.so")
        assert (folder / "toy.float32.so").stat().st_mtime_ns == before
        x = dataset[0].data
        np.testing.assert_array_equal(scores(loaded, x), scores(made, x))

    def test_a_real_network_in_nchw_agrees_with_litert(self, tmp_path):
        from assay.datasets.digits import Digits

        data = Digits()
        x = data[3].data
        expected = scores(TFLiteFP32Model(data, DIGITS_FP32), x)
        tester = TVMModel(data, tmp_path / "d.so", DIGITS_FP32, opt_level=1, use_nchw_layout=True)
        np.testing.assert_allclose(scores(tester, x), expected, atol=1e-3)

    @pytest.mark.parametrize(
        ("choices", "error"),
        [
            ({"opt_level": 5}, ConfigError),
            ({"target": "llvm -mcpu=none"}, TargetError),
            ({"target_host": "none"}, TargetError),
            ({"pipeline": "stock", "use_nchw_layout": True}, ConfigError),
        ],
    )
    def test_a_wrong_choice_leaves_no_file(self, folder, dataset, choices, error):
        with pytest.raises(error):
            TVMModel(dataset, folder / "x.so", folder / "toy.int8.tflite", **choices)
        assert not list(folder.glob("x.so*"))

    def test_a_name_that_would_not_be_found_as_a_library_is_refused(self, folder, dataset):
        before = (folder / "toy.int8.tflite").read_bytes()
        with pytest.raises(ConfigError, match=r"toy\.int8\.tflite: .* end in \.so"):
            TVMModel(dataset, folder / "toy.int8.tflite", folder / "toy.int8.tflite")
        assert (folder / "toy.int8.tflite").read_bytes() == before

    def test_a_missing_model_is_refused(self, folder, dataset):
        with pytest.raises(ModelError, match=r"none\.tflite"):
            TVMModel(dataset, folder / "x.so", folder / "none.tflite")


class TestEvaluation:
    @pytest.mark.parametrize("make", [litert, tvm])
    def test_metrics_and_matrix_are_written(self, folder, dataset, make, tmp_path):
        tester = make(folder, dataset, "int8")
        found = tester.test_inference(tmp_path / "out", "my-model", 1.0)
        names = {path.name for path in (tmp_path / "out").iterdir()}
        assert names == {"my-model-metrics.md", "my-model-confusion-matrix.png"}
        x, y = toy.images(21)
        predictions = [by_hand(one, "int8").argmax() for one in x]
        assert found.quality.predictions == predictions
        assert found.quality.accuracy == np.mean(np.array(predictions) == y)
        assert len(found.timing.samples_ms) == 20
        page = (tmp_path / "out/my-model-metrics.md").read_text()
        assert f"{found.quality.accuracy:.2%}".replace("%", " %") in page

    def test_a_part_of_the_data(self, folder, dataset, tmp_path):
        found = litert(folder, dataset, "float32").test_inference(tmp_path / "out", "part", 1 / 3)
        assert found.quality.samples == 7

    @pytest.mark.parametrize("fraction", [0, 2, -1])
    def test_a_fraction_out_of_range(self, folder, dataset, fraction, tmp_path):
        tester = litert(folder, dataset, "float32")
        with pytest.raises(ConfigError, match="fraction"):
            tester.test_inference(tmp_path / "out", "x", fraction)
        assert not (tmp_path / "out").exists()

    def test_data_without_examples(self, folder, dataset):
        class Empty:
            name, classes, ids, labels = "nothing", toy.CLASSES, (), ()

            def __len__(self):
                return 0

        tester = ModelTester(Empty(), folder / "toy.int8.tflite")
        with pytest.raises(InputError, match="'nothing' has no example"):
            tester.test_inference(folder / "out", "x")

    def test_scores_that_do_not_fit_the_classes(self, folder):
        x, _ = toy.images(4)
        np.savez(folder / "four.npz", x=x, y=np.arange(4))
        tester = ModelTester(Npz(folder / "four.npz"), folder / "toy.int8.tflite")
        with pytest.raises(InputError, match=r"toy\.int8\.tflite has 3 outputs, .* 4 classes"):
            tester.test_inference(folder / "out", "x")

    def test_a_class_without_samples_takes_no_part_in_the_means(self, folder):
        x, y = toy.images(40)
        keep = y != 1
        np.savez(folder / "two.npz", x=x[keep], y=y[keep], classes=np.array(toy.CLASSES))
        found = ModelTester(Npz(folder / "two.npz"), folder / "toy.float32.tflite").test_inference(
            folder / "out", "x"
        )
        predictions = x[keep].mean(axis=(1, 2)).argmax(axis=1)
        recalls = [np.mean(predictions[y[keep] == label] == label) for label in (0, 2)]
        assert found.quality.g_mean == pytest.approx(np.sqrt(np.prod(recalls)))
        assert found.quality.g_mean > 0.5


class TestSubclasses:
    """As a lesson has them written: only the steps that it is about."""

    def test_each_example_takes_the_three_steps_in_order(self, folder, dataset):
        calls = []

        class Traced(ModelTester):
            def preprocess_input(self, X):  # noqa: N803
                calls.append(("preprocess", X.shape))
                super().preprocess_input(X)

            def run_inference(self):
                calls.append(("run",))
                super().run_inference()

            def postprocess_outputs(self):
                calls.append(("postprocess",))
                return super().postprocess_outputs()

        Traced(dataset, folder / "toy.int8.tflite").test_inference(folder / "out", "x")
        assert calls == [("preprocess", (4, 4, 3)), ("run",), ("postprocess",)] * 21

    def test_a_student_may_do_without_the_rooms_of_assay(self, folder, dataset):
        class WithNumPy(ModelTester):
            def prepare_model(self):
                self.weights = np.eye(3)

            def preprocess_input(self, X):  # noqa: N803
                self.x = X

            def run_inference(self):
                self.y = self.x.mean(axis=(0, 1)) @ self.weights

            def postprocess_outputs(self):
                return self.y[None]  # with the batch, as models give it

        found = WithNumPy(dataset, "no-file").test_inference(folder / "out", "x")
        expected = litert(folder, dataset, "float32").test_inference(folder / "out", "y")
        assert found.quality == expected.quality

    def test_optimizing_happens_once_and_only_with_an_original(self, folder, dataset):
        class Copying(ModelTester):
            made = 0

            def optimize_model(self, originalmodel):
                self.made += 1
                self.modelpath.write_bytes(originalmodel.read_bytes())

        made = Copying(dataset, folder / "copy.tflite", folder / "toy.int8.tflite")
        kept = Copying(dataset, folder / "copy.tflite")
        assert (made.made, kept.made) == (1, 0)
        assert (folder / "copy.tflite").read_bytes() == toy.quantized_model("int8")
