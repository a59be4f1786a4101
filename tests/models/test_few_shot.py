"""Prototypes and siamese heads against scikit-learn and torch; rows of weight 0."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.neighbors import NearestCentroid

from jnn.losses import cross_entropy
from jnn.models import matching_logits, prototypes, prototypical_logits, siamese, siamese_spec
from jnn.parity import check
from tests.oracle import assert_matches_torch

RNG = np.random.default_rng(0)


def test_prototypes_are_scikit_learns_centroids():
    support, labels = RNG.normal(size=(30, 4)).astype(np.float32), np.arange(30) % 3
    queries = RNG.normal(size=(20, 4)).astype(np.float32)
    theirs = NearestCentroid().fit(support, labels)
    ours = prototypes(jnp.asarray(support), jnp.asarray(labels), 3)
    np.testing.assert_allclose(ours, theirs.centroids_, atol=1e-6)
    nearest = np.argmax(prototypical_logits(jnp.asarray(queries), ours), 1)
    np.testing.assert_array_equal(nearest, theirs.predict(queries))


def test_their_cross_entropy_is_that_of_distances_in_torch():
    loss = lambda x, c, y: cross_entropy(prototypical_logits(x, c), y)
    torchs = lambda x, c, y: F.cross_entropy(-(torch.cdist(x, c) ** 2), y.long(), reduction="none")
    x, centres = (RNG.normal(size=(n, 3)).astype(np.float32) for n in (8, 4))
    assert_matches_torch(loss, torchs, [x, centres, RNG.integers(0, 4, 8)])


@pytest.mark.slow
def test_logits_match_torch():
    x, centres = (RNG.normal(size=(2, n, 5)).astype(np.float32) for n in (4, 3))
    assert_matches_torch(prototypical_logits, lambda x, c: -torch.cdist(x, c).square(), [x, centres])


@pytest.mark.parametrize("seed", [0, 1, 2, *(pytest.param(i, marks=pytest.mark.slow) for i in range(3, 20))])
def test_matching_logits_are_the_logarithm_of_attention_in_torch(seed):
    rng = np.random.default_rng(seed)
    n, m, d, classes = rng.integers(1, 6, 4)
    x, support = (rng.normal(size=(rows, d)).astype(np.float32) for rows in (n, m + classes))
    labels = np.concatenate([np.arange(classes), rng.integers(0, classes, m)])
    scale = float(rng.uniform(0.5, 10))

    def torchs(x, support):
        attention = (scale * F.cosine_similarity(x[:, None], support[None], dim=-1)).softmax(-1)
        return (attention @ F.one_hot(torch.as_tensor(labels), int(classes)).to(attention)).log()

    ours = lambda x, support: matching_logits(x, support, jnp.asarray(labels), int(classes), scale=scale)
    assert_matches_torch(ours, torchs, [x, support])


def test_a_class_without_examples_is_never_found_and_moves_no_gradient():
    loss = lambda x: cross_entropy(matching_logits(x, jnp.eye(2), jnp.array([0, 2]), 3), jnp.array([2]))[0]
    value, gradient = jax.value_and_grad(loss)(jnp.array([[1.0, 2.0]]))
    assert matching_logits(jnp.ones((1, 2)), jnp.eye(2), jnp.array([0, 2]), 3)[0, 1] == -jnp.inf
    assert jnp.isfinite(value)
    assert jnp.isfinite(gradient).all()


def test_a_row_of_weight_0_and_a_class_without_rows_are_not_there():
    support, labels = jnp.array([[1.0], [3.0], [jnp.nan]]), jnp.array([0, 0, 0])
    assert prototypes(support, labels, 2, weight=jnp.array([1.0, 3.0, 0.0])).tolist() == [[2.5], [0.0]]


class TorchSiamese(torch.nn.Linear):
    def forward(self, a, b):
        return super().forward((a - b).abs())[..., 0]


@pytest.mark.slow
def test_siamese_matches_torch():
    a, b = (RNG.normal(size=(3, 4)).astype(np.float32) for _ in range(2))
    check(siamese, siamese_spec(4), TorchSiamese(4, 1), (a, b))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: prototypes(jnp.ones((3, 2)), jnp.zeros(2, int), 2), r"prototypes: expected labels and weight \(3,\)"),
        (lambda: prototypes(jnp.ones((1, 2)), jnp.array([2]), 2), r"prototypes: expected labels in 0..1"),
        (lambda: prototypical_logits(jnp.ones((3, 2)), jnp.ones((2, 4))), r"prototypical_logits: .*input \[...,4\]"),
        (lambda: matching_logits(jnp.ones((1, 2)), jnp.ones((2, 2)), jnp.zeros(1, int), 2), r"expected labels \(2,\)"),
        (lambda: matching_logits(jnp.ones((1, 2)), jnp.ones((2, 3)), jnp.zeros(2, int), 2), r"matching_logits: "),
        (lambda: siamese({}, jnp.ones(2), jnp.ones(3)), r"siamese: expected equal shapes"),
    ],
)
def test_bad_input_is_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()
