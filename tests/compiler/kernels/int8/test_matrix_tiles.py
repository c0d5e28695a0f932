"""Products of AMX's matrix tiles: every byte is as the arithmetic says, whatever the shape."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.compiler.kernels.int8 import conv2d, dense, product, transposed
from assay.compiler.kernels.int8.depth import Depth
from assay.compiler.kernels.int8.plan import Grid
from assay.compiler.kernels.int8.tile_depth import TileDepth
from assay.compiler.kernels.int8.tile_plan import pays, tile_runs
from tests.compiler.kernels.int8.cases import ADDITION, check, conv
from tests.compiler.kernels.int8.harness import X86, isa
from tests.compiler.kernels.int8.test_dense import layer
from tests.compiler.kernels.int8.test_transposed import CASES as TRANSPOSED

SAPPHIRE_RAPIDS = isa(f"{X86} -mcpu=sapphirerapids")
ADDED = {"addition": ADDITION}
ASYMMETRIC = {"weights_zero_point": -9}

needs_tiles = pytest.mark.skipif(not isa("native").tiles, reason="this machine has no matrix tiles")

CONVOLUTIONS = {
    "1x1": conv(14, 14, 64, 64, 1),
    "1x1, uneven rows, one panel and a part": conv(7, 7, 100, 83, 1, **ADDED),
    "1x1, odd depth, in place": conv(5, 9, 67, 40, 1, batch=2, **ASYMMETRIC),
    "1x1, less depth than a row, odd": conv(5, 9, 13, 16, 1),
    "1x1, one pixel": conv(1, 1, 64, 128, 1),
    "1x1, stride": conv(9, 7, 32, 24, 1, 2, batch=2, **ADDED),
    "window": conv(7, 9, 24, 33, 3, batch=2, **ASYMMETRIC),
    "window, in place": conv(9, 20, 40, 17, 3, padding="valid"),
    "window, large depth": conv(6, 6, 130, 31, 3, **ADDED),
    "dilated": conv(9, 9, 20, 48, 3, dilation=2, **ASYMMETRIC, **ADDED),
    "groups": conv(9, 7, 40, 80, 3, groups=4, **ASYMMETRIC, **ADDED),
    "image, 3 channels": conv(19, 21, 3, 32, 7, 2),
    "one line": conv(1, 75, 24, 32, (1, 5)),
}
"""All have 16 columns or more, as many as a tile has."""


@pytest.fixture
def always_tiles(monkeypatch):
    """Take matrix tiles wherever they can be taken."""
    monkeypatch.setattr(product, "pays", lambda isa, grid, depth: isa.tiles and grid.columns >= 16)


@needs_tiles
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolutions(case, always_tiles):
    assert "tdpbusd" in str(conv2d.generate(CONVOLUTIONS[case], isa("native"), "kernel"))
    check(conv2d, CONVOLUTIONS[case], "native")


@needs_tiles
@pytest.mark.parametrize(
    "case", [name for name, p in TRANSPOSED.items() if p.geometry.out_c >= 16 * p.geometry.groups]
)
def test_transposed_convolutions(case, always_tiles):
    check(transposed, TRANSPOSED[case], "native")


@needs_tiles
@pytest.mark.parametrize("rows", [1, 15, 33])
def test_dense_layers(rows, always_tiles):
    check(dense, layer((rows,), 77, 50, **ASYMMETRIC, **ADDED), "native")


SHARED = {
    "rows": conv(61, 61, 96, 37, 1, **ASYMMETRIC),
    "lines": conv(40, 40, 32, 40, 3, **ASYMMETRIC, **ADDED),
    "panels": conv(3, 3, 512, 520, 3, **ASYMMETRIC),
    "panels of groups": conv(5, 5, 512, 512, 3, groups=4),
    "batch items": conv(12, 12, 64, 64, 3, batch=3),
}


@needs_tiles
@pytest.mark.parametrize("parallel", [2, 7])
@pytest.mark.parametrize("case", SHARED)
def test_threads_share_rows_lines_or_panels(case, parallel, always_tiles):
    machine = replace(isa("native"), l2_bytes=64 * 1024)  # lines are split, too
    check(conv2d, SHARED[case], "native", parallel, machine=machine)


@needs_tiles
@given(
    height=st.integers(6, 12),
    width=st.integers(6, 40),
    in_c=st.integers(1, 140),
    out_c=st.integers(16, 150),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 2),
    padding=st.sampled_from(["same", "valid"]),
    zero_point=st.sampled_from([0, -1]),
    seed=st.integers(0, 99),
)
@settings(max_examples=25, deadline=None)
def test_random_convolutions(height, width, in_c, out_c, kernel, stride, padding, zero_point, seed):
    if padding == "valid":
        kernel = min(kernel, height, width)
    problem = conv(height, width, in_c, out_c, kernel, stride, padding=padding)
    problem = replace(problem, weights_zero_point=zero_point)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(product, "pays", lambda isa, grid, depth: isa.tiles)
        check(conv2d, problem, "native", seed=seed)


@pytest.mark.parametrize("length", [*range(4, 70), 127, 128, 129, 200])
@pytest.mark.parametrize("goes_on", [False, True])
def test_blocks_see_every_input_once(length, goes_on):
    depth = TileDepth(Depth(2, 1000, 1, 0, length), goes_on)
    weights = np.random.default_rng(0).integers(-128, 128, (2, length, 3)).astype(np.int8)
    packed = depth.pack(weights).transpose(0, 2, 1).reshape(depth.blocks, depth.block, 3)
    assert depth.block <= 64
    assert depth.block % 4 == 0
    unpacked = np.zeros((2, length + 4, 3), np.int64)
    for block, values in enumerate(packed):
        segment, start = divmod(int(depth.start(_Direct(), block)), 1000)
        unpacked[segment, start : start + depth.block] += values
        assert goes_on or start + depth.block <= length
    np.testing.assert_array_equal(unpacked[:, :length], weights)
    assert not unpacked[:, length:].any()


class _Direct:
    """Stands for a builder where all indices are numbers."""

    def let(self, value):
        return value


@pytest.mark.parametrize("columns", [16, 17, 31, 32, 64, 65, 100, 130])
def test_panels_cover_all_columns(columns):
    seen = [
        run.start + panel * run.packed_columns + column + lane
        for run in tile_runs(columns)
        for panel in range(run.count)
        for column, lanes in run.vectors
        for lane in range(lanes)
    ]
    assert sorted(set(seen)) == list(range(columns))
    assert len(seen) == -(-columns // 16) * 16


def test_tiles_pay_for_large_products_only():
    deep, flat = TileDepth(Depth(1, 0, 1, 0, 256), False), TileDepth(Depth(1, 0, 1, 0, 16), False)
    large, row = Grid(1, 1, 784, 1, 64), Grid(1, 1, 1, 1, 64)
    assert pays(SAPPHIRE_RAPIDS, large, deep)
    assert not pays(SAPPHIRE_RAPIDS, large, flat)
    assert not pays(SAPPHIRE_RAPIDS, row, deep)
    assert not pays(replace(SAPPHIRE_RAPIDS, tiles=False), large, deep)
    assert not pays(SAPPHIRE_RAPIDS, replace(large, columns=15), deep)
