"""From files and options to contenders."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from assay.compiler.config import Config
from assay.data import DIGITS_FP32, DIGITS_INT8
from assay.errors import ArtifactError, ConfigError, ModelError
from assay.timing.plan import Choices, plan
from tests.builder.onnx_net import OnnxNet

FP32, INT8 = DIGITS_FP32.stem, DIGITS_INT8.stem


def labels(*files, **choices):
    return [each.label for each in plan(files, Choices(**choices))]


def test_builds_come_first_then_runtimes_in_the_order_given():
    found = labels(DIGITS_FP32, against=("openvino", "litert", "stock"), opt_levels=(4, 0))
    assert found == ["assay O4", "assay O0", "openvino", "litert", "stock"]


def test_builds_take_every_choice_and_stock_only_the_target():
    config = Config(target="llvm", layout="nchw", precision="float", convert_ops=("conv2d",))
    build, stock = plan([DIGITS_FP32], Choices(("stock",), (1,), config))
    assert build.config == Config(
        target="llvm", opt_level=1, layout="nchw", precision="float", convert_ops=("conv2d",)
    )
    assert stock.config == Config(target="llvm", pipeline="stock")
    assert (build.runtime, stock.runtime) == ("tvm", "tvm")
    assert (build.is_build, stock.is_build) == (True, False)


def test_several_models_are_told_apart():
    found = plan([DIGITS_FP32, DIGITS_INT8], Choices(("litert",)))
    assert [each.label for each in found] == [
        f"{FP32}: assay O3",
        f"{FP32}: litert",
        f"{INT8}: assay O3",
        f"{INT8}: litert",
    ]
    assert [each.model for each in found] == [FP32, FP32, INT8, INT8]


def test_models_of_one_name_are_told_apart(tmp_path):
    other = tmp_path / DIGITS_FP32.name
    shutil.copy(DIGITS_INT8, other)
    first, second = plan([DIGITS_FP32, other], Choices())
    assert (first.model, second.model) == (FP32, f"{FP32} #2")


def test_a_library_belongs_to_the_model_it_was_made_of(addition, library):
    from_source, as_it_is = plan([addition, library], Choices())
    assert as_it_is.label == library.name
    assert as_it_is.path == library
    assert as_it_is.model == from_source.model
    assert as_it_is.config is None
    assert as_it_is.is_build


def test_one_library_given_twice(library):
    assert labels(library, library) == [library.name, f"{library.name} #2"]


def test_runtimes_alone(addition):
    assert labels(addition, opt_levels=(), against=("litert",)) == ["litert"]


def test_onnx_runtime_needs_a_file_of_its_own(addition, tmp_path):
    (skipped,) = plan([addition], Choices(("onnxruntime",), ()))
    assert "--onnx" in skipped.skip
    onnx = tmp_path / "model.onnx"
    onnx.touch()
    (taken,) = plan([addition], Choices(("onnxruntime",), (), onnx=onnx))
    assert (taken.path, taken.skip, taken.model) == (onnx, None, "addition")


@pytest.fixture
def onnx_file(tmp_path):
    pytest.importorskip("onnx")
    net = OnnxNet()
    return net.save(tmp_path / "net.onnx", net.op("Relu", net.input("x", [1, 3])))


def test_an_onnx_model_beside_the_runtimes_that_read_it(onnx_file):
    against = ("onnxruntime", "openvino", "litert", "stock")
    found = plan([onnx_file], Choices(against, (3, 4)))
    labels = [each.label for each in found if each.skip is None]
    assert labels == ["assay O3", "assay O4", "onnxruntime", "openvino", "stock"]
    assert {each.path for each in found} == {onnx_file}
    (skipped,) = (each for each in found if each.skip is not None)
    assert (skipped.label, skipped.skip) == (
        "litert",
        "it reads no .onnx: give the model as a .tflite file too",
    )


def test_each_format_has_a_runtime_of_its_own(onnx_file):
    found = plan([DIGITS_FP32, onnx_file], Choices(against=None, opt_levels=()))
    assert [each.runtime for each in found] == ["litert", "onnxruntime"]
    with pytest.raises(ConfigError, match="leave it away"):
        plan([onnx_file], Choices(("onnxruntime",), onnx=onnx_file))


@pytest.mark.parametrize(
    ("choices", "reason"),
    [
        ({"against": ("tflite",)}, "'tflite' is no runtime: there are litert, onnxruntime"),
        ({"against": ("tvm",)}, "'tvm' is no runtime"),
        ({"against": ("litert", "litert")}, "'litert' twice"),
        ({"opt_levels": (3, 3)}, "3 twice"),
        ({"opt_levels": (5,)}, "opt level 5 does not exist"),
        ({"opt_levels": ()}, "nothing to time"),
        ({"onnx": Path("m.onnx")}, "add onnxruntime to --against"),
    ],
)
def test_choices_that_cannot_be(choices, reason):
    with pytest.raises(ConfigError, match=reason):
        plan([DIGITS_FP32], Choices(**choices))


def test_an_onnx_file_for_two_models_is_refused(tmp_path):
    choices = Choices(("onnxruntime",), onnx=tmp_path / "m.onnx")
    with pytest.raises(ConfigError, match="belongs to one model, 2 are given"):
        plan([DIGITS_FP32, DIGITS_INT8], choices)
    with pytest.raises(ModelError, match=r"m\.onnx: no such file"):
        plan([DIGITS_FP32], choices)


def test_files_that_cannot_be_timed(tmp_path):
    with pytest.raises(ModelError, match=r"notes\.txt cannot be timed"):
        plan([tmp_path / "notes.txt"], Choices())
    with pytest.raises(ModelError, match="does not exist"):
        plan([tmp_path / "absent.tflite"], Choices())
    with pytest.raises(ArtifactError, match="no such compiled library"):
        plan([tmp_path / "absent.so"], Choices())
