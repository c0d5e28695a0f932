"""Classification metrics of scores against labels, for any number of classes from 2 up.

Order of classes: by score, higher first; equal scores by index, lower first. A NaN is no score: it
ranks below everything, and a row of nothing but NaN predicts no class (``NO_PREDICTION``), which is
always wrong. The same order decides top-1 and top-5, so quantized scores, which tie often, count
the same way in both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from assay.errors import InputError
from assay.lab.results import NO_PREDICTION, Quality

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Scores = npt.NDArray[Any]
    Indices = npt.NDArray[np.integer[Any]]


def evaluate(scores: Scores, labels: Indices) -> Quality:
    """Compare scores (float32 [samples, classes]; raw quantized ones do too) with labels.

    ``labels`` is int [samples], each from 0 up to classes - 1. With ``present`` the classes that
    have at least one sample:

    - accuracy: share of samples whose predicted class is the label;
    - top5: share whose label is among the five best classes; None for five classes or fewer;
    - mean_precision: mean over ``present`` of TP / (TP + FP), 0 for a class never predicted;
    - mean_sensitivity: mean over ``present`` of TP / (TP + FN), also called macro recall;
    - g_mean: geometric mean of these sensitivities (Kubat and Matwin, 1997), so 0 as soon as one
      class of ``present`` is never found.

    Classes without samples take no part in the three means. InputError if the shapes or dtypes do
    not fit, if there is no sample, or if a label is not the index of a class.
    """
    import numpy as np
    from scipy.stats import gmean
    from sklearn.metrics import confusion_matrix, precision_score, recall_score

    scores, labels = np.asarray(scores), np.asarray(labels)
    _check(scores, labels)
    samples, classes = scores.shape
    predictions = predict(scores)
    present = np.unique(labels)
    sensitivities = recall_score(labels, predictions, labels=present, average=None)
    return Quality(
        samples=samples,
        accuracy=float(np.mean(predictions == labels)),
        top5=float(np.mean(_rank(scores, labels) < 5)) if classes > 5 else None,
        mean_precision=float(
            precision_score(labels, predictions, labels=present, average="macro", zero_division=0)
        ),
        mean_sensitivity=float(np.mean(sensitivities)),
        g_mean=float(gmean(sensitivities)),
        confusion_matrix=confusion_matrix(labels, predictions, labels=range(classes)).tolist(),
        predictions=predictions.tolist(),
    )


def predict(scores: Scores) -> npt.NDArray[np.int64]:
    """Return the best class of each row, int64 [samples], in the order this module defines."""
    import numpy as np

    nan = np.isnan(scores)
    best = np.where(nan, -np.inf, scores).max(axis=1, keepdims=True, initial=-np.inf)
    candidates = ~nan & (scores == best)
    return np.where(candidates.any(axis=1), candidates.argmax(axis=1), NO_PREDICTION)


def _rank(scores: Scores, labels: Indices) -> npt.NDArray[np.int64]:
    """Return how many classes come before the label of each row; all of them if it has no score."""
    import numpy as np

    own = np.take_along_axis(scores, labels[:, None], axis=1)
    earlier = np.arange(scores.shape[1]) < labels[:, None]
    before = (scores > own) | ((scores == own) & earlier) | np.isnan(own)
    rank: npt.NDArray[np.int64] = before.sum(axis=1)
    return rank


def _check(scores: Scores, labels: Indices) -> None:
    import numpy as np

    if scores.ndim != 2 or scores.dtype.kind not in "fiu":
        raise InputError(
            f"scores must be numbers of shape [samples, classes], got {scores.dtype} of shape "
            f"{list(scores.shape)}"
        )
    samples, classes = scores.shape
    if classes < 2:
        raise InputError(f"scores of {classes} class leave nothing to choose: give at least 2")
    if labels.shape != (samples,) or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(
            f"labels must be {samples} whole numbers, one a row of scores, got {labels.dtype} of "
            f"shape {list(labels.shape)}"
        )
    if samples == 0:
        raise InputError("there is no sample to evaluate: give at least one")
    if labels.min() < 0 or labels.max() >= classes:
        raise InputError(
            f"labels run from {labels.min()} to {labels.max()}, but the model scores {classes} "
            "classes, from 0: use the data set whose classes the model was trained on"
        )
