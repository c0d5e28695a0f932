import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.compiler.kernels.panels import pack_panels, packed_columns, panel_count, split_columns
from assay.compiler.kernels.splits import column_vectors, split_evenly


@pytest.mark.parametrize(
    ("columns", "lanes", "expected"),
    [
        (16, 8, ((0, 8), (8, 8))),
        (24, 16, ((0, 16), (16, 8))),
        (37, 16, ((0, 16), (16, 16), (29, 8))),
        (5, 16, ((0, 4), (4, 1))),
        (7, 4, ((0, 4), (3, 4))),
        (3, 4, ((0, 2), (2, 1))),
        (1, 16, ((0, 1),)),
    ],
)
def test_the_last_vector_is_narrow_or_reaches_back(columns, lanes, expected):
    assert column_vectors(columns, lanes) == expected


@given(columns=st.integers(1, 200), lanes=st.sampled_from([4, 8, 16]), most=st.integers(1, 8))
def test_panels_cover_every_column_and_nothing_else(columns, lanes, most):
    runs = split_columns(columns, lanes, most)
    covered = set()
    for run in runs:
        assert len(run.vectors) <= most
        for panel in range(run.count):
            start = run.start + panel * run.packed_columns
            for column, width in run.vectors:
                covered |= set(range(start + column, start + column + width))
    assert covered == set(range(columns))
    assert packed_columns(runs) < columns + lanes


@given(total=st.integers(1, 300), most=st.integers(1, 40))
def test_an_even_split_has_two_sizes_that_differ_by_one(total, most):
    split = split_evenly(total, most)
    parts = split.parts()
    assert sum(count * size for _, count, size in parts) == total
    sizes = {size for _, _, size in parts}
    assert max(sizes) <= most
    assert max(sizes) - min(sizes) <= 1
    assert split.tiles == -(-total // most)
    starts = [start + i * size for start, count, size in parts for i in range(count)]
    assert starts == sorted(starts)
    assert starts[0] == 0


def test_packed_weights_run_down_each_panel():
    weights = np.arange(2 * 11, dtype=np.float32).reshape(2, 11)
    runs = split_columns(11, 4, 2)
    assert panel_count(runs) == 2
    packed = pack_panels(weights, runs)
    assert packed[:16].reshape(2, 8).tolist() == weights[:, :8].tolist()
    assert packed[16:].reshape(2, 4).tolist() == weights[:, 7:].tolist()
