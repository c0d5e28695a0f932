"""Each rule finds what it is for in a real build, and nothing where there is nothing."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import assay
from assay.compiler.config import Config
from assay.compiler.remarks.catalogue import RULES
from assay.compiler.remarks.fix import fixed
from tests.compiler.remarks.networks import dynamic_network, float_network, integer_network

STOCK = Config(pipeline="stock")
BEFORE = Config(layout="nchw", convert_ops=("conv2d",))
GOOD = Config(layout="nhwc")

# What provokes each rule, how often, and a build of the same network that must not.
CASES = {
    "isa/above-host": ("float", Config(target="llvm -mtriple=aarch64-linux-gnu"), 1, GOOD),
    "isa/below-host": ("float", Config(target="llvm"), 1, GOOD),
    "layout/constant-transposed": ("float", STOCK, 1, GOOD),
    "layout/nhwc-unscheduled": ("float", STOCK, 2, GOOD),
    "layout/transpose-at-input": ("float", Config(layout="nchw", opt_level=2), 1, GOOD),
    "layout/transpose-around-op": ("int8", BEFORE, 3, GOOD),
    "precision/float-in-int8": ("int8", Config(precision="float"), 3, GOOD),
    "precision/no-dot-product": ("int8", Config(target="llvm"), 1, None),
    "precision/weights-widened": ("int8", Config(precision="float"), 3, GOOD),
    "precision/weights-kept": ("dynamic", Config(opt_level=1), 2, GOOD),
    "precision/weights-dequantized": ("dynamic", Config(opt_level=2), 2, Config(opt_level=0)),
    "schedule/none": ("float", STOCK, 1, GOOD),
    "schedule/untiled": ("float", Config(opt_level=2), 3, GOOD),
    "fusion/missed": ("float", Config(opt_level=0), 4, Config(opt_level=1)),
}

NO_FAULT = {"precision/weights-dequantized"}
NETWORKS = {"float": float_network, "int8": integer_network, "dynamic": dynamic_network}


@lru_cache
def remarks(network, config):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(NETWORKS[network]())
        return assay.compile(path, **config.as_dict()).remarks


def of(rule, model, config):
    return [remark for remark in remarks(model, config) if remark.id == rule]


def test_every_rule_has_a_case():
    assert set(CASES) == {rule.id for rule in RULES if rule.find is not None}


@pytest.mark.parametrize("rule", CASES)
def test_it_finds_what_it_is_for(rule):
    model, config, count, _ = CASES[rule]
    assert len(of(rule, model, config)) == count


@pytest.mark.parametrize("rule", CASES)
def test_it_finds_nothing_where_there_is_nothing(rule):
    model, _, _, good = CASES[rule]
    if good is None:  # needs a CPU with VNNI, not this machine's
        good = Config(target="llvm -mcpu=cascadelake")
    assert of(rule, model, good) == []


@pytest.mark.parametrize(
    "rule", [rule for rule in CASES if CASES[rule][3] and rule not in NO_FAULT]
)
def test_its_fix_mends_it(rule):
    model, config, _, _ = CASES[rule]
    fixes = [remark for remark in of(rule, model, config) if remark.fix]
    assert fixes
    mended = fixed(
        replace(config, layout="nhwc" if config.layout == "auto" else config.layout), fixes[0]
    )
    assert of(rule, model, mended) == []


def test_a_transpose_that_a_convolution_takes_over_is_no_fault():
    assert not [r for r in remarks("float", Config(layout="nchw")) if "transpose" in r.id]


def test_a_float_network_has_no_quantized_layers():
    assert not any(r.id.startswith("precision/") for r in remarks("float", STOCK))


@pytest.mark.parametrize(
    ("model", "config", "rule", "part"),
    [
        ("float", STOCK, "layout/nhwc-unscheduled", "conv2d"),
        ("int8", Config(opt_level=2), "schedule/untiled", "conv2d"),
        ("int8", BEFORE, "layout/transpose-around-op", "transpose"),
        ("int8", BEFORE, "precision/float-in-int8", "conv2d"),
    ],
)
def test_remarks_know_which_kernel_calls_they_are_about(model, config, rule, part):
    found = of(rule, model, config)
    calls = [remark.calls for remark in found]
    assert all(len(each) == 1 for each in calls)
    assert sorted(calls) == calls
    if part == "conv2d":
        assert len(set(calls)) == len(calls)


def test_remarks_name_the_layer():
    found = of("layout/nhwc-unscheduled", "float", STOCK)
    layers = [remark.layer for remark in found]
    assert len(set(layers)) == 2
    assert all(layers)


@pytest.mark.parametrize(
    ("config", "kept"),
    [
        *((Config(opt_level=level), level < 2) for level in range(5)),
        (Config(opt_level=1, layout="nchw"), True),
        (Config(opt_level=3, layout="nchw"), False),
        (STOCK, False),
    ],
)
def test_the_opt_level_says_what_becomes_of_dynamic_range_weights(config, kept, tmp_path):
    """In bytes: INT8 weights (and scales) or FP32, as the remarks say."""
    path = tmp_path / "model.tflite"
    path.write_bytes(dynamic_network())
    build = assay.compile(path, **config.as_dict())
    told = [r.id for r in build.remarks if r.id.startswith("precision/weights-")]
    assert told == [f"precision/weights-{'kept' if kept else 'dequantized'}"] * 2
    weights = 16 * 27 + 10 * 2304
    held = build.manifest.weights_bytes
    assert held < 1.1 * weights if kept else held >= 4 * weights
