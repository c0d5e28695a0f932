import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.compiler.kernels.builder import KernelBuilder
from assay.compiler.kernels.windows import Window, tile_outputs
from tests.compiler.kernels.harness import run

windows = st.builds(
    Window,
    in_size=st.integers(1, 20),
    out_size=st.integers(1, 24),
    kernel=st.integers(1, 7),
    stride=st.integers(1, 3),
    pad=st.integers(0, 6),
    dilation=st.integers(1, 3),
)


def taps_inside(window, output):
    positions = [
        output * window.stride + t * window.dilation - window.pad for t in range(window.kernel)
    ]
    return [t for t, position in enumerate(positions) if 0 <= position < window.in_size]


@given(windows)
def test_complete_outputs_are_those_with_all_taps_inside(window):
    expected = [o for o in range(window.out_size) if len(taps_inside(window, o)) == window.kernel]
    assert list(window.complete_outputs()) == expected


@given(windows, st.integers(1, 8))
def test_tiles_cover_the_outputs_in_order(window, most):
    tiles = tile_outputs(window, most)
    covered = [o for tile in tiles for o in range(tile.start, tile.stop)]
    assert covered == list(range(window.out_size))
    for tile in tiles:
        assert tile.size <= most
        assert tile.complete or tile.count == 1
        outputs = range(tile.start, tile.stop)
        complete = all(len(taps_inside(window, o)) == window.kernel for o in outputs)
        assert tile.complete == complete


@pytest.mark.parametrize(
    "window",
    [
        Window(7, 7, 3, 1, 1),
        Window(5, 9, 3, 1, 4),
        Window(9, 4, 5, 3, 2, 2),
        Window(2, 8, 4, 2, 7, 3),
        Window(3, 6, 1, 2, 4),
    ],
)
def test_taps_at_run_time_are_the_same(window):
    b = KernelBuilder()
    starts, output = b.parameter("starts", (1,)), b.parameter("output", (window.out_size, 2))
    with b.serial(window.out_size) as index:
        for column, value in enumerate(window.taps(b, index)):
            b.store(output, index * 2 + column, value.astype("float32") + b.load(starts, 0))
    shape = (window.out_size, 2)
    actual = run(b.function("kernel"), "native", [np.zeros(1, np.float32)], shape)
    for index, (first, count) in enumerate(actual.astype(int).tolist()):
        expected = taps_inside(window, index)
        assert count == len(expected)
        if expected:
            assert list(range(first, first + count)) == expected
