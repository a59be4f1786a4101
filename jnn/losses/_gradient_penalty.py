"""Gradient penalties: bounds on the slope of a discriminator, to be added to its adversarial loss.

    r1_penalty(discriminator, real)                             the squared slope at real examples
    r2_penalty(discriminator, fake)                             at generated ones
    wgan_gradient_penalty(discriminator, real, fake, key=key)   how far the slope between them is from 1

A discriminator is a function of examples alone: `lambda x: discriminator(params, x)`, in a loss that differentiates
params.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.precision import wide
from jnn.vectors import length

Discriminator = Callable[[jax.Array], jax.Array]


def r1_penalty(discriminator: Discriminator, real: jax.Array) -> jax.Array:
    """R1 gradient penalty: the squared slope of the discriminator at real examples; times half of gamma, such as 10.

    See "Which Training Methods for GANs do actually Converge?", Mescheder, Geiger and Nowozin, 2018.

    Args:
      discriminator: (..., *data) -> (...), a score for each example by itself: without batch normalization.
      real: (..., *data), floating point.

    Returns:
      (...): one number per example.

    Raises:
      TypeError: examples are not floating point.
      ValueError: the discriminator does not give one score per example.

    >>> r1_penalty(lambda x: 3 * x[:, 0] + 4 * x[:, 1], jnp.ones((1, 2)))
    Array([25.], dtype=float32)
    """
    slope = _slope("r1_penalty", discriminator, real)
    return jnp.sum(jnp.square(slope), axis=-1)


def r2_penalty(discriminator: Discriminator, fake: jax.Array) -> jax.Array:
    """R2 gradient penalty: the squared slope of the discriminator at generated examples; times half of gamma.

    See "Which Training Methods for GANs do actually Converge?", Mescheder, Geiger and Nowozin, 2018.

    Args:
      discriminator: as for `r1_penalty`.
      fake: (..., *data), floating point. No gradient goes to the generator.

    Returns:
      (...): one number per example.

    Raises:
      TypeError, ValueError: as for `r1_penalty`.

    >>> r2_penalty(lambda x: x[:, 0] ** 2, jnp.ones((1, 1)))
    Array([4.], dtype=float32)
    """
    slope = _slope("r2_penalty", discriminator, jax.lax.stop_gradient(fake))
    return jnp.sum(jnp.square(slope), axis=-1)


def wgan_gradient_penalty(
    discriminator: Discriminator, real: jax.Array, fake: jax.Array, *, key: jax.Array | None
) -> jax.Array:
    """WGAN-GP: how far the discriminator's slope is from 1, squared, somewhere between a real and a generated example.

    See "Improved Training of Wasserstein GANs", Gulrajani et al., 2017, whose weight is 10.

    Args:
      discriminator: as for `r1_penalty`.
      real: (..., *data), floating point.
      fake: the same shape. No gradient goes to the generator.
      key: where between them, uniformly, for each example; None is half-way.

    Returns:
      (...): one number per example; its gradient is finite where the slope is 0.

    Raises:
      TypeError, ValueError: as for `r1_penalty`, or shapes differ.

    >>> wgan_gradient_penalty(lambda x: 3 * x[:, 0], jnp.ones((1, 1)), jnp.zeros((1, 1)), key=None)
    Array([4.], dtype=float32)
    """
    for x in (real, fake):
        checks.floats("wgan_gradient_penalty", x)
    checks.same_shape("wgan_gradient_penalty", real=real, fake=fake)
    lead = jax.eval_shape(discriminator, real).shape
    share = jnp.full(lead, 0.5) if key is None else jax.random.uniform(key, lead)
    share = share.reshape(lead + (1,) * (real.ndim - len(lead))).astype(real.dtype)
    between = jax.lax.stop_gradient(share * real + (1 - share) * fake)
    return jnp.square(length(_slope("wgan_gradient_penalty", discriminator, between)) - 1)


def _slope(name: str, discriminator: Discriminator, x: jax.Array) -> jax.Array:
    """The gradient of each example's score with respect to the example: (..., data)."""
    checks.floats(name, x)
    scores, back = jax.vjp(discriminator, x)
    if scores.shape != x.shape[: scores.ndim]:
        found = f"{checks.describe(scores)} of {checks.describe(x)}"
        raise ValueError(
            f"{name}: expected of the discriminator one score per example, found {found}. Drop axes of size 1."
        )
    (slope,) = back(jnp.ones_like(scores))
    return wide(slope).reshape(*scores.shape, -1)
