"""Remarks as data: their line, their fix as a command, their way through a manifest."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

import assay
from assay.cache import builds
from assay.cli.main import app
from assay.compiler.artifact import read_artifact
from assay.compiler.config import Config
from assay.compiler.kernel_calls import parts_of
from assay.compiler.remarks.fix import command, fixed, options_of
from assay.compiler.remarks.remark import Remark
from tests.compiler.digits import built


def test_its_line_begins_with_the_group():
    assert (
        Remark("schedule/none", "mean runs as plain loops").line
        == "[schedule] mean runs as plain loops"
    )


def test_it_survives_a_library(tmp_path):
    build = built("fp32", pipeline="stock")
    build.save(tmp_path / "model.so")
    assert build.remarks
    assert read_artifact(tmp_path / "model.so").remarks == build.remarks


def test_log_lines_are_the_remarks():
    build = built("fp32", opt_level=1)
    lines = [line for line in build.log if not line.startswith(("[pass]", "[target]"))]
    assert lines == [remark.line for remark in build.remarks]


@pytest.mark.parametrize(
    "config",
    [
        Config(),
        Config(target="llvm -mcpu=core-avx2", opt_level=4, layout="nchw"),
        Config(convert_ops=("conv2d", "qnn.conv2d"), layout="nchw"),
        Config(inputs=("a", "b c"), outputs=("d",), precision="float"),
    ],
)
def test_options_give_the_config_back(config, monkeypatch, tmp_path):
    given = []

    def compile_to(library, model, chosen, *_options):
        given.append(chosen)
        raise assay.AssayError("far enough")

    monkeypatch.setattr(builds, "compile_to", compile_to)
    words = shlex.split(command(Path("m.tflite"), config, str(tmp_path / "m.so")))
    CliRunner().invoke(app, words[1:])
    assert given == [config]


def test_a_fix_changes_only_what_it_names():
    remark = Remark("layout/x", "", fix={"convert_ops": None, "layout": "nhwc"})
    before = Config(layout="nchw", convert_ops=("conv2d",), opt_level=4)
    assert fixed(before, remark) == Config(layout="nhwc", opt_level=4)
    assert options_of(fixed(before, remark)) == ["--opt-level", "4", "--layout", "nhwc"]


def test_a_kernels_name_says_what_is_in_it():
    assert parts_of("fused_conv2d10_add8_quantize11_tir_clip5") == (
        "conv2d",
        "add",
        "quantize",
        "clip",
    )
    assert parts_of("transpose14") == ("transpose",)
