"""Likelihoods, CRPS and divergences against torch's distributions, SciPy, brute force, and with bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
import torch
import torch.distributions as D

from jnn import losses
from jnn.losses._counts import log_rising
from tests.losses.exact import assert_exact, in_float64, leading
from tests.oracle import configurations


@pytest.mark.parametrize("rng", configurations(fast=(0,)), ids=range(20))
def test_densities_match_torch(rng):
    shape, degrees = (*leading(rng), 3), float(rng.uniform(0.5, 30))
    mean, log_scale, y, other, log_other = rng.normal(size=(5, *shape))

    def theirs(mean, log_scale, y, other, log_other):
        scale, normal = log_scale.exp(), D.Normal(mean, log_scale.exp())
        each = [
            -normal.log_prob(y),
            -D.Laplace(mean, scale).log_prob(y),
            -D.StudentT(degrees, mean, scale).log_prob(y),
            D.kl_divergence(normal, D.Normal(other, log_other.exp())),
            D.kl_divergence(normal, D.Normal(0.0, 1.0)),
            D.kl_divergence(D.Categorical(logits=mean), D.Categorical(logits=y))[..., None] / 3 + 0 * y,
        ]
        return torch.stack(each).sum(-1)

    def ours(mean, log_scale, y, other, log_other):
        each = [
            losses.gaussian_nll(mean, log_scale, y),
            losses.laplace_nll(mean, log_scale, y),
            losses.student_t_nll(mean, log_scale, y, degrees=degrees),
            losses.gaussian_kl(mean, log_scale, other, log_other),
            losses.standard_gaussian_kl(mean, log_scale),
            losses.categorical_kl(mean, y),
        ]
        return jnp.stack(each)

    assert_exact(ours, theirs, mean, log_scale, y, other, log_other)


@pytest.mark.parametrize("rng", configurations(fast=(0, 1)), ids=range(20))
def test_counts_match_torch_and_scipy(rng):
    shape = (*leading(rng), 3)
    log_mean, log_count = rng.normal(scale=2, size=(2, *shape))
    y = rng.integers(0, 30, shape)

    def theirs(m, r, y):
        y = y.double()  # of integers torch's lgamma is of float32
        p = -D.Poisson(m.exp()).log_prob(y), -D.NegativeBinomial(r.exp(), logits=m - r).log_prob(y)
        return torch.stack(p).sum(-1)

    ours = lambda m, r, y: jnp.stack([losses.poisson_nll(m, y), losses.negative_binomial_nll(m, r, y)])
    assert_exact(ours, theirs, log_mean, log_count, y, tolerance=1e-8)
    mean, count = np.exp(log_mean), np.exp(log_count)
    expected = [scipy.stats.poisson.logpmf(y, mean), scipy.stats.nbinom.logpmf(y, count, count / (count + mean))]
    np.testing.assert_allclose(in_float64(ours, log_mean, log_count, y), -np.sum(expected, -1), rtol=1e-8)


@pytest.mark.parametrize("rng", configurations(fast=(0,)), ids=range(20))
def test_mixtures_match_torch(rng):
    shape, k, d = leading(rng), *(int(n) for n in rng.integers(1, 4, 2))
    logits, mean, log_scale = rng.normal(size=(*shape, k)), *rng.normal(size=(2, *shape, k, d))

    def theirs(logits, mean, log_scale, y):
        parts = D.Independent(D.Normal(mean, log_scale.exp()), 1)
        return -D.MixtureSameFamily(D.Categorical(logits=logits), parts).log_prob(y)

    assert_exact(losses.gaussian_mixture_nll, theirs, logits, mean, log_scale, rng.normal(size=(*shape, d)))


def test_log_rising_has_all_digits_in_float32():
    x, n = (a.ravel() for a in np.meshgrid([1e-3, 0.5, 3, 9.9, 10.1, 1e3, 1e6], [0, 0.5, 1, 7, 1e4]))
    exact = scipy.special.gammaln(x + n) - scipy.special.gammaln(x) - n * np.log(x)
    np.testing.assert_allclose(in_float64(log_rising, np.log(x), n), exact, rtol=1e-8, atol=1e-8)
    found = log_rising(jnp.log(jnp.asarray(x, jnp.float32)), jnp.asarray(n, jnp.float32))
    np.testing.assert_allclose(found, exact, rtol=2e-5, atol=2e-5)


def test_gaussian_crps_is_the_integral_of_its_definition():
    rng = np.random.default_rng(0)
    mean, log_scale, y = rng.normal(size=(3, 6, 1))
    found = in_float64(losses.gaussian_crps, mean, log_scale, y)
    for m, s, t, ours in zip(mean[:, 0], np.exp(log_scale[:, 0]), y[:, 0], found, strict=True):
        below = scipy.integrate.quad(lambda x: scipy.stats.norm.cdf(x, m, s) ** 2, -40, t, epsabs=1e-11)[0]  # noqa: B023
        above = scipy.integrate.quad(lambda x: scipy.stats.norm.sf(x, m, s) ** 2, t, 40, epsabs=1e-11)[0]  # noqa: B023
        np.testing.assert_allclose(ours, below + above, rtol=1e-7)


def test_the_gradient_of_gaussian_crps_is_that_of_an_expectation():
    """In the mean, 1 - 2 Phi(z); in the scale, twice the density minus 1 / sqrt(pi)."""
    mean, log_scale, y = np.random.default_rng(1).normal(size=(3, 5, 1))
    dm, ds = in_float64(
        lambda *a: jnp.stack(jax.grad(lambda *a: losses.gaussian_crps(*a).sum(), argnums=(0, 1))(*a)),
        mean,
        log_scale,
        y,
    )
    z, scale = (y - mean) / np.exp(log_scale), np.exp(log_scale)
    np.testing.assert_allclose(dm, 1 - 2 * scipy.stats.norm.cdf(z), rtol=1e-9)
    np.testing.assert_allclose(ds, scale * (2 * scipy.stats.norm.pdf(z) - 1 / np.sqrt(np.pi)), rtol=1e-9)


@pytest.mark.parametrize("rng", configurations(fast=(0,)), ids=range(20))
def test_ensemble_crps_matches_all_pairs(rng):
    shape, n, d = leading(rng), int(rng.integers(2, 6)), int(rng.integers(1, 4))

    def theirs(x, y):
        error = (x - y[..., None, :]).abs().mean(-2)
        pairs = (x[..., :, None, :] - x[..., None, :, :]).abs().sum((-3, -2)) / 2
        return torch.stack([(error - pairs / n**2).mean(-1), (error - pairs / (n * (n - 1))).mean(-1)])

    ours = lambda x, y: jnp.stack([losses.ensemble_crps(x, y, fair=fair) for fair in (False, True)])
    assert_exact(ours, theirs, rng.normal(size=(*shape, n, d)), rng.normal(size=(*shape, d)))


def test_evidence_lower_bounds():
    log_w = np.random.default_rng(0).normal(size=(3, 4))
    found = in_float64(losses.importance_weighted_elbo_loss, log_w)
    np.testing.assert_allclose(found, -np.log(np.exp(log_w).mean(-1)), rtol=1e-12)
    nll, kl = jnp.array([1.0, 2.0]), jnp.array([0.5, 0.25])
    single = losses.importance_weighted_elbo_loss(-(nll + kl)[:, None])
    np.testing.assert_allclose(losses.negative_elbo(nll, kl), single, rtol=1e-6)


def test_a_class_that_is_ruled_out_costs_nothing():
    p, q = jnp.array([[0.0, 1.0, -jnp.inf]]), jnp.array([[0.5, 0.0, -jnp.inf]])
    np.testing.assert_allclose(losses.categorical_kl(p, q), losses.categorical_kl(p[:, :2], q[:, :2]), rtol=1e-6)
    for gradient in jax.grad(lambda p, q: losses.categorical_kl(p, q).sum(), argnums=(0, 1))(p, q):
        assert np.isfinite(gradient).all()


X = jnp.zeros((2, 3))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: losses.gaussian_nll(X, X, X[0]), ValueError, "gaussian_nll: expected equal shapes"),
        (lambda: losses.laplace_nll(X, X > 0, X), TypeError, "laplace_nll: expected floating-point input, found bool"),
        (lambda: losses.student_t_nll(X, X, X, degrees=0.0), ValueError, "expected degrees > 0, found values from 0.0"),
        (lambda: losses.student_t_nll(X, X, X, degrees=X[0] + 1), ValueError, "expected equal shapes, .* degrees"),
        (
            lambda: losses.poisson_nll(X, X - 1),
            ValueError,
            "poisson_nll: expected targets >= 0, found values from -1.0",
        ),
        (lambda: losses.negative_binomial_nll(X, X[0], X), ValueError, "expected equal shapes, .* log_count"),
        (lambda: losses.gaussian_mixture_nll(X, X, X, X), ValueError, r"expected logits \[..., components\], mean"),
        (lambda: losses.gaussian_crps(X, X, X[0]), ValueError, "gaussian_crps: expected equal shapes"),
        (lambda: losses.ensemble_crps(X, X), ValueError, r"expected targets \(3,\) for members float32\[2,3\]"),
        (lambda: losses.ensemble_crps(X[:1], X[0], fair=True), ValueError, "two members or more for a fair score"),
        (lambda: losses.gaussian_kl(X, X, X, X[0]), ValueError, "gaussian_kl: expected equal shapes"),
        (lambda: losses.categorical_kl(X, X > 0), TypeError, "expected floating-point input, found bool"),
        (lambda: losses.negative_elbo(X, X, beta=-1.0), ValueError, "expected beta >= 0, found -1.0"),
        (lambda: losses.importance_weighted_elbo_loss(X[:, :0]), ValueError, "expected at least one example"),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
