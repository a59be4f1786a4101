"""Metrics count beyond what float32 can, one by one, and classes beyond what a matrix holds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn import metrics as M


def test_merge_counts_past_what_float32_can():
    big = M.Mean(np.float32(2**24), np.float32(2**24))
    one = M.Mean(np.float32(1), np.float32(1))
    assert M.merge(big, one, one) == M.Mean(2.0**24 + 2, 2.0**24 + 2)


def many(rng, n=200_000):
    """Rows of two classes, the last of them one: with weights, more than float32 can count."""
    labels = np.r_[np.zeros(n - 1, np.int32), 1]
    return rng.uniform(size=n).astype(np.float32) * 1e-3 + labels, labels


@pytest.mark.parametrize("weight", [251.0, 0.1])
def test_counts_go_on_beyond_what_float32_counts_one_by_one(weight):
    """200,000 rows stand for 50 million of weight 1; and small weights are not lost in large sums."""
    scores, labels = many(np.random.default_rng(0))
    weights = np.full(len(labels), weight, np.float32)
    total = np.float32(np.float64(np.float32(weight)) * (len(labels) - 1))
    logits = np.stack([0.5 - scores, scores - 0.5], -1)
    tolerance = {"rtol": 0} if weight > 1 else {"rtol": 1e-5}
    each = [
        jax.jit(M.confusion_matrix)(logits, labels, weights).matrix[0, 0],
        jax.jit(M.class_counts)(logits, labels, weights).hits[0],
        jax.jit(M.binary_counts)(-scores[:, None], 1 - labels[:, None], weights).actual[0],
        jax.jit(lambda *args: M.roc_auc_histogram(*args, bins=8))(scores, labels, weights).negative[0],
        jax.jit(M.accuracy)(logits, labels, weights).total - np.float32(weight),
        jax.jit(M.specificity)(scores, labels, weights).total,
        jax.jit(M.hamming_loss)(scores[:, None], 1 - labels[:, None], weights).total - np.float32(weight),
        jax.jit(M.subset_accuracy)(scores[:, None], labels[:, None], weights).total - np.float32(weight),
        jax.jit(lambda *args: M.average_precision_histogram(*args, bins=8))(scores, labels, weights).negative[0],
        jax.jit(lambda *args: M.group_counts(*args, num_groups=2))(scores, labels, labels, weights).counts[0, 0, 0],
        jax.jit(lambda *args: M.contingency(*args, num_clusters=2, num_classes=2))(labels, labels, weights).table[0, 0],
        jax.jit(M.calibration_error)(np.eye(2, dtype=np.float32)[labels], labels, weights).weight[-1]
        - np.float32(weight),
    ]
    np.testing.assert_allclose(each, total, **tolerance)


def test_fifty_thousand_classes_need_no_matrix():
    logits = jnp.zeros((3, 50_000)).at[jnp.arange(3), jnp.array([7, 7, 49_999])].set(1.0)
    counts = M.class_counts(logits, jnp.array([7, 1, 49_999]))
    assert (counts.predicted[7], counts.precision()[7], counts.recall()[49_999]) == (2, 0.5, 1)
    with pytest.raises(ValueError, match=r"50000 classes make a matrix of 10\.0 GB.* take class_counts"):
        M.confusion_matrix(logits, jnp.array([7, 1, 49_999]))
