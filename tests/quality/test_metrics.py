import warnings

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, precision_score, top_k_accuracy_score

from assay.errors import InputError
from assay.quality.metrics import evaluate, predict


def scores_for(predictions, classes):
    return np.eye(classes, dtype=np.float32)[predictions]


def test_three_classes_by_hand():
    # Class 0: 4 samples, 2 found. Class 1: 2 samples, both found. Class 2: 2 samples, 1 found.
    # Predicted 0: 2 of 3 right. Predicted 1: 2 of 3 right. Predicted 2: 1 of 2 right.
    labels = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    quality = evaluate(scores_for([0, 0, 1, 2, 1, 1, 2, 0], 3), labels)
    assert quality.samples == 8
    assert quality.accuracy == pytest.approx(5 / 8)
    assert quality.top5 is None
    assert quality.mean_precision == pytest.approx((2 / 3 + 2 / 3 + 1 / 2) / 3)
    assert quality.mean_sensitivity == pytest.approx((2 / 4 + 2 / 2 + 1 / 2) / 3)
    assert quality.g_mean == pytest.approx((0.5 * 1 * 0.5) ** (1 / 3))
    assert quality.confusion_matrix == [[2, 1, 1], [0, 2, 0], [1, 0, 1]]
    assert quality.predictions == [0, 0, 1, 2, 1, 1, 2, 0]


def test_a_perfect_model_of_two_classes():
    quality = evaluate(scores_for([0, 1, 1], 2), np.array([0, 1, 1]))
    assert (quality.accuracy, quality.mean_precision) == (1.0, 1.0)
    assert (quality.mean_sensitivity, quality.g_mean) == (1.0, pytest.approx(1.0))


def test_classes_without_samples_take_no_part_in_the_means():
    # Of six classes, 1 and 4 have samples; class 0 is predicted once though it has none.
    quality = evaluate(scores_for([1, 1, 4, 0], 6), np.array([1, 1, 4, 4]))
    assert quality.mean_precision == pytest.approx((1 + 1) / 2)
    assert quality.mean_sensitivity == pytest.approx((1 + 0.5) / 2)
    assert quality.g_mean == pytest.approx(np.sqrt(1 * 0.5))
    assert np.sum(quality.confusion_matrix) == 4
    assert np.shape(quality.confusion_matrix) == (6, 6)


def test_a_class_never_predicted_has_precision_0_and_g_mean_0():
    quality = evaluate(scores_for([0, 0, 0, 0], 2), np.array([0, 0, 0, 1]))
    assert quality.mean_precision == pytest.approx((3 / 4 + 0) / 2)
    assert quality.mean_sensitivity == pytest.approx((1 + 0) / 2)
    assert quality.g_mean == 0.0


def test_top5_counts_the_five_best():
    scores = np.array([[6, 5, 4, 3, 2, 1]] * 6, dtype=np.float32)
    assert evaluate(scores, np.arange(6)).top5 == pytest.approx(5 / 6)
    assert evaluate(scores[:5, :5], np.arange(5)).top5 is None


def test_equal_scores_rank_by_class_index():
    tied = np.zeros((8, 8), dtype=np.uint8)
    quality = evaluate(tied, np.arange(8))
    assert quality.predictions == [0] * 8
    assert quality.accuracy == pytest.approx(1 / 8)
    assert quality.top5 == pytest.approx(5 / 8)


def test_nan_never_wins():
    nan, inf = np.nan, np.inf
    scores = np.array(
        [[nan, 1, 2], [nan, -inf, -inf], [3, nan, nan], [-inf, nan, inf]], dtype=np.float32
    )
    assert predict(scores).tolist() == [2, 1, 0, 2]


def test_a_row_of_nan_is_wrong_whatever_the_label():
    scores = np.array([[np.nan] * 6, [9, 0, 0, 0, 0, 0]], dtype=np.float32)
    quality = evaluate(scores, np.array([0, 0]))
    assert quality.predictions == [-1, 0]
    assert quality.accuracy == quality.top5 == quality.mean_sensitivity == 0.5
    assert quality.mean_precision == 1.0
    assert np.sum(quality.confusion_matrix) == 1


def test_a_label_without_a_score_is_not_in_the_top5():
    scores = np.array([[0, np.nan, np.nan, np.nan, np.nan, np.nan]], dtype=np.float32)
    assert evaluate(scores, np.array([0])).top5 == 1.0
    assert evaluate(scores, np.array([1])).top5 == 0.0


@pytest.mark.parametrize(("samples", "classes"), [(50, 2), (200, 10), (300, 37), (60, 1001)])
def test_agrees_with_scikit_learn_on_random_scores(samples, classes):
    rng = np.random.default_rng(classes)
    scores = rng.random((samples, classes), dtype=np.float32)
    labels = rng.integers(0, classes, samples)
    scores[np.arange(samples), labels] += 0.3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quality = evaluate(scores, labels)
    predictions = scores.argmax(axis=1)
    present = np.unique(labels)
    assert quality.predictions == predictions.tolist()
    assert quality.accuracy == pytest.approx(np.mean(predictions == labels))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert quality.mean_sensitivity == pytest.approx(
            balanced_accuracy_score(labels, predictions)
        )
    assert quality.mean_precision == pytest.approx(
        precision_score(labels, predictions, labels=present, average="macro", zero_division=0)
    )
    matrix = np.zeros((classes, classes), int)
    np.add.at(matrix, (labels, predictions), 1)
    assert quality.confusion_matrix == matrix.tolist()
    sensitivities = matrix.diagonal()[present] / matrix.sum(axis=1)[present]
    assert quality.g_mean == pytest.approx(np.prod(sensitivities) ** (1 / len(present)))
    if classes > 5:
        assert quality.top5 == pytest.approx(
            top_k_accuracy_score(labels, scores, k=5, labels=range(classes))
        )


def test_g_mean_of_many_small_sensitivities_does_not_underflow():
    # 400 classes, each found once in 10: the product of the sensitivities would be 1e-400.
    labels = np.repeat(np.arange(400), 10)
    predictions = np.where(np.arange(4000) % 10 == 0, labels, (labels + 1) % 400)
    assert evaluate(scores_for(predictions, 400), labels).g_mean == pytest.approx(0.1)


def test_results_are_plain_python_numbers():
    quality = evaluate(scores_for([0, 1], 6), np.array([0, 1], dtype=np.uint8))
    assert type(quality.accuracy) is type(quality.g_mean) is type(quality.top5) is float
    assert type(quality.predictions[0]) is type(quality.confusion_matrix[0][0]) is int


@pytest.mark.parametrize(
    ("scores", "labels", "words"),
    [
        (np.zeros((0, 3)), np.zeros(0, int), "no sample"),
        (np.zeros((2, 1)), np.zeros(2, int), "at least 2"),
        (np.zeros(3), np.zeros(3, int), r"\[samples, classes\]"),
        (np.array([["a", "b"]]), np.zeros(1, int), "numbers"),
        (np.zeros((2, 3)), np.zeros(3, int), "2 whole numbers"),
        (np.zeros((2, 3)), np.zeros(2), "whole numbers"),
        (np.zeros((2, 3)), np.array([0, 3]), "3 classes"),
        (np.zeros((2, 3)), np.array([-1, 0]), "from -1"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(scores, labels, words):
    with pytest.raises(InputError, match=words) as caught:
        evaluate(scores, labels)
    assert "\n" not in str(caught.value)
