"""Builds of the demo's networks, at every opt level and layout, against LiteRT's kernels."""

from __future__ import annotations

import re

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

import assay
from assay.data import DIGITS_FP32, DIGITS_INT8
from assay.errors import ArtifactError, ConfigError, InputError
from assay.runtimes.tvm import open_build, open_tvm
from tests.builder import GraphBuilder
from tests.compiler.digits import built


def litert(path, x):
    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def image(dtype, seed=0):
    rng = np.random.default_rng(seed)
    if dtype == "float32":
        return rng.uniform(-1, 1, (1, 96, 96, 3)).astype(np.float32)
    return rng.integers(-128, 128, (1, 96, 96, 3)).astype(np.int8)


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
@pytest.mark.parametrize("opt_level", range(5))
def test_fp32_equals_litert_at_every_opt_level(opt_level, layout):
    x = image("float32")
    expected = litert(DIGITS_FP32, x)
    build = built("fp32", opt_level=opt_level, layout=layout)
    np.testing.assert_allclose(open_build(build)(x), expected, rtol=0, atol=1e-4 * np.ptp(expected))


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
@pytest.mark.parametrize("opt_level", [1, 3])
def test_int8_stays_near_litert(opt_level, layout):
    runtime = open_build(built("int8", opt_level=opt_level, layout=layout))
    for seed in range(3):
        x = image("int8", seed)
        difference = runtime(x).astype(int) - litert(DIGITS_INT8, x)
        assert np.abs(difference).max() <= 3


def transposes(build):
    """Transposes left inside the network, as the build's own log counts them."""
    return sum(line.startswith("[layout] permute_dims inside") for line in build.log)


def test_conversion_at_level_3_leaves_no_transpose_inside_the_network():
    assert transposes(built("fp32", layout="nchw")) == 0
    assert transposes(built("int8", layout="nchw")) == 0


def test_stock_conversion_leaves_transposes_around_clip_and_quantize():
    below = built("fp32", layout="nchw", opt_level=2)
    assert transposes(below) > 30
    before_the_fix = built("int8", layout="nchw", convert_ops=("conv2d",))
    assert transposes(before_the_fix) > 30
    assert any("after dequantize" in line for line in before_the_fix.log)


def test_relays_name_for_the_fix_means_the_same():
    fixed = built("int8", layout="nchw", convert_ops=("nn.conv2d", "qnn.conv2d"))
    assert transposes(fixed) == 0


def test_levels_differ_in_what_they_fuse_and_fold():
    def kernels(opt_level):
        log = built("int8", opt_level=opt_level).log
        last = [line for line in log if line.startswith("[pass]")][-1]
        return int(re.search(r"(\d+) call_tir", last)[1])

    assert kernels(0) > kernels(1) >= kernels(2)


def test_the_log_says_that_int8_runs_in_float():
    log = built("int8", precision="float").log
    assert "[precision] conv2d NHWC of a quantized model runs in float32" in log
    assert "[precision] INT8 weights of conv2d NHWC are stored as FP32" in log


def test_stock_is_tvms_own_pipeline():
    build = built("fp32", pipeline="stock")
    assert not any(line.startswith("[pass]") for line in build.log)
    x = image("float32")
    np.testing.assert_allclose(open_build(build)(x), litert(DIGITS_FP32, x), rtol=0, atol=1e-3)


@pytest.mark.parametrize("target", ["llvm", "llvm -mcpu=x86-64-v3"])
def test_other_instruction_sets_give_the_same_results(target):
    x = image("float32")
    build = built("fp32", target=target)
    np.testing.assert_allclose(open_build(build)(x), litert(DIGITS_FP32, x), rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    "choices",
    [
        {"opt_level": 5},
        {"opt_level": -1},
        {"layout": "nhcw"},
        {"precision": "int8"},
        {"pipeline": "relay"},
        {"pipeline": "stock", "layout": "nchw"},
        {"layout": "nchw", "convert_ops": ("softmax",)},
    ],
)
def test_a_choice_that_does_not_exist_is_refused(choices):
    with pytest.raises(ConfigError):
        assay.compile(DIGITS_FP32, **choices)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    path = tmp_path_factory.mktemp("build") / "digits.so"
    built("fp32").save(path)
    return path


class TestArtifact:
    @pytest.fixture
    def copy(self, library, tmp_path):
        for file in (library, library.with_name(library.name + ".json")):
            (tmp_path / file.name).write_bytes(file.read_bytes())
        return tmp_path / library.name

    def test_runs_after_loading(self, copy):
        x = image("float32")
        runtime = open_tvm(copy, threads=2)
        runtime.set_input(0, x)
        runtime.run()
        expected = litert(DIGITS_FP32, x)
        np.testing.assert_allclose(runtime.get_output(0), expected, rtol=0, atol=1e-3)
        assert runtime.threads == 2

    def test_takes_only_its_own_shape_and_dtype(self, copy):
        runtime = open_tvm(copy)
        with pytest.raises(InputError, match="float32 of shape"):
            runtime.set_input(0, np.zeros((1, 96, 96, 1), np.float32))
        with pytest.raises(InputError, match="got float64"):
            runtime.set_input(0, np.zeros((1, 96, 96, 3)))
        with pytest.raises(InputError, match="input 1 does not exist"):
            runtime.set_input(1, image("float32"))

    def test_saving_again_under_the_same_name_runs_the_new_code(self, tmp_path):
        path = tmp_path / "model.so"
        kept = []
        for precision, dtype in (("fp32", "float32"), ("int8", "int8")):
            built(precision, opt_level=1).save(path)
            kept.append(open_tvm(path))
            kept[-1](image(dtype))
        assert [runtime.outputs[0].dtype for runtime in kept] == ["float32", "int8"]

    def test_a_changed_library_is_refused(self, copy):
        data = bytearray(copy.read_bytes())
        data[len(data) // 2] ^= 1
        copy.write_bytes(data)
        with pytest.raises(ArtifactError, match="does not match its manifest"):
            open_tvm(copy)

    @pytest.mark.parametrize("text", ["", "{}", "[]", '{"schema": 1}', '{"schema": 99}', "null"])
    def test_a_damaged_manifest_is_refused(self, copy, text):
        copy.with_name(copy.name + ".json").write_text(text)
        with pytest.raises(ArtifactError, match="compile"):
            open_tvm(copy)

    def test_a_missing_file_is_named(self, copy):
        copy.with_name(copy.name + ".json").unlink()
        with pytest.raises(ArtifactError, match=r"digits\.so\.json is missing"):
            open_tvm(copy)
        with pytest.raises(ArtifactError, match=r"none\.so: no such"):
            open_tvm(copy.with_name("none.so"))

    def test_an_unwritable_path_leaves_nothing(self, tmp_path):
        build = built("fp32", opt_level=0)
        with pytest.raises(ArtifactError, match="writable"):
            build.save(tmp_path / "missing" / "model.so")
        assert list(tmp_path.iterdir()) == []


def test_the_graph_can_be_cut_at_a_tensor():
    layer = assay.read(DIGITS_FP32).operators[0].layer
    build = assay.compile(DIGITS_FP32, outputs=(layer,), opt_level=2)
    assert build.manifest.outputs[0].shape[:3] == (1, 48, 48)
    assert open_build(build)(image("float32")).shape == build.manifest.outputs[0].shape


def relu(tmp_path, shape_signature=None):
    graph = GraphBuilder()
    x = graph.input("x", (1, 4), shape_signature=shape_signature)
    graph.output(graph.op("RELU", [x], (1, 4), shape_signature=shape_signature))
    path = tmp_path / "relu.tflite"
    path.write_bytes(graph.build())
    return path


def test_an_open_batch_is_filled(tmp_path):
    build = assay.compile(relu(tmp_path, shape_signature=(-1, 4)), batch=3)
    x = np.arange(-6, 6, dtype=np.float32).reshape(3, 4)
    np.testing.assert_array_equal(open_build(build)(x), np.maximum(x, 0))


def test_a_fixed_batch_stays_fixed(tmp_path):
    with pytest.raises(ConfigError, match="open"):
        assay.compile(relu(tmp_path), batch=2)


def test_a_library_describes_nothing_to_debuggers(tmp_path):
    path = tmp_path / "model.so"
    assay.compile(DIGITS_INT8).save(path)
    content = path.read_bytes()
    assert b".symtab" in content
    assert b".debug_" not in content
