"""Kullback-Leibler divergences and evidence lower bounds: what variational autoencoders and distillation minimize.

    categorical_kl(logits_p, logits_q)                              of two softmax distributions
    gaussian_kl(mean_p, log_scale_p, mean_q, log_scale_q)           of two diagonal Gaussians
    standard_gaussian_kl(mean, log_scale)                           of one and the standard normal
    negative_elbo(nll, kl, beta=1.0)                                what a variational autoencoder minimizes
    importance_weighted_elbo_loss(log_weights)                      a tighter bound, of several samples

KL(p || q) is >= 0, summed over the last axis, in nats, in float32 at least.
See "On Information and Sufficiency", Kullback and Leibler, 1951.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.precision import wide


def categorical_kl(logits_p: jax.Array, logits_q: jax.Array) -> jax.Array:
    """KL divergence of two categorical distributions, given by their logits.

    See "On Information and Sufficiency", Kullback and Leibler, 1951.

    Args:
      logits_p: (..., classes), floating point: of the distribution that is averaged over, such as a teacher's.
      logits_q: the same shape.

    Returns:
      (...): `sum(p * (log(p) - log(q)))`. A class that p rules out with a logit of -inf costs nothing.

    Raises:
      TypeError: logits are not floating point.
      ValueError: shapes differ (nothing broadcasts), or are empty.

    >>> categorical_kl(jnp.array([[0.0, 0.0]]), jnp.array([[1.0, 1.0]]))
    Array([0.], dtype=float32)
    """
    checks.floats("categorical_kl", logits_q)
    logits_p, logits_q = checks.pair("categorical_kl", logits_p, logits_q)
    log_p, log_q = (jax.nn.log_softmax(x, axis=-1) for x in (logits_p, logits_q))
    absent = log_p == -jnp.inf  # 0 * inf is nan, in values and in gradients
    difference = jnp.where(absent, 0.0, log_p) - jnp.where(absent, 0.0, log_q)
    return jnp.sum(jnp.where(absent, 0.0, jnp.exp(log_p)) * difference, axis=-1)


def gaussian_kl(mean_p: jax.Array, log_scale_p: jax.Array, mean_q: jax.Array, log_scale_q: jax.Array) -> jax.Array:
    """KL divergence of two Gaussian distributions with diagonal covariance.

    Args:
      mean_p, log_scale_p: (..., features), floating point: of the one that is averaged over.
      mean_q, log_scale_q: the same shape.

    Returns:
      (...): the sum over features.

    Raises:
      TypeError: an argument is not floating point.
      ValueError: shapes differ (nothing broadcasts), or are empty.

    >>> gaussian_kl(jnp.ones((1, 2)), jnp.zeros((1, 2)), jnp.zeros((1, 2)), jnp.zeros((1, 2)))
    Array([1.], dtype=float32)
    """
    for x in (mean_p, log_scale_p, mean_q, log_scale_q):
        checks.floats("gaussian_kl", x)
    checks.same_shape("gaussian_kl", mean_p=mean_p, log_scale_p=log_scale_p, mean_q=mean_q, log_scale_q=log_scale_q)
    z = (wide(mean_p) - wide(mean_q)) * jnp.exp(-wide(log_scale_q))
    log_ratio = wide(log_scale_p) - wide(log_scale_q)
    return jnp.sum(0.5 * (jnp.square(z) + jnp.expm1(2 * log_ratio)) - log_ratio, axis=-1)


def standard_gaussian_kl(mean: jax.Array, log_scale: jax.Array) -> jax.Array:
    """KL divergence of a Gaussian distribution and the standard normal: the penalty of a variational autoencoder.

    See "Auto-Encoding Variational Bayes", Kingma and Welling, 2013.

    Args:
      mean: (..., features), floating point.
      log_scale: the same shape: logarithms of standard deviations.

    Returns:
      (...): the sum over features.

    Raises:
      TypeError: an argument is not floating point.
      ValueError: shapes differ (nothing broadcasts), or are empty.

    >>> standard_gaussian_kl(jnp.ones((1, 2)), jnp.zeros((1, 2)))
    Array([1.], dtype=float32)
    """
    checks.floats("standard_gaussian_kl", log_scale)
    mean, log_scale = checks.pair("standard_gaussian_kl", mean, log_scale)
    return jnp.sum(0.5 * (jnp.square(mean) + jnp.expm1(2 * log_scale)) - log_scale, axis=-1)


def negative_elbo(nll: jax.Array, kl: jax.Array, *, beta: jax.Array | float = 1.0) -> jax.Array:
    """Negative evidence lower bound (ELBO): what it costs to reconstruct, plus what it costs to encode.

    See "Auto-Encoding Variational Bayes", Kingma and Welling, 2013; "beta-VAE", Higgins et al., 2017.

    Args:
      nll: (...), floating point: minus the log-likelihood of each example given a sample of its code.
      kl: the same shape: the divergence of its code's distribution from the prior.
      beta: the weight of the divergence, >= 0.

    Returns:
      (...): `nll + beta * kl`.

    Raises:
      TypeError: nll is not floating point.
      ValueError: shapes differ (nothing broadcasts), or beta is negative.

    >>> negative_elbo(jnp.array([3.0]), jnp.array([0.5]), beta=2.0)
    Array([4.], dtype=float32)
    """
    nll, kl = checks.pair("negative_elbo", nll, kl, ndim=0)
    return nll + checks.number("negative_elbo", "beta", beta, lambda b: b >= 0, ">= 0", like=nll) * kl


def importance_weighted_elbo_loss(log_weights: jax.Array) -> jax.Array:
    """Importance-weighted negative ELBO: minus the log of the mean weight of several samples of a code.

    See "Importance Weighted Autoencoders", Burda et al., 2015.

    Args:
      log_weights: (..., samples), floating point: log p(x, z) - log q(z | x). Of one sample, the plain bound.

    Returns:
      (...): one number per example.

    Raises:
      TypeError: log_weights are not floating point.
      ValueError: they are empty.

    >>> importance_weighted_elbo_loss(jnp.array([[-2.0, -2.0]]))
    Array([2.], dtype=float32)
    """
    checks.floats("importance_weighted_elbo_loss", log_weights)
    return math.log(log_weights.shape[-1]) - jax.nn.logsumexp(wide(log_weights), axis=-1)
