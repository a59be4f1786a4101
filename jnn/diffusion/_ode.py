"""Samplers along a velocity: an ordinary differential equation from noise to data, in steps that are given.

    euler_sample(slope, x, times)            error of order 1
    heun_sample(slope, x, times)             of order 2, by two slopes a step
    probability_flow(denoise, predict=...)   the slope of a denoiser, over the deviation of the noise

x lies at the first of the times, and what comes back at the last one. Times may rise, as a flow's from 0 to 1, or fall,
as deviations of noise. Laws: the slope at the last time is never asked for; one `lax.scan`.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.diffusion._guidance import Denoise
from jnn.diffusion._samplers import check_grid, data_and_noise
from jnn.losses import Predict
from jnn.precision import wide

Slope = Callable[[jax.Array, jax.Array], jax.Array]


def euler_sample(slope: Slope, x: jax.Array, times: jax.Array) -> jax.Array:
    """Euler sampler of a flow or a score: `x + (t' - t) slope(x, t)` from each time t to the next one t'.

    See "Flow Matching for Generative Modeling", Lipman et al., 2023: noise at time 0 becomes data at time 1.

    Args:
      slope: `(x, time) -> velocity` in x's shape: a network's, or of `probability_flow`; the time is a scalar.
      x: (..., *data), floating point, at the first time.
      times: (steps + 1,): for a flow `jnp.linspace(0, 1, steps + 1)`.

    Returns:
      x's shape and dtype, at the last time.

    Raises:
      TypeError: x is not floating point.
      ValueError: there are no two times, or slopes do not have x's shape.

    >>> euler_sample(lambda x, t: jnp.ones_like(x), jnp.zeros(2), jnp.linspace(0, 1, 5)).tolist()
    [1.0, 1.0]
    """
    checks.floats("euler_sample", x)
    times = check_grid("euler_sample", times, x)
    return jax.lax.scan(lambda x, now: (_euler("euler_sample", slope, x, *now), None), x, (times[:-1], times[1:]))[0]


def heun_sample(slope: Slope, x: jax.Array, times: jax.Array) -> jax.Array:
    """Heun sampler of a flow or a score: the mean of the slopes at both ends of a step; the last step is Euler's.

    See "Elucidating the Design Space of Diffusion-Based Generative Models", Karras et al., 2022. The last step asks
    for no slope at its end, which a score lacks where there is no noise; one such step does not change the order.

    Args:
      slope, x, times: as for `euler_sample`.

    Returns:
      x's shape and dtype, at the last time, by 2 * steps - 1 slopes.

    Raises:
      TypeError, ValueError: as for `euler_sample`.

    >>> x = heun_sample(lambda x, t: jnp.full_like(x, 2 * t), jnp.zeros(1), jnp.linspace(0, 1, 101))
    >>> round(float(x[0]), 3)
    1.0
    """
    checks.floats("heun_sample", x)
    times = check_grid("heun_sample", times, x)

    def step(x: jax.Array, now: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        t, then = now
        first = wide(slope(x, t))
        there = (wide(x) + (then - t) * first).astype(x.dtype)
        return (wide(x) + (then - t) * (first + wide(slope(there, then))) / 2).astype(x.dtype), None

    x = jax.lax.scan(step, x, (times[:-2], times[1:-1]))[0]
    return _euler("heun_sample", slope, x, times[-2], times[-1])


def _euler(name: str, slope: Slope, x: jax.Array, t: jax.Array, then: jax.Array) -> jax.Array:
    velocity = slope(x, t)
    checks.same_shape(name, x=x, velocity=velocity)
    return (wide(x) + (then - t) * wide(velocity)).astype(x.dtype)


def probability_flow(denoise: Denoise, *, predict: Predict) -> Slope:
    """Probability flow of a denoiser: dx/dsigma where x is data and sigma times the noise, which is the noise.

    See "Score-Based Generative Modeling through Stochastic Differential Equations", Song et al., 2021, in the form of
    "Elucidating the Design Space of Diffusion-Based Generative Models", Karras et al., 2022.

    Args:
      denoise: as for `ddpm_sample`: it is asked at the level 1 / (1 + sigma^2), of x times the level's root.
      predict: what denoise predicts, "noise", "x0" or "v".

    Returns:
      `(x, sigma) -> slope`, for `heun_sample` with `karras_noise_levels`, where x is sigma times noise at first.

    Raises:
      ValueError (when it is called): predict is none of these.

    >>> flow = probability_flow(lambda x, level: jnp.full_like(x, 3.0), predict="noise")
    >>> flow(jnp.zeros(2), jnp.array(1.0)).tolist()
    [3.0, 3.0]
    """

    def slope(x: jax.Array, sigma: jax.Array) -> jax.Array:
        signal = jax.lax.rsqrt(1 + jnp.square(sigma))
        scaled = (signal * wide(x)).astype(x.dtype)
        told = denoise(scaled, jnp.square(signal))
        # not by the level: 1 minus it has no digits left where sigma is small
        return data_and_noise("probability_flow", told, scaled, signal, signal * sigma, predict=predict)[1]

    return slope
