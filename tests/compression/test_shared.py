"""Shared values: scikit-learn's k-means, gradients of centroids; and what is stored, counted against its own coding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.cluster import KMeans

from jnn.compression import huffman_bits, magnitude_scores, masked, prune, share_weights, storage, with_shared
from jnn.compression._storage import GAP, _gaps
from jnn.layers import linear, linear_spec
from tests.oracle import configurations

SPEC = linear_spec(4, 3)
P = {"w": jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)), jnp.float32), "b": jnp.ones(3)}


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_clusters_are_those_of_scikit_learn(rng):
    bits, shape = int(rng.integers(1, 4)), (int(rng.integers(9, 20)), 10)
    w, mask = rng.normal(size=shape), rng.random(shape) < 0.7
    with jax.enable_x64(True):
        codes, centroids = share_weights(
            {"w": jnp.asarray(w)}, linear_spec(*shape), bits=bits, masks={"w": mask}, steps=300
        )
        codes, centroids = np.asarray(codes["w"]), np.asarray(centroids["w"])
    kept = w[mask]
    begin = np.linspace(min(kept.min(), 0), max(kept.max(), 0), 2**bits)[:, None]
    theirs = KMeans(2**bits, init=begin, n_init=1, tol=0, max_iter=300, algorithm="lloyd").fit(kept[:, None])
    np.testing.assert_allclose(centroids, np.sort(theirs.cluster_centers_.ravel()), rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(codes, np.abs(w[..., None] - centroids).argmin(-1))
    for i in range(2**bits):
        np.testing.assert_allclose(centroids[i], w[mask & (codes == i)].mean(), rtol=1e-9, atol=1e-9)


def test_a_centroids_gradient_is_the_sum_of_its_weights_and_what_is_pruned_stays_zero():
    masks = prune(magnitude_scores(P, SPEC), 0.5)
    codes, centroids = share_weights(P, SPEC, bits=2, masks=masks)
    of = lambda p: jnp.sin(linear(p, jnp.ones((2, 4)))).sum()
    own = lambda centroids: masked(with_shared(P, codes, centroids), masks)
    got, each = jax.grad(lambda c: of(own(c)))(centroids)["w"], jax.grad(of)(own(centroids))["w"]
    for i in range(4):
        np.testing.assert_allclose(got[i], np.asarray(each)[(codes["w"] == i) & masks["w"]].sum(), rtol=1e-5, atol=1e-6)
    assert (own(centroids)["w"][~masks["w"]] == 0).all()
    assert codes["w"].dtype == jnp.uint8
    assert own(centroids)["b"] is P["b"]


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_clusters_are_of_any_scale(scale):
    w = scale * jnp.array([[1.0, 1.1, 1.12, 2.0]])
    _, centroids = share_weights({"w": w}, linear_spec(1, 4, bias=False), bits=1)
    np.testing.assert_allclose(centroids["w"], scale * np.array([3.22 / 3, 2.0]), rtol=1e-6)


def test_as_many_centroids_as_values_lose_nothing():
    p = {"w": jnp.array([[0.0, 1.0, 2.0, 3.0]]), "b": jnp.zeros(4)}
    np.testing.assert_array_equal(with_shared(p, *share_weights(p, linear_spec(1, 4), bits=2))["w"], p["w"])
    same = {"w": jnp.full((2, 2), 0.7)}
    np.testing.assert_array_equal(with_shared(same, *share_weights(same, linear_spec(2, 2), bits=3))["w"], same["w"])


@pytest.mark.parametrize("rng", configurations(), ids=range(20))
def test_huffmans_code_is_within_a_bit_of_the_entropy(rng):
    counts = rng.integers(1, 1000, rng.integers(2, 40))
    n, share = counts.sum(), counts / counts.sum()
    entropy = -n * (share * np.log2(share)).sum()
    assert entropy <= huffman_bits(counts.tolist()) + 1e-6 <= entropy + n
    assert huffman_bits([7]) == 7
    assert huffman_bits([2**i for i in range(4)]) == 8 + 2 * 4 + 3 * 2 + 3 * 1


def test_gaps_say_where_weights_are():
    there = np.array([0, 3, 3 + GAP, 1000, 3000])
    gaps = _gaps(there)
    assert gaps.sum() - 1 == 3000
    assert gaps.max() <= GAP
    assert gaps.min() >= 1
    assert len(gaps) - len(there) == (997 - GAP - 1) // GAP + 1999 // GAP


def test_stored_bytes_add_up():
    p = {"w": np.zeros((100, 10), np.float32), "b": np.zeros(10, np.float16)}
    assert storage(p) == (4020, 0, 0)
    assert storage({}).total == 0
    rng = np.random.default_rng(0)
    mask, codes = rng.random((100, 10)) < 0.1, rng.integers(0, 4, (100, 10))
    pruned = storage(p, masks={"w": mask})
    assert pruned.values == 20 + 4 * mask.sum()
    assert 0.1 * mask.sum() < pruned.places < mask.sum()
    shared = storage(p, codes={"w": codes})
    assert shared.values == 20 + huffman_bits(np.bincount(codes.ravel()).tolist()) / 8
    assert shared.tables == 4 * 4 + 4
    both = storage(p, masks={"w": mask}, codes={"w": codes})
    assert both.places == pruned.places
    assert both.values == 20 + huffman_bits(np.bincount(codes[mask]).tolist()) / 8
    assert both.total == sum(both) < min(pruned.total, shared.total)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: share_weights(P, SPEC, bits=9), "bits from 1 to 8, found 9"),
        (lambda: share_weights(P, SPEC, where="conv*"), "no weight fits"),
        (lambda: with_shared(P, {"v": jnp.zeros(3, jnp.uint8)}, {}), r"p has no weight \(3,\) at 'v'"),
        (
            lambda: with_shared(P, {"w": jnp.zeros((4, 3), jnp.uint8)}, {}),
            r"codes are of \['w'\], and centroids of \[\]",
        ),
        (
            lambda: storage(P, masks={"v": P["w"]}),
            "storage: found a mask .* for 'v', which is nothing there; p has b, w",
        ),
        (lambda: storage(P, codes={"v": jnp.zeros(3, jnp.uint8)}), r"storage: p has no weight \(3,\) at 'v'"),
        (lambda: share_weights(P, SPEC, masks={"v": P["w"]}), "share_weights: found a mask .* for 'v'"),
        (lambda: share_weights(P, SPEC, steps=0), "steps of 1 or more"),
        (
            lambda: with_shared(P, {"w": jnp.full(P["w"].shape, 2)}, {"w": jnp.zeros(2)}),
            r"codes of w in 0\.\.1 \(2 centroids\), found 2\.\.2",
        ),
        (lambda: huffman_bits([0.5, 0.5]), "huffman_bits: expected counts of 0 or more, found 0.5"),
    ],
)
def test_errors(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: share_weights(P, SPEC, masks=0.5), "share_weights: expected masks, arrays .* found float"),
        (lambda: with_shared(P, P, P), "with_shared: expected codes, arrays of integers, found float32"),
        (lambda: storage(P, masks=0.0), "storage: expected masks"),
        (lambda: storage(P, codes=0.5), r"storage: expected codes, arrays of integers, found float\. share_weights"),
    ],
)
def test_what_is_of_another_kind(call, words):
    with pytest.raises(TypeError, match=words):
        call()
