import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.compiler.kernels.epilogue import Epilogue, bias
from assay.compiler.kernels.nchw import pointwise
from assay.compiler.kernels.nchw.pixel_panels import split_pixels
from assay.compiler.kernels.nchw.pixel_tiles import choose_pixel_tile
from tests.compiler.kernels.harness import (
    ARM,
    AVX2,
    SSE2,
    TARGETS,
    check_conv2d,
    compile_kernel,
    isa,
)
from tests.compiler.kernels.nchw import problems
from tests.compiler.kernels.nchw.problems import LONG, SHORT, on_host_and_another
from tests.compiler.kernels.test_winograd import check_shares

AVX512 = f"{SSE2} -mcpu=skylake-avx512"
BIAS = Epilogue((bias(),))


def layer(pixels, channels, window=(1, 1), **fields):
    return problems.convolution(pixels, channels, window, pad=(0, 0), **fields)


CASES = {
    "one pixel": layer((1, 1), (5, 9)),
    "fewer pixels than lanes": layer((3, 3), (5, 33)),
    "one pixel more than vectors": layer((7, 7), (19, 37), batch=2),
    "many single pixels": layer((5, 5), (6, 40)),
    "vectors and pixels": layer((14, 14), (6, 43), epilogue=LONG),
    "vectors only": layer((8, 16), (5, 33)),
    "one channel": layer((7, 7), (1, 1)),
    "deep": layer((7, 7), (300, 21)),
    "deep, vectors only": layer((4, 8), (300, 41), epilogue=LONG),
    "blocks": layer((28, 28), (150, 40)),
    "blocks of odd planes": layer((45, 47), (170, 24)),
    "column": layer((9, 1), (4, 8), (5, 1), batch=2),
    "dilated column": layer((12, 5), (4, 27), (3, 1), dilation=(2, 1)),
    "groups": layer((7, 7), (6, 36), groups=3, batch=2, epilogue=LONG),
    "gate": layer((9, 9), (14, 38), input_gate=True, batch=2, epilogue=LONG),
    "gate, vectors only": layer((8, 8), (14, 38), input_gate=True, batch=2),
    "gate on groups": layer((7, 7), (6, 48), input_gate=True, groups=2, batch=2),
    "gate on groups, vectors only": layer((8, 8), (6, 34), input_gate=True, groups=2, batch=2),
    "stride": layer((9, 13), (19, 40), stride=(2, 2)),
    "different strides, whole lines": layer((12, 32), (5, 33), stride=(3, 2), epilogue=LONG),
    "stride on groups": layer((14, 15), (6, 48), stride=(2, 3), groups=2, batch=2),
    "stride and gate": layer((14, 14), (14, 38), stride=(2, 2), input_gate=True, batch=2),
    "padding": problems.convolution((7, 6), (5, 20), (1, 1), stride=(2, 2), pad=(1, 2)),
    "steps of two": layer((8, 16), (32, 33)),
    "gate on a column": layer((8, 4), (6, 34), (5, 1), input_gate=True, batch=2),
}


@pytest.mark.parametrize(("text", "case"), on_host_and_another(CASES))
def test_equals_the_definition(text, case):
    check_conv2d(pointwise, CASES[case], text)


@pytest.mark.parametrize("gate", [False, True])
@pytest.mark.parametrize(
    ("image", "channels"),
    [
        *(((28, 28), (128, 64)), ((5, 5), (256, 256)), ((7, 7), (300, 260))),
        *(((14, 14), (60, 360)), ((16, 16), (40, 200))),
    ],
)
@pytest.mark.parametrize("stride", [(1, 1), (2, 2)])
def test_threads_share_out_pixels_or_channels(image, channels, stride, gate):
    problem = layer(image, channels, stride=stride, batch=2, input_gate=gate)
    check_conv2d(pointwise, problem, TARGETS[-1], parallel=3)
    check_conv2d(pointwise, replace(problem, batch=1), TARGETS[-1], parallel=4)


@pytest.mark.parametrize("caches", [{}, {"l1_bytes": 2048, "l2_bytes": 8192}])
@pytest.mark.parametrize("stride", [(1, 1), (2, 2)])
@pytest.mark.parametrize("image", [(14, 14), (16, 16)])
@pytest.mark.parametrize("channels", [(40, 200), (200, 40)])
def test_any_number_of_threads_computes_the_same(image, channels, stride, caches):
    check_shares(pointwise, layer(image, channels, stride=stride, epilogue=BIAS), caches)


def test_threads_fill_planes_where_the_input_stays_near():
    """They deal out channels then, although there are more pixels than weights to read."""
    machine, wide = replace(isa(AVX512), l2_bytes=2**20), layer((56, 56), (32, 128))
    assert pointwise.make_plan(wide, machine, 4).sharing == "panels"
    assert pointwise.make_plan(wide, replace(machine, l2_bytes=2**19), 4).sharing == "rows"
    assert pointwise.make_plan(layer((56, 56), (128, 32)), machine, 4).sharing == "rows"


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize(("image", "copies"), [((16, 16), False), ((14, 14), True)])
def test_turns_of_two_steps(text, image, copies):
    problem, avx2 = layer(image, (64, 33), epilogue=LONG), isa(AVX2)
    plan = pointwise.make_plan(problem, avx2, 1)
    assert (plan.steps, plan.copies) == (2, copies)
    assert pointwise.make_plan(layer(image, (31, 33)), avx2, 1).steps == 1
    check_conv2d(pointwise, problem, text)


@pytest.mark.parametrize(
    "problem",
    [
        problems.convolution((7, 7), (3, 8), (3, 3)),
        problems.convolution((7, 7), (3, 8), (3, 1), stride=(2, 1)),
        problems.convolution((7, 7), (3, 8), (5, 1)),
        replace(layer((7, 7), (3, 8)), input_layout="NHWC"),
        replace(layer((7, 7), (3, 8)), layout="NHWC"),
    ],
)
def test_leaves_other_windows_and_layouts(problem):
    assert not pointwise.applicable(problem)


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_any_geometry(data):
    def draw(low, high):
        return data.draw(st.integers(low, high))

    groups, taps = draw(1, 2), draw(1, 3)
    problem = layer(
        (draw(3, 12), draw(1, 30)),
        (groups * draw(1, 30), groups * draw(1, 40)),
        (taps, 1),
        stride=(draw(1, 3), draw(1, 3)) if taps == 1 else (1, 1),
        groups=groups,
        batch=draw(1, 2),
        input_gate=data.draw(st.booleans()),
        epilogue=data.draw(st.sampled_from([SHORT, LONG])),
    )
    caches = data.draw(st.sampled_from([None, {"l1_bytes": 1024, "l2_bytes": 4096}]))
    text = data.draw(st.sampled_from(TARGETS))
    check_conv2d(pointwise, problem, text, parallel=draw(1, 3), caches=caches)


@pytest.mark.skipif(sys.platform == "win32", reason="protects pages with mprotect")
def test_nothing_beside_a_tensor_is_touched():
    root = Path(__file__).resolve().parents[4]
    script = Path(__file__).with_name("guard_pages.py")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), *sys.path])}
    command = [sys.executable, str(script), "pointwise"]
    done = subprocess.run(command, env=environment, check=False)
    assert done.returncode == 0, "an access beside the tensor ends the process"


def test_compiles_for_arm():
    compile_kernel(pointwise.generate(layer((9, 9), (3, 18)), isa(ARM), "kernel"), ARM)


@given(
    pixels=st.integers(1, 400),
    lanes=st.sampled_from([4, 8, 16]),
    most=st.integers(1, 8),
    singles=st.booleans(),
)
def test_panels_cover_every_pixel_and_nothing_else(pixels, lanes, most, singles):
    vectors, alone, panels = [], [], 0
    for run in split_pixels(pixels, lanes, most, singles):
        assert run.first == panels
        assert 1 <= len(run.vectors) <= most
        for panel in range(run.count):
            start = run.start + panel * run.pixels
            for at, width in run.vectors:
                vectors += range(start + at, start + at + width)
            first = run.first_single + panel * run.singles
            alone += range(first, first + run.singles)
        panels += run.count
    assert set(vectors) | set(alone) == set(range(pixels))
    if singles:
        assert sorted(vectors + alone) == list(range(pixels))
    else:
        assert not alone


@pytest.mark.parametrize(
    ("pixels", "vectors", "alone"), [(49, [3], [1]), (196, [3] * 4, [1] * 4), (3136, None, [0])]
)
def test_single_pixels_are_dealt_out(pixels, vectors, alone):
    tile = choose_pixel_tile(isa(AVX512), 96, pixels, 576)
    runs = tile.runs(isa(AVX512), pixels)
    assert {single for run in runs for single in [run.singles]} == set(alone)
    if vectors is not None:
        assert [len(run.vectors) for run in runs for _ in range(run.count)] == vectors


@pytest.mark.parametrize("text", [SSE2, AVX2, AVX512, ARM])
@pytest.mark.parametrize("channels", [1, 2, 7, 24, 320])
@pytest.mark.parametrize("pixels", [1, 9, 49, 196, 225, 784])
def test_the_tile_fits_the_registers(text, channels, pixels):
    machine = isa(text)
    tile = choose_pixel_tile(machine, channels, pixels, 64)
    assert 1 <= tile.rows <= channels
    for run in tile.runs(machine, pixels):
        sums = tile.rows * len(run.vectors) + run.singles * -(-tile.rows // machine.lanes())
        assert sums + len(run.vectors) <= machine.registers
