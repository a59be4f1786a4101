"""Levels of noise that samplers pass, from noise to data: on the host, before anything is traced.

sampling_levels(schedule, steps)        shares of the data's variance, of evenly spaced steps of a schedule
karras_noise_levels(steps)              deviations of the noise, close together where it is small
noise_time(schedule, level)             which step of a schedule a level is, for networks that know time by that
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jnn.precision import wide


def sampling_levels(schedule: np.ndarray, steps: int) -> np.ndarray:
    """Sampling levels of a noise schedule: those of evenly spaced steps, the last one first, and 1, which is data.

    See "Denoising Diffusion Implicit Models", Song, Meng and Ermon, 2021.

    Args:
      schedule: (n,), falling: the share of the data's variance at each step, as `jnn.losses.cosine_noise_schedule`.
      steps: how many steps a sampler takes, from 1 to n; n are all of the schedule's.

    Returns:
      (steps + 1,), float32, rising to 1.

    Raises:
      ValueError: steps are not from 1 to n.

    >>> sampling_levels(np.array([0.9, 0.6, 0.3, 0.1]), 2).tolist() == np.float32([0.1, 0.6, 1]).tolist()
    True
    """
    n = len(schedule)
    if not 1 <= steps <= n:
        raise ValueError(f"sampling_levels: expected 1 to {n} steps, those of the schedule, found {steps}.")
    spaced = np.round(np.linspace(n, 0, steps, endpoint=False)).astype(int) - 1
    return np.append(np.asarray(schedule)[spaced], 1).astype(np.float32)


def karras_noise_levels(steps: int, *, most: float = 80.0, least: float = 0.002, power: float = 7.0) -> np.ndarray:
    """Karras's noise levels: deviations of the noise (sigma) whose roots are evenly spaced, and 0.

    See "Elucidating the Design Space of Diffusion-Based Generative Models", Karras et al., 2022.

    Args:
      steps: how many steps a sampler takes, at least 1.
      most, least: the first deviation and the last one above 0, in units of the data.
      power: rho in the paper; the larger, the more steps are at small deviations.

    Returns:
      (steps + 1,), float32, falling to 0: times for `heun_sample` along `probability_flow`.

    Raises:
      ValueError: no steps, or not 0 < least <= most, or power <= 0.

    >>> karras_noise_levels(3, most=4.0, least=1.0, power=1.0).tolist()
    [4.0, 2.5, 1.0, 0.0]
    """
    if steps < 1 or not 0 < least <= most or power <= 0:
        found = f"{steps} steps, least={least}, most={most}, power={power}"
        raise ValueError(f"karras_noise_levels: expected a step, 0 < least <= most and power > 0, found {found}.")
    roots = np.linspace(most ** (1 / power), least ** (1 / power), steps)
    return np.append(roots**power, 0).astype(np.float32)


def noise_time(schedule: np.ndarray, level: jax.Array) -> jax.Array:
    """Noise time: at which step of a schedule a level is, counted from 0, or where between two steps.

    It makes a denoiser of a network that is told steps: `lambda x, level: network(x, noise_time(schedule, level))`.

    Args:
      schedule: (n,), falling, as for `sampling_levels`.
      level: (...), floating point, the share of the data's variance.

    Returns:
      (...), float32 at least, within 0..n-1: exact at the schedule's own levels, and between them linear in the
      logarithm of the ratio of noise to data.

    >>> noise_time(np.array([0.9, 0.6, 0.3]), jnp.array([0.3, 0.6, 0.95])).tolist()
    [2.0, 1.0, 0.0]
    """
    level, known = wide(level), np.asarray(schedule, np.float64)
    noisiness = lambda a, log, log1p: log1p(-a) - log(a)
    tiny = jnp.finfo(level.dtype).tiny
    here = noisiness(jnp.clip(level, tiny, 1 - jnp.finfo(level.dtype).epsneg), jnp.log, jnp.log1p)
    steps = jnp.asarray(noisiness(known, np.log, np.log1p), level.dtype)
    time = jnp.interp(here, steps, jnp.arange(len(known), dtype=level.dtype))
    whole = jnp.round(time)  # the logarithm is rounded: a level of the schedule would be beside its step
    return jnp.where(level == jnp.asarray(known, level.dtype)[whole.astype(jnp.int32)], whole, time)
