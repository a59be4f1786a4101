"""Average precision, precision and recall at one another against scikit-learn; kappa and its like of matrices."""

import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics as sk

from jnn import metrics as M
from tests.metrics.examples import classified, repeated, scored
from tests.oracle import configurations

rngs = pytest.mark.parametrize("rng", configurations(fast=[0, 1]), ids=range(20))


@rngs
def test_average_precision_is_scikit_learns_and_the_histogram_is_within_its_bound(rng):
    scores, labels, weight = scored(rng, 200)
    theirs = sk.average_precision_score(labels, scores, sample_weight=weight)
    arrays = tuple(map(jnp.asarray, (scores, labels, weight)))
    np.testing.assert_allclose(M.average_precision(*arrays), theirs, rtol=1e-12)
    fine = M.merge(M.average_precision_histogram(*arrays))  # scores are tenths: only equal ones share a bin
    np.testing.assert_allclose(fine.value(), theirs, rtol=1e-12)
    smooth = rng.uniform(size=200).astype(np.float32)
    for scores in (smooth, (smooth + labels) / 2):
        exact = sk.average_precision_score(labels, scores, sample_weight=weight)
        bounds = []
        for bins in (1, 4, 32):
            coarse = M.merge(M.average_precision_histogram(jnp.asarray(scores), *arrays[1:], bins=bins))
            bounds.append(coarse.error_bound())
            assert abs(coarse.value() - exact) <= bounds[-1] + 1e-12
        assert bounds[2] < bounds[0] / 2


@rngs
def test_precision_and_recall_at_one_another_are_those_of_scikit_learns_curve(rng):
    scores, labels, weight = scored(rng)
    precision, recall, _ = sk.precision_recall_curve(labels, scores, sample_weight=weight)
    precision, recall = precision[:-1], recall[:-1]  # its last point takes nothing at all
    arrays = tuple(map(jnp.asarray, (scores, labels, weight)))
    sketch = M.merge(M.average_precision_histogram(*arrays))
    for least in (0.3, 0.5, 0.55, 0.9, 1.0):
        theirs = max(recall[precision >= least], default=0)
        np.testing.assert_allclose(M.recall_at_precision(*arrays[:2], least, arrays[2]), theirs, rtol=1e-12)
        np.testing.assert_allclose(sketch.recall_at_precision(least), theirs, rtol=1e-12)
        theirs = max(precision[recall >= least])
        np.testing.assert_allclose(M.precision_at_recall(*arrays[:2], least, arrays[2]), theirs, rtol=1e-12)
        np.testing.assert_allclose(sketch.precision_at_recall(least), theirs, rtol=1e-12)


@rngs
def test_kappa_matthews_and_balanced_accuracy_are_scikit_learns(rng):
    arrays = classified(rng)
    matrix = M.merge(M.confusion_matrix(*map(jnp.asarray, arrays)))
    logits, labels = repeated(arrays)
    predicted = logits.argmax(-1)
    for power, weights in enumerate([None, "linear", "quadratic"]):
        theirs = sk.cohen_kappa_score(labels, predicted, weights=weights, labels=np.arange(5))
        np.testing.assert_allclose(matrix.cohen_kappa(power), theirs, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(matrix.matthews_correlation(), sk.matthews_corrcoef(labels, predicted), atol=1e-14)
    present = np.isin(predicted, labels)  # of what is never right scikit-learn warns
    recall = sk.recall_score(labels, predicted, average=None, labels=np.unique(labels))
    np.testing.assert_allclose(matrix.balanced_accuracy(), recall.mean(), rtol=1e-12)
    if present.all():
        np.testing.assert_allclose(matrix.balanced_accuracy(), sk.balanced_accuracy_score(labels, predicted))
    theirs = [sk.recall_score(labels != c, predicted != c, zero_division=0) for c in range(5)]
    np.testing.assert_allclose(matrix.specificity(), theirs, rtol=1e-12)
    options = {"average": None, "labels": np.arange(5), "zero_division": 0}
    for beta in (0.5, 2.0):
        theirs = sk.fbeta_score(labels, predicted, beta=beta, **options)
        np.testing.assert_allclose(matrix.counts().f_beta(beta), theirs, rtol=1e-12)


def test_matrices_of_several_steps_have_a_number_each():
    steps = [M.confusion_matrix(*map(jnp.asarray, classified(np.random.default_rng(i)))) for i in range(2)]
    several = M.Confusion(jnp.stack([step.matrix for step in steps]))
    for of in (
        M.Confusion.balanced_accuracy,
        M.Confusion.specificity,
        M.Confusion.matthews_correlation,
        lambda metric: metric.cohen_kappa(2),
    ):
        np.testing.assert_allclose(of(several), np.stack([of(M.merge(step)) for step in steps]), rtol=1e-5)


def test_what_does_not_vary_has_no_kappa_and_a_matthews_correlation_of_zero():
    matrix = M.Confusion(np.array([[3.0, 0.0], [0.0, 0.0]]))
    assert np.isnan(matrix.cohen_kappa())
    assert matrix.matthews_correlation() == 0
