"""Accuracies, counts per class and AUC are scikit-learn's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics as sk

from jnn import metrics as M
from jnn.losses import cross_entropy
from tests.metrics.examples import classified, host, scored
from tests.metrics.test_laws import assert_same
from tests.oracle import configurations

twenty = pytest.mark.parametrize("rng", configurations(), ids=range(20))


@twenty
def test_accuracies_are_scikit_learns(rng):
    logits, labels, weight = classified(rng)
    k = int(rng.integers(1, 6))
    theirs = sk.accuracy_score(labels, logits.argmax(-1), sample_weight=weight)
    np.testing.assert_allclose(host(M.accuracy, logits, labels, weight), theirs, rtol=1e-12)
    top = lambda x, y, w: M.top_k_accuracy(x, y, k, w)
    theirs = 1.0 if k == 5 else sk.top_k_accuracy_score(labels, logits, k=k, sample_weight=weight, labels=np.arange(5))
    np.testing.assert_allclose(host(top, logits, labels, weight), theirs, rtol=1e-12)
    scores, yes, weight = scored(rng)
    theirs = sk.accuracy_score(yes, scores > 0.5, sample_weight=weight)
    np.testing.assert_allclose(host(M.binary_accuracy, scores, yes, weight), theirs, rtol=1e-12)


@twenty
def test_the_confusion_matrix_and_what_follows_are_scikit_learns(rng):
    logits, labels, weight = classified(rng)
    # scikit-learn counts a class as there even if its every example has weight 0; as many each time: one shape
    kept = np.flatnonzero(weight)[:32]
    predicted, labels, weight = logits.argmax(-1)[kept], labels[kept], weight[kept]
    metric = M.merge(M.confusion_matrix(jnp.asarray(logits[kept]), jnp.asarray(labels), jnp.asarray(weight)))
    theirs = sk.confusion_matrix(labels, predicted, labels=np.arange(5), sample_weight=weight)
    np.testing.assert_array_equal(metric.value(), theirs)
    np.testing.assert_allclose(metric.accuracy(), sk.accuracy_score(labels, predicted, sample_weight=weight))
    counts = metric.counts()
    without = M.class_counts(jnp.asarray(logits[kept]), jnp.asarray(labels), jnp.asarray(weight))
    assert_same("class_counts", without, counts)
    iou = host(M.mean_iou, logits[kept], labels, weight)
    np.testing.assert_allclose(iou, sk.jaccard_score(labels, predicted, average="macro", sample_weight=weight))
    options = {"sample_weight": weight, "zero_division": 0}
    for ours, score in [
        (counts.precision(), sk.precision_score),
        (counts.recall(), sk.recall_score),
        (counts.f1(), sk.f1_score),
        (counts.iou(), sk.jaccard_score),
    ]:
        each = score(labels, predicted, labels=np.arange(5), average=None, **options)
        np.testing.assert_allclose(ours, each, rtol=1e-12)
        np.testing.assert_allclose(counts.macro(ours), score(labels, predicted, average="macro", **options), rtol=1e-12)
        theirs = score(labels, predicted, average="weighted", **options)
        np.testing.assert_allclose(counts.weighted(ours), theirs, rtol=1e-12)
    micro = sk.f1_score(labels, predicted, average="micro", sample_weight=weight)
    np.testing.assert_allclose(counts.micro().f1(), [micro], rtol=1e-12)
    np.testing.assert_allclose(counts.value(), sk.f1_score(labels, predicted, average="macro", **options))


@twenty
def test_binary_counts_are_scikit_learns(rng):
    scores, labels, weight = (
        rng.uniform(size=(40, 3)).astype(np.float32),
        rng.integers(0, 2, (40, 3)),
        rng.integers(1, 4, 40),
    )
    counts = M.merge(M.binary_counts(jnp.asarray(scores), jnp.asarray(labels), jnp.asarray(weight), threshold=0.7))
    options = {"sample_weight": weight, "zero_division": 0}
    for name, ours in [("precision", counts.precision()), ("recall", counts.recall()), ("f1", counts.f1())]:
        score = getattr(sk, f"{name}_score")
        np.testing.assert_allclose(ours, score(labels, scores > 0.7, average=None, **options), rtol=1e-12)
        micro = getattr(counts.micro(), name)()
        np.testing.assert_allclose(micro, [score(labels, scores > 0.7, average="micro", **options)], rtol=1e-12)


@twenty
def test_roc_auc_is_scikit_learns_and_the_histogram_is_within_its_bound(rng):
    scores, labels, weight = scored(rng, 200)
    theirs = sk.roc_auc_score(labels, scores, sample_weight=weight)
    arrays = tuple(map(jnp.asarray, (scores, labels, weight)))
    np.testing.assert_allclose(M.roc_auc(*arrays), theirs, rtol=1e-12)
    fine = M.merge(M.roc_auc_histogram(*arrays))  # scores are tenths: with 1024 bins only equal ones share a bin
    np.testing.assert_allclose(fine.value(), theirs, rtol=1e-12)
    smooth = rng.uniform(size=200).astype(np.float32)
    exact = sk.roc_auc_score(labels, smooth, sample_weight=weight)
    for bins in (1, 4, 32):
        coarse = M.merge(M.roc_auc_histogram(jnp.asarray(smooth), *arrays[1:], bins=bins))
        assert abs(coarse.value() - exact) <= coarse.error_bound() + 1e-12
        assert coarse.error_bound() <= 0.5
    np.testing.assert_allclose(M.roc_auc_histogram(arrays[0], *arrays[1:], bins=1).value(), 0.5)


@twenty
def test_perplexity_of_a_model_is_exp_of_its_log_loss(rng):
    logits, labels, weight = classified(rng)
    theirs = np.exp(sk.log_loss(labels, jax.nn.softmax(logits), sample_weight=weight, labels=np.arange(5)))
    metric = M.perplexity(cross_entropy(jnp.asarray(logits), jnp.asarray(labels)), jnp.asarray(weight))
    np.testing.assert_allclose(metric.value(), theirs, rtol=1e-5)
    np.testing.assert_allclose(M.merge(metric).value(), theirs, rtol=1e-5)


def test_equal_logits_count_the_first_as_greater():
    logits = jnp.array([[1.0, 1.0, 0.0]])
    assert [M.top_k_accuracy(logits, jnp.array([y]), 1).value().item() for y in range(3)] == [1, 0, 0]
    assert [M.top_k_accuracy(logits, jnp.array([y]), 2).value().item() for y in range(3)] == [1, 1, 0]


@pytest.mark.parametrize("dtype", [jnp.uint8, jnp.int8])
def test_labels_of_a_small_integer_dtype(dtype):
    logits, labels = jnp.asarray(np.random.default_rng(0).normal(size=(50, 300)).astype(np.float32)), jnp.arange(50)
    for metric in (M.accuracy, M.confusion_matrix):
        assert_same("accuracy", metric(logits, labels.astype(dtype)), metric(logits, labels))
