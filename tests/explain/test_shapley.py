"""Shapley values by their definition, over all orders; their axioms; and by least squares."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn.explain import kernel_shap, shapley_values
from tests.explain.networks import mlp, mlp_stages, scored

KEY = jax.random.key(0)


def by_orders(f, x, baseline, groups):
    """What each group adds when it comes, averaged over all orders of coming."""
    d = groups.max() + 1
    total = np.zeros(d)
    for order in itertools.permutations(range(d)):
        here = np.array(baseline)
        for group in order:
            before = f(here)
            here = np.where(groups == group, x, here)
            total[group] += f(here) - before
    return total / np.prod(np.arange(1, d + 1))


def game(seed, d=6):
    rng = np.random.default_rng(seed)
    ps, x = mlp(rng, d)
    return scored(mlp_stages(ps), 1), jnp.asarray(x), jnp.asarray(rng.normal(size=d))


def test_values_by_their_definition():
    with jax.enable_x64(True):
        f, x, baseline = game(0)
        groups = np.array([0, 1, 1, 2, 0, 3])
        expected = by_orders(jax.jit(f), x, baseline, groups)
        np.testing.assert_allclose(shapley_values(f, x, baseline, groups=groups), expected, rtol=1e-9)
        np.testing.assert_allclose(kernel_shap(f, x, baseline, groups=groups, key=KEY), expected, rtol=1e-6)


def test_axioms():
    with jax.enable_x64(True):
        f, x, baseline = game(1, 5)
        g = lambda x: f(x.at[0].set(x[1] * x[0]).at[3].set(0.0))
        symmetric = lambda x: jnp.tanh(x[0] + x[1]) * x[2]
        values = lambda f: shapley_values(f, x, baseline)
        np.testing.assert_allclose(values(f).sum(), f(x) - f(baseline), rtol=1e-9)
        np.testing.assert_allclose(values(lambda x: 2 * f(x) - g(x)), 2 * values(f) - values(g), atol=1e-9)
        np.testing.assert_allclose(values(g)[3], 0, atol=1e-12)
        same, none = x.at[1].set(x[0]), baseline.at[1].set(baseline[0])
        first, second = shapley_values(symmetric, same, none)[:2]
        np.testing.assert_allclose(first, second, rtol=1e-9)


def test_drawn_coalitions():
    """Complete however few, exact of what is additive, and nearer the more there are."""
    with jax.enable_x64(True):
        f, x, baseline = game(2, 10)
        exact = shapley_values(f, x, baseline)
        few, many = (kernel_shap(f, x, baseline, key=KEY, samples=n) for n in (16, 800))
        for found in (few, many):
            np.testing.assert_allclose(found.sum(), f(x) - f(baseline), rtol=1e-9)
        error = lambda found: np.abs(found - exact).max()
        assert error(many) < 0.1 * np.abs(exact).max() < error(few)
        additive = lambda x: jnp.sin(x).sum()
        found = kernel_shap(additive, x, baseline, key=KEY, samples=60)
        np.testing.assert_allclose(found, jnp.sin(x) - jnp.sin(baseline), atol=1e-9)


def test_parts_of_an_image():
    """Groups of the first axes hold all channels; without groups the values have x's shape."""
    x = jnp.arange(1.0, 13.0).reshape(2, 2, 3)
    groups = np.array([[0, 0], [1, 2]])
    np.testing.assert_allclose(shapley_values(jnp.sum, x, groups=groups), [21, 24, 33], rtol=1e-6)
    np.testing.assert_allclose(kernel_shap(jnp.sum, x, key=KEY, samples=100), x, rtol=1e-4)
    np.testing.assert_allclose(shapley_values(jnp.sum, x, batch_size=1000), x, rtol=1e-4)
    np.testing.assert_allclose(kernel_shap(jnp.sum, x, groups=np.zeros((2, 2), int), key=KEY), [78], rtol=1e-6)


def test_what_makes_no_sense_is_one_clear_error():
    with pytest.raises(ValueError, match="shapley_values: expected at most 16 features, found 17"):
        shapley_values(jnp.sum, jnp.ones(17))
    for groups in (np.array([0, 2, 2]), np.array([0, 1]), np.array([1, 2, 3])):
        with pytest.raises(ValueError, match=r"kernel_shap: expected groups 0..d-1 in the shape of x float32\[3\]"):
            kernel_shap(jnp.sum, jnp.ones(3), groups=groups, key=KEY)
    with pytest.raises(ValueError, match="kernel_shap: expected samples of 1 or more"):
        kernel_shap(jnp.sum, jnp.ones(3), key=KEY, samples=0)
