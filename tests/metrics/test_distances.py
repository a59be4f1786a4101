"""Clusters and features against scikit-learn, SciPy and plain loops."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.special
import sklearn.metrics as sk

from jnn import metrics as M
from tests.metrics.examples import classified, clustered, featured, repeated
from tests.oracle import configurations

rngs = pytest.mark.parametrize("rng", configurations(fast=[0, 1]), ids=range(20))


@rngs
def test_agreement_of_clusters_and_classes_is_scikit_learns(rng):
    arrays = clustered(rng)
    table = M.merge(M.contingency(*map(jnp.asarray, arrays), num_clusters=4, num_classes=6))
    clusters, labels = repeated(arrays)
    both = labels, clusters
    np.testing.assert_allclose(table.value(), sk.normalized_mutual_info_score(*both), rtol=1e-9)
    np.testing.assert_allclose(table.adjusted_rand_index(), sk.adjusted_rand_score(*both), rtol=1e-9)
    np.testing.assert_allclose(table.homogeneity(), sk.homogeneity_score(*both), rtol=1e-9)
    np.testing.assert_allclose(table.completeness(), sk.completeness_score(*both), rtol=1e-9)
    for beta in (0.5, 1.0, 3.0):
        np.testing.assert_allclose(table.v_measure(beta), sk.v_measure_score(*both, beta=beta), rtol=1e-9)


@pytest.mark.parametrize("both", [([0, 0, 0], [0, 0, 0]), ([0, 1, 2], [2, 0, 1]), ([0, 0, 0], [0, 1, 2])])
def test_agreement_of_few_and_many_clusters_is_scikit_learns(both):
    table = M.merge(M.contingency(*map(jnp.array, both), num_clusters=3, num_classes=3))
    np.testing.assert_allclose(table.value(), sk.normalized_mutual_info_score(*both), atol=1e-12)
    np.testing.assert_allclose(table.adjusted_rand_index(), sk.adjusted_rand_score(*both), atol=1e-12)


@rngs
def test_the_silhouette_is_scikit_learns(rng):
    x, clusters, _ = classified(rng)
    clusters[:2] = 0, 1
    clusters[7] = 9  # one that is alone
    for shift in (0, 1000):
        ours = M.silhouette_score(jnp.asarray(x + shift), jnp.asarray(clusters))
        theirs = sk.silhouette_score((x + shift).astype(float) - shift, clusters)
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_the_silhouette_of_more_rows_than_a_block_is_scikit_learns():
    rng = np.random.default_rng(0)
    x, clusters = rng.normal(size=(1100, 2)).astype(np.float32), rng.integers(0, 3, 1100)
    ours = M.silhouette_score(jnp.asarray(x), jnp.asarray(clusters))
    np.testing.assert_allclose(ours, sk.silhouette_score(x.astype(float), clusters), rtol=1e-6)


@rngs
def test_the_frechet_distance_is_its_formula_with_scipys_root(rng):
    real, generated = featured(rng), featured(rng)
    mixed = real[0] @ rng.normal(size=(3, 3)).astype(np.float32)
    moments = [M.merge(M.feature_moments(*map(jnp.asarray, a), shift=3.0)) for a in ((mixed, real[1]), generated)]
    rows = [repeated(a)[0].astype(float) for a in ((mixed, real[1]), generated)]
    covariances = [np.cov(x, rowvar=False) for x in rows]
    apart = np.sum((rows[0].mean(0) - rows[1].mean(0)) ** 2)
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    np.testing.assert_allclose(moments[0].covariance(), covariances[0], rtol=1e-4, atol=1e-4)
    theirs = apart + np.trace(covariances[0] + covariances[1] - 2 * root)
    np.testing.assert_allclose(M.frechet_distance(*moments), theirs, rtol=1e-4)
    assert M.frechet_distance(moments[0], moments[0]) < 1e-6


def test_moments_that_cannot_be_compared_are_one_clear_error():
    with pytest.raises(TypeError, match=r"expected moments, found float32\[4,3\]. Give feature_moments\(features\)"):
        M.frechet_distance(jnp.ones((4, 3)), jnp.ones((4, 3)))
    with pytest.raises(ValueError, match="features of one width, found 3 of the real and 2 of the generated"):
        M.frechet_distance(M.feature_moments(jnp.ones((4, 3))), M.feature_moments(jnp.ones((4, 2))))


def test_the_frechet_distance_of_fewer_rows_than_features_is_finite_and_of_none_nan():
    few = M.feature_moments(jnp.arange(6.0).reshape(2, 3))
    assert 0 <= M.frechet_distance(few, few) < 1e-3
    assert np.isnan(M.frechet_distance(few, M.feature_moments(jnp.ones((1, 3)))))


@rngs
def test_the_kernel_distance_is_a_mean_over_pairs(rng):
    x, y = (rng.normal(size=(n, 3)).astype(np.float32) for n in (9, 7))
    kernel = lambda a, b: (float(a.astype(float) @ b) / 3 + 1) ** 3
    within = lambda a: np.mean([kernel(a[i], a[j]) for i in range(len(a)) for j in range(len(a)) if i != j])
    theirs = within(x) + within(y) - 2 * np.mean([kernel(a, b) for a in x for b in y])
    np.testing.assert_allclose(M.kernel_distance(jnp.asarray(x), jnp.asarray(y)), theirs, rtol=1e-5, atol=1e-7)


@rngs
def test_the_inception_score_is_exp_of_the_mean_divergence(rng):
    logits, _, weight = classified(rng)
    p = scipy.special.softmax(repeated((logits.astype(float), weight))[0], -1)
    theirs = np.exp(np.mean(np.sum(scipy.special.rel_entr(p, p.mean(0)), -1)))
    ours = M.merge(M.inception_score(jnp.asarray(logits), jnp.asarray(weight))).value()
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
