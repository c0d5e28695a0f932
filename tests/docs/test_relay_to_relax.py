"""The statements of docs/relay-to-relax.md about TVM, tried on the one that is installed."""

from __future__ import annotations

from collections import Counter
from importlib.util import find_spec

import numpy as np
import pytest
import tflite
import tvm
from tvm import relax
from tvm.relax.frontend.tflite import from_tflite

from assay.compiler import tvm_api
from assay.data import DIGITS_FP32, DIGITS_INT8

TARGET = tvm.target.Target({"kind": "llvm"})


def imported(path):
    return from_tflite(tflite.Model.GetRootAsModel(path.read_bytes(), 0))


@pytest.fixture(scope="module")
def mod():
    return imported(DIGITS_FP32)


@pytest.fixture(scope="module")
def vm(mod):
    return relax.VirtualMachine(relax.build(mod, TARGET), tvm.cpu())


def operators(mod):
    return Counter(tvm_api.op_name(call) for call in tvm_api.op_calls(mod["main"]))


def layouts(mod):
    calls = tvm_api.op_calls(mod["main"])
    return {str(c.attrs.data_layout) for c in calls if tvm_api.op_name(c) == "nn.conv2d"}


@pytest.mark.parametrize(
    "gone",
    ["relay", "nd", "autotvm", "auto_scheduler", "driver.tvmc", "contrib.graph_executor"],
)
def test_modules_are_gone(gone):
    assert find_spec(f"tvm.{gone}") is None


@pytest.mark.parametrize("there", ["relax.frontend.tflite", "s_tir.meta_schedule"])
def test_modules_are_there(there):
    assert find_spec(f"tvm.{there}") is not None


def test_the_importer_gives_a_module_alone_and_params_come_as_a_list(mod):
    assert isinstance(mod, tvm.IRModule)
    assert len(mod["main"].params) == 1
    _, params = relax.frontend.detach_params(mod)
    assert isinstance(params["main"], list)


def test_quantized_operators_come_as_dequantize_float_quantize():
    mod = imported(DIGITS_INT8)
    assert operators(mod)["dequantize"] > 0 < operators(mod)["quantize"]
    inputs = [c.args[0] for c in tvm_api.op_calls(mod["main"]) if "conv2d" in tvm_api.op_name(c)]
    assert {str(tensor.ty.dtype) for tensor in inputs} == {"float32"}
    assert not [name for name in tvm.ir.Op.list_op_names() if "qnn" in name]


def test_remove_unused_functions_is_dead_code_elimination_now(mod):
    assert not hasattr(relax.transform, "RemoveUnusedFunctions")
    kept = relax.transform.DeadCodeElimination(["main"])(mod)
    assert operators(kept) == operators(mod)


def test_options_named_relay_are_refused():
    with pytest.raises(AttributeError, match="Invalid config option"):
        tvm.transform.PassContext(opt_level=3, config={"relay.FuseOps.max_depth": 1})


@pytest.mark.parametrize("level", range(5))
def test_convert_layout_runs_at_every_level_and_leaves_transposes(mod, level):
    convert = relax.transform.ConvertLayout({"relax.nn.conv2d": ["NCHW", "OIHW"]})
    with tvm.transform.PassContext(opt_level=level):
        converted = tvm.transform.Sequential([convert])(mod)
    assert layouts(converted) == {"NCHW"}
    assert operators(converted)["permute_dims"] > operators(converted)["nn.conv2d"]


@pytest.mark.parametrize("name", ["nn.conv2d", "qnn.conv2d", "relax.qnn.conv2d"])
def test_convert_layout_ignores_other_names(mod, name):
    converted = relax.transform.ConvertLayout({name: ["NCHW", "OIHW"]})(mod)
    assert layouts(converted) == {"NHWC"}


def test_convert_layout_knows_no_default(mod):
    with pytest.raises(tvm.error.InternalError, match="Invalid layout default"):
        relax.transform.ConvertLayout({"relax.nn.conv2d": ["NCHW", "default"]})(mod)


def test_targets_are_json_now():
    with pytest.raises(ValueError, match="no longer supported"):
        tvm.target.Target("llvm -mcpu=x86-64-v3")
    target = tvm.target.Target({"kind": "llvm"}, {"kind": "llvm"})
    assert target.host.kind.name == "llvm"


def test_build_takes_no_target_host(mod):
    with pytest.raises(TypeError, match="target_host"):
        relax.build(mod, TARGET, target_host=TARGET)


def test_devices_are_not_named_after_targets():
    with pytest.raises(ValueError, match="Unknown device"):
        tvm.runtime.device("llvm")
    assert tvm.runtime.device("cpu") == tvm.cpu()
    assert not hasattr(tvm, "context")


def test_the_virtual_machine_takes_a_functions_name_and_all_inputs(vm):
    x = tvm.runtime.tensor(np.zeros((1, 96, 96, 3), np.float32))
    assert not hasattr(x, "asnumpy")
    with pytest.raises(TypeError):
        vm.set_input(0, x)
    vm.set_input("main", x)
    vm.invoke_stateful("main")
    np.testing.assert_array_equal(vm.get_outputs("main").numpy(), vm["main"](x).numpy())
    assert len(vm.time_evaluator("main", tvm.cpu(), number=1, repeat=1)(x).results) == 1


def test_a_module_has_no_default_function(vm):
    with pytest.raises(AttributeError, match="default"):
        vm.module.get_function("default")
