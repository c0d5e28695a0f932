"""Groups of image rows: each tap of each window is found where the arithmetic says."""

from hypothesis import given, settings
from hypothesis import strategies as st

from assay.compiler.kernels.int8.row_groups import RowGroups
from tests.compiler.kernels.int8.cases import conv


def groups_of(lines, kernel, stride, dilation, taps, step):
    rows = (lines - 1) * stride + (kernel - 1) * dilation + 1
    fields = {"groups": 4, "padding": "valid", "dilation": (dilation, 1)}
    geometry = conv(rows, 5, 4, 4, (kernel, 1), (stride, 1), **fields).geometry
    return RowGroups(geometry, taps, step)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    lines=st.integers(1, 20),
    kernel=st.integers(1, 7),
    stride=st.integers(1, 5),
    dilation=st.integers(1, 5),
    size=st.sampled_from([(1, 1), (2, 2), (4, 2), (4, 4)]),
)
def test_each_tap_meets_its_row(lines, kernel, stride, dilation, size):
    groups = groups_of(lines, kernel, stride, dilation, *size)
    for line in range(lines):
        block, within = divmod(line, groups.block_lines)
        start, place = divmod(within, groups.apart)
        first = block * groups.block_groups + groups.first_group(start) + place
        met = {}
        for offset, pattern in groups.patterns(start).items():
            assert 0 <= first + offset < groups.count(lines)
            for index, tap in enumerate(pattern):
                if tap is not None:
                    met[tap] = groups.row(first + offset, index)
        assert met == {tap: line * stride + tap * dilation for tap in range(kernel)}


def test_overlapping_groups_hold_each_window_of_three_rows():
    groups = groups_of(8, 3, 1, 1, 4, 2)
    assert [groups.patterns(start) for start in range(groups.starts)] == [
        {0: (0, 1, 2, None)},
        {0: (None, 0, 1, 2)},
    ]
    assert groups.count(8) == 4


def test_rows_between_those_of_a_dilated_window_are_in_other_groups():
    groups = groups_of(8, 4, 1, 3, 2, 2)
    assert groups.patterns(0) == {0: (0, 1), 3: (2, 3)}
    assert [groups.row(3, place) for place in (0, 1)] == [6, 9]
