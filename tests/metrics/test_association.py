"""Association of nominal variables, agreement of raters and rank correlation against SciPy, loops and TorchMetrics."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
import sklearn.metrics as sk

from jnn import metrics as M
from tests.metrics.examples import clustered, rated, regressed, repeated
from tests.oracle import configurations

rngs = pytest.mark.parametrize("rng", configurations(fast=[0, 1]), ids=range(20))


contingency = jax.jit(functools.partial(M.contingency, num_clusters=4, num_classes=6))
fleiss_kappa = jax.jit(M.fleiss_kappa)


def table_of(arrays):
    """Of one class more than there are, which does not occur."""
    return M.merge(contingency(*arrays))


@rngs
def test_association_is_scipys(rng):
    table = table_of(clustered(rng))
    counts = table.table.astype(int)
    counts = counts[counts.sum(1) != 0][:, counts.sum(0) != 0]
    for ours, method in (
        (table.cramers_v(), "cramer"),
        (table.tschuprows_t(), "tschuprow"),
        (table.contingency_coefficient(), "pearson"),
    ):
        np.testing.assert_allclose(ours, scipy.stats.contingency.association(counts, method=method), rtol=1e-12)


@rngs
def test_corrected_association_is_bergsmas(rng):
    table = table_of(clustered(rng))
    counts = table.table[table.table.sum(1) != 0][:, table.table.sum(0) != 0]
    n, r, c = counts.sum(), *counts.shape
    square = max(0, scipy.stats.chi2_contingency(counts, correction=False).statistic / n - (r - 1) * (c - 1) / (n - 1))
    r, c = r - (r - 1) ** 2 / (n - 1), c - (c - 1) ** 2 / (n - 1)
    np.testing.assert_allclose(table.cramers_v(corrected=True), (square / min(r - 1, c - 1)) ** 0.5, rtol=1e-12)
    theirs = (square / ((r - 1) * (c - 1)) ** 0.5) ** 0.5
    np.testing.assert_allclose(table.tschuprows_t(corrected=True), theirs, rtol=1e-12)


def test_association_of_what_is_the_same_is_independent_or_does_not_vary():
    same, apart, still = (
        M.Contingency(np.array(rows)) for rows in ([[3.0, 0], [0, 5]], [[2.0, 4], [3, 6]], [[2.0, 4]])
    )
    for of in (M.Contingency.cramers_v, M.Contingency.tschuprows_t):
        np.testing.assert_allclose([of(same), of(apart)], [1, 0], atol=1e-12)
        assert np.isnan([of(still), of(M.Contingency(0 * same.table))]).all()
        assert of(apart, corrected=True) == 0
    tables = M.Contingency(jnp.stack([same.table, apart.table]).astype(jnp.float32))
    numbers = jax.jit(lambda t: jnp.stack([t.cramers_v(), t.tschuprows_t(), t.contingency_coefficient()]))(tables)
    np.testing.assert_allclose(numbers, [[1, 0], [1, 0], [0.5**0.5, 0]], atol=1e-6)


@rngs
def test_fleiss_kappa_is_the_agreement_of_pairs_beyond_chance(rng):
    votes, weight = rated(rng)
    metric = M.merge(fleiss_kappa(votes, weight))
    agreement, answers = [], []
    for row in repeated((votes, weight))[0]:
        of_row = np.repeat(np.arange(len(row)), row)
        agreement.append(np.mean([a == b for a, b in itertools.combinations(of_row, 2)]))
        answers.extend(of_row)
    chance = np.mean(np.equal.outer(answers, answers))
    np.testing.assert_allclose(metric.value(), (np.mean(agreement) - chance) / (1 - chance), rtol=1e-5)


def test_fleiss_kappa_of_two_raters_whose_answers_are_as_frequent_is_scotts_pi():
    first, second = np.array([0, 0, 1, 1, 2, 2, 0, 1]), np.array([0, 1, 1, 0, 2, 2, 0, 1])  # then pi is Cohen's kappa
    votes = np.eye(3, dtype=int)[first] + np.eye(3, dtype=int)[second]
    np.testing.assert_allclose(fleiss_kappa(votes).value(), sk.cohen_kappa_score(first, second), rtol=1e-6)
    assert np.isnan(M.merge(fleiss_kappa(votes * 0 + [2, 0, 0])).value())  # a single category
    assert np.isnan(M.merge(fleiss_kappa(votes * 0 + [1, 0, 0])).value())  # a single rater


@rngs
def test_kendalls_tau_is_scipys(rng):
    arrays = regressed(rng, 40, 2)
    for digits in (0, 9):  # with ties, and without
        x, y, weight = *(np.round(x, digits) for x in arrays[:2]), arrays[2]
        rows = [row.ravel() for row in repeated((x, y, weight))]
        for variant in ("b", "c"):
            theirs = scipy.stats.kendalltau(*rows, variant=variant).statistic
            ours = M.kendall_correlation(*map(jnp.asarray, (x, y, weight)), variant=variant)
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-14)


def test_kendalls_tau_of_what_does_not_vary_is_nan_and_of_many_rows_scipys():
    x, y = np.random.default_rng(0).integers(0, 1000, (2, 20_000)).astype(np.float32)
    for variant in ("b", "c"):
        theirs = scipy.stats.kendalltau(x, y, variant=variant).statistic
        np.testing.assert_allclose(M.kendall_correlation(x, y, variant=variant), theirs, rtol=1e-9)
        assert np.isnan(M.kendall_correlation(x, 0 * y, 0.1 + x, variant=variant))


@pytest.mark.slow
@rngs
def test_association_agreement_and_rank_correlation_are_torchmetrics(rng):
    nominal = pytest.importorskip("torchmetrics.functional.nominal")
    regression = pytest.importorskip("torchmetrics.functional.regression")
    torch = pytest.importorskip("torch")
    arrays = clustered(rng)
    table, (clusters, labels) = table_of(arrays), map(torch.tensor, repeated(arrays))
    for corrected in (False, True):
        theirs = nominal.cramers_v(clusters, labels, bias_correction=corrected)
        np.testing.assert_allclose(table.cramers_v(corrected=corrected), theirs, rtol=1e-4)
        theirs = nominal.tschuprows_t(clusters, labels, bias_correction=corrected)
        np.testing.assert_allclose(table.tschuprows_t(corrected=corrected), theirs, rtol=1e-4)
    theirs = nominal.pearsons_contingency_coefficient(clusters, labels)
    np.testing.assert_allclose(table.contingency_coefficient(), theirs, rtol=1e-4)
    entropies = sorted([nominal.theils_u(clusters, labels), nominal.theils_u(labels, clusters)])
    np.testing.assert_allclose(sorted([table.homogeneity(), table.completeness()]), entropies, rtol=1e-4)
    votes = rng.multinomial(5, np.ones(4) / 4, 30)  # it has as many raters everywhere
    theirs = nominal.fleiss_kappa(torch.tensor(votes))
    np.testing.assert_allclose(M.fleiss_kappa(jnp.asarray(votes)).value(), theirs, rtol=1e-3, atol=1e-5)
    x, y = rng.integers(0, 9, (2, 50)).astype(np.float32)
    for variant in ("b", "c"):
        theirs = regression.kendall_rank_corrcoef(torch.tensor(x), torch.tensor(y), variant=variant)
        np.testing.assert_allclose(M.kendall_correlation(x, y, variant=variant), theirs, rtol=1e-4, atol=1e-6)
    theirs = regression.weighted_mean_absolute_percentage_error(torch.tensor(x), torch.tensor(y))
    np.testing.assert_allclose(M.weighted_absolute_percentage_error(x, y).value(), theirs, rtol=1e-5)
