"""Adversarial losses: of a discriminator that tells real from generated data, and of the generator that it judges.

    gan_discriminator_loss              softplus(-real) + softplus(fake)
    gan_generator_loss                  softplus(-fake)
    minimax_generator_loss              -softplus(fake)
    least_squares_discriminator_loss    (real - 1)^2 / 2 + fake^2 / 2
    least_squares_generator_loss        (fake - 1)^2 / 2
    hinge_discriminator_loss            relu(1 - real) + relu(1 + fake)
    wasserstein_discriminator_loss      fake - real
    wasserstein_generator_loss          -fake, for the hinge, too

Scores are the discriminator's logits, one per example, (...). It and the generator are two updates: each takes the
other's parameters as given. Laws: values in float32 at least; finite, with gradients, for scores of any size whose
squares are.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn.losses._inputs import alike


def gan_discriminator_loss(real: jax.Array, fake: jax.Array) -> jax.Array:
    """GAN loss of the discriminator: cross-entropy of telling real from fake.

    See "Generative Adversarial Nets", Goodfellow et al., 2014.

    Args:
      real: (...), scores of real examples, floating point.
      fake: the same shape: scores of generated ones.

    Returns:
      (...): one number per pair.

    Raises:
      TypeError: scores are not floating point.
      ValueError: shapes differ.

    >>> gan_discriminator_loss(jnp.array([0.0]), jnp.array([0.0]))
    Array([1.3862944], dtype=float32)
    """
    real, fake = alike("gan_discriminator_loss", real=real, fake=fake)
    return jax.nn.softplus(-real) + jax.nn.softplus(fake)


def gan_generator_loss(fake: jax.Array) -> jax.Array:
    """Non-saturating GAN loss of the generator: minus the log-probability of being taken for real.

    See "Generative Adversarial Nets", Goodfellow et al., 2014.

    Args:
      fake: (...), scores of generated examples, floating point.

    Returns:
      (...): one number per example.

    Raises:
      TypeError: scores are not floating point.

    >>> gan_generator_loss(jnp.array([0.0]))
    Array([0.6931472], dtype=float32)
    """
    (fake,) = alike("gan_generator_loss", fake=fake)
    return jax.nn.softplus(-fake)


def minimax_generator_loss(fake: jax.Array) -> jax.Array:
    """Minimax GAN loss of the generator: the log-probability of being found out; flat where that is sure.

    See "Generative Adversarial Nets", Goodfellow et al., 2014.

    Args:
      fake: (...), scores of generated examples, floating point.

    Returns:
      (...): one number per example.

    Raises:
      TypeError: scores are not floating point.

    >>> minimax_generator_loss(jnp.array([0.0]))
    Array([-0.6931472], dtype=float32)
    """
    (fake,) = alike("minimax_generator_loss", fake=fake)
    return -jax.nn.softplus(fake)


def least_squares_discriminator_loss(real: jax.Array, fake: jax.Array) -> jax.Array:
    """Least squares GAN loss of the discriminator: real scores shall be 1, fake ones 0.

    See "Least Squares Generative Adversarial Networks", Mao et al., 2017.

    Args:
      real: (...), scores of real examples, floating point.
      fake: the same shape: scores of generated ones.

    Returns:
      (...): one number per pair.

    Raises:
      TypeError: scores are not floating point.
      ValueError: shapes differ.

    >>> least_squares_discriminator_loss(jnp.array([1.0]), jnp.array([2.0]))
    Array([2.], dtype=float32)
    """
    real, fake = alike("least_squares_discriminator_loss", real=real, fake=fake)
    return 0.5 * (jnp.square(real - 1) + jnp.square(fake))


def least_squares_generator_loss(fake: jax.Array) -> jax.Array:
    """Least squares GAN loss of the generator: fake scores shall be 1.

    See "Least Squares Generative Adversarial Networks", Mao et al., 2017.

    Args:
      fake: (...), scores of generated examples, floating point.

    Returns:
      (...): one number per example.

    Raises:
      TypeError: scores are not floating point.

    >>> least_squares_generator_loss(jnp.array([3.0]))
    Array([2.], dtype=float32)
    """
    (fake,) = alike("least_squares_generator_loss", fake=fake)
    return 0.5 * jnp.square(fake - 1)


def hinge_discriminator_loss(real: jax.Array, fake: jax.Array) -> jax.Array:
    """Hinge GAN loss of the discriminator: real scores shall be above 1, fake ones below -1.

    See "Geometric GAN", Lim and Ye, 2017.

    Args:
      real: (...), scores of real examples, floating point.
      fake: the same shape: scores of generated ones.

    Returns:
      (...): one number per pair.

    Raises:
      TypeError: scores are not floating point.
      ValueError: shapes differ.

    >>> hinge_discriminator_loss(jnp.array([3.0]), jnp.array([0.0]))
    Array([1.], dtype=float32)
    """
    real, fake = alike("hinge_discriminator_loss", real=real, fake=fake)
    return jax.nn.relu(1 - real) + jax.nn.relu(1 + fake)


def wasserstein_discriminator_loss(real: jax.Array, fake: jax.Array) -> jax.Array:
    """Wasserstein GAN loss of the discriminator, or critic, whose slope `wgan_gradient_penalty` may bound.

    See "Wasserstein GAN", Arjovsky, Chintala and Bottou, 2017.

    Args:
      real: (...), scores of real examples, floating point.
      fake: the same shape: scores of generated ones.

    Returns:
      (...): one number per pair.

    Raises:
      TypeError: scores are not floating point.
      ValueError: shapes differ.

    >>> wasserstein_discriminator_loss(jnp.array([3.0]), jnp.array([1.0]))
    Array([-2.], dtype=float32)
    """
    real, fake = alike("wasserstein_discriminator_loss", real=real, fake=fake)
    return fake - real


def wasserstein_generator_loss(fake: jax.Array) -> jax.Array:
    """Hinge and Wasserstein GAN loss of the generator: minus the discriminator's score.

    See "Wasserstein GAN", Arjovsky, Chintala and Bottou, 2017.

    Args:
      fake: (...), scores of generated examples, floating point.

    Returns:
      (...): one number per example.

    Raises:
      TypeError: scores are not floating point.

    >>> wasserstein_generator_loss(jnp.array([3.0]))
    Array([-3.], dtype=float32)
    """
    (fake,) = alike("wasserstein_generator_loss", fake=fake)
    return -fake
