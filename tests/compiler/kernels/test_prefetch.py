"""Kernels whose tensors outgrow the cache ask for them ahead of use, and compute the same."""

import re
from dataclasses import replace

import numpy as np
import pytest

from assay.compiler.kernels import depthwise, direct, pointwise, winograd
from assay.compiler.kernels.builder import KernelBuilder
from assay.compiler.kernels.epilogue import Epilogue, bias, residual
from assay.compiler.kernels.nchw import convolution as nchw_convolution
from assay.compiler.kernels.nchw import depthwise as nchw_depthwise
from assay.compiler.kernels.nchw import direct as nchw_direct
from assay.compiler.kernels.nchw import pointwise as nchw_pointwise
from assay.compiler.kernels.nchw import winograd as nchw_winograd
from assay.compiler.kernels.next_panel import next_panel
from assay.compiler.kernels.next_tile import sum_in_parts
from assay.compiler.kernels.problem import Conv2d
from tests.compiler.kernels.harness import TARGETS, check_conv2d, isa, run

SMALL = {"l1_bytes": 1024, "l2_bytes": 2048}
EPILOGUE = Epilogue((bias(), residual()))
BOTH, WRITTEN, REUSED = {"input", "output"}, {"output"}, {"output", "weights"}
CASES = {
    "one panel": (pointwise, Conv2d(2, 5, 7, 48, 5, 7, 3, 1, 1, epilogue=EPILOGUE), BOTH),
    "shallow": (pointwise, Conv2d(1, 19, 7, 3, 19, 7, 3, 1, 1, epilogue=EPILOGUE), BOTH),
    "one tile": (pointwise, Conv2d(1, 1, 2, 300, 1, 2, 3, 1, 1, epilogue=EPILOGUE), BOTH),
    "panels": (pointwise, Conv2d(1, 5, 7, 9, 5, 7, 291, 1, 1, epilogue=EPILOGUE), REUSED),
    "stride": (pointwise, Conv2d(1, 9, 9, 40, 5, 5, 37, 1, 1, 2, 2, epilogue=EPILOGUE), WRITTEN),
    "depthwise": (depthwise, Conv2d(1, 9, 9, 21, 9, 9, 21, 3, 3, 1, 1, 1, 1, groups=21), WRITTEN),
    "direct": (direct, Conv2d(1, 9, 9, 5, 5, 5, 3, 3, 3, 2, 2, 1, 1), WRITTEN),
    "nchw direct": (
        nchw_direct,
        Conv2d(1, 9, 9, 5, 5, 5, 3, 3, 3, 2, 2, 1, 1, epilogue=EPILOGUE, layout="NCHW"),
        WRITTEN,
    ),
    "nchw convolution": (
        nchw_convolution,
        Conv2d(1, 9, 9, 5, 5, 5, 3, 3, 3, 2, 2, 1, 1, epilogue=EPILOGUE, layout="NCHW"),
        WRITTEN,
    ),
    "nchw depthwise": (
        nchw_depthwise,
        Conv2d(1, 9, 9, 21, 9, 9, 21, 3, 3, 1, 1, 1, 1, groups=21, layout="NCHW"),
        BOTH,
    ),
    "direct panels": (direct, Conv2d(1, 9, 9, 5, 5, 5, 133, 3, 3, 2, 2, 1, 1), REUSED),
    "two steps": (direct, Conv2d(1, 9, 9, 6, 5, 5, 133, 3, 3, 2, 2, 1, 1), REUSED),
}

IN_PLANES = {
    "tiles of weights": ((8, 8), (9, 291), BOTH | REUSED),
    "panels of pixels": ((8, 8), (48, 9), BOTH),
    "copied panels": ((7, 7), (2, 291), WRITTEN),
    "copied deep panels": ((7, 7), (48, 91), REUSED),
}


def asked_for(function):
    """Names of the parameters that a kernel prefetches; those it writes to be written."""
    found = re.findall(r"T\.prefetch\(.*address_of\((\w+)_flat\[.*\]\), (\d), ", str(function))
    assert all(int(to_write) == (name == "output") for name, to_write in found)
    return {name for name, _ in found}


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize("name", CASES)
def test_tensors_that_outgrow_the_cache_are_asked_for(text, name):
    kind, problem, expected = CASES[name]
    function = check_conv2d(kind, problem, text, caches=SMALL)
    assert asked_for(function) == expected
    assert asked_for(kind.generate(problem, isa(text), "kernel")) == set()


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize("depth", [15, 32, 50])
def test_results_are_asked_for_in_parts_of_the_depth(text, depth):
    problem = Conv2d(1, 5, 7, depth, 5, 7, 291, 1, 1, epilogue=EPILOGUE)
    caches = {"l1_bytes": 1024, "l2_bytes": 1 << 14}
    assert asked_for(check_conv2d(pointwise, problem, text, caches=caches)) == REUSED


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize("name", IN_PLANES)
def test_tensors_in_planes_are_asked_for(text, name):
    (height, width), (inputs, outputs), expected = IN_PLANES[name]
    size = (1, height, width, inputs, height, width, outputs, 1, 1)
    problem = Conv2d(*size, epilogue=EPILOGUE, layout="NCHW")
    function = check_conv2d(nchw_pointwise, problem, text, caches=SMALL)
    assert asked_for(function) == expected
    machine = replace(isa(text), l1_bytes=2**20)
    assert asked_for(nchw_pointwise.generate(problem, machine, "kernel")) == set()


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize(("kind", "layout"), [(winograd, "NHWC"), (nchw_winograd, "NCHW")])
def test_winograd_kernels_ask_for_the_matrix_of_the_next_position(text, kind, layout):
    size = (1, 13, 14, 33, 13, 14, 133, 3, 3)
    problem = Conv2d(*size, 1, 1, 1, 1, epilogue=EPILOGUE, layout=layout)
    assert asked_for(check_conv2d(kind, problem, text)) == REUSED


class Recorder:
    """Stands in for a builder, where every expression is a Python int."""

    def __init__(self):
        self.asked = set()

    def let(self, value):
        return value

    def prefetch(self, buffer, offset, *, second):
        assert second
        self.asked.add(offset // 16)


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("tiles", [2, 3, 7, 100])
@pytest.mark.parametrize(("depth", "columns"), [(2, 16), (38, 64), (20, 48)])
def test_the_tiles_of_a_panel_ask_for_all_of_the_next_one(depth, columns, tiles, steps):
    recorder, start, size = Recorder(), 32, depth * columns
    for tile in range(tiles):
        ahead = next_panel(recorder, None, start, (depth, columns), (tile, tiles))
        for step in range(0, depth, steps):
            ahead.ask(recorder, step, steps)
    behind = range(start + size, start + 2 * size)
    assert recorder.asked == {place // 16 for place in behind}


@pytest.mark.parametrize("rows", [1, 2, 6, 28])
@pytest.mark.parametrize("depth", [1, 15, 16, 32, 47, 50, 100])
def test_a_tile_takes_each_step_once_and_asks_for_all_rows_of_the_next_one(rows, depth):
    b = KernelBuilder()
    unused = b.parameter("unused", (1,))
    marks = b.parameter("marks", (depth,))
    with b.serial(depth) as step:
        b.store(marks, step, b.load(unused, 0))
    tile = b.registers(rows, (4,))
    tile.clear()
    asked = []

    def add(step):
        b.store(marks, step, b.load(marks, step) + 1.0)

    sum_in_parts(b, tile, depth, lambda first, end: asked.extend(range(first, end)), add)
    found = run(b.function("kernel"), "native", [np.zeros(1, np.float32)], (depth,))
    assert (found == 1).all()
    assert asked == list(range(rows))
