"""The table of experiments: what the comparison needs, and nothing twice."""

from __future__ import annotations

import pytest

from assay.compiler.config import Config
from assay.cpu import cpu_flags
from assay.errors import ConfigError
from assay.lab.inputs import why_not
from assay.lab.plan import AVX2_TARGET, DEMO, Experiment, plan

NAMES = [experiment.name for experiment in plan()]
needs_avx2 = pytest.mark.skipif("avx2" not in cpu_flags(), reason="needs a CPU with AVX2")


def test_every_name_is_there_once():
    assert len(NAMES) == len(set(NAMES))


def test_both_models_run_in_litert_and_in_tvm_in_both_layouts_at_all_levels():
    by_name = {experiment.name: experiment for experiment in plan()}
    assert by_name["tflite-fp32"].runtime == by_name["tflite-int8"].runtime == "litert"
    levels = [by_name[f"tvm-fp32-opt{level}"].config.opt_level for level in (1, 2, 3, 4)]
    assert levels == [1, 2, 3, 4]
    for name in ("tvm-fp32-nhwc", "tvm-int8-nhwc"):
        assert by_name[name].config == Config(target="llvm", layout="nhwc", opt_level=3)
    assert by_name["tvm-fp32-opt3"].config.layout == "nchw"


def test_the_fix_is_what_two_experiments_differ_in():
    before, after = (e.config for e in plan(only=["tvm-int8", "tvm-int8-fixed"]))
    assert before.convert_ops == ("conv2d",)
    assert after.convert_ops == ("conv2d", "qnn.conv2d")
    assert before.layout == after.layout == "nchw"


def test_each_compiled_experiment_comes_again_for_avx2():
    for experiment in plan("llvm"):
        if experiment.runtime != "tvm" or experiment.own_target:
            continue
        (again,) = plan("llvm", only=[f"{experiment.name}-avx2"])
        assert again.needs == "avx2"
        assert again.config.target == "llvm -mcpu=core-avx2"
        assert again.config.opt_level == experiment.config.opt_level
        assert again.config.layout == experiment.config.layout
        assert again.config.convert_ops == experiment.config.convert_ops


def test_the_build_to_deploy_comes_again_for_this_machine():
    native = {e.name: e.config for e in plan("llvm") if e.name.endswith("-native")}
    assert native == {
        f"tvm-{model}-nhwc-native": Config(target="native", layout="nhwc", opt_level=3)
        for model in ("fp32", "int8")
    }


def test_tvms_own_pipeline_is_compared_with():
    stock = [experiment for experiment in plan() if experiment.runtime == "stock"]
    assert {experiment.model for experiment in stock} == {"fp32", "int8"}


def test_target_and_host_go_to_all_but_those_with_their_own():
    for experiment in plan("llvm -mcpu=nehalem", "llvm"):
        if experiment.config is not None and not experiment.own_target:
            assert experiment.config.target == "llvm -mcpu=nehalem"
            assert experiment.config.target_host == "llvm"


def test_a_selection_keeps_the_order_of_the_plan():
    chosen = plan(only=["tvm-int8", "tflite-fp32", "tvm-int8"])
    assert [experiment.name for experiment in chosen] == ["tflite-fp32", "tvm-int8"]


def test_the_demo_is_a_selection():
    assert len(plan("native", only=DEMO)) == len(DEMO)


@pytest.mark.parametrize("names", [["tvm-int9"], ["tflite-fp32", ""]])
def test_an_unknown_name_is_answered_with_those_that_exist(names):
    with pytest.raises(ConfigError, match=r"tflite-fp32, .*tvm-stock-int8-nhwc"):
        plan(only=names)


@needs_avx2
@pytest.mark.parametrize(
    "target",
    [
        *("llvm -mcpu=core-avx2", "  llvm  -mcpu=core-avx2 "),
        '{"kind": "llvm", "mcpu": "core-avx2"}',
    ],
)
def test_what_is_built_for_the_same_target_already_is_skipped(target):
    experiments = plan(target)
    reasons = {e.name: why_not(e, experiments) for e in experiments}
    assert reasons["tvm-fp32-nhwc"] is None
    for name, reason in reasons.items():
        if name.endswith("-avx2"):
            other = name.removesuffix("-avx2")
            assert reason == f"{other} is built for the same target already"


def test_what_is_built_for_this_machine_already_is_skipped():
    experiments = plan("native")
    reasons = {e.name: why_not(e, experiments) for e in experiments if e.name.endswith("-native")}
    assert reasons == {
        f"tvm-{model}-nhwc-native": f"tvm-{model}-nhwc is built for the same target already"
        for model in ("fp32", "int8")
    }


@needs_avx2
@pytest.mark.parametrize(
    ("target", "only"),
    [
        ("llvm -mcpu=nehalem", None),
        (AVX2_TARGET, ["tvm-fp32-nhwc-avx2", "tvm-int8-nhwc", "tflite-fp32"]),
    ],
)
def test_what_no_other_experiment_is_built_for_runs(target, only):
    experiments = plan(target, only=only)
    assert {why_not(e, experiments) for e in experiments} == {None}


def test_the_target_of_an_experiment_that_cannot_run_here_does_not_matter():
    config = Config(target="llvm -mtriple=no-such-machine -mcpu=nothing")
    experiment = Experiment("x", "X", "fp32", config, needs="no_such_flag")
    assert "has no NO_SUCH_FLAG" in why_not(experiment, [experiment])
