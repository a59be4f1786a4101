"""Adversarial losses: of a critic that tells real from generated data, and of the generator that it judges.

| loss                                                  | critic: real, fake                | generator: fake    |
|-------------------------------------------------------|-----------------------------------|--------------------|
| `gan_critic`, `gan_generator`                         | softplus(-real) + softplus(fake)  | softplus(-fake)    |
| `gan_critic`, `minimax_generator`                     | the same                          | -softplus(fake)    |
| `least_squares_critic`, `least_squares_generator`     | (real - 1)^2 / 2 + fake^2 / 2     | (fake - 1)^2 / 2   |
| `hinge_critic`, `wasserstein_generator`               | relu(1 - real) + relu(1 + fake)   | -fake              |
| `wasserstein_critic`, `wasserstein_generator`         | fake - real                       | -fake              |

Scores are the critic's logits, one per example, (...). Critic and generator are two updates: each takes the other's
parameters as given. Laws: values in float32 at least; finite, with gradients, for scores of any size whose squares are.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn.losses._inputs import alike


def gan_critic(real: jax.Array, fake: jax.Array) -> jax.Array:
    """GAN loss of the critic (discriminator): cross-entropy of telling real from fake.

    See "Generative Adversarial Nets", Goodfellow et al., 2014.

    Args:
      real: (...), scores of real examples, floating point.
      fake: the same shape: scores of generated ones.

    Returns:
      (...): one number per pair.

    Raises:
      TypeError: scores are not floating point.
      ValueError: shapes differ.

    >>> gan_critic(jnp.array([0.0]), jnp.array([0.0]))
    Array([1.3862944], dtype=float32)
    """
    real, fake = alike("gan_critic", real=real, fake=fake)
    return jax.nn.softplus(-real) + jax.nn.softplus(fake)


def gan_generator(fake: jax.Array) -> jax.Array:
    """Non-saturating GAN loss of the generator: minus the log-probability of being taken for real.

    See "Generative Adversarial Nets", Goodfellow et al., 2014.

    Args:
      fake: (...), scores of generated examples, floating point.

    Returns:
      (...): one number per example.

    Raises:
      TypeError: scores are not floating point.

    >>> gan_generator(jnp.array([0.0]))
    Array([0.6931472], dtype=float32)
    """
    (fake,) = alike("gan_generator", fake=fake)
    return jax.nn.softplus(-fake)


def minimax_generator(fake: jax.Array) -> jax.Array:
    """Minimax GAN loss of the generator: the log-probability of being found out; flat where the critic is sure.

    See "Generative Adversarial Nets", Goodfellow et al., 2014.

    Args:
      fake: (...), scores of generated examples, floating point.

    Returns:
      (...): one number per example.

    Raises:
      TypeError: scores are not floating point.

    >>> minimax_generator(jnp.array([0.0]))
    Array([-0.6931472], dtype=float32)
    """
    (fake,) = alike("minimax_generator", fake=fake)
    return -jax.nn.softplus(fake)


def least_squares_critic(real: jax.Array, fake: jax.Array) -> jax.Array:
    """Least squares GAN loss of the critic: real scores shall be 1, fake ones 0.

    See "Least Squares Generative Adversarial Networks", Mao et al., 2017.

    Args:
      real: (...), scores of real examples, floating point.
      fake: the same shape: scores of generated ones.

    Returns:
      (...): one number per pair.

    Raises:
      TypeError: scores are not floating point.
      ValueError: shapes differ.

    >>> least_squares_critic(jnp.array([1.0]), jnp.array([2.0]))
    Array([2.], dtype=float32)
    """
    real, fake = alike("least_squares_critic", real=real, fake=fake)
    return 0.5 * (jnp.square(real - 1) + jnp.square(fake))


def least_squares_generator(fake: jax.Array) -> jax.Array:
    """Least squares GAN loss of the generator: fake scores shall be 1.

    See "Least Squares Generative Adversarial Networks", Mao et al., 2017.

    Args:
      fake: (...), scores of generated examples, floating point.

    Returns:
      (...): one number per example.

    Raises:
      TypeError: scores are not floating point.

    >>> least_squares_generator(jnp.array([3.0]))
    Array([2.], dtype=float32)
    """
    (fake,) = alike("least_squares_generator", fake=fake)
    return 0.5 * jnp.square(fake - 1)


def hinge_critic(real: jax.Array, fake: jax.Array) -> jax.Array:
    """Hinge GAN loss of the critic: real scores shall be above 1, fake ones below -1.

    See "Geometric GAN", Lim and Ye, 2017.

    Args:
      real: (...), scores of real examples, floating point.
      fake: the same shape: scores of generated ones.

    Returns:
      (...): one number per pair.

    Raises:
      TypeError: scores are not floating point.
      ValueError: shapes differ.

    >>> hinge_critic(jnp.array([3.0]), jnp.array([0.0]))
    Array([1.], dtype=float32)
    """
    real, fake = alike("hinge_critic", real=real, fake=fake)
    return jax.nn.relu(1 - real) + jax.nn.relu(1 + fake)


def wasserstein_critic(real: jax.Array, fake: jax.Array) -> jax.Array:
    """Wasserstein loss of the critic, whose slope something else must bound: `wgan_gradient_penalty`.

    See "Wasserstein GAN", Arjovsky, Chintala and Bottou, 2017.

    Args:
      real: (...), scores of real examples, floating point.
      fake: the same shape: scores of generated ones.

    Returns:
      (...): one number per pair.

    Raises:
      TypeError: scores are not floating point.
      ValueError: shapes differ.

    >>> wasserstein_critic(jnp.array([3.0]), jnp.array([1.0]))
    Array([-2.], dtype=float32)
    """
    real, fake = alike("wasserstein_critic", real=real, fake=fake)
    return fake - real


def wasserstein_generator(fake: jax.Array) -> jax.Array:
    """Hinge and Wasserstein loss of the generator: minus the critic's score.

    See "Wasserstein GAN", Arjovsky, Chintala and Bottou, 2017.

    Args:
      fake: (...), scores of generated examples, floating point.

    Returns:
      (...): one number per example.

    Raises:
      TypeError: scores are not floating point.

    >>> wasserstein_generator(jnp.array([3.0]))
    Array([-3.], dtype=float32)
    """
    (fake,) = alike("wasserstein_generator", fake=fake)
    return -fake
