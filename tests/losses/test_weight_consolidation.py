"""Elastic weight consolidation and the diagonal Fisher information, against torch and a known distribution."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jnn
from jnn.losses import diagonal_fisher, ewc_penalty
from jnn.models import mlp, mlp_spec
from tests.oracle import assert_matches_torch, configurations

POINT = {"w": jnp.ones(2)}


@pytest.mark.parametrize("rng", configurations(fast=(0, 1, 2)), ids=range(20))
def test_the_penalty_is_torchs_quadratic(rng):
    shapes = [tuple(int(n) for n in rng.integers(1, 5, axes)) for axes in (1, 2, 3)]
    w, learned, fisher = ([rng.normal(size=shape).astype(np.float32) for shape in shapes] for _ in range(3))
    tree = lambda leaves: dict(zip("abc", leaves, strict=True))
    split = lambda leaves: (leaves[:3], leaves[3:6], [abs(leaf) for leaf in leaves[6:]])
    assert_matches_torch(
        lambda *leaves: ewc_penalty(*map(tree, split(leaves))),
        lambda *leaves: sum((f * (a - b) ** 2).sum() / 2 for a, b, f in zip(*split(leaves), strict=True)),
        [*w, *learned, *fisher],
    )


@pytest.mark.parametrize("rng", configurations(fast=(0, 1, 2)), ids=range(20))
def test_the_information_is_torchs_example_by_example(rng):
    """The mean over examples of the sum over labels of p times the squared gradient of log p."""
    n, d, classes = (int(i) for i in rng.integers(2, 6, 3))
    x, w, b = (rng.normal(size=shape).astype(np.float32) for shape in ((n, d), (d, classes), (classes,)))
    found = diagonal_fisher(jnn.layers.linear, {"w": jnp.asarray(w), "b": jnp.asarray(b)}, jnp.asarray(x), key=None)
    expected = [np.zeros_like(w), np.zeros_like(b)]
    for row in x:
        for label in range(classes):
            leaves = [torch.tensor(leaf, requires_grad=True) for leaf in (w, b)]
            log_p = torch.log_softmax(torch.tensor(row) @ leaves[0] + leaves[1], 0)
            slopes = torch.autograd.grad(log_p[label], leaves, retain_graph=True)
            squares = [(log_p[label].exp() * slope**2).detach().numpy() for slope in slopes]
            expected = [total + square / n for total, square in zip(expected, squares, strict=True)]
    for name, total in zip("wb", expected, strict=True):
        np.testing.assert_allclose(found[name], total, rtol=1e-4, atol=1e-6)


def test_labels_that_are_drawn_give_the_same_on_average():
    params = jnn.init(mlp_spec((2, 3, 3)), jax.random.key(0))
    logits = lambda p, x: mlp(p, x, key=None)
    x = jax.random.normal(jax.random.key(1), (1, 2))
    whole = diagonal_fisher(logits, params, x, key=None)
    drawn = diagonal_fisher(logits, params, x.repeat(4000, 0), key=jax.random.key(2))
    for exact, mean in zip(jax.tree.leaves(whole), jax.tree.leaves(drawn), strict=True):
        np.testing.assert_allclose(mean, exact, rtol=0.15, atol=1e-3 * float(jnp.max(exact)) + 1e-6)


def test_it_is_the_curvature_of_what_a_model_expects_of_itself():
    """The diagonal of the Hessian of KL(p at the point || p), which it is by definition."""
    params, x = {"w": jnp.array([[0.3, -0.2, 0.5], [0.1, 0.7, -0.4]])}, jnp.array([[1.0, 2.0], [-0.5, 0.3]])
    logits = lambda p, x: x @ p["w"]
    there = jax.nn.softmax(logits(params, x))
    cost = lambda flat: -jnp.mean(jnp.sum(there * jax.nn.log_softmax(logits({"w": flat.reshape(2, 3)}, x)), -1))
    curvature = jnp.diag(jax.hessian(cost)(params["w"].ravel()))
    np.testing.assert_allclose(diagonal_fisher(logits, params, x, key=None)["w"].ravel(), curvature, rtol=1e-5)


def test_half_precision_is_summed_in_float32():
    params = {"w": jnp.zeros((1, 2), jnp.bfloat16)}
    fisher = diagonal_fisher(lambda p, x: x @ p["w"], params, jnp.full((300, 1), 2.0, jnp.bfloat16), key=None)
    assert fisher["w"].dtype == jnp.float32
    np.testing.assert_array_equal(fisher["w"], 1)
    ones = {"w": jnp.ones(4096, jnp.bfloat16)}
    assert ewc_penalty(ones, {"w": jnp.zeros(4096, jnp.bfloat16)}, ones) == 2048


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ewc_penalty(POINT, {"b": jnp.ones(2)}, POINT), ValueError, r"ewc_penalty: expected params, learned"),
        (lambda: ewc_penalty(POINT, {"w": jnp.ones(1)}, POINT), ValueError, r"ewc_penalty: expected equal shapes"),
        (lambda: ewc_penalty({"w": 1.0}, {"w": 1.0}, {"w": 1.0}), TypeError, r"ewc_penalty: .*w"),
        (
            lambda: diagonal_fisher(lambda p, x: x[:, 0], POINT, jnp.ones((3, 2)), key=None),
            ValueError,
            r"expected logits \(n, classes\) of n=3 examples, found \(3,\)",
        ),
        (
            lambda: diagonal_fisher(lambda p, x: x, POINT, jnp.ones((0, 2)), key=None),
            ValueError,
            r"diagonal_fisher: expected at least one example",
        ),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
