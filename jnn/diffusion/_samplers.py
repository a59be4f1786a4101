"""Samplers of denoising diffusion: from noise to data, one level after the other.

    ddpm_sample(denoise, x, levels, predict=..., key=...)      each step draws from the posterior
    ddim_sample(denoise, x, levels, predict=...)               no step draws, or by `eta` a share of it

A denoiser is `denoise(x, level) -> prediction`, of the noise, the data or v; its level is a scalar. x lies at the first
of the levels, and what comes back at the last one, so that a part of the levels is a part of the way. Laws: one
`lax.scan`; step i draws by the key and i alone; DDIM with eta=1 is DDPM.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.diffusion._guidance import Denoise
from jnn.losses import Predict
from jnn.param import check_key
from jnn.precision import wide, wide_dtype

Variance = Literal["small", "large"]
Move = Callable[[jax.Array, jax.Array, jax.Array, jax.Array, jax.Array], tuple[jax.Array, jax.Array]]


def ddpm_sample(
    denoise: Denoise,
    x: jax.Array,
    levels: jax.Array,
    *,
    predict: Predict,
    key: jax.Array,
    variance: Variance = "small",
    clip: float | None = None,
) -> jax.Array:
    """DDPM ancestral sampler: each step draws from the posterior of a little less noise, given the predicted data.

    See "Denoising Diffusion Probabilistic Models", Ho, Jain and Abbeel, 2020.

    Args:
      denoise: `(x, level) -> prediction` in x's shape; `noise_time` makes one of a network that is told steps.
      x: (..., *data), floating point, at the first level: standard normal where that is about 0.
      levels: (steps + 1,), rising shares of the data's variance, above 0: `sampling_levels(schedule, steps)`.
      predict: what denoise predicts, "noise", "x0" or "v".
      key: draws the noise of all steps.
      variance: of a step: "small" is the posterior's, "large" (beta in the paper) that of the step which added noise.
      clip: bounds of the predicted data, -clip and clip; none by default. The paper's images are within 1.

    Returns:
      x's shape and dtype, at the last level: data, where that is 1.

    Raises:
      TypeError: x is not floating point, or key is no PRNG key.
      ValueError: there are no two levels, or some are known to lie outside [0, 1]; or predict or variance is none of
        these.

    >>> denoise = lambda x, level: jnp.full_like(x, 3.0)
    >>> ddpm_sample(denoise, jnp.zeros(2), jnp.array([0.1, 0.5, 1.0]), predict="x0", key=jax.random.key(0)).tolist()
    [3.0, 3.0]
    """
    check_key("ddpm_sample", key)
    if variance not in ("small", "large"):
        raise ValueError(f'ddpm_sample: expected a variance of "small" or "large", found {variance!r}.')

    def move(x: jax.Array, x0: jax.Array, _: jax.Array, a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
        kept = a / b  # 1 - beta
        mean = (jnp.sqrt(b) * (1 - kept) * x0 + jnp.sqrt(kept) * (1 - b) * x) / (1 - a)
        spread = jnp.sqrt((1 - kept) * jnp.where(b < 1, 1.0 if variance == "large" else (1 - b) / (1 - a), 0.0))
        return mean, spread

    return _walk("ddpm_sample", denoise, x, levels, move, predict, key, clip)


def ddim_sample(
    denoise: Denoise,
    x: jax.Array,
    levels: jax.Array,
    *,
    predict: Predict,
    eta: float = 0.0,
    key: jax.Array | None = None,
    clip: float | None = None,
) -> jax.Array:
    """DDIM sampler: each step takes the predicted noise back to a lower level, so that few steps will do.

    See "Denoising Diffusion Implicit Models", Song, Meng and Ermon, 2021.

    Args:
      denoise, x, levels, predict, clip: as for `ddpm_sample`; where eta is 0, levels may fall, from data to noise.
      eta: how much of DDPM's noise is drawn anew, from 0, a map without chance, to 1, which is DDPM.
      key: draws it; None where eta is 0.

    Returns:
      x's shape and dtype, at the last level.

    Raises:
      TypeError: x is not floating point, or eta is above 0 and key no PRNG key.
      ValueError: there are no two levels, or some are known to lie outside [0, 1]; predict is none of these, or eta is
        not in [0, 1].

    >>> denoise = lambda x, level: jnp.zeros_like(x)
    >>> ddim_sample(denoise, jnp.ones(2), jnp.array([0.25, 1.0]), predict="noise").tolist()
    [2.0, 2.0]
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"ddim_sample: expected eta in [0, 1], found {eta}.")
    check_key("ddim_sample", key, optional=eta == 0)

    def move(_: jax.Array, x0: jax.Array, noise: jax.Array, a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
        # where eta is 0 levels may fall, and the root be none
        spread = eta * jnp.sqrt((1 - b) / (1 - a) * (1 - a / b)) if eta > 0 else jnp.zeros_like(a)
        return jnp.sqrt(b) * x0 + jnp.sqrt(jnp.maximum(1 - b - spread**2, 0)) * noise, spread

    return _walk("ddim_sample", denoise, x, levels, move, predict, key if eta > 0 else None, clip)


def _walk(
    name: str,
    denoise: Denoise,
    x: jax.Array,
    levels: jax.Array,
    move: Move,
    predict: Predict,
    key: jax.Array | None,
    clip: float | None,
) -> jax.Array:
    """Moves x from each level a to the next one b: mean and deviation by `move(x, x0, noise, a, b)`."""
    checks.floats(name, x)
    levels = check_grid(name, levels, x)
    checks.in_unit_interval(name, "levels", levels, advice=" Of a schedule they are sampling_levels(schedule, steps).")
    shares = partial(data_and_noise, name, predict=predict, clip=clip)

    def step(x: jax.Array, now: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        i, a, b = now
        x0, noise = shares(denoise(x, a), x, jnp.sqrt(a), jnp.sqrt(1 - a))
        mean, spread = move(wide(x), x0, noise, a, b)
        if key is not None:
            mean = mean + spread * jax.random.normal(jax.random.fold_in(key, i), x.shape, mean.dtype)
        return mean.astype(x.dtype), None

    return jax.lax.scan(step, x, (jnp.arange(len(levels) - 1), levels[:-1], levels[1:]))[0]


def check_grid(name: str, grid: jax.Array, x: jax.Array) -> jax.Array:
    """Levels or times, in float32 at least, once there are two of them."""
    grid = jnp.asarray(grid)
    if grid.ndim != 1 or len(grid) < 2:
        raise ValueError(f"{name}: expected two levels or times at least, (steps + 1,), found {checks.describe(grid)}.")
    return grid.astype(wide_dtype(x))


def data_and_noise(
    name: str,
    prediction: jax.Array,
    x: jax.Array,
    signal: jax.Array,
    spread: jax.Array,
    *,
    predict: Predict,
    clip: float | None = None,
) -> tuple[jax.Array, jax.Array]:
    """What x is made of, `signal * data + spread * noise`, by what was predicted."""
    checks.same_shape(name, x=x, prediction=prediction)
    x, told = wide(x), wide(prediction)
    if predict == "noise":
        x0 = (x - spread * told) / signal
    elif predict == "x0":
        x0 = told
    elif predict == "v":
        x0 = signal * x - spread * told
    else:
        raise ValueError(f'{name}: expected predict to be "noise", "x0" or "v", found {predict!r}.')
    x0 = x0 if clip is None else jnp.clip(x0, -clip, clip)
    return x0, told if predict == "noise" and clip is None else (x - signal * x0) / spread
