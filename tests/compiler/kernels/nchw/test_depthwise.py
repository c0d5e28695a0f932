import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.compiler.kernels.epilogue import Epilogue
from assay.compiler.kernels.nchw import depthwise
from assay.compiler.kernels.nchw.depthwise_tiles import PlaneTiles
from tests.compiler.kernels import reference
from tests.compiler.kernels.harness import ARM, TARGETS, check_conv2d, compile_kernel, isa, run
from tests.compiler.kernels.nchw import problems
from tests.compiler.kernels.nchw.problems import LONG, SHORT, on_host_and_another

CASES = {
    "small plane": problems.depthwise((7, 7), 5, (3, 3)),
    "wide": problems.depthwise((20, 57), 3, (3, 3)),
    "batch, stride 2": problems.depthwise((14, 14), 5, (3, 3), stride=(2, 2), batch=2),
    "wide, stride 2": problems.depthwise((9, 112), 3, (3, 3), stride=(2, 2)),
    "multiplier": problems.depthwise((12, 41), 3, (5, 5), multiplier=2),
    "one channel": problems.depthwise((9, 35), 1, (3, 3), multiplier=4, epilogue=LONG),
    "one pixel": problems.depthwise((1, 1), 3, (3, 3)),
    "stride and dilation": problems.depthwise((11, 33), 6, (3, 3), stride=(2, 3), dilation=(2, 2)),
    "one line": problems.depthwise((1, 40), 5, (1, 33)),
    "one column": problems.depthwise((40, 1), 5, (9, 1), epilogue=LONG),
    "no padding": problems.depthwise((9, 60), 2, (3, 3), pad=(0, 0)),
    "7x7": problems.depthwise((16, 48), 2, (7, 7)),
    "bands": problems.depthwise((80, 70), 2, (3, 3)),
    "narrow": problems.depthwise((14, 14), 3, (3, 3)),
    "narrow, long epilogue": problems.depthwise((14, 14), 3, (5, 5), epilogue=LONG),
    "narrow, many rows": problems.depthwise((41, 11), 3, (3, 3), epilogue=LONG, batch=2),
    "narrow, stride 2": problems.depthwise((14, 14), 4, (5, 5), stride=(2, 2), multiplier=2),
    "narrow, stride 3": problems.depthwise((17, 13), 4, (3, 3), stride=(3, 3)),
    "narrow, rows that see nothing": problems.depthwise((3, 5), 4, (3, 3), pad=(6, 4)),
    "one narrow line": problems.depthwise((1, 13), 3, (1, 5)),
    "few pixels": problems.depthwise((2, 3), 3, (3, 3), epilogue=LONG),
    "dilation": problems.depthwise((20, 33), 2, (3, 3), dilation=(4, 6)),
    "one column apart": problems.depthwise((12, 19), 3, (1, 2), stride=(1, 2), pad=(0, 0)),
    "large window": problems.depthwise((40, 40), 2, (13, 13)),
}


@pytest.mark.parametrize(("text", "case"), on_host_and_another(CASES))
def test_equals_the_definition(text, case):
    check_conv2d(depthwise, CASES[case], text)


@pytest.mark.parametrize(
    ("image", "window"), [((112, 112), (3, 3)), ((56, 56), (5, 5)), ((14, 14), (5, 5))]
)
@pytest.mark.parametrize("text", TARGETS)
def test_tiles_cover_usual_layers(text, image, window):
    tiles = PlaneTiles.of(problems.depthwise(image, 2, window), isa(text))
    assert sum(rows.count * rows.size for rows in tiles.rows) == image[0]
    columns = {run.start + i for run in tiles.columns for i in range(run.count * run.lanes)}
    assert columns >= set(range(image[1]))


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize(
    "problem",
    [
        problems.depthwise((60, 60), 2, (31, 31)),
        problems.depthwise((129, 129), 2, (3, 3), dilation=(36, 36)),
    ],
)
def test_tiles_are_not_too_much_code(text, problem):
    assert PlaneTiles.of(problem, isa(text)) is None


@pytest.mark.skipif(sys.platform == "win32", reason="protects pages with mprotect")
def test_nothing_beside_a_tensor_is_touched():
    root = Path(__file__).resolve().parents[4]
    script = Path(__file__).with_name("guard_pages.py")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), *sys.path])}
    done = subprocess.run([sys.executable, str(script), "depthwise"], env=environment, check=False)
    assert done.returncode == 0, "an access beside the tensor ends the process"


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (1, 3)])
@pytest.mark.parametrize("width", [14, 70])
def test_only_windows_that_see_an_infinite_pixel_are_not_finite(text, stride, width):
    problem = problems.depthwise((9, width), 2, (3, 3), stride=stride, dilation=(1, 2))
    problem = replace(problem, epilogue=Epilogue())
    rng = np.random.default_rng(0)
    image = rng.normal(size=problem.input_shape).astype(np.float32)
    weights = rng.normal(size=problem.weights_shape).astype(np.float32)
    infinite = rng.random(image.shape) < 0.02
    packed = depthwise.pack(problem, isa(text), weights)
    function = depthwise.generate(problem, isa(text), "kernel")
    inputs = [np.where(infinite, np.float32(np.inf), image), packed]
    found = np.moveaxis(run(function, text, inputs, problem.output_shape), 1, -1)

    last = replace(problem, layout="NHWC")
    seen = reference.conv2d(last, np.moveaxis(infinite, 1, -1), np.ones_like(weights)) > 0
    finite = np.moveaxis(np.where(infinite, 0, image), 1, -1)
    expected = reference.conv2d(last, finite, weights)
    assert 0 < seen.sum() < seen.size
    np.testing.assert_array_equal(np.isfinite(found), ~seen)
    np.testing.assert_allclose(found[~seen], expected[~seen], atol=1e-5)


def test_threads_share_out_planes():
    problem = problems.depthwise((40, 40), 37, (3, 3), batch=2)
    check_conv2d(depthwise, problem, TARGETS[-1], parallel=3)


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_any_geometry(data):
    def draw(low, high):
        return data.draw(st.integers(low, high))

    problem = problems.depthwise(
        (draw(1, 20), draw(1, 70)),
        draw(1, 5),
        (draw(1, 5), draw(1, 5)),
        multiplier=draw(1, 2),
        stride=(draw(1, 3), draw(1, 3)),
        dilation=(draw(1, 2), draw(1, 2)),
        batch=draw(1, 2),
        epilogue=data.draw(st.sampled_from([SHORT, LONG])),
    )
    check_conv2d(depthwise, problem, data.draw(st.sampled_from(TARGETS)))


def test_compiles_for_arm():
    problem = problems.depthwise((9, 20), 3, (3, 3), stride=(2, 2))
    compile_kernel(depthwise.generate(problem, isa(ARM), "kernel"), ARM)
