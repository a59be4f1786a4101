"""Diffusion: what noise does to data, and what a network learns of it.

    linear_noise_schedule, cosine_noise_schedule      a: the share of the data's variance at each step, falling
    add_noise(x0, noise, a) -> x                      sqrt(a) x0 + sqrt(1 - a) noise
    denoising_target, denoising_loss                  of a network that predicts "noise", "x0" or "v"

The levels a say which axes are the examples': (...) of data (..., *data). The rest is an example, over which losses
take the mean. In float32 at least, but noisy data, which keeps x0's dtype.
"""

from __future__ import annotations

from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.precision import wide

Predict = Literal["noise", "x0", "v"]


def linear_noise_schedule(steps: int, *, first: float = 1e-4, last: float = 0.02) -> np.ndarray:
    """Linear noise schedule: the variance that each step adds (beta) grows linearly.

    See "Denoising Diffusion Probabilistic Models", Ho, Jain and Abbeel, 2020, whose steps are 1000.

    Args:
      steps: how many.
      first, last: beta at both ends.

    Returns:
      (steps,), float32: the cumulated products of 1 - beta.

    Raises:
      ValueError: no steps, or not 0 < first <= last < 1.

    >>> linear_noise_schedule(2, first=0.1, last=0.5).tolist() == np.float32([0.9, 0.45]).tolist()
    True
    """
    _check_steps("linear_noise_schedule", steps)
    if not 0 < first <= last < 1:
        raise ValueError(f"linear_noise_schedule: expected 0 < first <= last < 1, found {first} and {last}.")
    return np.cumprod(1 - np.linspace(first, last, steps)).astype(np.float32)


def cosine_noise_schedule(steps: int, *, offset: float = 0.008, most: float = 0.999) -> np.ndarray:
    """Cosine noise schedule: the share of the data falls as a squared cosine.

    See "Improved Denoising Diffusion Probabilistic Models", Nichol and Dhariwal, 2021.

    Args:
      steps: how many.
      offset: by how much it begins later, so that the first steps are not too small.
      most: the greatest beta; it keeps the last share above 0.

    Returns:
      (steps,), float32: the cumulated products of 1 - beta.

    Raises:
      ValueError: no steps.

    >>> [round(float(a), 2) for a in cosine_noise_schedule(3)]
    [0.74, 0.25, 0.0]
    """
    _check_steps("cosine_noise_schedule", steps)
    share = np.cos((np.arange(steps + 1) / steps + offset) / (1 + offset) * np.pi / 2) ** 2
    return np.cumprod(1 - np.minimum(1 - share[1:] / share[:-1], most)).astype(np.float32)


def _check_steps(name: str, steps: int) -> None:
    if steps < 1:
        raise ValueError(f"{name}: expected 1 step or more, found {steps}.")


def add_noise(x0: jax.Array, noise: jax.Array, level: jax.Array) -> jax.Array:
    """Forward diffusion: data at a level of noise, `sqrt(level) * x0 + sqrt(1 - level) * noise`.

    See "Denoising Diffusion Probabilistic Models", Ho, Jain and Abbeel, 2020.

    Args:
      x0: (..., *data), floating point.
      noise: the same shape, standard normal.
      level: (...), the share of the data's variance, in [0, 1]: `schedule[t]`.

    Returns:
      (..., *data), in x0's dtype.

    Raises:
      TypeError: arrays are not floating point.
      ValueError: shapes do not fit.

    >>> add_noise(jnp.ones((1, 2)), jnp.zeros((1, 2)), jnp.array([0.25]))
    Array([[0.5, 0.5]], dtype=float32)
    """
    level = levels("add_noise", level, x0=x0, noise=noise)
    return (jnp.sqrt(level) * wide(x0) + jnp.sqrt(1 - level) * wide(noise)).astype(x0.dtype)


def denoising_target(x0: jax.Array, noise: jax.Array, level: jax.Array, *, predict: Predict) -> jax.Array:
    """Denoising target: the noise (epsilon), the data (x0), or v, `sqrt(level) * noise - sqrt(1 - level) * x0`.

    See "Progressive Distillation for Fast Sampling of Diffusion Models", Salimans and Ho, 2022, for v.

    Args:
      x0, noise, level: as for `add_noise`.
      predict: "noise", "x0" or "v".

    Returns:
      (..., *data), in float32 at least.

    Raises:
      TypeError: arrays are not floating point.
      ValueError: shapes do not fit, or predict is none of these.

    >>> denoising_target(jnp.ones((1, 1)), jnp.zeros((1, 1)), jnp.array([0.75]), predict="v")
    Array([[-0.5]], dtype=float32)
    """
    level = levels("denoising_target", level, x0=x0, noise=noise)
    x0, noise = wide(x0), wide(noise)
    return choose("denoising_target", predict, noise, x0, jnp.sqrt(level) * noise - jnp.sqrt(1 - level) * x0)


def denoising_loss(
    predictions: jax.Array, x0: jax.Array, noise: jax.Array, level: jax.Array, *, predict: Predict
) -> jax.Array:
    """Denoising loss: the mean squared error of what a network predicts; times a weight of the level, if any.

    See "Denoising Diffusion Probabilistic Models", Ho, Jain and Abbeel, 2020: its simple loss predicts the noise.

    Args:
      predictions: (..., *data), floating point: what the network made of `add_noise(x0, noise, level)`.
      x0, noise, level: as for `add_noise`.
      predict: "noise", "x0" or "v".

    Returns:
      (...): the mean over an example. `* min_snr_weight(level, predict=...)` weighs levels.

    Raises:
      TypeError: arrays are not floating point.
      ValueError: shapes do not fit, or predict is none of these.

    >>> denoising_loss(jnp.ones((1, 2)), jnp.zeros((1, 2)), jnp.zeros((1, 2)), jnp.array([0.5]), predict="noise")
    Array([1.], dtype=float32)
    """
    levels("denoising_loss", level, predictions=predictions, x0=x0, noise=noise)
    return mean_square(wide(predictions) - denoising_target(x0, noise, level, predict=predict), level)


def levels(name: str, level: jax.Array, **arrays: jax.Array) -> jax.Array:
    """The level of each example, with an axis of 1 for each of the data's."""
    for x in arrays.values():
        checks.floats(name, x)
    checks.same_shape(name, **arrays)
    checks.array(name, level, "the level or time")
    shape = next(iter(arrays.values())).shape
    if shape[: level.ndim] != level.shape:
        raise ValueError(
            f"{name}: expected a level or time for each example of {shape}, found {checks.describe(level)}."
        )
    return wide(level).reshape(level.shape + (1,) * (len(shape) - level.ndim))


def choose(name: str, predict: Predict, noise: jax.Array, x0: jax.Array, v: jax.Array) -> jax.Array:
    """What belongs to what is predicted."""
    if predict not in get_args(Predict):
        raise ValueError(f"{name}: expected predict to be one of {get_args(Predict)}, found {predict!r}.")
    return {"noise": noise, "x0": x0, "v": v}[predict]


def mean_square(error: jax.Array, level: jax.Array) -> jax.Array:
    """The mean over each example, of which there is one for each level."""
    return jnp.mean(jnp.square(error), axis=tuple(range(level.ndim, error.ndim)))
