"""Tensors that are alive at the same time never share memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from assay.compiler.memory_plan import Lifetime, place

steps = st.tuples(st.integers(0, 20), st.integers(0, 20)).map(sorted)
lifetimes = st.builds(lambda size, life: Lifetime(size, *life), st.integers(0, 999), steps)


@given(st.lists(lifetimes, max_size=12))
def test_tensors_of_one_step_are_apart_aligned_and_inside(tensors):
    offsets, end = place(tensors)
    assert all(offset % 64 == 0 for offset in offsets)
    for step in range(21):
        alive = sorted(
            (offset, offset + tensor.size)
            for offset, tensor in zip(offsets, tensors, strict=True)
            if tensor.first <= step <= tensor.last and tensor.size
        )
        stops = [0, *(stop for _, stop in alive)]
        assert all(start >= stop for (start, _), stop in zip(alive, stops, strict=False)), (
            "two tensors overlap"
        )
        assert stops[-1] <= end


def test_memory_of_a_dead_tensor_is_used_again():
    chain = [Lifetime(640, step, step + 1) for step in range(10)]
    assert place(chain)[1] == 2 * 640


def test_no_tensor_needs_no_memory():
    assert place([]) == ((), 0)
