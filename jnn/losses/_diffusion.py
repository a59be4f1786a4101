"""Diffusion and flow matching: what noise does to data, what a network learns of it, and how much each level counts.

    linear_noise_schedule, cosine_noise_schedule      a: the share of the data's variance at each step, falling
    add_noise(x0, noise, a) -> x                      sqrt(a) x0 + sqrt(1 - a) noise
    denoising_target, denoising_loss                  of a network that predicts "noise", "x0" or "v"
    snr_weight, min_snr_weight, p2_weight             factors of the loss, by level
    interpolate_flow, flow_matching_loss              straight paths from noise to data

The levels a, or the times t, say which axes are the examples': (...) of data (..., *data). The rest is an example, over
which losses take the mean. In float32 at least, but noisy data, which keeps x0's dtype.
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
    level = _levels("add_noise", level, x0=x0, noise=noise)
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
    level = _levels("denoising_target", level, x0=x0, noise=noise)
    x0, noise = wide(x0), wide(noise)
    return _choose("denoising_target", predict, noise, x0, jnp.sqrt(level) * noise - jnp.sqrt(1 - level) * x0)


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
    _levels("denoising_loss", level, predictions=predictions, x0=x0, noise=noise)
    return _mean_square(wide(predictions) - denoising_target(x0, noise, level, predict=predict), level)


def snr_weight(level: jax.Array, *, predict: Predict) -> jax.Array:
    """Signal-to-noise weighting: whatever is predicted, the loss is that of the noise.

    Args:
      level: (...), in [0, 1]; below 1 for "x0", whose weight level / (1 - level) has no bound.
      predict: what the network predicts, "noise", "x0" or "v".

    Returns:
      (...): what to multiply `denoising_loss` with.

    Raises:
      ValueError: predict is none of these.

    >>> snr_weight(jnp.array([0.75]), predict="x0")
    Array([3.], dtype=float32)
    """
    level = wide(jnp.asarray(level))
    return _choose("snr_weight", predict, jnp.ones_like(level), level / (1 - level), level)


def min_snr_weight(level: jax.Array, *, predict: Predict, most: float = 5.0) -> jax.Array:
    """Min-SNR weighting: of x0's loss, the signal-to-noise ratio or `most` (gamma), whichever is less.

    See "Efficient Diffusion Training via Min-SNR Weighting Strategy", Hang et al., 2023.

    Args:
      level: (...), in [0, 1], both ends included.
      predict: what the network predicts, "noise", "x0" or "v".
      most: above 0.

    Returns:
      (...): what to multiply `denoising_loss` with.

    Raises:
      ValueError: predict is none of these, or most <= 0.

    >>> min_snr_weight(jnp.array([0.75, 0.875, 1.0]), predict="x0")
    Array([3., 5., 5.], dtype=float32)
    """
    level = wide(jnp.asarray(level))
    checks.number("min_snr_weight", "most", most, lambda m: m > 0, "> 0", like=level)
    # level against most * (1 - level): no ratio, so both ends are finite
    signal, noise = level, most * (1 - level)
    of_noise = jnp.where(noise < signal, noise / jnp.where(noise < signal, signal, 1), 1)
    of_x0 = jnp.where(noise < signal, most, signal / jnp.where(noise < signal, 1, 1 - level))
    return _choose("min_snr_weight", predict, of_noise, of_x0, jnp.minimum(signal, noise))


def p2_weight(level: jax.Array, *, predict: Predict, offset: float = 1.0, power: float = 1.0) -> jax.Array:
    """P2 weighting: of the noise's loss, `(offset + signal-to-noise ratio) ** -power`; fine details count less.

    See "Perception Prioritized Training of Diffusion Models", Choi et al., 2022.

    Args:
      level: (...), in [0, 1]; below 1 for "x0".
      predict: what the network predicts, "noise", "x0" or "v".
      offset, power: k and gamma in the paper, above 0.

    Returns:
      (...): what to multiply `denoising_loss` with.

    Raises:
      ValueError: predict is none of these, or offset or power <= 0.

    >>> p2_weight(jnp.array([0.75, 0.0]), predict="noise")
    Array([0.25, 1.  ], dtype=float32)
    """
    level = wide(jnp.asarray(level))
    for name, value in (("offset", offset), ("power", power)):
        checks.number("p2_weight", name, value, lambda v: v > 0, "> 0", like=level)
    of_noise = ((1 - level) / (offset * (1 - level) + level)) ** power
    return _choose("p2_weight", predict, of_noise, of_noise * level / (1 - level), of_noise * level)


def interpolate_flow(noise: jax.Array, data: jax.Array, time: jax.Array) -> jax.Array:
    """Rectified flow's straight path: `(1 - time) * noise + time * data`.

    Args:
      noise: (..., *data), floating point.
      data: the same shape.
      time: (...), in [0, 1]: 0 is noise, 1 is data.

    Returns:
      (..., *data), in data's dtype.

    Raises:
      TypeError: arrays are not floating point.
      ValueError: shapes do not fit.

    >>> interpolate_flow(jnp.zeros((1, 2)), jnp.ones((1, 2)), jnp.array([0.25]))
    Array([[0.25, 0.25]], dtype=float32)
    """
    time = _levels("interpolate_flow", time, noise=noise, data=data)
    return ((1 - time) * wide(noise) + time * wide(data)).astype(data.dtype)


def flow_matching_loss(velocities: jax.Array, noise: jax.Array, data: jax.Array, time: jax.Array) -> jax.Array:
    """Flow matching, rectified flow: the mean squared error of the velocity along the straight path, data - noise.

    See "Flow Matching for Generative Modeling", Lipman et al., 2023; "Flow Straight and Fast: Learning to Generate and
    Transfer Data with Rectified Flow", Liu, Gong and Liu, 2023.

    Args:
      velocities: (..., *data), floating point: what the network made of `interpolate_flow(noise, data, time)`.
      noise, data, time: as there.

    Returns:
      (...): the mean over an example.

    Raises:
      TypeError: arrays are not floating point.
      ValueError: shapes do not fit.

    >>> flow_matching_loss(jnp.ones((1, 2)), jnp.zeros((1, 2)), jnp.ones((1, 2)), jnp.array([0.5]))
    Array([0.], dtype=float32)
    """
    _levels("flow_matching_loss", time, velocities=velocities, noise=noise, data=data)
    return _mean_square(wide(velocities) - (wide(data) - wide(noise)), time)


def _levels(name: str, level: jax.Array, **arrays: jax.Array) -> jax.Array:
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


def _choose(name: str, predict: Predict, noise: jax.Array, x0: jax.Array, v: jax.Array) -> jax.Array:
    if predict not in get_args(Predict):
        raise ValueError(f"{name}: expected predict to be one of {get_args(Predict)}, found {predict!r}.")
    return {"noise": noise, "x0": x0, "v": v}[predict]


def _mean_square(error: jax.Array, level: jax.Array) -> jax.Array:
    return jnp.mean(jnp.square(error), axis=tuple(range(level.ndim, error.ndim)))
