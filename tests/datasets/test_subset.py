import hashlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.datasets.base import Example
from assay.datasets.subset import Subset, stratified
from assay.errors import ConfigError


class Unlabelled:
    """A data set that tells its labels only example by example."""

    name = "plain"
    classes = ("a", "b", "c")

    def __init__(self, labels):
        self._labels = labels

    def __len__(self):
        return len(self._labels)

    def __getitem__(self, index):
        return Example(f"e{index}", np.full((2,), index, np.float32), self._labels[index])

    def facts(self):
        return {"name": self.name, "samples": len(self), "sha256": "whole", "origin": "here"}


LABELS = [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2]


def test_each_class_gives_its_share_in_the_original_order():
    part = Subset(Unlabelled(LABELS), 0.5)
    assert len(part) == 6
    assert Counter(part.labels) == {0: 2, 1: 2, 2: 2}
    assert list(part.indices) == sorted(part.indices)
    assert [part[i].id for i in range(6)] == [f"e{i}" for i in part.indices] == list(part.ids)
    assert [part[i].label for i in range(6)] == list(part.labels)


def test_examples_are_evenly_spaced_within_a_class():
    assert stratified((0,) * 12, 0.25) == (2, 6, 10)


def test_name_and_classes_stay():
    part = Subset(Unlabelled(LABELS), 0.25)
    assert (part.name, part.classes) == ("plain", ("a", "b", "c"))


def test_all_of_it_is_all_of_it():
    assert Subset(Unlabelled(LABELS), 1).indices == tuple(range(12))


def test_a_tiny_fraction_still_gives_one_example():
    assert len(Subset(Unlabelled(LABELS), 1e-9)) == 1


def test_the_choice_is_the_same_every_time():
    assert Subset(Unlabelled(LABELS), 0.4).ids == Subset(Unlabelled(LABELS), 0.4).ids


def test_a_part_of_a_part():
    inner = Subset(Unlabelled(LABELS), 0.5)
    part = Subset(inner, 0.5)
    assert Counter(part.labels) == {0: 1, 1: 1, 2: 1}
    assert set(part.ids) < set(inner.ids)


def test_iteration_ends_and_an_index_beyond_the_end_is_an_error():
    part = Subset(Unlabelled(LABELS), 0.25)
    assert [example.id for example in part] == list(part.ids)
    with pytest.raises(IndexError):
        part[3]


def test_facts_tell_the_part_from_the_whole():
    part = Subset(Unlabelled([0, 1]), 0.5)
    line = f'["{part.ids[0]}", {part.labels[0]}]\n'
    assert part.facts() == {
        "name": "plain",
        "samples": 1,
        "sha256": hashlib.sha256(line.encode()).hexdigest(),
        "origin": "here",
        "fraction": 0.5,
    }


@pytest.mark.parametrize("fraction", [0, -0.5, 1.01, float("nan"), float("inf")])
def test_a_fraction_out_of_range_is_refused(fraction):
    with pytest.raises(ConfigError, match=r"'plain' is not in \(0, 1\]"):
        Subset(Unlabelled(LABELS), fraction)


@given(
    labels=st.lists(st.integers(0, 6), min_size=1, max_size=200).map(tuple),
    fraction=st.floats(0, 1, exclude_min=True),
)
def test_no_class_is_more_than_one_example_off_its_share(labels, fraction):
    indices = stratified(labels, fraction)
    assert len(indices) == max(1, round(len(labels) * fraction))
    assert len(set(indices)) == len(indices)
    whole, part = Counter(labels), Counter(labels[i] for i in indices)
    share = len(indices) / len(labels)
    assert all(abs(part[label] - count * share) < 1 + 1e-9 for label, count in whole.items())
