"""What batch, group and instance normalization share: mean and variance of each channel over all places, its own or its
group's.

Places are one axis here, (..., n, c): XLA:CPU reduces one leading axis at once, and several slowly; behind the barrier
it does not keep `h - mean` between the variance and the result, which costs more than making it twice. The derivative
has two means of the incoming one, where the chain rule has each of the mean's and the variance's; behind them, so that
the gradient of the scale is one of its sums.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp

from jnn.precision import add_bias, over_last_axes

Moments = tuple[jax.Array, jax.Array]


def standardize_channels(
    p: dict[str, jax.Array], h: jax.Array, groups: int, epsilon: float
) -> tuple[jax.Array, Moments]:
    """`(h - mean) / sqrt(var + epsilon) * scale + bias`, of each group of channels over all places.

    Args:
      p: {"scale": (c,), "bias": (c,)}, each optional.
      h: (..., n, c), in float32 at least.
      groups: how many groups c falls into; c for channels by themselves.
      epsilon: added to the variance.

    Returns:
      (..., n, c), and mean and biased variance, each (..., c): those of a channel's group.

    >>> y, (mean, var) = standardize_channels({}, jnp.array([[1.0], [3.0]]), 1, 0.0)
    >>> y.tolist(), mean.tolist(), var.tolist()
    ([[-1.0], [1.0]], [2.0], [1.0])
    """
    scale = p["scale"].astype(h.dtype) if "scale" in p else jnp.ones(h.shape[-1:], h.dtype)
    y, mean, var = _standardize(h, scale, groups, epsilon)
    return add_bias(y, p["bias"]) if "bias" in p else y, (mean, var)


@partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _standardize(h: jax.Array, scale: jax.Array, groups: int, epsilon: float) -> tuple[jax.Array, ...]:
    mean, var = jax.lax.optimization_barrier(_moments(h, groups))
    slope = jax.lax.rsqrt(var + epsilon) * over_last_axes(scale, mean)
    return (h - _row(mean)) * _row(slope), mean, var


@_standardize.defjvp
def _standardize_jvp(
    groups: int, epsilon: float, primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, jax.Array]
) -> tuple[tuple[jax.Array, ...], tuple[jax.Array, ...]]:
    (h, scale), (dh, dscale) = primals, tangents
    mean, var = _moments(h, groups)
    inverse = jax.lax.rsqrt(var + epsilon)
    y, slope = (h - _row(mean)) * _row(inverse), inverse * over_last_axes(scale, mean)
    average = lambda a: _pooled(jnp.mean(a, -2), groups)
    d_mean, along = average(dh), average(y * dh)
    out = _row(slope) * dh - _row(slope * d_mean) - y * (_row(slope * along) - over_last_axes(dscale, h))
    return (y * over_last_axes(scale, h), mean, var), (out, d_mean, 2 * along / inverse)


def _moments(h: jax.Array, groups: int) -> Moments:
    """Mean and variance of each channel's group, each (..., c): a group's is within channels and between."""
    own = jnp.mean(h, -2)
    var = jnp.mean(jnp.square(h - _row(own)), -2)
    if groups == own.shape[-1]:
        return own, var
    mean = _pooled(own, groups)
    return mean, _pooled(var + jnp.square(own - mean), groups)


def _pooled(a: jax.Array, groups: int) -> jax.Array:
    """(..., c): for each channel the mean over its group."""
    if groups == a.shape[-1]:
        return a
    means = jnp.mean(a.reshape(*a.shape[:-1], groups, -1), -1)
    return jnp.repeat(means, a.shape[-1] // groups, axis=-1)


def _row(a: jax.Array) -> jax.Array:
    """(..., c) beside (..., n, c)."""
    return a[..., None, :]
