"""Ranking losses against loops over lists without their padding, in torch; and with bad input."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics
import torch
import torch.nn.functional as F

from jnn import losses, metrics
from tests.losses.exact import assert_exact, in_float64
from tests.oracle import configurations

TEMPERATURE = 0.7
OURS = (losses.ranknet, losses.lambdarank, losses.listnet, losses.listmle)


def dcg(gains, ranks):
    return sum(g / torch.log2(1 + r) for g, r in zip(gains, ranks, strict=True))


def of_list(s, y):
    """The five losses of one list: pairs, weighed pairs, both list-wise ones, soft NDCG."""
    n, gain = len(s), 2**y - 1
    ranks = torch.arange(1, n + 1).double()
    order = sorted(range(n), key=lambda i: -s[i].item())
    rank = torch.tensor([order.index(i) + 1.0 for i in range(n)]).double()
    ideal = dcg(sorted(gain, reverse=True), ranks)
    pairs = [(i, j) for i, j in itertools.permutations(range(n), 2) if y[i] > y[j]]
    costs = [torch.log(1 + torch.exp(s[j] - s[i])) for i, j in pairs]
    swaps = []
    for i, j in pairs:
        swapped = rank.clone()
        swapped[i], swapped[j] = rank[j], rank[i]
        swaps.append((dcg(gain, rank) - dcg(gain, swapped)).abs() / ideal)
    best = sorted(range(n), key=lambda i: -y[i].item())
    soft = [
        torch.tensor(1.0) + sum(((s[j] - s[i]) / TEMPERATURE).sigmoid() for j in range(n) if j != i) for i in range(n)
    ]
    return torch.stack(
        [
            sum(costs) / max(len(costs), 1) + 0 * s.sum(),
            sum(c * w for c, w in zip(costs, swaps, strict=True)) + 0 * s.sum(),
            F.cross_entropy(s[None], y.softmax(0)[None])[None].sum(),
            -sum(s[k] - torch.logsumexp(s[best[i:]], 0) for i, k in enumerate(best)),
            1 - dcg(gain, soft) / ideal if ideal > 0 else 0 * s.sum(),
        ]
    )


@pytest.mark.parametrize("rng", configurations(fast=(0,)), ids=range(20))
def test_match_loops_over_lists_without_padding(rng):
    lists, items = int(rng.integers(1, 4)), int(rng.integers(2, 6))
    scores, relevance, mask = (
        rng.normal(size=(lists, items)),
        rng.integers(0, 4, (lists, items)),
        rng.random((lists, items)) < 0.8,
    )
    mask[:, 0] = True

    def ours(s):
        each = [loss(s, relevance, mask=mask) for loss in OURS]
        return jnp.stack([*each, losses.approximate_ndcg(s, relevance, mask=mask, temperature=TEMPERATURE)])

    def theirs(s):
        real = zip(s, torch.tensor(relevance).double(), torch.tensor(mask), strict=True)
        return torch.stack([of_list(s[m], y[m]) for s, y, m in real], -1)

    assert_exact(ours, theirs, scores)


def test_the_probabilities_of_listmle_add_up_over_all_orders():
    s, orders = np.array([0.3, -1.0, 2.0]), np.array(list(itertools.permutations(range(3))))
    found = in_float64(losses.listmle, np.broadcast_to(s, orders.shape), orders)
    assert math.isclose(np.exp(-found).sum(), 1, rel_tol=1e-12)


def test_margin_ranking_matches_torch():
    a, b = np.random.default_rng(0).normal(size=(2, 3, 4))
    theirs = lambda a, b: F.margin_ranking_loss(a, b, torch.ones(3, 4), margin=0.3, reduction="none")
    assert_exact(lambda a, b: losses.margin_ranking_loss(a, b, margin=0.3), theirs, a, b)


def test_approximate_ndcg_of_a_low_temperature_is_the_metric():
    rng = np.random.default_rng(0)
    scores, relevance = rng.normal(size=(4, 6)), rng.integers(0, 4, (4, 6))
    found = in_float64(lambda s: losses.approximate_ndcg(s, relevance, temperature=1e-6), scores)
    expected = [sklearn.metrics.ndcg_score([2.0**y - 1], [s]) for s, y in zip(scores, relevance, strict=True)]
    np.testing.assert_allclose(1 - found, expected, rtol=1e-9)
    for gain in (None, metrics.exponential_gain):
        found = in_float64(lambda s, g=gain: losses.approximate_ndcg(s, relevance, temperature=1e-6, gain=g), scores)
        metric = in_float64(lambda s, g=gain: metrics.ndcg(s, relevance.astype(np.float64), gain=g).value(), scores)
        np.testing.assert_allclose(1 - found.mean(), metric, rtol=1e-9)


def test_lambdarank_weighs_a_swap_by_the_gains_that_are_given():
    scores, relevance = jnp.zeros((1, 2)), jnp.array([[3, 0]])
    assert jnp.allclose(losses.lambdarank(scores, relevance), losses.lambdarank(scores, relevance, gain=None))
    scores, relevance = jnp.zeros((1, 3)), jnp.array([[3, 1, 0]])
    gains = jnp.array([[7.0, 1.0, 0.0]])
    np.testing.assert_allclose(
        losses.lambdarank(scores, relevance), losses.lambdarank(scores, gains, gain=None), rtol=1e-6
    )
    assert not jnp.allclose(losses.lambdarank(scores, relevance), losses.lambdarank(scores, relevance, gain=None))


def test_empty_lists_equal_items_and_huge_scores_are_finite():
    scores = jnp.array([[0.0, 0.0], [1.0, 1.0], [1e30, -1e30], [jnp.nan, 0.0]])
    relevance = jnp.array([[1, 0], [1, 1], [0, 2], [0, 1]])
    mask = jnp.array([[0, 0], [1, 1], [1, 1], [0, 1]])

    @jax.jit
    def values_and_gradients(s):
        each = lambda s: jnp.stack([loss(s, relevance, mask=mask) for loss in (*OURS, losses.approximate_ndcg)])
        return each(s), jax.grad(lambda s: each(s).sum())(s)

    values, gradients = values_and_gradients(scores)
    assert np.isfinite(values).all()
    assert np.isfinite(gradients).all()
    np.testing.assert_array_equal(values[:, 0], 0)
    np.testing.assert_array_equal(gradients[0], 0)


X = jnp.zeros((2, 3))


@pytest.mark.parametrize("loss", [*OURS, losses.approximate_ndcg], ids=lambda f: f.__name__)
def test_bad_shapes_are_one_clear_error(loss):
    with pytest.raises(ValueError, match=f"{loss.__name__}: expected equal shapes"):
        loss(X, X[0])
    with pytest.raises(ValueError, match=rf"{loss.__name__}: expected a mask \(2, 3\), found float32\[3\]"):
        loss(X, X, mask=X[0])


def test_bad_numbers_are_one_clear_error():
    with pytest.raises(ValueError, match=r"expected temperature > 0, found 0.0"):
        losses.approximate_ndcg(X, X, temperature=0.0)
    for loss in (losses.lambdarank, losses.approximate_ndcg):
        with pytest.raises(
            ValueError, match=f"{loss.__name__}: expected relevance >= 0, found values from -1.0 to -1.0"
        ):
            loss(X, X - 1)
    with pytest.raises(ValueError, match=r"expected margin >= 0, found -1.0"):
        losses.margin_ranking_loss(X, X, margin=-1.0)
