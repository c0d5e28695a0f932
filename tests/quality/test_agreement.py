import pytest

from assay.errors import InputError
from assay.quality.agreement import Agreement, agreement


def test_counts_what_differs():
    assert agreement([0, 1, 2, 3], [0, 1, 1, 3]) == Agreement(4, 1, 0.75)
    assert agreement([5, 5], [5, 5]) == Agreement(2, 0, 1.0)
    assert agreement([0], [1]) == Agreement(1, 1, 0.0)


def test_two_samples_without_a_prediction_do_not_agree():
    assert agreement([-1, -1, 2], [-1, 0, 2]) == Agreement(3, 2, pytest.approx(1 / 3))


@pytest.mark.parametrize(("ours", "theirs"), [([], []), ([1], []), ([1, 2], [1])])
def test_lists_that_do_not_compare_are_refused(ours, theirs):
    with pytest.raises(InputError, match=r"no prediction|do not compare"):
        agreement(ours, theirs)
