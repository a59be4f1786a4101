"""Robust regression losses and deviances against torch, scikit-learn, and with bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics
import torch
import torch.nn.functional as F

from jnn import losses
from tests.losses.exact import assert_exact, in_float64, leading
from tests.oracle import configurations


@pytest.mark.parametrize("rng", configurations(fast=(0, 1)), ids=range(20))
def test_match_torch_and_their_definitions(rng):
    shape, beta, epsilon, quantile = (*leading(rng), 3), *rng.uniform(0.1, 1, 3)
    x, y = rng.normal(scale=2, size=(2, *shape))

    def theirs(x, y):
        e = y - x
        each = [
            torch.log(torch.cosh(e)),
            F.smooth_l1_loss(x, y, beta=beta, reduction="none"),
            torch.sqrt(e**2 + epsilon**2),
            torch.maximum(quantile * e, (quantile - 1) * e),
            (e.abs() - epsilon).clamp(min=0),
        ]
        return torch.stack([*torch.stack(each).mean(-1), 1 - F.cosine_similarity(x, y, dim=-1)])

    def ours(x, y):
        each = [
            losses.log_cosh(x, y),
            losses.smooth_l1_loss(x, y, beta=beta),
            losses.charbonnier_loss(x, y, epsilon=epsilon),
            losses.quantile_loss(x, y, quantile=quantile),
            losses.epsilon_insensitive_loss(x, y, epsilon=epsilon),
            losses.cosine_distance(x, y),
        ]
        return jnp.stack(each)

    assert_exact(ours, theirs, x, y)


@pytest.mark.parametrize("rng", configurations(fast=(0,)), ids=range(20))
def test_match_scikit_learn(rng):
    n, power = int(rng.integers(1, 5)), float(rng.choice([1.2, 1.5, 2.5, 3.0]))
    mean, y = rng.uniform(0.1, 5, (2, n, 3))
    counts, quantiles = rng.integers(0, 3, (n, 3)), rng.uniform(size=3)
    with_zeros = counts if power < 2 else y

    def ours(mean, y, counts, with_zeros):
        each = [
            losses.poisson_deviance(mean, counts),
            losses.gamma_deviance(mean, y),
            losses.tweedie_deviance(mean, with_zeros, power=power),
            losses.squared_log_error(mean, y),
            losses.absolute_percentage_error(mean, counts),  # zeros among them
            losses.quantile_loss(mean, y, quantile=quantiles),
        ]
        return jnp.stack(each)

    def pinball(y, mean):
        return np.mean(
            [sklearn.metrics.mean_pinball_loss(y[i : i + 1], mean[i : i + 1], alpha=q) for i, q in enumerate(quantiles)]
        )

    rows = lambda f, y: [f(b, a) for a, b in zip(mean, y, strict=True)]
    expected = [
        rows(sklearn.metrics.mean_poisson_deviance, counts),
        rows(sklearn.metrics.mean_gamma_deviance, y),
        rows(lambda b, a: sklearn.metrics.mean_tweedie_deviance(b, a, power=power), with_zeros),
        rows(sklearn.metrics.mean_squared_log_error, y),
        rows(sklearn.metrics.mean_absolute_percentage_error, counts),
        rows(pinball, y),
    ]
    np.testing.assert_allclose(in_float64(ours, mean, y, counts, with_zeros), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("power", [1, 1.5, 2, 3])
def test_the_gradient_of_a_deviance_is_the_error_over_the_variance(power):
    mean, y = np.array([[0.5], [2.0], [7.0]]), np.array([[1.0], [2.0], [3.0]])
    found = in_float64(jax.grad(lambda m: losses.tweedie_deviance(m, y, power=power).sum()), mean)
    np.testing.assert_allclose(found, 2 * (mean - y) / mean**power, rtol=1e-9, atol=1e-12)


def test_log_cosh_of_small_errors_has_all_digits():
    error = np.array([1e-6, 1e-3, 0.1, 0.99, 1.01], np.float32)[:, None]
    found = losses.log_cosh(jnp.asarray(error), jnp.zeros((5, 1)))
    np.testing.assert_allclose(found, np.log1p(2 * np.sinh(error[:, 0].astype(np.float64) / 2) ** 2), rtol=1e-5)


def test_cosine_distance_of_zero_huge_and_tiny_vectors():
    x = jnp.array([[0.0, 0.0], [3e30, 4e30], [3e-30, 4e-30]])

    @jax.jit
    def value_and_gradient(x):
        values, back = jax.vjp(lambda x: losses.cosine_distance(x, x + 0), x)
        return values, back(jnp.ones(3))[0]

    values, gradient = value_and_gradient(x)
    np.testing.assert_allclose(values, [1.0, 0.0, 0.0], atol=1e-6)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize(
    ("loss", "x", "y", "message"),
    [
        (losses.poisson_deviance, 0.0, 1.0, "poisson_deviance: expected predictions > 0, found values from 0.0"),
        (losses.poisson_deviance, 1.0, -1.0, "poisson_deviance: expected targets >= 0"),
        (losses.gamma_deviance, 1.0, 0.0, "gamma_deviance: expected targets > 0"),
        (losses.squared_log_error, -1.0, 0.0, "squared_log_error: expected predictions above -1"),
        (losses.squared_log_error, 0.0, -1.0, "squared_log_error: expected targets above -1"),
        (lambda x, y: losses.quantile_loss(x, x, quantile=y), 0.0, 1.5, r"expected quantile in \[0, 1\]"),
    ],
)
def test_values_out_of_range_raise_or_give_nan(loss, x, y, message):
    x, y = jnp.full((1, 1), x), jnp.full((1, 1), y)
    y = y[0] if "quantile" in message else y
    with pytest.raises(ValueError, match=message):
        loss(x, y)
    assert jnp.isnan(jax.jit(loss)(x, y)).all()


X = jnp.ones((2, 3))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: losses.log_cosh(X, X[0]), ValueError, "log_cosh: expected equal shapes"),
        (lambda: losses.smooth_l1_loss(X, X, beta=0.0), ValueError, "smooth_l1_loss: expected beta > 0, found 0.0"),
        (lambda: losses.charbonnier_loss(X, X, epsilon=0.0), ValueError, "charbonnier_loss: expected epsilon > 0"),
        (lambda: losses.epsilon_insensitive_loss(X, X, epsilon=-1.0), ValueError, "expected epsilon >= 0"),
        (
            lambda: losses.quantile_loss(X, X, quantile=X[0, :2]),
            ValueError,
            r"one for each of 3 outputs, found float32\[2\]",
        ),
        (lambda: losses.cosine_distance(X > 0, X), TypeError, "expected floating-point input, found bool"),
        (lambda: losses.tweedie_deviance(X, X, power=0.5), ValueError, "expected power >= 1, found 0.5"),
        (lambda: losses.absolute_percentage_error(X, X[0]), ValueError, "percentage_error: expected equal shapes"),
        (lambda: losses.gamma_deviance(X, X[0]), ValueError, "gamma_deviance: expected equal shapes"),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
