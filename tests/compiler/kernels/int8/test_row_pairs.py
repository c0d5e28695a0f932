"""Pairs of image rows: each tap of each window is found where the arithmetic says."""

from hypothesis import given, settings
from hypothesis import strategies as st

from assay.compiler.kernels.int8.row_pairs import RowPairs
from tests.compiler.kernels.int8.cases import conv


def pairs_of(lines, kernel, stride, dilation):
    rows = (lines - 1) * stride + (kernel - 1) * dilation + 1
    fields = {"groups": 4, "padding": "valid", "dilation": (dilation, 1)}
    return RowPairs(conv(rows, 5, 4, 4, (kernel, 1), (stride, 1), **fields).geometry)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    lines=st.integers(1, 20),
    kernel=st.integers(1, 7),
    stride=st.integers(1, 4),
    dilation=st.integers(1, 5),
)
def test_each_tap_meets_its_row(lines, kernel, stride, dilation):
    pairs = pairs_of(lines, kernel, stride, dilation)
    apart = pairs.apart
    for line in range(lines):
        block, within = divmod(line, pairs.block_lines)
        start, place = divmod(within, apart)
        first = block * pairs.block_pairs + pairs.first_pair(start) + place
        met = {}
        for offset, taps in pairs.taps(start).items():
            pair = first + offset
            assert pair < pairs.count(lines)
            upper = pair // apart * 2 * apart + pair % apart
            met |= {tap: upper + half * apart for half, tap in enumerate(taps) if tap is not None}
        assert met == {tap: line * stride + tap * dilation for tap in range(kernel)}


def test_no_pair_of_a_dilated_window_is_half_empty():
    taps = pairs_of(8, 4, 1, 3).taps(0)
    assert taps == {0: (0, 1), 3: (2, 3)}
