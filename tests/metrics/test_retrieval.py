"""Rankings of items against scikit-learn and plain loops over queries."""

import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics as sk

from jnn import metrics as M
from tests.metrics.examples import host, ranked
from tests.oracle import configurations

rngs = pytest.mark.parametrize("rng", configurations(fast=[0, 1]), ids=range(20))


@rngs
def test_ndcg_and_average_precision_are_scikit_learns(rng):
    scores, relevance, weight = ranked(rng)
    kept = weight * (relevance > 0).any(-1)
    for k in (1, 3, None):
        theirs = sk.ndcg_score(relevance, scores, k=k, sample_weight=kept, ignore_ties=True)
        ours = host(lambda x, y, w, k=k: M.ndcg(x, y, w, k=k), scores, relevance, weight)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    theirs = sk.ndcg_score(2.0**relevance - 1, scores, sample_weight=kept, ignore_ties=True)
    ours = host(lambda x, y, w: M.ndcg(x, y, w, gain=M.exponential_gain), scores, relevance, weight)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    theirs = sk.label_ranking_average_precision_score(relevance > 0, scores, sample_weight=kept)
    np.testing.assert_allclose(host(M.retrieval_average_precision, scores, relevance, weight), theirs, rtol=1e-5)


@rngs
def test_what_is_found_among_the_first_k(rng):
    scores, relevance, weight = ranked(rng)
    there = rng.uniform(size=scores.shape) < 0.8
    sums = {"precision": [], "recall": [], "hit": [], "rr": [], "r": [], "weight": []}
    out, kept = [], []
    for s, r, w, m in zip(scores, relevance, weight, there, strict=True):
        items = sorted(((-x, y > 0) for x, y, here in zip(s, r, m, strict=True) if here), key=lambda item: item[0])
        found = [y for _, y in items]
        if not all(found):
            out.append(found[:2].count(False) / found.count(False))
            kept.append(w)
        if any(found):
            sums["weight"].append(w)
            sums["precision"].append(sum(found[:2]) / 2)
            sums["recall"].append(sum(found[:2]) / sum(found))
            sums["r"].append(sum(found[: sum(found)]) / sum(found))
            sums["hit"].append(any(found[:2]))
            sums["rr"].append(1 / (found.index(True) + 1))
    theirs = {name: np.average(values, weights=sums["weight"]) for name, values in sums.items()}
    theirs["fall-out"] = np.average(out, weights=kept)
    arrays = tuple(map(jnp.asarray, (scores, relevance)))
    options = {"weight": jnp.asarray(weight), "mask": jnp.asarray(there)}
    ours = {
        "precision": M.precision_at_k(*arrays, 2, **options),
        "recall": M.recall_at_k(*arrays, 2, **options),
        "hit": M.hit_rate(*arrays, 2, **options),
        "rr": M.mean_reciprocal_rank(*arrays, **options),
        "r": M.r_precision(*arrays, **options),
        "fall-out": M.fall_out_at_k(*arrays, 2, **options),
    }
    for name, metric in ours.items():
        np.testing.assert_allclose(M.merge(metric).value(), theirs[name], rtol=1e-5, err_msg=name)


def test_equal_scores_keep_their_order_and_masked_items_are_not_there():
    scores, relevance = jnp.array([[1.0, 1.0, -jnp.inf]]), jnp.array([[0, 1, 1]])
    assert M.mean_reciprocal_rank(scores, relevance).value() == 0.5
    assert M.mean_reciprocal_rank(scores, relevance, k=1).value() == 0
    mask = jnp.array([[False, False, True]])
    assert M.precision_at_k(scores.at[0, 0].set(jnp.nan), relevance, 1, mask=mask).value() == 1
    assert np.isnan(M.hit_rate(scores, 0 * relevance, 1).value())


def test_fall_out_counts_queries_without_a_relevant_item_and_leaves_out_those_of_relevant_ones_alone():
    scores = jnp.array([[3.0, 2.0, 1.0]])
    assert M.fall_out_at_k(scores, jnp.array([[0, 0, 0]]), 1).value() == np.float32(1 / 3)
    assert np.isnan(M.fall_out_at_k(scores, jnp.array([[1, 1, 1]]), 1).value())


@pytest.mark.slow
@pytest.mark.parametrize("rng", configurations(), ids=range(20))
def test_retrieval_is_torchmetrics(rng):
    theirs, torch = pytest.importorskip("torchmetrics.functional.retrieval"), pytest.importorskip("torch")
    scores, relevance, _ = ranked(rng)
    for s, r in zip(scores, relevance, strict=True):
        if not 0 < np.sum(r > 0) < len(r):
            continue
        ours, pair = (jnp.asarray(s), jnp.asarray(r)), (torch.tensor(s), torch.tensor(r > 0))
        np.testing.assert_allclose(M.r_precision(*ours).value(), theirs.retrieval_r_precision(*pair), rtol=1e-6)
        np.testing.assert_allclose(M.fall_out_at_k(*ours, 2).value(), theirs.retrieval_fall_out(*pair, 2), rtol=1e-6)
